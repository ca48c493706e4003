/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --explain --at: why a past action was taken and what became of it, from the journal
 * alone. Reads lines of any version: what it does not know it passes over. */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/strbuf.h"
#include "domain/evidence.h"
#include "format/json.h"
#include "nova_scale.h"

#define JOURNAL_MAX (8 << 20)
#define OPS_MAX 256

/* The lines of the journal, oldest first, as one JSON array. */
static int read_lines(const char *dir, struct json_object *lines, struct cs_error *err)
{
	static const char *const names[] = {"journal.1", "journal"};

	for (size_t i = 0; i < CS_ARRAY_SIZE(names); i++) {
		CS_AUTO_FREE char *path = cs_asprintf("%s/%s", dir, names[i]);
		CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(JOURNAL_MAX);
		char *rest, *line;

		if (cs_file_read(path, &text, err) < 0) {
			if (err->code == CS_E_NOT_FOUND)
				continue;
			return err->code;
		}
		rest = text.data;
		while ((line = strsep(&rest, "\n"))) {
			struct json_object *parsed;
			struct cs_error ignored;

			if (cs_json_parse(line, strlen(line), path, &parsed, &ignored) ==
				0)
				json_object_array_add(lines, parsed);
		}
	}
	return 0;
}

static bool is(struct json_object *line, const char *key, const char *text)
{
	const char *found = cs_json_str(line, key);

	return found && text && strcmp(found, text) == 0;
}

static const char *text_of(struct json_object *line, const char *key)
{
	const char *text = cs_json_str(line, key);

	return text ? text : "?";
}

static int64_t time_of(struct json_object *line)
{
	int64_t wall_ms = 0;

	cs_json_int(line, "t", &wall_ms);
	return wall_ms;
}

static struct json_object *line_at(struct json_object *lines, size_t i)
{
	return json_object_array_get_idx(lines, i);
}

/* "2026-11-24T03:12:07Z", or local time as "2026-11-24 03:12" with or without seconds:
 * the end of that minute or second, or -1. */
static int64_t parse_when(const char *text)
{
	struct tm tm = {.tm_isdst = -1};
	int64_t wall_ms = cs_wall_parse(text), unit_ms = CS_MS_PER_S;
	const char *end;

	if (wall_ms < 0) {
		end = strptime(text, "%Y-%m-%d %H:%M", &tm);
		if (end && *end == ':')
			end = strptime(end, ":%S", &tm);
		else
			unit_ms *= 60;
		if (!end || *end)
			return -1;
		wall_ms = (int64_t)mktime(&tm) * CS_MS_PER_S;
	}
	return wall_ms + unit_ms - 1;
}

/* The intent that a person means: by op, by the id or name of its server, or the last one
 * at a time. The newest when several match. Borrowed. */
static struct json_object *find_intent(struct json_object *lines, const char *which)
{
	int64_t until_ms = parse_when(which);
	const char *op = NULL;

	for (size_t i = json_object_array_length(lines); i-- > 0;) {
		struct json_object *line = line_at(lines, i);
		bool intent = is(line, "type", "intent");

		if (until_ms >= 0
				? intent && time_of(line) <= until_ms
				: is(line, "op", which) || is(line, "server_id", which) ||
					  is(line, "name", which))
			op = op ? op : cs_json_str(line, "op");
		if (intent && is(line, "op", op))
			return line;
	}
	return NULL;
}

/* What one decision asked for: the intents of one run for one reason. */
struct incident {
	struct json_object *lines, *intents[OPS_MAX];
	const char *servers[OPS_MAX]; /* the id of each, or NULL */
	size_t n;
};

static void collect(struct incident *incident, struct json_object *found)
{
	for (size_t i = 0; i < json_object_array_length(incident->lines); i++) {
		struct json_object *line = line_at(incident->lines, i);
		bool known = false;

		if (!is(line, "type", "intent") ||
			!is(line, "run", cs_json_str(found, "run")) ||
			!is(line, "why", cs_json_str(found, "why")))
			continue;
		/* Rotation writes open intents again. */
		for (size_t k = 0; k < incident->n; k++)
			known |= is(incident->intents[k], "op", cs_json_str(line, "op"));
		if (known || incident->n == OPS_MAX)
			continue;
		incident->servers[incident->n] = cs_json_str(line, "server_id");
		incident->intents[incident->n++] = line;
	}
}

/* Which of the intents a later line is about; n: none. */
static size_t intent_of(struct incident *incident, struct json_object *line)
{
	for (size_t i = 0; i < incident->n; i++) {
		if (is(line, "op", cs_json_str(incident->intents[i], "op"))) {
			if (is(line, "type", "request"))
				incident->servers[i] = cs_json_str(line, "server_id");
			return i;
		}
		if (is(line, "type", "published") && incident->servers[i] &&
			is(incident->intents[i], "action", "create") &&
			is(line, "server_id", incident->servers[i]))
			return i;
	}
	return incident->n;
}

/* NULL for what tells nothing new. */
static char *event_text(struct json_object *line, struct json_object *intent)
{
	const char *name = text_of(intent, "name"), *detail = cs_json_str(line, "detail"),
		   *id = text_of(line, "server_id");
	bool create = is(intent, "action", "create");

	if (is(line, "type", "intent"))
		return create ? cs_asprintf("'%s' is asked for", name)
			      : cs_asprintf("'%s' (%s) is to go", name, id);
	if (is(line, "type", "request"))
		return cs_asprintf("'%s': the cloud agreed, its id is %s", name, id);
	if (is(line, "type", "published"))
		return cs_asprintf(
			"'%s' is in service: every load balancer serves it", name);
	if (is(line, "type", "drained"))
		return cs_asprintf("'%s' is drained %s", name, detail ? detail : "");
	if (!is(line, "type", "result"))
		return NULL;
	if (is(line, "outcome", CS_OUTCOME_DONE))
		return create ? NULL : cs_asprintf("'%s' is deleted", name);
	return cs_asprintf("'%s': the %s %s: %s", name, create ? "create" : "delete",
		is(line, "outcome", CS_OUTCOME_FAILED) ? "failed" : "was given up",
		detail ? detail : "no reason is known");
}

static void add_events(struct incident *incident, int64_t from_ms, struct cs_strbuf *ret)
{
	bool ended[OPS_MAX] = {false};

	for (size_t i = 0; i < json_object_array_length(incident->lines); i++) {
		struct json_object *line = line_at(incident->lines, i);
		size_t which = intent_of(incident, line);

		if (which == incident->n || ended[which] ||
			(is(line, "type", "intent") && line != incident->intents[which]))
			continue;
		CS_AUTO_FREE char *text = event_text(line, incident->intents[which]);
		if (text)
			cs_strbuf_addf(ret, "after %" PRId64 " s: %s\n",
				(time_of(line) - from_ms) / CS_MS_PER_S, text);
		ended[which] = is(line, "type", "result");
	}
	for (size_t i = 0; i < incident->n; i++) {
		if (!ended[i])
			cs_strbuf_addf(ret, "'%s': this is still open\n",
				text_of(incident->intents[i], "name"));
	}
}

/* The first intent of a decision has the members, too. */
static struct json_object *decision_of(const struct incident *incident)
{
	return cs_json_obj(incident->intents[0], "decision");
}

static void add_outcome(struct json_object *json, struct cs_strbuf *ret)
{
	struct cs_decision decision = {
		.direction = is(json, "direction", "up")     ? CS_DIRECTION_UP
			     : is(json, "direction", "down") ? CS_DIRECTION_DOWN
							     : CS_DIRECTION_HOLD};

	if (cs_json_int(json, "desired", &decision.desired)) {
		cs_decision_outcome(&decision, ret);
		cs_strbuf_add(ret, "\n");
	}
}

static void add_decision(const struct incident *incident, struct cs_strbuf *ret)
{
	struct json_object *decision = decision_of(incident),
			   *members = cs_json_arr(decision, "members"),
			   *reasons = cs_json_arr(decision, "reasons");
	int64_t left_off;

	for (size_t i = 0; members && i < json_object_array_length(members); i++) {
		struct cs_evidence evidence;

		if (!cs_evidence_parse(line_at(members, i), &evidence))
			continue;
		CS_AUTO_FREE char *text = cs_evidence_text(&evidence);
		cs_strbuf_addf(ret, "%s\n", text);
	}
	if (cs_json_int(decision, "members_left_off", &left_off))
		cs_strbuf_addf(ret, "and %" PRId64 " more\n", left_off);
	for (size_t i = 0; reasons && i < json_object_array_length(reasons); i++)
		cs_strbuf_addf(ret, "because: %s\n",
			json_object_get_string(line_at(reasons, i)));
	if (!reasons)
		cs_strbuf_addf(
			ret, "because: %s\n", text_of(incident->intents[0], "why"));
	add_outcome(decision, ret);
}

static void tell_story(const struct scale_program *program, struct incident *incident)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(1 << 20);
	int64_t at_ms = time_of(incident->intents[0]);
	char when[CS_WALL_TEXT_SIZE];
	char *rest, *line;

	cs_wall_format(at_ms, when);
	cs_strbuf_addf(&text, "cluster %s at %s, run %s\n", program->cluster->name, when,
		text_of(incident->intents[0], "run"));
	add_decision(incident, &text);
	add_events(incident, at_ms, &text);
	rest = text.data;
	while ((line = strsep(&rest, "\n")) && *line) {
		cs_text_clean(line);
		puts(line);
	}
}

/* The same as data: the lines of the journal themselves. */
static void print_story(const struct scale_program *program, struct incident *incident)
{
	CS_AUTO_JSON struct json_object *document = json_object_new_object();
	struct json_object *events = json_object_new_array();

	cs_json_add_str(document, "cluster", program->cluster->name);
	cs_json_add_int(document, "t", time_of(incident->intents[0]));
	json_object_object_add(
		document, "decision", json_object_get(decision_of(incident)));
	for (size_t i = 0; i < json_object_array_length(incident->lines); i++) {
		struct json_object *line = line_at(incident->lines, i);

		if (intent_of(incident, line) < incident->n)
			json_object_array_add(events, json_object_get(line));
	}
	json_object_object_add(document, "events", events);
	puts(cs_json_text(document));
}

int scale_show_story(struct scale_program *program)
{
	CS_AUTO_JSON struct json_object *lines = json_object_new_array();
	const char *which = program->values.at;
	struct incident incident = {.lines = lines};
	struct cs_error err;

	if (read_lines(program->dir, lines, &err) < 0)
		return scale_failed(program, &err);
	struct json_object *found = find_intent(lines, which);
	if (!found) {
		fprintf(stderr,
			"nova_scale: the journal in %s has no action '%s': give the op, "
			"the server's name or id, or a time such as "
			"\"2026-11-24 03:12\" (the last action until then)\n",
			program->dir, which);
		return CS_SCALE_REFUSED;
	}
	collect(&incident, found);
	if (program->values.output && strcmp(program->values.output, "json") == 0)
		print_story(program, &incident);
	else
		tell_story(program, &incident);
	return CS_SCALE_CONVERGED;
}
