/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looks things up by a pair of texts ("backend" and "server", "cluster" and "id"); give
 * "" for a half that is not needed. Keys and values are borrowed and must outlive the
 * map, which an empty struct begins. */
#ifndef CS_BASE_MAP_H
#define CS_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"

struct cs_map_slot {
	const char *first, *second; /* NULL: free */
	const void *value;
};

struct cs_map {
	struct cs_map_slot *slots; /* owned */
	size_t n, capacity;
};

/* Makes an empty map large enough for `n`, which saves it from growing. */
void cs_map_reserve(struct cs_map *map, size_t n) CS_NONNULL_ALL;

/* False when the key is there already; the old value stays then. */
bool cs_map_add(struct cs_map *map, const char *first, const char *second,
	const void *value) CS_NONNULL_ALL;

/* NULL when there is none. */
const void *cs_map_find(
	const struct cs_map *map, const char *first, const char *second) CS_NONNULL_ALL;

void cs_map_done(struct cs_map *map) CS_NONNULL_ALL;

#endif
