/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How many creates and deletes are left, per run, hour and day, and what share of the
 * cluster a run may still take away; see policy.h. */
#include <config.h>
#include "domain/policy_internal.h"

struct budget {
	const char *key;
	int64_t allowed; /* 0: no limit */
	int64_t used;
};

enum { PER_RUN, PER_HOUR, PER_DAY, N_BUDGETS };

static int64_t left_of(const struct budget *budget)
{
	return budget->allowed ? cs_max(0, budget->allowed - budget->used) : INT64_MAX;
}

/* Cuts a change of `sign` times `wish` servers by each of them in turn. */
static int64_t limit(const struct cs_policy_input *in, const struct budget *budgets,
	int sign, int64_t wish, struct cs_decision *d)
{
	int64_t capacity = cs_policy_capacity(in);

	for (size_t i = 0; i < N_BUDGETS; i++) {
		int64_t left = left_of(&budgets[i]), cut = cs_min(wish, left);

		cs_policy_limit(d, budgets[i].key, capacity + sign * wish,
			capacity + sign * cut, "%s %lld: %lld left", budgets[i].key,
			(long long)budgets[i].allowed, (long long)left);
		wish = cut;
	}
	return wish;
}

static void create_budgets(const struct cs_policy_input *in, struct budget ret[N_BUDGETS])
{
	const struct cs_policy_spec *spec = in->spec;
	const struct cs_journal *journal = in->journal;
	const struct cs_census *census = &in->census;

	ret[PER_RUN] = (struct budget){
		"creates-per-run", spec->creates_per_run, in->run.creates};
	ret[PER_HOUR] = (struct budget){"creates-per-hour", spec->creates_per_hour,
		cs_max(journal->creates_last_hour, census->created_last_hour)};
	ret[PER_DAY] = (struct budget){"creates-per-day", spec->creates_per_day,
		cs_max(journal->creates_last_day, census->created_last_day)};
}

int64_t cs_policy_budget_creates(
	const struct cs_policy_input *in, int64_t wish, struct cs_decision *d)
{
	struct budget budgets[N_BUDGETS];

	create_budgets(in, budgets);
	return limit(in, budgets, 1, wish, d);
}

static void delete_budgets(const struct cs_policy_spec *spec,
	const struct cs_journal *journal, const struct cs_run_use *run,
	struct budget ret[N_BUDGETS])
{
	ret[PER_RUN] =
		(struct budget){"deletes-per-run", spec->deletes_per_run, run->deletes};
	ret[PER_HOUR] = (struct budget){
		"deletes-per-hour", spec->deletes_per_hour, journal->deletes_last_hour};
	ret[PER_DAY] = (struct budget){
		"deletes-per-day", spec->deletes_per_day, journal->deletes_last_day};
}

/* Of deletes Nova remembers no more than the servers that still drain. */
int64_t cs_policy_budget_deletes(
	const struct cs_policy_input *in, int64_t wish, struct cs_decision *d)
{
	struct budget budgets[N_BUDGETS];

	delete_budgets(in->spec, in->journal, &in->run, budgets);
	for (size_t i = PER_HOUR; i <= PER_DAY; i++)
		budgets[i].used = cs_max(budgets[i].used, in->census.draining);
	return limit(in, budgets, -1, wish, d);
}

static int64_t least_left(const struct budget budgets[N_BUDGETS])
{
	int64_t left = INT64_MAX;

	for (size_t i = 0; i < N_BUDGETS; i++)
		left = cs_min(left, left_of(&budgets[i]));
	return left;
}

int64_t cs_policy_creates_left(const struct cs_policy_input *in)
{
	struct budget budgets[N_BUDGETS];

	create_budgets(in, budgets);
	return least_left(budgets);
}

int64_t cs_policy_deletes_left(const struct cs_policy_spec *spec,
	const struct cs_journal *journal, const struct cs_run_use *run)
{
	struct budget budgets[N_BUDGETS];

	delete_budgets(spec, journal, run, budgets);
	return least_left(budgets);
}

/* Rounded up, so that a small cluster can shrink at all. */
int64_t cs_policy_limit_share(
	const struct cs_policy_input *in, int64_t wish, struct cs_decision *d)
{
	int64_t capacity = cs_policy_capacity(in),
		permille = in->spec->shrink_per_run_permille;
	int64_t whole = in->run.capacity ? in->run.capacity : capacity;
	int64_t share = (whole * permille + 999) / 1000;
	int64_t cut = cs_min(wish, cs_max(0, share - in->run.removed));

	if (permille == 0)
		return wish;
	cs_policy_limit(d, "shrink-per-run", capacity - wish, capacity - cut,
		"shrink-per-run " CS_PERCENT ": %lld of %lld servers, %lld went already",
		CS_PERCENT_OF(permille), (long long)share, (long long)whole,
		(long long)in->run.removed);
	return cut;
}
