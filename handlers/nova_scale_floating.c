/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Floating addresses: one for each server of ours that is ACTIVE, none for one that is
 * gone. There is no intent in the journal: each address names its server, so whoever
 * looks next gives what is missing and releases what is left over. */
#include <config.h>

#include <string.h>
#include <syslog.h>

#include "nova_scale.h"

static bool wanted(const struct scale_program *program)
{
	return program->acts && program->cluster->servers.floating_network;
}

/* Before the servers: what belongs to a server then, and is not in the list that is asked
 * for after it, is gone and not just new. */
void scale_list_floating(struct scale_program *program)
{
	cs_floating_list_done(&program->floating);
	program->floating_trouble.code = 0;
	if (wanted(program))
		(void)!cs_floating_list(cs_fleet_nova(program->fleet),
			program->cluster->name, &program->floating,
			&program->floating_trouble);
}

static bool exists(const struct cs_fleet_view *view, const char *server_id)
{
	for (size_t i = 0; i < view->list.n; i++) {
		if (strcmp(view->list.servers[i].id, server_id) == 0)
			return true;
	}
	return false;
}

static const struct cs_floating *find(
	const struct scale_program *program, const char *server_id)
{
	for (size_t i = 0; i < program->floating.n; i++) {
		if (strcmp(program->floating.items[i].server_id, server_id) == 0)
			return &program->floating.items[i];
	}
	return NULL;
}

static int release(struct scale_program *program, const struct cs_floating *floating,
	struct cs_error *err)
{
	if (cs_floating_release(cs_fleet_nova(program->fleet), floating, err) < 0)
		return cs_error_prefix(err, "floating address %s of server %s",
			floating->address, floating->server_id);
	scale_say(program, LOG_NOTICE,
		"floating address %s is released: server %s is gone", floating->address,
		floating->server_id);
	return 0;
}

static int give(struct scale_program *program, const struct cs_member *member,
	const struct cs_floating *has, struct cs_error *err)
{
	const struct cs_floating_goal goal = {.cluster = program->cluster->name,
		.server_id = member->server->id,
		.fixed_address = member->address};
	struct cs_nova *nova = cs_fleet_nova(program->fleet);
	CS_AUTO_FREE char *new = NULL;
	const char *network_id = NULL;

	if (has ? cs_floating_attach(nova, has, &goal, err) < 0
		: (cs_fleet_floating_network_id(program->fleet, &network_id, err) < 0 ||
			  cs_floating_allocate(nova, network_id, &goal, &new, err) < 0))
		return cs_error_prefix(
			err, "floating address of server '%s'", member->server->name);
	scale_say(program, LOG_NOTICE, "server '%s' (%s, %s) has the floating address %s",
		member->server->name, goal.server_id, goal.fixed_address,
		has ? has->address : new);
	return 0;
}

int scale_settle_floating(
	void *context, const struct cs_fleet_view *view, struct cs_error *err)
{
	struct scale_program *program = context;
	struct cs_error trouble;

	*err = program->floating_trouble;
	if (!wanted(program) || err->code)
		return err->code;
	for (size_t i = 0; i < program->floating.n; i++) {
		const struct cs_floating *floating = &program->floating.items[i];
		if (!exists(view, floating->server_id) &&
			release(program, floating, &trouble) < 0)
			*err = trouble;
	}
	for (size_t i = 0; i < view->members.n; i++) {
		const struct cs_member *member = &view->members.items[i];
		const struct cs_floating *has = find(program, member->server->id);

		if (member->ours && member->state == CS_MEMBER_ACTIVE &&
			!(has && has->attached) &&
			give(program, member, has, &trouble) < 0)
			*err = trouble;
	}
	return err->code;
}
