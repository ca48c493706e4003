/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>

#include "client/keystone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cs_token token;
	const char *url = NULL;
	struct cs_error err;

	if (cs_keystone_parse_token((const char *)data, size, &token, &err) < 0)
		return 0;
	if (cs_keystone_pick(&token, "compute", "public", NULL, &url, &err) == 0 && !url)
		abort();
	cs_token_done(&token);
	return 0;
}
