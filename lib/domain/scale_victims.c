/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What only a pass that acts can know of those that are to go: the load balancers' word;
 * see scale_act.h. */
#include <config.h>
#include "domain/scale_act.h"

#include <syslog.h>

static bool sessions_of(
	const struct cs_act *act, const char *server_id, int64_t *ret_sessions)
{
	size_t n = act->scale->cluster->n_load_balancers;

	*ret_sessions = 0;
	for (size_t i = 0; i < n; i++) {
		int64_t sessions;

		if (!cs_sync_report_sessions(&act->lbs[i].report, server_id, &sessions))
			return false;
		*ret_sessions += sessions;
	}
	return n > 0;
}

static void find_sessions(struct cs_act *act, struct cs_plan_figures *ret)
{
	const struct cs_members *members = &act->sight->view.members;

	cs_act_sync(act);
	for (size_t i = 0; i < members->n; i++) {
		const char *id = members->items[i].server->id;
		int64_t sessions;

		if (sessions_of(act, id, &sessions))
			cs_plan_figures_add(ret, id, sessions);
	}
}

void cs_act_choose_again(struct cs_act *act, struct cs_sight *sight)
{
	const struct cs_plan *plan = &sight->plan;

	if (plan->n == 0 || plan->steps[plan->n - 1].kind != CS_STEP_CHOOSE ||
		act->scale->target)
		return;
	find_sessions(act, &sight->plan_evidence.sessions);
	cs_plan_choose(&sight->plan_input, &sight->decision, &sight->plan);
}

bool cs_act_in_service(struct cs_act *act, const struct cs_step *step)
{
	const struct cs_scale_ports *ports = act->scale->ports;
	const struct cs_member *member = step->member;
	struct cs_act_service service;
	struct cs_error err;

	if (member->state != CS_MEMBER_ACTIVE)
		return false;
	bool answers = ports->probe(ports->context, member->address, &err) == 0;
	if (!answers) {
		cs_act_served(act, step, &service);
		if (service.serving == 0)
			return false;
	}
	cs_act_say(act, LOG_NOTICE, "server '%s' (%s) is no orphan: it %s",
		cs_act_name_of(step), step->server_id, answers ? "answers" : "is served");
	return true;
}
