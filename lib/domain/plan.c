/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The next step for each server; see plan.h. */
#include <config.h>
#include "domain/plan.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define HOUR_MS (3600 * CS_MS_PER_S)
#define DAY_MS (24 * HOUR_MS)

void cs_plan_add(struct cs_plan *plan, struct cs_step step)
{
	plan->steps = cs_reallocarray(plan->steps, plan->n + 1, sizeof *plan->steps);
	plan->steps[plan->n++] = step;
}

void cs_plan_done(struct cs_plan *plan)
{
	free(plan->steps);
	*plan = (struct cs_plan){0};
}

static void add(struct cs_plan *plan, enum cs_step_kind kind,
	const struct cs_member *member, const struct cs_journal_op *op, const char *why)
{
	cs_plan_add(plan, (struct cs_step){.kind = kind,
				  .member = member,
				  .op = op,
				  .server_id = member->server->id,
				  .why = why});
}

static const struct cs_journal_op *op_of(
	const struct cs_plan_input *in, const struct cs_member *member)
{
	return cs_journal_op_of(in->journal, member->server->id, member->server->mark_op);
}

static bool is_published(const struct cs_plan_input *in, const struct cs_member *member)
{
	return cs_journal_is_published(in->journal, member->server->id);
}

static bool is_listed(const struct cs_plan_input *in, const char *server_id)
{
	const struct cs_server_list *list = &in->view->list;

	if (cs_members_find(&in->view->members, server_id))
		return true;
	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->servers[i].id, server_id) == 0)
			return true;
	}
	return false;
}

static const struct cs_member *member_of_op(
	const struct cs_plan_input *in, const struct cs_journal_op *op)
{
	const struct cs_members *members = &in->view->members;

	if (op->server_id)
		return cs_members_find(members, op->server_id);
	for (size_t i = 0; i < members->n; i++) {
		const char *mark = members->items[i].server->mark_op;

		if (mark && strcmp(mark, op->op) == 0)
			return &members->items[i];
	}
	return NULL;
}

static int64_t age_of_op_ms(
	const struct cs_plan_input *in, const struct cs_journal_op *op)
{
	return cs_stamp_age_ms(&op->since, &in->now);
}

/* A build that nobody of us began is worth waiting for as long as one of ours. */
static bool is_young(const struct cs_plan_input *in, const struct cs_member *member)
{
	int64_t created = member->server->created_wall_ms;

	return created < 0 ||
	       in->now.wall_ms - created < in->cluster->servers.build_timeout_ms;
}

bool cs_plan_serves_nobody(const struct cs_member *member)
{
	static const char *const stopped[] = {
		"SHUTOFF", "SUSPENDED", "PAUSED", "SHELVED", "SHELVED_OFFLOADED"};

	if (member->state == CS_MEMBER_ERROR || member->state == CS_MEMBER_BUILDING)
		return true;
	for (size_t i = 0; i < CS_ARRAY_SIZE(stopped); i++) {
		if (strcmp(member->server->status, stopped[i]) == 0)
			return true;
	}
	return false;
}

/* Each of these steps begins with an intent to delete. */
static bool budget_allows_delete(
	const struct cs_plan_input *in, const struct cs_plan *plan)
{
	int64_t planned = 0;

	for (size_t i = 0; i < plan->n; i++)
		planned += plan->steps[i].kind == CS_STEP_REMOVE ||
			   plan->steps[i].kind == CS_STEP_EXCESS ||
			   plan->steps[i].kind == CS_STEP_ADOPT_DRAIN;
	return planned <
	       cs_policy_deletes_left(&in->cluster->policy, in->journal, &in->run);
}

/* A DELETE that Nova gave up half way leaves its task behind, and only another one goes
 * on from there: an ERROR server whose allocations Placement did not release, as it was
 * down. */
static bool is_delete_stuck(const struct cs_member *member)
{
	return member->state == CS_MEMBER_DELETING &&
	       strcmp(member->server->status, "ERROR") == 0;
}

/* The three kinds of listed members: being deleted, being created, and settled. */

static void plan_delete(const struct cs_plan_input *in, const struct cs_member *member,
	const struct cs_journal_op *op, struct cs_plan *plan)
{
	if (!member->ours)
		add(plan, CS_STEP_DROP, member, op,
			"it does not carry our mark any more");
	else if (member->state == CS_MEMBER_DELETING && !is_delete_stuck(member))
		add(plan, CS_STEP_WAIT, member, op, NULL);
	else if (cs_member_kept(member))
		add(plan, CS_STEP_DROP, member, op, cs_member_kept(member));
	else if (is_delete_stuck(member))
		add(plan, CS_STEP_DELETE, member, op, NULL);
	else if (member->state == CS_MEMBER_DRAINING &&
		 member->draining_since_wall_ms <= in->now.wall_ms)
		add(plan, CS_STEP_DRAIN, member, op, NULL);
	/* A mark from the future, as no report would ever be younger, is written anew. */
	else if (member->state == CS_MEMBER_ACTIVE || member->state == CS_MEMBER_DRAINING)
		add(plan, CS_STEP_MARK, member, op, NULL);
	else
		add(plan, cs_plan_serves_nobody(member) ? CS_STEP_DELETE : CS_STEP_WAIT,
			member, op, NULL);
}

static void plan_create(const struct cs_plan_input *in, const struct cs_member *member,
	const struct cs_journal_op *op, struct cs_plan *plan)
{
	static const char late_text[] = "not in service within build-timeout";
	bool late = age_of_op_ms(in, op) > in->cluster->servers.build_timeout_ms;
	bool may_remove =
		member->ours && !cs_member_kept(member) && budget_allows_delete(in, plan);
	enum cs_step_kind failed = may_remove ? CS_STEP_REMOVE : CS_STEP_FAIL;

	if (!op->server_id)
		add(plan, CS_STEP_NOTE_ID, member, op, NULL);
	if (member->state != CS_MEMBER_DRAINING && cs_plan_is_excess(in, member))
		add(plan, may_remove ? CS_STEP_EXCESS : CS_STEP_WAIT, member, op,
			"it is beyond max: another master created too, or max was "
			"lowered");
	else if (member->state == CS_MEMBER_ACTIVE)
		add(plan, CS_STEP_PUBLISH, member, op,
			late && may_remove ? late_text : NULL);
	else if (member->state == CS_MEMBER_ERROR)
		add(plan, failed, member, op, "it is in ERROR");
	else if (member->state == CS_MEMBER_DRAINING && may_remove)
		add(plan, CS_STEP_ADOPT_DRAIN, member, op, NULL);
	else if (late && member->state == CS_MEMBER_BUILDING)
		add(plan, failed, member, op, late_text);
	else if (late)
		add(plan, CS_STEP_FAIL, member, op, late_text);
	else
		add(plan, CS_STEP_WAIT, member, op, NULL);
}

static bool may_delete_now(const struct cs_plan_input *in, const struct cs_member *member,
	const struct cs_plan *plan)
{
	return cs_plan_may_delete(in, member) && budget_allows_delete(in, plan);
}

static void plan_settled(const struct cs_plan_input *in, const struct cs_member *member,
	struct cs_plan *plan)
{
	bool published = is_published(in, member);
	bool known = cs_journal_is_known(in->journal, member->server->id);

	if (member->state == CS_MEMBER_DRAINING && may_delete_now(in, member, plan))
		add(plan, CS_STEP_ADOPT_DRAIN, member, NULL, NULL);
	/* What is beyond max is removed by its creator, or by the policy. */
	else if (member->state == CS_MEMBER_ACTIVE && !published &&
		 !cs_plan_is_excess(in, member))
		add(plan, CS_STEP_PUBLISH, member, NULL, NULL);
	else if (member->state == CS_MEMBER_BUILDING && is_young(in, member))
		add(plan, CS_STEP_WAIT, member, NULL, NULL);
	/* Only a build of this journal that failed: an ERROR server that was in service
	 * may still be wanted by somebody. */
	else if (member->state == CS_MEMBER_ERROR && known && !published &&
		 may_delete_now(in, member, plan))
		add(plan, CS_STEP_REMOVE, member, NULL, "it is in ERROR");
}

static bool lacks_tag(const struct cs_plan_input *in, const struct cs_member *member)
{
	const struct cs_strings *tags = &member->server->tags;
	char tag[80];

	if (!member->ours || member->state == CS_MEMBER_DELETING ||
		member->state == CS_MEMBER_ERROR)
		return false;
	snprintf(tag, sizeof tag, CS_PLAN_TAG "%s", in->cluster->name);
	for (size_t i = 0; i < tags->n; i++) {
		if (strcmp(tags->items[i], tag) == 0)
			return false;
	}
	return true;
}

static void plan_member(const struct cs_plan_input *in, const struct cs_member *member,
	struct cs_plan *plan)
{
	const struct cs_journal_op *op = op_of(in, member);

	if (member->state == CS_MEMBER_UNKNOWN) {
		if (op) /* however long it takes */
			add(plan, CS_STEP_WAIT, member, op, NULL);
		return;
	}
	if (op && op->action == CS_ACTION_DELETE)
		plan_delete(in, member, op, plan);
	else if (op)
		plan_create(in, member, op, plan);
	else
		plan_settled(in, member, plan);
	if (lacks_tag(in, member))
		add(plan, CS_STEP_TAG, member, NULL, NULL);
}

/* Is there a server that may be the one whose id nobody knows? */
static bool hides_a_stranger(const struct cs_plan_input *in)
{
	const struct cs_members *members = &in->view->members;

	for (size_t i = 0; i < members->n; i++) {
		const struct cs_member *member = &members->items[i];

		if (member->state == CS_MEMBER_UNKNOWN &&
			!cs_journal_is_known(in->journal, member->server->id) &&
			!op_of(in, member))
			return true;
	}
	return false;
}

/* An open intent whose server is not among the members. */
static void plan_unlisted(const struct cs_plan_input *in, const struct cs_journal_op *op,
	struct cs_plan *plan)
{
	struct cs_step step = {.op = op, .server_id = op->server_id};
	bool young = age_of_op_ms(in, op) < CS_PLAN_GRACE_MS;

	if (op->server_id && is_listed(in, op->server_id)) {
		step.kind = CS_STEP_DROP;
		step.why = "it does not carry our mark any more";
	} else if (op->action == CS_ACTION_CREATE &&
		   (young || (!op->server_id && hides_a_stranger(in)))) {
		step.kind = CS_STEP_WAIT;
	} else {
		step.kind = op->server_id ? CS_STEP_PROVE_GONE : CS_STEP_DISPROVE;
	}
	cs_plan_add(plan, step);
}

/* Proofs come first, as a server that turns out to exist voids the whole list. */
void cs_plan_open(const struct cs_plan_input *in, struct cs_plan *ret)
{
	const struct cs_journal *journal = in->journal;
	const struct cs_members *members = &in->view->members;

	*ret = (struct cs_plan){0};
	for (size_t i = 0; i < journal->known.n; i++) {
		const char *id = journal->known.items[i];

		if (!is_listed(in, id) && !cs_journal_op_of(journal, id, NULL))
			cs_plan_add(ret, (struct cs_step){.kind = CS_STEP_PROVE_GONE,
						 .server_id = id});
	}
	for (size_t i = 0; i < journal->n_open; i++) {
		if (!member_of_op(in, &journal->open[i]))
			plan_unlisted(in, &journal->open[i], ret);
	}
	for (size_t i = 0; i < members->n; i++)
		plan_member(in, &members->items[i], ret);
}

size_t cs_plan_open_work(const struct cs_plan *plan)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->n; i++)
		n += plan->steps[i].kind != CS_STEP_TAG;
	return n;
}

bool cs_plan_has_own_work(const struct cs_plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		const struct cs_step *step = &plan->steps[i];

		if (step->op ||
			(step->kind != CS_STEP_TAG && step->kind != CS_STEP_WAIT &&
				step->kind != CS_STEP_PUBLISH))
			return true;
	}
	return false;
}

/* Counting. */

bool cs_plan_is_capacity(const struct cs_plan_input *in, const struct cs_member *member)
{
	const struct cs_journal_op *op = op_of(in, member);

	if (op && op->action == CS_ACTION_DELETE)
		return false;
	if (member->state == CS_MEMBER_BUILDING)
		return op || is_young(in, member);
	return member->state == CS_MEMBER_ACTIVE;
}

/* Until it is published it bears no load, whatever Nova calls it. */
bool cs_plan_is_serving(const struct cs_plan_input *in, const struct cs_member *member)
{
	return cs_plan_is_capacity(in, member) && member->state == CS_MEMBER_ACTIVE &&
	       !op_of(in, member);
}

/* A drain can be taken back until the DELETE has left. */
static bool can_come_back(const struct cs_plan_input *in, const struct cs_member *member)
{
	const struct cs_journal_op *op = op_of(in, member);

	if (!member->ours || member->server->locked)
		return false;
	return member->state == CS_MEMBER_DRAINING ||
	       (member->state == CS_MEMBER_ACTIVE && op &&
		       op->action == CS_ACTION_DELETE);
}

bool cs_plan_may_delete(const struct cs_plan_input *in, const struct cs_member *member)
{
	return member->ours && !cs_member_kept(member) && !op_of(in, member);
}

/* Will it serve, and does it not yet? Its create is given up with it. */
static bool is_coming(const struct cs_plan_input *in, const struct cs_member *member)
{
	return member->ours && !cs_member_kept(member) && !is_published(in, member) &&
	       cs_plan_is_capacity(in, member);
}

bool cs_plan_is_victim(const struct cs_plan_input *in, const struct cs_member *member)
{
	return is_coming(in, member) ||
	       (cs_plan_may_delete(in, member) &&
		       (member->state == CS_MEMBER_ERROR ||
			       member->state == CS_MEMBER_ACTIVE));
}

static void count_member(const struct cs_plan_input *in, const struct cs_member *member,
	struct cs_census *census)
{
	int64_t created = member->server->created_wall_ms;

	census->exists++;
	census->unknown += member->state == CS_MEMBER_UNKNOWN;
	if (cs_plan_is_serving(in, member))
		census->active++;
	else if (cs_plan_is_capacity(in, member))
		census->building++;
	if (can_come_back(in, member))
		census->draining++;
	if (cs_plan_is_victim(in, member))
		census->deletable++;
	if (cs_plan_is_replaceable(in, member))
		census->old++;
	if (!member->ours || created < 0)
		return;
	if (created > in->now.wall_ms - HOUR_MS)
		census->created_last_hour++;
	if (created > in->now.wall_ms - DAY_MS)
		census->created_last_day++;
	if (created > census->last_created_wall_ms)
		census->last_created_wall_ms = created;
}

void cs_plan_count(
	const struct cs_plan_input *in, const struct cs_plan *plan, struct cs_census *ret)
{
	const struct cs_journal *journal = in->journal;
	const struct cs_members *members = &in->view->members;
	struct cs_census census = {.open_work = cs_plan_open_work(plan) > 0};

	for (size_t i = 0; i < members->n; i++)
		count_member(in, &members->items[i], &census);
	for (size_t i = 0; i < journal->n_open; i++) {
		const struct cs_journal_op *op = &journal->open[i];

		if (op->action == CS_ACTION_CREATE && !member_of_op(in, op)) {
			census.building++;
			census.exists += !op->server_id;
		}
	}
	/* Ours, but not a member: not listed, or without our mark. */
	for (size_t i = 0; i < journal->known.n; i++)
		census.exists += !cs_members_find(members, journal->known.items[i]);
	*ret = census;
}

/* Decisions. */

static bool is_taken_back(const struct cs_plan *plan, const struct cs_member *member)
{
	for (size_t i = 0; i < plan->n; i++) {
		if (plan->steps[i].kind == CS_STEP_UNDRAIN &&
			plan->steps[i].member == member)
			return true;
	}
	return false;
}

/* The youngest drain: one that is not even marked, else the last one marked. Those of an
 * older image come last, as they will have to go again; but they are there at once, when
 * a new server is minutes away. */
static const struct cs_member *youngest_drain(
	const struct cs_plan_input *in, const struct cs_plan *plan)
{
	const struct cs_members *members = &in->view->members;
	const struct cs_member *best = NULL;
	int64_t best_since = -1;

	for (size_t i = 0; i < members->n; i++) {
		const struct cs_member *member = &members->items[i];
		int64_t since = member->state == CS_MEMBER_ACTIVE
					? INT64_MAX
					: member->draining_since_wall_ms;
		bool old = cs_plan_is_old(in, member);
		bool best_old = !best || cs_plan_is_old(in, best);

		if (!can_come_back(in, member) || is_taken_back(plan, member))
			continue;
		if (old != best_old ? best_old : since > best_since) {
			best = member;
			best_since = since;
		}
	}
	return best;
}

static void forget(struct cs_plan *plan, const struct cs_member *member)
{
	size_t kept = 0;

	for (size_t i = 0; i < plan->n; i++) {
		if (plan->steps[i].member != member)
			plan->steps[kept++] = plan->steps[i];
	}
	plan->n = kept;
}

static void take_back(const struct cs_plan_input *in, const struct cs_member *member,
	struct cs_plan *plan)
{
	forget(plan, member);
	add(plan, CS_STEP_UNDRAIN, member, op_of(in, member), NULL);
}

void cs_plan_add_victim(const struct cs_plan_input *in, const struct cs_victim *victim,
	struct cs_plan *plan)
{
	struct cs_step step = {.kind = CS_STEP_CHOOSE,
		.member = victim->member,
		.op = op_of(in, victim->member),
		.server_id = victim->member->server->id};

	forget(plan, victim->member);
	memcpy(step.chosen, victim->chosen, sizeof step.chosen);
	cs_plan_add(plan, step);
}

void cs_plan_add_decision(const struct cs_plan_input *in,
	const struct cs_decision *decision, struct cs_plan *plan)
{
	for (int64_t i = 0; i < decision->undrain; i++) {
		const struct cs_member *member = youngest_drain(in, plan);

		if (member)
			take_back(in, member, plan);
	}
	for (int64_t i = 0; i < decision->create; i++)
		cs_plan_add(plan, (struct cs_step){.kind = CS_STEP_CREATE,
					  .zone = cs_plan_zone(in, plan)});
	cs_plan_choose(in, decision, plan);
}
