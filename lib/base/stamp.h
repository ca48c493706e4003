/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Points in time that outlive a process: what every line of a state file carries. Ages
 * use CLOCK_BOOTTIME within one boot, where nobody can turn the clock, and the wall clock
 * otherwise. */
#ifndef CS_BASE_STAMP_H
#define CS_BASE_STAMP_H

#include <stdint.h>

#include "base/macros.h"

#define CS_BOOT_ID_SIZE 37

struct cs_stamp {
	int64_t wall_ms;	       /* CLOCK_REALTIME since the epoch */
	int64_t boot_ms;	       /* CLOCK_BOOTTIME */
	char boot_id[CS_BOOT_ID_SIZE]; /* /proc/sys/kernel/random/boot_id, "" if unknown
					*/
};

void cs_stamp_now(struct cs_stamp *ret) CS_NONNULL_ALL;

/* Milliseconds from `then` to `now`. Negative when `then` lies in the future (a clock was
 * turned back, or another host's clock is ahead): such a line is never fresh, and for a
 * cool-down it counts as just now. */
int64_t cs_stamp_age_ms(
	const struct cs_stamp *then, const struct cs_stamp *now) CS_NONNULL_ALL;

/* "2026-11-23T21:46:56Z" of a wall time; UTC. */
#define CS_WALL_TEXT_SIZE 32
void cs_wall_format(int64_t wall_ms, char ret[CS_WALL_TEXT_SIZE]) CS_NONNULL_ALL;

/* The inverse, for Nova's `created` and alike ("2026-11-23T21:46:56Z", fractions of a
 * second ignored): ms since the epoch, or -1. ISO 8601 in UTC only. */
int64_t cs_wall_parse(const char *text) CS_NONNULL_ALL;

/* A random uuid (version 4, RFC 9562). */
#define CS_UUID_SIZE 37
void cs_uuid_make(char ret[CS_UUID_SIZE]) CS_NONNULL_ALL;

#endif
