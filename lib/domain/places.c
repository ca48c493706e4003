/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where new servers may be asked for; see places.h. */
#include <config.h>
#include "domain/places.h"

#include <string.h>

size_t cs_places_n(const struct cs_server_spec *servers)
{
	return servers && servers->availability_zones.n > 0
		       ? servers->availability_zones.n
		       : 1;
}

const char *cs_places_zone(const struct cs_server_spec *servers, size_t i)
{
	return servers && i < servers->availability_zones.n
		       ? servers->availability_zones.items[i]
		       : NULL;
}

static const struct cs_journal_place *remembered(
	const struct cs_server_spec *servers, size_t i, const struct cs_journal *journal)
{
	return cs_journal_place_of(
		journal, cs_places_zone(servers, i), servers ? servers->flavor : NULL);
}

int64_t cs_places_failures(
	const struct cs_server_spec *servers, size_t i, const struct cs_journal *journal)
{
	const struct cs_journal_place *place = remembered(servers, i, journal);

	return place ? place->failed_in_row : 0;
}

/* What is left of the time after the last failure. The future counts as just now. */
static int64_t left_ms(const struct cs_server_spec *servers, size_t i,
	const struct cs_journal *journal, const struct cs_stamp *now)
{
	const struct cs_journal_place *place = remembered(servers, i, journal);

	if (!place || place->failed_in_row == 0)
		return 0;
	int64_t age_ms = cs_stamp_age_ms(&place->last_failed, now);
	int64_t left = CS_PLACES_HOLD_MS - (age_ms > 0 ? age_ms : 0);
	return left > 0 ? left : 0;
}

int64_t cs_places_held_ms(const struct cs_server_spec *servers, size_t i,
	const struct cs_journal *journal, const struct cs_stamp *now)
{
	return cs_places_failures(servers, i, journal) < CS_PLACES_FAILURES
		       ? 0
		       : left_ms(servers, i, journal, now);
}

int64_t cs_places_badness(const struct cs_server_spec *servers, size_t i,
	const struct cs_journal *journal, const struct cs_stamp *now)
{
	int64_t failures = cs_places_failures(servers, i, journal);

	return left_ms(servers, i, journal, now) > 0 || failures >= CS_PLACES_FAILURES
		       ? failures
		       : 0;
}

bool cs_places_other(const struct cs_server_spec *servers, const char *zone,
	const struct cs_journal *journal, const struct cs_stamp *now)
{
	for (size_t i = 0; i < cs_places_n(servers); i++) {
		const char *other = cs_places_zone(servers, i);

		if (other && zone && strcmp(other, zone) != 0 &&
			cs_places_badness(servers, i, journal, now) == 0)
			return true;
	}
	return false;
}
