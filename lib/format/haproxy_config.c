/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Templates, server lines and our own checks; see haproxy_config.h. */
#include <config.h>
#include "format/haproxy_config.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/map.h"
#include "base/parse.h"

#define NAME_MAX_LEN 80
#define NAME_CUT_LEN 64 /* leaves room for "-" and some of the id */
#define SUFFIX_LEN 8
#define MARKER "# clusterscale: servers"
#define BLANKS " \t"

static const char name_characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz0123456789._-";

bool cs_haproxy_name_ok(const char *name)
{
	size_t len = strspn(name, name_characters);

	return len > 0 && len <= NAME_MAX_LEN && name[len] == '\0';
}

static bool is_taken(const struct cs_strings *taken, const char *name)
{
	for (size_t i = 0; i < taken->n; i++) {
		if (strcmp(taken->items[i], name) == 0)
			return true;
	}
	return false;
}

static void whiten(char *text)
{
	for (; *text; text++) {
		if (!strchr(name_characters, *text))
			*text = '_';
	}
}

char *cs_haproxy_name_make(
	const char *wanted, const char *id, const struct cs_strings *taken)
{
	CS_AUTO_FREE char *name = cs_strndup(wanted, NAME_CUT_LEN);
	CS_AUTO_FREE char *suffix = cs_strdup(id);
	bool whole = *wanted && strlen(wanted) <= NAME_CUT_LEN;

	whiten(name);
	whiten(suffix);
	if (whole && !is_taken(taken, name))
		return CS_TAKE(name);
	for (size_t len = SUFFIX_LEN;; len++) {
		CS_AUTO_FREE char *longer =
			cs_asprintf("%s-%.*s", name, (int)len, suffix);
		if (!is_taken(taken, longer) || len >= strlen(suffix))
			return CS_TAKE(longer);
	}
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

/* One word of a line; HAProxy's quoting is not undone, such a word only compares unequal.
 */
struct word {
	const char *text;
	size_t len;
};

static struct word next_word(const char **cursor, const char *end)
{
	while (*cursor < end && strchr(BLANKS, **cursor))
		++*cursor;
	struct word word = {.text = *cursor};
	while (*cursor < end && !strchr(BLANKS "\r\n", **cursor))
		++*cursor;
	word.len = (size_t)(*cursor - word.text);
	return word;
}

static bool word_is(struct word word, const char *text)
{
	return strlen(text) == word.len && strncmp(text, word.text, word.len) == 0;
}

/* One line of a template. */
struct line {
	const char *text, *end; /* with its newline, when it has one */
	struct word first, second;
	bool comment;
};

static bool next_line(const char **cursor, const char *limit, struct line *ret)
{
	if (*cursor >= limit)
		return false;
	const char *newline = memchr(*cursor, '\n', (size_t)(limit - *cursor));
	*ret = (struct line){.text = *cursor, .end = newline ? newline + 1 : limit};
	*cursor = ret->end;
	const char *inside = ret->text;
	ret->first = next_word(&inside, ret->end);
	ret->second = next_word(&inside, ret->end);
	ret->comment = ret->first.len > 0 && ret->first.text[0] == '#';
	return true;
}

/* Where the walk through a template stands. */
struct walk {
	const char *path;
	int number;
	struct word backend; /* of the section, empty outside of backend and listen */
};

static const char *const other_sections[] = {"global", "defaults", "frontend", "peers",
	"resolvers", "mailers", "userlist", "program", "cache", "ring", "http-errors",
	"log-forward", "fcgi-app", "crt-store", "traces"};

bool cs_haproxy_is_section(const char *word)
{
	for (size_t i = 0; i < CS_ARRAY_SIZE(other_sections); i++) {
		if (strcmp(word, other_sections[i]) == 0)
			return true;
	}
	return strcmp(word, "backend") == 0 || strcmp(word, "listen") == 0;
}

static void follow_section(struct walk *walk, const struct line *line)
{
	if (word_is(line->first, "backend") || word_is(line->first, "listen"))
		walk->backend = line->second;
	for (size_t i = 0; i < CS_ARRAY_SIZE(other_sections); i++) {
		if (word_is(line->first, other_sections[i]))
			walk->backend = (struct word){0};
	}
}

/* *ret_cluster is the name behind it, empty for a bare one. */
static bool is_marker(const struct line *line, struct word *ret_cluster)
{
	const char *behind = line->first.text + strlen(MARKER);

	if (!line->comment || behind > line->end ||
		strncmp(line->first.text, MARKER, strlen(MARKER)) != 0)
		return false;
	if (behind < line->end && !strchr(BLANKS "\r\n", *behind))
		return false;
	*ret_cluster = next_word(&behind, line->end);
	return true;
}

static int check_section(const struct walk *walk, const struct cs_haproxy_group *group,
	struct cs_error *err)
{
	if (word_is(walk->backend, group->backend))
		return 0;
	CS_AUTO_FREE char *where =
		walk->backend.len ? cs_asprintf("in backend '%.*s'",
					    (int)walk->backend.len, walk->backend.text)
				  : cs_strdup("outside of any backend");
	return cs_error_set(err, CS_E_CONFIG,
		"%s:%d: the servers of cluster '%s' belong into backend '%s' but would "
		"stand %s; put the line '" MARKER " %s' into their backend",
		walk->path, walk->number, group->cluster, group->backend, where,
		group->cluster);
}

static void write_rows(
	const struct cs_haproxy_group *group, struct word indent, struct cs_strbuf *ret)
{
	for (size_t i = 0; i < group->n; i++) {
		cs_strbuf_add_bytes(ret, indent.text, indent.len);
		cs_strbuf_addf(ret, "server %s %s%s%s\n", group->rows[i].name,
			group->rows[i].endpoint, *group->options ? " " : "",
			group->options);
	}
}

/* The group that a marker means, or CS_E_CONFIG. */
static int find_group(const struct walk *walk, struct word cluster,
	const struct cs_haproxy_group *groups, size_t n, size_t *ret,
	struct cs_error *err)
{
	for (size_t i = 0; i < n; i++) {
		if (word_is(cluster, groups[i].cluster) || (cluster.len == 0 && n == 1)) {
			*ret = i;
			return 0;
		}
	}
	return cs_error_set(err, CS_E_CONFIG,
		"%s:%d: the marker names %s%.*s%s, but %zu cluster%s into this file",
		walk->path, walk->number, cluster.len ? "cluster '" : "no cluster",
		(int)cluster.len, cluster.text, cluster.len ? "'" : "", n,
		n == 1 ? " renders" : "s render");
}

/* True when the text itself gives the variable a value. */
static bool sets_variable(const char *text, const char *limit, struct word name)
{
	struct line line;

	while (next_line(&text, limit, &line)) {
		if ((word_is(line.first, "setenv") || word_is(line.first, "presetenv")) &&
			line.second.len == name.len &&
			strncmp(line.second.text, name.text, name.len) == 0)
			return true;
	}
	return false;
}

static int check_variables(const struct walk *walk, const struct line *line,
	const char *template, const char *limit, struct cs_error *err)
{
	for (const char *at = line->text; at + 1 < line->end && !line->comment; at++) {
		if (at[0] != '$' || at[1] != '{')
			continue;
		struct word name = {.text = at + 2};
		while (name.text + name.len < line->end &&
			!strchr("}-\r\n", name.text[name.len]))
			name.len++;
		if (name.text + name.len < line->end && name.text[name.len] == '-')
			continue; /* ${NAME-default} */
		if (strncmp(name.text, "HAPROXY_", 8) == 0 ||
			sets_variable(template, limit, name))
			continue;
		return cs_error_set(err, CS_E_CONFIG,
			"%s:%d: ${%.*s}: nothing in the file sets it, and the running "
			"HAProxy takes an unset variable for an empty text; write the "
			"value, or 'presetenv %.*s VALUE' in global",
			walk->path, walk->number, (int)name.len, name.text, (int)name.len,
			name.text);
	}
	return 0;
}

/* HAProxy reads "maxconn abc" and "maxconn -1" as some number and says nothing. */
static int check_options(const struct cs_haproxy_group *group, struct cs_error *err)
{
	const char *cursor = group->options, *end = cursor + strlen(cursor);
	struct word word;
	int64_t number;

	for (const char *c = cursor; *c; c++) {
		if (*c < 0x20 || *c > 0x7e || strchr("#$\\\"'", *c))
			return cs_error_set(err, CS_E_CONFIG,
				"cluster '%s': server options '%s': plain words are "
				"expected, without quotes, '#', '$' and '\\'",
				group->cluster, group->options);
	}
	while ((word = next_word(&cursor, end)).len > 0) {
		if (!word_is(word, "maxconn"))
			continue;
		word = next_word(&cursor, end);
		CS_AUTO_FREE char *value = cs_strndup(word.text, word.len);
		if (!cs_parse_int(value, 1, INT32_MAX, &number))
			return cs_error_set(err, CS_E_CONFIG,
				"cluster '%s': server options: maxconn '%s' is not a "
				"positive number",
				group->cluster, value);
	}
	return 0;
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

/* Rows reach a file that HAProxy reads as root: nothing of Nova's gets there unseen. */
static int check_rows(const struct cs_haproxy_group *group, struct cs_error *err)
{
	CS_CLEANUP(cs_map_done) struct cs_map names = {0};

	for (size_t i = 0; i < group->n; i++) {
		const struct cs_haproxy_row *row = &group->rows[i];

		if (!cs_haproxy_name_ok(row->name) || !endpoint_ok(row->endpoint))
			return cs_error_set(err, CS_E_REFUSED,
				"cluster '%s': server '%s' at '%s' is not safe to write "
				"into a configuration",
				group->cluster, row->name, row->endpoint);
		if (!cs_map_add(&names, "", row->name, row))
			return cs_error_set(err, CS_E_REFUSED,
				"cluster '%s': two servers have the name '%s'",
				group->cluster, row->name);
	}
	return 0;
}

static int check_input(const char *template, size_t len, const char *path,
	const struct cs_haproxy_group *groups, size_t n, struct cs_error *err)
{
	if (len == 0 || memchr(template, '\0', len))
		return cs_error_set(err, CS_E_CONFIG, "%s: the template %s", path,
			len ? "has a NUL byte" : "is empty");
	for (size_t i = 0; i < n; i++) {
		if (check_options(&groups[i], err) < 0 || check_rows(&groups[i], err) < 0)
			return err->code;
	}
	return 0;
}

/* Writes the rows of the marker in `line`, if it is one. */
static int render_marker(const struct walk *walk, const struct line *line,
	const struct cs_haproxy_group *groups, size_t n, bool *done,
	struct cs_strbuf *ret, struct cs_error *err)
{
	struct word cluster,
		indent = {line->text, (size_t)(line->first.text - line->text)};
	size_t i = 0;

	if (!is_marker(line, &cluster))
		return 0;
	if (find_group(walk, cluster, groups, n, &i, err) < 0 ||
		check_section(walk, &groups[i], err) < 0)
		return err->code;
	if (done[i])
		return cs_error_set(err, CS_E_CONFIG,
			"%s:%d: a second marker for cluster '%s'; one is expected",
			walk->path, walk->number, groups[i].cluster);
	done[i] = true;
	write_rows(&groups[i], indent.len ? indent : (struct word){"  ", 2}, ret);
	return 0;
}

int cs_haproxy_render(const char *template, size_t len, const char *path,
	const struct cs_haproxy_group *groups, size_t n_groups, struct cs_strbuf *ret,
	struct cs_error *err)
{
	const char *cursor = template, *limit = template + len;
	CS_AUTO_FREE bool *done = cs_calloc(n_groups, sizeof *done);
	struct walk walk = {.path = path};
	struct line line;

	if (check_input(template, len, path, groups, n_groups, err) < 0)
		return err->code;
	while (next_line(&cursor, limit, &line)) {
		walk.number++;
		if (!line.comment)
			follow_section(&walk, &line);
		if (check_variables(&walk, &line, template, limit, err) < 0)
			return err->code;
		cs_strbuf_add_bytes(ret, line.text, (size_t)(line.end - line.text));
		if (line.end == limit && line.end[-1] != '\n')
			cs_strbuf_add(ret, "\n");
		if (render_marker(&walk, &line, groups, n_groups, done, ret, err) < 0)
			return err->code;
	}
	for (size_t i = 0; i < n_groups; i++) {
		if (done[i])
			continue;
		if (check_section(&walk, &groups[i], err) < 0)
			return err->code;
		write_rows(&groups[i], (struct word){"  ", 2}, ret);
	}
	return cs_strbuf_check(ret, "the rendered configuration", err);
}

void cs_haproxy_server_names(const char *template, size_t len, struct cs_strings *ret)
{
	const char *cursor = template, *limit = template + len;
	struct line line;

	while (next_line(&cursor, limit, &line)) {
		if (!word_is(line.first, "server") || line.second.len == 0)
			continue;
		CS_AUTO_FREE char *name = cs_strndup(line.second.text, line.second.len);
		cs_strings_add(ret, name);
	}
}

char *cs_haproxy_directive(const char *text, const char *keyword)
{
	const char *limit = text + strlen(text);
	struct line line;

	while (next_line(&text, limit, &line)) {
		if (word_is(line.first, keyword) && line.second.len > 0)
			return cs_strndup(line.second.text, line.second.len);
	}
	return NULL;
}
