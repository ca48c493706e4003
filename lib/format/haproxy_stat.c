/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parsers of HAProxy's replies; see haproxy_stat.h. */
#include <config.h>
#include "format/haproxy_stat.h"

#include <string.h>

#include "base/mem.h"
#include "base/parse.h"

#define ROWS_MAX 100000
#define DIGITS "0123456789"
#define TYPE_SERVER "2"

/* One record of CSV as RFC 4180 has it: quoted fields may hold commas, quotes and line
 * ends, and what a health check received from a server may stand in one. Fields are cut
 * where they stand: a reply about 5000 servers has half a million. */
struct csv {
	char *cursor, *limit; /* *limit can be written */
	const char **fields;  /* owned; they borrow from the text */
	size_t n, capacity;
};

static void csv_done(struct csv *csv)
{
	free(csv->fields);
}

static void add_field(struct csv *csv, const char *field)
{
	if (csv->n == csv->capacity) {
		csv->capacity = csv->capacity ? csv->capacity * 2 : 128;
		csv->fields =
			cs_reallocarray(csv->fields, csv->capacity, sizeof *csv->fields);
	}
	csv->fields[csv->n++] = field;
}

/* From behind the opening quote to behind the closing one; two of them stand for one. The
 * text moves to `to`, whose new end is returned. */
static char *read_quoted(struct csv *csv, char *to)
{
	for (csv->cursor++; csv->cursor < csv->limit; csv->cursor++) {
		if (*csv->cursor == '"') {
			csv->cursor++;
			if (csv->cursor == csv->limit || *csv->cursor != '"')
				break;
		}
		*to++ = *csv->cursor;
	}
	return to;
}

/* Returns what ended it: a comma, a line end, or '\0' at the end of the text. */
static char read_field(struct csv *csv)
{
	char *field = csv->cursor, *to = field;

	if (*field == '"')
		to = read_quoted(csv, to);
	while (csv->cursor < csv->limit && *csv->cursor != ',' && *csv->cursor != '\n')
		*to++ = *csv->cursor++;
	char end = '\0';
	if (csv->cursor < csv->limit)
		end = *csv->cursor++;
	*to = '\0';
	add_field(csv, field);
	return end;
}

/* False at the end of the text. */
static bool read_record(struct csv *csv)
{
	csv->n = 0;
	while (csv->cursor < csv->limit) {
		if (read_field(csv) != ',')
			return true;
	}
	return csv->n > 0;
}

/* Where the columns that we need stand; they are found by name because every version
 * adds some. */
struct columns {
	size_t backend, name, queued, current, status, type, endpoint;
};

static bool find_column(const struct csv *header, const char *name, size_t *ret)
{
	for (size_t i = 0; i < header->n; i++) {
		if (strcmp(header->fields[i], name) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static int find_columns(
	const struct csv *header, struct columns *ret, struct cs_error *err)
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
		header->n ? header->fields[0] : "");
}

static const char *field(const struct csv *csv, size_t column)
{
	return column < csv->n ? csv->fields[column] : "";
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
	servers->items[servers->n++] =
		(struct cs_haproxy_server){.backend = field(csv, columns->backend),
			.name = field(csv, columns->name),
			.status = field(csv, columns->status),
			.endpoint = field(csv, columns->endpoint),
			.sessions = queued + current};
	return 0;
}

int cs_haproxy_parse_stat(const char *text, size_t len, struct cs_haproxy_servers *ret,
	struct cs_error *err)
{
	CS_CLEANUP(cs_haproxy_servers_done)
	struct cs_haproxy_servers servers = {.text = cs_strndup(text, len)};
	CS_CLEANUP(csv_done)
	struct csv csv = {
		.cursor = servers.text, .limit = servers.text + strlen(servers.text)};
	struct columns columns = {0};

	read_record(&csv);
	if (find_columns(&csv, &columns, err) < 0)
		return err->code;
	while (read_record(&csv)) {
		if (strcmp(field(&csv, columns.type), TYPE_SERVER) == 0 &&
			add_server(&csv, &columns, &servers, err) < 0)
			return err->code;
	}
	for (size_t i = 0; i < servers.n; i++)
		cs_map_add(&servers.by_name, servers.items[i].backend,
			servers.items[i].name, &servers.items[i]);
	*ret = servers;
	servers = (struct cs_haproxy_servers){0};
	return 0;
}

void cs_haproxy_servers_done(struct cs_haproxy_servers *servers)
{
	cs_map_done(&servers->by_name);
	free(servers->items);
	free(servers->text);
	*servers = (struct cs_haproxy_servers){0};
}

const struct cs_haproxy_server *cs_haproxy_servers_find(
	const struct cs_haproxy_servers *servers, const char *backend, const char *name)
{
	return cs_map_find(&servers->by_name, backend, name);
}

bool cs_haproxy_serves(const struct cs_haproxy_server *server)
{
	return strncmp(server->status, "UP", 2) == 0 ||
	       strcmp(server->status, "no check") == 0;
}

bool cs_haproxy_in_maint(const struct cs_haproxy_server *server)
{
	return strncmp(server->status, "MAINT", 5) == 0;
}

bool cs_haproxy_rests(const struct cs_haproxy_server *server)
{
	return strncmp(server->status, "DRAIN", 5) == 0 || cs_haproxy_in_maint(server);
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
	if (part == PROC_WORKERS && procs->current == 0) {
		procs->current = pid;
		return 0;
	}
	if (part != PROC_OLD_WORKERS && part != PROC_WORKERS)
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
	if (procs.failed < 0)
		procs.failed = procs.current == 0;
	*ret = procs;
	procs = (struct cs_haproxy_procs){0};
	return 0;
}

void cs_haproxy_procs_done(struct cs_haproxy_procs *procs)
{
	free(procs->old);
	*procs = (struct cs_haproxy_procs){0};
}

char *cs_haproxy_reload_failure(const char *reply, size_t len)
{
	static const char mark[] = "Success=0";
	CS_AUTO_FREE char *text = cs_strndup(reply, len);
	const char *failure = strstr(text, mark);

	if (!failure)
		return NULL;
	failure += strlen(mark);
	char *words = cs_strdup(failure + strspn(failure, "-\r\n"));
	for (char *c = words; (c = strpbrk(c, "\r\n"));)
		*c = ' ';
	for (size_t end = strlen(words); end > 0 && words[end - 1] == ' ';)
		words[--end] = '\0';
	return words;
}

char *cs_haproxy_add_failure(const char *replies, size_t len)
{
	CS_AUTO_FREE char *text = cs_strndup(replies, len);
	char *rest = NULL;

	for (char *line = strtok_r(text, "\r\n", &rest); line;
		line = strtok_r(NULL, "\r\n", &rest)) {
		if (strcmp(line, "New server registered.") != 0)
			return cs_strdup(line);
	}
	return NULL;
}

/* "2.6.12-1+deb12u4" is 206, "3.0-dev1" is 300, anything else 0. */
static int parse_version(const char *text)
{
	CS_AUTO_FREE char *major = cs_strndup(text, strspn(text, DIGITS));
	const char *dot = text + strlen(major);
	CS_AUTO_FREE char *minor = *dot == '.'
					   ? cs_strndup(dot + 1, strspn(dot + 1, DIGITS))
					   : cs_strdup("");
	int64_t high, low;

	if (!cs_parse_int(major, 0, 9999, &high) || !cs_parse_int(minor, 0, 99, &low))
		return 0;
	return CS_HAPROXY_VERSION((int)high, (int)low);
}

int cs_haproxy_parse_info(
	const char *text, size_t len, struct cs_haproxy_info *ret, struct cs_error *err)
{
	struct cs_haproxy_info info = {0};
	const char *cursor = text;
	char line[256];

	while (next_line(&cursor, text + len, line, sizeof line)) {
		if (strncmp(line, "Version: ", 9) == 0)
			info.version = parse_version(line + 9);
		if (strncmp(line, "Pid: ", 5) == 0 &&
			!cs_parse_int(line + 5, 1, INT32_MAX, &info.pid))
			info.pid = 0;
	}
	if (info.pid == 0)
		return cs_error_set(err, CS_E_PROTOCOL,
			"the reply to 'show info' does not tell the process id");
	*ret = info;
	return 0;
}
