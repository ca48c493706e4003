/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finding and reading clouds.yaml and OS_*; see clouds.h. */
#include <config.h>
#include "domain/clouds.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "format/yaml.h"

#define FILE_MAX 65536
#define VARIABLE_MAX 64

/* Where the values of one cloud come from. */
struct source {
	const struct cs_yaml_node *entry; /* NULL: the environment */
	const char *path;
	const char *text; /* "cloud 'web' of FILE" */
	struct cs_error *err;
};

static int fail(const struct source *source, const char *why)
{
	return cs_error_set(source->err, CS_E_CONFIG, "%s: %s", source->text, why);
}

/* "auth-url" is "auth_url" to OpenStack's tools. */
static bool is_key(const char *given, const char *key)
{
	for (; *given && *key; given++, key++) {
		if (*given != *key && !(*given == '-' && *key == '_'))
			return false;
	}
	return *given == *key;
}

static const struct cs_yaml_node *find(const struct cs_yaml_node *map, const char *key)
{
	for (size_t i = 0; map && map->type == CS_YAML_MAP && i < map->n; i++) {
		if (is_key(map->items[i].key, key))
			return map->items[i].value;
	}
	return NULL;
}

static const char *from_environment(const char *key)
{
	char name[VARIABLE_MAX] = "OS_";
	const char *value;

	for (size_t i = 0; key[i] && i + 4 < sizeof name; i++)
		name[i + 3] = (char)toupper((unsigned char)key[i]);
	value = getenv(name);
	return value && *value ? value : NULL;
}

/* The value of `key` beside or in `auth` (beside it wins, as in openstacksdk); numbers
 * are text here. Empty and null are as good as absent. */
static int get(const struct source *source, const char *key, const char **ret)
{
	const struct cs_yaml_node *node = find(source->entry, key);

	*ret = NULL;
	if (!source->entry) {
		*ret = from_environment(key);
		return 0;
	}
	if (!node)
		node = find(find(source->entry, "auth"), key);
	if (node && node->type != CS_YAML_SCALAR)
		return cs_error_set(source->err, CS_E_CONFIG,
			"%s:%d: key '%s': expected one value", source->path, node->line,
			key);
	if (node && !cs_yaml_is_null(node) && *node->text)
		*ret = node->text;
	return 0;
}

static int get_bool(
	const struct source *source, const char *key, bool fallback, bool *ret)
{
	static const char *const words[] = {
		"false", "no", "off", "0", "true", "yes", "on", "1"};
	const char *text;

	*ret = fallback;
	if (get(source, key, &text) < 0)
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

/* Each key with the older names that mean the same. */
static const struct text_key {
	size_t offset;
	const char *names[3];
} text_keys[] = {
#define AT(member) offsetof(struct cs_credentials, member)
	{AT(auth_url), {"auth_url"}},
	{AT(user_id), {"user_id"}},
	{AT(user_name), {"username", "user_name"}},
	{AT(user_domain_id), {"user_domain_id", "domain_id"}},
	{AT(user_domain_name), {"user_domain_name", "domain_name"}},
	{AT(project_id), {"project_id", "tenant_id"}},
	{AT(project_name), {"project_name", "tenant_name"}},
	{AT(project_domain_id), {"project_domain_id", "domain_id"}},
	{AT(project_domain_name), {"project_domain_name", "domain_name"}},
	{AT(credential_id), {"application_credential_id"}},
	{AT(credential_name), {"application_credential_name"}},
	{AT(region), {"region_name"}},
	{AT(interface), {"interface", "endpoint_type"}},
	{AT(ca_file), {"cacert"}},
#undef AT
};

static int read_texts(const struct source *source, struct cs_credentials *ret)
{
	for (size_t i = 0; i < CS_ARRAY_SIZE(text_keys); i++) {
		const struct text_key *key = &text_keys[i];
		const char *text = NULL;

		for (size_t j = 0; j < CS_ARRAY_SIZE(key->names) && key->names[j]; j++) {
			if (!text && get(source, key->names[j], &text) < 0)
				return source->err->code;
		}
		cs_strset((char **)((char *)ret + key->offset), text);
	}
	return 0;
}

static int read_type(const struct source *source, struct cs_credentials *ret)
{
	const char *type, *profile;

	if (get(source, "auth_type", &type) < 0 || get(source, "profile", &profile) < 0)
		return source->err->code;
	if (profile)
		return fail(source, "'profile' is not supported; write auth_url and "
				    "region_name out");
	if (!type || strcmp(type, "password") == 0 || strcmp(type, "v3password") == 0)
		ret->type = CS_AUTH_PASSWORD;
	else if (strcmp(type, "v3applicationcredential") == 0)
		ret->type = CS_AUTH_APPLICATION_CREDENTIAL;
	else
		return cs_error_set(source->err, CS_E_CONFIG,
			"%s: auth_type '%.40s' is not supported yet; use "
			"v3applicationcredential (openstack application credential "
			"create) "
			"or password",
			source->text, type);
	return 0;
}

static int read_secret(const struct source *source, struct cs_credentials *ret)
{
	bool password = ret->type == CS_AUTH_PASSWORD;
	const char *key = password ? "password" : "application_credential_secret";
	const char *text;

	if (get(source, key, &text) < 0)
		return source->err->code;
	if (!text)
		return cs_error_set(source->err, CS_E_CONFIG, "%s: '%s' is missing",
			source->text, key);
	ret->secret = cs_secret_new(text);
	return 0;
}

/* "publicURL" is how it was written before Keystone v3. */
static int finish_interface(const struct source *source, struct cs_credentials *ret)
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

static int check_user(const struct source *source, const struct cs_credentials *given)
{
	if (!given->user_id && !given->user_name)
		return fail(source, "'username' is missing");
	if (!given->user_id && !given->user_domain_id && !given->user_domain_name)
		return fail(source, "'user_domain_name' is missing (often Default)");
	return 0;
}

static int check(const struct source *source, const struct cs_credentials *given)
{
	if (!given->auth_url)
		return fail(source, "'auth_url' is missing");
	if (given->type == CS_AUTH_APPLICATION_CREDENTIAL) {
		if (given->credential_id)
			return 0;
		if (!given->credential_name)
			return fail(source, "'application_credential_id' is missing");
		return check_user(source, given);
	}
	if (check_user(source, given) < 0)
		return source->err->code;
	if (!given->project_id && !given->project_name)
		return fail(source, "'project_name' is missing; without a project Nova "
				    "shows an empty "
				    "list instead of an error");
	if (!given->project_id && !given->project_domain_id &&
		!given->project_domain_name)
		return fail(source, "'project_domain_name' is missing (often Default)");
	return 0;
}

static int read_source(const struct source *source, struct cs_credentials *ret)
{
	struct cs_credentials given = {.source = cs_strdup(source->text)};
	bool verify, insecure;

	if (read_type(source, &given) == 0 && read_texts(source, &given) == 0 &&
		get_bool(source, "verify", true, &verify) == 0 &&
		get_bool(source, "insecure", false, &insecure) == 0 &&
		finish_interface(source, &given) == 0 && check(source, &given) == 0 &&
		read_secret(source, &given) == 0) {
		given.verify = verify && !insecure;
		*ret = given;
		return 0;
	}
	cs_credentials_done(&given);
	return source->err->code;
}

static int no_cloud(const struct cs_yaml_node *clouds, const char *path,
	const char *cloud, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf names = CS_STRBUF(256);

	for (size_t i = 0; i < clouds->n; i++)
		cs_strbuf_addf(&names, "%s%s", i ? ", " : "", clouds->items[i].key);
	return cs_error_set(err, CS_E_CONFIG, "%s has no cloud '%.60s'; it has: %s", path,
		cloud, clouds->n ? cs_strbuf_text(&names) : "none");
}

int cs_clouds_parse(const char *text, size_t len, const char *path, const char *cloud,
	struct cs_credentials *ret, struct cs_error *err)
{
	CS_CLEANUP(cs_yaml_freep) struct cs_yaml *yaml = NULL;
	CS_AUTO_FREE char *label = cs_asprintf("cloud '%s' of %s", cloud, path);

	if (cs_yaml_parse(text, len, path, &yaml, err) < 0)
		return err->code;
	const struct cs_yaml_item *clouds = cs_yaml_find(cs_yaml_root(yaml), "clouds");
	if (!clouds || clouds->value->type != CS_YAML_MAP)
		return cs_error_set(err, CS_E_CONFIG,
			"%s: expected 'clouds:' with the clouds below it", path);
	const struct cs_yaml_item *entry = cs_yaml_find(clouds->value, cloud);
	if (!entry)
		return no_cloud(clouds->value, path, cloud, err);
	if (entry->value->type != CS_YAML_MAP)
		return cs_error_set(err, CS_E_CONFIG,
			"%s:%d: cloud '%.60s': expected keys with values", path,
			entry->line, cloud);
	const struct source source = {entry->value, path, label, err};
	return read_source(&source, ret);
}

/* The path of the first file that exists; owned by the caller. */
static int search(char **ret, struct cs_error *err)
{
	const char *given = getenv("OS_CLIENT_CONFIG_FILE"), *home = getenv("HOME");
	CS_AUTO_FREE char *own =
		home ? cs_asprintf("%s/.config/openstack/clouds.yaml", home) : NULL;

	if (given && *given) {
		*ret = cs_strdup(given);
		return 0;
	}
	if (own && isatty(STDIN_FILENO) && access(own, F_OK) == 0) {
		*ret = CS_TAKE(own);
		return 0;
	}
	if (access(CS_CLOUDS_SITE_FILE, F_OK) == 0) {
		*ret = cs_strdup(CS_CLOUDS_SITE_FILE);
		return 0;
	}
	return cs_error_set(err, CS_E_CONFIG,
		"no clouds.yaml: 'clouds-file' is not configured, OS_CLIENT_CONFIG_FILE "
		"is not set, and there is no " CS_CLOUDS_SITE_FILE
		"%s; begin with the example "
		"%s/clouds.yaml",
		isatty(STDIN_FILENO) ? " nor one in ~/.config/openstack" : "", CS_DOCDIR);
}

int cs_clouds_read(const char *file, const char *cloud, struct cs_clouds_text *ret,
	struct cs_error *err)
{
	CS_AUTO_FREE char *path = file ? cs_strdup(file) : NULL;
	CS_CLEANUP(cs_clouds_text_done) struct cs_clouds_text text = {0};

	if (strcmp(cloud, CS_CLOUDS_ENVIRONMENT) == 0) {
		*ret = text;
		return 0;
	}
	if (!path && search(&path, err) < 0)
		return err->code;
	text.text = cs_calloc(FILE_MAX, 1);
	int r = cs_file_read_private(path, text.text, FILE_MAX, &text.len, err);
	if (r == CS_E_NOT_FOUND)
		cs_error_advise(err,
			"correct clouds-file, or begin with the example: "
			"install -m 640 " CS_DOCDIR "/clouds.yaml %s",
			path);
	if (r < 0)
		return r == CS_E_REFUSED ? r : (int)(err->code = CS_E_CONFIG);
	text.path = CS_TAKE(path);
	*ret = text;
	text = (struct cs_clouds_text){0};
	return 0;
}

int cs_clouds_pick(const struct cs_clouds_text *text, const char *cloud,
	struct cs_credentials *ret, struct cs_error *err)
{
	const struct source environment = {
		NULL, NULL, "cloud 'envvars' (the OS_* variables)", err};

	return text->path ? cs_clouds_parse(
				    text->text, text->len, text->path, cloud, ret, err)
			  : read_source(&environment, ret);
}

void cs_clouds_text_done(struct cs_clouds_text *text)
{
	if (text->text)
		explicit_bzero(text->text, FILE_MAX);
	free(text->text);
	free(text->path);
	*text = (struct cs_clouds_text){0};
}

int cs_clouds_find(const char *file, const char *cloud, struct cs_credentials *ret,
	struct cs_error *err)
{
	CS_CLEANUP(cs_clouds_text_done) struct cs_clouds_text text = {0};

	if (cs_clouds_read(file, cloud, &text, err) < 0)
		return err->code;
	return cs_clouds_pick(&text, cloud, ret, err);
}
