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

/* As if `text` were the clouds.yaml; `secure` and `public` the two others, or NULL. */
static int pick(const char *text, const char *secure, const char *public,
	struct cs_credentials *ret, struct cs_error *err)
{
	struct cs_clouds_text texts = {0};
	const char *const given[][2] = {{"f", text}, {"s", secure}, {"p", public}};

	for (size_t i = 0; i < CS_ARRAY_SIZE(given); i++) {
		if (given[i][1])
			texts.files[i] = (struct cs_clouds_file){cs_strdup(given[i][0]),
				cs_strdup(given[i][1]), strlen(given[i][1])};
	}
	int r = cs_clouds_pick(&texts, "my", ret, err);
	for (size_t i = 0; i < CS_ARRAY_SIZE(given); i++) {
		free(texts.files[i].path);
		free(texts.files[i].text);
	}
	return r;
}

static void accept_texts(const char *text, const char *secure, const char *public,
	struct cs_credentials *ret)
{
	struct cs_error err;

	if (pick(text, secure, public, ret, &err) < 0)
		fail_msg("%s", err.message);
}

static void accept_text(const char *text, struct cs_credentials *ret)
{
	accept_texts(text, NULL, NULL, ret);
}

static void refuse_texts(
	const char *text, const char *secure, const char *public, const char *message)
{
	struct cs_credentials given;
	struct cs_error err;

	assert_int_equal(pick(text, secure, public, &given, &err), CS_E_CONFIG);
	assert_string_equal(err.message, message);
}

static void refuse(const char *text, const char *message)
{
	refuse_texts(text, NULL, NULL, message);
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
		"cloud 'my' of f: auth_type 'v3oidcpassword' is not supported; supported "
		"are password, token, v3applicationcredential, v3oidcaccesstoken, "
		"v3oidcclientcredentials, v2password, http_basic and none; an "
		"application "
		"credential suits a program best (openstack application credential "
		"create)");
	refuse(PASSWORD "    system_scope: all\n",
		"cloud 'my' of f: 'system_scope' is refused: servers belong to a "
		"project, "
		"and a token for the system shows none; set project_name instead");
	refuse(PASSWORD "    trust_id: t\n",
		"cloud 'my' of f: 'trust_id' is refused: a trust acts for a person and "
		"ends with it; make an application credential instead (openstack "
		"application credential create)");
	refuse(PASSWORD "    key: k\n",
		"cloud 'my' of f: 'key' is given without the certificate, 'cert'");
	refuse(PASSWORD "    verify: maybe\n",
		"cloud 'my' of f: key 'verify': expected true or false, found 'maybe'");
	refuse(PASSWORD "    interface: secret\n",
		"cloud 'my' of f: 'interface' must be public, internal or admin");
}

#define OTHER(type, keys)           \
	"clouds:\n"                 \
	"  my:\n"                   \
	"    auth_type: " type "\n" \
	"    auth: {" keys "}\n"
#define IN_PROJECT ", project_name: p, project_domain_id: d"

static void accept_type(const char *text, enum cs_auth_type type, const char *secret)
{
	struct cs_credentials given;

	accept_text(text, &given);
	assert_int_equal(given.type, type);
	if (secret)
		assert_string_equal(cs_secret_expose(given.secret), secret);
	else
		assert_null(given.secret);
	cs_credentials_done(&given);
}

static void test_each_way_to_authenticate_knows_what_it_needs(void **state)
{
	(void)state;
	accept_type(
		OTHER("v3token", "auth_url: a, token: t" IN_PROJECT), CS_AUTH_TOKEN, "t");
	accept_type(OTHER("token", "auth_url: a, auth_token: t" IN_PROJECT),
		CS_AUTH_TOKEN, "t");
	accept_type(OTHER("v3oidcaccesstoken",
			    "auth_url: a, access_token: t, identity_provider: i, "
			    "protocol: openid" IN_PROJECT),
		CS_AUTH_OIDC_ACCESS_TOKEN, "t");
	accept_type(OTHER("v3oidcclientcredentials",
			    "auth_url: a, client_id: c, client_secret: t, "
			    "identity_provider: i, protocol: openid, "
			    "access_token_endpoint: e" IN_PROJECT),
		CS_AUTH_OIDC_CLIENT_CREDENTIALS, "t");
	accept_type(OTHER("v2password", "auth_url: a, username: u, password: t, "
					"tenant_name: p"),
		CS_AUTH_V2_PASSWORD, "t");
	accept_type(OTHER("http_basic", "endpoint: e, username: u, password: t"),
		CS_AUTH_HTTP_BASIC, "t");
	accept_type(OTHER("none", "endpoint: e"), CS_AUTH_NONE, NULL);
	refuse(OTHER("none", "auth_url: a"),
		"cloud 'my' of f: 'endpoint' is missing: the URL of the Compute service");
	refuse(OTHER("v3token", "auth_url: a" IN_PROJECT),
		"cloud 'my' of f: 'token' is missing");
	refuse(OTHER("v3token", "auth_url: a, token: t"),
		"cloud 'my' of f: 'project_name' is missing; without a project Nova "
		"shows "
		"an empty list instead of an error");
	refuse(OTHER("v3oidcaccesstoken",
		       "auth_url: a, access_token: t, protocol: p" IN_PROJECT),
		"cloud 'my' of f: 'identity_provider' or 'protocol' is missing; ask for "
		"what Keystone calls them (openstack federation protocol list)");
	refuse(OTHER("v3oidcclientcredentials",
		       "auth_url: a, client_id: c, client_secret: t, "
		       "identity_provider: i, protocol: openid" IN_PROJECT),
		"cloud 'my' of f: 'access_token_endpoint' or 'discovery_endpoint' of the "
		"identity provider is missing");
}

static void test_secure_counts_before_clouds_and_that_before_the_profile(void **state)
{
	struct cs_credentials given;

	(void)state;
	accept_texts("clouds: {my: {profile: v, auth: {username: u, project_id: p,\n"
		     "  password: main}}}\n",
		"clouds: {my: {auth: {password: secure}}, other: {}}\n",
		"public-clouds: {v: {region_name: R, auth: {auth_url: a, username: no,\n"
		"  user_domain_id: d}}}\n",
		&given);
	assert_string_equal(cs_secret_expose(given.secret), "secure");
	assert_string_equal(given.user_name, "u");
	assert_string_equal(given.auth_url, "a");
	assert_string_equal(given.user_domain_id, "d");
	assert_string_equal(given.region, "R");
	cs_credentials_done(&given);
	/* what stands beside `auth` wins over all files */
	accept_texts(PASSWORD "    password: beside\n",
		"clouds: {my: {auth: {password: secure}}}\n", NULL, &given);
	assert_string_equal(cs_secret_expose(given.secret), "beside");
	cs_credentials_done(&given);
	refuse_texts(PASSWORD "    profile: vexxhost\n", NULL, NULL,
		"cloud 'my' of f: profile 'vexxhost' is not in any clouds-public.yaml, "
		"and those that openstacksdk or a web site has are not known here; write "
		"auth_url and region_name out, or put it into clouds-public.yaml");
	refuse_texts(PASSWORD, "clouds: {my: 3}\n", NULL,
		"s:1: cloud 'my': expected keys with values");
	refuse_texts(PASSWORD "    cloud: v\n", NULL, "a: 1\n",
		"p: expected 'public-clouds:' with the clouds below it");
}

static void test_regions_have_values_of_their_own(void **state)
{
	struct cs_credentials given;

	(void)state;
	accept_text(PASSWORD
		"    regions: [{name: R1, values: {interface: admin}}, R2]\n",
		&given);
	assert_string_equal(given.region, "R1");
	assert_string_equal(given.interface, "admin");
	cs_credentials_done(&given);
	accept_text(PASSWORD
		"    region_name: R2\n"
		"    regions: [{name: R1, values: {interface: admin}}, R2]\n",
		&given);
	assert_string_equal(given.region, "R2");
	assert_string_equal(given.interface, "public");
	cs_credentials_done(&given);
	refuse(PASSWORD "    region_name: R3\n    regions: [R1]\n",
		"cloud 'my' of f: region_name 'R3' is not one of its 'regions'");
	refuse(PASSWORD "    regions: [[R1]]\n",
		"f:10: key 'regions': expected names, or maps of name and values");
}

static void test_overrides_certificates_and_default_domains(void **state)
{
	struct cs_credentials given;

	(void)state;
	setenv("HOME", "/home/me", 1);
	accept_text("clouds: {my: {auth: {auth_url: a, username: u, password: s,\n"
		    "  project_name: p, default_domain_name: D, user_domain_id: i},\n"
		    "  compute_endpoint_override: c, volumev3-endpoint-override: v,\n"
		    "  cert: ~/c.pem, key: /k.pem}}\n",
		&given);
	assert_string_equal(given.overrides[CS_SERVICE_COMPUTE], "c");
	assert_string_equal(given.overrides[CS_SERVICE_VOLUME], "v");
	assert_null(given.overrides[CS_SERVICE_IMAGE]);
	assert_string_equal(given.cert_file, "/home/me/c.pem");
	assert_string_equal(given.key_file, "/k.pem");
	assert_null(given.user_domain_name);
	assert_string_equal(given.project_domain_name, "D");
	cs_credentials_done(&given);
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
		"or begin with the example: install -g "));
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

static void test_companions_are_found_by_name_or_beside(void **state)
{
	char dir[] = "/tmp/test_clouds.XXXXXX";
	struct cs_credentials given;
	struct cs_error err;

	(void)state;
	assert_non_null(mkdtemp(dir));
	CS_AUTO_FREE char *path = cs_asprintf("%s/clouds.yaml", dir);
	CS_AUTO_FREE char *secure = cs_asprintf("%s/secure.yml", dir);
	CS_AUTO_FREE char *public = cs_asprintf("%s/clouds-public.json", dir);
	write_file(path,
		"clouds: {my: {profile: v, auth: {user_id: u, project_id: p}}}\n", 0600);
	write_file(secure, "clouds: {my: {auth: {password: s}}}\n", 0600);
	write_file(public,
		"{\"public-clouds\": {\"v\": {\"auth\": {\"auth_url\": \"a\"}}}}", 0644);
	assert_int_equal(cs_clouds_find(path, "my", &given, &err), 0);
	assert_string_equal(given.auth_url, "a");
	assert_string_equal(cs_secret_expose(given.secret), "s");
	cs_credentials_done(&given);
	/* named by variables they lie anywhere; but not clouds-public.yaml */
	setenv("OS_CLIENT_CONFIG_FILE", path, 1);
	setenv("OS_CLIENT_SECURE_FILE", secure, 1);
	assert_int_equal(cs_clouds_find(NULL, "my", &given, &err), CS_E_CONFIG);
	assert_non_null(strstr(err.message, "profile 'v' is not in any"));
	write_file(path, "clouds: {my: {auth: {user_id: u, project_id: p, auth_url: b}}}",
		0600);
	setenv("OS_CLOUD", "my", 1);
	assert_int_equal(cs_clouds_find(NULL, "envvars", &given, &err), 0);
	assert_string_equal(given.auth_url, "b");
	cs_credentials_done(&given);
	unsetenv("OS_CLOUD");
	unsetenv("OS_CLIENT_CONFIG_FILE");
	unsetenv("OS_CLIENT_SECURE_FILE");
	chmod(secure, 0644);
	assert_int_equal(cs_clouds_find(path, "my", &given, &err), CS_E_REFUSED);
	assert_non_null(strstr(err.message, "/secure.yml holds a secret"));
	unlink(path);
	unlink(secure);
	unlink(public);
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
		cmocka_unit_test(test_each_way_to_authenticate_knows_what_it_needs),
		cmocka_unit_test(
			test_secure_counts_before_clouds_and_that_before_the_profile),
		cmocka_unit_test(test_regions_have_values_of_their_own),
		cmocka_unit_test(test_overrides_certificates_and_default_domains),
		cmocka_unit_test(test_companions_are_found_by_name_or_beside),
		cmocka_unit_test(test_the_search_takes_the_named_file_or_none),
		cmocka_unit_test(test_the_variables_are_the_cloud_envvars),
	};

	return cmocka_run_group_tests_name("clouds", tests, NULL, NULL);
}
