/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "format/haproxy_stat.h"

/* The columns that are read, in an order of no version. */
#define HEADER "# pxname,svname,qcur,scur,type,last_chk,status,addr,\n"

static int parse_stat(
	const char *text, struct cs_haproxy_servers *ret, struct cs_error *err)
{
	*err = (struct cs_error){0};
	return cs_haproxy_parse_stat(text, strlen(text), ret, err);
}

static void test_stat_gives_servers_only(void **state)
{
	CS_CLEANUP(cs_haproxy_servers_done) struct cs_haproxy_servers servers = {0};
	struct cs_error err;

	(void)state;
	assert_int_equal(parse_stat(HEADER "f,FRONTEND,,3,0,,OPEN,,\n"
					   "web,web1,2,5,2,,UP 1/3,10.0.0.5:80,\n"
					   "web,web2,,0,2,,no check,[::1]:80,\n"
					   "web,BACKEND,0,0,1,,UP,,\n\n",
				 &servers, &err),
		0);
	assert_int_equal(servers.n, 2);
	const struct cs_haproxy_server *web1 =
		cs_haproxy_servers_find(&servers, "web", "web1");
	assert_int_equal(web1->sessions, 7);
	assert_string_equal(web1->endpoint, "10.0.0.5:80");
	assert_string_equal(web1->status, "UP 1/3");
	assert_null(cs_haproxy_servers_find(&servers, "api", "web1"));
	assert_null(cs_haproxy_servers_find(&servers, "web", "BACKEND"));
}

/* What a checked server says ends up in last_chk: it must not become rows of its own. */
static void test_stat_keeps_quoted_text_in_its_field(void **state)
{
	CS_CLEANUP(cs_haproxy_servers_done) struct cs_haproxy_servers servers = {0};
	struct cs_error err;

	(void)state;
	assert_int_equal(
		parse_stat(HEADER
			"web,web1,0,4,2,\"a,\"\"b\nweb,web9,0,0,2,,UP,1.2.3.4:80,\""
			",DOWN,10.0.0.5:80,\n",
			&servers, &err),
		0);
	assert_int_equal(servers.n, 1);
	assert_string_equal(servers.items[0].status, "DOWN");
	assert_int_equal(servers.items[0].sessions, 4);
}

static void test_stat_that_is_none_is_an_error(void **state)
{
	static const char *const bad[] = {"", "Permission denied\n",
		"Unknown command, but maybe\n",
		"# pxname,svname,qcur,scur,status,type,\n",
		HEADER "web,web1,x,0,2,,UP,a\n", HEADER "web,web1,0,-1,2,,UP,a\n",
		HEADER "web,web1,0,99999999999,2,,UP,a\n", HEADER "web,web1,0,0,2,\n"};
	struct cs_haproxy_servers servers = {0};
	struct cs_error err;

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse_stat(bad[i], &servers, &err), CS_E_PROTOCOL);
		assert_int_equal(servers.n, 0);
	}
}

static void test_status_words(void **state)
{
	static const struct {
		const char *status;
		bool serves, rests;
	} cases[] = {{"UP", true, false}, {"UP 2/3", true, false},
		{"no check", true, false}, {"DOWN", false, false},
		{"DOWN 1/2", false, false}, {"NOLB", false, false},
		{"DRAIN", false, true}, {"DRAIN (agent)", false, true},
		{"MAINT", false, true}, {"MAINT (via web/x)", false, true}};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) {
		struct cs_haproxy_server server = {.status = (char *)cases[i].status};

		assert_int_equal(cs_haproxy_serves(&server), cases[i].serves);
		assert_int_equal(cs_haproxy_rests(&server), cases[i].rests);
	}
}

static void assert_procs(const char *text, int64_t failed, int64_t current, size_t n_old)
{
	CS_CLEANUP(cs_haproxy_procs_done) struct cs_haproxy_procs procs = {0};
	struct cs_error err = {0};

	assert_int_equal(cs_haproxy_parse_proc(text, strlen(text), &procs, &err), 0);
	assert_int_equal(procs.failed, failed);
	assert_int_equal(procs.current, current);
	assert_int_equal(procs.n_old, n_old);
	for (size_t i = 0; i < n_old; i++)
		assert_int_equal(procs.old[i], 200 + i);
}

static void test_proc_of_each_version(void **state)
{
	(void)state;
	/* 2.6: a reload that worked, one that did not */
	assert_procs(
		"#<PID>          <type>          <reloads>       <uptime>        "
		"<version>\n"
		"22320           master          2 [failed: 0]   0d00h06m23s     2.6.12\n"
		"# workers\n"
		"31792           worker          0               0d00h00m01s     2.6.12\n"
		"# old workers\n"
		"200             worker          1               0d00h06m22s     2.6.12\n"
		"201             worker          1               0d00h06m22s     2.6.12\n"
		"# programs\n17 program 0 0d 1\n\n",
		0, 31792, 2);
	assert_procs("#<PID> <type> <reloads> <uptime> <version>\n"
		     "22320 master 3 [failed: 1] 0d00h06m51s 2.6.12\n"
		     "# workers\n31792 worker 1 0d00h00m29s 2.6.12\n# programs\n\n",
		1, 31792, 0);
	/* 2.4: another column, no failed */
	assert_procs("#<PID> <type> <relative PID> <reloads> <uptime> <version>\n"
		     "22320 master 0 1 0d00h00m03s 2.4.0\n"
		     "# workers\n31792 worker 1 0 0d00h00m01s 2.4.0\n# programs\n\n",
		0, 31792, 0);
	/* 2.4: a reload that failed */
	assert_procs("#<PID> <type> <relative PID> <reloads> <uptime> <version>\n"
		     "22320 master 0 1 0d00h00m03s 2.4.0\n# workers\n"
		     "# old workers\n200 worker 1 1 0d00h00m03s 2.4.0\n# programs\n\n",
		1, 0, 1);
	/* 2.4 with nbproc 2 */
	assert_procs("#<PID> <type> <relative PID> <reloads> <uptime> <version>\n"
		     "22320 master 0 1 0d00h00m03s 2.4.0\n"
		     "# workers\n31792 worker 1 0 0d00h00m01s 2.4.0\n"
		     "200 worker 2 0 0d00h00m01s 2.4.0\n# programs\n\n",
		0, 31792, 1);
}

static void assert_text(char *take_found, const char *expected)
{
	CS_AUTO_FREE char *found = take_found;

	if (expected)
		assert_string_equal(found, expected);
	else
		assert_null(found);
}

static void test_replies_to_reload(void **state)
{
	static const struct {
		const char *reply, *failure;
	} cases[] = {{"", NULL}, {"\n", NULL}, {"Success=1\n--\n", NULL},
		{"Success=0\n--\n[ALERT] (9) : cannot bind\r\n[NOTICE] a\n\n",
			"[ALERT] (9) : cannot bind  [NOTICE] a"},
		{"Success=0", ""}};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++)
		assert_text(
			cs_haproxy_reload_failure(cases[i].reply, strlen(cases[i].reply)),
			cases[i].failure);
	assert_text(cs_haproxy_reload_failure("Success=0 is cut", 8), NULL);
}

static void test_replies_to_add_server(void **state)
{
	static const struct {
		const char *replies, *failure;
	} cases[] = {{"", NULL}, {"New server registered.\n\n\n\n", NULL},
		{"New server registered.\n\nNew server registered.\n\n", NULL},
		{"New server registered.\n\nNo such server.\n\n", "No such server."},
		{"Permission denied\n\n", "Permission denied"},
		{"New server registered. Or not.\r\n", "New server registered. Or not."}};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++)
		assert_text(cs_haproxy_add_failure(
				    cases[i].replies, strlen(cases[i].replies)),
			cases[i].failure);
}

static void test_proc_that_is_none_is_an_error(void **state)
{
	static const char *const bad[] = {"", "Unknown command\n",
		"#<PID> <type>\nmaster 1\n", "#<PID> <type>\n1 master 3 [failed: x]\n",
		"#<PID> <type>\n1 master 3 [failed: ",
		"#<PID>\n1 master\n# old workers\n-4\n"};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(bad); i++) {
		struct cs_haproxy_procs procs = {0};
		struct cs_error err;

		assert_int_equal(
			cs_haproxy_parse_proc(bad[i], strlen(bad[i]), &procs, &err),
			CS_E_PROTOCOL);
		assert_null(procs.old);
	}
}

static void assert_info(const char *version_line, int version)
{
	CS_AUTO_FREE char *text =
		cs_asprintf("Name: HAProxy\n%sPid: 812\nUptime: 1\n", version_line);
	struct cs_haproxy_info info = {0};
	struct cs_error err;

	assert_int_equal(cs_haproxy_parse_info(text, strlen(text), &info, &err), 0);
	assert_int_equal(info.pid, 812);
	assert_int_equal(info.version, version);
}

static void test_info_tells_pid_and_version(void **state)
{
	struct cs_haproxy_info info;
	struct cs_error err;

	(void)state;
	assert_info("Version: 2.4.0\n", CS_HAPROXY_VERSION(2, 4));
	assert_info("Version: 2.6.12-1+deb12u4\n", CS_HAPROXY_VERSION(2, 6));
	assert_info("Version: 3.0-dev7-0c3b21\n", CS_HAPROXY_VERSION(3, 0));
	assert_info("Version: 3.12\n", CS_HAPROXY_VERSION(3, 12));
	assert_info("", 0);
	assert_info("Version: 3\n", 0);
	assert_info("Version: 3.200\n", 0);
	assert_info("Version: unknown\n", 0);
	assert_int_equal(
		cs_haproxy_parse_info("Pid: -812\n", 10, &info, &err), CS_E_PROTOCOL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stat_gives_servers_only),
		cmocka_unit_test(test_stat_keeps_quoted_text_in_its_field),
		cmocka_unit_test(test_stat_that_is_none_is_an_error),
		cmocka_unit_test(test_status_words),
		cmocka_unit_test(test_proc_of_each_version),
		cmocka_unit_test(test_replies_to_reload),
		cmocka_unit_test(test_replies_to_add_server),
		cmocka_unit_test(test_proc_that_is_none_is_an_error),
		cmocka_unit_test(test_info_tells_pid_and_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
