/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Servers with our mark that nobody looks after; see plan.h. */
#include <config.h>
#include "domain/plan.h"

static bool is_left_behind(
	const struct cs_plan_input *in, const struct cs_member *member, int64_t age_ms)
{
	const struct cs_server *server = member->server;
	int64_t build_ms = in->cluster->servers.build_timeout_ms;
	int64_t least_ms = age_ms > build_ms ? age_ms : build_ms;

	return cs_plan_may_delete(in, member) && server->created_wall_ms >= 0 &&
	       in->now.wall_ms - server->created_wall_ms >= least_ms &&
	       !cs_journal_is_known(in->journal, server->id) &&
	       !cs_journal_is_published(in->journal, server->id);
}

bool cs_plan_is_orphan(
	const struct cs_plan_input *in, const struct cs_member *member, int64_t age_ms)
{
	return member->state != CS_MEMBER_DELETING && cs_plan_serves_nobody(member) &&
	       is_left_behind(in, member, age_ms);
}

bool cs_plan_is_suspect(
	const struct cs_plan_input *in, const struct cs_member *member, int64_t age_ms)
{
	return member->state == CS_MEMBER_ACTIVE && is_left_behind(in, member, age_ms);
}

size_t cs_plan_orphans(
	const struct cs_plan_input *in, int64_t age_ms, const struct cs_member **ret)
{
	const struct cs_members *members = &in->view->members;
	size_t n = 0;

	for (size_t i = 0; i < members->n; i++) {
		if (cs_plan_is_orphan(in, &members->items[i], age_ms))
			ret[n++] = &members->items[i];
	}
	return n;
}
