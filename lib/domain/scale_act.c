/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The steps, one function each; see scale_act.h. The order inside each function is what
 * makes a crash between any two lines harmless: the intent before the request, the
 * request's effect before its record, the intent to delete before the result of the
 * create that it cleans up. */
#include <config.h>
#include "domain/scale_act.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "base/strbuf.h"
#include "domain/places.h"
#include "format/json.h"

/* The journal. */

int cs_act_append(
	struct cs_act *act, const struct cs_journal_line *line, struct cs_error *err)
{
	const struct cs_scale_ports *ports = act->scale->ports;

	if (ports->append(ports->context, line, err) < 0) {
		act->stop = act->unrecorded = true;
		return err->code;
	}
	return 0;
}

int cs_act_append_result(struct cs_act *act, const char *op, enum cs_action action,
	const char *outcome, const char *detail, struct cs_error *err)
{
	struct cs_journal_line line = {.type = "result",
		.op = op,
		.action = cs_action_text(action),
		.outcome = outcome,
		.detail = detail};

	act->failed |= strcmp(outcome, CS_OUTCOME_FAILED) == 0;
	return cs_act_append(act, &line, err);
}

int cs_act_append_delete_intent(struct cs_act *act, const struct cs_step *step,
	const char *why, const struct cs_decision *decision, struct cs_error *err)
{
	char op[CS_UUID_SIZE];
	CS_AUTO_JSON struct json_object *json =
		decision ? cs_act_decision_json(act) : NULL;
	struct cs_journal_line line = {.type = "intent",
		.op = op,
		.action = "delete",
		.server_id = step->server_id,
		.name = step->member->server->name,
		.why = why,
		.measurement = decision ? decision->measurement_wall_ms : 0,
		.decision = json};

	cs_uuid_make(op);
	act->used.deletes++;
	return cs_act_append(act, &line, err);
}

/* Open work, in the order of enum cs_step_kind. */

/* A list that lacks a server which exists is a partial one. */
static int act_prove_gone(
	struct cs_act *act, const struct cs_step *step, struct cs_error *err)
{
	const struct cs_scale_ports *ports = act->scale->ports;
	const struct cs_journal_op *op = step->op;
	bool by_us = op && op->action == CS_ACTION_DELETE;
	struct cs_server server = {0};
	int rc = ports->show(ports->context, step->server_id, &server, err);

	if (rc == 0) {
		cs_server_done(&server);
		act->stop = !by_us;
		return by_us ? 0
			     : cs_error_set(err, CS_E_PROTOCOL,
				       "Nova's list lacks the server %s, which exists: "
				       "the "
				       "list is partial, nothing is done",
				       step->server_id);
	}
	if (rc != CS_E_NOT_FOUND) {
		act->stop = !by_us;
		return cs_error_prefix(err, "server %s is not listed", step->server_id);
	}
	if (by_us) {
		cs_act_say(act, LOG_NOTICE, "server '%s' (%s) is deleted, after %lld s",
			op->name, step->server_id, cs_act_seconds_since(act, &op->since));
		return cs_act_append_result(
			act, op->op, op->action, CS_OUTCOME_DONE, "404", err);
	}
	struct cs_journal_line gone = {.type = "gone",
		.server_id = step->server_id,
		.detail = "deleted by somebody else"};
	cs_act_say(act, LOG_WARNING, "server '%s' (%s) was deleted by somebody else",
		cs_act_name_of(step), step->server_id);
	if (op && cs_act_append_result(act, op->op, op->action, CS_OUTCOME_CANCELLED,
			  gone.detail, err) < 0)
		return err->code;
	if (cs_act_append(act, &gone, err) < 0)
		return err->code;
	cs_act_sync(act);
	return 0;
}

static int act_disprove(
	struct cs_act *act, const struct cs_step *step, struct cs_error *err)
{
	const char *why = "no server with this op in a complete list";

	cs_act_say(act, LOG_WARNING,
		"the create of '%s' was never carried out: no server with its mark after "
		"%lld s",
		step->op->name, cs_act_seconds_since(act, &step->op->since));
	/* A kill leaves as many as were about to leave: one failure, not so many. */
	if (act->disproved)
		return cs_act_append_result(act, step->op->op, CS_ACTION_CREATE,
			CS_OUTCOME_CANCELLED, why, err);
	act->disproved = true;
	return cs_act_append_create_failed(act, step->op->op, step->op->zone, why, err);
}

int cs_act_append_request(
	struct cs_act *act, const char *op, const char *id, struct cs_error *err)
{
	struct cs_journal_line line = {.type = "request", .op = op, .server_id = id};

	return cs_act_append(act, &line, err);
}

static int act_note_id(
	struct cs_act *act, const struct cs_step *step, struct cs_error *err)
{
	cs_act_say(act, LOG_NOTICE,
		"server '%s' (%s) is the one whose answer was lost, by its mark",
		cs_act_name_of(step), step->server_id);
	return cs_act_append_request(act, step->op->op, step->server_id, err);
}

static int act_wait(struct cs_act *act, const struct cs_step *step, struct cs_error *err)
{
	const struct cs_server *server = step->member ? step->member->server : NULL;

	(void)err;
	if (server)
		cs_act_await(act, step, "status %s, task %s", server->status,
			server->task_state ? server->task_state : "none");
	else
		cs_act_await(act, step, "the cloud does not list it yet");
	return 0;
}

/* Nova's own words, for which a single server may have to be asked; or what else is
 * known, `detail` or NULL. */
static char *fault_of(struct cs_act *act, const struct cs_step *step, const char *detail)
{
	const struct cs_scale_ports *ports = act->scale->ports;
	const struct cs_server *listed = step->member->server;
	struct cs_server shown = {0};
	struct cs_error err;

	if (step->member->state == CS_MEMBER_ERROR && listed->fault)
		detail = listed->fault;
	if (detail)
		return cs_asprintf("%s: %s", step->why, detail);
	if (step->member->state != CS_MEMBER_ERROR)
		return cs_strdup(step->why);
	if (ports->show(ports->context, listed->id, &shown, &err) < 0)
		return cs_strdup(step->why);
	char *text = cs_asprintf(
		"%s: %s", step->why, shown.fault ? shown.fault : "Nova gives no reason");
	cs_server_done(&shown);
	return text;
}

static int act_fail(struct cs_act *act, const struct cs_step *step, struct cs_error *err)
{
	CS_AUTO_FREE char *why = fault_of(act, step, NULL);

	cs_act_say(act, LOG_ERR, "server '%s' (%s) failed and is left for a person: %s",
		cs_act_name_of(step), step->server_id, why);
	return cs_act_append_create_failed(act, step->op->op, step->op->zone, why, err);
}

/* It never served: what is on its volume is in the image. With others attached to it
 * nothing tells which one that is. */
static void let_volume_go(struct cs_act *act, const struct cs_step *step)
{
	const struct cs_scale_ports *ports = act->scale->ports;
	const struct cs_server *server = step->member->server;
	const char *id = server->kept_volumes.n > 0 ? server->kept_volumes.items[0] : "";
	struct cs_error err;

	if (act->scale->cluster->servers.boot_volume.size_gib == 0 || !*id)
		return;
	if (server->kept_volumes.n > 1)
		cs_error_set(
			&err, CS_E_REFUSED, "it has %zu of them", server->kept_volumes.n);
	else if (ports->volume_goes(ports->context, server->id, id, &err) == 0)
		return;
	cs_act_say(act, LOG_WARNING,
		"volume %s of '%s' stays, and costs: %s; type: openstack volume delete "
		"%s",
		id, server->name, err.message, id);
}

/* The DELETE itself is the next pass's, whose plan finds the intent. */
static int remove_failed(struct cs_act *act, const struct cs_step *step,
	const char *detail, struct cs_error *err)
{
	CS_AUTO_FREE char *why = fault_of(act, step, detail);

	cs_act_say(act, LOG_ERR, "server '%s' (%s) failed and is removed: %s",
		cs_act_name_of(step), step->server_id, why);
	if (step->op)
		let_volume_go(act, step);
	if (cs_act_append_delete_intent(act, step, why, NULL, err) < 0)
		return err->code;
	if (!step->op)
		return 0;
	return cs_act_append_create_failed(act, step->op->op, step->op->zone, why, err);
}

static int act_remove(
	struct cs_act *act, const struct cs_step *step, struct cs_error *err)
{
	return remove_failed(act, step, NULL, err);
}

/* A server that answers and is not served by everybody. Load balancers that work, serve
 * others and not this one say that it is the server. Otherwise it stays and counts as
 * under way, because another one would fare no better. */
static int leave_unserved(struct cs_act *act, const struct cs_step *step,
	const struct cs_act_service *service, struct cs_error *err)
{
	bool late = step->why != NULL, by_none = service->serving == 0;

	if (late && by_none && service->failed == 0 && service->serving_others)
		return remove_failed(act, step, service->why, err);
	cs_act_await(act, step, "%s", service->why);
	if (service->failed == 0)
		cs_act_say_once(act, LOG_INFO, "server '%s' answers; %s yet",
			cs_act_name_of(step), service->why);
	if (!late)
		return 0;
	if (by_none)
		act->unserved = cs_act_name_of(step);
	cs_act_say_once(act, LOG_WARNING,
		"server '%s' (%s) answers but is not in service within build-timeout: "
		"%s; "
		"it is kept and counts as under way%s",
		cs_act_name_of(step), step->server_id, service->why,
		by_none ? ", and no other is created" : "");
	return 0;
}

static int record_published(
	struct cs_act *act, const struct cs_step *step, struct cs_error *err)
{
	struct cs_journal_line line = {.type = "published",
		.server_id = step->server_id,
		.name = cs_act_name_of(step)};

	if (cs_act_append(act, &line, err) < 0)
		return err->code;
	act->published_in_pass++;
	if (!step->op) {
		cs_act_say(act, LOG_NOTICE, "server '%s' (%s, %s) is in service",
			cs_act_name_of(step), step->server_id, step->member->address);
		return 0;
	}
	cs_act_say(act, LOG_NOTICE, "server '%s' (%s, %s) is in service after %lld s",
		cs_act_name_of(step), step->server_id, step->member->address,
		cs_act_seconds_since(act, &step->op->since));
	return cs_act_append_result(
		act, step->op->op, CS_ACTION_CREATE, CS_OUTCOME_DONE, "published", err);
}

static int act_publish(
	struct cs_act *act, const struct cs_step *step, struct cs_error *err)
{
	const struct cs_scale_ports *ports = act->scale->ports;
	struct cs_act_service service;

	if (ports->probe(ports->context, step->member->address, err) < 0) {
		if (step->why) {
			cs_error_advise(err,
				"does its service start at boot, and may this host reach "
				"the port (security groups)?");
			return remove_failed(act, step, err->message, err);
		}
		cs_act_await(act, step, "ACTIVE, not answering yet: %s", err->message);
		cs_act_say_once(act, LOG_INFO,
			"server '%s' is ACTIVE, not answering yet: %s",
			cs_act_name_of(step), err->message);
		return 0;
	}
	return cs_act_served(act, step, &service)
		       ? record_published(act, step, err)
		       : leave_unserved(act, step, &service, err);
}

static int act_adopt_drain(
	struct cs_act *act, const struct cs_step *step, struct cs_error *err)
{
	cs_act_say(act, LOG_NOTICE, "server '%s' (%s) was found draining: finished here",
		cs_act_name_of(step), step->server_id);
	return cs_act_append_delete_intent(
		act, step, "found marked as draining", NULL, err);
}

static int act_mark(struct cs_act *act, const struct cs_step *step, struct cs_error *err)
{
	const struct cs_scale_ports *ports = act->scale->ports;
	struct cs_stamp now;
	char text[24];

	ports->now(ports->context, &now);
	snprintf(text, sizeof text, "%lld", (long long)now.wall_ms);
	return ports->set_metadata(
		ports->context, step->server_id, CS_NOVA_MARK_DRAINING, text, err);
}

static int act_delete(
	struct cs_act *act, const struct cs_step *step, struct cs_error *err)
{
	(void)err;
	cs_act_begin_delete(act, step);
	return 0;
}

static int record_drained(struct cs_act *act, const struct cs_step *step,
	struct cs_act_drain *drain, struct cs_error *err)
{
	size_t n = act->scale->cluster->n_load_balancers;
	int64_t took_ms = act->sight->now.wall_ms - step->member->draining_since_wall_ms;
	CS_AUTO_FREE char *detail = cs_asprintf("on %zu load balancer%s, %lld s after "
						"its mark, at most %lld sessions at once",
		n, n == 1 ? "" : "s",
		(long long)(took_ms > 0 ? took_ms / CS_MS_PER_S : 0),
		(long long)drain->most_sessions);
	struct cs_journal_line line = {.type = "drained",
		.op = step->op ? step->op->op : NULL,
		.server_id = step->server_id,
		.name = cs_act_name_of(step),
		.detail = detail};

	if (drain->recorded)
		return 0;
	cs_act_say(act, LOG_NOTICE, "server '%s' (%s) is drained %s: deleting it",
		cs_act_name_of(step), step->server_id, detail);
	drain->recorded = true;
	return cs_act_append(act, &line, err);
}

/* The mark is in the list of this pass, so every report was made after it. */
static int act_drain(struct cs_act *act, const struct cs_step *step, struct cs_error *err)
{
	struct cs_act_drain *drain;

	if (!cs_act_drained(act, step, &drain))
		return 0;
	if (record_drained(act, step, drain, err) < 0)
		return err->code;
	return act_delete(act, step, err);
}

/* What is protected meanwhile serves again; the metadata of a locked server, or of one
 * that is not ours any more, is not for us to change. */
static int act_drop(struct cs_act *act, const struct cs_step *step, struct cs_error *err)
{
	const struct cs_scale_ports *ports = act->scale->ports;
	const struct cs_member *member = step->member;

	cs_act_say(act, LOG_WARNING, "the %s of '%s' (%s) is given up: %s",
		cs_action_text(step->op->action), step->op->name, step->server_id,
		step->why);
	if (member && member->state == CS_MEMBER_DRAINING && member->ours &&
		!member->server->locked &&
		ports->set_metadata(ports->context, step->server_id,
			CS_NOVA_MARK_DRAINING, NULL, err) < 0)
		return err->code;
	return cs_act_append_result(act, step->op->op, step->op->action,
		CS_OUTCOME_CANCELLED, step->why, err);
}

static int act_tag(struct cs_act *act, const struct cs_step *step, struct cs_error *err)
{
	const struct cs_scale_ports *ports = act->scale->ports;
	CS_AUTO_FREE char *tag = cs_asprintf(CS_PLAN_TAG "%s", act->scale->cluster->name);

	return ports->add_tag(ports->context, step->server_id, tag, err);
}

/* What was decided. */

/* The result stands also when the drain had no intent here, as when somebody marked a
 * server that is still being created: it is what tells the next decision that capacity
 * has just come back. */
static int act_undrain(
	struct cs_act *act, const struct cs_step *step, struct cs_error *err)
{
	const struct cs_scale_ports *ports = act->scale->ports;
	CS_AUTO_FREE char *why = cs_decision_why(&act->sight->decision);
	bool intended = step->op && step->op->action == CS_ACTION_DELETE;
	char op[CS_UUID_SIZE];

	cs_uuid_make(op);
	cs_act_say(act, LOG_NOTICE, "server '%s' (%s) comes back from draining: %s",
		cs_act_name_of(step), step->server_id, why);
	if (ports->set_metadata(ports->context, step->server_id, CS_NOVA_MARK_DRAINING,
		    NULL, err) < 0 &&
		err->code != CS_E_NOT_FOUND)
		return err->code;
	return cs_act_append_result(act, intended ? step->op->op : op, CS_ACTION_DELETE,
		CS_OUTCOME_CANCELLED, why, err);
}

static int give_up_create(struct cs_act *act, const struct cs_step *step, const char *why,
	struct cs_error *err)
{
	let_volume_go(act, step);
	return cs_act_append_result(
		act, step->op->op, CS_ACTION_CREATE, CS_OUTCOME_CANCELLED, why, err);
}

static int act_choose(
	struct cs_act *act, const struct cs_step *step, struct cs_error *err)
{
	const struct cs_decision *decision = &act->sight->decision;
	CS_AUTO_FREE char *because = cs_decision_why(decision);
	CS_AUTO_FREE char *why = cs_asprintf(
		"%s%s%s", because, *step->chosen ? "; chosen: " : "", step->chosen);

	cs_act_say(act, LOG_NOTICE, "server '%s' (%s) goes: %s", cs_act_name_of(step),
		step->server_id, why);
	act->used.removed++;
	if (cs_act_append_delete_intent(act, step, why, decision, err) < 0)
		return err->code;
	if (step->op && give_up_create(act, step, because, err) < 0)
		return err->code;
	return step->member->state == CS_MEMBER_ACTIVE ? act_mark(act, step, err) : 0;
}

static int act_reap(struct cs_act *act, const struct cs_step *step, struct cs_error *err)
{
	return cs_act_in_service(act, step) ? 0 : act_choose(act, step, err);
}

static const struct {
	int (*act)(struct cs_act *, const struct cs_step *, struct cs_error *);
	const char *what; /* for messages */
} actions[] = {
	[CS_STEP_PROVE_GONE] = {act_prove_gone, "looking for"},
	[CS_STEP_DISPROVE] = {act_disprove, "giving up"},
	[CS_STEP_NOTE_ID] = {act_note_id, "recording"},
	[CS_STEP_WAIT] = {act_wait, "waiting for"},
	[CS_STEP_PUBLISH] = {act_publish, "publishing"},
	[CS_STEP_FAIL] = {act_fail, "giving up"},
	[CS_STEP_REMOVE] = {act_remove, "removing"},
	[CS_STEP_EXCESS] = {cs_act_excess, "removing"},
	[CS_STEP_ADOPT_DRAIN] = {act_adopt_drain, "finishing the drain of"},
	[CS_STEP_MARK] = {act_mark, "marking"},
	[CS_STEP_DRAIN] = {act_drain, "draining"},
	[CS_STEP_DELETE] = {act_delete, "deleting"},
	[CS_STEP_DROP] = {act_drop, "keeping"},
	[CS_STEP_TAG] = {act_tag, "tagging"},
	[CS_STEP_UNDRAIN] = {act_undrain, "taking back"},
	[CS_STEP_CREATE] = {cs_act_create, "creating"},
	[CS_STEP_CHOOSE] = {act_choose, "choosing"},
	[CS_STEP_REAP] = {act_reap, "reaping"},
};

void cs_act_step_failed(
	struct cs_act *act, const struct cs_step *step, const struct cs_error *err)
{
	act->trouble = true;
	cs_act_say_once(act, LOG_ERR, "%s '%s': %s", actions[step->kind].what,
		step->kind == CS_STEP_CREATE ? act->scale->cluster->name
					     : cs_act_name_of(step),
		err->message);
}

static void settle(struct cs_act *act)
{
	const struct cs_scale_ports *ports = act->scale->ports;
	struct cs_error err;

	act->unsettled = !act->stop && ports->settle &&
			 ports->settle(ports->context, &act->sight->view, &err) < 0;
	if (!act->unsettled)
		return;
	act->trouble = true;
	cs_act_say_once(act, LOG_ERR, "%s", err.message);
}

void cs_act_pass(struct cs_act *act, struct cs_sight *sight)
{
	struct cs_error err;

	act->sight = sight;
	act->stop = false;
	act->trouble = false;
	act->created_in_pass = act->published_in_pass = 0;
	act->recorded_members = false;
	act->held = act->disproved = false;
	act->unserved = NULL;
	cs_strings_done(&act->waits);
	cs_act_choose_again(act, sight);
	for (size_t i = 0; i < sight->plan.n && !act->stop; i++) {
		const struct cs_step *step = &sight->plan.steps[i];

		if (actions[step->kind].act(act, step, &err) < 0)
			cs_act_step_failed(act, step, &err);
	}
	cs_act_end_requests(act);
	settle(act);
	cs_act_forget_lbs(act);
	cs_act_remind(act, &sight->now);
}

void cs_act_done(struct cs_act *act)
{
	cs_strings_done(&act->said);
	cs_strings_done(&act->waits);
	cs_act_forget_drains(act);
}
