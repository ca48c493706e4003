/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "format/sync_report.h"

#define A "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
#define B "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
#define C "cccccccc-cccc-4ccc-8ccc-cccccccccccc"

static int parse(const char *text, struct cs_sync_report *report, struct cs_error *err)
{
	return cs_sync_report_parse(text, strlen(text), report, err);
}

static void test_last_line_counts(void **state)
{
	struct cs_sync_report report;
	struct cs_error err;

	(void)state;
	assert_int_equal(
		parse("{\"serving\":[]}\nserver web1 10.0.0.5:80\n"
		      "{\"lb\":\"lb1\",\"list_taken\":1000,\"serving\":[\"" A "\"],"
		      "\"draining\":[{\"id\":\"" B "\",\"sessions\":3}],"
		      "\"drained\":[\"" C "\"]}\n\n",
			&report, &err),
		0);
	assert_true(cs_sync_report_serves(&report, A));
	assert_false(cs_sync_report_serves(&report, B));
	assert_int_equal(report.n_draining, 1);
	assert_string_equal(report.draining[0].id, B);
	assert_int_equal(report.draining[0].sessions, 3);
	cs_sync_report_done(&report);
}

static void test_sessions_of_serving_servers_may_be_told(void **state)
{
	struct cs_sync_report report;
	struct cs_error err;
	int64_t sessions;

	(void)state;
	assert_int_equal(
		parse("{\"list_taken\":1,\"serving\":[\"" A "\",\"" B "\"],"
		      "\"sessions\":{\"" A "\":2},\"draining\":[],\"drained\":[]}",
			&report, &err),
		0);
	assert_true(cs_sync_report_sessions(&report, A, &sessions));
	assert_int_equal(sessions, 2);
	assert_false(cs_sync_report_sessions(&report, B, &sessions));
	cs_sync_report_done(&report);
	assert_int_equal(parse("{\"list_taken\":1,\"serving\":[],\"sessions\":{\"" A
			       "\":2},\"draining\":[],\"drained\":[]}",
				 &report, &err),
		CS_E_PROTOCOL);
}

static void test_drained_counts_only_after_the_mark(void **state)
{
	struct cs_sync_report report;
	struct cs_error err;

	(void)state;
	assert_int_equal(parse("{\"list_taken\":1000,\"serving\":[],\"draining\":[],"
			       "\"drained\":[\"" A "\"]}",
				 &report, &err),
		0);
	assert_true(cs_sync_report_drained(&report, A, 999));
	assert_false(cs_sync_report_drained(&report, A, 1000));
	assert_false(cs_sync_report_drained(&report, B, 999));
	cs_sync_report_done(&report);
}

static void test_anything_else_is_refused(void **state)
{
#define REPORT(serving, draining, drained)                                    \
	"{\"list_taken\":1,\"serving\":[" serving "],\"draining\":[" draining \
	"],\"drained\":[" drained "]}\n"
#define DRAINING(id) "{\"id\":" id ",\"sessions\":0}"
#define Q(id) "\"" id "\""
	static const char *const refused[] = {
		"",
		"\n",
		"Done\n",
		"[]\n",
		"{}\n",
		"{\"list_taken\":1,\"serving\":[],\"draining\":[]}\n",
		"{\"list_taken\":\"1\",\"serving\":[],\"draining\":[],\"drained\":[]}\n",
		REPORT(Q(A), "", Q(A)),
		REPORT(Q(A) "," Q(A), "", ""),
		REPORT(Q(A), DRAINING(Q(A)), ""),
		REPORT("", DRAINING(Q(A)), Q(A)),
		REPORT("", DRAINING(Q(A)) "," DRAINING(Q(A)), ""),
		REPORT(Q("web1"), "", ""),
		REPORT("1", "", ""),
		REPORT("null", "", ""),
		REPORT("", "{\"id\":" Q(A) "}", ""),
		REPORT("", Q(A), ""),
		REPORT("", "", "") "and something else\n",
	};
	struct cs_sync_report report;
	struct cs_error err;

	(void)state;
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		if (parse(refused[i], &report, &err) != CS_E_PROTOCOL)
			fail_msg("accepted: %s", refused[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_line_counts),
		cmocka_unit_test(test_sessions_of_serving_servers_may_be_told),
		cmocka_unit_test(test_drained_counts_only_after_the_mark),
		cmocka_unit_test(test_anything_else_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
