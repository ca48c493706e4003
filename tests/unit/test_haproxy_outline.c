/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "format/haproxy_outline.h"
#include "format/haproxy_stat.h"

static struct cs_haproxy_outline read_text(const char *text)
{
	struct cs_haproxy_outline outline;

	cs_haproxy_outline_read(text, strlen(text), &outline);
	return outline;
}

/* Why the server "a" of backend "web" in `text` cannot be added; "" when it can. */
static char *refusal_of(const char *text, int version)
{
	CS_CLEANUP(cs_haproxy_outline_done)
	struct cs_haproxy_outline outline = read_text(text);
	const struct cs_haproxy_line *line =
		cs_haproxy_outline_find(&outline, "web", "a");

	assert_non_null(line);
	char *refusal = cs_haproxy_add_refusal(line, version);
	return refusal ? refusal : cs_strdup("");
}

static void assert_refusal(const char *text, int version, const char *expected)
{
	CS_AUTO_FREE char *refusal = refusal_of(text, version);

	assert_string_equal(refusal, expected);
}

#define LINE " server a 10.0.0.1:80 "

static void test_what_each_version_takes(void **state)
{
	static const char old[] = "HAProxy 2.4 does not check added servers";
	static const char no_cookie[] = "option 'cookie' is not one to add a server with";
	static const char no_init[] = "option 'init-state' is not one to add a server "
				      "with";

	(void)state;
	assert_refusal("backend web\n" LINE "maxconn 512 check\n", 204, old);
	assert_refusal("backend web\n" LINE "maxconn 512 check inter 1s\n", 206, "");
	assert_refusal("backend web\n" LINE "check cookie a\n", 206, no_cookie);
	assert_refusal("backend web\n" LINE "check cookie a\n", 208, no_cookie);
	assert_refusal("backend web\n" LINE "check cookie a\n", 300, "");
	assert_refusal("backend web\n" LINE "check init-state down\n", 300, no_init);
	assert_refusal("backend web\n" LINE "check init-state down\n", 302, "");
	assert_refusal("backend web\n" LINE "enabled\n", 206,
		"option 'enabled' is not one to add a server with");
	assert_refusal("backend web\n" LINE "weight\n", 206,
		"option 'weight' is not one to add a server with");
	assert_refusal("backend web\n" LINE "weight 1;shutdown\n", 206,
		"option 'weight' is not one to add a server with");
	assert_refusal("backend web\n" LINE "\r\n", 206, "");
}

static void test_what_each_balance_allows(void **state)
{
	static const char *const good[] = {"", "balance roundrobin\n",
		"balance leastconn\n", "balance first\n", "balance random(3)\n",
		"balance uri\nhash-type consistent sdbm\n"};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(good); i++) {
		CS_AUTO_FREE char *text = cs_asprintf("backend web\n%s" LINE, good[i]);
		assert_refusal(text, 206, "");
	}
	assert_refusal("backend web\nbalance static-rr\nhash-type consistent\n" LINE, 206,
		"backend 'web' has balance static-rr");
	assert_refusal("defaults\nbalance uri\nbackend web\n" LINE, 206,
		"backend 'web' has balance uri, not consistent");
	assert_refusal("defaults\nbalance uri\ndefaults\nbackend web\n" LINE, 206, "");
	assert_refusal(
		"defaults\nbalance uri\nbackend web\nbalance first\n" LINE, 206, "");
	assert_refusal("backend web from x\n" LINE, 206,
		"backend 'web' takes its defaults by name");
}

static void assert_options(const char *text, const char *options, bool checks)
{
	CS_CLEANUP(cs_haproxy_outline_done)
	struct cs_haproxy_outline outline = read_text(text);
	const struct cs_haproxy_line *line =
		cs_haproxy_outline_find(&outline, "web", "a");

	assert_string_equal(line->options, options);
	assert_int_equal(cs_haproxy_line_checks(line), checks);
}

static void test_default_server_counts_where_it_stands(void **state)
{
	(void)state;
	assert_options("backend web\n" LINE "check port 8080\n", "check port 8080", true);
	assert_options("defaults\n default-server check\nbackend web\n"
		       " default-server inter 1s\n" LINE "no-check\n",
		"check inter 1s no-check", false);
	assert_options("backend web\n" LINE "cookie check\n", "cookie check", false);
	assert_options("backend web\n" LINE "maxconn 9\n default-server check\n",
		"maxconn 9", false);
	assert_options("backend api\n default-server check\npeers p\n default-server x\n"
		       "backend web\n" LINE "maxconn 9",
		"maxconn 9", false);
}

static void assert_same(const char *one, const char *other, bool same)
{
	CS_CLEANUP(cs_haproxy_outline_done)
	struct cs_haproxy_outline a = read_text(one), b = read_text(other);

	assert_int_equal(cs_haproxy_outline_same(&a, &b), same);
}

static void test_texts_that_differ_in_servers_only(void **state)
{
	static const char text[] = "global\nbackend web\n server a 10.0.0.1:80\n";

	(void)state;
	assert_same(text, text, true);
	assert_same(text, "global\nbackend web\n server b 10.0.0.2:80\n", true);
	assert_same(text, "global\nbackend web\n", true);
	assert_same(text, "global\nbackend web\n server a 10.0.0.1:81\n", false);
	assert_same(text, "global\nbackend web\n server a 10.0.0.1:80 check\n", false);
	assert_same(text, "global \nbackend web\n server a 10.0.0.1:80\n", false);
	assert_same(text, "global\nbackend api\n server a 10.0.0.1:80\n", false);
	assert_same("peers x\n server a 1:1\n", "peers x\n server b 1:1\n", false);
}

static void test_sticky_backends(void **state)
{
	CS_CLEANUP(cs_haproxy_outline_done)
	struct cs_haproxy_outline outline = read_text(
		"backend a\n cookie SRV insert\nbackend b\n stick on src\nbackend c\n"
		"defaults\n persist rdp-cookie\nbackend d\nbackend e\n use-server x\n"
		"defaults z\nbackend f\nbackend g from y\n");

	(void)state;
	assert_true(cs_haproxy_outline_is_sticky(&outline, "a"));
	assert_true(cs_haproxy_outline_is_sticky(&outline, "b"));
	assert_false(cs_haproxy_outline_is_sticky(&outline, "c"));
	assert_true(cs_haproxy_outline_is_sticky(&outline, "d"));
	assert_true(cs_haproxy_outline_is_sticky(&outline, "e"));
	assert_false(cs_haproxy_outline_is_sticky(&outline, "f"));
	assert_true(cs_haproxy_outline_is_sticky(&outline, "g"));
	assert_true(cs_haproxy_outline_is_sticky(&outline, "a section of its own"));
}

#define STATE(name, address, port) \
	"3 web 1 " name " " address " 2 0 1 1 1 6 3 4 6 0 0 0 - " port " - 0 0 - - 0\n"
#define BEFORE                                                              \
	"backend web\n server gone 10.0.0.1:80\n server same 10.0.0.2:80\n" \
	" server v6 [::1]:80\n server moved 10.0.0.4:80\n server db db.example:80\n"
#define AFTER                                                                     \
	"backend web\n server same 10.0.0.2:80\n server v6 [::1]:80\n"            \
	" server moved 10.0.0.4:81\n server db db.example:80\n server elsewhere " \
	"10.0.0.6:80\n"
#define HEAD "1\n# be_id be_name srv_id\n"

static void assert_copy(const char *dump, const char *after, const char *expected)
{
	CS_CLEANUP(cs_haproxy_outline_done)
	struct cs_haproxy_outline old = read_text(BEFORE), new = read_text(after);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf copy = CS_STRBUF(65536);
	struct cs_error err;

	assert_int_equal(
		cs_haproxy_state_copy(dump, strlen(dump), &old, &new, &copy, &err), 0);
	assert_string_equal(cs_strbuf_text(&copy), expected);
}

static void test_state_copy_drops_what_leaves_and_what_moves(void **state)
{
	(void)state;
	assert_copy(HEAD STATE("gone", "10.0.0.1", "80") STATE("same", "10.0.0.2",
			    "80") STATE("v6", "::1", "80") STATE("moved", "10.0.0.4",
			    "80") "4 api 1 gone 1\n" STATE("left", "10.0.0.5", "80")
			    STATE("db", "10.9.9.9", "80")
				    STATE("elsewhere", "10.0.0.7", "80"),
		AFTER,
		HEAD STATE("same", "10.0.0.2", "80") STATE("v6", "::1", "80")
			STATE("db", "10.9.9.9", "80"));
	assert_copy(HEAD STATE("same", "10.0.0.9", "80"), AFTER, HEAD);
}

static void test_state_copy_has_new_servers_down(void **state)
{
	static const char after[] = "backend web\n server same 10.0.0.2:80\n server new "
				    "10.0.0.8:81 check\n server six [::8]:81 check\n"
				    " server unchecked 10.0.0.8:81\n";

	(void)state;
	assert_copy(HEAD STATE("same", "10.0.0.2", "80"), after,
		HEAD STATE(
			"same", "10.0.0.2", "80") "0 web 0 new 10.0.0.8 0 0 1 1 0 1 0 0 "
						  "6 0 0 0 - 81 - 0 0 - - 0\n"
						  "0 web 0 six ::8 0 0 1 1 0 1 0 0 6 "
						  "0 0 0 - 81 - 0 0 - - 0\n");
	/* with nobody else to serve, a new server that was probed does */
	assert_copy(HEAD, after, HEAD);
}

static void test_a_dump_of_another_version_is_refused(void **state)
{
	CS_CLEANUP(cs_haproxy_outline_done)
	struct cs_haproxy_outline outline = read_text("");
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf copy = CS_STRBUF(65536);
	struct cs_error err;

	(void)state;
	assert_int_equal(cs_haproxy_state_copy("2\n", 2, &outline, &outline, &copy, &err),
		CS_E_PROTOCOL);
	assert_int_equal(cs_haproxy_state_copy("", 0, &outline, &outline, &copy, &err),
		CS_E_PROTOCOL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_each_version_takes),
		cmocka_unit_test(test_what_each_balance_allows),
		cmocka_unit_test(test_default_server_counts_where_it_stands),
		cmocka_unit_test(test_texts_that_differ_in_servers_only),
		cmocka_unit_test(test_sticky_backends),
		cmocka_unit_test(test_state_copy_drops_what_leaves_and_what_moves),
		cmocka_unit_test(test_state_copy_has_new_servers_down),
		cmocka_unit_test(test_a_dump_of_another_version_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
