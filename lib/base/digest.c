/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SHA-256; see digest.h. */
#include <config.h>
#include "base/digest.h"

#include <nettle/sha2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void cs_digest(const char *before, const char *text, size_t len, char ret[CS_DIGEST_SIZE])
{
	uint8_t digest[CS_DIGEST_SIZE / 2];
	struct sha256_ctx context;

	sha256_init(&context);
	sha256_update(&context, strlen(before), (const uint8_t *)before);
	sha256_update(&context, len, (const uint8_t *)text);
	sha256_digest(&context, sizeof digest, digest);
	for (size_t i = 0; i < sizeof digest; i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}
