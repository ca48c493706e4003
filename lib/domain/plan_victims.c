/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who leaves first, and what said so; see plan.h. Every reason is a number, the smaller
 * one goes first, and the first number in which two servers differ decides. */
#include <config.h>
#include "domain/plan.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/sorted.h"

/* In the order of their weight. */
enum reason {
	REASON_ERROR,
	REASON_NEVER_JOINED,
	REASON_OLD_IMAGE,
	REASON_SESSIONS,
	REASON_LOAD,
	REASON_ZONE,
	REASON_AGE,
	REASON_COUNT,
};

#define UNKNOWN INT64_MAX

struct candidate {
	const struct cs_member *member;
	int64_t ranks[REASON_COUNT];
};

/* Evidence. */

static const char *id_of(const void *row)
{
	return ((const struct cs_plan_figure *)row)->server_id;
}

static size_t place_of(
	const struct cs_plan_figures *figures, const char *server_id, bool *ret_found)
{
	return cs_sorted_place(figures->items, figures->n, sizeof *figures->items, id_of,
		server_id, ret_found);
}

void cs_plan_figures_add(
	struct cs_plan_figures *figures, const char *server_id, int64_t value)
{
	bool found;
	size_t at = place_of(figures, server_id, &found);

	figures->items =
		cs_reallocarray(figures->items, figures->n + 1, sizeof *figures->items);
	memmove(&figures->items[at + 1], &figures->items[at],
		(figures->n - at) * sizeof *figures->items);
	figures->items[at] = (struct cs_plan_figure){
		.server_id = cs_strdup(server_id), .value = value};
	figures->n++;
}

void cs_plan_figures_done(struct cs_plan_figures *figures)
{
	for (size_t i = 0; i < figures->n; i++)
		free(figures->items[i].server_id);
	free(figures->items);
	*figures = (struct cs_plan_figures){0};
}

void cs_plan_evidence_done(struct cs_plan_evidence *evidence)
{
	free(evidence->image_id);
	evidence->image_id = NULL;
	cs_plan_figures_done(&evidence->sessions);
	cs_plan_figures_done(&evidence->loads);
}

static int64_t figure_of(
	const struct cs_plan_figures *figures, const struct cs_member *member)
{
	bool found;
	size_t at = place_of(figures, member->server->id, &found);

	return found ? figures->items[at].value : UNKNOWN;
}

bool cs_plan_is_old(const struct cs_plan_input *in, const struct cs_member *member)
{
	const char *image_id = in->evidence ? in->evidence->image_id : NULL;

	return image_id && *member->server->image_id &&
	       strcmp(member->server->image_id, image_id) != 0;
}

/* The choice. */

/* How many servers the zones have that were asked about; there are few zones. */
struct zones {
	struct zone {
		const char *name; /* borrowed */
		int64_t servers;
	} * items;
	size_t n;
};

static int64_t count_in_zone(
	const struct cs_plan_input *in, struct zones *zones, const char *name)
{
	for (size_t i = 0; i < zones->n; i++) {
		if (strcmp(zones->items[i].name, name) == 0)
			return zones->items[i].servers;
	}
	zones->items = cs_reallocarray(zones->items, zones->n + 1, sizeof *zones->items);
	zones->items[zones->n] = (struct zone){name, cs_plan_count_in_zone(in, name)};
	return zones->items[zones->n++].servers;
}

static struct candidate weigh(
	const struct cs_plan_input *in, size_t i, struct zones *zones)
{
	static const struct cs_plan_evidence nothing;
	const struct cs_plan_evidence *evidence = in->evidence ? in->evidence : &nothing;
	const struct cs_member *member = &in->view->members.items[i];

	return (struct candidate){.member = member,
		.ranks = {
			[REASON_ERROR] = member->state != CS_MEMBER_ERROR,
			[REASON_NEVER_JOINED] =
				cs_journal_is_published(in->journal, member->server->id),
			[REASON_OLD_IMAGE] = !cs_plan_is_old(in, member),
			[REASON_SESSIONS] = figure_of(&evidence->sessions, member),
			[REASON_LOAD] = figure_of(&evidence->loads, member),
			[REASON_ZONE] =
				-count_in_zone(in, zones, cs_plan_zone_of(in, member)),
			[REASON_AGE] = -(int64_t)i, /* the members are in order of age */
		}};
}

static enum reason difference(const struct candidate *a, const struct candidate *b)
{
	enum reason reason = 0;

	while (reason < REASON_AGE && a->ranks[reason] == b->ranks[reason])
		reason++;
	return reason;
}

static int by_ranks(const void *left, const void *right)
{
	enum reason reason = difference(left, right);
	int64_t a = ((const struct candidate *)left)->ranks[reason];
	int64_t b = ((const struct candidate *)right)->ranks[reason];

	return (a > b) - (a < b);
}

/* Why `chosen` goes and `kept`, the next one in order, stays; NULL: all of them go. */
static void say_reason(const struct candidate *chosen, const struct candidate *kept,
	char ret[CS_PLAN_CHOSEN_SIZE])
{
	static const char *const texts[REASON_COUNT] = {
		[REASON_ERROR] = "it is in ERROR",
		[REASON_NEVER_JOINED] = "never in service",
		[REASON_OLD_IMAGE] = "of an older image",
		[REASON_SESSIONS] = "fewest sessions",
		[REASON_LOAD] = "lowest CPU",
		[REASON_ZONE] = "the zone with the most servers",
		[REASON_AGE] = "the youngest",
	};
	enum reason reason = kept ? difference(chosen, kept) : REASON_COUNT;
	long long rank = reason < REASON_COUNT ? chosen->ranks[reason] : 0;

	if (reason == REASON_SESSIONS)
		snprintf(ret, CS_PLAN_CHOSEN_SIZE, "%s (%lld)", texts[reason], rank);
	else if (reason == REASON_LOAD)
		snprintf(ret, CS_PLAN_CHOSEN_SIZE, "%s (%lld.%lld %%)", texts[reason],
			rank / 10, rank % 10);
	else
		snprintf(ret, CS_PLAN_CHOSEN_SIZE, "%s",
			reason < REASON_COUNT ? texts[reason] : "no other may go");
}

bool cs_plan_is_replaceable(
	const struct cs_plan_input *in, const struct cs_member *member)
{
	return cs_plan_may_delete(in, member) && member->state == CS_MEMBER_ACTIVE &&
	       cs_plan_is_old(in, member);
}

static size_t choose(const struct cs_plan_input *in,
	bool (*may_go)(const struct cs_plan_input *, const struct cs_member *), size_t n,
	struct cs_victim *ret)
{
	const struct cs_members *members = &in->view->members;
	CS_AUTO_FREE struct candidate *candidates =
		cs_calloc(members->n + 1, sizeof *candidates);
	struct zones zones = {0};
	size_t found = 0;

	for (size_t i = 0; i < members->n; i++) {
		if (may_go(in, &members->items[i]))
			candidates[found++] = weigh(in, i, &zones);
	}
	free(zones.items);
	qsort(candidates, found, sizeof *candidates, by_ranks);
	const struct candidate *kept = n < found ? &candidates[n] : NULL;
	for (size_t i = 0; i < n && i < found; i++) {
		ret[i].member = candidates[i].member;
		say_reason(&candidates[i], kept, ret[i].chosen);
	}
	return n < found ? n : found;
}

size_t cs_plan_victims(const struct cs_plan_input *in, size_t n, struct cs_victim *ret)
{
	return choose(in, cs_plan_is_victim, n, ret);
}

void cs_plan_choose(const struct cs_plan_input *in, const struct cs_decision *decision,
	struct cs_plan *plan)
{
	size_t n = (size_t)decision->remove;
	CS_AUTO_FREE struct cs_victim *victims = cs_calloc(n + 1, sizeof *victims);
	bool replaces = decision->rolling_base > 0;

	while (plan->n > 0 && plan->steps[plan->n - 1].kind == CS_STEP_CHOOSE)
		plan->n--;
	n = choose(in, replaces ? cs_plan_is_replaceable : cs_plan_is_victim, n, victims);
	for (size_t i = 0; i < n; i++)
		cs_plan_add_victim(in, &victims[i], plan);
}
