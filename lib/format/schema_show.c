/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A struct by its table of keys, as YAML; see schema.h. */
#include <config.h>
#include "format/schema.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"

/* Where the remarks begin. */
#define ORIGIN_COLUMN 48

/* What is printed, and where its lines are from. */
struct show {
	const char *path;
	struct cs_strbuf *out;
};

static void show_keys(const struct show *show, const struct cs_schema_key *keys,
	const struct cs_yaml_node *map, const char *object, int depth);

static void indent(const struct show *show, int depth)
{
	cs_strbuf_addf(show->out, "%*s", 4 * depth, "");
}

/* `item` NULL: what is printed is not in the file. */
static void end_line(
	const struct show *show, size_t start, const struct cs_yaml_item *item)
{
	size_t width = show->out->len - start;
	int blanks = width < ORIGIN_COLUMN ? (int)(ORIGIN_COLUMN - width) : 1;

	if (item)
		cs_strbuf_addf(
			show->out, "%*s# %s:%d\n", blanks, "", show->path, item->line);
	else
		cs_strbuf_addf(show->out, "%*s# default\n", blanks, "");
}

/* In double quotes, which YAML takes as JSON does. */
static void add_text(struct cs_strbuf *out, const char *text)
{
	cs_strbuf_add(out, "\"");
	for (; *text; text++)
		cs_strbuf_addf(
			out, "%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
	cs_strbuf_add(out, "\"");
}

/* "70", "70.5" */
static void add_scaled(struct cs_strbuf *out, int64_t value, int64_t scale)
{
	cs_strbuf_addf(out, "%" PRId64, value / scale);
	if (value % scale && scale == 10)
		cs_strbuf_addf(out, ".%" PRId64, value % scale);
	else if (value % scale)
		cs_strbuf_addf(out, ".%03" PRId64, value % scale);
}

static void add_amount(struct cs_strbuf *out, const struct cs_amount *amount)
{
	if (!amount->permille) {
		cs_strbuf_addf(out, "%" PRId64, amount->number);
		return;
	}
	add_scaled(out, amount->permille, 10);
	cs_strbuf_add(out, "%");
}

static void add_strings(struct cs_strbuf *out, const struct cs_strings *strings)
{
	cs_strbuf_add(out, "[");
	for (size_t i = 0; i < strings->n; i++) {
		cs_strbuf_add(out, i ? ", " : "");
		add_text(out, strings->items[i]);
	}
	cs_strbuf_add(out, "]");
}

/* Nothing that a file could say. */
static bool is_unset(const struct cs_schema_key *key, const char *slot)
{
	if (key->type == CS_SCHEMA_STRINGS)
		return ((const struct cs_strings *)slot)->n == 0;
	if (key->type == CS_SCHEMA_INT)
		return *(const int64_t *)slot < key->min;
	return key->type <= CS_SCHEMA_PATH && !*(char *const *)slot;
}

static void add_value(
	struct cs_strbuf *out, const struct cs_schema_key *key, const char *slot)
{
	switch (key->type) {
	case CS_SCHEMA_STRING:
	case CS_SCHEMA_TEXT:
	case CS_SCHEMA_PATH:
		add_text(out, *(char *const *)slot);
		break;
	case CS_SCHEMA_STRINGS:
		add_strings(out, (const struct cs_strings *)slot);
		break;
	case CS_SCHEMA_BOOL:
		cs_strbuf_add(out, *(const bool *)slot ? "true" : "false");
		break;
	case CS_SCHEMA_INT:
		add_scaled(out, *(const int64_t *)slot, 1);
		break;
	case CS_SCHEMA_SECONDS:
		add_scaled(out, *(const int64_t *)slot, CS_MS_PER_S);
		break;
	case CS_SCHEMA_PERCENT:
		add_scaled(out, *(const int64_t *)slot, 10);
		break;
	case CS_SCHEMA_AMOUNT:
		add_amount(out, (const struct cs_amount *)slot);
		break;
	case CS_SCHEMA_CHOICE:
		cs_strbuf_add(out, key->choices[*(const int *)slot]);
		break;
	default:
		break;
	}
}

static void show_structs(const struct show *show, const struct cs_schema_key *key,
	const struct cs_yaml_item *item, const char *object, int depth)
{
	const char *array;
	size_t n;

	memcpy(&array, object + key->offset, sizeof array);
	memcpy(&n, object + key->count_offset, sizeof n);
	for (size_t i = 0; i < n; i++) {
		const struct cs_yaml_item *from = &item->value->items[i];

		indent(show, depth);
		if (key->type == CS_SCHEMA_MAP)
			cs_strbuf_addf(show->out, "%s:\n", from->key);
		else
			cs_strbuf_add(show->out, "-\n");
		show_keys(show, key->keys, from->value, array + i * key->size_bytes,
			depth + 1);
	}
}

static void show_key(const struct show *show, const struct cs_schema_key *key,
	const struct cs_yaml_item *item, const char *object, int depth)
{
	const char *slot = object + key->offset;
	bool nested = key->type >= CS_SCHEMA_SECTION;
	size_t start = show->out->len;
	/* a section that is not there means something else than its defaults */
	bool absent = nested ? !item && (key->type != CS_SCHEMA_SECTION || key->optional)
			     : is_unset(key, slot);

	indent(show, depth);
	if (absent) {
		cs_strbuf_addf(show->out, "# %s: not set\n", key->name);
		return;
	}
	cs_strbuf_addf(show->out, "%s:%s", key->name, nested ? "\n" : " ");
	if (key->type == CS_SCHEMA_SECTION) {
		show_keys(show, key->keys, item ? item->value : NULL, slot, depth + 1);
	} else if (nested) {
		show_structs(show, key, item, object, depth + 1);
	} else {
		add_value(show->out, key, slot);
		end_line(show, start, item);
	}
}

static void show_keys(const struct show *show, const struct cs_schema_key *keys,
	const struct cs_yaml_node *map, const char *object, int depth)
{
	for (const struct cs_schema_key *key = keys; key->name; key++)
		show_key(show, key, cs_yaml_find(map, key->name), object, depth);
}

void cs_schema_show(const struct cs_schema_key *keys, const struct cs_yaml_node *map,
	const char *path, const void *object, struct cs_strbuf *ret)
{
	const struct show show = {.path = path, .out = ret};

	show_keys(&show, keys, map, object, 0);
}
