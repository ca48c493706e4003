/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing and reading rows; see fleet_rows.h. */
#include <config.h>
#include "domain/fleet_rows.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"

#define TEXT_LEN_MAX 255 /* Nova's own limit */
#define VCPUS_MAX 100000
#define ROWS_MAX 100000

enum field {
	FIELD_ID,
	FIELD_NAME,
	FIELD_STATE,
	FIELD_ADDRESS,
	FIELD_OURS,
	FIELD_DRAINING,
	FIELD_FLAVOR,
	FIELD_VCPUS,
	FIELD_ZONE,
	FIELD_CREATED,
	FIELD_SNMP_PORT,
	FIELD_COUNT
};

static void add_text(struct cs_strbuf *ret, const char *text, const char *end)
{
	CS_AUTO_FREE char *clean = cs_strndup(text ? text : "", TEXT_LEN_MAX);

	cs_text_clean(clean);
	cs_strbuf_add(ret, clean);
	cs_strbuf_add(ret, end);
}

void cs_fleet_rows_write(const struct cs_fleet_view *view, struct cs_strbuf *ret)
{
	cs_strbuf_addf(ret, "list %" PRId64 "\n", view->list.taken_wall_ms);
	for (size_t i = 0; i < view->members.n; i++) {
		const struct cs_member *member = &view->members.items[i];
		const struct cs_server *server = member->server;

		add_text(ret, server->id, "\t");
		add_text(ret, server->name, "\t");
		add_text(ret, cs_member_state_text(member->state), "\t");
		add_text(ret, member->address, "\t");
		add_text(ret, member->ours ? "1" : "0", "\t");
		if (server->mark_draining)
			cs_strbuf_add_int(ret, member->draining_since_wall_ms);
		cs_strbuf_add(ret, "\t");
		add_text(ret, server->flavor, "\t");
		cs_strbuf_add_int(ret, server->vcpus);
		cs_strbuf_add(ret, "\t");
		add_text(ret, server->zone, "\t");
		cs_strbuf_add_int(ret, server->created_wall_ms);
		cs_strbuf_add(ret, "\t");
		add_text(ret, server->mark_snmp_port, "\n");
	}
	cs_strbuf_addf(ret, "complete %zu\n", view->members.n);
}

void cs_fleet_rows_write_error(const struct cs_error *failure, struct cs_strbuf *ret)
{
	cs_strbuf_addf(ret, "failed %d %d %s\n", failure->code, failure->remote_status,
		failure->message);
}

/* Takes "WORD NUMBER" off a line, up to its end or a blank. */
static bool take_number(
	char **line, const char *word, int64_t min, int64_t max, int64_t *ret)
{
	size_t len = strlen(word);
	size_t digits = strncmp(*line, word, len) == 0 ? strcspn(*line + len, " ") : 0;
	char number[24];

	if (digits == 0 || digits >= sizeof number)
		return false;
	memcpy(number, *line + len, digits);
	number[digits] = '\0';
	*line += len + digits;
	return cs_parse_int(number, min, max, ret);
}

static int read_failure(char *line, struct cs_error *err)
{
	int64_t code, status;

	if (!take_number(&line, "failed ", CS_E_LOST, CS_E_USAGE, &code) ||
		!take_number(&line, " ", 0, 999, &status) || *line != ' ' || !line[1])
		return 0;
	cs_error_set(err, (enum cs_errc)code, "%s", line + 1);
	err->remote_status = (int)status;
	return err->code;
}

static bool split(char *line, char *fields[FIELD_COUNT])
{
	size_t n = 0;

	for (char *field; (field = strsep(&line, "\t")); n++) {
		if (n == FIELD_COUNT)
			return false;
		for (const char *c = field; *c; c++) {
			if (*c < 0x20 || *c > 0x7e || c - field >= TEXT_LEN_MAX)
				return false;
		}
		fields[n] = field;
	}
	return n == FIELD_COUNT;
}

static bool read_state(const char *text, enum cs_member_state *ret)
{
	for (int state = 0; state < CS_MEMBER_STATE_COUNT; state++) {
		if (strcmp(text, cs_member_state_text(state)) == 0) {
			*ret = state;
			return true;
		}
	}
	return false;
}

/* Rewritten, so that nothing but an address can come out of it. */
static bool read_address(const char *text, char ret[INET6_ADDRSTRLEN])
{
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	unsigned char bytes[sizeof(struct in6_addr)];

	return !*text || (inet_pton(family, text, bytes) == 1 &&
				 inet_ntop(family, bytes, ret, INET6_ADDRSTRLEN));
}

static bool read_row(char *line, struct cs_server *server, struct cs_member *member)
{
	char *fields[FIELD_COUNT];
	int64_t ours, vcpus, created_wall_ms;

	*member = (struct cs_member){0};
	if (!split(line, fields) || !cs_uuid_ok(fields[FIELD_ID]) ||
		!read_state(fields[FIELD_STATE], &member->state) ||
		!read_address(fields[FIELD_ADDRESS], member->address) ||
		!cs_parse_int(fields[FIELD_OURS], 0, 1, &ours) ||
		!cs_parse_int(fields[FIELD_VCPUS], 0, VCPUS_MAX, &vcpus) ||
		!cs_parse_int(fields[FIELD_CREATED], -1, INT64_MAX, &created_wall_ms) ||
		(*fields[FIELD_DRAINING] &&
			!cs_parse_int(fields[FIELD_DRAINING], 0, INT64_MAX,
				&member->draining_since_wall_ms)))
		return false;
	member->ours = ours != 0;
	*server = (struct cs_server){.id = cs_strdup(fields[FIELD_ID]),
		.name = cs_strdup(fields[FIELD_NAME]),
		.flavor = cs_strdup(fields[FIELD_FLAVOR]),
		.vcpus = vcpus,
		.created_wall_ms = created_wall_ms};
	if (*fields[FIELD_ZONE])
		server->zone = cs_strdup(fields[FIELD_ZONE]);
	if (*fields[FIELD_SNMP_PORT])
		server->mark_snmp_port = cs_strdup(fields[FIELD_SNMP_PORT]);
	if (*fields[FIELD_DRAINING])
		server->mark_draining = cs_strdup(fields[FIELD_DRAINING]);
	return true;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_unique(const struct cs_server_list *list)
{
	CS_AUTO_FREE char **ids = cs_calloc(list->n, sizeof *ids);
	bool unique = true;

	for (size_t i = 0; i < list->n; i++)
		ids[i] = list->servers[i].id;
	qsort(ids, list->n, sizeof *ids, by_id);
	for (size_t i = 1; i < list->n; i++)
		unique = unique && strcmp(ids[i - 1], ids[i]) != 0;
	return unique;
}

/* Up to `lines` rows, and behind them the line that says how many they are. */
static bool read_rows(char *text, size_t lines, struct cs_fleet_view *view)
{
	struct cs_server_list *list = &view->list;
	int64_t n;

	list->servers = cs_calloc(lines, sizeof *list->servers);
	view->members.items = cs_calloc(lines, sizeof *view->members.items);
	for (char *line; (line = strsep(&text, "\n"));) {
		struct cs_member *member = &view->members.items[list->n];

		if (take_number(&line, "complete ", 0, ROWS_MAX, &n)) {
			cs_members_index(&view->members);
			return !*line && text && !*text && (size_t)n == list->n &&
			       is_unique(list);
		}
		if (list->n == lines || !read_row(line, &list->servers[list->n], member))
			return false;
		member->server = &list->servers[list->n++];
		view->members.by_state[member->state]++;
		view->members.n++;
	}
	return false;
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n;
}

int cs_fleet_rows_parse(
	const char *text, size_t len, struct cs_fleet_view *ret, struct cs_error *err)
{
	CS_AUTO_FREE char *copy = cs_strndup(text, len);
	struct cs_fleet_view view = {0};
	char *rest = copy;
	bool whole = strlen(copy) == len;
	size_t lines = count_lines(copy);
	char *line = strsep(&rest, "\n");

	if (whole && lines == 1 && read_failure(line, err) < 0)
		return err->code;
	if (whole && lines >= 2 && lines <= ROWS_MAX + 2 &&
		take_number(&line, "list ", 0, INT64_MAX, &view.list.taken_wall_ms) &&
		!*line && read_rows(rest, lines - 2, &view)) {
		*ret = view;
		return 0;
	}
	cs_fleet_view_done(&view);
	return cs_error_set(err, CS_E_PROTOCOL,
		"the child that asks the cloud sent %zu bytes that are no list of "
		"servers; nothing is changed on its word",
		len);
}
