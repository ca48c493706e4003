/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macros.h"
#include "format/threshold.h"

#define UNIT 1000

static bool alerts(const char *text, int64_t value_milli)
{
	struct cs_threshold range;
	struct cs_error err;

	if (cs_threshold_parse(text, &range, &err) < 0)
		fail_msg("'%s': %s", text, err.message);
	return cs_threshold_alerts(&range, value_milli);
}

/* Each range with the last quiet and the first alerting value at its borders. */
static void test_every_form_alerts_where_the_guidelines_say(void **state)
{
	static const struct {
		const char *text;
		int64_t quiet[2], alert[2];
	} cases[] = {
		{"10", {0, 10000}, {-1, 10001}},
		{":10", {0, 10000}, {-1, 10001}},
		{"0:10", {0, 10000}, {-1, 10001}},
		{"10:", {10000, INT64_MAX}, {9999, -1}},
		{"~:10", {10000, INT64_MIN}, {10001, INT64_MAX}},
		{"10:20", {10000, 20000}, {9999, 20001}},
		{"@10", {-1, 10001}, {0, 10000}},
		{"@10:", {9999, -1}, {10000, INT64_MAX}},
		{"@~:10", {10001, INT64_MAX}, {10000, INT64_MIN}},
		{"@10:20", {9999, 20001}, {10000, 20000}},
		{"0", {0, 0}, {-1, 1}},
		{"0:0", {0, 0}, {-1, 1}},
		{"@0:0", {-1, 1}, {0, 0}},
		{"10:10", {10000, 10000}, {9999, 10001}},
		{"-10:-5", {-10000, -5000}, {-10001, -4999}},
		{"~:-5", {-5000, INT64_MIN}, {-4999, 0}},
		{"-10:", {-10000, 0}, {-10001, INT64_MIN}},
		{"~:", {INT64_MIN, INT64_MAX}, {1, 1}},
		{"70.5", {70500, 0}, {70501, -1}},
		{"0.125:0.25", {125, 250}, {124, 251}},
	};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) {
		bool never = cases[i].alert[0] == cases[i].alert[1];
		for (int j = 0; j < 2; j++) {
			if (alerts(cases[i].text, cases[i].quiet[j]))
				fail_msg("'%s' alerts at quiet value %d", cases[i].text,
					j);
			if (!never && !alerts(cases[i].text, cases[i].alert[j]))
				fail_msg("'%s' is quiet at alert value %d", cases[i].text,
					j);
		}
	}
}

static void test_junk_is_refused(void **state)
{
	static const char *const junk[] = {"", ":", "@", "@:", "abc", "10%", "~", "~10",
		"10:20:30", "@@10:20", "~:~", "10:~", "1,5", "0x10", "inf", "-inf", "nan",
		" 10", "10 ", "10: 20", "20:10", "@20:10", "10:abc", "-5", "+5", "1e3",
		".5", "5.", "1.0001", "99999999999999999999", "10:20@", "--5",
		"1111111111111111111111111111111111111111111111111111111111111111111111"};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(junk); i++) {
		struct cs_threshold range = {.end_milli = 42};
		struct cs_error err;
		if (cs_threshold_parse(junk[i], &range, &err) != CS_E_USAGE)
			fail_msg("'%s' is taken", junk[i]);
		assert_int_equal(range.end_milli, 42);
	}
}

static void test_the_message_says_what_a_range_is(void **state)
{
	struct cs_threshold range;
	struct cs_error err;

	(void)state;
	assert_int_equal(cs_threshold_parse("10%", &range, &err), CS_E_USAGE);
	assert_string_equal(err.message, "'10%' is not a range: [@][start:]end or "
					 "[@]start:, for example 70, ~:70, "
					 "30: or @10:20");
	assert_int_equal(cs_threshold_parse("20:10", &range, &err), CS_E_USAGE);
	assert_string_equal(
		err.message, "'20:10' is not a range: its start is above its end");
}

static void test_no_range_never_alerts(void **state)
{
	struct cs_threshold none = {0};

	(void)state;
	assert_false(cs_threshold_alerts(&none, INT64_MAX));
	assert_false(cs_threshold_alerts(&none, INT64_MIN));
	assert_string_equal(cs_threshold_plain(&none), "");
}

static void test_only_plain_numbers_reach_perfdata(void **state)
{
	static const char *const pairs[][2] = {{"70", "70"}, {"0:70", "70"},
		{"~:70", "70"}, {":70.5", "70.5"}, {"30:", ""}, {"@70", ""},
		{"10:70", ""}, {"~:", ""}, {"~:-5", ""}};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(pairs); i++) {
		struct cs_threshold range;
		struct cs_error err;
		assert_int_equal(cs_threshold_parse(pairs[i][0], &range, &err), 0);
		assert_string_equal(cs_threshold_plain(&range), pairs[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_form_alerts_where_the_guidelines_say),
		cmocka_unit_test(test_junk_is_refused),
		cmocka_unit_test(test_the_message_says_what_a_range_is),
		cmocka_unit_test(test_no_range_never_alerts),
		cmocka_unit_test(test_only_plain_numbers_reach_perfdata),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
