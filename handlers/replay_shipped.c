/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The decision function of nova_scale as a policy of the model: every minute a
 * measurement, and the facts that the journal and Nova would have. */
#include <config.h>

#include <string.h>

#include "base/mem.h"
#include "scale_replay.h"

#define MINUTE_MS (60 * CS_MS_PER_S)
#define HOUR 60

struct shipped {
	struct replay_policy policy;
	const struct replay_setup *setup;
	struct cs_policy_input in;
	struct cs_journal journal;
	struct cs_measurement *seen; /* room for twice the reach; the oldest first */
	size_t n_seen, reach;
	/* per minute of the hour, and the minute that it stands for */
	int64_t creates[HOUR], deletes[HOUR], at[HOUR];
	int64_t last_total;
	int64_t actions, unexplained;
};

static void remember(struct shipped *shipped, const struct replay_tick *tick)
{
	bool quorum = 2 * tick->sampled >= tick->ready && tick->sampled > 0;

	if (shipped->n_seen == 2 * shipped->reach) {
		shipped->n_seen = shipped->reach;
		memmove(shipped->seen, shipped->seen + shipped->reach,
			shipped->reach * sizeof *shipped->seen);
	}
	shipped->seen[shipped->n_seen++] = (struct cs_measurement){.at = shipped->in.now,
		.load_permille = quorum ? (int64_t)(tick->util * 1000) : -1,
		.servers = tick->ready,
		.sampled = tick->sampled,
		.missing = tick->ready - tick->sampled};
	size_t before = shipped->n_seen - 1;
	shipped->in.measurement = &shipped->seen[before];
	shipped->in.n_history = before < shipped->reach ? before : shipped->reach;
	shipped->in.history = shipped->in.measurement - shipped->in.n_history;
}

/* What was done within the hour before this minute. */
static void count_hour(struct shipped *shipped, int64_t minute)
{
	struct cs_journal *journal = &shipped->journal;

	journal->creates_last_hour = journal->deletes_last_hour = 0;
	for (size_t i = 0; i < HOUR; i++) {
		if (shipped->at[i] <= minute - HOUR)
			continue;
		journal->creates_last_hour += shipped->creates[i];
		journal->deletes_last_hour += shipped->deletes[i];
	}
}

/* A create has its result when the server is ready, a moment before the measurement. */
static void observe(struct shipped *shipped, const struct replay_tick *tick)
{
	struct cs_census *census = &shipped->in.census;
	int64_t total = tick->ready + tick->booting;

	shipped->in.now.wall_ms = tick->minute * MINUTE_MS;
	if (tick->ready > census->active)
		shipped->journal.last_up.wall_ms = shipped->in.now.wall_ms - 1;
	*census = (struct cs_census){.active = tick->ready,
		.building = tick->booting,
		.exists = total,
		.deletable = total,
		.last_created_wall_ms = census->last_created_wall_ms,
		.open_work = tick->booting > 0};
	remember(shipped, tick);
	count_hour(shipped, tick->minute);
}

static void note(struct shipped *shipped, const struct cs_decision *decision)
{
	int64_t now_ms = shipped->in.now.wall_ms;
	size_t slot = (size_t)(now_ms / MINUTE_MS % HOUR);

	shipped->at[slot] = now_ms / MINUTE_MS;
	shipped->creates[slot] = decision->create;
	shipped->deletes[slot] = decision->remove;
	if (decision->measurement_wall_ms)
		shipped->journal.used_measurement_wall_ms = decision->measurement_wall_ms;
	if (decision->create > 0)
		shipped->in.census.last_created_wall_ms = now_ms;
	if (decision->remove > 0) {
		shipped->journal.last_down.wall_ms = now_ms;
		shipped->in.census.active -= decision->remove;
	}
}

/* Again, in words: the function is pure, so they are those of this very decision. */
static void explain(struct shipped *shipped)
{
	struct cs_policy_input in = shipped->in;
	struct cs_decision decision;

	in.wordless = false;
	cs_policy_decide(&in, &decision);
	shipped->actions++;
	/* The first one only counts the servers. */
	shipped->unexplained += decision.reasons.n < 2;
	cs_decision_done(&decision);
}

static int64_t decide(struct replay_policy *policy, const struct replay_tick *tick)
{
	struct shipped *shipped = (struct shipped *)policy;
	struct cs_decision decision;

	observe(shipped, tick);
	cs_policy_decide(&shipped->in, &decision);
	if (decision.direction != CS_DIRECTION_HOLD)
		explain(shipped);
	note(shipped, &decision);
	cs_decision_done(&decision);
	return decision.desired;
}

struct replay_policy *replay_shipped_new(const char *name,
	const struct cs_policy_spec *spec, const struct replay_setup *setup)
{
	struct shipped *shipped = cs_calloc(1, sizeof *shipped);

	shipped->policy = (struct replay_policy){name, decide};
	shipped->setup = setup;
	shipped->in = (struct cs_policy_input){.spec = spec,
		.min = setup->min,
		.max = setup->max,
		.journal = &shipped->journal,
		.boot_ms = setup->boot_minutes * MINUTE_MS,
		.wordless = true};
	int64_t span_ms =
		spec->window_ms > spec->keep_ms ? spec->window_ms : spec->keep_ms;
	shipped->reach = (size_t)((span_ms + CS_POLICY_LOOKBACK_MS) / MINUTE_MS +
				  setup->boot_minutes + 1);
	shipped->seen = cs_calloc(2 * shipped->reach, sizeof *shipped->seen);
	for (size_t i = 0; i < HOUR; i++)
		shipped->at[i] = INT64_MIN;
	return &shipped->policy;
}

void replay_shipped_free(struct replay_policy *policy)
{
	struct shipped *shipped = (struct shipped *)policy;

	if (!shipped)
		return;
	free(shipped->seen);
	free(shipped);
}

void replay_shipped_count(const struct replay_policy *policy, int64_t *ret_actions,
	int64_t *ret_unexplained)
{
	const struct shipped *shipped = (const struct shipped *)policy;

	*ret_actions = shipped->actions;
	*ret_unexplained = shipped->unexplained;
}
