/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The loop; see scale.h. Each pass sees everything anew, so nothing that a pass believes
 * outlives it. */
#include <config.h>
#include "domain/scale.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "base/strbuf.h"
#include "domain/scale_act.h"

/* Nova asks Neutron for every list: once a second is what it bears from everybody. */
#define PASS_MS 1000
#define PASS_LATE_MS 5000
#define PASS_TROUBLE_MS 10000
/* For servers that this journal did not begin, and that may never get into service. */
#define OTHERS_MS 30000

/* Finding what a person means. */

int cs_scale_find(const struct cs_fleet_view *view, const char *name_or_id,
	const struct cs_member **ret, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf ids = CS_STRBUF(400);
	const struct cs_member *found = cs_members_find(&view->members, name_or_id);
	size_t n = found != NULL;

	for (size_t i = 0; !found && i < view->members.n; i++) {
		const struct cs_member *member = &view->members.items[i];

		if (strcmp(member->server->name, name_or_id) != 0)
			continue;
		n++;
		cs_strbuf_addf(&ids, " %s", member->server->id);
		*ret = member;
	}
	if (found)
		*ret = found;
	if (n == 0)
		return cs_error_set(err, CS_E_NOT_FOUND,
			"no server of the cluster has the name or id '%s'; --status "
			"shows "
			"them",
			name_or_id);
	if (n > 1)
		return cs_error_set(err, CS_E_CONFLICT,
			"%zu servers have the name '%s'; say which id:%s", n, name_or_id,
			cs_strbuf_text(&ids));
	return 0;
}

/* Decisions and orders. */

static int64_t capacity_of(const struct cs_sight *sight)
{
	const struct cs_census *census = &sight->policy_input.census;

	return census->active + census->building;
}

static void add_loss(const struct cs_sight *sight, const struct cs_member *member,
	struct cs_order *order)
{
	order->lost += cs_plan_is_capacity(&sight->plan_input, member);
	order->serving += cs_plan_is_serving(&sight->plan_input, member);
}

/* One server that a person named. */
static int order_target(
	const struct cs_scale *scale, struct cs_sight *sight, struct cs_error *err)
{
	struct cs_order order = {.remove = 1};
	const struct cs_member *member;

	if (cs_scale_find(&sight->view, scale->target, &member, err) < 0)
		return err->code;
	const char *kept = cs_member_kept(member);
	if (!cs_plan_may_delete(&sight->plan_input, member) &&
		!cs_plan_is_victim(&sight->plan_input, member))
		return cs_error_set(err, CS_E_REFUSED,
			"server '%s' (%s) is not deleted: %s", member->server->name,
			member->server->id,
			!member->ours ? "it does not carry our mark (--adopt marks it)"
			: member->server->locked ? "it is locked (openstack server "
						   "unlock unlocks it)"
			: kept			 ? "it is protected (a person's tag or "
						   "metadata " CS_NOVA_MARK_PROTECTED
				 " says so; without it, it may go)"
			       : "work on it is open");
	add_loss(sight, member, &order);
	if (cs_policy_order(&sight->policy_input, &order, &sight->decision, err) < 0)
		return err->code;
	cs_plan_add_victim(
		&sight->plan_input, &(struct cs_victim){.member = member}, &sight->plan);
	return 0;
}

/* Only who removes servers has to know. */
static void look_closer(const struct cs_scale *scale, struct cs_sight *sight)
{
	const struct cs_scale_ports *ports = scale->ports;

	if (!sight->evident && ports->evidence)
		ports->evidence(ports->context, &sight->plan_evidence);
	sight->evident = true;
}

/* The victims are chosen first: what they are says how much is lost. */
static int order_fewer(int64_t n, struct cs_sight *sight, struct cs_error *err)
{
	struct cs_order order = {.remove = n};
	CS_AUTO_FREE struct cs_victim *victims = cs_calloc((size_t)n, sizeof *victims);
	size_t found = cs_plan_victims(&sight->plan_input, (size_t)n, victims);

	if ((int64_t)found < n)
		return cs_error_set(err, CS_E_REFUSED,
			"cannot delete %lld: only %zu servers carry our mark, are not "
			"locked or protected, and are not being deleted",
			(long long)n, found);
	for (size_t i = 0; i < found; i++)
		add_loss(sight, victims[i].member, &order);
	if (cs_policy_order(&sight->policy_input, &order, &sight->decision, err) < 0)
		return err->code;
	cs_plan_add_decision(&sight->plan_input, &sight->decision, &sight->plan);
	return 0;
}

static int order_more(int64_t n, struct cs_sight *sight, struct cs_error *err)
{
	struct cs_order order = {.create = n};

	if (cs_policy_order(&sight->policy_input, &order, &sight->decision, err) < 0)
		return err->code;
	cs_plan_add_decision(&sight->plan_input, &sight->decision, &sight->plan);
	return 0;
}

/* Orphans as far as the budget goes, and what is ACTIVE and unknown: that is tried again
 * before it goes. */
static int order_reap(
	const struct cs_scale *scale, struct cs_sight *sight, struct cs_error *err)
{
	const struct cs_plan_input *in = &sight->plan_input;
	const struct cs_members *members = &sight->view.members;
	int64_t left = cs_policy_deletes_left(
			&scale->cluster->policy, &sight->journal, &sight->plan_input.run),
		found = 0;
	struct cs_order order = {0};

	for (size_t i = 0; i < members->n; i++) {
		const struct cs_member *member = &members->items[i];
		bool suspect = cs_plan_is_suspect(in, member, scale->age_ms);
		struct cs_step step = {.kind = CS_STEP_REAP,
			.member = member,
			.server_id = member->server->id};

		if (!suspect && !cs_plan_is_orphan(in, member, scale->age_ms))
			continue;
		/* One that is too many has the order refused. */
		if (found++ > 0 && order.remove >= left)
			continue;
		order.remove++;
		add_loss(sight, member, &order);
		snprintf(step.chosen, sizeof step.chosen, "an orphan%s",
			suspect ? ", unless it answers" : "");
		cs_plan_add(&sight->plan, step);
	}
	if (cs_policy_order(&sight->policy_input, &order, &sight->decision, err) < 0)
		return err->code;
	CS_AUTO_FREE char *text = cs_asprintf("%lld of %lld orphans of at least %lld s",
		(long long)order.remove, (long long)found,
		(long long)scale->age_ms / CS_MS_PER_S);
	cs_strings_add(&sight->decision.reasons, text);
	return 0;
}

static int decide(
	const struct cs_scale *scale, struct cs_sight *sight, struct cs_error *err)
{
	int64_t delta = scale->verb == CS_SCALE_TO	 ? scale->n - capacity_of(sight)
			: scale->verb == CS_SCALE_DELETE ? -scale->n
							 : scale->n;

	if (scale->verb == CS_SCALE_DECIDE) {
		cs_policy_decide(&sight->policy_input, &sight->decision);
		if (sight->decision.remove + sight->decision.undrain > 0)
			look_closer(scale, sight);
		cs_plan_add_decision(&sight->plan_input, &sight->decision, &sight->plan);
		return 0;
	}
	if (scale->verb == CS_SCALE_REAP)
		return order_reap(scale, sight, err);
	if (scale->verb == CS_SCALE_DELETE && scale->target)
		return order_target(scale, sight, err);
	if (delta >= 0)
		return order_more(delta, sight, err);
	look_closer(scale, sight);
	return order_fewer(-delta, sight, err);
}

/* Observing. */

static void gather(const struct cs_scale *scale, struct cs_sight *sight)
{
	CS_CLEANUP(cs_samples_done) struct cs_samples samples = {0};
	const struct cs_scale_ports *ports = scale->ports;
	struct cs_policy_input *in = &sight->policy_input;
	size_t n = sight->view.members.n;

	if (!ports->samples)
		return;
	ports->samples(ports->context, &samples);
	sight->evidence = cs_calloc(n, sizeof *sight->evidence);
	cs_evidence_collect(&sight->view.members, &samples, in->measurement,
		&scale->cluster->cpu, &in->now, sight->evidence);
	in->members = sight->evidence;
	in->n_members = n;
}

static int observe(
	const struct cs_scale *scale, struct cs_sight *sight, struct cs_error *err)
{
	const struct cs_scale_ports *ports = scale->ports;
	const struct cs_cluster *cluster = scale->cluster;
	ports->now(ports->context, &sight->now);
	if (ports->load_journal(ports->context, &sight->now, &sight->journal, err) < 0)
		return err->code;
	if (ports->history(ports->context, &sight->history, err) < 0 &&
		err->code != CS_E_NOT_FOUND)
		return err->code;
	if (ports->look(ports->context, &sight->view, err) < 0)
		return err->code;
	/* What the program did in between, measuring itself for instance, took time. */
	sight->plan_input = (struct cs_plan_input){.cluster = cluster,
		.view = &sight->view,
		.journal = &sight->journal,
		.evidence = &sight->plan_evidence,
		.now = sight->now,
		.run = scale->used};
	sight->policy_input = (struct cs_policy_input){.spec = &cluster->policy,
		.servers = &cluster->servers,
		.min = cluster->min,
		.max = cluster->max,
		.rolling = &cluster->rolling,
		.journal = &sight->journal,
		.boot_ms = cs_journal_boot_ms(&sight->journal),
		.run = scale->used,
		.finish_only = scale->finish_only,
		.force = scale->force};
	if (sight->history.n > 0) {
		size_t before = sight->history.n - 1;

		sight->policy_input.history = sight->history.items;
		sight->policy_input.n_history = before;
		sight->policy_input.measurement = &sight->history.items[before];
	}
	ports->now(ports->context, &sight->policy_input.now);
	gather(scale, sight);
	return 0;
}

int cs_scale_see(const struct cs_scale *scale, struct cs_sight *ret, struct cs_error *err)
{
	*ret = (struct cs_sight){0};
	if (observe(scale, ret, err) < 0)
		return err->code;
	if (scale->cluster->rolling.present) {
		look_closer(scale, ret);
		ret->policy_input.image_id = ret->plan_evidence.image_id;
	}
	cs_plan_open(&ret->plan_input, &ret->plan);
	cs_plan_count(&ret->plan_input, &ret->plan, &ret->policy_input.census);
	if (decide(scale, ret, err) == 0)
		return 0;
	err->code = CS_E_REFUSED; /* whatever it is that does not allow the order */
	return err->code;
}

void cs_sight_done(struct cs_sight *sight)
{
	free(sight->evidence);
	cs_plan_done(&sight->plan);
	cs_plan_evidence_done(&sight->plan_evidence);
	cs_decision_done(&sight->decision);
	cs_fleet_view_done(&sight->view);
	cs_history_done(&sight->history);
	cs_journal_done(&sight->journal);
}

/* The loop. */

struct run {
	struct cs_scale scale; /* what is still to be done of it */
	struct cs_act act;
	struct cs_stamp began; /* the run */
	struct cs_stamp busy;  /* the last pass with work of our own */
	struct cs_stamp calm;  /* the last pass without an error */
	int64_t tick_ms;       /* from list to list while all is well */
	bool first;
	bool refused; /* the decision needed a fresh measurement and had none */
};

static void say_orphans(struct run *run, const struct cs_sight *sight)
{
	const struct cs_members *members = &sight->view.members;
	CS_AUTO_FREE const struct cs_member **orphans =
		cs_calloc(members->n + 1, sizeof(*orphans));
	size_t n = cs_plan_orphans(&sight->plan_input, CS_PLAN_ORPHAN_MS, orphans);

	for (size_t i = 0; i < n; i++)
		cs_act_say(&run->act, LOG_WARNING,
			"server '%s' (%s) is an orphan: %s, and unknown to this journal; "
			"nova_scale -n %s --reap removes it",
			orphans[i]->server->name, orphans[i]->server->id,
			orphans[i]->server->status, run->scale.cluster->name);
}

static void say_decision(struct run *run, const struct cs_sight *sight)
{
	const struct cs_decision *decision = &sight->decision;
	CS_AUTO_FREE char *why = cs_decision_why(decision);

	if (run->first)
		cs_act_say(
			&run->act, LOG_INFO, "%s: %s", decision->reasons.items[0], why);
	/* There is something left to replace, and no more is begun. */
	if (!run->first && decision->direction == CS_DIRECTION_HOLD &&
		sight->policy_input.census.old > 0 &&
		!sight->policy_input.census.open_work &&
		sight->policy_input.rolling->present)
		cs_act_say_once(&run->act, LOG_INFO, "%s", why);
	if (run->first && decision->unmeasured) {
		run->refused = true;
		cs_act_say(&run->act, LOG_WARNING,
			"refused to scale: %s; check_cluster_cpu -n %s measures, and "
			"says "
			"what is missing",
			decision->reasons.items[decision->reasons.n - 1],
			run->scale.cluster->name);
	}
}

/* An order is carried out once; what it began is open work from then on. A pass that
 * stopped at a partial list has not come to it. */
static void after_pass(struct run *run)
{
	if (run->scale.verb != CS_SCALE_DECIDE) {
		run->scale.verb = CS_SCALE_DECIDE;
		run->scale.finish_only = true;
	}
	if (run->act.create_failed)
		run->scale.finish_only = true;
}

enum pass { PASS_AGAIN, PASS_CONVERGED, PASS_REFUSED, PASS_FAILED };

/* Without a whole view only what the journal knows to be open is worth another try. */
static enum pass blind(struct run *run, const struct cs_sight *sight)
{
	run->act.trouble = true;
	run->busy = sight->now;
	return sight->journal.n_open > 0 ? PASS_AGAIN : PASS_FAILED;
}

/* Once a second while something may be ready at any moment; slower and slower while all
 * that is open are creates that take longer than they usually do. */
static int64_t tick_after(const struct cs_sight *sight, const struct cs_act *act)
{
	const struct cs_journal *journal = &sight->journal;
	int64_t usual_ms = cs_journal_boot_ms(journal), tick_ms = PASS_LATE_MS;

	if (usual_ms == 0)
		usual_ms = CS_POLICY_BOOT_MS;
	if (journal->n_open == 0 || act->created_in_pass > 0)
		return PASS_MS;
	for (size_t i = 0; i < journal->n_open; i++) {
		const struct cs_journal_op *op = &journal->open[i];
		int64_t late_ms = cs_stamp_age_ms(&op->since, &sight->now) - usual_ms;

		if (op->action != CS_ACTION_CREATE || late_ms < 0)
			return PASS_MS;
		if (PASS_MS + late_ms / 10 < tick_ms)
			tick_ms = PASS_MS + late_ms / 10;
	}
	return tick_ms;
}

/* Where nothing more is decided, it is over with the last server that gets into service;
 * else a pass without work is the last one. */
static bool is_over(const struct run *run, const struct cs_sight *sight)
{
	size_t open = cs_plan_open_work(&sight->plan);

	return !run->act.unsettled &&
	       (open == 0 || (run->scale.finish_only && !run->act.trouble &&
				     open == run->act.published_in_pass));
}

static enum pass pass(struct run *run)
{
	const struct cs_scale_ports *ports = run->scale.ports;
	CS_CLEANUP(cs_sight_done) struct cs_sight sight;
	struct cs_error err;

	if (cs_scale_see(&run->scale, &sight, &err) < 0) {
		cs_act_say_once(&run->act, LOG_ERR, "%s", err.message);
		cs_strings_done(&run->act.waits);
		cs_strings_add(&run->act.waits, err.message);
		cs_act_remind(&run->act, &sight.now);
		if (err.code == CS_E_REFUSED || err.code == CS_E_CONFIG)
			return PASS_REFUSED;
		return blind(run, &sight);
	}
	if (ports->observed)
		ports->observed(ports->context, &sight.view, &sight.journal);
	if (run->first && run->scale.verb != CS_SCALE_REAP)
		say_orphans(run, &sight);
	say_decision(run, &sight);
	if (run->first)
		run->act.used.capacity = capacity_of(&sight);
	run->first = false;
	cs_act_pass(&run->act, &sight);
	run->scale.used = run->act.used;
	if (run->act.unrecorded)
		return PASS_FAILED;
	if (run->act.stop)
		return blind(run, &sight);
	after_pass(run);
	run->tick_ms = tick_after(&sight, &run->act);
	/* As of now: ten creates of a slow cloud alone can take longer than OTHERS_MS. */
	if (cs_plan_has_own_work(&sight.plan))
		ports->now(ports->context, &run->busy);
	return is_over(run, &sight) ? PASS_CONVERGED : PASS_AGAIN;
}

/* From list to list, whatever the pass took; slower and slower in trouble. */
static void wait_for_next_pass(struct run *run, int64_t *pass_ms)
{
	const struct cs_scale_ports *ports = run->scale.ports;
	struct cs_stamp now;

	*pass_ms = run->act.trouble ? *pass_ms * 2 : run->tick_ms;
	if (*pass_ms > PASS_TROUBLE_MS)
		*pass_ms = PASS_TROUBLE_MS;
	ports->now(ports->context, &now);
	int64_t took_ms = cs_stamp_age_ms(&run->act.looked, &now);
	if (took_ms < *pass_ms)
		ports->sleep(ports->context, *pass_ms - took_ms);
}

static bool is_late(const struct run *run, const struct cs_stamp *now)
{
	return cs_stamp_age_ms(&run->began, now) > run->scale.limit_ms ||
	       cs_stamp_age_ms(&run->busy, now) > OTHERS_MS ||
	       cs_stamp_age_ms(&run->calm, now) > run->scale.trouble_ms;
}

static enum pass loop(struct run *run)
{
	const struct cs_scale_ports *ports = run->scale.ports;
	struct cs_stamp pass_began;
	int64_t pass_ms = PASS_MS;

	ports->now(ports->context, &run->began);
	run->tick_ms = PASS_MS;
	run->busy = run->calm = run->act.reminded = run->began;
	for (;;) {
		ports->now(ports->context, &pass_began);
		if (is_late(run, &pass_began))
			return PASS_AGAIN;
		run->act.looked = pass_began;
		enum pass ended = pass(run);
		if (ended != PASS_AGAIN)
			return ended;
		if (!run->act.trouble)
			ports->now(ports->context, &run->calm);
		wait_for_next_pass(run, &pass_ms);
	}
}

static void say_open(struct run *run)
{
	const struct cs_scale_ports *ports = run->scale.ports;
	struct cs_stamp now;

	ports->now(ports->context, &now);
	CS_AUTO_FREE char *waits = cs_act_waits_text(&run->act);
	cs_act_say(&run->act, LOG_WARNING,
		"work is still open after %lld s%s%s; the next run goes on with it",
		(long long)cs_stamp_age_ms(&run->began, &now) / CS_MS_PER_S,
		*waits ? ": " : "", waits);
}

enum cs_scale_outcome cs_scale_run(const struct cs_scale *scale)
{
	struct run run = {.scale = *scale, .act.scale = scale, .first = true};
	enum pass ended = loop(&run);
	bool failed = run.act.failed || ended == PASS_FAILED;

	if (ended == PASS_AGAIN)
		say_open(&run);
	cs_act_done(&run.act);
	if (ended == PASS_REFUSED)
		return CS_SCALE_REFUSED;
	if (failed)
		return CS_SCALE_FAILED;
	if (run.act.refused)
		return CS_SCALE_REFUSED;
	if (ended == PASS_AGAIN)
		return CS_SCALE_OPEN;
	return run.refused ? CS_SCALE_REFUSED : CS_SCALE_CONVERGED;
}
