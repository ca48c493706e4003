/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "format/trace.h"

#define HEAD "period,count\n"

static void test_points(void **state)
{
	static const char text[] = HEAD "1998-06-01 00:00:00,10\n"
					"1998-06-01 00:01:00,0\n"
					"1998-06-01 00:05:00,2.25";
	CS_CLEANUP(cs_trace_done) struct cs_trace trace = {0};
	struct cs_error err;

	(void)state;
	assert_int_equal(cs_trace_parse(text, strlen(text), "t", &trace, &err), 0);
	assert_int_equal(trace.n, 3);
	assert_int_equal(trace.points[0].minute, 896659200 / 60);
	assert_true(trace.points[0].count == 10 && trace.points[2].count == 2.25);
	assert_int_equal(trace.points[2].minute - trace.points[0].minute, 5);
	cs_trace_cut(&trace, trace.points[0].minute + 1, trace.points[0].minute + 5);
	assert_int_equal(trace.n, 1);
	assert_true(trace.points[0].count == 0);
}

#define LINE(t, load, servers)                                            \
	"{\"t\":" #t ",\"load_permille\":" #load ",\"servers\":" #servers \
	",\"boot\":\"\"}\n"

static void test_history(void **state)
{
	static const char text[] = LINE(600000, 500, 4) LINE(630000, 700, 4)
		LINE(645000, -1, 4) LINE(659999, 900, 4) LINE(541000, 100, 4)
			LINE(780000, 250, 8) "{\"t\":84";
	CS_CLEANUP(cs_trace_done) struct cs_trace trace = {0};
	struct cs_error err;

	(void)state;
	assert_int_equal(cs_trace_parse(text, strlen(text), "t", &trace, &err), 0);
	assert_true(trace.busy_servers);
	assert_int_equal(trace.n, 2);
	assert_int_equal(trace.points[0].minute, 10);
	assert_int_equal((int)(trace.points[0].count * 1000 + 0.5), 2800);
	assert_int_equal(trace.points[1].minute, 13);
	assert_true(trace.points[1].count == 2);
}

#define NAGIOS(time, service, perfdata)                                               \
	"[SERVICEPERFDATA]\t" time "\tweb\t" service "\t0.01\t0.1\tCLUSTER CPU OK - " \
	"web: load 1.0 % of 9 servers\t" perfdata "\n"
#define ICINGA(time, perfdata)                                                          \
	"DATATYPE::SERVICEPERFDATA\tTIMET::" time "\tHOSTNAME::web\tSERVICEDESC::cpu\t" \
	"SERVICEPERFDATA::" perfdata "\tSERVICECHECKCOMMAND::cpu\tSERVICESTATE::OK\n"

static void test_performance_data(void **state)
{
	static const char *const texts[] = {
		NAGIOS("1000000020", "disk", "/=5MB;7;8;0;10") NAGIOS("1000000020", "cpu",
			"load=35.0%;;70;0;100 servers=4 sampled=4 missing=0")
			NAGIOS("1000000030", "cpu", "servers=4 sampled=0 missing=4")
				NAGIOS("1000000050", "cpu",
					"load=45.0%;;70;0;100 servers=4 sampled=4")
					NAGIOS("1000000080", "cpu",
						"load=12.5%;;70;0;100 servers=2"),
		ICINGA("1000000020", "load=40%;;70;0;100 servers=4 sampled=4")
			ICINGA("1000000080", "load=12.5% servers=2"),
	};
	struct cs_trace trace;
	struct cs_error err;

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(texts); i++) {
		assert_int_equal(
			cs_trace_parse(texts[i], strlen(texts[i]), "t", &trace, &err), 0);
		assert_true(trace.busy_servers);
		assert_int_equal(trace.n, 2);
		assert_int_equal(trace.points[0].minute, 1000000020 / 60);
		assert_true(
			trace.points[0].count > 1.599 && trace.points[0].count < 1.601);
		assert_int_equal(trace.points[1].minute, 1000000080 / 60);
		assert_true(
			trace.points[1].count > 0.249 && trace.points[1].count < 0.251);
		cs_trace_done(&trace);
	}
}

static void test_minutes(void **state)
{
	static const char *const wrong[] = {"", "1998", "1998-6-01", "1998-13-01",
		"1998-02-29", "1998-06-01 ", "1998-06-01 24:00", "1998-06-01 12:00:30",
		"1998-06-01 12:00:00Z", "1998-06-01T12:00", "1969-12-31"};
	int64_t minute;

	(void)state;
	assert_true(cs_trace_minute("1970-01-01", &minute) && minute == 0);
	assert_true(cs_trace_minute("1996-02-29 12:30", &minute));
	assert_true(cs_trace_minute("1970-01-02 00:01:00", &minute) && minute == 1441);
	for (size_t i = 0; i < CS_ARRAY_SIZE(wrong); i++) {
		if (cs_trace_minute(wrong[i], &minute))
			fail_msg("taken: '%s'", wrong[i]);
	}
}

static void test_what_is_refused(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"", "t:1: expected the head line \"period,count\", a history of a "
		     "cluster, or performance data, found ''"},
		{"count,period\n", "t:1: expected the head line"},
		{"{\"t\":1}\n", "t:1: expected a measurement of a history, found"},
		{LINE(60000, 1, 1) "x\n", "t:2: expected a measurement of a history"},
		{NAGIOS("1000000020", "cpu", "load=35.0% servers=4")
				NAGIOS("1000000080", "other", "load=35.0% servers=4"),
			"t:2: expected one cluster only, that of the first line"},
		{NAGIOS("today", "cpu", "load=35.0% servers=4"),
			"t:1: expected a field with the time, $TIMET$"},
		{NAGIOS("1000000020", "cpu", "load=101% servers=4"),
			"t: there is no load in it"},
		{NAGIOS("1000000020", "cpu", "load=35.0 servers=4"),
			"t: there is no load in it"},
		{LINE(60000, 1001, 1), "t:1: "},
		{LINE(-60000, 100, 1), "t:1: "},
		{LINE(60000, -1, 1), "t: there is no load in it"},
		{HEAD, "t: there is no load in it"},
		{HEAD "\n", "t:2: expected YYYY-MM-DD HH:MM:00,COUNT"},
		{HEAD "1998-06-01 00:00:00,-1\n", "t:2: "},
		{HEAD "1998-06-01 00:00:00,\n", "t:2: "},
		{HEAD "1998-06-01 00:00:00,nan\n", "t:2: "},
		{HEAD "1998-06-01 00:00:00,1e3\n", "t:2: "},
		{HEAD "1998-06-01 00:00:00,1.\n", "t:2: "},
		{HEAD "1998-06-01 00:00:00,1 \n", "t:2: "},
		{HEAD "1998-06-01 00:00:00,9999999999999999\n", "t:2: "},
		{HEAD "1998-06-01 00:00:30,1\n", "t:2: "},
		{HEAD "1998-06-31 00:00:00,1\n", "t:2: "},
		{HEAD "1998-06-01 00:01:00,1\n1998-06-01 00:01:00,1\n",
			"t:3: expected a later minute than that of the line before"},
	};
	struct cs_trace trace = {0};
	struct cs_error err;

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) {
		const char *text = cases[i].text;

		assert_int_equal(cs_trace_parse(text, strlen(text), "t", &trace, &err),
			CS_E_CONFIG);
		if (!strstr(err.message, cases[i].message))
			fail_msg("'%s': %s", text, err.message);
	}
	assert_int_equal(cs_trace_parse(HEAD "\0", strlen(HEAD) + 1, "t", &trace, &err),
		CS_E_CONFIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_points),
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_performance_data),
		cmocka_unit_test(test_minutes),
		cmocka_unit_test(test_what_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
