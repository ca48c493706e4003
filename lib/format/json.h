/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What json-c lacks for input that is not trusted: a size and depth limit on parsing, and
 * getters that check the type. Objects are json-c's; what a getter returns is borrowed
 * from its object. RFC 8259. */
#ifndef CS_FORMAT_JSON_H
#define CS_FORMAT_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/strbuf.h"

static inline void cs_json_freep(struct json_object **object)
{
	json_object_put(*object);
}
#define CS_AUTO_JSON CS_CLEANUP(cs_json_freep)

/* Exactly one JSON value, at most 32 levels deep; anything else is CS_E_PROTOCOL with the
 * offset. `what` names the source in the message. */
int cs_json_parse(const char *text, size_t len, const char *what,
	struct json_object **ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* The last line that is not empty: with -v, or by a chatty ssh, others stand before it.
 */
int cs_json_parse_last_line(const char *text, size_t len, const char *what,
	struct json_object **ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Takes one row, which is released after the call, or fails and ends the reading. */
typedef int (*cs_json_each)(void *context, struct json_object *row, struct cs_error *err);

/* An object whose array `key` is large: its rows go to `each` one by one, so that they
 * are never all in memory; the other members come back in `ret_rest`. CS_E_PROTOCOL when
 * there is no such array, or the text is not JSON, as cs_json_parse() says it; rows were
 * given before that is known. */
int cs_json_rows(const char *text, size_t len, const char *what, const char *key,
	cs_json_each each, void *context, struct json_object **ret_rest,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL(1, 3, 4, 5, 7, 8);

/* Is the text the beginning of a JSON value that goes on? */
bool cs_json_breaks_off(const char *text, size_t len) CS_NONNULL_ALL;

/* The member `key` of an object when it has the type, NULL (or false, *ret untouched)
 * when it is missing, null or of another type. `object` may be NULL. */
const char *cs_json_str(struct json_object *object, const char *key);
struct json_object *cs_json_obj(struct json_object *object, const char *key);
struct json_object *cs_json_arr(struct json_object *object, const char *key);
bool cs_json_int(struct json_object *object, const char *key, int64_t *ret);
bool cs_json_bool(struct json_object *object, const char *key, bool *ret);

/* Adding members; NULL text becomes null. */
void cs_json_add_str(struct json_object *object, const char *key, const char *text);
void cs_json_add_int(struct json_object *object, const char *key, int64_t number);
void cs_json_add_bool(struct json_object *object, const char *key, bool value);

/* Appends a string as JSON has it, for texts of thousands of rows: an object for each
 * value costs ten times as much. UTF-8 is taken as it is. */
void cs_json_quote(const char *text, struct cs_strbuf *ret) CS_NONNULL_ALL;

/* One line, no blanks, '/' not escaped; borrowed from the object. */
const char *cs_json_text(struct json_object *object) CS_NONNULL_ALL;

#endif
