/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "format/haproxy_config.h"

static const struct cs_haproxy_row two[] = {{"web1", "10.0.0.5:80", "maxconn 512 check"},
	{"web2", "[2001:db8::5]:80", "maxconn 512 check"}};
static const struct cs_haproxy_row plain[] = {
	{"web1", "10.0.0.5:80", ""}, {"web2", "[2001:db8::5]:80", ""}};
static const struct cs_haproxy_row other[] = {{"api1", "10.0.0.9:8080", "check"}};

static const struct cs_haproxy_group web = {
	.cluster = "web", .backend = "web", .rows = two, .n = 2};
static const struct cs_haproxy_group web_and_api[] = {
	{.cluster = "web", .backend = "web", .rows = plain, .n = 2},
	{.cluster = "api", .backend = "api", .rows = other, .n = 1}};

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
		{"backend web\r\n\t # clusterscale: servers\tweb\r\n\tbalance first\r\n",
			"backend web\r\n\t # clusterscale: servers\tweb\r\n"
			"\t server web1 10.0.0.5:80 maxconn 512 check\n"
			"\t server web2 [2001:db8::5]:80 maxconn 512 check\n"
			"\tbalance first\r\n"},
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
			"10.0.0.5:80", ""},
		{"", "10.0.0.5:80", ""},
		{"w/1", "10.0.0.5:80", ""},
		{"w\x01", "10.0.0.5:80", ""},
		{"w", ":80", ""},
		{"w", "*:80", ""},
		{"w", "0.0.0.0:80", ""},
		{"w", "[::]:80", ""},
		{"w", "10.0.0.1:80,", ""},
		{"w", "10.0.0.1:0", ""},
		{"w", "10.0.0.1:65536", ""},
		{"w", "10.0.0.1", ""},
		{"w", "10.0.0.01:80", ""},
		{"w", "::1:80", ""},
		{"w", "[::1:80", ""},
		{"w", "[10.0.0.1]:80", ""},
		{"w", "host:80", ""},
		{"w", "", ""},
		{"w", "[", ""},
		{"w", "10.0.0.1:80", "check\nserver evil 10.0.0.2:80"},
		{"w", "10.0.0.1:80", "check # not"},
		{"w", "10.0.0.1:80", "maxconn ${MAX}"},
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

static void test_twins_are_refused(void **state)
{
	static const struct cs_haproxy_row names[] = {
		{"web1", "10.0.0.5:80", ""}, {"web1", "10.0.0.6:80", ""}};
	static const struct cs_haproxy_row addresses[] = {
		{"web2", "10.0.0.5:80", ""}, {"web1", "10.0.0.5:80", ""}};
	struct cs_haproxy_group group = web;
	struct cs_haproxy_group pair[] = {web_and_api[0], web_and_api[1]};

	(void)state;
	group.rows = names;
	assert_refuses("backend web\n", &group, 1, CS_E_REFUSED,
		"cluster 'web': two servers have the name 'web1'");
	group.rows = addresses;
	assert_refuses("backend web\n", &group, 1, CS_E_REFUSED,
		"cluster 'web': servers 'web1' and 'web2' have the same address "
		"10.0.0.5:80");
	/* two clusters in one backend; in two they have nothing to do with each other */
	pair[1].rows = addresses;
	assert_renders("backend api\n # clusterscale: servers api\nbackend web\n", pair,
		2,
		"backend api\n # clusterscale: servers api\n server web2 10.0.0.5:80\n"
		"backend web\n  server web1 10.0.0.5:80\n  server web2 "
		"[2001:db8::5]:80\n");
	pair[1].backend = "web";
	pair[1].rows = &addresses[1];
	assert_refuses("backend web\n", pair, 2, CS_E_REFUSED,
		"cluster 'api': two servers have the name 'web1'");
}

static void test_a_line_of_the_template_is_no_twin(void **state)
{
	(void)state;
	assert_refuses("backend web\n  server old 10.0.0.5:80 check\n", &web, 1,
		CS_E_CONFIG,
		"t.cfg:2: server 'old' has the address 10.0.0.5:80, which is that of "
		"'web1' of cluster 'web'; take the line out of the template");
	assert_renders("backend api\n  server old 10.0.0.5:80\nbackend web\n"
		       "  server spare 10.0.0.5:81\n",
		&web, 1,
		"backend api\n  server old 10.0.0.5:80\nbackend web\n"
		"  server spare 10.0.0.5:81\n" ROWS);
}

static void test_a_whole_section_is_written(void **state)
{
	(void)state;
	assert_renders("defaults\n  mode http\n  # clusterscale: backend web\n"
		       "  balance leastconn\nfrontend f\n",
		&web, 1,
		"defaults\n  mode http\n  # clusterscale: backend web\nbackend web\n" ROWS
		"  balance leastconn\nfrontend f\n");
	assert_renders("# clusterscale: backend", &web, 1,
		"# clusterscale: backend\nbackend web\n" ROWS);
	assert_refuses("backend web\n# clusterscale: servers web\n"
		       "# clusterscale: backend web\n",
		&web, 1, CS_E_CONFIG,
		"t.cfg:3: a second marker for cluster 'web'; one is expected");
}

static void test_what_looks_like_a_marker_is_refused(void **state)
{
	static const char *const lines[] = {"#clusterscale: servers web",
		"# clusterscale: serversweb", "# clusterscale: server web",
		"# clusterscale:servers web", "# clusterscale: servers web api",
		"# the servers: clusterscale: servers web", "# clusterscale:"};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(lines); i++) {
		CS_AUTO_FREE char *template =
			cs_asprintf("backend web\n\t%s\r\n", lines[i]);
		CS_AUTO_FREE char *message = cs_asprintf(
			"t.cfg:2: '%s' looks like a marker but is none; one is a line of "
			"its own: '# clusterscale: servers NAME', or '# clusterscale: "
			"backend NAME' for the whole section",
			lines[i]);
		assert_refuses(template, &web, 1, CS_E_CONFIG, message);
	}
	assert_renders("backend web\n # by clusterscale\n", &web, 1,
		"backend web\n # by clusterscale\n" ROWS);
}

static void assert_options(const char *options, const char *message)
{
	struct cs_error err = {0};
	int r = cs_haproxy_options_check(options, &err);

	assert_string_equal(err.message, message);
	assert_int_equal(r, *message ? CS_E_CONFIG : 0);
}

#define A_NUMBER(range, key, found)                                        \
	"expected a number from " range " behind '" key "', found '" found \
	"', which HAProxy would take for another one and say nothing"
#define AN_ADDRESS(found) \
	"expected the address of a host behind 'addr', found '" found "'"
#define PLAIN_WORDS(found) \
	"expected plain words without quotes, '#', '$' and '\\', found '" found "'"
#define KNOWN(found)                                                               \
	"expected {name}, {id}, {address}, {zone}, {weight} and no other braces, " \
	"found '" found "'"

static void test_options_that_haproxy_misreads_are_refused(void **state)
{
	static const char *const cases[][2] = {{"", ""}, {"maxconn 1 check inter 1s", ""},
		{"check port 81 send-proxy-v2 weight 256 max-reuse -1", ""},
		{"cookie {name} check addr {address} weight {weight}", ""},
		{"cookie {zone}-{id}", ""}, {"addr 10.0.0.9", ""},
		{"maxconn abc", A_NUMBER("0 to 2147483647", "maxconn", "abc")},
		{"check maxconn -1", A_NUMBER("0 to 2147483647", "maxconn", "-1")},
		{"maxconn", A_NUMBER("0 to 2147483647", "maxconn", "")},
		{"maxconn 10x", A_NUMBER("0 to 2147483647", "maxconn", "10x")},
		{"maxqueue 99999999999",
			A_NUMBER("0 to 2147483647", "maxqueue", "99999999999")},
		{"weight 257", A_NUMBER("0 to 256", "weight", "257")},
		{"weight {name}", A_NUMBER("0 to 256", "weight", "web1")},
		{"port 70000", A_NUMBER("1 to 65535", "port", "70000")},
		{"addr :80", AN_ADDRESS(":80")}, {"addr *", AN_ADDRESS("*")},
		{"addr 0.0.0.0:1", AN_ADDRESS("0.0.0.0:1")},
		{"addr [::]", AN_ADDRESS("[::]")}, {"addr", AN_ADDRESS("")},
		{"check\nserver evil 10.0.0.1:80",
			PLAIN_WORDS("check?server evil 10.0.0.1:80")},
		{"check # not", PLAIN_WORDS("check # not")},
		{"maxconn ${MAX}", PLAIN_WORDS("maxconn ${MAX}")},
		{"check \"a b\"", PLAIN_WORDS("check \"a b\"")},
		{"cookie {foo}", KNOWN("cookie {foo}")}, {"{}", KNOWN("{}")},
		{"{name", KNOWN("{name")}, {"name}", KNOWN("name}")},
		{"{{name}}", KNOWN("{{name}}")},
		{"check cookie s1",
			"expected a cookie that tells servers apart, such as 'cookie "
			"{name}', found 'cookie s1' for all of them"},
		{"cookie {zone}",
			"expected a cookie that tells servers apart, such as 'cookie "
			"{name}', found 'cookie {zone}' for all of them"}};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++)
		assert_options(cases[i][0], cases[i][1]);
}

static void test_a_line_has_at_most_64_words(void **state)
{
	char options[4096] = "check";

	(void)state;
	for (int n = 1; n < 61; n++)
		strcat(options, " check");
	assert_options(options, "");
	strcat(options, " check");
	assert_options(options,
		"expected at most 61 words, found 62; HAProxy takes no more on a line");
	memset(options, 'a', 2049);
	options[2049] = '\0';
	assert_options(options, "expected at most 2048 characters, found 2049");
}

static void test_placeholders_are_replaced(void **state)
{
	static const char all[] = "{name} {id} {address} {zone} {weight} {name}{id}x";
	static const struct {
		struct cs_haproxy_values values;
		const char *expected;
	} cases[] = {{{"web1", "u-1", "10.0.0.5:80", "az1", 4},
			     "web1 u-1 10.0.0.5 az1 4 web1u-1x"},
		{{"web1", "u-1", "[2001:db8::5]:80", "az 1\n #\"{name}\xff", 300},
			"web1 u-1 [2001:db8::5] az_1_____name__ 256 web1u-1x"},
		{{"web1", "u-1", "10.0.0.5:80", NULL, 0},
			"web1 u-1 10.0.0.5 unknown 1 web1u-1x"},
		{{"web1", "u-1", "", "", -5}, "web1 u-1  unknown 1 web1u-1x"}};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) {
		CS_AUTO_FREE char *options = cs_haproxy_options(all, &cases[i].values);

		assert_string_equal(options, cases[i].expected);
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
	assert_refuses("\xef\xbb\xbf"
		       "backend web\n",
		&web, 1, CS_E_CONFIG,
		"t.cfg: the template begins with a byte order mark, which HAProxy does "
		"not understand; save it without");
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
	const char *wanted, struct cs_haproxy_names *taken, const char *expected)
{
	CS_AUTO_FREE char *name = cs_haproxy_name_make(
		wanted, "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", taken);

	assert_string_equal(name, expected);
	assert_true(cs_haproxy_name_ok(name));
	assert_true(cs_haproxy_names_have(taken, name));
}

static void test_names_become_safe_and_unique(void **state)
{
	CS_CLEANUP(cs_haproxy_names_done) struct cs_haproxy_names taken = {0};
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
	cs_haproxy_names_add(&taken, "web1");
	cs_haproxy_names_add(&taken, "web1-0a1b2c3d");
	cs_haproxy_names_add(&taken, "web1");
	assert_name("web2", &taken, "web2");
	assert_name("web1", &taken, "web1-0a1b2c3d-");
}

/* 30,000 servers of one name: with names compared one by one this takes a minute. */
static void test_thousands_of_servers_render_at_once(void **state)
{
	enum { N = 30000 };
	CS_CLEANUP(cs_haproxy_names_done) struct cs_haproxy_names taken = {0};
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(8 << 20);
	CS_AUTO_FREE struct cs_haproxy_row *rows = cs_calloc(N, sizeof *rows);
	struct cs_haproxy_group group = {"web", "web", rows, N};
	struct cs_error err = {0};

	(void)state;
	for (int i = 0; i < N; i++) {
		CS_AUTO_FREE char *id = cs_asprintf("%08x-4e5f", (unsigned)i);
		CS_AUTO_FREE char *address = cs_asprintf("10.0.%d.%d", i / 256, i % 256);
		rows[i] = (struct cs_haproxy_row){cs_haproxy_name_make("web", id, &taken),
			cs_haproxy_endpoint(address, 80), "check"};
	}
	int r = cs_haproxy_render("backend web\n", 12, "t.cfg", &group, 1, &text, &err);
	assert_string_equal(err.message, "");
	assert_int_equal(r, 0);
	assert_non_null(strstr(
		cs_strbuf_text(&text), "\n  server web-0000752f 10.0.117.47:80 check\n"));
	for (int i = 0; i < N; i++) {
		free((char *)rows[i].name);
		free((char *)rows[i].endpoint);
	}
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_follow_the_marker),
		cmocka_unit_test(test_without_marker_rows_are_appended),
		cmocka_unit_test(test_each_cluster_has_its_marker),
		cmocka_unit_test(test_unsafe_rows_are_refused),
		cmocka_unit_test(test_twins_are_refused),
		cmocka_unit_test(test_a_line_of_the_template_is_no_twin),
		cmocka_unit_test(test_a_whole_section_is_written),
		cmocka_unit_test(test_what_looks_like_a_marker_is_refused),
		cmocka_unit_test(test_a_line_has_at_most_64_words),
		cmocka_unit_test(test_placeholders_are_replaced),
		cmocka_unit_test(test_thousands_of_servers_render_at_once),
		cmocka_unit_test(test_options_that_haproxy_misreads_are_refused),
		cmocka_unit_test(test_unset_variables_are_refused),
		cmocka_unit_test(test_empty_and_binary_templates_are_refused),
		cmocka_unit_test(test_output_beyond_its_ceiling_is_an_error),
		cmocka_unit_test(test_names_become_safe_and_unique),
		cmocka_unit_test(test_endpoints_are_canonical),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
