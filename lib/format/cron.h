/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cron expressions as the set of minutes that they match. Five fields as in crontab(5):
 * minute, hour, day of the month, month, day of the week (0 and 7 are Sunday), each "*",
 * numbers, ranges and lists of them, with "/step"; names of months and days are not
 * taken. As there, when neither day field begins with "*", either may match. */
#ifndef CS_FORMAT_CRON_H
#define CS_FORMAT_CRON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

/* A bit per value. */
struct cs_cron {
	uint64_t minutes, hours, days, months, weekdays;
	bool either_day;
};

bool cs_cron_parse(const char *text, struct cs_cron *ret) CS_MUST_CHECK CS_NONNULL_ALL;

/* `wall_ms` since the epoch, as the clocks of `zone` (base/zone.h) show it.
 */
bool cs_cron_matches(
	const struct cs_cron *cron, int64_t wall_ms, const char *zone) CS_NONNULL_ALL;

#endif
