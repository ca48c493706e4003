/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What asks for servers: the step and the target policy; see policy.h. */
#include <config.h>
#include "domain/policy_internal.h"

/* A CPU cannot be more than full, so what it says from here on is not the demand; it is
 * taken for half as much again, and again as soon as the servers that brings are full.
 * All of them, that is: the busiest one alone says nothing of the others. */
#define SATURATED_PERMILLE 970
#define SATURATED_DEMAND 1500 /* permille of each server */

int64_t cs_policy_up_at(const struct cs_policy_spec *spec)
{
	switch (spec->follow) {
	case CS_FOLLOW_STEP:
		return spec->scale_up_at_permille;
	case CS_FOLLOW_TARGET:
		return spec->target_permille;
	default:
		return cs_min(spec->scale_up_at_permille, spec->target_permille);
	}
}

/* By CPUs, whatever the figure is. */
static int64_t mean_load(const struct cs_measurement *m)
{
	return m->load_permille - m->above_mean_permille;
}

/* Step: the load against two thresholds; the mean of those that answered for more, the
 * high end for fewer. */

int64_t cs_policy_step_up(const struct cs_policy_input *in)
{
	const struct cs_amount *step = &in->spec->step_up;

	if (step->number > 0)
		return step->number;
	return cs_max(1, (cs_policy_capacity(in) * step->permille + 999) / 1000);
}

int64_t cs_policy_step_down(const struct cs_policy_input *in)
{
	const struct cs_amount *step = &in->spec->step_down;

	if (step->number > 0)
		return step->number;
	return cs_max(1, cs_policy_capacity(in) * step->permille / 1000);
}

static struct cs_wish step_up(const struct cs_policy_input *in, struct cs_decision *d)
{
	const struct cs_measurement *m = in->measurement;
	const struct cs_policy_spec *spec = in->spec;
	int64_t capacity = cs_policy_capacity(in);
	int64_t bearing = cs_min(m->servers, in->census.active);
	int64_t expected = m->load_permille * bearing / cs_max(1, capacity);
	/* Without a cool-down nothing is waited for, as in plain event handlers. */
	bool waits = spec->cool_down_up_ms > 0;

	cs_policy_say(d, "at or above scale-up-at " CS_PERCENT ": %lld more (step-up)",
		CS_PERCENT_OF(spec->scale_up_at_permille),
		(long long)cs_policy_step_up(in));
	if (waits && expected < spec->scale_up_at_permille) {
		cs_policy_say(d, "what is under way brings it to " CS_PERCENT ": hold",
			CS_PERCENT_OF(expected));
		return (struct cs_wish){0, CS_WISH_BUSY};
	}
	return (struct cs_wish){capacity + cs_policy_step_up(in), CS_WISH_BUSY};
}

static struct cs_wish step_wish(const struct cs_policy_input *in, struct cs_decision *d)
{
	const struct cs_policy_spec *spec = in->spec;
	int64_t load = in->measurement->load_permille;
	int64_t capacity = cs_policy_capacity(in);

	if (load >= spec->scale_up_at_permille)
		return step_up(in, d);
	if (capacity > in->max)
		return (struct cs_wish){0, in->max};
	if (load > spec->scale_down_at_permille) {
		cs_policy_say(d,
			"between scale-down-at " CS_PERCENT " and scale-up-at " CS_PERCENT
			": hold",
			CS_PERCENT_OF(spec->scale_down_at_permille),
			CS_PERCENT_OF(spec->scale_up_at_permille));
		return (struct cs_wish){0, capacity};
	}
	int64_t worst = cs_measurement_high_permille(in->measurement);
	if (worst > spec->scale_down_at_permille) {
		cs_policy_say(d,
			"at or below scale-down-at " CS_PERCENT ", but at " CS_PERCENT
			" if those without a figure were full: hold",
			CS_PERCENT_OF(spec->scale_down_at_permille),
			CS_PERCENT_OF(worst));
		return (struct cs_wish){0, capacity};
	}
	if (capacity <= in->min) {
		cs_policy_say(d,
			"at or below scale-down-at " CS_PERCENT ", at the minimum: hold",
			CS_PERCENT_OF(spec->scale_down_at_permille));
		return (struct cs_wish){0, capacity};
	}
	cs_policy_say(d,
		"at or below scale-down-at " CS_PERCENT ": %lld fewer (step-down)",
		CS_PERCENT_OF(spec->scale_down_at_permille),
		(long long)cs_policy_step_down(in));
	return (struct cs_wish){0, capacity - cs_policy_step_down(in)};
}

/* Target: the demand, in permille of a server, now and lately. */

#define UNKNOWN (-1)

struct demand {
	int64_t age_ms;
	int64_t seen;  /* from the mean of those that answered, or UNKNOWN */
	int64_t worst; /* if those that did not were full, and no load was rounded down */
	int64_t rise;  /* from the lowest of the boot time before */
};

struct past {
	struct demand items[CS_POLICY_HISTORY_MAX]; /* the newest first */
	size_t n;
	int64_t boot_ms;
};

static struct demand demand_of(const struct cs_measurement *m, int64_t age_ms)
{
	bool known = m->load_permille >= 0 && m->sampled > 0;
	/* Of a load and of the one that its rise is counted from. */
	int64_t rounding = 2 * m->servers;

	if (!known)
		return (struct demand){age_ms, UNKNOWN, 1000 * m->servers, 0};
	if (mean_load(m) >= SATURATED_PERMILLE)
		return (struct demand){age_ms, SATURATED_DEMAND * m->servers,
			SATURATED_DEMAND * m->servers, 0};
	return (struct demand){age_ms, m->load_permille * m->servers,
		cs_measurement_most_demand(m) + rounding, 0};
}

static int64_t rise_of(const struct past *past, size_t i)
{
	const struct demand *at = &past->items[i];
	int64_t lowest = at->seen;

	for (size_t j = i + 1; j < past->n; j++) {
		const struct demand *before = &past->items[j];

		if (before->age_ms > at->age_ms + past->boot_ms)
			break;
		if (before->seen != UNKNOWN && before->seen < lowest)
			lowest = before->seen;
	}
	return at->seen - lowest;
}

/* Only what lies before the newest and in reach counts: a line from the future says
 * nothing. */
static void collect(const struct cs_policy_input *in, struct past *past)
{
	int64_t newest_ms = cs_stamp_age_ms(&in->measurement->at, &in->now);

	past->boot_ms = in->boot_ms ? in->boot_ms : CS_POLICY_BOOT_MS;
	int64_t reach_ms = newest_ms + cs_max(in->spec->window_ms, in->spec->keep_ms) +
			   CS_POLICY_LOOKBACK_MS + past->boot_ms;
	past->items[0] = demand_of(in->measurement, newest_ms);
	past->n = 1;
	for (size_t i = in->n_history; i-- > 0 && past->n < CS_POLICY_HISTORY_MAX;) {
		int64_t age_ms = cs_stamp_age_ms(&in->history[i].at, &in->now);

		if (age_ms > reach_ms)
			break;
		if (age_ms > past->items[past->n - 1].age_ms)
			past->items[past->n++] = demand_of(&in->history[i], age_ms);
	}
	for (size_t i = 0; i < past->n; i++)
		past->items[i].rise = rise_of(past, i);
}

/* The place of the largest rise within the look-back before `i`. */
static size_t largest_rise(const struct past *past, size_t i)
{
	size_t largest = i;

	for (size_t j = i; j < past->n; j++) {
		if (past->items[j].age_ms - past->items[i].age_ms >=
			CS_POLICY_LOOKBACK_MS)
			break;
		if (past->items[j].rise > past->items[largest].rise)
			largest = j;
	}
	return largest;
}

static int64_t servers_for(int64_t demand, int64_t target_permille)
{
	return (demand + target_permille - 1) / target_permille;
}

static int64_t headroom_of(const struct cs_policy_spec *spec, const struct demand *rise)
{
	return rise->rise * spec->headroom_permille / 1000;
}

/* What the newest measurement asks for. */
static int64_t wish_now(
	const struct cs_policy_input *in, const struct past *past, struct cs_decision *d)
{
	const struct cs_policy_spec *spec = in->spec;
	const struct demand *now = &past->items[0];
	const struct demand *rise = &past->items[largest_rise(past, 0)];
	int64_t headroom = headroom_of(spec, rise);
	int64_t bare = servers_for(now->seen, spec->target_permille);

	if (mean_load(in->measurement) >= SATURATED_PERMILLE)
		cs_policy_say(d, "saturated: more is wanted than can be seen");
	cs_policy_say(d,
		"demand of " CS_SERVERS " busy servers at target " CS_PERCENT
		": %lld servers",
		CS_SERVERS_OF(now->seen), CS_PERCENT_OF(spec->target_permille),
		(long long)bare);
	int64_t wish = cs_policy_limit(d, "headroom", bare,
		servers_for(now->seen + headroom, spec->target_permille),
		"headroom " CS_PERCENT " of the rise by " CS_SERVERS
		" within %lld s, %lld s ago",
		CS_PERCENT_OF(spec->headroom_permille), CS_SERVERS_OF(rise->rise),
		CS_SECONDS(past->boot_ms), CS_SECONDS(rise->age_ms));
	return cs_policy_limit(d, "spare", wish, wish + spec->spare, "spare %lld",
		(long long)spec->spare);
}

/* How far back the measurements go without a hole. */
static int64_t known_ms(const struct cs_policy_input *in, const struct past *past)
{
	size_t i = 0;

	while (i + 1 < past->n && past->items[i + 1].age_ms - past->items[i].age_ms <=
					  2 * in->spec->max_age_ms)
		i++;
	return past->items[i].age_ms;
}

/* What the measurement at `i` asked for if the demand was `demand`. */
static int64_t wish_then(const struct cs_policy_spec *spec, const struct past *past,
	size_t i, int64_t demand)
{
	int64_t headroom = headroom_of(spec, &past->items[largest_rise(past, i)]);

	return servers_for(demand + headroom, spec->target_permille) + spec->spare;
}

/* The highest wish of the window, each as of its time and at its worst; `highest` is the
 * largest demand. */
static int64_t wish_of_window(const struct cs_policy_input *in, const struct past *past,
	int64_t *ret_highest, int64_t *ret_age_ms)
{
	int64_t wish = 0, highest = 0;

	for (size_t i = 0; i < past->n; i++) {
		const struct demand *at = &past->items[i];

		if (i > 0 && at->age_ms >= in->spec->window_ms)
			break;
		int64_t then = wish_then(in->spec, past, i, at->worst);
		if (then > wish)
			*ret_age_ms = at->age_ms;
		wish = cs_max(wish, then);
		highest = cs_max(highest, at->worst);
	}
	*ret_highest = highest;
	return wish;
}

/* Where the wish rose above a number lately, it will again: what was asked for anew is
 * kept. What has only fallen since it was there before is not. */
static int64_t keep_asked_for(
	const struct cs_policy_input *in, const struct past *past, int64_t high)
{
	int64_t wishes[CS_POLICY_HISTORY_MAX];
	size_t n = 0;

	for (size_t i = 0; i < past->n; i++) {
		const struct demand *at = &past->items[i];

		if (at->age_ms >= in->spec->keep_ms)
			break;
		if (at->seen != UNKNOWN)
			wishes[n++] = wish_then(in->spec, past, i, at->seen);
	}
	for (size_t i = 0; i + 1 < n; i++) {
		if (wishes[i + 1] <= high && high < wishes[i]) {
			high = wishes[i];
			i = (size_t)-1; /* from the newest again */
		}
	}
	return high;
}

/* How few there may be: the window knows nothing higher, and even with one server less
 * they would stay below the target. */
static int64_t wish_down(const struct cs_policy_input *in, const struct past *past,
	int64_t low, struct cs_decision *d)
{
	const struct cs_policy_spec *spec = in->spec;
	int64_t capacity = cs_policy_capacity(in);
	int64_t known = known_ms(in, past), highest, age_ms = 0;

	if (known + spec->max_age_ms < spec->window_ms)
		return cs_policy_limit(d, "window", low, cs_max(low, capacity),
			"window %lld s, of which %lld s are known: no scale-down",
			CS_SECONDS(spec->window_ms), CS_SECONDS(known));
	int64_t high = wish_of_window(in, past, &highest, &age_ms);
	high = cs_policy_limit(d, "window", low, cs_max(low, high),
		"the highest wish of the last %lld s, %lld s ago",
		CS_SECONDS(spec->window_ms), CS_SECONDS(age_ms));
	high = cs_policy_limit(d, "keep", high, keep_asked_for(in, past, high),
		"keep %lld s: more were asked for within that time",
		CS_SECONDS(spec->keep_ms));
	return cs_policy_limit(d, "n+1", high,
		cs_max(high, highest / spec->target_permille + 2),
		"with one server less the highest demand of the window, " CS_SERVERS
		", would still be below the target",
		CS_SERVERS_OF(highest));
}

static struct cs_wish target_wish(const struct cs_policy_input *in, struct cs_decision *d)
{
	int64_t capacity = cs_policy_capacity(in);
	struct past past;
	struct cs_wish wish;

	collect(in, &past);
	wish.low = wish.high = wish_now(in, &past, d);
	if (wish.low < capacity)
		wish.high = wish_down(in, &past, wish.low, d);
	if (wish.low <= capacity && wish.high >= capacity)
		cs_policy_say(d, "%lld are as many as wanted: hold", (long long)capacity);
	return wish;
}

struct cs_wish cs_policy_wish(
	const struct cs_policy_input *in, struct cs_decision *decision)
{
	if (in->spec->follow == CS_FOLLOW_STEP)
		return step_wish(in, decision);
	if (in->spec->follow == CS_FOLLOW_TARGET)
		return target_wish(in, decision);
	struct cs_wish step = step_wish(in, decision);
	struct cs_wish target = target_wish(in, decision);
	return (struct cs_wish){
		cs_max(step.low, target.low), cs_max(step.high, target.high)};
}
