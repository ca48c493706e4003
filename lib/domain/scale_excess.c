/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Staying within max beside another master; see scale_act.h. */
#include <config.h>
#include "domain/scale_act.h"

#include <syslog.h>

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
