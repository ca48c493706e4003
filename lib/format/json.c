/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checked parsing and typed access on json-c; see json.h. */
#include <config.h>
#include "format/json.h"

#include <limits.h>
#include <string.h>

#define DEPTH_MAX 32

int cs_json_parse(const char *text, size_t len, const char *what,
	struct json_object **ret, struct cs_error *err)
{
	if (len > INT_MAX)
		return cs_error_set(err, CS_E_LIMIT, "%s is too large", what);
	struct json_tokener *parser = json_tokener_new_ex(DEPTH_MAX);
	json_tokener_set_flags(parser, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	struct json_object *object = json_tokener_parse_ex(parser, text, (int)len);
	enum json_tokener_error why = json_tokener_get_error(parser);
	/* A bare number only ends where something follows it. */
	if (why == json_tokener_continue) {
		object = json_tokener_parse_ex(parser, "", 1);
		why = json_tokener_get_error(parser);
	}
	size_t used = json_tokener_get_parse_end(parser);
	json_tokener_free(parser);
	if (why != json_tokener_success || !object) {
		json_object_put(object);
		return cs_error_set(err, CS_E_PROTOCOL, "%s is not JSON: %s at byte %zu",
			what,
			why == json_tokener_success ? "null"
						    : json_tokener_error_desc(why),
			used);
	}
	*ret = object;
	return 0;
}

int cs_json_parse_last_line(const char *text, size_t len, const char *what,
	struct json_object **ret, struct cs_error *err)
{
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	const char *before = memrchr(text, '\n', len);
	const char *line = before ? before + 1 : text;

	return cs_json_parse(line, len - (size_t)(line - text), what, ret, err);
}

bool cs_json_breaks_off(const char *text, size_t len)
{
	struct json_tokener *parser = json_tokener_new_ex(DEPTH_MAX);

	json_object_put(
		json_tokener_parse_ex(parser, text, len > INT_MAX ? 0 : (int)len));
	bool unfinished = json_tokener_get_error(parser) == json_tokener_continue;
	json_tokener_free(parser);
	return unfinished;
}

static struct json_object *member(
	struct json_object *object, const char *key, json_type type)
{
	struct json_object *value;

	if (!json_object_is_type(object, json_type_object) ||
		!json_object_object_get_ex(object, key, &value))
		return NULL;
	return json_object_is_type(value, type) ? value : NULL;
}

const char *cs_json_str(struct json_object *object, const char *key)
{
	struct json_object *value = member(object, key, json_type_string);

	return value ? json_object_get_string(value) : NULL;
}

struct json_object *cs_json_obj(struct json_object *object, const char *key)
{
	return member(object, key, json_type_object);
}

struct json_object *cs_json_arr(struct json_object *object, const char *key)
{
	return member(object, key, json_type_array);
}

bool cs_json_int(struct json_object *object, const char *key, int64_t *ret)
{
	struct json_object *value = member(object, key, json_type_int);

	if (value)
		*ret = json_object_get_int64(value);
	return value != NULL;
}

bool cs_json_bool(struct json_object *object, const char *key, bool *ret)
{
	struct json_object *value = member(object, key, json_type_boolean);

	if (value)
		*ret = json_object_get_boolean(value);
	return value != NULL;
}

void cs_json_add_str(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, text ? json_object_new_string(text) : NULL);
}

void cs_json_add_int(struct json_object *object, const char *key, int64_t number)
{
	json_object_object_add(object, key, json_object_new_int64(number));
}

void cs_json_add_bool(struct json_object *object, const char *key, bool value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}

void cs_json_quote(const char *text, struct cs_strbuf *ret)
{
	cs_strbuf_add(ret, "\"");
	for (;;) {
		size_t plain = 0;

		while ((unsigned char)text[plain] >= 0x20 && text[plain] != '"' &&
			text[plain] != '\\')
			plain++;
		cs_strbuf_add_bytes(ret, text, plain);
		text += plain;
		if (!*text)
			break;
		cs_strbuf_addf(ret, "\\u%04x", (unsigned char)*text++);
	}
	cs_strbuf_add(ret, "\"");
}

const char *cs_json_text(struct json_object *object)
{
	return json_object_to_json_string_ext(
		object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}
