/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading a load balancer's report; see sync_report.h. */
#include <config.h>
#include "format/sync_report.h"

#include <string.h>

#include "base/parse.h"
#include "format/json.h"

static bool contains(const struct cs_strings *list, const char *id)
{
	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->items[i], id) == 0)
			return true;
	}
	return false;
}

static bool is_draining(const struct cs_sync_report *report, const char *id)
{
	for (size_t i = 0; i < report->n_draining; i++) {
		if (strcmp(report->draining[i].id, id) == 0)
			return true;
	}
	return false;
}

/* An id that already has a state is a contradiction. */
static bool is_new_id(const struct cs_sync_report *report, const char *id)
{
	return id && cs_uuid_ok(id) && !contains(&report->serving, id) &&
	       !contains(&report->drained, id) && !is_draining(report, id);
}

static bool read_ids(const struct cs_sync_report *report, struct json_object *array,
	struct cs_strings *ret)
{
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		struct json_object *item = json_object_array_get_idx(array, i);
		const char *id = json_object_is_type(item, json_type_string)
					 ? json_object_get_string(item)
					 : NULL;

		if (!is_new_id(report, id))
			return false;
		cs_strings_add(ret, id);
	}
	return true;
}

static void add_sessions(
	struct cs_sync_sessions **items, size_t *n, const char *id, int64_t sessions)
{
	*items = cs_reallocarray(*items, *n + 1, sizeof **items);
	(*items)[(*n)++] = (struct cs_sync_sessions){cs_strdup(id), sessions};
}

static bool read_draining(struct json_object *array, struct cs_sync_report *report)
{
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		struct json_object *item = json_object_array_get_idx(array, i);
		const char *id = cs_json_str(item, "id");
		int64_t sessions;

		if (!is_new_id(report, id) || !cs_json_int(item, "sessions", &sessions))
			return false;
		add_sessions(&report->draining, &report->n_draining, id, sessions);
	}
	return true;
}

static bool read_sessions(struct json_object *object, struct cs_sync_report *report)
{
	if (!object)
		return true;
	json_object_object_foreach(object, id, value)
	{
		int64_t sessions;

		(void)value;
		if (!contains(&report->serving, id) ||
			!cs_json_int(object, id, &sessions))
			return false;
		add_sessions(&report->sessions, &report->n_sessions, id, sessions);
	}
	return true;
}

static bool read_report(struct json_object *object, struct cs_sync_report *report)
{
	struct json_object *serving = cs_json_arr(object, "serving");
	struct json_object *draining = cs_json_arr(object, "draining");
	struct json_object *drained = cs_json_arr(object, "drained");

	return cs_json_int(object, "list_taken", &report->list_taken_wall_ms) &&
	       serving && draining && drained &&
	       read_ids(report, serving, &report->serving) &&
	       read_sessions(cs_json_obj(object, "sessions"), report) &&
	       read_draining(draining, report) &&
	       read_ids(report, drained, &report->drained);
}

int cs_sync_report_parse(
	const char *text, size_t len, struct cs_sync_report *ret, struct cs_error *err)
{
	CS_AUTO_JSON struct json_object *object = NULL;
	struct cs_sync_report report = {0};

	if (cs_json_parse_last_line(text, len, "the report", &object, err) < 0) {
		if (len > 0 && cs_json_breaks_off(text, len))
			return cs_error_set(err, CS_E_PROTOCOL,
				"the report breaks off after %zu bytes; NRPE carries 64 "
				"KiB, about 800 servers: call it by ssh instead",
				len);
		return err->code;
	}
	if (!read_report(object, &report)) {
		cs_sync_report_done(&report);
		return cs_error_set(err, CS_E_PROTOCOL,
			"the report is not list_taken, serving, draining and drained "
			"with "
			"each server once");
	}
	*ret = report;
	return 0;
}

void cs_sync_report_done(struct cs_sync_report *report)
{
	cs_strings_done(&report->serving);
	cs_strings_done(&report->drained);
	for (size_t i = 0; i < report->n_draining; i++)
		free(report->draining[i].id);
	for (size_t i = 0; i < report->n_sessions; i++)
		free(report->sessions[i].id);
	free(report->draining);
	free(report->sessions);
	*report = (struct cs_sync_report){0};
}

bool cs_sync_report_serves(const struct cs_sync_report *report, const char *server_id)
{
	return contains(&report->serving, server_id);
}

bool cs_sync_report_sessions(
	const struct cs_sync_report *report, const char *server_id, int64_t *ret)
{
	for (size_t i = 0; i < report->n_sessions; i++) {
		if (strcmp(report->sessions[i].id, server_id) == 0) {
			*ret = report->sessions[i].sessions;
			return true;
		}
	}
	return false;
}

bool cs_sync_report_drained(
	const struct cs_sync_report *report, const char *server_id, int64_t since_wall_ms)
{
	return report->list_taken_wall_ms > since_wall_ms &&
	       contains(&report->drained, server_id);
}
