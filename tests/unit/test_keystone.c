/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/keystone.h"

#define ENDPOINT(interface, region, url)                              \
	"{\"interface\": \"" interface "\", \"region_id\": \"" region \
	"\", \"region\": \"" region "\", \"url\": \"" url "\"}"
#define TOKEN(catalog) \
	"{\"token\": {\"project\": {\"id\": \"p\"}, \"catalog\": " catalog "}}"
#define ONE                                                                        \
	TOKEN("[{\"type\": \"compute\", \"endpoints\": [" ENDPOINT("public", "R1", \
		"http://pub") ", " ENDPOINT("internal", "R1", "http://int") "]}]")
#define TWO                                                                        \
	TOKEN("[{\"type\": \"compute\", \"endpoints\": [" ENDPOINT("public", "R1", \
		"http://one") ", " ENDPOINT("public", "R2", "http://two") "]}]")

static void parse(const char *text, struct cs_token *ret)
{
	struct cs_error err;

	if (cs_keystone_parse_token(text, strlen(text), ret, &err) < 0)
		fail_msg("%s", err.message);
}

static void pick(const char *text, const char *interface, const char *region,
	int expected, const char *url_or_message)
{
	struct cs_token token;
	const char *url = NULL;
	struct cs_error err;

	parse(text, &token);
	assert_int_equal(
		cs_keystone_pick(&token, "compute", interface, region, &url, &err),
		expected);
	assert_string_equal(expected ? err.message : url, url_or_message);
	cs_token_done(&token);
}

static void test_the_catalogue_is_searched_by_interface_and_region(void **state)
{
	(void)state;
	pick(ONE, "public", NULL, 0, "http://pub");
	pick(ONE, "internal", NULL, 0, "http://int");
	pick(ONE, "public", "R1", 0, "http://pub");
	pick(TWO, "public", "R2", 0, "http://two");
	pick(TWO, "public", NULL, CS_E_CONFIG,
		"several regions offer 'compute'; set region_name; the catalogue has: "
		"compute public R1, compute public R2");
	pick(ONE, "admin", NULL, CS_E_NOT_FOUND,
		"the catalogue has no 'compute' with interface 'admin' in region 'any'; "
		"it "
		"has: compute public R1, compute internal R1");
	pick(ONE, "public", "R9", CS_E_NOT_FOUND,
		"the catalogue has no 'compute' with interface 'public' in region 'R9'; "
		"it "
		"has: compute public R1, compute internal R1");
	pick(TOKEN("[]"), "public", NULL, CS_E_NOT_FOUND,
		"the catalogue has no 'compute' with interface 'public' in region 'any'; "
		"it "
		"has: nothing");
	pick(TOKEN("[3, {\"type\": \"compute\"}, {\"type\": \"compute\", \"endpoints\": "
		   "[4, {}]}]"),
		"public", NULL, CS_E_NOT_FOUND,
		"the catalogue has no 'compute' with interface 'public' in region 'any'; "
		"it "
		"has: nothing");
}

static void refuse(const char *text, enum cs_errc code, const char *message)
{
	struct cs_token token;
	struct cs_error err;

	assert_int_equal(cs_keystone_parse_token(text, strlen(text), &token, &err), code);
	assert_string_equal(err.message, message);
}

static void test_a_token_without_project_is_refused(void **state)
{
	struct cs_token token;

	(void)state;
	parse(ONE, &token);
	assert_string_equal(token.project_id, "p");
	cs_token_done(&token);
	refuse("{\"token\": {\"catalog\": []}}", CS_E_AUTH,
		"the token is for no project; set project_name and its domain");
	refuse("{\"token\": {\"project\": {\"id\": \"p\"}}}", CS_E_PROTOCOL,
		"the answer of Keystone has no catalogue of services");
	refuse("{}", CS_E_PROTOCOL, "the answer of Keystone has no 'token'");
	refuse("<html>", CS_E_PROTOCOL,
		"the answer of Keystone is not JSON: unexpected character at byte 0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_catalogue_is_searched_by_interface_and_region),
		cmocka_unit_test(test_a_token_without_project_is_refused),
	};

	return cmocka_run_group_tests_name("keystone", tests, NULL, NULL);
}
