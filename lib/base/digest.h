/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SHA-256 (FIPS 180-4) by nettle. */
#ifndef CS_BASE_DIGEST_H
#define CS_BASE_DIGEST_H

#include <stddef.h>

#include "base/macros.h"

/* The first half of the digest in hex: 128 bits, and its NUL. */
#define CS_DIGEST_SIZE 33

/* Of `before` and the text behind it. */
void cs_digest(const char *before, const char *text, size_t len,
	char ret[CS_DIGEST_SIZE]) CS_NONNULL_ALL;

#endif
