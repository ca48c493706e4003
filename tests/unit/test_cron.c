/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/stamp.h"
#include "base/zone.h"
#include "format/cron.h"

static bool matches(const char *expression, const char *when, const char *zone)
{
	struct cs_cron cron;

	if (!cs_cron_parse(expression, &cron))
		fail_msg("not taken: '%s'", expression);
	return cs_cron_matches(&cron, cs_wall_parse(when), zone);
}

static void test_minutes_that_match(void **state)
{
	/* 2026-11-24 is a Tuesday. */
	static const char *const yes[] = {"* * * * *", "34 * * * *", "30-40 * * * *",
		"*/2 * * * *", "4/10 * * * *", "0,34 3 24 11 2", "* 3 * * 1-5",
		"* * 24 * *", "* * 1 * 2", "* * 24 * 5", "* * */23 * *",
		"* 0-23/3 * * *"};
	static const char *const no[] = {"35 * * * *", "*/3 * * * *", "* 4 * * *",
		"* * 1 * *", "* * * 12 *", "* * * * 0", "* * * * 7", "* * 1 * 5",
		"* * */2 * 2"};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(yes); i++) {
		if (!matches(yes[i], "2026-11-24T03:34:56Z", "UTC"))
			fail_msg("does not match: '%s'", yes[i]);
	}
	for (size_t i = 0; i < CS_ARRAY_SIZE(no); i++) {
		if (matches(no[i], "2026-11-24T03:34:56Z", "UTC"))
			fail_msg("matches: '%s'", no[i]);
	}
	assert_true(matches("* * * * 0", "2026-11-22T12:00:00Z", "UTC"));
	assert_true(matches("* * * * 7", "2026-11-22T12:00:00Z", "UTC"));
}

static void test_what_is_not_taken(void **state)
{
	static const char *const wrong[] = {"", "*", "* * * *", "* * * * * *",
		"60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8",
		"5-1 * * * *", "*/0 * * * *", "1, * * * *", ",1 * * * *", "-1 * * * *",
		"1- * * * *", "* * * jan *", "@daily", "* * * * * ", " * * * * *",
		"100 * * * *"};
	struct cs_cron cron;

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(wrong); i++) {
		if (cs_cron_parse(wrong[i], &cron))
			fail_msg("taken: '%s'", wrong[i]);
	}
}

static void test_zones(void **state)
{
	(void)state;
	if (!cs_zone_ok("Europe/Berlin"))
		skip(); /* no tzdata here */
	setenv("TZ", "America/New_York", 1);
	/* Summer and winter, whatever the zone of the process is. */
	assert_true(matches("0 9 * * *", "2026-07-01T07:00:00Z", "Europe/Berlin"));
	assert_true(matches("0 9 * * *", "2026-12-01T08:00:00Z", "Europe/Berlin"));
	assert_true(matches("0 9 * * *", "2026-12-01T09:00:00Z", "UTC"));
	assert_string_equal(getenv("TZ"), "America/New_York");
	assert_true(cs_zone_ok("UTC"));
	assert_false(cs_zone_ok("Europe/Nowhere"));
	assert_false(cs_zone_ok(""));
	assert_false(cs_zone_ok("../../../etc/passwd"));
	assert_false(cs_zone_ok(":/etc/passwd"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_minutes_that_match),
		cmocka_unit_test(test_what_is_not_taken),
		cmocka_unit_test(test_zones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
