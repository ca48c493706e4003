/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The availability zone of the next server; see plan.h. */
#include <config.h>
#include "domain/plan.h"

#include <string.h>

#include "domain/places.h"

const char *cs_plan_zone_of(
	const struct cs_plan_input *in, const struct cs_member *member)
{
	const struct cs_server *server = member->server;
	const struct cs_journal_op *op =
		cs_journal_op_of(in->journal, server->id, server->mark_op);

	if (server->zone && *server->zone)
		return server->zone;
	return op && op->zone ? op->zone : "";
}

/* A create whose server is not listed yet. */
static bool is_unlisted_create(
	const struct cs_plan_input *in, const struct cs_journal_op *op)
{
	const struct cs_members *members = &in->view->members;

	for (size_t i = 0; i < members->n; i++) {
		const struct cs_server *server = members->items[i].server;

		if (cs_journal_op_of(in->journal, server->id, server->mark_op) == op)
			return false;
	}
	return op->action == CS_ACTION_CREATE;
}

int64_t cs_plan_count_in_zone(const struct cs_plan_input *in, const char *zone)
{
	const struct cs_members *members = &in->view->members;
	const struct cs_journal *journal = in->journal;
	int64_t n = 0;

	for (size_t i = 0; i < members->n; i++)
		n += cs_plan_is_capacity(in, &members->items[i]) &&
		     strcmp(cs_plan_zone_of(in, &members->items[i]), zone) == 0;
	for (size_t i = 0; i < journal->n_open; i++) {
		const struct cs_journal_op *op = &journal->open[i];

		n += op->zone && strcmp(op->zone, zone) == 0 &&
		     is_unlisted_create(in, op);
	}
	return n;
}

static int64_t count_planned(const struct cs_plan *plan, const char *zone)
{
	int64_t n = 0;

	for (size_t i = 0; i < plan->n; i++)
		n += plan->steps[i].kind == CS_STEP_CREATE && plan->steps[i].zone &&
		     strcmp(plan->steps[i].zone, zone) == 0;
	return n;
}

struct rank {
	bool held;	 /* or has its one try in this plan */
	int64_t badness; /* creates that failed there lately */
	int64_t servers;
};

static struct rank rank_of(
	const struct cs_plan_input *in, const struct cs_plan *plan, size_t i)
{
	const struct cs_server_spec *servers = &in->cluster->servers;
	const char *zone = cs_places_zone(servers, i);
	int64_t planned = count_planned(plan, zone);
	bool tried = planned > 0 &&
		     cs_places_failures(servers, i, in->journal) >= CS_PLACES_FAILURES;

	return (struct rank){
		.held = tried || cs_places_held_ms(servers, i, in->journal, &in->now) > 0,
		.badness = cs_places_badness(servers, i, in->journal, &in->now),
		.servers = cs_plan_count_in_zone(in, zone) + planned};
}

static bool is_better(const struct rank *a, const struct rank *b)
{
	if (a->held != b->held)
		return b->held;
	if (a->badness != b->badness)
		return a->badness < b->badness;
	return a->servers < b->servers;
}

const char *cs_plan_zone(const struct cs_plan_input *in, const struct cs_plan *plan)
{
	const struct cs_strings *zones = &in->cluster->servers.availability_zones;
	struct rank best = {0};
	const char *zone = NULL;

	for (size_t i = 0; i < zones->n; i++) {
		struct rank rank = rank_of(in, plan, i);

		if (zone && !is_better(&rank, &best))
			continue;
		best = rank;
		zone = zones->items[i];
	}
	return zone;
}
