/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the clocks of a time zone show. glibc knows the rules of one zone at a time, that
 * of TZ, so TZ is set and put back: not for programs with threads. */
#ifndef CS_BASE_ZONE_H
#define CS_BASE_ZONE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/macros.h"

/* Is there such a zone on this host? "UTC" always is. */
bool cs_zone_ok(const char *zone) CS_NONNULL_ALL;

/* `wall_ms` since the epoch. */
void cs_zone_local(int64_t wall_ms, const char *zone, struct tm *ret) CS_NONNULL_ALL;

#endif
