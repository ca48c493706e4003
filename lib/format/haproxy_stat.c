/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parsers of HAProxy's replies; see haproxy_stat.h. */
#include <config.h>
#include "format/haproxy_stat.h"

#include <string.h>

#include "base/mem.h"
#include "base/parse.h"

#define ROWS_MAX 100000
#define FIELD_MAX 65536
#define TYPE_SERVER "2"

/* One record of CSV as RFC 4180 has it: quoted fields may hold commas, quotes and line
 * ends, and what a health check received from a server may stand in one. */
struct csv {
	const char *cursor, *limit;
	struct cs_strings fields;
};

static void csv_done(struct csv *csv)
{
	cs_strings_done(&csv->fields);
}

/* From behind the opening quote to behind the closing one; two of them stand for one. */
static void read_quoted(struct csv *csv, struct cs_strbuf *field)
{
	for (csv->cursor++; csv->cursor < csv->limit; csv->cursor++) {
		if (*csv->cursor == '"') {
			csv->cursor++;
			if (csv->cursor == csv->limit || *csv->cursor != '"')
				return;
		}
		cs_strbuf_add_bytes(field, csv->cursor, 1);
	}
}

/* False at the end of the text. */
static bool read_record(struct csv *csv)
{
	cs_strings_done(&csv->fields);
	while (csv->cursor < csv->limit) {
		CS_CLEANUP(cs_strbuf_done) struct cs_strbuf field = CS_STRBUF(FIELD_MAX);

		if (*csv->cursor == '"')
			read_quoted(csv, &field);
		const char *from = csv->cursor;
		while (csv->cursor < csv->limit && *csv->cursor != ',' &&
			*csv->cursor != '\n')
			csv->cursor++;
		cs_strbuf_add_bytes(&field, from, (size_t)(csv->cursor - from));
		cs_strings_add(&csv->fields, cs_strbuf_text(&field));
		if (csv->cursor == csv->limit || *csv->cursor++ == '\n')
			return true;
	}
	return false;
}

/* Where the columns that we need stand; they are found by name because every version
 * adds some. */
struct columns {
	size_t backend, name, queued, current, status, type, endpoint;
};

static bool find_column(const struct cs_strings *header, const char *name, size_t *ret)
{
	for (size_t i = 0; i < header->n; i++) {
		if (strcmp(header->items[i], name) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static int find_columns(
	const struct cs_strings *header, struct columns *ret, struct cs_error *err)
{
	if (find_column(header, "# pxname", &ret->backend) &&
		find_column(header, "svname", &ret->name) &&
		find_column(header, "qcur", &ret->queued) &&
		find_column(header, "scur", &ret->current) &&
		find_column(header, "status", &ret->status) &&
		find_column(header, "type", &ret->type) &&
		find_column(header, "addr", &ret->endpoint))
		return 0;
	return cs_error_set(err, CS_E_PROTOCOL,
		"the reply to 'show stat' begins with '%.80s', not with its columns",
		header->n ? header->items[0] : "");
}

static const char *field(const struct csv *csv, size_t column)
{
	return column < csv->fields.n ? csv->fields.items[column] : "";
}

static bool parse_count(const char *text, int64_t *ret)
{
	*ret = 0;
	return *text == '\0' || cs_parse_int(text, 0, INT32_MAX, ret);
}

static int add_server(const struct csv *csv, const struct columns *columns,
	struct cs_haproxy_servers *servers, struct cs_error *err)
{
	int64_t queued, current;

	if (!parse_count(field(csv, columns->queued), &queued) ||
		!parse_count(field(csv, columns->current), &current) ||
		!*field(csv, columns->status))
		return cs_error_set(err, CS_E_PROTOCOL,
			"'show stat': server '%.80s': sessions '%.20s' and '%.20s', "
			"status '%.20s' are not what they should be",
			field(csv, columns->name), field(csv, columns->current),
			field(csv, columns->queued), field(csv, columns->status));
	if (servers->n == ROWS_MAX)
		return cs_error_set(err, CS_E_LIMIT,
			"'show stat' has more than %d servers", ROWS_MAX);
	if ((servers->n & (servers->n - 1)) == 0) /* grows at the powers of two */
		servers->items = cs_reallocarray(servers->items,
			servers->n ? servers->n * 2 : 1, sizeof *servers->items);
	servers->items[servers->n++] = (struct cs_haproxy_server){
		.backend = cs_strdup(field(csv, columns->backend)),
		.name = cs_strdup(field(csv, columns->name)),
		.status = cs_strdup(field(csv, columns->status)),
		.endpoint = cs_strdup(field(csv, columns->endpoint)),
		.sessions = queued + current};
	return 0;
}

int cs_haproxy_parse_stat(const char *text, size_t len, struct cs_haproxy_servers *ret,
	struct cs_error *err)
{
	CS_CLEANUP(csv_done) struct csv csv = {.cursor = text, .limit = text + len};
	CS_CLEANUP(cs_haproxy_servers_done) struct cs_haproxy_servers servers = {0};
	struct columns columns = {0};

	read_record(&csv);
	if (find_columns(&csv.fields, &columns, err) < 0)
		return err->code;
	while (read_record(&csv)) {
		if (strcmp(field(&csv, columns.type), TYPE_SERVER) == 0 &&
			add_server(&csv, &columns, &servers, err) < 0)
			return err->code;
	}
	*ret = servers;
	servers = (struct cs_haproxy_servers){0};
	return 0;
}

void cs_haproxy_servers_done(struct cs_haproxy_servers *servers)
{
	for (size_t i = 0; i < servers->n; i++) {
		free(servers->items[i].backend);
		free(servers->items[i].name);
		free(servers->items[i].status);
		free(servers->items[i].endpoint);
	}
	free(servers->items);
	*servers = (struct cs_haproxy_servers){0};
}

const struct cs_haproxy_server *cs_haproxy_servers_find(
	const struct cs_haproxy_servers *servers, const char *backend, const char *name)
{
	for (size_t i = 0; i < servers->n; i++) {
		if (strcmp(servers->items[i].name, name) == 0 &&
			strcmp(servers->items[i].backend, backend) == 0)
			return &servers->items[i];
	}
	return NULL;
}

bool cs_haproxy_serves(const struct cs_haproxy_server *server)
{
	return strncmp(server->status, "UP", 2) == 0 ||
	       strcmp(server->status, "no check") == 0;
}

bool cs_haproxy_rests(const struct cs_haproxy_server *server)
{
	return strncmp(server->status, "DRAIN", 5) == 0 ||
	       strncmp(server->status, "MAINT", 5) == 0;
}

/* Cuts the next line out of [*cursor, limit) into `buffer`, shortened when too long. */
static bool next_line(const char **cursor, const char *limit, char *buffer, size_t size)
{
	if (*cursor >= limit)
		return false;
	const char *newline = memchr(*cursor, '\n', (size_t)(limit - *cursor));
	const char *end = newline ? newline : limit;
	size_t len =
		(size_t)(end - *cursor) < size - 1 ? (size_t)(end - *cursor) : size - 1;
	memcpy(buffer, *cursor, len);
	buffer[len] = '\0';
	*cursor = newline ? newline + 1 : limit;
	return true;
}

/* "# workers" and alike head what follows them. */
enum proc_part { PROC_MASTER, PROC_WORKERS, PROC_OLD_WORKERS, PROC_OTHER };

static enum proc_part part_of(const char *heading)
{
	if (strcmp(heading, "# workers") == 0)
		return PROC_WORKERS;
	if (strcmp(heading, "# old workers") == 0)
		return PROC_OLD_WORKERS;
	return strncmp(heading, "#<PID>", 6) == 0 ? PROC_MASTER : PROC_OTHER;
}

static int add_proc(enum proc_part part, char *line, struct cs_haproxy_procs *procs,
	struct cs_error *err)
{
	const char *failed = strstr(line, "[failed: ");
	char *save = NULL, *first = strtok_r(line, " \t\r", &save);
	int64_t pid;

	if (!first || part == PROC_OTHER)
		return 0;
	if (!cs_parse_int(first, 1, INT32_MAX, &pid))
		return cs_error_set(err, CS_E_PROTOCOL,
			"'show proc': '%.40s' is not a process id", first);
	if (part == PROC_MASTER && failed) {
		char *close = strchr(failed, ']');

		if (close)
			*close = '\0';
		if (!cs_parse_int(failed + 9, 0, INT32_MAX, &procs->failed))
			return cs_error_set(err, CS_E_PROTOCOL,
				"'show proc': '%.40s' is not a number of reloads",
				failed + 9);
	}
	if (part == PROC_WORKERS && procs->current == 0)
		procs->current = pid;
	if (part != PROC_OLD_WORKERS)
		return 0;
	if (procs->n_old == ROWS_MAX)
		return cs_error_set(err, CS_E_LIMIT,
			"'show proc' has more than %d old workers", ROWS_MAX);
	procs->old = cs_reallocarray(procs->old, procs->n_old + 1, sizeof *procs->old);
	procs->old[procs->n_old++] = pid;
	return 0;
}

int cs_haproxy_parse_proc(
	const char *text, size_t len, struct cs_haproxy_procs *ret, struct cs_error *err)
{
	CS_CLEANUP(cs_haproxy_procs_done)
	struct cs_haproxy_procs procs = {.failed = -1};
	const char *cursor = text;
	enum proc_part part = PROC_OTHER;
	bool master = false;
	char line[256];

	while (next_line(&cursor, text + len, line, sizeof line)) {
		if (line[0] == '#') {
			part = part_of(line);
			master |= part == PROC_MASTER;
		} else if (add_proc(part, line, &procs, err) < 0) {
			return err->code;
		}
	}
	if (!master)
		return cs_error_set(err, CS_E_PROTOCOL,
			"the reply to 'show proc' is '%.80s', not a table of processes",
			len ? line : "");
	*ret = procs;
	procs = (struct cs_haproxy_procs){0};
	return 0;
}

void cs_haproxy_procs_done(struct cs_haproxy_procs *procs)
{
	free(procs->old);
	*procs = (struct cs_haproxy_procs){0};
}

int cs_haproxy_parse_info(
	const char *text, size_t len, int64_t *ret_pid, struct cs_error *err)
{
	const char *cursor = text;
	char line[256];

	while (next_line(&cursor, text + len, line, sizeof line)) {
		if (strncmp(line, "Pid: ", 5) == 0 &&
			cs_parse_int(line + 5, 1, INT32_MAX, ret_pid))
			return 0;
	}
	return cs_error_set(err, CS_E_PROTOCOL,
		"the reply to 'show info' does not tell the process id");
}

/* Columns of version 1 of the state dump. */
enum { STATE_BACKEND = 1, STATE_NAME = 3, STATE_ADDRESS = 4, STATE_PORT = 18 };

static const struct cs_haproxy_row *find_row(const struct cs_haproxy_group *groups,
	size_t n_groups, const char *backend, const char *name)
{
	for (size_t i = 0; i < n_groups; i++) {
		for (size_t k = 0; k < groups[i].n; k++) {
			if (strcmp(groups[i].rows[k].name, name) == 0 &&
				strcmp(groups[i].backend, backend) == 0)
				return &groups[i].rows[k];
		}
	}
	return NULL;
}

/* Cuts a row at its blanks; false when it has too few columns. */
static bool split_state(char *line, const char *columns[STATE_PORT + 1])
{
	char *save = NULL;

	for (int i = 0; i <= STATE_PORT; i++) {
		columns[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!columns[i])
			return false;
	}
	return true;
}

static bool same_endpoint(const struct cs_haproxy_row *row, const char *const *columns)
{
	bool v6 = strchr(columns[STATE_ADDRESS], ':') != NULL;
	CS_AUTO_FREE char *endpoint = cs_asprintf("%s%s%s:%s", v6 ? "[" : "",
		columns[STATE_ADDRESS], v6 ? "]" : "", columns[STATE_PORT]);

	return strcmp(endpoint, row->endpoint) == 0;
}

int cs_haproxy_state_copy(const char *dump, size_t len,
	const struct cs_haproxy_group *before, size_t n_before,
	const struct cs_haproxy_group *groups, size_t n_groups, struct cs_strbuf *ret,
	struct cs_error *err)
{
	const char *cursor = dump, *columns[STATE_PORT + 1];
	char line[2048], copy[2048];

	if (!next_line(&cursor, dump + len, line, sizeof line) || strcmp(line, "1") != 0)
		return cs_error_set(err, CS_E_PROTOCOL,
			"the reply to 'show servers state' is not of version 1");
	cs_strbuf_add(ret, "1\n");
	while (next_line(&cursor, dump + len, line, sizeof line)) {
		memcpy(copy, line, sizeof copy);
		if (line[0] != '#' && split_state(copy, columns)) {
			const struct cs_haproxy_row *row = find_row(groups, n_groups,
				columns[STATE_BACKEND], columns[STATE_NAME]);
			if (row ? !same_endpoint(row, columns)
				: find_row(before, n_before, columns[STATE_BACKEND],
					  columns[STATE_NAME]) != NULL)
				continue;
		}
		cs_strbuf_addf(ret, "%s\n", line);
	}
	return cs_strbuf_check(ret, "the state of the servers", err);
}
