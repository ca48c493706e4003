/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs that are not a reconcile: --adopt, --rebind, --pause, --resume. */
#include <config.h>

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "nova_scale.h"

/* Firings are told apart from people in the journal. */
static char *by_whom(void)
{
	const struct passwd *user = getpwuid(getuid());

	return user ? cs_asprintf("by %s", user->pw_name)
		    : cs_asprintf("by uid %u", (unsigned)getuid());
}

/* Written without the lock: a person who wants it to stop does not wait for a run. */
int scale_pause(struct scale_program *program, bool pause)
{
	CS_AUTO_FREE char *who = by_whom();
	struct cs_journal_line line = {.type = pause ? "pause" : "resume", .why = who};
	struct cs_error err;

	if (scale_append(program, &line, &err) < 0)
		return scale_failed(program, &err);
	scale_say(program, LOG_NOTICE, "cluster '%s' is %s", program->cluster->name,
		pause ? "paused: until --resume, firings only finish what is open"
		      : "not paused any more; creates are tried again");
	return CS_SCALE_CONVERGED;
}

int scale_rebind(struct scale_program *program)
{
	CS_CLEANUP(cs_journal_done) struct cs_journal journal = {0};
	struct cs_error err;

	if (scale_lock(program, &err) < 0 || scale_cloud(program, &err) < 0 ||
		scale_load_journal(program, &journal, &err) < 0)
		return scale_failed(program, &err);
	struct cs_journal_line line = {.type = "bind",
		.auth_url = cs_fleet_auth_url(program->fleet),
		.project = cs_fleet_project_id(program->fleet),
		.region = cs_fleet_region(program->fleet)};
	if (scale_append(program, &line, &err) < 0)
		return scale_failed(program, &err);
	scale_say(program, LOG_NOTICE,
		"the journal of cluster '%s' now belongs to %s, project %s, region '%s' "
		"(before: %s, project %s, region '%s')",
		program->cluster->name, line.auth_url, line.project, line.region,
		journal.auth_url ? journal.auth_url : "nowhere",
		journal.project ? journal.project : "-",
		journal.region ? journal.region : "");
	return CS_SCALE_CONVERGED;
}

/* --adopt: any server of the project can become a member. */

int scale_find_server(const struct cs_server_list *list, const char *name_or_id,
	const struct cs_server **ret, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf ids = CS_STRBUF(400);
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++) {
		const struct cs_server *server = &list->servers[i];

		if (strcmp(server->id, name_or_id) == 0) {
			*ret = server;
			return 0;
		}
		if (strcmp(server->name, name_or_id) == 0) {
			*ret = server;
			cs_strbuf_addf(&ids, " %s", server->id);
			n++;
		}
	}
	if (n == 1)
		return 0;
	return n == 0 ? cs_error_set(err, CS_E_REFUSED,
				"no server of the project has the name or id '%s'; "
				"openstack server list shows them",
				name_or_id)
		      : cs_error_set(err, CS_E_REFUSED,
				"%zu servers have the name '%s'; say which id:%s", n,
				name_or_id, cs_strbuf_text(&ids));
}

static void show_server(struct scale_program *program, const struct cs_server *server)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf addresses = CS_STRBUF(1024);
	char created[CS_WALL_TEXT_SIZE] = "?";

	if (server->created_wall_ms >= 0)
		cs_wall_format(server->created_wall_ms, created);
	for (size_t i = 0; i < server->n_addresses; i++)
		cs_strbuf_addf(&addresses, " %s=%s", server->addresses[i].network,
			server->addresses[i].ip);
	scale_say(program, LOG_INFO,
		"server '%s' (%s): %s, image %s, flavor %s, created %s, addresses%s",
		server->name, server->id, server->status,
		*server->image_id ? server->image_id : "none (boots from a volume)",
		server->flavor, created, cs_strbuf_text(&addresses));
}

static int check_adoptable(const struct cs_cluster *cluster,
	const struct cs_server *server, struct cs_error *err)
{
	if (server->mark_cluster && strcmp(server->mark_cluster, cluster->name) != 0)
		return cs_error_set(err, CS_E_REFUSED,
			"server '%s' (%s) belongs to the cluster '%s'", server->name,
			server->id, server->mark_cluster);
	if (server->locked)
		return cs_error_set(err, CS_E_REFUSED,
			"server '%s' (%s) is locked; first type: openstack server unlock "
			"%s",
			server->name, server->id, server->id);
	if (strcmp(server->status, "ACTIVE") != 0 || server->task_state)
		return cs_error_set(err, CS_E_REFUSED,
			"server '%s' (%s) is %s%s%s: only an ACTIVE server is adopted",
			server->name, server->id, server->status,
			server->task_state ? " and " : "",
			server->task_state ? server->task_state : "");
	return 0;
}

/* Known first: a server that is marked and then lost would not be missed. */
static int mark(struct scale_program *program, const struct cs_server *server,
	struct cs_error *err)
{
	CS_AUTO_FREE char *tag = cs_asprintf(CS_PLAN_TAG "%s", program->cluster->name);
	CS_AUTO_FREE char *who = by_whom();
	struct cs_nova *nova = cs_fleet_nova(program->fleet);
	struct cs_journal_line line = {.type = "known",
		.server_id = server->id,
		.name = server->name,
		.why = who};

	if (scale_append(program, &line, err) < 0 ||
		cs_nova_metadata_set(nova, server->id, CS_NOVA_MARK_CLUSTER,
			program->cluster->name, err) < 0)
		return err->code;
	return cs_nova_tag_add(nova, server->id, tag, err);
}

int scale_adopt(struct scale_program *program)
{
	CS_CLEANUP(cs_fleet_view_done) struct cs_fleet_view view = {0};
	const struct cs_server *server = NULL;
	struct cs_error err;

	if (scale_lock(program, &err) < 0 || scale_cloud(program, &err) < 0 ||
		cs_fleet_look(program->fleet, &view, &err) < 0 ||
		scale_find_server(&view.list, program->values.adopt, &server, &err) < 0)
		return scale_failed(program, &err);
	show_server(program, server);
	if (check_adoptable(program->cluster, server, &err) < 0 ||
		mark(program, server, &err) < 0)
		return scale_failed(program, &err);
	scale_say(program, LOG_NOTICE,
		"server '%s' (%s) now belongs to the cluster '%s': it is balanced, "
		"counted, "
		"and may be deleted by a scale-down",
		server->name, server->id, program->cluster->name);
	return CS_SCALE_CONVERGED;
}
