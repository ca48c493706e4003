/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "format/haproxy_config.h"

static const struct cs_haproxy_row two[] = {
	{"web1", "10.0.0.5:80"}, {"web2", "[2001:db8::5]:80"}};
static const struct cs_haproxy_row other[] = {{"api1", "10.0.0.9:8080"}};

static const struct cs_haproxy_group web = {.cluster = "web",
	.backend = "web",
	.options = "maxconn 512 check",
	.rows = two,
	.n = 2};
static const struct cs_haproxy_group web_and_api[] = {
	{.cluster = "web", .backend = "web", .options = "", .rows = two, .n = 2},
	{.cluster = "api", .backend = "api", .options = "check", .rows = other, .n = 1}};

#define ROWS                                            \
	"  server web1 10.0.0.5:80 maxconn 512 check\n" \
	"  server web2 [2001:db8::5]:80 maxconn 512 check\n"

static void assert_renders(const char *template, const struct cs_haproxy_group *groups,
	size_t n, const char *expected)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(65536);
	struct cs_error err = {0};

	int r = cs_haproxy_render(
		template, strlen(template), "t.cfg", groups, n, &text, &err);
	assert_string_equal(err.message, "");
	assert_int_equal(r, 0);
	assert_string_equal(cs_strbuf_text(&text), expected);
}

static void assert_refuses(const char *template, const struct cs_haproxy_group *groups,
	size_t n, enum cs_errc code, const char *message)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(65536);
	struct cs_error err = {0};

	int r = cs_haproxy_render(
		template, strlen(template), "t.cfg", groups, n, &text, &err);
	assert_string_equal(err.message, message);
	assert_int_equal(r, code);
}

static void test_rows_follow_the_marker(void **state)
{
	static const char *const cases[][2] = {
		{"backend web\n  # clusterscale: servers web\n  balance first\n",
			"backend web\n  # clusterscale: servers web\n" ROWS
			"  balance first\n"},
		{"backend web\n  # clusterscale: servers\n",
			"backend web\n  # clusterscale: servers\n" ROWS},
		{"backend web\n# clusterscale: servers web", /* no newline, no indentation
							      */
			"backend web\n# clusterscale: servers web\n" ROWS},
		{"listen web from other # x\n  # clusterscale: servers  web \nfrontend "
		 "f\n",
			"listen web from other # x\n  # clusterscale: servers  web "
			"\n" ROWS "frontend f\n"},
		/* looks like one, is none */
		{"backend web\n  # clusterscale: serversweb\n",
			"backend web\n  # clusterscale: serversweb\n" ROWS},
		{"backend x\n  #clusterscale: servers web\nbackend web\n",
			"backend x\n  #clusterscale: servers web\nbackend web\n" ROWS},
	};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++)
		assert_renders(cases[i][0], &web, 1, cases[i][1]);
}

static void test_without_marker_rows_are_appended(void **state)
{
	(void)state;
	assert_renders("backend web\r\n  mode\xe9 tcp", &web, 1,
		"backend web\r\n  mode\xe9 tcp\n" ROWS);
	assert_refuses("backend web\nfrontend f\n  bind :80\n", &web, 1, CS_E_CONFIG,
		"t.cfg:3: the servers of cluster 'web' belong into backend 'web' but "
		"would stand "
		"outside of any backend; put the line '# clusterscale: servers web' into "
		"their backend");
}

static void test_each_cluster_has_its_marker(void **state)
{
	(void)state;
	assert_renders("backend api\n\t# clusterscale: servers api\nbackend web\n",
		web_and_api, 2,
		"backend api\n\t# clusterscale: servers api\n"
		"\tserver api1 10.0.0.9:8080 check\n"
		"backend web\n  server web1 10.0.0.5:80\n  server web2 "
		"[2001:db8::5]:80\n");
	assert_refuses("backend web\n # clusterscale: servers\n", web_and_api, 2,
		CS_E_CONFIG,
		"t.cfg:2: the marker names no cluster, but 2 clusters render into this "
		"file");
	assert_refuses("backend web\n # clusterscale: servers wbe\n", &web, 1,
		CS_E_CONFIG,
		"t.cfg:2: the marker names cluster 'wbe', but 1 cluster renders into "
		"this "
		"file");
	assert_refuses(
		"backend web\n # clusterscale: servers\n # clusterscale: servers web\n",
		&web, 1, CS_E_CONFIG,
		"t.cfg:3: a second marker for cluster 'web'; one is expected");
	assert_refuses("backend old\n # clusterscale: servers web\n", &web, 1,
		CS_E_CONFIG,
		"t.cfg:2: the servers of cluster 'web' belong into backend 'web' but "
		"would stand "
		"in backend 'old'; put the line '# clusterscale: servers web' into their "
		"backend");
}

static void test_unsafe_rows_are_refused(void **state)
{
	static const struct cs_haproxy_row unsafe[] = {
		{"w 127.0.0.1:80\n    http-request redirect location http://evil/ #",
			"10.0.0.5:80"},
		{"", "10.0.0.5:80"},
		{"w/1", "10.0.0.5:80"},
		{"w\x01", "10.0.0.5:80"},
		{"w", ":80"},
		{"w", "*:80"},
		{"w", "0.0.0.0:80"},
		{"w", "[::]:80"},
		{"w", "10.0.0.1:80,"},
		{"w", "10.0.0.1:0"},
		{"w", "10.0.0.1:65536"},
		{"w", "10.0.0.1"},
		{"w", "10.0.0.01:80"},
		{"w", "::1:80"},
		{"w", "[::1:80"},
		{"w", "[10.0.0.1]:80"},
		{"w", "host:80"},
		{"w", ""},
		{"w", "["},
	};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(unsafe); i++) {
		CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(65536);
		struct cs_haproxy_group group = web;
		struct cs_error err;

		group.rows = &unsafe[i];
		group.n = 1;
		assert_int_equal(cs_haproxy_render("backend web\n", 12, "t.cfg", &group,
					 1, &text, &err),
			CS_E_REFUSED);
		assert_non_null(strstr(err.message, "is not safe to write"));
		assert_int_equal(text.len, 0);
	}
}

static void test_two_rows_of_one_name_are_refused(void **state)
{
	static const struct cs_haproxy_row twins[] = {
		{"web1", "10.0.0.5:80"}, {"web1", "10.0.0.6:80"}};
	struct cs_haproxy_group group = web;

	(void)state;
	group.rows = twins;
	assert_refuses("backend web\n", &group, 1, CS_E_REFUSED,
		"cluster 'web': two servers have the name 'web1'");
}

static void test_options_that_haproxy_misreads_are_refused(void **state)
{
	static const char *const bad[] = {"maxconn abc", "check maxconn -1", "maxconn",
		"maxconn 0", "check\nserver evil 10.0.0.1:80", "maxconn ${MAX}",
		"check # not"};
	static const char *const good[] = {
		"", "maxconn 1 check inter 1s", "cookie a:b check port 81 send-proxy-v2"};
	struct cs_haproxy_group group = web;
	struct cs_error err;

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(bad) + CS_ARRAY_SIZE(good); i++) {
		CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(65536);
		bool is_bad = i < CS_ARRAY_SIZE(bad);

		group.options = is_bad ? bad[i] : good[i - CS_ARRAY_SIZE(bad)];
		assert_int_equal(cs_haproxy_render("backend web\n", 12, "t.cfg", &group,
					 1, &text, &err),
			is_bad ? CS_E_CONFIG : 0);
	}
}

static void test_unset_variables_are_refused(void **state)
{
	(void)state;
	assert_refuses("listen x\n bind \"${ADDRESS}:80\"\nbackend web\n", &web, 1,
		CS_E_CONFIG,
		"t.cfg:2: ${ADDRESS}: nothing in the file sets it, and the running "
		"HAProxy takes an "
		"unset variable for an empty text; write the value, or 'presetenv "
		"ADDRESS VALUE' "
		"in global");
	assert_renders("global\n presetenv A 1\nlisten x\n # ${C}\n bind ${A}:${B-80}\n"
		       " log ${HAPROXY_LOCALPEER}\nbackend web\n",
		&web, 1,
		"global\n presetenv A 1\nlisten x\n # ${C}\n bind ${A}:${B-80}\n"
		" log ${HAPROXY_LOCALPEER}\nbackend web\n" ROWS);
}

static void test_empty_and_binary_templates_are_refused(void **state)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(65536);
	struct cs_error err;

	(void)state;
	assert_refuses("", &web, 1, CS_E_CONFIG, "t.cfg: the template is empty");
	assert_int_equal(
		cs_haproxy_render("backend web\n\0", 13, "t.cfg", &web, 1, &text, &err),
		CS_E_CONFIG);
	assert_string_equal(err.message, "t.cfg: the template has a NUL byte");
}

static void test_output_beyond_its_ceiling_is_an_error(void **state)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(40);
	struct cs_error err;

	(void)state;
	assert_int_equal(
		cs_haproxy_render("backend web\n", 12, "t.cfg", &web, 1, &text, &err),
		CS_E_LIMIT);
}

static void assert_name(
	const char *wanted, const struct cs_strings *taken, const char *expected)
{
	CS_AUTO_FREE char *name = cs_haproxy_name_make(
		wanted, "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", taken);

	assert_string_equal(name, expected);
	assert_true(cs_haproxy_name_ok(name));
}

static void test_names_become_safe_and_unique(void **state)
{
	CS_CLEANUP(cs_strings_done) struct cs_strings taken = {0};
	static const char longer[] =
		"a23456789012345678901234567890123456789012345678901234567890123456789";

	(void)state;
	assert_name("rails20261123.1-x_y", &taken, "rails20261123.1-x_y");
	assert_name("w 127.0.0.1:80\n#", &taken, "w_127.0.0.1_80__");
	assert_name("\xc3\xa9t\xc3\xa9", &taken, "__t__");
	assert_name("", &taken, "-0a1b2c3d");
	assert_name(longer, &taken,
		"a234567890123456789012345678901234567890123456789012345678901234-"
		"0a1b2c3d");
	cs_strings_add(&taken, "web1");
	cs_strings_add(&taken, "web1-0a1b2c3d");
	assert_name("web2", &taken, "web2");
	assert_name("web1", &taken, "web1-0a1b2c3d-");
}

static void test_endpoints_are_canonical(void **state)
{
	static const struct {
		const char *address;
		int64_t port;
		const char *expected;
	} cases[] = {{"10.0.0.5", 80, "10.0.0.5:80"},
		{"2001:DB8:0:0::5", 8080, "[2001:db8::5]:8080"}, {"", 80, NULL},
		{"0.0.0.0", 80, NULL}, {"::", 80, NULL}, {"10.0.0.5", 0, NULL},
		{"10.0.0.5", 65536, NULL}, {"*", 80, NULL}, {"10.0.0.5 ", 80, NULL},
		{"fe80::1%eth0", 80, NULL}};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) {
		CS_AUTO_FREE char *endpoint =
			cs_haproxy_endpoint(cases[i].address, cases[i].port);

		if (cases[i].expected)
			assert_string_equal(endpoint, cases[i].expected);
		else
			assert_null(endpoint);
	}
}

static void test_directive_is_the_first_argument(void **state)
{
	CS_AUTO_FREE char *found =
		cs_haproxy_directive("# chroot /a\nglobal\n\tchroot  /b c\n", "chroot");
	CS_AUTO_FREE char *missing = cs_haproxy_directive("global\n chroot\n", "chroot");

	(void)state;
	assert_string_equal(found, "/b");
	assert_null(missing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_follow_the_marker),
		cmocka_unit_test(test_without_marker_rows_are_appended),
		cmocka_unit_test(test_each_cluster_has_its_marker),
		cmocka_unit_test(test_unsafe_rows_are_refused),
		cmocka_unit_test(test_two_rows_of_one_name_are_refused),
		cmocka_unit_test(test_options_that_haproxy_misreads_are_refused),
		cmocka_unit_test(test_unset_variables_are_refused),
		cmocka_unit_test(test_empty_and_binary_templates_are_refused),
		cmocka_unit_test(test_output_beyond_its_ceiling_is_an_error),
		cmocka_unit_test(test_names_become_safe_and_unique),
		cmocka_unit_test(test_endpoints_are_canonical),
		cmocka_unit_test(test_directive_is_the_first_argument),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
