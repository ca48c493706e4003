/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The fluid model: equal servers share the load evenly, a new one bears load a boot time
 * after it was asked for, deletes take effect at once. */
#include <config.h>

#include <math.h>

#include "base/mem.h"
#include "scale_replay.h"

#define FLIP_TICKS 30

/* Those that boot wait in a ring, the oldest first. */
struct fleet {
	int64_t ready;
	int64_t *booting; /* the minute in which each is ready */
	int64_t first, n_booting, room;
};

static int64_t total_of(const struct fleet *fleet)
{
	return fleet->ready + fleet->n_booting;
}

static void finish_boots(struct fleet *fleet, int64_t minute)
{
	while (fleet->n_booting > 0 && fleet->booting[fleet->first] <= minute) {
		fleet->first = (fleet->first + 1) % fleet->room;
		fleet->n_booting--;
		fleet->ready++;
	}
}

/* The youngest of those that boot go first. */
static void resize(struct fleet *fleet, int64_t n, int64_t ready_at)
{
	for (; total_of(fleet) < n; fleet->n_booting++)
		fleet->booting[(fleet->first + fleet->n_booting) % fleet->room] =
			ready_at;
	int64_t surplus = total_of(fleet) - n;
	int64_t unborn = surplus < fleet->n_booting ? surplus : fleet->n_booting;
	if (surplus > 0) {
		fleet->n_booting -= unborn;
		fleet->ready -= surplus - unborn;
	}
}

static int sign(int64_t n)
{
	return (n > 0) - (n < 0);
}

struct run {
	const struct replay_setup *setup;
	struct fleet fleet;
	struct replay_result sums;
	double supplied, demanded, load, lost;
	int64_t last_ready, last_demand;
	int last_direction;
	int64_t last_action; /* tick */
	uint64_t random;
};

/* Uniform in [0, 1): xorshift64*, as good as is needed to lose samples. */
static double draw(struct run *run)
{
	run->random ^= run->random >> 12;
	run->random ^= run->random << 25;
	run->random ^= run->random >> 27;
	return (double)((run->random * 2685821657736338717u) >> 11) / 9007199254740992.0;
}

/* 2 % at random, 40 % of busy servers, and an outage of ten minutes every six hours that
 * hides 60 %. */
static int64_t sampled_of(struct run *run, int64_t t, double util, int64_t ready)
{
	double lose = util > 0.85 ? 0.40 : 0.02;
	int64_t sampled = 0;

	if (!run->setup->faults)
		return ready;
	if (t % 360 < 10)
		lose = 0.60;
	for (int64_t i = 0; i < ready; i++)
		sampled += draw(run) >= lose;
	return sampled;
}

static int64_t demand_of(const struct replay_setup *setup, double load)
{
	int64_t demand = (int64_t)ceil(load / (setup->cap * REPLAY_TARGET));

	return demand > setup->min ? demand : setup->min;
}

static void measure(struct run *run, int64_t t, double load, int64_t demand)
{
	struct replay_result *sums = &run->sums;
	int64_t ready = run->fleet.ready;
	double over = load - run->setup->cap * (double)ready;

	if (ready < demand)
		sums->theta_u += (double)(demand - ready) / (double)demand;
	else
		sums->theta_o += (double)(ready - demand) / (double)demand;
	sums->tau_u += ready < demand;
	sums->tau_o += ready > demand;
	sums->instability +=
		t > 0 && sign(ready - run->last_ready) != sign(demand - run->last_demand);
	sums->saturated += over > 0;
	run->lost += over > 0 ? over : 0;
	run->load += load;
	run->supplied += (double)total_of(&run->fleet);
	run->demanded += (double)demand;
	run->last_ready = ready;
	run->last_demand = demand;
}

static void note_change(struct run *run, int64_t t, int64_t before, int64_t demand)
{
	struct replay_result *sums = &run->sums;
	int64_t after = total_of(&run->fleet);
	int direction = sign(after - before);

	if (after > sums->largest)
		sums->largest = after;
	if (direction == 0)
		return;
	sums->actions++;
	sums->creates += direction > 0 ? after - before : 0;
	sums->deletes += direction < 0 ? before - after : 0;
	sums->wrong_scale_ins += direction < 0 && after < demand;
	sums->flips +=
		run->last_direction == -direction && t - run->last_action <= FLIP_TICKS;
	run->last_direction = direction;
	run->last_action = t;
}

static int64_t clamp(int64_t n, int64_t min, int64_t max)
{
	return n < min ? min : n > max ? max : n;
}

static void step(struct run *run, struct replay_policy *policy, int64_t t,
	const struct cs_trace_point *point, struct replay_row *row)
{
	const struct replay_setup *setup = run->setup;
	struct fleet *fleet = &run->fleet;

	finish_boots(fleet, point->minute);
	int64_t demand = demand_of(setup, point->count), before = total_of(fleet);
	double util = point->count / (setup->cap * (double)fleet->ready);
	struct replay_tick tick = {.t = t,
		.minute = point->minute,
		.util = util < 1 ? util : 1,
		.ready = fleet->ready,
		.booting = fleet->n_booting};
	tick.sampled = sampled_of(run, t, tick.util, tick.ready);
	measure(run, t, point->count, demand);
	int64_t desired = clamp(policy->desired(policy, &tick), setup->min, setup->max);
	resize(fleet, desired, point->minute + setup->boot_minutes);
	note_change(run, t, before, demand);
	if (row)
		*row = (struct replay_row){point->minute, point->count, demand,
			tick.ready, before, total_of(fleet)};
}

/* Sums to shares. */
static void finish(const struct run *run, size_t n, struct replay_result *ret)
{
	double ticks = (double)n;

	*ret = run->sums;
	ret->theta_u *= 100 / ticks;
	ret->theta_o *= 100 / ticks;
	ret->tau_u *= 100 / ticks;
	ret->tau_o *= 100 / ticks;
	ret->instability *= n > 1 ? 100 / (ticks - 1) : 0;
	ret->saturated *= 100 / ticks;
	ret->cost = run->supplied / run->demanded;
	ret->lost = run->load > 0 ? 100 * run->lost / run->load : 0;
}

void replay_run(const struct replay_setup *setup, struct replay_policy *policy,
	struct replay_result *ret, struct replay_row *ret_rows)
{
	const struct cs_trace *trace = setup->trace;
	CS_AUTO_FREE int64_t *booting =
		cs_calloc((size_t)setup->max + 1, sizeof *booting);
	struct run run = {.setup = setup,
		.fleet = {.booting = booting, .room = setup->max + 1},
		.random = setup->seed * 2654435769u + 1};

	run.fleet.ready =
		clamp(demand_of(setup, trace->points[0].count), setup->min, setup->max);
	for (size_t i = 0; i < trace->n; i++)
		step(&run, policy, (int64_t)i, &trace->points[i],
			ret_rows ? &ret_rows[i] : NULL);
	finish(&run, trace->n, ret);
}
