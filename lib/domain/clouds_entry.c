/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What one cloud says, as credentials; see clouds_internal.h. The names of the keys and
 * of the ways to authenticate are keystoneauth's. */
#include <config.h>
#include "domain/clouds_internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

#define KEY_MAX 64

static int fail(const struct cs_clouds_source *source, const char *why)
{
	return cs_error_set(source->err, CS_E_CONFIG, "%s: %s", source->text, why);
}

/* What each way to authenticate needs beside its secret. */
enum need {
	NEEDS_AUTH_URL = 1,
	NEEDS_USER = 2,
	NEEDS_USER_DOMAIN = 4,
	NEEDS_PROJECT = 8,
	NEEDS_PROJECT_DOMAIN = 16,
	NEEDS_CREDENTIAL = 32,
	NEEDS_PROVIDER = 64,
	NEEDS_CLIENT = 128,
	NEEDS_ENDPOINT = 256,
};
#define NEEDS_V3_USER (NEEDS_USER | NEEDS_USER_DOMAIN)
#define NEEDS_V3_PROJECT (NEEDS_PROJECT | NEEDS_PROJECT_DOMAIN)

static const struct auth_kind {
	const char *names[2];
	enum cs_auth_type type;
	const char *secrets[2]; /* keys of the secret; none: there is none */
	unsigned needs;
} auth_kinds[] = {
	{{"password", "v3password"}, CS_AUTH_PASSWORD, {"password"},
		NEEDS_AUTH_URL | NEEDS_V3_USER | NEEDS_V3_PROJECT},
	{{"v3applicationcredential"}, CS_AUTH_APPLICATION_CREDENTIAL,
		{"application_credential_secret"}, NEEDS_AUTH_URL | NEEDS_CREDENTIAL},
	{{"token", "v3token"}, CS_AUTH_TOKEN, {"token", "auth_token"},
		NEEDS_AUTH_URL | NEEDS_V3_PROJECT},
	{{"v3oidcaccesstoken"}, CS_AUTH_OIDC_ACCESS_TOKEN, {"access_token"},
		NEEDS_AUTH_URL | NEEDS_V3_PROJECT | NEEDS_PROVIDER},
	{{"v3oidcclientcredentials"}, CS_AUTH_OIDC_CLIENT_CREDENTIALS, {"client_secret"},
		NEEDS_AUTH_URL | NEEDS_V3_PROJECT | NEEDS_PROVIDER | NEEDS_CLIENT},
	{{"v2password"}, CS_AUTH_V2_PASSWORD, {"password"},
		NEEDS_AUTH_URL | NEEDS_USER | NEEDS_PROJECT},
	{{"http_basic"}, CS_AUTH_HTTP_BASIC, {"password"}, NEEDS_ENDPOINT | NEEDS_USER},
	{{"none"}, CS_AUTH_NONE, {NULL}, NEEDS_ENDPOINT},
};

static int find_kind(const struct cs_clouds_source *source, const struct auth_kind **ret)
{
	const char *name;

	*ret = &auth_kinds[0];
	/* "auth_plugin" is what the key was first called. */
	if (cs_clouds_get(source, "auth_type", &name) < 0 ||
		(!name && cs_clouds_get(source, "auth_plugin", &name) < 0))
		return source->err->code;
	if (!name)
		return 0;
	for (size_t i = 0; i < CS_ARRAY_SIZE(auth_kinds); i++) {
		const char *const *names = auth_kinds[i].names;

		*ret = &auth_kinds[i];
		if (strcmp(names[0], name) == 0 ||
			(names[1] && strcmp(names[1], name) == 0))
			return 0;
	}
	return cs_error_set(source->err, CS_E_CONFIG,
		"%s: auth_type '%.40s' is not supported; supported are password, token, "
		"v3applicationcredential, v3oidcaccesstoken, v3oidcclientcredentials, "
		"v2password, http_basic and none; an application credential suits a "
		"program best (openstack application credential create)",
		source->text, name);
}

static const struct refused_key {
	const char *key, *why;
} refused_keys[] = {
	{"system_scope", "'system_scope' is refused: servers belong to a project, and a "
			 "token for the system shows none; set project_name instead"},
	{"trust_id", "'trust_id' is refused: a trust acts for a person and ends with it; "
		     "make an application credential instead (openstack application "
		     "credential create)"},
};

static int check_scope(const struct cs_clouds_source *source)
{
	const char *given;

	for (size_t i = 0; i < CS_ARRAY_SIZE(refused_keys); i++) {
		if (cs_clouds_get(source, refused_keys[i].key, &given) < 0)
			return source->err->code;
		if (given)
			return fail(source, refused_keys[i].why);
	}
	return 0;
}

static int get_bool(
	const struct cs_clouds_source *source, const char *key, bool fallback, bool *ret)
{
	static const char *const words[] = {
		"false", "no", "off", "0", "true", "yes", "on", "1"};
	const char *text;

	*ret = fallback;
	if (cs_clouds_get(source, key, &text) < 0)
		return source->err->code;
	if (!text)
		return 0;
	for (size_t i = 0; i < CS_ARRAY_SIZE(words); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			*ret = i >= CS_ARRAY_SIZE(words) / 2;
			return 0;
		}
	}
	return cs_error_set(source->err, CS_E_CONFIG,
		"%s: key '%s': expected true or false, found '%.40s'", source->text, key,
		text);
}

/* Each key with other names that mean the same, or are as good as it. */
static const struct text_key {
	size_t offset;
	const char *names[3];
	bool is_path;
} text_keys[] = {
#define AT(member) offsetof(struct cs_credentials, member)
	{AT(auth_url), {"auth_url"}, false},
	{AT(endpoint), {"endpoint"}, false},
	{AT(user_id), {"user_id"}, false},
	{AT(user_name), {"username", "user_name"}, false},
	{AT(user_domain_id), {"user_domain_id", "domain_id"}, false},
	{AT(user_domain_name), {"user_domain_name", "domain_name"}, false},
	{AT(project_id), {"project_id", "tenant_id"}, false},
	{AT(project_name), {"project_name", "tenant_name"}, false},
	{AT(project_domain_id), {"project_domain_id", "domain_id"}, false},
	{AT(project_domain_name), {"project_domain_name", "domain_name"}, false},
	{AT(credential_id), {"application_credential_id"}, false},
	{AT(credential_name), {"application_credential_name"}, false},
	{AT(provider), {"identity_provider"}, false},
	{AT(protocol), {"protocol"}, false},
	{AT(client_id), {"client_id"}, false},
	{AT(client_scope), {"openid_scope"}, false},
	{AT(token_endpoint), {"access_token_endpoint"}, false},
	{AT(discovery_endpoint), {"discovery_endpoint"}, false},
	{AT(interface), {"interface", "endpoint_type"}, false},
	{AT(ca_file), {"cacert"}, true},
	{AT(cert_file), {"cert"}, true},
	{AT(key_file), {"key"}, true},
#undef AT
};

static int read_texts(const struct cs_clouds_source *source, struct cs_credentials *ret)
{
	for (size_t i = 0; i < CS_ARRAY_SIZE(text_keys); i++) {
		const struct text_key *key = &text_keys[i];
		char **slot = (char **)((char *)ret + key->offset);
		const char *text = NULL;

		for (size_t j = 0; j < CS_ARRAY_SIZE(key->names) && key->names[j]; j++) {
			if (!text && cs_clouds_get(source, key->names[j], &text) < 0)
				return source->err->code;
		}
		if (text)
			*slot = key->is_path ? cs_clouds_expand(text) : cs_strdup(text);
	}
	return 0;
}

/* The domain that counts where no other is given. */
static int read_default_domain(
	const struct cs_clouds_source *source, struct cs_credentials *ret)
{
	const char *id, *name;

	if (cs_clouds_get(source, "default_domain_id", &id) < 0 ||
		cs_clouds_get(source, "default_domain_name", &name) < 0)
		return source->err->code;
	if (!ret->user_domain_id && !ret->user_domain_name) {
		cs_strset(&ret->user_domain_id, id);
		cs_strset(&ret->user_domain_name, name);
	}
	if (!ret->project_domain_id && !ret->project_domain_name) {
		cs_strset(&ret->project_domain_id, id);
		cs_strset(&ret->project_domain_name, name);
	}
	return 0;
}

/* "block-storage" -> block_storage_endpoint_override */
static int read_overrides(
	const struct cs_clouds_source *source, struct cs_credentials *ret)
{
	for (size_t i = 0; i < CS_SERVICES; i++) {
		const char *const *types = cs_service_types(i), *text = NULL;

		for (size_t j = 0; !text && types[j]; j++) {
			char key[KEY_MAX];

			snprintf(key, sizeof key, "%s_endpoint_override", types[j]);
			for (char *dash = key; (dash = strchr(dash, '-'));)
				*dash = '_';
			if (cs_clouds_get(source, key, &text) < 0)
				return source->err->code;
		}
		cs_strset(&ret->overrides[i], text);
	}
	return 0;
}

static int read_secret(const struct cs_clouds_source *source,
	const struct auth_kind *kind, struct cs_credentials *ret)
{
	const char *text = NULL;

	for (size_t i = 0; i < CS_ARRAY_SIZE(kind->secrets) && kind->secrets[i]; i++) {
		if (!text && cs_clouds_get(source, kind->secrets[i], &text) < 0)
			return source->err->code;
	}
	if (!kind->secrets[0])
		return 0;
	if (!text)
		return cs_error_set(source->err, CS_E_CONFIG, "%s: '%s' is missing",
			source->text, kind->secrets[0]);
	ret->secret = cs_secret_new(text);
	return 0;
}

/* "publicURL" is how it was written before Keystone v3. */
static int finish_interface(
	const struct cs_clouds_source *source, struct cs_credentials *ret)
{
	static const char *const known[] = {"public", "internal", "admin"};
	char *interface = ret->interface;
	size_t len = interface ? strlen(interface) : 0;

	if (!interface) {
		ret->interface = cs_strdup("public");
		return 0;
	}
	if (len > 3 && strcmp(interface + len - 3, "URL") == 0)
		interface[len - 3] = '\0';
	for (size_t i = 0; i < CS_ARRAY_SIZE(known); i++) {
		if (strcmp(interface, known[i]) == 0)
			return 0;
	}
	return fail(source, "'interface' must be public, internal or admin");
}

/* A credential by its id needs no user, one by its name does. */
static unsigned needs_of(const struct auth_kind *kind, const struct cs_credentials *given)
{
	unsigned needs = kind->needs;

	if (needs & NEEDS_CREDENTIAL && !given->credential_id && given->credential_name)
		needs = (needs & ~NEEDS_CREDENTIAL) | NEEDS_V3_USER;
	if (given->credential_id)
		needs &= ~NEEDS_CREDENTIAL;
	if (given->user_id)
		needs &= ~NEEDS_V3_USER;
	if (given->project_id)
		needs &= ~NEEDS_V3_PROJECT;
	return needs;
}

static int check(const struct cs_clouds_source *source, const struct auth_kind *kind,
	const struct cs_credentials *given)
{
	const struct {
		enum need need;
		bool there;
		const char *why;
	} rules[] = {
		{NEEDS_AUTH_URL, given->auth_url, "'auth_url' is missing"},
		{NEEDS_ENDPOINT, given->endpoint,
			"'endpoint' is missing: the URL of the Compute service"},
		{NEEDS_CREDENTIAL, false, "'application_credential_id' is missing"},
		{NEEDS_PROVIDER, given->provider && given->protocol,
			"'identity_provider' or 'protocol' is missing; ask for what "
			"Keystone calls them (openstack federation protocol list)"},
		{NEEDS_CLIENT, given->client_id, "'client_id' is missing"},
		{NEEDS_CLIENT, given->token_endpoint || given->discovery_endpoint,
			"'access_token_endpoint' or 'discovery_endpoint' of the identity "
			"provider is missing"},
		{NEEDS_USER, given->user_name, "'username' is missing"},
		{NEEDS_USER_DOMAIN, given->user_domain_id || given->user_domain_name,
			"'user_domain_name' is missing (often Default)"},
		{NEEDS_PROJECT, given->project_name,
			"'project_name' is missing; without a project Nova shows an "
			"empty list instead of an error"},
		{NEEDS_PROJECT_DOMAIN,
			given->project_domain_id || given->project_domain_name,
			"'project_domain_name' is missing (often Default)"},
	};
	unsigned needs = needs_of(kind, given);

	for (size_t i = 0; i < CS_ARRAY_SIZE(rules); i++) {
		if (needs & rules[i].need && !rules[i].there)
			return fail(source, rules[i].why);
	}
	if (given->key_file && !given->cert_file)
		return fail(source, "'key' is given without the certificate, 'cert'");
	return 0;
}

static int read_all(const struct cs_clouds_source *source, const char *region,
	struct cs_credentials *ret)
{
	const struct auth_kind *kind;
	bool verify, insecure;

	if (find_kind(source, &kind) < 0 || check_scope(source) < 0 ||
		read_texts(source, ret) < 0 || read_default_domain(source, ret) < 0 ||
		read_overrides(source, ret) < 0 ||
		(!region && cs_clouds_get(source, "region_name", &region) < 0) ||
		get_bool(source, "verify", true, &verify) < 0 ||
		get_bool(source, "insecure", false, &insecure) < 0 ||
		finish_interface(source, ret) < 0 || check(source, kind, ret) < 0 ||
		read_secret(source, kind, ret) < 0)
		return source->err->code;
	cs_strset(&ret->region, region);
	ret->type = kind->type;
	ret->verify = verify && !insecure;
	return 0;
}

int cs_clouds_credentials(const struct cs_clouds_source *source, const char *region,
	struct cs_credentials *ret)
{
	struct cs_credentials given = {.source = cs_strdup(source->text)};

	if (read_all(source, region, &given) < 0) {
		cs_credentials_done(&given);
		return source->err->code;
	}
	*ret = given;
	return 0;
}
