/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Binary search; see sorted.h. */
#include <config.h>
#include "base/sorted.h"

#include <string.h>

size_t cs_sorted_place(const void *rows, size_t n, size_t size,
	const char *(*key_of)(const void *row), const char *key, bool *ret_found)
{
	size_t low = 0, high = n;

	*ret_found = false;
	while (low < high && !*ret_found) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(key_of((const char *)rows + middle * size), key);

		*ret_found = order == 0;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return high;
}
