/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The state file of servers; see haproxy_outline.h. Source: management guide, "show
 * servers state". */
#include <config.h>
#include "format/haproxy_outline.h"

#include <string.h>

#include "base/mem.h"

#define LINE_MAX_SIZE 2048

/* Columns of version 1 of the dump. */
enum { BACKEND_ID, BACKEND, ID, NAME, ADDRESS, OPERATION, ADMIN, PORT = 18 };
#define UP "2"

struct copy {
	const struct cs_haproxy_outline *before, *after;
	struct cs_map kept;    /* (backend, server) of lines of `after` */
	struct cs_map serving; /* (backend, "") with a server that does */
	struct cs_strbuf *ret;
};

static bool next_line(const char **cursor, const char *limit, char *buffer)
{
	const char *line = *cursor;

	if (line >= limit)
		return false;
	const char *newline = memchr(line, '\n', (size_t)(limit - line));
	size_t len = (size_t)((newline ? newline : limit) - line);
	*cursor = newline ? newline + 1 : limit;
	if (len >= LINE_MAX_SIZE)
		len = LINE_MAX_SIZE - 1;
	memcpy(buffer, line, len);
	buffer[len] = '\0';
	return true;
}

/* Cuts a row at its blanks; false when it has too few columns. */
static bool split(char *line, const char *columns[PORT + 1])
{
	char *save = NULL;

	for (int i = 0; i <= PORT; i++) {
		columns[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!columns[i])
			return false;
	}
	return true;
}

/* HAProxy resolves what is no address; the row has what came of it. */
static bool is_numeric(const char *endpoint)
{
	return *endpoint == '[' || strspn(endpoint, "0123456789.:") == strlen(endpoint);
}

static bool runs_at(const char *endpoint, const char *const *columns)
{
	bool v6 = strchr(columns[ADDRESS], ':') != NULL;
	CS_AUTO_FREE char *running = cs_asprintf("%s%s%s:%s", v6 ? "[" : "",
		columns[ADDRESS], v6 ? "]" : "", columns[PORT]);

	return !is_numeric(endpoint) || strcmp(endpoint, running) == 0;
}

static void copy_row(struct copy *copy, const char *row, const char *const *columns)
{
	const struct cs_haproxy_line *old =
		cs_haproxy_outline_find(copy->before, columns[BACKEND], columns[NAME]);
	const struct cs_haproxy_line *new =
		cs_haproxy_outline_find(copy->after, columns[BACKEND], columns[NAME]);

	if (!old || !new || strcmp(old->endpoint, new->endpoint) != 0 ||
		!runs_at(new->endpoint, columns))
		return;
	cs_strbuf_addf(copy->ret, "%s\n", row);
	cs_map_add(&copy->kept, new->backend->name, new->name, new);
	if (strcmp(columns[OPERATION], UP) == 0 && strcmp(columns[ADMIN], "0") == 0)
		cs_map_add(&copy->serving, new->backend->name, "", new);
}

/* As 2.6 itself writes a server that `set server health down` was said of. The weights
 * do not count when they are not those of the configuration. */
static void add_down(struct copy *copy, const struct cs_haproxy_line *line)
{
	const char *colon = strrchr(line->endpoint, ':');
	bool v6 = line->endpoint[0] == '[';

	if (!colon || colon - line->endpoint < 2)
		return;
	cs_strbuf_addf(copy->ret,
		"0 %s 0 %s %.*s 0 0 1 1 0 1 0 0 6 0 0 0 - %s - 0 0 - - 0\n",
		line->backend->name, line->name, (int)(colon - line->endpoint) - 2 * v6,
		line->endpoint + v6, colon + 1);
}

static void add_newcomers(struct copy *copy)
{
	for (size_t i = 0; i < copy->after->n; i++) {
		const struct cs_haproxy_line *line = &copy->after->lines[i];
		const char *backend = line->backend->name;

		if (!cs_map_find(&copy->kept, backend, line->name) &&
			!cs_haproxy_outline_find(copy->before, backend, line->name) &&
			cs_map_find(&copy->serving, backend, "") &&
			cs_haproxy_line_checks(line) && is_numeric(line->endpoint))
			add_down(copy, line);
	}
}

int cs_haproxy_state_copy(const char *dump, size_t len,
	const struct cs_haproxy_outline *before, const struct cs_haproxy_outline *after,
	struct cs_strbuf *ret, struct cs_error *err)
{
	struct copy copy = {.before = before, .after = after, .ret = ret};
	const char *cursor = dump, *columns[PORT + 1];
	char line[LINE_MAX_SIZE], row[LINE_MAX_SIZE];

	if (!next_line(&cursor, dump + len, line) || strcmp(line, "1") != 0)
		return cs_error_set(err, CS_E_PROTOCOL,
			"the reply to 'show servers state' is not of version 1");
	cs_strbuf_add(ret, "1\n");
	while (next_line(&cursor, dump + len, line)) {
		memcpy(row, line, strlen(line) + 1);
		if (line[0] == '#')
			cs_strbuf_addf(ret, "%s\n", line);
		else if (split(line, columns))
			copy_row(&copy, row, columns);
	}
	add_newcomers(&copy);
	cs_map_done(&copy.kept);
	cs_map_done(&copy.serving);
	return cs_strbuf_check(ret, "the state of the servers", err);
}
