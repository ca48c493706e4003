/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The lines of an answer's head. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CS_CLEANUP(cs_http_reply_done)
	struct cs_http_reply reply = {.retry_after_ms = -1};
	const char *rest = (const char *)data, *end = rest + size;

	while (rest < end) {
		const char *feed = memchr(rest, '\n', (size_t)(end - rest));
		size_t len = feed ? (size_t)(feed - rest) + 1 : (size_t)(end - rest);

		cs_http_take_header(&reply, rest, len, 1700000000000);
		rest += len;
	}
	if (reply.retry_after_ms < -1 || reply.retry_after_ms > 86400 * CS_MS_PER_S ||
		strlen(reply.request_id) >= sizeof reply.request_id ||
		strlen(reply.api_version) >= sizeof reply.api_version)
		abort();
	return 0;
}
