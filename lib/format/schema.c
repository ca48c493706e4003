/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading a YAML mapping by a table; see schema.h. */
#include <config.h>
#include "format/schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"

/* Where a key stands, for the messages. */
struct place {
	const char *path;
	const char *section; /* "clusters.web.", "" at the top */
	int line;	     /* of the section, for keys that it lacks */
	struct cs_error *err;
};

static int read_keys(const struct cs_schema_key *keys, const struct cs_yaml_node *map,
	bool enforce, const struct place *place, char *object);

static void describe_seconds(int64_t ms, char *text, size_t size)
{
	snprintf(text, size, ms % CS_MS_PER_S ? "%" PRId64 ".%03" PRId64 : "%" PRId64,
		ms / CS_MS_PER_S, ms % CS_MS_PER_S);
}

/* "a whole number from 1 to 1000" */
static void describe_wanted(const struct cs_schema_key *key, struct cs_strbuf *ret)
{
	static const char *const words[] = {
		[CS_SCHEMA_STRING] = "one line of text",
		[CS_SCHEMA_TEXT] = "one line of text, possibly empty",
		[CS_SCHEMA_PATH] = "a path that begins with '/'",
		[CS_SCHEMA_STRINGS] = "a list of texts",
		[CS_SCHEMA_BOOL] = "true or false",
		[CS_SCHEMA_INT] = "a whole number",
		[CS_SCHEMA_SECONDS] = "seconds (or 90s, 5m, 1h)",
		[CS_SCHEMA_PERCENT] = "a percentage without its sign",
		[CS_SCHEMA_AMOUNT] = "a whole number",
		[CS_SCHEMA_CHOICE] = "one of",
		[CS_SCHEMA_SECTION] = "keys with values",
		[CS_SCHEMA_LIST] = "a list of keys with values",
		[CS_SCHEMA_MAP] = "names, each with its keys",
	};
	char min[32], max[32];

	cs_strbuf_add(ret, words[key->type]);
	if (key->type == CS_SCHEMA_CHOICE) {
		for (const char *const *word = key->choices; *word; word++)
			cs_strbuf_addf(
				ret, "%s %s", word == key->choices ? "" : ",", *word);
	} else if (key->type == CS_SCHEMA_INT) {
		cs_strbuf_addf(ret, " from %" PRId64 " to %" PRId64, key->min, key->max);
	} else if (key->type == CS_SCHEMA_AMOUNT) {
		cs_strbuf_addf(ret, " from %" PRId64 " to %" PRId64 ", or 1%% to 100%%",
			key->min, key->max);
	} else if (key->type == CS_SCHEMA_PERCENT) {
		cs_strbuf_addf(ret, " from %" PRId64 " to %" PRId64, key->min / 10,
			key->max / 10);
	} else if (key->type == CS_SCHEMA_SECONDS) {
		describe_seconds(key->min, min, sizeof min);
		describe_seconds(key->max, max, sizeof max);
		cs_strbuf_addf(ret, " from %s to %s", min, max);
	}
}

static int wrong(const struct cs_schema_key *key, const struct cs_yaml_node *node,
	const struct place *place)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf wanted = CS_STRBUF(256);
	CS_AUTO_FREE char *found = NULL;

	describe_wanted(key, &wanted);
	if (cs_yaml_is_null(node))
		found = cs_strdup("nothing");
	else if (node->type == CS_YAML_SCALAR)
		found = cs_asprintf("'%.60s'", node->text);
	else
		found = cs_strdup(
			node->type == CS_YAML_LIST ? "a list" : "keys with values");
	return cs_error_set(place->err, CS_E_CONFIG,
		"%s:%d: key '%s%s': expected %s, found %s", place->path, node->line,
		place->section, key->name, cs_strbuf_text(&wanted), found);
}

static bool is_line(const struct cs_yaml_node *node)
{
	if (node->type != CS_YAML_SCALAR || cs_yaml_is_null(node))
		return false;
	for (const char *p = node->text; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	}
	return true;
}

static bool parse_amount(
	const char *text, const struct cs_schema_key *key, struct cs_amount *ret)
{
	struct cs_amount amount = {0};
	size_t len = strlen(text);

	if (len > 0 && text[len - 1] == '%') {
		CS_AUTO_FREE char *number = cs_strndup(text, len - 1);
		if (!cs_parse_scaled(number, 10, 10, 1000, &amount.permille))
			return false;
	} else if (!cs_parse_int(text, key->min, key->max, &amount.number)) {
		return false;
	}
	*ret = amount;
	return true;
}

static bool parse_choice(const char *text, const char *const *choices, int *ret)
{
	for (int i = 0; choices[i]; i++) {
		if (strcmp(choices[i], text) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static bool parse_bool(const char *text, bool *ret)
{
	bool yes = strcmp(text, "true") == 0;

	if (!yes && strcmp(text, "false") != 0)
		return false;
	*ret = yes;
	return true;
}

/* One value; `slot` is the member that it belongs to. */
static bool store(
	const struct cs_schema_key *key, const struct cs_yaml_node *node, void *slot)
{
	const char *text = node->text;

	if (!is_line(node))
		return false;
	switch (key->type) {
	case CS_SCHEMA_STRING:
	case CS_SCHEMA_TEXT:
	case CS_SCHEMA_PATH:
		if ((key->type == CS_SCHEMA_PATH && *text != '/') ||
			(key->type == CS_SCHEMA_STRING && *text == '\0'))
			return false;
		cs_strset(slot, text);
		return true;
	case CS_SCHEMA_BOOL:
		return node->plain && parse_bool(text, slot);
	case CS_SCHEMA_INT:
		return node->plain && cs_parse_int(text, key->min, key->max, slot);
	case CS_SCHEMA_SECONDS:
		return node->plain && cs_parse_seconds(text, key->min, key->max, slot);
	case CS_SCHEMA_PERCENT:
		return node->plain && cs_parse_scaled(text, 10, key->min, key->max, slot);
	case CS_SCHEMA_AMOUNT:
		return node->plain && parse_amount(text, key, slot);
	case CS_SCHEMA_CHOICE:
		return parse_choice(text, key->choices, slot);
	default:
		return false;
	}
}

static int read_strings(const struct cs_schema_key *key, const struct cs_yaml_node *node,
	const struct place *place, struct cs_strings *ret)
{
	if (node->type != CS_YAML_LIST)
		return wrong(key, node, place);
	for (size_t i = 0; i < node->n; i++) {
		const struct cs_yaml_node *item = node->items[i].value;
		if (!is_line(item) || item->text[0] == '\0')
			return wrong(key, item, place);
		cs_strings_add(ret, item->text);
	}
	return 0;
}

/* Appends a zeroed struct to the array of LIST or MAP in `object`. Memcpy, because the
 * array is of a struct type that is not known here. */
static char *add_struct(const struct cs_schema_key *key, char *object)
{
	char *array, *element;
	size_t n;

	memcpy(&array, object + key->offset, sizeof array);
	memcpy(&n, object + key->count_offset, sizeof n);
	array = cs_reallocarray(array, n + 1, key->size_bytes);
	element = array + n++ * key->size_bytes;
	memset(element, 0, key->size_bytes);
	memcpy(object + key->offset, &array, sizeof array);
	memcpy(object + key->count_offset, &n, sizeof n);
	return element;
}

/* Each struct is in the array before it is filled, so that an error in the middle leaves
 * nothing that cs_schema_free() does not know. */
static int read_structs(const struct cs_schema_key *key, const struct cs_yaml_node *node,
	const struct place *place, char *object)
{
	bool is_map = key->type == CS_SCHEMA_MAP;

	if (node->type != (is_map ? CS_YAML_MAP : CS_YAML_LIST))
		return wrong(key, node, place);
	for (size_t i = 0; i < node->n; i++) {
		const struct cs_yaml_item *item = &node->items[i];
		CS_AUTO_FREE char *section =
			is_map ? cs_asprintf(
					 "%s%s.%s.", place->section, key->name, item->key)
			       : cs_asprintf("%s%s[%zu].", place->section, key->name, i);
		struct place inner = *place;
		inner.section = section;
		inner.line = item->value->line;
		if (item->value->type != CS_YAML_MAP)
			return wrong(key, item->value, place);
		char *element = add_struct(key, object);
		if (is_map)
			*(char **)element = cs_strdup(item->key);
		if (read_keys(key->keys, item->value, true, &inner, element) < 0)
			return place->err->code;
	}
	return 0;
}

static int read_section(const struct cs_schema_key *key, const struct cs_yaml_item *item,
	bool enforce, const struct place *place, char *object)
{
	CS_AUTO_FREE char *section = cs_asprintf("%s%s.", place->section, key->name);
	struct place inner = *place;

	inner.section = section;
	if (item)
		inner.line = item->line;
	if (item && item->value->type != CS_YAML_MAP)
		return wrong(key, item->value, place);
	return read_keys(key->keys, item ? item->value : NULL,
		item || (enforce && key->required), &inner, object + key->offset);
}

static int read_key(const struct cs_schema_key *key, const struct cs_yaml_item *item,
	bool enforce, const struct place *place, char *object)
{
	if (key->type == CS_SCHEMA_SECTION)
		return read_section(key, item, enforce, place, object);
	if (!item && key->required && enforce)
		return cs_error_set(place->err, CS_E_CONFIG,
			"%s:%d: key '%s%s' is missing", place->path, place->line,
			place->section, key->name);
	const struct cs_yaml_node given = {.type = CS_YAML_SCALAR,
		.plain = true,
		.line = place->line,
		.text = (char *)key->fallback};
	if (!item && !key->fallback)
		return 0;
	const struct cs_yaml_node *node = item ? item->value : &given;
	if (key->type == CS_SCHEMA_STRINGS)
		return read_strings(
			key, node, place, (struct cs_strings *)(object + key->offset));
	if (key->type == CS_SCHEMA_LIST || key->type == CS_SCHEMA_MAP)
		return read_structs(key, node, place, object);
	return store(key, node, object + key->offset) ? 0 : wrong(key, node, place);
}

static int refuse_unknown(const struct cs_schema_key *keys,
	const struct cs_yaml_node *map, const struct place *place)
{
	for (size_t i = 0; i < map->n; i++) {
		CS_CLEANUP(cs_strbuf_done) struct cs_strbuf valid = CS_STRBUF(384);
		const struct cs_schema_key *key = keys;

		while (key->name && strcmp(key->name, map->items[i].key) != 0) {
			cs_strbuf_addf(
				&valid, "%s%s", key == keys ? "" : ", ", key->name);
			key++;
		}
		if (!key->name)
			return cs_error_set(place->err, CS_E_CONFIG,
				"%s:%d: unknown key '%s%.60s'; valid here: %s",
				place->path, map->items[i].line, place->section,
				map->items[i].key, cs_strbuf_text(&valid));
	}
	return 0;
}

/* `map` NULL: only the defaults. */
static int read_keys(const struct cs_schema_key *keys, const struct cs_yaml_node *map,
	bool enforce, const struct place *place, char *object)
{
	if (map && refuse_unknown(keys, map, place) < 0)
		return place->err->code;
	for (const struct cs_schema_key *key = keys; key->name; key++) {
		if (read_key(key, cs_yaml_find(map, key->name), enforce, place, object) <
			0)
			return place->err->code;
	}
	return 0;
}

int cs_schema_read(const struct cs_schema_key *keys, const struct cs_yaml_node *map,
	const char *path, void *ret, struct cs_error *err)
{
	const struct place top = {
		.path = path, .section = "", .line = map->line, .err = err};

	if (map->type != CS_YAML_MAP)
		return cs_error_set(err, CS_E_CONFIG,
			"%s:%d: expected keys with values, such as '%s: ...'", path,
			map->line, keys[0].name);
	return read_keys(keys, map, true, &top, ret);
}

static void free_structs(const struct cs_schema_key *key, char *object)
{
	char *array;
	size_t n;

	memcpy(&array, object + key->offset, sizeof array);
	memcpy(&n, object + key->count_offset, sizeof n);
	for (size_t i = 0; i < n; i++) {
		char *element = array + i * key->size_bytes;
		if (key->type == CS_SCHEMA_MAP)
			cs_strset((char **)element, NULL);
		cs_schema_free(key->keys, element);
	}
	free(array);
	array = NULL;
	n = 0;
	memcpy(object + key->offset, &array, sizeof array);
	memcpy(object + key->count_offset, &n, sizeof n);
}

void cs_schema_free(const struct cs_schema_key *keys, void *object)
{
	for (const struct cs_schema_key *key = keys; key->name; key++) {
		char *slot = (char *)object + key->offset;

		if (key->type == CS_SCHEMA_SECTION)
			cs_schema_free(key->keys, slot);
		else if (key->type == CS_SCHEMA_LIST || key->type == CS_SCHEMA_MAP)
			free_structs(key, object);
		else if (key->type == CS_SCHEMA_STRINGS)
			cs_strings_done((struct cs_strings *)slot);
		else if (key->type <= CS_SCHEMA_PATH)
			cs_strset((char **)slot, NULL);
	}
}
