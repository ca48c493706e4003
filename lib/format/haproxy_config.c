/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Templates, server lines and our own checks; see haproxy_config.h. */
#include <config.h>
#include "format/haproxy_config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define KEYWORD "clusterscale:"
#define SERVERS "# " KEYWORD " servers"
#define BACKEND "# " KEYWORD " backend"
#define BLANKS " \t"

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

static const struct word default_indent = {"  ", 2};

static bool word_is(struct word word, const char *text)
{
	return strlen(text) == word.len && strncmp(text, word.text, word.len) == 0;
}

/* One line of a template. */
struct line {
	const char *text, *end; /* with its newline, when it has one */
	struct word first, second, third;
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
	ret->third = next_word(&inside, ret->end);
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
	"log-forward", "log-profile", "fcgi-app", "crt-store", "traces", "acme"};

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

struct marker {
	bool found;
	bool whole;	     /* "backend": the section itself is written, too */
	struct word cluster; /* empty for a bare one */
};

/* What looks like a marker but is none is refused: the servers would stand where nobody
 * expects them. */
static int find_marker(const struct walk *walk, const struct line *line,
	struct marker *ret, struct cs_error *err)
{
	const char *cursor = line->text, *end = line->end;

	*ret = (struct marker){0};
	if (!line->comment ||
		!memmem(line->text, (size_t)(end - line->text), KEYWORD, strlen(KEYWORD)))
		return 0;
	bool begins = word_is(next_word(&cursor, end), "#");
	begins &= word_is(next_word(&cursor, end), KEYWORD);
	struct word what = next_word(&cursor, end);
	ret->whole = word_is(what, "backend");
	ret->cluster = next_word(&cursor, end);
	ret->found = begins && (ret->whole || word_is(what, "servers")) &&
		     next_word(&cursor, end).len == 0;
	if (ret->found)
		return 0;
	while (strchr("\r\n", end[-1]))
		end--;
	return cs_error_set(err, CS_E_CONFIG,
		"%s:%d: '%.*s' looks like a marker but is none; one is a line of its "
		"own: '" SERVERS " NAME', or '" BACKEND " NAME' for the whole section",
		walk->path, walk->number, (int)(end - line->first.text),
		line->first.text);
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
		"stand %s; put the line '" SERVERS " %s' into their backend",
		walk->path, walk->number, group->cluster, group->backend, where,
		group->cluster);
}

static void write_rows(
	const struct cs_haproxy_group *group, struct word indent, struct cs_strbuf *ret)
{
	for (size_t i = 0; i < group->n; i++) {
		const struct cs_haproxy_row *row = &group->rows[i];

		cs_strbuf_add_bytes(ret, indent.text, indent.len);
		cs_strbuf_addf(ret, "server %s %s%s%s\n", row->name, row->endpoint,
			*row->options ? " " : "", row->options);
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

/* All rows of all groups, to find two of a kind. */
struct entry {
	const struct cs_haproxy_group *group;
	const struct cs_haproxy_row *row;
};

struct entries {
	struct entry *items;
	size_t n;
};

static int by_name(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;
	int order = strcmp(a->group->backend, b->group->backend);

	return order ? order : strcmp(a->row->name, b->row->name);
}

static int by_endpoint(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;
	int order = strcmp(a->group->backend, b->group->backend);

	return order ? order : strcmp(a->row->endpoint, b->row->endpoint);
}

static int collect(const struct cs_haproxy_group *groups, size_t n_groups,
	struct entries *ret, struct cs_error *err)
{
	size_t n = 0;

	for (size_t i = 0; i < n_groups; i++)
		n += groups[i].n;
	ret->items = cs_calloc(n + 1, sizeof *ret->items);
	for (size_t i = 0; i < n_groups; i++) {
		for (size_t k = 0; k < groups[i].n; k++) {
			const struct cs_haproxy_row *row = &groups[i].rows[k];

			if (!cs_haproxy_row_ok(row))
				return cs_error_set(err, CS_E_REFUSED,
					"cluster '%s': server '%s' at '%s' is not safe "
					"to "
					"write into a configuration",
					groups[i].cluster, row->name, row->endpoint);
			ret->items[ret->n++] = (struct entry){&groups[i], row};
		}
	}
	return 0;
}

/* HAProxy takes two lines of one address, and would send that server twice as much; and
 * a drain of one of them would not drain it. Leaves the entries sorted by endpoint. */
static int check_twins(struct entries *entries, struct cs_error *err)
{
	qsort(entries->items, entries->n, sizeof *entries->items, by_name);
	for (size_t i = 1; i < entries->n; i++) {
		const struct entry *entry = &entries->items[i];

		if (by_name(entry - 1, entry) == 0)
			return cs_error_set(err, CS_E_REFUSED,
				"cluster '%s': two servers have the name '%s'",
				entry->group->cluster, entry->row->name);
	}
	qsort(entries->items, entries->n, sizeof *entries->items, by_endpoint);
	for (size_t i = 1; i < entries->n; i++) {
		const struct entry *entry = &entries->items[i];

		if (by_endpoint(entry - 1, entry) == 0)
			return cs_error_set(err, CS_E_REFUSED,
				"cluster '%s': servers '%s' and '%s' have the same "
				"address %s",
				entry->group->cluster, entry[-1].row->name,
				entry->row->name, entry->row->endpoint);
	}
	return 0;
}

/* The same for a line of the template. */
static int check_foreign(const struct walk *walk, const struct line *line,
	const struct entries *entries, struct cs_error *err)
{
	if (!word_is(line->first, "server") || !walk->backend.len)
		return 0;
	CS_AUTO_FREE char *backend = cs_strndup(walk->backend.text, walk->backend.len);
	CS_AUTO_FREE char *endpoint = cs_strndup(line->third.text, line->third.len);
	struct cs_haproxy_row row = {.endpoint = endpoint};
	struct cs_haproxy_group group = {.backend = backend};
	struct entry key = {&group, &row};
	const struct entry *twin = bsearch(
		&key, entries->items, entries->n, sizeof *entries->items, by_endpoint);
	if (!twin)
		return 0;
	return cs_error_set(err, CS_E_CONFIG,
		"%s:%d: server '%.*s' has the address %s, which is that of '%s' of "
		"cluster '%s'; take the line out of the template",
		walk->path, walk->number, (int)line->second.len, line->second.text,
		endpoint, twin->row->name, twin->group->cluster);
}

static int check_bytes(
	const char *template, size_t len, const char *path, struct cs_error *err)
{
	const char *why = len == 0			? "is empty"
			  : memchr(template, '\0', len) ? "has a NUL byte"
			  : len >= 3 && memcmp(template, "\xef\xbb\xbf", 3) == 0
				  ? "begins with a byte order mark, which HAProxy does "
				    "not understand; save it without"
				  : NULL;

	if (!why)
		return 0;
	return cs_error_set(err, CS_E_CONFIG, "%s: the template %s", path, why);
}

/* A template on its way into `out`. */
struct render {
	struct walk walk;
	const struct cs_haproxy_group *groups;
	size_t n_groups;
	bool *done; /* of each group */
	struct entries entries;
	struct cs_strbuf *out;
};

/* Writes the rows of the marker in `line`, if it is one. */
static int render_marker(
	struct render *render, const struct line *line, struct cs_error *err)
{
	struct word indent = {line->text, (size_t)(line->first.text - line->text)};
	struct walk *walk = &render->walk;
	struct marker marker;
	size_t i = 0;

	if (find_marker(walk, line, &marker, err) < 0)
		return err->code;
	if (!marker.found)
		return 0;
	if (find_group(walk, marker.cluster, render->groups, render->n_groups, &i, err) <
		0)
		return err->code;
	const struct cs_haproxy_group *group = &render->groups[i];
	if (render->done[i])
		return cs_error_set(err, CS_E_CONFIG,
			"%s:%d: a second marker for cluster '%s'; one is expected",
			walk->path, walk->number, group->cluster);
	render->done[i] = true;
	if (marker.whole) {
		walk->backend = (struct word){group->backend, strlen(group->backend)};
		cs_strbuf_addf(render->out, "backend %s\n", group->backend);
	}
	if (check_section(walk, group, err) < 0)
		return err->code;
	write_rows(group, indent.len && !marker.whole ? indent : default_indent,
		render->out);
	return 0;
}

static int render_lines(
	struct render *render, const char *template, size_t len, struct cs_error *err)
{
	const char *cursor = template, *limit = template + len;
	struct line line;

	while (next_line(&cursor, limit, &line)) {
		render->walk.number++;
		if (!line.comment)
			follow_section(&render->walk, &line);
		if (check_variables(&render->walk, &line, template, limit, err) < 0 ||
			check_foreign(&render->walk, &line, &render->entries, err) < 0)
			return err->code;
		cs_strbuf_add_bytes(
			render->out, line.text, (size_t)(line.end - line.text));
		if (line.end == limit && line.end[-1] != '\n')
			cs_strbuf_add(render->out, "\n");
		if (render_marker(render, &line, err) < 0)
			return err->code;
	}
	for (size_t i = 0; i < render->n_groups; i++) {
		if (render->done[i])
			continue;
		if (check_section(&render->walk, &render->groups[i], err) < 0)
			return err->code;
		write_rows(&render->groups[i], default_indent, render->out);
	}
	return cs_strbuf_check(render->out, "the rendered configuration", err);
}

int cs_haproxy_render(const char *template, size_t len, const char *path,
	const struct cs_haproxy_group *groups, size_t n_groups, struct cs_strbuf *ret,
	struct cs_error *err)
{
	CS_AUTO_FREE bool *done = cs_calloc(n_groups, sizeof *done);
	struct render render = {.walk = {.path = path},
		.groups = groups,
		.n_groups = n_groups,
		.done = done,
		.out = ret};
	int r = check_bytes(template, len, path, err);

	if (r == 0)
		r = collect(groups, n_groups, &render.entries, err);
	if (r == 0)
		r = check_twins(&render.entries, err);
	if (r == 0)
		r = render_lines(&render, template, len, err);
	free(render.entries.items);
	return r;
}

void cs_haproxy_server_names(
	const char *template, size_t len, struct cs_haproxy_names *ret)
{
	const char *cursor = template, *limit = template + len;
	struct line line;

	while (next_line(&cursor, limit, &line)) {
		if (!word_is(line.first, "server") || line.second.len == 0)
			continue;
		CS_AUTO_FREE char *name = cs_strndup(line.second.text, line.second.len);
		cs_haproxy_names_add(ret, name);
	}
}
