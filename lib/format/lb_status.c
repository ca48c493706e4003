/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading and writing a load balancer's status; see lb_status.h. */
#include <config.h>
#include "format/lb_status.h"

#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "format/json.h"

void cs_lb_status_add(struct cs_lb_status *status, const struct cs_lb_server *server)
{
	if ((status->n & (status->n - 1)) == 0) /* grows at the powers of two */
		status->servers = cs_reallocarray(status->servers,
			status->n ? status->n * 2 : 1, sizeof *status->servers);
	struct cs_lb_server *copy = &status->servers[status->n++];

	*copy = (struct cs_lb_server){.sessions = server->sessions};
	cs_strset(&copy->name, server->name);
	cs_strset(&copy->id, server->id);
	cs_strset(&copy->file, server->file);
	cs_strset(&copy->running, server->running);
	cs_strset(&copy->status, server->status);
}

static bool read_server(struct json_object *object, struct cs_lb_status *status)
{
	struct cs_lb_server server = {.name = (char *)cs_json_str(object, "name"),
		.id = (char *)cs_json_str(object, "id"),
		.file = (char *)cs_json_str(object, "file"),
		.running = (char *)cs_json_str(object, "running"),
		.status = (char *)cs_json_str(object, "status")};

	if (!server.name || (server.id && !cs_uuid_ok(server.id)) ||
		(!server.file && !server.running) || !server.running != !server.status ||
		!cs_json_int(object, "sessions", &server.sessions))
		return false;
	cs_lb_status_add(status, &server);
	return true;
}

int cs_lb_status_parse(
	const char *text, size_t len, struct cs_lb_status *ret, struct cs_error *err)
{
	CS_AUTO_JSON struct json_object *object = NULL;
	struct cs_lb_status status = {0};

	if (cs_json_parse_last_line(text, len, "the status", &object, err) < 0)
		return err->code;
	struct json_object *servers = cs_json_arr(object, "servers");
	bool good = servers && cs_json_bool(object, "applied", &status.applied) &&
		    cs_json_bool(object, "failed", &status.failed);
	for (size_t i = 0; good && i < json_object_array_length(servers); i++)
		good = read_server(json_object_array_get_idx(servers, i), &status);
	if (!good) {
		cs_lb_status_done(&status);
		return cs_error_set(err, CS_E_PROTOCOL,
			"it is not the line that haproxy_sync --status prints");
	}
	*ret = status;
	return 0;
}

char *cs_lb_status_text(const struct cs_lb_status *status, const char *lb)
{
	CS_AUTO_JSON struct json_object *object = json_object_new_object();
	struct json_object *servers = json_object_new_array();

	cs_json_add_str(object, "lb", lb);
	cs_json_add_bool(object, "applied", status->applied);
	cs_json_add_bool(object, "failed", status->failed);
	json_object_object_add(object, "servers", servers);
	for (size_t i = 0; i < status->n; i++) {
		const struct cs_lb_server *server = &status->servers[i];
		struct json_object *entry = json_object_new_object();

		cs_json_add_str(entry, "name", server->name);
		cs_json_add_str(entry, "id", server->id);
		cs_json_add_str(entry, "file", server->file);
		cs_json_add_str(entry, "running", server->running);
		cs_json_add_str(entry, "status", server->status);
		cs_json_add_int(entry, "sessions", server->sessions);
		json_object_array_add(servers, entry);
	}
	return cs_strdup(cs_json_text(object));
}

void cs_lb_status_done(struct cs_lb_status *status)
{
	for (size_t i = 0; i < status->n; i++) {
		free(status->servers[i].name);
		free(status->servers[i].id);
		free(status->servers[i].file);
		free(status->servers[i].running);
		free(status->servers[i].status);
	}
	free(status->servers);
	*status = (struct cs_lb_status){0};
}
