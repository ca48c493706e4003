/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pages of the Network service: which floating addresses are ours, and where it goes on.
 */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "client/floating.h"

#define ID "11111111-2222-4333-8444-555555555555"
#define SERVER "11111111-2222-4333-8444-666666666666"
#define ROW(id, description, port)                                       \
	"{\"id\": \"" id "\", \"floating_ip_address\": \"203.0.113.7\"," \
	"\"description\": \"" description "\", \"port_id\": " port "}"
#define PAGE(rows) "{\"floatingips\": [" rows "]}"
#define NEXT(href)                                                 \
	"{\"floatingips\": [], \"floatingips_links\": [{\"rel\": " \
	"\"next\", \"href\": \"" href "\"}]}"

static int parse(const char *text, struct cs_floating_list *list, char **ret_next,
	struct cs_error *err)
{
	return cs_floating_parse_page(text, strlen(text), "web", list, ret_next, err);
}

static void test_only_what_carries_our_mark_is_taken(void **state)
{
	static const char page[] = PAGE(ROW(ID, "clusterscale web " SERVER,
		"null") "," ROW(ID, "clusterscale web " SERVER, "\"" ID "\"") "," ROW(ID,
		"clusterscale web2 " SERVER, "null") "," ROW(ID,
		"clusterscale web " SERVER " ", "null") "," ROW(ID, "clusterscale web x",
		"null") "," ROW(ID, "", "null") ",{\"id\": \"" ID "\"}, 5");
	CS_CLEANUP(cs_floating_list_done) struct cs_floating_list list = {0};
	struct cs_error err;
	char *next;

	(void)state;
	assert_int_equal(parse(page, &list, &next, &err), 0);
	assert_null(next);
	assert_int_equal(list.n, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(list.items[i].id, ID);
		assert_string_equal(list.items[i].server_id, SERVER);
		assert_string_equal(list.items[i].address, "203.0.113.7");
		assert_int_equal(list.items[i].attached, i == 1);
	}
	/* the next page is added */
	assert_int_equal(parse(page, &list, &next, &err), 0);
	assert_int_equal(list.n, 4);
}

static void test_the_next_page_is_its_query_alone(void **state)
{
	static const struct {
		const char *page, *next; /* NULL: refused */
	} cases[] = {{NEXT("http://inside/v2.0/floatingips?limit=2&marker=" ID),
			     "?limit=2&marker=" ID},
		{NEXT("http://inside/v2.0/floatingips?limit=2"), NULL},
		{NEXT("http://inside/v2.0/floatingips?marker=a#b"), NULL},
		{NEXT("http://inside/v2.0/floatingips?marker=a b"), NULL},
		{NEXT(""), NULL}};
	CS_CLEANUP(cs_floating_list_done) struct cs_floating_list list = {0};
	struct cs_error err;

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) {
		CS_AUTO_FREE char *next = NULL;
		int r = parse(cases[i].page, &list, &next, &err);

		assert_int_equal(r, cases[i].next ? 0 : CS_E_PROTOCOL);
		if (cases[i].next)
			assert_string_equal(next, cases[i].next);
		else
			assert_non_null(strstr(err.message, "no usable link"));
	}
}

static void test_what_is_no_list_is_refused(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {{"", "the list of floating addresses"},
		{"<html>", "the list of floating addresses"},
		{"{\"floatingips\": [", "the list of floating addresses"},
		{"{\"floatingips\": {}}", "no array 'floatingips'"},
		{"{\"NeutronError\": {}}", "no array 'floatingips'"},
		{PAGE(ROW("7", "clusterscale web " SERVER, "null")),
			"without id or address"},
		{PAGE("{\"id\": \"" ID "\", \"description\": "
		      "\"clusterscale web " SERVER "\"}"),
			"without id or address"}};
	CS_CLEANUP(cs_floating_list_done) struct cs_floating_list list = {0};
	struct cs_error err;

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) {
		CS_AUTO_FREE char *next = NULL;

		assert_int_equal(parse(cases[i].text, &list, &next, &err), CS_E_PROTOCOL);
		if (!strstr(err.message, cases[i].message))
			fail_msg("%s: %s", cases[i].text, err.message);
	}
	assert_int_equal(list.n, 0);
}

static void test_the_port_of_an_address(void **state)
{
	static const struct {
		const char *ports, *id; /* NULL: none of them */
	} cases[] = {{"[{\"id\": \"a\", \"fixed_ips\": [{\"ip_address\": \"10.0.0.1\"},"
		      "{\"ip_address\": \"fd00::5\"}]}, {\"id\": \"b\", \"fixed_ips\": "
		      "[{\"ip_address\": \"10.0.0.12\"}, {\"ip_address\": "
		      "\"10.0.0.2\"}]}]",
			     "b"},
		{"[{\"fixed_ips\": [{\"ip_address\": \"10.0.0.2\"}]}]", NULL},
		{"[{\"id\": \"a\"}, 7, {\"id\": \"b\", \"fixed_ips\": [1, {}]}]", NULL},
		{"[]", NULL}, {"{}", NULL}};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) {
		CS_AUTO_FREE char *text = cs_asprintf("{\"ports\": %s}", cases[i].ports);
		CS_AUTO_FREE char *id = NULL;
		struct cs_error err;
		int r = cs_floating_parse_ports(
			text, strlen(text), "10.0.0.2", &id, &err);

		assert_int_equal(r, cases[i].id ? 0 : CS_E_NOT_FOUND);
		if (cases[i].id)
			assert_string_equal(id, cases[i].id);
		else
			assert_string_equal(
				err.message, "no port has the address 10.0.0.2");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_what_carries_our_mark_is_taken),
		cmocka_unit_test(test_the_next_page_is_its_query_alone),
		cmocka_unit_test(test_what_is_no_list_is_refused),
		cmocka_unit_test(test_the_port_of_an_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
