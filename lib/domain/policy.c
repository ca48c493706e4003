/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The decision; see policy.h. Reads like its own explanation: every rule that changes or
 * keeps the number adds the sentence that --explain prints. */
#include <config.h>
#include "domain/policy_internal.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/strbuf.h"
#include "domain/places.h"
#include "format/cron.h"

static void say_text(struct cs_decision *decision, const char *text)
{
	cs_strings_add(&decision->reasons, text);
}

void cs_policy_say(struct cs_decision *decision, const char *format, ...)
{
	char text[256];
	va_list args;

	if (decision->wordless)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	say_text(decision, text);
}

int64_t cs_policy_limit(struct cs_decision *decision, const char *name, int64_t before,
	int64_t after, const char *format, ...)
{
	char text[256], whole[320];
	va_list args;

	if (before == after)
		return after;
	if (decision->n_limiters < CS_POLICY_LIMITERS_MAX)
		decision->limiters[decision->n_limiters++] =
			(struct cs_limiter){name, before, after};
	if (decision->wordless)
		return after;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	snprintf(whole, sizeof whole, "%s (%lld -> %lld servers)", text,
		(long long)before, (long long)after);
	say_text(decision, whole);
	return after;
}

/* What is left of a cool-down. The future counts as just now. */
static int64_t cool_down_left_ms(
	const struct cs_stamp *since, int64_t cool_down_ms, const struct cs_stamp *now)
{
	if (since->wall_ms == 0)
		return 0;
	return cs_max(0, cool_down_ms - cs_max(0, cs_stamp_age_ms(since, now)));
}

void cs_policy_say_census(const struct cs_policy_input *in, struct cs_decision *d)
{
	const struct cs_census *census = &in->census;

	cs_policy_say(d,
		"%lld in service, %lld under way, %lld draining; %lld exist; min %lld, "
		"max "
		"%lld",
		(long long)census->active, (long long)census->building,
		(long long)census->draining, (long long)census->exists,
		(long long)in->min, (long long)in->max);
	if (census->unknown > 0)
		cs_policy_say(d,
			"%lld of those that exist are UNKNOWN: their cell is down, so "
			"whose they are cannot be seen",
			(long long)census->unknown);
}

/* Limits of creating: how many of `wish` may be asked for now. */

int64_t cs_policy_create_failures(const struct cs_policy_input *in)
{
	int64_t fewest = INT64_MAX;

	for (size_t i = 0; i < cs_places_n(in->servers); i++)
		fewest = cs_min(fewest, cs_places_failures(in->servers, i, in->journal));
	return fewest;
}

static int64_t breaker_left_ms(const struct cs_policy_input *in)
{
	int64_t least = INT64_MAX;

	for (size_t i = 0; i < cs_places_n(in->servers); i++)
		least = cs_min(
			least, cs_places_held_ms(in->servers, i, in->journal, &in->now));
	return least;
}

/* `after` more servers instead of `before`. */
#define LIMIT(name, before, after, ...)                              \
	(cs_policy_limit(d, name, cs_policy_capacity(in) + (before), \
		 cs_policy_capacity(in) + (after), __VA_ARGS__) -    \
		cs_policy_capacity(in))

int64_t cs_policy_limit_creates(
	const struct cs_policy_input *in, int64_t wish, struct cs_decision *d)
{
	int64_t room = cs_max(0, in->max - in->census.exists);
	int64_t failed = cs_policy_create_failures(in);
	const char *everywhere = cs_places_n(in->servers) > 1 ? " in every zone" : "";
	char unknown[48] = "";

	if (in->census.unknown > 0)
		snprintf(unknown, sizeof unknown, ", %lld of them UNKNOWN",
			(long long)in->census.unknown);
	wish = LIMIT("max", wish, cs_min(wish, room),
		"max %lld and %lld exist%s: room for %lld", (long long)in->max,
		(long long)in->census.exists, unknown, (long long)room);
	wish = cs_policy_budget_creates(in, wish, d);
	if (breaker_left_ms(in) > 0)
		return LIMIT("breaker", wish, 0,
			"%lld creates in a row failed%s: creates are held for %lld s, or "
			"until --resume",
			(long long)failed, everywhere, CS_SECONDS(breaker_left_ms(in)));
	if (failed >= CS_PLACES_FAILURES)
		return LIMIT("breaker", wish, cs_min(wish, 1),
			"the last %lld creates failed%s: one is tried", (long long)failed,
			everywhere);
	return wish;
}

/* `wish` more: servers that are still draining come back before new ones are made. */
static void go_up(const struct cs_policy_input *in, int64_t wish, struct cs_decision *d)
{
	int64_t below_max = cs_max(0, in->max - cs_policy_capacity(in));

	wish = LIMIT("max", wish, cs_min(wish, below_max), "max %lld: %lld more at most",
		(long long)in->max, (long long)below_max);
	d->undrain = cs_min(wish, in->census.draining);
	if (d->undrain > 0)
		cs_policy_say(d, "%lld of the draining servers come back",
			(long long)d->undrain);
	if (wish > d->undrain && in->finish_only)
		cs_policy_say(d, "only open work is finished: nothing is created");
	else if (wish > d->undrain)
		d->create = cs_policy_limit_creates(in, wish - d->undrain, d);
	if (d->undrain + d->create > 0)
		d->direction = CS_DIRECTION_UP;
	d->desired = cs_policy_capacity(in) + d->undrain + d->create;
}

/* The measurement: usable, and not used. */

static bool is_fresh(const struct cs_policy_input *in, struct cs_decision *d)
{
	const struct cs_measurement *m = in->measurement;

	d->unmeasured = true;
	if (!m) {
		cs_policy_say(d, "no measurement: hold");
		return false;
	}
	int64_t age_ms = cs_stamp_age_ms(&m->at, &in->now);
	if (age_ms < 0 || age_ms > in->spec->max_age_ms) {
		cs_policy_say(d,
			"the last measurement is %lld s old, max-age is %lld s: hold",
			CS_SECONDS(age_ms), CS_SECONDS(in->spec->max_age_ms));
		return false;
	}
	if (m->load_permille < 0 || m->servers < 1 || m->sampled < 1) {
		cs_policy_say(d,
			"%lld of %lld servers gave a figure, below the quorum: hold",
			(long long)m->sampled, (long long)m->servers);
		return false;
	}
	d->unmeasured = false;
	cs_policy_say(d,
		"load " CS_PERCENT " on %lld of %lld servers, measured %lld s ago",
		CS_PERCENT_OF(m->load_permille), (long long)m->sampled,
		(long long)m->servers, CS_SECONDS(age_ms));
	return true;
}

/* One measurement justifies one action, and it must have seen the last one's effect. */
static bool is_unused(const struct cs_policy_input *in, struct cs_decision *d)
{
	const struct cs_journal *journal = in->journal;
	const struct cs_stamp *at = &in->measurement->at;
	int64_t used = journal->used_measurement_wall_ms;
	const struct cs_stamp *results[] = {&journal->last_up, &journal->last_down};

	/* One from the future says nothing of others: the clock was set back. */
	if (at->wall_ms == used || (at->wall_ms < used && used <= in->now.wall_ms)) {
		cs_policy_say(
			d, "this measurement has justified an action already: hold");
		return false;
	}
	for (size_t i = 0; i < CS_ARRAY_SIZE(results); i++) {
		if (results[i]->wall_ms != 0 &&
			cs_stamp_age_ms(at, &in->now) >=
				cs_stamp_age_ms(results[i], &in->now)) {
			cs_policy_say(
				d, "measured before the last action had ended: hold");
			return false;
		}
	}
	return true;
}

/* Stricter of what the journal and Nova know about the last server that was added. `wish`
 * more servers, or fewer, are put off by it. */
static bool cools_down_from_up(
	const struct cs_policy_input *in, int64_t wish, struct cs_decision *d)
{
	struct cs_stamp created = {.wall_ms = in->census.last_created_wall_ms};
	int64_t cool_down_ms = in->spec->cool_down_up_ms;
	int64_t left =
		cs_max(cool_down_left_ms(&in->journal->last_up, cool_down_ms, &in->now),
			cool_down_left_ms(&created, cool_down_ms, &in->now));

	if (left > 0)
		(void)LIMIT("cool-down-up", wish, 0,
			"cool-down-up %lld s after the last scale-up: %lld s left: hold",
			CS_SECONDS(cool_down_ms), CS_SECONDS(left + CS_MS_PER_S - 1));
	return left > 0;
}

static bool cools_down_from_down(
	const struct cs_policy_input *in, int64_t wish, struct cs_decision *d)
{
	int64_t cool_down_ms = in->spec->cool_down_down_ms;
	int64_t left = cool_down_left_ms(&in->journal->last_down, cool_down_ms, &in->now);

	if (left > 0)
		(void)LIMIT("cool-down-down", wish, 0,
			"cool-down-down %lld s after the last scale-down: %lld s left: "
			"hold",
			CS_SECONDS(cool_down_ms), CS_SECONDS(left + CS_MS_PER_S - 1));
	return left > 0;
}

bool cs_policy_cools_down(
	const struct cs_policy_input *in, int64_t wish, struct cs_decision *d)
{
	return cools_down_from_down(in, wish, d) || cools_down_from_up(in, wish, d);
}

/* Where so many servers would stand, if those that gave no figure were full. */
static int64_t projected(const struct cs_measurement *m, int64_t servers)
{
	return servers > 0 ? cs_measurement_most_demand(m) / servers : INT64_MAX;
}

/* The largest removal up to `wish` after which the remaining servers bear the load, also
 * when one of them fails; beyond max that one is not kept. */
static int64_t limit_by_load(
	const struct cs_policy_input *in, int64_t wish, struct cs_decision *d)
{
	int64_t spare = cs_policy_capacity(in) > in->max ? 0 : 1;
	int64_t bearing = cs_policy_capacity(in) - spare, bearable = wish;
	int64_t limit = cs_policy_up_at(in->spec);

	while (bearable > 0 && projected(in->measurement, bearing - bearable) >= limit)
		bearable--;
	int64_t left = bearing - bearable - 1;
	if (left < 1)
		return -LIMIT("proof", -wish, -bearable,
			"no server would remain without one more: not %lld fewer",
			(long long)(bearable + 1));
	return -LIMIT("proof", -wish, -bearable,
		"the remaining%s, %lld, would stand at " CS_PERCENT
		", the limit is " CS_PERCENT ": not %lld fewer",
		spare ? " without one more" : "", (long long)left,
		CS_PERCENT_OF(projected(in->measurement, left)), CS_PERCENT_OF(limit),
		(long long)(bearable + 1));
}

int64_t cs_policy_limit_removal(const struct cs_policy_input *in, int64_t replaced,
	int64_t wish, struct cs_decision *d)
{
	int64_t above_min = cs_max(0, cs_policy_capacity(in) - in->min);
	int64_t deletable = in->census.deletable;

	wish = -LIMIT("min", -wish, -cs_min(wish, above_min),
		"min %lld: %lld fewer at most", (long long)in->min, (long long)above_min);
	if (wish > replaced)
		wish = cs_max(replaced, limit_by_load(in, wish, d));
	wish = cs_policy_budget_deletes(in, wish, d);
	return -LIMIT("deletable", -wish, -cs_min(wish, deletable),
		"%lld servers carry our mark and are neither locked nor protected: no "
		"more is deleted",
		(long long)deletable);
}

static void go_down(const struct cs_policy_input *in, int64_t wish, struct cs_decision *d)
{
	if (in->census.open_work) {
		(void)LIMIT("open-work", -wish, 0,
			"work is open: no scale-down before it has ended");
		return;
	}
	if (cs_policy_cools_down(in, -wish, d))
		return;
	wish = cs_policy_limit_removal(in, 0, wish, d);
	wish = cs_policy_limit_share(in, wish, d);
	if (wish <= 0)
		return;
	d->measurement_wall_ms = in->measurement->at.wall_ms;
	d->direction = CS_DIRECTION_DOWN;
	d->remove = wish;
	d->desired = cs_policy_capacity(in) - wish;
}

/* A share of the cluster, at least one server. */
static int64_t share_of(const struct cs_policy_input *in, int64_t permille)
{
	return cs_max(1, cs_policy_capacity(in) * permille / 1000);
}

static void follow_wish_up(
	const struct cs_policy_input *in, int64_t wish, struct cs_decision *d)
{
	/* The target counts what is under way: nothing is gained by waiting. */
	if (in->spec->follow != CS_FOLLOW_TARGET && cools_down_from_up(in, wish, d))
		return;
	if (in->spec->follow != CS_FOLLOW_STEP)
		wish = LIMIT("grow-by", wish,
			cs_min(wish, share_of(in, in->spec->grow_by_permille)),
			"grow-by " CS_PERCENT " at a time",
			CS_PERCENT_OF(in->spec->grow_by_permille));
	d->measurement_wall_ms = in->measurement->at.wall_ms;
	go_up(in, wish, d);
}

static void follow_wish_down(
	const struct cs_policy_input *in, int64_t wish, struct cs_decision *d)
{
	if (in->spec->follow != CS_FOLLOW_STEP)
		wish = -LIMIT("shrink-by", -wish,
			-cs_min(wish, share_of(in, in->spec->shrink_by_permille)),
			"shrink-by " CS_PERCENT " at a time",
			CS_PERCENT_OF(in->spec->shrink_by_permille));
	go_down(in, wish, d);
}

static void follow_load(const struct cs_policy_input *in, struct cs_decision *d)
{
	struct cs_wish wish = cs_policy_wish(in, d);
	int64_t capacity = cs_policy_capacity(in);

	d->wanted = cs_max(wish.low, cs_min(wish.high, capacity));
	if (wish.low > capacity) {
		follow_wish_up(in, wish.low - capacity, d);
	} else if (capacity > in->max && wish.high != CS_WISH_BUSY) {
		cs_policy_say(d, "more than max %lld: fewer", (long long)in->max);
		follow_wish_down(
			in, cs_min(cs_policy_step_down(in), capacity - in->max), d);
	} else if (wish.high < capacity) {
		follow_wish_down(in, capacity - wish.high, d);
	}
}

/* A schedule moves the limits; a floor already a boot time before it begins, so that the
 * servers are there when it does. */
static void apply_schedule(struct cs_policy_input *in, struct cs_decision *d)
{
	const struct cs_policy_spec *spec = in->spec;
	int64_t now_ms = in->now.wall_ms, min = in->min, max = in->max;
	int64_t ready_ms = now_ms + (in->boot_ms ? in->boot_ms : CS_POLICY_BOOT_MS);

	for (size_t i = 0; i < spec->n_schedule; i++) {
		const struct cs_schedule_entry *entry = &spec->schedule[i];
		bool holds = cs_cron_matches(&entry->cron, now_ms, spec->timezone);

		if (holds || cs_cron_matches(&entry->cron, ready_ms, spec->timezone))
			min = cs_policy_limit(d, "schedule", min, cs_max(min, entry->min),
				"schedule '%s': min is %lld", entry->during,
				(long long)entry->min);
		if (holds)
			max = cs_policy_limit(d, "schedule", max, cs_min(max, entry->max),
				"schedule '%s': max is %lld", entry->during,
				(long long)entry->max);
	}
	in->min = min;
	in->max = cs_max(min, max);
}

static void decide(const struct cs_policy_input *in, struct cs_decision *d)
{
	int64_t capacity = cs_policy_capacity(in);

	if (capacity < in->min && !in->force) {
		cs_policy_say(
			d, "fewer than min: %lld more", (long long)(in->min - capacity));
		d->wanted = in->min;
		go_up(in, in->min - capacity, d);
	} else if (in->finish_only) {
		cs_policy_say(d, "only open work is finished: hold");
	} else if (is_fresh(in, d)) {
		if (is_unused(in, d))
			follow_load(in, d);
		if (d->direction == CS_DIRECTION_HOLD)
			cs_policy_roll(in, d);
	}
}

void cs_policy_decide(const struct cs_policy_input *in, struct cs_decision *ret)
{
	struct cs_policy_input effective = *in;
	struct cs_decision d = {.wanted = cs_policy_capacity(in),
		.desired = cs_policy_capacity(in),
		.wordless = in->wordless};

	cs_policy_say_census(in, &d);
	if (in->journal->paused) {
		cs_policy_say(&d, "paused: only open work is finished");
		effective.finish_only = true;
	}
	apply_schedule(&effective, &d);
	decide(&effective, &d);
	if (d.direction == CS_DIRECTION_HOLD)
		d.measurement_wall_ms = 0;
	*ret = d;
}
