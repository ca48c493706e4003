/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finding and merging clouds.yaml and its companions; see clouds.h. */
#include <config.h>
#include "domain/clouds_internal.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/user.h"

#define FILE_MAX 65536
#define VARIABLE_MAX 64

static const struct kind {
	const char *name;     /* of the file, without its end */
	const char *variable; /* that names it, or NULL */
	const char *key;      /* that its clouds are below */
} kinds[CS_CLOUDS_KINDS] = {
	[CS_CLOUDS_MAIN] = {"clouds", "OS_CLIENT_CONFIG_FILE", "clouds"},
	[CS_CLOUDS_SECURE] = {"secure", "OS_CLIENT_SECURE_FILE", "clouds"},
	[CS_CLOUDS_PUBLIC] = {"clouds-public", NULL, "public-clouds"},
};

/* "auth-url" is "auth_url" to OpenStack's tools. */
static bool is_key(const char *given, const char *key)
{
	for (; *given && *key; given++, key++) {
		if (*given != *key && !(*given == '-' && *key == '_'))
			return false;
	}
	return *given == *key;
}

const struct cs_yaml_node *cs_clouds_node(const struct cs_yaml_node *map, const char *key)
{
	for (size_t i = 0; map && map->type == CS_YAML_MAP && i < map->n; i++) {
		if (is_key(map->items[i].key, key))
			return map->items[i].value;
	}
	return NULL;
}

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static const char *from_environment(const char *key)
{
	char name[VARIABLE_MAX] = "OS_";

	for (size_t i = 0; key[i] && i + 4 < sizeof name; i++)
		name[i + 3] = (char)toupper((unsigned char)key[i]);
	return variable(name);
}

char *cs_clouds_expand(const char *path)
{
	const char *home = variable("HOME");

	return home && strncmp(path, "~/", 2) == 0 ? cs_asprintf("%s%s", home, path + 1)
						   : cs_strdup(path);
}

static int text_of(const struct cs_clouds_source *source, const char *path,
	const char *key, const struct cs_yaml_node *node, const char **ret)
{
	if (node && node->type != CS_YAML_SCALAR)
		return cs_error_set(source->err, CS_E_CONFIG,
			"%s:%d: key '%s': expected one value", path, node->line, key);
	if (node && !cs_yaml_is_null(node) && *node->text)
		*ret = node->text;
	return 0;
}

/* Numbers are text here. */
int cs_clouds_get(
	const struct cs_clouds_source *source, const char *key, const char **ret)
{
	*ret = source->n == 0 ? from_environment(key) : NULL;
	for (size_t i = 0; !*ret && i < 2 * source->n; i++) {
		const struct cs_clouds_layer *layer = &source->layers[i % source->n];
		const struct cs_yaml_node *map = layer->entry;

		if (i >= source->n)
			map = cs_clouds_node(map, "auth");
		if (text_of(source, layer->path, key, cs_clouds_node(map, key), ret) < 0)
			return source->err->code;
	}
	return 0;
}

/* The entry of a cloud in one file. NULL when the file or the entry is missing. */
static int find_entry(const struct cs_yaml *yaml, const char *path,
	enum cs_clouds_kind kind, const char *name, const struct cs_yaml_node **ret,
	struct cs_error *err)
{
	const struct cs_yaml_item *clouds =
		yaml ? cs_yaml_find(cs_yaml_root(yaml), kinds[kind].key) : NULL;

	*ret = NULL;
	if (!yaml)
		return 0;
	if (!clouds || clouds->value->type != CS_YAML_MAP)
		return cs_error_set(err, CS_E_CONFIG,
			"%s: expected '%s:' with the clouds below it", path,
			kinds[kind].key);
	const struct cs_yaml_item *entry = cs_yaml_find(clouds->value, name);
	if (entry && entry->value->type != CS_YAML_MAP)
		return cs_error_set(err, CS_E_CONFIG,
			"%s:%d: cloud '%.60s': expected keys with values", path,
			entry->line, name);
	*ret = entry ? entry->value : NULL;
	return 0;
}

static int no_cloud(const struct cs_yaml *yaml, const char *path, const char *cloud,
	struct cs_error *err)
{
	const struct cs_yaml_node *clouds =
		cs_yaml_find(cs_yaml_root(yaml), kinds[CS_CLOUDS_MAIN].key)->value;
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf names = CS_STRBUF(256);

	for (size_t i = 0; i < clouds->n; i++)
		cs_strbuf_addf(&names, "%s%s", i ? ", " : "", clouds->items[i].key);
	return cs_error_set(err, CS_E_CONFIG, "%s has no cloud '%.60s'; it has: %s", path,
		cloud, clouds->n ? cs_strbuf_text(&names) : "none");
}

static void add_layer(struct cs_clouds_source *source, const struct cs_yaml_node *entry,
	const char *path)
{
	source->layers[source->n++] = (struct cs_clouds_layer){entry, path};
}

/* The profiles that are built into openstacksdk change with every release of it, and so
 * would our idea of a cloud. */
static int add_profile(const struct cs_clouds_text *text, const struct cs_yaml *yaml,
	struct cs_clouds_source *source)
{
	const struct cs_yaml_node *entry;
	const char *path = text->files[CS_CLOUDS_PUBLIC].path;
	const char *name;

	/* "cloud" is what the key was first called. */
	if (cs_clouds_get(source, "profile", &name) < 0 ||
		(!name && cs_clouds_get(source, "cloud", &name) < 0))
		return source->err->code;
	if (!name)
		return 0;
	if (find_entry(yaml, path, CS_CLOUDS_PUBLIC, name, &entry, source->err) < 0)
		return source->err->code;
	if (!entry)
		return cs_error_set(source->err, CS_E_CONFIG,
			"%s: profile '%.60s' is not in %s, and those that openstacksdk "
			"or a web site has are not known here; write auth_url and "
			"region_name out, or put it into clouds-public.yaml",
			source->text, name, path ? path : "any clouds-public.yaml");
	add_layer(source, entry, path);
	return 0;
}

/* The values of a region go before all others. NULL: there is no list of regions. */
static int add_region(struct cs_clouds_source *source, const char **ret)
{
	const struct cs_yaml_node *list = NULL;
	const char *wanted, *path = NULL;

	*ret = NULL;
	if (cs_clouds_get(source, "region_name", &wanted) < 0)
		return source->err->code;
	for (size_t i = 0; !list && i < source->n; i++) {
		list = cs_clouds_node(source->layers[i].entry, "regions");
		path = source->layers[i].path;
	}
	if (!list || list->type != CS_YAML_LIST || list->n == 0)
		return 0;
	for (size_t i = 0; i < list->n; i++) {
		const struct cs_yaml_node *item = list->items[i].value;
		const struct cs_yaml_node *name =
			item->type == CS_YAML_MAP ? cs_clouds_node(item, "name") : item;

		if (!name || name->type != CS_YAML_SCALAR)
			return cs_error_set(source->err, CS_E_CONFIG,
				"%s:%d: key 'regions': expected names, or maps of name "
				"and values",
				path, item->line);
		if (wanted && strcmp(wanted, name->text) != 0)
			continue;
		*ret = name->text;
		memmove(source->layers + 1, source->layers,
			source->n++ * sizeof *source->layers);
		source->layers[0] =
			(struct cs_clouds_layer){cs_clouds_node(item, "values"), path};
		return 0;
	}
	return cs_error_set(source->err, CS_E_CONFIG,
		"%s: region_name '%.60s' is not one of its 'regions'", source->text,
		wanted);
}

static int pick(const struct cs_clouds_text *text, struct cs_yaml *const *yaml,
	const char *cloud, struct cs_credentials *ret, struct cs_error *err)
{
	const struct cs_clouds_file *main_file = &text->files[CS_CLOUDS_MAIN];
	CS_AUTO_FREE char *label =
		cs_asprintf("cloud '%s' of %s", cloud, main_file->path);
	struct cs_clouds_source source = {.text = label, .err = err};
	const char *region = NULL;

	for (int kind = CS_CLOUDS_SECURE; kind >= CS_CLOUDS_MAIN; kind--) {
		const struct cs_yaml_node *entry;
		const char *path = text->files[kind].path;

		if (find_entry(yaml[kind], path, kind, cloud, &entry, err) < 0)
			return err->code;
		if (entry)
			add_layer(&source, entry, path);
	}
	if (source.n == 0)
		return no_cloud(yaml[CS_CLOUDS_MAIN], main_file->path, cloud, err);
	if (add_profile(text, yaml[CS_CLOUDS_PUBLIC], &source) < 0 ||
		add_region(&source, &region) < 0)
		return err->code;
	return cs_clouds_credentials(&source, region, ret);
}

/* The environment may name a cloud of the files instead of describing one. */
static const char *named(const char *cloud)
{
	const char *other = variable("OS_CLOUD");

	return strcmp(cloud, CS_CLOUDS_ENVIRONMENT) == 0 && other ? other : cloud;
}

int cs_clouds_pick(const struct cs_clouds_text *text, const char *cloud,
	struct cs_credentials *ret, struct cs_error *err)
{
	const struct cs_clouds_source environment = {
		.text = "cloud 'envvars' (the OS_* variables)", .err = err};
	struct cs_yaml *yaml[CS_CLOUDS_KINDS] = {NULL};
	int r = 0;

	if (!text->files[CS_CLOUDS_MAIN].path)
		return cs_clouds_credentials(&environment, NULL, ret);
	for (size_t i = 0; r == 0 && i < CS_CLOUDS_KINDS; i++) {
		const struct cs_clouds_file *file = &text->files[i];

		if (file->path)
			r = cs_yaml_parse(
				file->text, file->len, file->path, &yaml[i], err);
	}
	if (r == 0)
		r = pick(text, yaml, named(cloud), ret, err);
	for (size_t i = 0; i < CS_CLOUDS_KINDS; i++)
		cs_yaml_free(yaml[i]);
	return r;
}

/* Files and folders */

static char *in_folder(const char *folder, enum cs_clouds_kind kind)
{
	static const char *const ends[] = {"yaml", "yml", "json"};

	for (size_t i = 0; i < CS_ARRAY_SIZE(ends); i++) {
		CS_AUTO_FREE char *path =
			cs_asprintf("%s/%s.%s", folder, kinds[kind].name, ends[i]);
		if (access(path, F_OK) == 0)
			return CS_TAKE(path);
	}
	return NULL;
}

/* Whoever a monitoring system runs as may have a home that others prepared. */
static char *search(enum cs_clouds_kind kind)
{
	const char *named = kinds[kind].variable ? variable(kinds[kind].variable) : NULL;
	bool is_person = isatty(STDIN_FILENO);
	const char *xdg = is_person ? variable("XDG_CONFIG_HOME") : NULL;
	const char *home = is_person ? variable("HOME") : NULL;
	CS_AUTO_FREE char *own_xdg = xdg ? cs_asprintf("%s/openstack", xdg) : NULL;
	CS_AUTO_FREE char *own = home ? cs_asprintf("%s/.config/openstack", home) : NULL;
	const char *const folders[] = {
		own_xdg, own, "/etc/xdg/openstack", "/etc/openstack"};

	if (named)
		return cs_strdup(named);
	for (size_t i = 0; i < CS_ARRAY_SIZE(folders); i++) {
		char *path = folders[i] ? in_folder(folders[i], kind) : NULL;
		if (path)
			return path;
	}
	return NULL;
}

static char *beside(const char *file, enum cs_clouds_kind kind)
{
	const char *slash = strrchr(file, '/');
	CS_AUTO_FREE char *folder =
		slash ? cs_strndup(file, (size_t)(slash - file)) : cs_strdup(".");

	return in_folder(folder, kind);
}

static int missing(struct cs_error *err)
{
	return cs_error_set(err, CS_E_CONFIG,
		"no clouds.yaml: 'clouds-file' is not configured, OS_CLIENT_CONFIG_FILE "
		"is not set, and there is no " CS_CLOUDS_SITE_FILE
		"%s; begin with the example "
		"%s/clouds.yaml",
		isatty(STDIN_FILENO) ? " nor one in ~/.config/openstack" : "", CS_DOCDIR);
}

static int read_file(
	struct cs_clouds_file *file, enum cs_clouds_kind kind, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf public = CS_STRBUF(FILE_MAX - 1);
	int r;

	file->text = cs_calloc(FILE_MAX, 1);
	if (kind != CS_CLOUDS_PUBLIC) {
		r = cs_file_read_private(
			file->path, file->text, FILE_MAX, &file->len, err);
	} else if ((r = cs_file_read(file->path, &public, err)) == 0) {
		file->len = public.len;
		memcpy(file->text, cs_strbuf_text(&public), file->len);
	}
	if (r == CS_E_NOT_FOUND && kind == CS_CLOUDS_MAIN) {
		CS_AUTO_FREE char *group = cs_group_name(getegid());

		cs_error_advise(err,
			"correct clouds-file, or begin with the example: "
			"install -g %s -m 640 " CS_DOCDIR "/clouds.yaml %s",
			group + (*group == '#'), file->path);
	}
	if (r < 0 && r != CS_E_REFUSED)
		err->code = CS_E_CONFIG;
	return r < 0 ? (int)err->code : 0;
}

int cs_clouds_read(const char *file, const char *cloud, struct cs_clouds_text *ret,
	struct cs_error *err)
{
	CS_CLEANUP(cs_clouds_text_done) struct cs_clouds_text text = {0};

	cs_secret_no_core();
	for (int kind = 0; kind < CS_CLOUDS_KINDS; kind++) {
		struct cs_clouds_file *one = &text.files[kind];

		if (strcmp(named(cloud), CS_CLOUDS_ENVIRONMENT) == 0)
			break;
		one->path = !file		     ? search(kind)
			    : kind == CS_CLOUDS_MAIN ? cs_strdup(file)
						     : beside(file, kind);
		if (!one->path && kind == CS_CLOUDS_MAIN)
			return missing(err);
		if (one->path && read_file(one, kind, err) < 0)
			return err->code;
	}
	*ret = text;
	text = (struct cs_clouds_text){0};
	return 0;
}

void cs_clouds_text_done(struct cs_clouds_text *text)
{
	for (size_t i = 0; i < CS_CLOUDS_KINDS; i++) {
		if (text->files[i].text)
			explicit_bzero(text->files[i].text, FILE_MAX);
		free(text->files[i].text);
		free(text->files[i].path);
	}
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
