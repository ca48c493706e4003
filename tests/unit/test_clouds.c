/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "domain/clouds.h"

#define PASSWORD                              \
	"clouds:\n"                           \
	"  my:\n"                             \
	"    auth:\n"                         \
	"      auth_url: https://k:5000/v3\n" \
	"      username: u\n"                 \
	"      password: secret\n"            \
	"      user_domain_name: Default\n"   \
	"      project_name: p\n"             \
	"      project_domain_name: Default\n"

static void accept_text(const char *text, struct cs_credentials *ret)
{
	struct cs_error err;

	if (cs_clouds_parse(text, strlen(text), "f", "my", ret, &err) < 0)
		fail_msg("%s", err.message);
}

static void refuse(const char *text, const char *message)
{
	struct cs_credentials given;
	struct cs_error err;

	assert_int_equal(cs_clouds_parse(text, strlen(text), "f", "my", &given, &err),
		CS_E_CONFIG);
	assert_string_equal(err.message, message);
}

static void test_password(void **state)
{
	struct cs_credentials given;

	(void)state;
	accept_text(PASSWORD, &given);
	assert_int_equal(given.type, CS_AUTH_PASSWORD);
	assert_string_equal(given.source, "cloud 'my' of f");
	assert_string_equal(given.auth_url, "https://k:5000/v3");
	assert_string_equal(given.user_name, "u");
	assert_string_equal(given.user_domain_name, "Default");
	assert_string_equal(given.project_name, "p");
	assert_string_equal(cs_secret_expose(given.secret), "secret");
	assert_string_equal(given.interface, "public");
	assert_true(given.verify);
	assert_null(given.region);
	cs_credentials_done(&given);
}

static void test_beside_auth_wins_and_old_spellings_count(void **state)
{
	struct cs_credentials given;

	(void)state;
	accept_text(
		"clouds:\n"
		"  my:\n"
		"    auth: {auth_url: a, username: u, password: 123, tenant_name: 7,\n"
		"      domain_id: default, project_id: null}\n"
		"    username: v\n"
		"    region-name: R\n"
		"    interface: internalURL\n"
		"    verify: no\n"
		"    cacert: /ca.pem\n",
		&given);
	assert_string_equal(given.user_name, "v");
	assert_string_equal(cs_secret_expose(given.secret), "123");
	assert_string_equal(given.project_name, "7");
	assert_null(given.project_id);
	assert_string_equal(given.user_domain_id, "default");
	assert_string_equal(given.project_domain_id, "default");
	assert_string_equal(given.region, "R");
	assert_string_equal(given.interface, "internal");
	assert_string_equal(given.ca_file, "/ca.pem");
	assert_false(given.verify);
	cs_credentials_done(&given);
}

static void test_insecure_beats_verify(void **state)
{
	struct cs_credentials given;

	(void)state;
	accept_text(PASSWORD "    verify: true\n    insecure: true\n", &given);
	assert_false(given.verify);
	cs_credentials_done(&given);
}

static void test_application_credential(void **state)
{
	struct cs_credentials given;

	(void)state;
	accept_text("clouds:\n"
		    "  my:\n"
		    "    auth_type: v3applicationcredential\n"
		    "    auth: {auth_url: a, application_credential_id: i,\n"
		    "      application_credential_secret: secret}\n",
		&given);
	assert_int_equal(given.type, CS_AUTH_APPLICATION_CREDENTIAL);
	assert_string_equal(given.credential_id, "i");
	cs_credentials_done(&given);
	refuse("clouds:\n"
	       "  my:\n"
	       "    auth_type: v3applicationcredential\n"
	       "    auth: {auth_url: a, application_credential_name: n,\n"
	       "      application_credential_secret: secret}\n",
		"cloud 'my' of f: 'username' is missing");
}

static void test_what_is_refused_says_what_is_missing(void **state)
{
	(void)state;
	refuse("a: 1\n", "f: expected 'clouds:' with the clouds below it");
	refuse("clouds: {other: {}, third: {}}\n",
		"f has no cloud 'my'; it has: other, third");
	refuse("clouds: {my: 3}\n", "f:1: cloud 'my': expected keys with values");
	refuse("clouds: {my: {}}\n", "cloud 'my' of f: 'auth_url' is missing");
	refuse("clouds: {my: {auth: {auth_url: [a]}}}\n",
		"f:1: key 'auth_url': expected one value");
	refuse("clouds: {my: {auth: {auth_url: a, username: u}}}\n",
		"cloud 'my' of f: 'user_domain_name' is missing (often Default)");
	refuse("clouds: {my: {auth: {auth_url: a, username: u, domain_name: d}}}\n",
		"cloud 'my' of f: 'project_name' is missing; without a project Nova "
		"shows "
		"an empty list instead of an error");
	refuse("clouds: {my: {auth: {auth_url: a, user_id: u, project_name: p}}}\n",
		"cloud 'my' of f: 'project_domain_name' is missing (often Default)");
	refuse("clouds: {my: {auth: {auth_url: a, user_id: u, project_id: p}}}\n",
		"cloud 'my' of f: 'password' is missing");
	refuse(PASSWORD "    auth_type: v3oidcpassword\n",
		"cloud 'my' of f: auth_type 'v3oidcpassword' is not supported yet; use "
		"v3applicationcredential (openstack application credential create) or "
		"password");
	refuse(PASSWORD "    profile: vendor\n",
		"cloud 'my' of f: 'profile' is not supported; write auth_url and "
		"region_name out");
	refuse(PASSWORD "    verify: maybe\n",
		"cloud 'my' of f: key 'verify': expected true or false, found 'maybe'");
	refuse(PASSWORD "    interface: secret\n",
		"cloud 'my' of f: 'interface' must be public, internal or admin");
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	chmod(path, mode);
}

static void test_the_search_takes_the_named_file_or_none(void **state)
{
	char dir[] = "/tmp/test_clouds.XXXXXX";
	struct cs_credentials given;
	struct cs_error err;

	(void)state;
	assert_non_null(mkdtemp(dir));
	CS_AUTO_FREE char *path = cs_asprintf("%s/clouds.yaml", dir);
	write_file(path, PASSWORD, 0600);
	assert_int_equal(cs_clouds_find(path, "my", &given, &err), 0);
	cs_credentials_done(&given);
	setenv("OS_CLIENT_CONFIG_FILE", path, 1);
	assert_int_equal(cs_clouds_find(NULL, "my", &given, &err), 0);
	cs_credentials_done(&given);
	assert_int_equal(cs_clouds_find("/nowhere", "my", &given, &err), CS_E_CONFIG);
	assert_non_null(strstr(err.message,
		"cannot read /nowhere: No such file or directory; correct clouds-file, "
		"or begin with the example: install -m 640 "));
	unsetenv("OS_CLIENT_CONFIG_FILE");
	chmod(path, 0644);
	assert_int_equal(cs_clouds_find(path, "my", &given, &err), CS_E_REFUSED);
	assert_non_null(strstr(err.message, "type: chmod o= "));
	if (access("/etc/openstack/clouds.yaml", F_OK) < 0) {
		assert_int_equal(chdir(dir), 0); /* never the working directory */
		assert_int_equal(cs_clouds_find(NULL, "my", &given, &err), CS_E_CONFIG);
		assert_non_null(strstr(err.message, "no clouds.yaml: 'clouds-file'"));
	}
	unlink(path);
	rmdir(dir);
}

static void test_the_variables_are_the_cloud_envvars(void **state)
{
	struct cs_credentials given;
	struct cs_error err;

	(void)state;
	setenv("OS_AUTH_URL", "http://k/v3", 1);
	setenv("OS_USERNAME", "u", 1);
	setenv("OS_PASSWORD", "secret", 1);
	setenv("OS_USER_DOMAIN_NAME", "Default", 1);
	setenv("OS_PROJECT_NAME", "p", 1);
	setenv("OS_PROJECT_DOMAIN_ID", "default", 1);
	setenv("OS_REGION_NAME", "", 1);
	setenv("OS_INSECURE", "1", 1);
	assert_int_equal(cs_clouds_find(NULL, "envvars", &given, &err), 0);
	assert_string_equal(given.auth_url, "http://k/v3");
	assert_string_equal(given.project_domain_id, "default");
	assert_null(given.region);
	assert_false(given.verify);
	cs_credentials_done(&given);
	unsetenv("OS_PASSWORD");
	assert_int_equal(cs_clouds_find(NULL, "envvars", &given, &err), CS_E_CONFIG);
	assert_string_equal(err.message,
		"cloud 'envvars' (the OS_* variables): 'password' is missing");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_password),
		cmocka_unit_test(test_beside_auth_wins_and_old_spellings_count),
		cmocka_unit_test(test_insecure_beats_verify),
		cmocka_unit_test(test_application_credential),
		cmocka_unit_test(test_what_is_refused_says_what_is_missing),
		cmocka_unit_test(test_the_search_takes_the_named_file_or_none),
		cmocka_unit_test(test_the_variables_are_the_cloud_envvars),
	};

	return cmocka_run_group_tests_name("clouds", tests, NULL, NULL);
}
