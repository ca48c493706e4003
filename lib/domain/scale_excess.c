/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Staying within max beside another master; see scale_act.h. */
#include <config.h>
#include "domain/scale_act.h"

#include <syslog.h>

static void wait_for_list(struct cs_act *act)
{
	const struct cs_scale_ports *ports = act->scale->ports;
	struct cs_stamp now;

	ports->now(ports->context, &now);
	int64_t age_ms = cs_stamp_age_ms(&act->looked, &now);
	if (age_ms < CS_ACT_LIST_MS)
		ports->sleep(ports->context, CS_ACT_LIST_MS - age_ms);
	ports->now(ports->context, &act->looked);
}

static bool is_delete(const struct cs_journal_op *op)
{
	return op && op->action == CS_ACTION_DELETE;
}

static int look_again(struct cs_act *act, int64_t *ret_exist, struct cs_error *err)
{
	struct cs_scale again = *act->scale;
	CS_CLEANUP(cs_sight_done) struct cs_sight sight;

	again.verb = CS_SCALE_DECIDE;
	again.finish_only = true;
	wait_for_list(act);
	if (cs_scale_see(&again, &sight, err) < 0)
		return err->code;
	/* Whether it is gone or the list is partial, the next pass finds out. */
	for (size_t i = 0; i < sight.plan.n; i++) {
		const struct cs_step *step = &sight.plan.steps[i];

		if (step->kind == CS_STEP_PROVE_GONE && !is_delete(step->op))
			return cs_error_set(err, CS_E_PROTOCOL, "the list lacks '%s'",
				cs_act_name_of(step));
	}
	*ret_exist = sight.policy_input.census.exists;
	return 0;
}

int cs_act_room_for_another(struct cs_act *act, bool *ret_room, struct cs_error *err)
{
	const struct cs_cluster *cluster = act->scale->cluster;
	int64_t exist;

	*ret_room = !act->held;
	if (act->held || act->created_in_pass == 0)
		return 0;
	act->held = true;
	*ret_room = false;
	if (look_again(act, &exist, err) < 0)
		return cs_error_prefix(err, "no more before the list can be read again");
	if (exist >= cluster->max) {
		cs_act_say(act, LOG_WARNING,
			"max %lld: %lld exist now, no more are created; somebody else "
			"asks "
			"for servers of this cluster, too",
			(long long)cluster->max, (long long)exist);
		return 0;
	}
	act->held = false;
	*ret_room = true;
	return 0;
}

int cs_act_excess(struct cs_act *act, const struct cs_step *step, struct cs_error *err)
{
	cs_act_say(act, LOG_WARNING, "server '%s' (%s) is removed: %s",
		cs_act_name_of(step), step->server_id, step->why);
	act->create_failed = true;
	if (cs_act_append_delete_intent(act, step, step->why, NULL, err) < 0)
		return err->code;
	return cs_act_append_result(act, step->op->op, CS_ACTION_CREATE,
		CS_OUTCOME_CANCELLED, step->why, err);
}
