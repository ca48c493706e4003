/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "domain/clouds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Up to three files, one after the other with a form feed in between. What was accepted
 * can be used to authenticate. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cs_clouds_text text = {0};
	const char *rest = (const char *)data, *end = rest + size;
	struct cs_credentials given;
	struct cs_error err;

	for (size_t i = 0; i < CS_CLOUDS_KINDS && (i == 0 || rest < end); i++) {
		size_t left = (size_t)(end - rest);
		const char *feed = left ? memchr(rest, '\f', left) : NULL;
		size_t len = feed ? (size_t)(feed - rest) : left;

		text.files[i] =
			(struct cs_clouds_file){(char *)"input", (char *)rest, len};
		rest += feed ? len + 1 : len;
	}
	if (cs_clouds_pick(&text, "my", &given, &err) < 0)
		return 0;
	if ((!given.auth_url && !given.endpoint) || !given.interface ||
		(!given.secret && given.type != CS_AUTH_NONE))
		abort();
	cs_credentials_done(&given);
	return 0;
}
