/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A large array row by row; see json.h. Only the frame around the rows is read here, the
 * values are json-c's. */
#include <config.h>
#include "format/json.h"

#include <limits.h>
#include <string.h>

#define DEPTH_MAX 30 /* within the object and its array */

struct walk {
	const char *text;
	size_t len, at;
	struct json_tokener *parser;
};

static bool eat(struct walk *walk, char wanted)
{
	while (walk->at < walk->len && strchr(" \t\r\n", walk->text[walk->at]) &&
		walk->text[walk->at])
		walk->at++;
	if (walk->at == walk->len || walk->text[walk->at] != wanted)
		return false;
	walk->at++;
	return true;
}

/* `ret` NULL is a null. */
static bool read_value(struct walk *walk, struct json_object **ret)
{
	json_tokener_reset(walk->parser);
	*ret = json_tokener_parse_ex(
		walk->parser, walk->text + walk->at, (int)(walk->len - walk->at));
	if (json_tokener_get_error(walk->parser) != json_tokener_success) {
		json_object_put(*ret);
		*ret = NULL;
		return false;
	}
	walk->at += json_tokener_get_parse_end(walk->parser);
	return true;
}

/* 1: all rows were given; 0: it is no such array; else what `each` returned. */
static int read_rows(
	struct walk *walk, cs_json_each each, void *context, struct cs_error *err)
{
	if (!eat(walk, '['))
		return 0;
	if (eat(walk, ']'))
		return 1;
	do {
		CS_AUTO_JSON struct json_object *row = NULL;

		if (!read_value(walk, &row))
			return 0;
		int r = each(context, row, err);
		if (r < 0)
			return r;
	} while (eat(walk, ','));
	return eat(walk, ']');
}

static int read_member(struct walk *walk, const char *key, cs_json_each each,
	void *context, struct json_object *rest, struct cs_error *err)
{
	CS_AUTO_JSON struct json_object *name = NULL;
	struct json_object *value;

	if (!read_value(walk, &name) || !json_object_is_type(name, json_type_string) ||
		!eat(walk, ':'))
		return 0;
	const char *text = json_object_get_string(name);
	if (strcmp(text, key) == 0) {
		if (json_object_object_get_ex(rest, key, NULL))
			return 0; /* twice */
		json_object_object_add(rest, key, NULL);
		return read_rows(walk, each, context, err);
	}
	if (!read_value(walk, &value))
		return 0;
	json_object_object_add(rest, text, value);
	return 1;
}

static int read_object(struct walk *walk, const char *key, cs_json_each each,
	void *context, struct json_object *rest, struct cs_error *err)
{
	if (!eat(walk, '{'))
		return 0;
	do {
		int r = read_member(walk, key, each, context, rest, err);
		if (r <= 0)
			return r;
	} while (eat(walk, ','));
	bool whole = eat(walk, '}');
	eat(walk, '\0'); /* skips blanks */
	return whole && walk->at == walk->len &&
	       json_object_object_get_ex(rest, key, NULL);
}

int cs_json_rows(const char *text, size_t len, const char *what, const char *key,
	cs_json_each each, void *context, struct json_object **ret_rest,
	struct cs_error *err)
{
	CS_AUTO_JSON struct json_object *rest = json_object_new_object();
	CS_AUTO_JSON struct json_object *whole = NULL;
	struct walk walk = {.text = text, .len = len};
	int r = 0;

	walk.parser = json_tokener_new_ex(DEPTH_MAX);
	json_tokener_set_flags(walk.parser, JSON_TOKENER_STRICT |
						    JSON_TOKENER_VALIDATE_UTF8 |
						    JSON_TOKENER_ALLOW_TRAILING_CHARS);
	if (len <= INT_MAX)
		r = read_object(&walk, key, each, context, rest, err);
	json_tokener_free(walk.parser);
	if (r < 0)
		return r;
	if (r == 1) {
		json_object_object_del(rest, key);
		*ret_rest = rest;
		rest = NULL;
		return 0;
	}
	/* What is wrong with it, json-c says as everywhere. */
	if (cs_json_parse(text, len, what, &whole, err) < 0)
		return err->code;
	return cs_error_set(err, CS_E_PROTOCOL, "%s has no array '%s'", what, key);
}
