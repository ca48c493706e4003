/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names, endpoints and options of server lines; see haproxy_line.h. */
#include <config.h>
#include "format/haproxy_line.h"

#include <arpa/inet.h>
#include <search.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"

#define NAME_MAX_LEN 80
#define NAME_CUT_LEN 64 /* leaves room for "-" and some of the id */
#define SUFFIX_LEN 8
#define WEIGHT_MAX 256
#define WORDS_MAX 61 /* HAProxy's 64 less "server", name and endpoint */
#define OPTIONS_LEN_MAX 2048
#define EXPANDED_MAX (OPTIONS_LEN_MAX * NAME_MAX_LEN / 4) /* all of it "{id}" */

static const char name_characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz0123456789._-";

static int compare(const void *one, const void *other)
{
	return strcmp(one, other);
}

void cs_haproxy_names_add(struct cs_haproxy_names *names, const char *name)
{
	char *copy = cs_strdup(name);
	char *const *found = tsearch(copy, &names->tree, compare);

	if (!found)
		cs_out_of_memory();
	if (*found != copy)
		free(copy);
}

bool cs_haproxy_names_have(const struct cs_haproxy_names *names, const char *name)
{
	return tfind(name, &names->tree, compare) != NULL;
}

void cs_haproxy_names_done(struct cs_haproxy_names *names)
{
	tdestroy(names->tree, free);
	names->tree = NULL;
}

bool cs_haproxy_name_ok(const char *name)
{
	size_t len = strspn(name, name_characters);

	return len > 0 && len <= NAME_MAX_LEN && name[len] == '\0';
}

/* `text`, or its beginning, as a part of a name. */
static char *whitened(const char *text, size_t max_len)
{
	char *name = cs_strndup(text, max_len);

	for (char *c = name; *c; c++) {
		if (!strchr(name_characters, *c))
			*c = '_';
	}
	return name;
}

char *cs_haproxy_name_make(
	const char *wanted, const char *id, struct cs_haproxy_names *taken)
{
	CS_AUTO_FREE char *name = whitened(wanted, NAME_CUT_LEN);
	CS_AUTO_FREE char *suffix = whitened(id, NAME_CUT_LEN);
	CS_AUTO_FREE char *longer = NULL;
	bool whole = *wanted && strlen(wanted) <= NAME_CUT_LEN;

	if (whole && !cs_haproxy_names_have(taken, name)) {
		cs_haproxy_names_add(taken, name);
		return CS_TAKE(name);
	}
	for (size_t len = SUFFIX_LEN;
		!longer ||
		(len <= strlen(suffix) && cs_haproxy_names_have(taken, longer));
		len++) {
		free(longer);
		longer = cs_asprintf("%s-%.*s", name, (int)len, suffix);
	}
	cs_haproxy_names_add(taken, longer);
	return CS_TAKE(longer);
}

char *cs_haproxy_endpoint(const char *address, int64_t port)
{
	struct in_addr v4;
	struct in6_addr v6;
	char text[INET6_ADDRSTRLEN];

	if (port < 1 || port > 65535)
		return NULL;
	if (inet_pton(AF_INET, address, &v4) == 1 && v4.s_addr != INADDR_ANY)
		return cs_asprintf(
			"%s:%d", inet_ntop(AF_INET, &v4, text, sizeof text), (int)port);
	if (inet_pton(AF_INET6, address, &v6) == 1 && !IN6_IS_ADDR_UNSPECIFIED(&v6))
		return cs_asprintf("[%s]:%d", inet_ntop(AF_INET6, &v6, text, sizeof text),
			(int)port);
	return NULL;
}

static bool endpoint_ok(const char *endpoint)
{
	const char *colon = strrchr(endpoint, ':');
	bool v6 = endpoint[0] == '[';
	int64_t port;

	if (!colon || colon - endpoint < (v6 ? 3 : 1) ||
		!cs_parse_int(colon + 1, 1, 65535, &port))
		return false;
	CS_AUTO_FREE char *address =
		cs_strndup(endpoint + v6, (size_t)(colon - endpoint) - 2 * v6);
	CS_AUTO_FREE char *again = cs_haproxy_endpoint(address, port);
	return again && strcmp(again, endpoint) == 0;
}

/* Appends what `placeholder` (without its braces) stands for; false when it is unknown.
 */
static bool add_value(const char *placeholder, const struct cs_haproxy_values *values,
	struct cs_strbuf *ret)
{
	if (strcmp(placeholder, "name") == 0) {
		cs_strbuf_add(ret, values->name);
	} else if (strcmp(placeholder, "id") == 0) {
		cs_strbuf_add(ret, values->id);
	} else if (strcmp(placeholder, "address") == 0) {
		const char *colon = strrchr(values->endpoint, ':');
		cs_strbuf_add_bytes(ret, values->endpoint,
			colon ? (size_t)(colon - values->endpoint) : 0);
	} else if (strcmp(placeholder, "zone") == 0) {
		const char *zone =
			values->zone && *values->zone ? values->zone : "unknown";
		CS_AUTO_FREE char *safe = whitened(zone, NAME_MAX_LEN);
		cs_strbuf_add(ret, safe);
	} else if (strcmp(placeholder, "weight") == 0) {
		int64_t weight = values->vcpus < 1	      ? 1
				 : values->vcpus > WEIGHT_MAX ? WEIGHT_MAX
							      : values->vcpus;
		cs_strbuf_addf(ret, "%d", (int)weight);
	} else {
		return false;
	}
	return true;
}

/* False when a brace is not one of a placeholder. */
static bool expand(const char *options, const struct cs_haproxy_values *values,
	struct cs_strbuf *ret)
{
	while (*options) {
		size_t plain = strcspn(options, "{}");

		cs_strbuf_add_bytes(ret, options, plain);
		options += plain;
		if (!*options)
			break;
		size_t len = strcspn(options + 1, "{}");
		if (options[0] != '{' || options[1 + len] != '}')
			return false;
		CS_AUTO_FREE char *placeholder = cs_strndup(options + 1, len);
		if (!add_value(placeholder, values, ret))
			return false;
		options += len + 2;
	}
	return true;
}

char *cs_haproxy_options(const char *options, const struct cs_haproxy_values *values)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(EXPANDED_MAX);

	expand(options, values, &text);
	return cs_strbuf_take(&text);
}

/* Options whose number HAProxy 2.6 reads up to the first odd byte: "abc" is 0, "1x" is 1,
 * and a missing one is nothing. */
static const struct number {
	const char *keyword;
	int64_t min, max;
} numbers[] = {{"maxconn", 0, INT32_MAX}, {"minconn", 0, INT32_MAX},
	{"maxqueue", 0, INT32_MAX}, {"weight", 0, WEIGHT_MAX}, {"port", 1, 65535},
	{"agent-port", 1, 65535}, {"pool-max-conn", -1, INT32_MAX},
	{"max-reuse", -1, INT32_MAX}};

static int check_number(const char *keyword, const char *value, struct cs_error *err)
{
	int64_t number;

	for (size_t i = 0; i < CS_ARRAY_SIZE(numbers); i++) {
		if (strcmp(numbers[i].keyword, keyword) != 0 ||
			cs_parse_int(value, numbers[i].min, numbers[i].max, &number))
			continue;
		return cs_error_set(err, CS_E_CONFIG,
			"expected a number from %d to %d behind '%s', found '%s', which "
			"HAProxy would take for another one and say nothing",
			(int)numbers[i].min, (int)numbers[i].max, keyword, value);
	}
	return 0;
}

/* To HAProxy these are any address, or none. */
static int check_address(const char *keyword, const char *value, struct cs_error *err)
{
	if (strcmp(keyword, "addr") != 0 && strcmp(keyword, "agent-addr") != 0)
		return 0;
	if (*value && *value != ':' && *value != '*' &&
		strncmp(value, "0.0.0.0", 7) != 0 && strncmp(value, "[::]", 4) != 0)
		return 0;
	return cs_error_set(err, CS_E_CONFIG,
		"expected the address of a host behind '%s', found '%s'", keyword, value);
}

/* `expanded` has the words of a line as they may become. */
static int check_words(const char *expanded, struct cs_error *err)
{
	CS_AUTO_FREE char *text = cs_strdup(expanded);
	char *save = NULL;
	int n = 0;

	for (char *word = strtok_r(text, " ", &save), *next; word; word = next) {
		next = strtok_r(NULL, " ", &save);
		if (check_number(word, next ? next : "", err) < 0 ||
			check_address(word, next ? next : "", err) < 0)
			return err->code;
		n++;
	}
	if (n > WORDS_MAX)
		return cs_error_set(err, CS_E_CONFIG,
			"expected at most %d words, found %d; HAProxy takes no more on a "
			"line",
			WORDS_MAX, n);
	return 0;
}

static int check_placeholders(const char *options, struct cs_error *err)
{
	static const struct cs_haproxy_values sample = {.name = "web1",
		.id = "00000000-0000-4000-8000-000000000000",
		.endpoint = "192.0.2.1:80"};
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf expanded = CS_STRBUF(EXPANDED_MAX);

	if (!expand(options, &sample, &expanded))
		return cs_error_set(err, CS_E_CONFIG,
			"expected {name}, {id}, {address}, {zone}, {weight} and no other "
			"braces, found '%s'",
			options);
	return check_words(cs_strbuf_text(&expanded), err);
}

/* A sticky client would be sent to whichever server comes first. */
static int check_cookie(const char *options, struct cs_error *err)
{
	static const char *const apart[] = {"{name}", "{id}", "{address}"};
	CS_AUTO_FREE char *text = cs_strdup(options);
	char *save = NULL, *word = strtok_r(text, " ", &save);

	while (word && strcmp(word, "cookie") != 0)
		word = strtok_r(NULL, " ", &save);
	char *value = word ? strtok_r(NULL, " ", &save) : NULL;
	bool good = !value;
	for (size_t i = 0; value && i < CS_ARRAY_SIZE(apart); i++)
		good |= strstr(value, apart[i]) != NULL;
	if (good)
		return 0;
	return cs_error_set(err, CS_E_CONFIG,
		"expected a cookie that tells servers apart, such as 'cookie {name}', "
		"found 'cookie %s' for all of them",
		value);
}

/* Neither ends the line nor becomes anything else in it. */
static bool is_plain(const char *options)
{
	for (const char *c = options; *c; c++) {
		if (*c < 0x20 || *c > 0x7e || strchr("#$\\\"'", *c))
			return false;
	}
	return true;
}

bool cs_haproxy_row_ok(const struct cs_haproxy_row *row)
{
	return cs_haproxy_name_ok(row->name) && endpoint_ok(row->endpoint) &&
	       is_plain(row->options);
}

int cs_haproxy_options_check(const char *options, struct cs_error *err)
{
	if (strlen(options) > OPTIONS_LEN_MAX)
		return cs_error_set(err, CS_E_CONFIG,
			"expected at most %d characters, found %zu", OPTIONS_LEN_MAX,
			strlen(options));
	if (!is_plain(options))
		return cs_error_set(err, CS_E_CONFIG,
			"expected plain words without quotes, '#', '$' and '\\', found "
			"'%s'",
			options);
	if (check_placeholders(options, err) < 0)
		return err->code;
	return check_cookie(options, err);
}
