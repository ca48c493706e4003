/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Creates and deletes, of which several are in flight at once; see scale_act.h. The
 * intent of each is on disk before it leaves, so it does not matter which of their
 * answers a crash prevents. */
#include <config.h>
#include "domain/scale_act.h"

#include <string.h>
#include <syslog.h>

#include "domain/places.h"
#include "format/json.h"

/* Where a create fails the next one may fail, too: this pass makes no more, and the next
 * one does where none has failed lately. */
int cs_act_append_create_failed(struct cs_act *act, const char *op, const char *zone,
	const char *why, struct cs_error *err)
{
	const struct cs_sight *sight = act->sight;

	act->held = true;
	if (!cs_places_other(
		    &act->scale->cluster->servers, zone, &sight->journal, &sight->now))
		act->create_failed = true;
	return cs_act_append_result(
		act, op, CS_ACTION_CREATE, CS_OUTCOME_FAILED, why, err);
}

/* Was the request refused for certain? Anything else, also a 5xx of a proxy, may have
 * been carried out. */
static bool is_definite(const struct cs_error *err)
{
	switch (err->code) {
	case CS_E_CONNECT:
	case CS_E_AUTH:
	case CS_E_FORBIDDEN:
	case CS_E_NOT_FOUND:
	case CS_E_CONFLICT:
	case CS_E_QUOTA:
	case CS_E_CONFIG:
	case CS_E_REFUSED:
		return true;
	default:
		return err->remote_status >= 400 && err->remote_status < 500;
	}
}

static int create_failed(struct cs_act *act, const struct cs_act_request *request,
	const struct cs_error *why, struct cs_error *err)
{
	if (!is_definite(why)) {
		act->trouble = true;
		cs_act_say(act, LOG_WARNING,
			"server '%s': %s; whether it exists will be seen by its mark",
			request->name, why->message);
		return 0;
	}
	cs_act_say(act, LOG_ERR, "server '%s' was not created: %s%s", request->name,
		why->message,
		why->code == CS_E_QUOTA
			? "; have the project's quota raised, or lower size.max"
			: "");
	/* A quota is that of all zones. */
	act->create_failed |= why->code == CS_E_QUOTA;
	return cs_act_append_create_failed(
		act, request->op, request->step->zone, why->message, err);
}

static int end_create(
	struct cs_act *act, const struct cs_act_request *request, struct cs_error *err)
{
	const struct cs_scale_ports *ports = act->scale->ports;
	const char *zone = request->step->zone;
	CS_AUTO_FREE char *why = cs_decision_why(&act->sight->decision);
	CS_AUTO_FREE char *id = NULL;
	struct cs_error refusal;

	if (ports->create(
		    ports->context, request->name, request->op, zone, &id, &refusal) < 0)
		return create_failed(act, request, &refusal, err);
	cs_act_say(act, LOG_NOTICE, "New Server %s created (%s)%s%s: %s", request->name,
		id, zone ? " in zone " : "", zone ? zone : "", why);
	return cs_act_append_request(act, request->op, id, err);
}

static int end_delete(
	struct cs_act *act, const struct cs_act_request *request, struct cs_error *err)
{
	const struct cs_scale_ports *ports = act->scale->ports;

	if (ports->remove(ports->context, request->step->server_id, err) < 0)
		return err->code == CS_E_NOT_FOUND ? 0 : err->code;
	return 0;
}

static void end_oldest(struct cs_act *act)
{
	struct cs_act_request request = act->requests[0];
	bool creates = request.step->kind == CS_STEP_CREATE;
	struct cs_error err;

	act->n_requests--;
	memmove(act->requests, act->requests + 1,
		act->n_requests * sizeof *act->requests);
	if ((creates ? end_create : end_delete)(act, &request, &err) < 0)
		cs_act_step_failed(act, request.step, &err);
}

void cs_act_end_requests(struct cs_act *act)
{
	while (act->n_requests > 0)
		end_oldest(act);
}

static void make_room(struct cs_act *act)
{
	if (act->n_requests == CS_ACT_AT_ONCE)
		end_oldest(act);
}

static struct cs_act_request *add_request(struct cs_act *act, const struct cs_step *step)
{
	act->requests[act->n_requests] = (struct cs_act_request){.step = step};
	return &act->requests[act->n_requests++];
}

void cs_act_begin_delete(struct cs_act *act, const struct cs_step *step)
{
	const struct cs_scale_ports *ports = act->scale->ports;

	make_room(act);
	if (act->stop)
		return;
	add_request(act, step);
	if (ports->begin_remove)
		ports->begin_remove(ports->context, step->server_id);
}

/* What can be known before the first intent, so that nothing is begun in vain. */
static int may_create(struct cs_act *act, struct cs_error *err)
{
	const struct cs_scale_ports *ports = act->scale->ports;
	int64_t servers = (int64_t)act->created_in_pass + 1;

	if (ports->prepare(ports->context, servers, err) == 0 &&
		cs_act_can_publish(act, err) == 0)
		return 0;
	act->create_failed = true;
	/* Something in the configuration, or a name in it that the cloud does not have.
	 */
	if (err->code == CS_E_CONFIG || err->code == CS_E_REFUSED ||
		err->code == CS_E_NOT_FOUND || err->code == CS_E_CONFLICT)
		act->refused = true;
	else
		act->failed = true;
	return err->code;
}

static int append_create_intent(
	struct cs_act *act, const struct cs_act_request *request, struct cs_error *err)
{
	const struct cs_decision *decision = &act->sight->decision;
	CS_AUTO_FREE char *why = cs_decision_why(decision);
	CS_AUTO_JSON struct json_object *json = cs_act_decision_json(act);
	struct cs_journal_line intent = {.type = "intent",
		.op = request->op,
		.action = "create",
		.name = request->name,
		.why = why,
		.zone = request->step->zone,
		.flavor = act->scale->cluster->servers.flavor,
		.measurement = decision->measurement_wall_ms,
		.decision = json};

	act->used.creates++;
	return cs_act_append(act, &intent, err);
}

/* The first of a pass goes alone: what refuses it would refuse the others, too. */
int cs_act_create(struct cs_act *act, const struct cs_step *step, struct cs_error *err)
{
	const struct cs_scale_ports *ports = act->scale->ports;

	make_room(act);
	if (act->stop || act->create_failed || act->held)
		return 0;
	if (may_create(act, err) < 0)
		return err->code;
	struct cs_act_request *request = add_request(act, step);
	cs_uuid_make(request->op);
	cs_act_make_name(act, request->op, request->name);
	if (append_create_intent(act, request, err) < 0) {
		act->n_requests--;
		return err->code;
	}
	if (ports->begin_create)
		ports->begin_create(
			ports->context, request->name, request->op, step->zone);
	if (act->created_in_pass == 1)
		cs_act_end_requests(act);
	return 0;
}
