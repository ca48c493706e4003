/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between the parts of the decision: policy.c (the decision and its limits),
 * policy_wish.c (what asks for servers), policy_budget.c (what is left of the budgets),
 * policy_order.c (what a person orders). */
#ifndef CS_DOMAIN_POLICY_INTERNAL_H
#define CS_DOMAIN_POLICY_INTERNAL_H

#include "domain/policy.h"

/* "70.5 %" for 705, "2.3" for 2345 permille of a server. */
#define CS_PERCENT "%lld.%lld %%"
#define CS_PERCENT_OF(permille) (long long)(permille) / 10, (long long)(permille) % 10
#define CS_SERVERS "%lld.%lld"
#define CS_SERVERS_OF(milli) (long long)(milli) / 1000, (long long)(milli) % 1000 / 100
#define CS_SECONDS(ms) (long long)((ms) / CS_MS_PER_S)

static inline int64_t cs_min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static inline int64_t cs_max(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static inline int64_t cs_policy_capacity(const struct cs_policy_input *in)
{
	return in->census.active + in->census.building;
}

/* A sentence of the derivation. */
void cs_policy_say(struct cs_decision *decision, const char *format, ...) CS_PRINTF(2, 3)
	CS_NONNULL(1, 2);

/* The same for what changed the number of servers, which is put behind it and noted as
 * a limiter; silent when before equals after. Returns `after`. */
int64_t cs_policy_limit(struct cs_decision *decision, const char *name, int64_t before,
	int64_t after, const char *format, ...) CS_PRINTF(5, 6) CS_NONNULL(1, 2, 5);

/* What is left of the budgets. */
int64_t cs_policy_creates_left(const struct cs_policy_input *in) CS_NONNULL_ALL;

/* The largest removal up to `wish` that every rule but the share per run allows, which is
 * for what makes the cluster smaller; needs a measurement. For
 * `replaced` of them others were created: without those the cluster is no smaller than
 * the load asked for. */
int64_t cs_policy_limit_removal(const struct cs_policy_input *in, int64_t replaced,
	int64_t wish, struct cs_decision *decision) CS_NONNULL_ALL;

/* Does a change of late forbid the next one, of `wish` servers? */
bool cs_policy_cools_down(const struct cs_policy_input *in, int64_t wish,
	struct cs_decision *decision) CS_NONNULL_ALL;

/* The next step of replacing servers of an older image, when the load asks for nothing.
 */
void cs_policy_roll(
	const struct cs_policy_input *in, struct cs_decision *decision) CS_NONNULL_ALL;

/* What one policy is content with: at least `low`, no more than `high` on the way down;
 * CS_WISH_BUSY: none may go. */
struct cs_wish {
	int64_t low, high;
};
#define CS_WISH_BUSY INT64_MAX

struct cs_wish cs_policy_wish(
	const struct cs_policy_input *in, struct cs_decision *decision) CS_NONNULL_ALL;

/* The servers of a step, at least one: a share of those in service or under way is
 * rounded up on the way up and down on the way down. */
int64_t cs_policy_step_up(const struct cs_policy_input *in) CS_NONNULL_ALL;
int64_t cs_policy_step_down(const struct cs_policy_input *in) CS_NONNULL_ALL;

/* The load that the remaining servers must stay below. */
int64_t cs_policy_up_at(const struct cs_policy_spec *spec) CS_NONNULL_ALL;

/* Creates that failed in a row, where it is fewest. */
int64_t cs_policy_create_failures(const struct cs_policy_input *in) CS_NONNULL_ALL;

/* How many of `wish` more servers may be asked for now. */
int64_t cs_policy_limit_creates(const struct cs_policy_input *in, int64_t wish,
	struct cs_decision *decision) CS_NONNULL_ALL;

/* How many of `wish` more or fewer servers the budgets allow, and the share of the
 * cluster that a run may take away. */
int64_t cs_policy_budget_creates(const struct cs_policy_input *in, int64_t wish,
	struct cs_decision *decision) CS_NONNULL_ALL;
int64_t cs_policy_budget_deletes(const struct cs_policy_input *in, int64_t wish,
	struct cs_decision *decision) CS_NONNULL_ALL;
int64_t cs_policy_limit_share(const struct cs_policy_input *in, int64_t wish,
	struct cs_decision *decision) CS_NONNULL_ALL;

void cs_policy_say_census(
	const struct cs_policy_input *in, struct cs_decision *decision) CS_NONNULL_ALL;

#endif
