/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cron expressions; see cron.h. */
#include <config.h>
#include "format/cron.h"

#include <string.h>

#include "base/zone.h"

static bool take_number(const char **at, int *ret)
{
	const char *p = *at;
	int value = 0;

	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		value = value * 10 + (*p - '0');
		if (value > 99)
			return false;
	}
	*ret = value;
	*at = p;
	return true;
}

/* "*", "5", "1-5", each with "/2" behind it; "5/2" begins at 5, up to the end. */
static bool take_range(const char **at, int min, int max, uint64_t *ret)
{
	int from = min, to = max, step = 1;
	bool single = false;

	if (**at == '*') {
		++*at;
	} else {
		if (!take_number(at, &from))
			return false;
		single = **at != '-';
		to = from;
		if (!single && (++*at, !take_number(at, &to)))
			return false;
	}
	if (**at == '/') {
		++*at;
		if (!take_number(at, &step) || step == 0)
			return false;
		to = single ? max : to;
	}
	if (from < min || to > max || from > to)
		return false;
	for (int i = from; i <= to; i += step)
		*ret |= UINT64_C(1) << i;
	return true;
}

static bool take_field(const char **at, int min, int max, uint64_t *ret)
{
	*ret = 0;
	while (take_range(at, min, max, ret)) {
		if (**at != ',')
			return true;
		++*at;
	}
	return false;
}

static bool take_blanks(const char **at)
{
	size_t n = strspn(*at, " \t");

	*at += n;
	return n > 0;
}

bool cs_cron_parse(const char *text, struct cs_cron *ret)
{
	struct cs_cron cron;
	const char *at = text, *day, *weekday;

	if (!take_field(&at, 0, 59, &cron.minutes) || !take_blanks(&at) ||
		!take_field(&at, 0, 23, &cron.hours) || !take_blanks(&at))
		return false;
	day = at;
	if (!take_field(&at, 1, 31, &cron.days) || !take_blanks(&at) ||
		!take_field(&at, 1, 12, &cron.months) || !take_blanks(&at))
		return false;
	weekday = at;
	if (!take_field(&at, 0, 7, &cron.weekdays) || *at != '\0')
		return false;
	if (cron.weekdays & UINT64_C(1) << 7)
		cron.weekdays |= 1;
	cron.either_day = *day != '*' && *weekday != '*';
	*ret = cron;
	return true;
}

static bool has(uint64_t set, int value)
{
	return set >> value & 1;
}

bool cs_cron_matches(const struct cs_cron *cron, int64_t wall_ms, const char *zone)
{
	struct tm tm;

	cs_zone_local(wall_ms, zone, &tm);
	bool day = has(cron->days, tm.tm_mday), weekday = has(cron->weekdays, tm.tm_wday);
	return has(cron->minutes, tm.tm_min) && has(cron->hours, tm.tm_hour) &&
	       has(cron->months, tm.tm_mon + 1) &&
	       (cron->either_day ? day || weekday : day && weekday);
}
