/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --snapshot: the image that a cluster boots from, made of one of its servers. Takes no
 * lock: storing an image takes minutes, in which the cluster has to scale. */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "nova_scale.h"

#define LOOK_MS (2 * CS_MS_PER_S)
#define LIMIT_MS (3600 * CS_MS_PER_S)

/* Without --from only a cluster of one server says which it is. */
static int choose(struct scale_program *program, const struct cs_fleet_view *view,
	const struct cs_server **ret, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf names = CS_STRBUF(400);
	size_t n = 0;

	if (program->values.from)
		return scale_find_server(&view->list, program->values.from, ret, err);
	for (size_t i = 0; i < view->members.n; i++) {
		const struct cs_member *member = &view->members.items[i];

		if (member->state != CS_MEMBER_ACTIVE)
			continue;
		cs_strbuf_addf(&names, "%s%s (%s)", n++ ? ", " : "", member->server->name,
			member->server->id);
		*ret = member->server;
	}
	if (n == 1)
		return 0;
	return cs_error_set(err, CS_E_REFUSED,
		"of which server? say --from WHICH (name or id); the cluster has %s",
		n == 0 ? "no ACTIVE one" : cs_strbuf_text(&names));
}

static int check_source(const struct cs_server *server, struct cs_error *err)
{
	if (server->mark_draining)
		return cs_error_set(err, CS_E_REFUSED,
			"server '%s' (%s) drains and is deleted then; take another one",
			server->name, server->id);
	if (server->task_state)
		return cs_error_set(err, CS_E_REFUSED,
			"server '%s' (%s) is %s, task %s; try again when that has ended, "
			"or take another one",
			server->name, server->id, server->status, server->task_state);
	return 0;
}

/* Two of one name would make servers.image say nothing. */
static int check_name(struct scale_program *program, struct cs_error *err)
{
	const char *name = program->values.snapshot;
	CS_AUTO_FREE char *id = NULL;
	int r = cs_nova_image_id(cs_fleet_nova(program->fleet), name, &id, err);

	if (r == 0 || r == CS_E_CONFLICT)
		return cs_error_set(err, CS_E_REFUSED,
			"there is an image '%s' already%s%s; choose another name, or "
			"rename the old one",
			name, r == 0 ? ": " : "", r == 0 ? id : "");
	return r == CS_E_NOT_FOUND ? 0 : r;
}

static int begin(struct scale_program *program, const struct cs_server *server,
	char **ret_image_id, struct cs_error *err)
{
	const char *name = program->values.snapshot;
	int r = cs_nova_snapshot(
		cs_fleet_nova(program->fleet), server->id, name, ret_image_id, err);

	if (r == CS_E_CONFLICT)
		return cs_error_advise(err, "try again when that has ended");
	if (r == CS_E_LOST)
		return cs_error_advise(
			err, "to see it: openstack image list --name %s", name);
	return r;
}

static bool is_over(const char *status)
{
	return strcmp(status, "active") == 0 || strcmp(status, "killed") == 0 ||
	       strcmp(status, "deleted") == 0 || strcmp(status, "pending_delete") == 0 ||
	       strcmp(status, "deactivated") == 0;
}

/* A look that fails is no end: the image is stored all the same. */
static int wait_for(struct scale_program *program, const char *id, char **ret_status,
	struct cs_error *err)
{
	const char *name = program->values.snapshot;
	struct cs_deadline end = cs_deadline_in(LIMIT_MS);
	CS_AUTO_FREE char *shown = cs_strdup("");

	while (cs_deadline_left_ms(end) > 0) {
		CS_CLEANUP(cs_nova_image_done) struct cs_nova_image image = {0};

		int r = scale_cloud(program, err);
		if (r == 0)
			r = cs_nova_image_show(
				cs_fleet_nova(program->fleet), id, &image, err);
		if (r == CS_E_NOT_FOUND)
			image.status = cs_strdup("deleted");
		else if (r < 0)
			scale_say(program, LOG_WARNING, "%s", err->message);
		if (image.status && strcmp(image.status, shown) != 0)
			scale_say(program, LOG_INFO, "Image %s status %s", name,
				image.status);
		if (image.status && is_over(image.status)) {
			*ret_status = CS_TAKE(image.status);
			return 0;
		}
		cs_strset(&shown, image.status ? image.status : shown);
		cs_deadline_sleep(end, LOOK_MS);
	}
	return cs_error_set(err, CS_E_TIMEOUT,
		"image '%s' (%s) is not active after an hour; openstack image show %s "
		"tells how it goes on",
		name, id, id);
}

static int snapshot(struct scale_program *program, struct cs_error *err)
{
	CS_CLEANUP(cs_fleet_view_done) struct cs_fleet_view view = {0};
	CS_AUTO_FREE char *id = NULL;
	CS_AUTO_FREE char *status = NULL;
	const char *name = program->values.snapshot;
	const struct cs_server *server = NULL;

	if (scale_cloud(program, err) < 0 ||
		cs_fleet_look(program->fleet, &view, err) < 0 ||
		choose(program, &view, &server, err) < 0 ||
		check_source(server, err) < 0 || check_name(program, err) < 0 ||
		begin(program, server, &id, err) < 0)
		return err->code;
	scale_say(program, LOG_NOTICE, "New Image %s created (%s) of server '%s' (%s)",
		name, id, server->name, server->id);
	if (wait_for(program, id, &status, err) < 0)
		return err->code;
	if (strcmp(status, "active") != 0)
		return cs_error_set(err, CS_E_REMOTE,
			"image '%s' (%s) became %s and not active; the log of Nova and "
			"Glance says why",
			name, id, status);
	if (strcmp(name, program->cluster->servers.image) != 0)
		scale_say(program, LOG_NOTICE,
			"New servers boot from it when clusters.%s.servers has "
			"'image: %s' in %s",
			program->cluster->name, name, program->path);
	return 0;
}

int scale_snapshot(struct scale_program *program)
{
	struct cs_error err;

	if (snapshot(program, &err) < 0)
		return scale_failed(program, &err);
	puts("Done");
	return CS_SCALE_CONVERGED;
}
