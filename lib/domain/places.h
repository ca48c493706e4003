/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where new servers may be asked for: each availability zone of the configuration, or the
 * one that Nova chooses, with the flavor. Creates that failed there hold it for a while;
 * other zones go on. Pure. */
#ifndef CS_DOMAIN_PLACES_H
#define CS_DOMAIN_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/stamp.h"
#include "domain/config.h"
#include "domain/journal.h"

/* A place is held after this many failures in a row: for a while, then one is tried. */
#define CS_PLACES_FAILURES 3
#define CS_PLACES_HOLD_MS (900 * CS_MS_PER_S)

/* How many there are, at least 1. `servers` NULL: Nova chooses. */
size_t cs_places_n(const struct cs_server_spec *servers);

/* The zone of the `i`-th one; NULL: Nova chooses. Borrowed. */
const char *cs_places_zone(const struct cs_server_spec *servers, size_t i);

/* Creates that failed there in a row. */
int64_t cs_places_failures(const struct cs_server_spec *servers, size_t i,
	const struct cs_journal *journal) CS_NONNULL(3);

/* How long it is held yet. */
int64_t cs_places_held_ms(const struct cs_server_spec *servers, size_t i,
	const struct cs_journal *journal, const struct cs_stamp *now) CS_NONNULL(3, 4);

/* How bad it is at present: 0 when no create failed there lately, or long ago and fewer
 * than hold it. */
int64_t cs_places_badness(const struct cs_server_spec *servers, size_t i,
	const struct cs_journal *journal, const struct cs_stamp *now) CS_NONNULL(3, 4);

/* Is there another place than `zone` where nothing speaks against a create? */
bool cs_places_other(const struct cs_server_spec *servers, const char *zone,
	const struct cs_journal *journal, const struct cs_stamp *now) CS_NONNULL(3, 4);

#endif
