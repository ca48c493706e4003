/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The child without rights, and the rows that it sends. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/proc.h"
#include "domain/fleet_rows.h"

#define ID "11111111-2222-4333-8444-555555555555"
#define ID2 "11111111-2222-4333-8444-666666666666"
#define LIST "list 1700000000000\n"
#define GOOD ID "\tweb1\tactive\t10.0.0.1\t1\t\tm1.small\t2\tnova\t5\t\n"

/* --- the rows */

static void test_a_view_comes_back_as_it_was(void **state)
{
	struct cs_server servers[] = {{.id = (char *)ID,
					      .name = (char *)"web\t1\xc3\xa4",
					      .flavor = (char *)"m1",
					      .vcpus = 4,
					      .zone = (char *)"az1",
					      .created_wall_ms = -1,
					      .mark_snmp_port = (char *)"1161"},
		{.id = (char *)ID2,
			.name = (char *)"",
			.flavor = (char *)"",
			.mark_draining = (char *)"soon",
			.created_wall_ms = 1699999999000}};
	struct cs_member members[] = {{.server = &servers[0],
					      .state = CS_MEMBER_ACTIVE,
					      .ours = true,
					      .address = "10.0.0.1"},
		{.server = &servers[1],
			.state = CS_MEMBER_DRAINING,
			.address = "fd00::1",
			.draining_since_wall_ms = INT64_MAX}};
	const struct cs_fleet_view view = {
		.list = {.servers = servers, .n = 2, .taken_wall_ms = 1700000000000},
		.members = {.items = members, .n = 2}};
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(10000);
	CS_CLEANUP(cs_fleet_view_done) struct cs_fleet_view got = {0};
	struct cs_error err;

	(void)state;
	cs_fleet_rows_write(&view, &text);
	assert_int_equal(
		cs_fleet_rows_parse(cs_strbuf_text(&text), text.len, &got, &err), 0);
	assert_int_equal(got.list.taken_wall_ms, 1700000000000);
	assert_int_equal(got.members.n, 2);
	assert_int_equal(got.members.by_state[CS_MEMBER_DRAINING], 1);
	const struct cs_member *one = &got.members.items[0], *two = one + 1;
	assert_ptr_equal(one->server, &got.list.servers[0]);
	assert_string_equal(one->server->id, ID);
	assert_string_equal(one->server->name, "web?1??");
	assert_string_equal(one->server->zone, "az1");
	assert_string_equal(one->address, "10.0.0.1");
	assert_int_equal(one->server->vcpus, 4);
	assert_int_equal(one->server->created_wall_ms, -1);
	assert_string_equal(one->server->mark_snmp_port, "1161");
	assert_true(one->ours);
	assert_null(one->server->mark_draining);
	assert_int_equal(one->draining_since_wall_ms, 0);
	assert_false(two->ours);
	assert_int_equal(two->state, CS_MEMBER_DRAINING);
	assert_null(two->server->zone);
	assert_int_equal(two->server->created_wall_ms, 1699999999000);
	assert_null(two->server->mark_snmp_port);
	assert_non_null(two->server->mark_draining);
	assert_int_equal(two->draining_since_wall_ms, INT64_MAX);
}

static void test_a_failure_comes_back_as_it_was(void **state)
{
	const struct cs_error failure = {
		.code = CS_E_AUTH, .remote_status = 401, .message = "it said no"};
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(1000);
	struct cs_fleet_view view;
	struct cs_error err;

	(void)state;
	cs_fleet_rows_write_error(&failure, &text);
	assert_int_equal(
		cs_fleet_rows_parse(cs_strbuf_text(&text), text.len, &view, &err),
		CS_E_AUTH);
	assert_int_equal(err.remote_status, 401);
	assert_string_equal(err.message, "it said no");
}

static void test_what_is_no_list_is_refused(void **state)
{
	static const char *const texts[] = {"", "\n", "list 1\n", LIST GOOD,
		LIST GOOD "complete 0\n", LIST GOOD "complete 2\n",
		LIST GOOD "complete 1", LIST GOOD "complete 1\n\n",
		LIST GOOD "complete 1\nx", LIST GOOD "complete 1 \n",
		LIST GOOD "complete 1 x\n", LIST GOOD GOOD "complete 2\n",
		"list -1\n" GOOD "complete 1\n", "list 1 \n" GOOD "complete 1\n",
		"lists 1\n" GOOD "complete 1\n", GOOD "complete 1\n",
		LIST "x\tweb1\tactive\t10.0.0.1\t1\t\tm1\t2\tnova\t5\t\ncomplete 1\n",
		LIST ID "\tweb1\tgone\t10.0.0.1\t1\t\tm1\t2\tnova\t5\t\ncomplete 1\n",
		LIST ID
		"\tweb1\tactive\t10.0.0.1:80\t1\t\tm1\t2\tnova\t5\t\ncomplete 1\n",
		LIST ID "\tweb1\tactive\t10.0.0\t1\t\tm1\t2\tnova\t5\t\ncomplete 1\n",
		LIST ID "\tweb1\tactive\t10.0.0.1\t2\t\tm1\t2\tnova\t5\t\ncomplete 1\n",
		LIST ID "\tweb1\tactive\t10.0.0.1\t1\t-5\tm1\t2\tnova\t5\t\ncomplete 1\n",
		LIST ID "\tweb1\tactive\t10.0.0.1\t1\tx\tm1\t2\tnova\t5\t\ncomplete 1\n",
		LIST ID "\tweb1\tactive\t10.0.0.1\t1\t\tm1\t\tnova\t5\t\ncomplete 1\n",
		LIST ID "\tweb1\tactive\t10.0.0.1\t1\t\tm1\t2\tn\ta\t5\t\ncomplete 1\n",
		LIST ID "\tweb1\tactive\t10.0.0.1\t1\t\tm1\t2\tnova\t5\ncomplete 1\n",
		LIST ID "\tweb1\tactive\t10.0.0.1\t1\t\tm1\t2\tnova\tx\t\ncomplete 1\n",
		LIST ID "\tweb1\tactive\t10.0.0.1\t1\t\tm1\t2\tnova\t-2\t\ncomplete 1\n",
		LIST ID "\tw\x7f\tactive\t10.0.0.1\t1\t\tm1\t2\tnova\t5\t\ncomplete 1\n",
		LIST ID "\tw\xc3\tactive\t10.0.0.1\t1\t\tm1\t2\tnova\t5\t\ncomplete 1\n",
		"failed -1 0 \n", "failed 1 0 x\n", "failed -99 0 x\n",
		"failed -1 1000 x\n", "failed -1 0 x\nfailed -1 0 x\n", "failed -1 0 x"};
	CS_CLEANUP(cs_fleet_view_done) struct cs_fleet_view good = {0};
	CS_AUTO_FREE char *long_name = cs_calloc(600, 1);
	struct cs_fleet_view view;
	struct cs_error err;

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(texts); i++) {
		if (cs_fleet_rows_parse(texts[i], strlen(texts[i]), &view, &err) !=
			CS_E_PROTOCOL)
			fail_msg("taken: %s", texts[i]);
	}
	/* a zero byte hides nothing */
	assert_int_equal(cs_fleet_rows_parse(LIST "complete 0\n\0x",
				 strlen(LIST "complete 0\n") + 2, &view, &err),
		CS_E_PROTOCOL);
	snprintf(long_name, 600,
		LIST ID "\t%0256d\tactive\t\t1\t\tm1\t2\t\t5\t\ncomplete 1\n", 0);
	assert_int_equal(cs_fleet_rows_parse(long_name, strlen(long_name), &view, &err),
		CS_E_PROTOCOL);
	assert_int_equal(cs_fleet_rows_parse(LIST GOOD "complete 1\n",
				 strlen(LIST GOOD "complete 1\n"), &good, &err),
		0);
}

/* --- the child */

static int ask(void (*work)(void *, struct cs_strbuf *), int64_t limit_ms,
	struct cs_strbuf *ret, struct cs_error *err)
{
	struct cs_deadline deadline = cs_deadline_in(limit_ms);
	struct cs_proc_child child;
	int r = cs_proc_confine(work, (void *)"context", &child, err);

	if (r == 0)
		r = cs_proc_hear(&child, "the child", deadline, ret, err);
	if (r == 0)
		r = cs_proc_await(&child, "the child", deadline, ret, err);
	if (r == 0 || err->code != CS_E_CONFIG) {
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
		assert_int_equal(errno, ECHILD);
	}
	return r;
}

static void describe(void *context, struct cs_strbuf *ret)
{
	struct rlimit core, size;
	int fds = 0;

	getrlimit(RLIMIT_CORE, &core);
	getrlimit(RLIMIT_FSIZE, &size);
	for (int fd = 0; fd < 1024; fd++)
		fds += fcntl(fd, F_GETFD) >= 0;
	cs_strbuf_addf(ret,
		"%s: root %d groups %d regain %d new %d dump %d limits %d fds %d",
		(const char *)context, geteuid() == 0 || getegid() == 0,
		geteuid() != getuid() ||
			(getppid() && getgroups(0, NULL) > 0 && getuid() == 65534),
		setresuid(0, 0, 0) == 0, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1,
		prctl(PR_GET_DUMPABLE) != 0, core.rlim_cur || size.rlim_max, fds);
}

static void test_a_child_has_no_rights_left(void **state)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(1000);
	struct cs_error err;

	(void)state;
	if (ask(describe, 5000, &text, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(cs_strbuf_text(&text),
		"context: root 0 groups 0 regain 0 new 0 dump 0 limits 0 fds 4");
}

static void die(void *context, struct cs_strbuf *ret)
{
	(void)context;
	cs_strbuf_add(ret, "half");
	raise(SIGKILL);
}

static void end_early(void *context, struct cs_strbuf *ret)
{
	(void)context;
	(void)ret;
	_exit(7);
}

static void hang(void *context, struct cs_strbuf *ret)
{
	(void)context;
	(void)ret;
	pause();
}

static void close_and_hang(void *context, struct cs_strbuf *ret)
{
	close(3);
	hang(context, ret);
}

static void flood(void *context, struct cs_strbuf *ret)
{
	static const char zeros[65536];

	(void)context;
	(void)ret;
	while (write(3, zeros, sizeof zeros) > 0)
		;
}

static void fill(void *context, struct cs_strbuf *ret)
{
	(void)context;
	for (int i = 0; i < 1000; i++)
		cs_strbuf_add(ret, "0123456789");
}

static void write_file(void *context, struct cs_strbuf *ret)
{
	FILE *file = tmpfile();

	(void)context;
	cs_strbuf_addf(ret, "%d", file && fputs("x", file) >= 0 && fflush(file) == 0);
}

static void test_what_becomes_of_a_child(void **state)
{
	static const struct {
		void (*work)(void *, struct cs_strbuf *);
		int64_t limit_ms;
		size_t ceiling;
		int code;
		const char *message;
	} rows[] = {{die, 5000, 1000, CS_E_IO, "the child died of signal 9 (Killed)"},
		{end_early, 5000, 1000, CS_E_IO, "the child ended with status 7: "},
		{hang, 100, 1000, CS_E_TIMEOUT,
			"the child did not end in time and was killed"},
		{close_and_hang, 100, 1000, CS_E_TIMEOUT,
			"the child did not end in time and was killed"},
		{flood, 5000, 1 << 20, CS_E_LIMIT,
			"the child sent more than 1048576 bytes and was killed"},
		{fill, 5000, 9999, CS_E_LIMIT,
			"the child sent more than 9999 bytes and was killed"},
		{fill, 5000, 10000, 0, ""}, {write_file, 5000, 10, 0, ""}};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(rows); i++) {
		CS_CLEANUP(cs_strbuf_done)
		struct cs_strbuf text = CS_STRBUF(rows[i].ceiling);
		struct cs_error err = {.message = ""};

		assert_int_equal(
			ask(rows[i].work, rows[i].limit_ms, &text, &err), rows[i].code);
		assert_string_equal(err.message, rows[i].message);
		if (rows[i].work == write_file)
			assert_string_equal(cs_strbuf_text(&text), "0");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_view_comes_back_as_it_was),
		cmocka_unit_test(test_a_failure_comes_back_as_it_was),
		cmocka_unit_test(test_what_is_no_list_is_refused),
		cmocka_unit_test(test_a_child_has_no_rights_left),
		cmocka_unit_test(test_what_becomes_of_a_child),
	};

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
