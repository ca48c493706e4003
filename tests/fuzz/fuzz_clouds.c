/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>

#include "domain/clouds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was accepted can be used to authenticate. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cs_credentials given;
	struct cs_error err;

	if (cs_clouds_parse((const char *)data, size, "input", "my", &given, &err) < 0)
		return 0;
	if (!given.auth_url || !given.secret || !given.interface)
		abort();
	cs_credentials_done(&given);
	return 0;
}
