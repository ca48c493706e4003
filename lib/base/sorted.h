/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looks things up in rows that lie in the order of their keys. */
#ifndef CS_BASE_SORTED_H
#define CS_BASE_SORTED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"

/* Where `key` is among `n` rows of `size` bytes, or would have to be put to keep their
 * order (strcmp). `key_of` gives a row's key. */
size_t cs_sorted_place(const void *rows, size_t n, size_t size,
	const char *(*key_of)(const void *row), const char *key, bool *ret_found)
	CS_NONNULL(4, 5, 6);

#endif
