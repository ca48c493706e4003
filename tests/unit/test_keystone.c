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

static void test_services_have_several_names(void **state)
{
	static const char text[] = TOKEN(
		"[{\"type\": \"volumev3\", \"endpoints\": [" ENDPOINT("public", "R1",
			"http://v3") "]}, {\"type\": \"volume\", \"endpoints\": "
				     "[" ENDPOINT("public", "R1", "http://v1") "]}]");
	static const struct {
		const char *type, *url;
	} cases[] = {{"block-storage", "http://v3"}, {"volumev3", "http://v3"},
		{"volume", "http://v1"}, {"block-store", "http://v3"}};
	struct cs_token token;
	const char *url = NULL;
	struct cs_error err;

	(void)state;
	parse(text, &token);
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) {
		assert_int_equal(cs_keystone_pick(&token, cases[i].type, "public", NULL,
					 &url, &err),
			0);
		assert_string_equal(url, cases[i].url);
	}
	cs_token_done(&token);
}

static void test_a_token_of_identity_v2_reads_like_one_of_v3(void **state)
{
	struct cs_token token;
	const char *url = NULL;
	struct cs_error err;

	(void)state;
	parse("{\"access\": {\"token\": {\"id\": \"t\", \"tenant\": {\"id\": \"p\"}, "
	      "\"issued_at\": \"2026-01-01T00:00:00.123\", "
	      "\"expires\": \"2026-01-01T01:00:00Z\"}, \"serviceCatalog\": [{\"type\": "
	      "\"compute\", \"endpoints\": [{\"publicURL\": \"http://pub\", "
	      "\"adminURL\": \"http://adm\", \"region\": \"R1\"}]}]}}",
		&token);
	assert_string_equal(token.project_id, "p");
	assert_int_equal(
		cs_keystone_pick(&token, "compute", "admin", "R1", &url, &err), 0);
	assert_string_equal(url, "http://adm");
	cs_token_done(&token);
	refuse("{\"access\": {\"token\": {\"id\": \"t\"}, \"serviceCatalog\": []}}",
		CS_E_AUTH,
		"the token is for no project; set project_name and its domain");
}

static void test_how_long_a_token_lives(void **state)
{
	struct cs_token token;

	(void)state;
	parse("{\"token\": {\"project\": {\"id\": \"p\"}, \"catalog\": [], "
	      "\"issued_at\": "
	      "\"2026-01-01T00:00:00.000000Z\", \"expires_at\": "
	      "\"2026-01-01T00:01:00.000000Z\"}}",
		&token);
	assert_int_equal(token.life_ms, 60000);
	cs_token_done(&token);
	parse(ONE, &token);
	assert_int_equal(token.life_ms, -1);
	cs_token_done(&token);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_catalogue_is_searched_by_interface_and_region),
		cmocka_unit_test(test_a_token_without_project_is_refused),
		cmocka_unit_test(test_services_have_several_names),
		cmocka_unit_test(test_a_token_of_identity_v2_reads_like_one_of_v3),
		cmocka_unit_test(test_how_long_a_token_lives),
	};

	return cmocka_run_group_tests_name("keystone", tests, NULL, NULL);
}
