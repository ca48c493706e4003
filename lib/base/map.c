/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Open addressing, at most half full; see map.h. */
#include <config.h>
#include "base/map.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

#define SLOTS_MIN 64

/* FNV-1a; the NUL between the halves tells "a","bc" from "ab","c". */
static uint64_t hash_of(const char *first, const char *second)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (const char *c = first; *c; c++)
		hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	hash *= UINT64_C(0x100000001b3);
	for (const char *c = second; *c; c++)
		hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	return hash;
}

/* The slot of the key, or the free one where it belongs. */
static struct cs_map_slot *slot_of(
	const struct cs_map *map, const char *first, const char *second)
{
	size_t i = hash_of(first, second) & (map->capacity - 1);

	while (map->slots[i].first && (strcmp(map->slots[i].second, second) != 0 ||
					      strcmp(map->slots[i].first, first) != 0))
		i = (i + 1) & (map->capacity - 1);
	return &map->slots[i];
}

static void grow(struct cs_map *map)
{
	struct cs_map bigger = {
		.n = map->n, .capacity = map->capacity ? map->capacity * 2 : SLOTS_MIN};

	bigger.slots = cs_calloc(bigger.capacity, sizeof *bigger.slots);
	for (size_t i = 0; i < map->capacity; i++) {
		const struct cs_map_slot *old = &map->slots[i];

		if (old->first)
			*slot_of(&bigger, old->first, old->second) = *old;
	}
	free(map->slots);
	*map = bigger;
}

void cs_map_reserve(struct cs_map *map, size_t n)
{
	map->capacity = SLOTS_MIN;
	while (map->capacity < 2 * (n + 1))
		map->capacity *= 2;
	map->slots = cs_calloc(map->capacity, sizeof *map->slots);
}

bool cs_map_add(
	struct cs_map *map, const char *first, const char *second, const void *value)
{
	if (map->n * 2 >= map->capacity)
		grow(map);
	struct cs_map_slot *slot = slot_of(map, first, second);
	if (slot->first)
		return false;
	*slot = (struct cs_map_slot){first, second, value};
	map->n++;
	return true;
}

const void *cs_map_find(const struct cs_map *map, const char *first, const char *second)
{
	return map->capacity ? slot_of(map, first, second)->value : NULL;
}

void cs_map_done(struct cs_map *map)
{
	free(map->slots);
	*map = (struct cs_map){0};
}
