/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The decision; see policy.h. Reads like its own explanation: every rule that changes or
 * keeps the number adds the sentence that --explain prints. */
#include <config.h>
#include "domain/policy.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/strbuf.h"
#include "format/json.h"

static void CS_PRINTF(2, 3) say(struct cs_decision *decision, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	cs_strings_add(&decision->reasons, text);
}

/* "70.5 %" for 705. */
#define PERCENT "%lld.%lld %%"
#define PERCENT_OF(permille) (long long)(permille) / 10, (long long)(permille) % 10
#define SECONDS(ms) (long long)((ms) / CS_MS_PER_S)

static int64_t min_of(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t max_of(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* What is left of a cool-down. The future counts as just now. */
static int64_t cool_down_left_ms(
	const struct cs_stamp *since, int64_t cool_down_ms, const struct cs_stamp *now)
{
	if (since->wall_ms == 0)
		return 0;
	return max_of(0, cool_down_ms - max_of(0, cs_stamp_age_ms(since, now)));
}

static int64_t capacity_of(const struct cs_policy_input *in)
{
	return in->census.active + in->census.building;
}

static void say_census(const struct cs_policy_input *in, struct cs_decision *d)
{
	const struct cs_census *census = &in->census;

	say(d,
		"%lld in service, %lld under way, %lld draining; %lld exist; min %lld, "
		"max "
		"%lld",
		(long long)census->active, (long long)census->building,
		(long long)census->draining, (long long)census->exists,
		(long long)in->min, (long long)in->max);
}

/* Limits of creating: how many of `wish` may be asked for now. */

static int64_t breaker_left_ms(const struct cs_policy_input *in)
{
	if (in->journal->failed_creates_in_row < CS_POLICY_BREAKER_FAILURES)
		return 0;
	return cool_down_left_ms(&in->journal->last_up, CS_POLICY_BREAKER_MS, &in->now);
}

static int64_t creates_left(const struct cs_policy_input *in)
{
	int64_t used =
		max_of(in->journal->creates_last_hour, in->census.created_last_hour);

	return max_of(0, in->spec->creates_per_hour - used);
}

static int64_t deletes_left(const struct cs_policy_input *in)
{
	int64_t used = max_of(in->journal->deletes_last_hour, in->census.draining);

	return max_of(0, in->spec->deletes_per_hour - used);
}

static int64_t limit_creates(
	const struct cs_policy_input *in, int64_t wish, struct cs_decision *d)
{
	int64_t room = max_of(0, in->max - in->census.exists);
	int64_t budget = creates_left(in);

	if (wish > room) {
		say(d, "max %lld and %lld exist: room for %lld", (long long)in->max,
			(long long)in->census.exists, (long long)room);
		wish = room;
	}
	if (wish > budget) {
		say(d, "creates-per-hour %lld: %lld left",
			(long long)in->spec->creates_per_hour, (long long)budget);
		wish = budget;
	}
	if (wish > 0 && breaker_left_ms(in) > 0) {
		say(d,
			"%lld creates in a row failed: creates are held for %lld s, or "
			"until --resume",
			(long long)in->journal->failed_creates_in_row,
			SECONDS(breaker_left_ms(in)));
		wish = 0;
	} else if (wish > 1 &&
		   in->journal->failed_creates_in_row >= CS_POLICY_BREAKER_FAILURES) {
		say(d, "the last %lld creates failed: one is tried",
			(long long)in->journal->failed_creates_in_row);
		wish = 1;
	}
	return wish;
}

/* `wish` more: servers that are still draining come back before new ones are made. */
static void go_up(const struct cs_policy_input *in, int64_t wish, struct cs_decision *d)
{
	int64_t below_max = max_of(0, in->max - capacity_of(in));

	if (wish > below_max)
		say(d, "max %lld: %lld more at most", (long long)in->max,
			(long long)below_max);
	wish = min_of(wish, below_max);
	d->undrain = min_of(wish, in->census.draining);
	if (d->undrain > 0)
		say(d, "%lld of the draining servers come back", (long long)d->undrain);
	if (wish > d->undrain && in->finish_only)
		say(d, "only open work is finished: nothing is created");
	else if (wish > d->undrain)
		d->create = limit_creates(in, wish - d->undrain, d);
	if (d->undrain + d->create > 0)
		d->direction = CS_DIRECTION_UP;
	d->desired = capacity_of(in) + d->undrain + d->create;
}

/* The measurement: usable, and not used. */

static bool is_fresh(const struct cs_policy_input *in, struct cs_decision *d)
{
	const struct cs_measurement *m = in->measurement;

	d->unmeasured = true;
	if (!m) {
		say(d, "no measurement: hold");
		return false;
	}
	int64_t age_ms = cs_stamp_age_ms(&m->at, &in->now);
	if (age_ms < 0 || age_ms > in->spec->max_age_ms) {
		say(d, "the last measurement is %lld s old, max-age is %lld s: hold",
			SECONDS(age_ms), SECONDS(in->spec->max_age_ms));
		return false;
	}
	if (m->load_permille < 0 || m->servers < 1 || m->sampled < 1) {
		say(d, "%lld of %lld servers gave a figure, below the quorum: hold",
			(long long)m->sampled, (long long)m->servers);
		return false;
	}
	d->unmeasured = false;
	say(d, "load " PERCENT " on %lld of %lld servers, measured %lld s ago",
		PERCENT_OF(m->load_permille), (long long)m->sampled,
		(long long)m->servers, SECONDS(age_ms));
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
		say(d, "this measurement has justified an action already: hold");
		return false;
	}
	for (size_t i = 0; i < CS_ARRAY_SIZE(results); i++) {
		if (results[i]->wall_ms != 0 &&
			cs_stamp_age_ms(at, &in->now) >=
				cs_stamp_age_ms(results[i], &in->now)) {
			say(d, "measured before the last action had ended: hold");
			return false;
		}
	}
	return true;
}

/* Stricter of what the journal and Nova know about the last server that was added. */
static bool cools_down_from_up(const struct cs_policy_input *in, struct cs_decision *d)
{
	struct cs_stamp created = {.wall_ms = in->census.last_created_wall_ms};
	int64_t cool_down_ms = in->spec->cool_down_up_ms;
	int64_t left =
		max_of(cool_down_left_ms(&in->journal->last_up, cool_down_ms, &in->now),
			cool_down_left_ms(&created, cool_down_ms, &in->now));

	if (left > 0)
		say(d, "cool-down-up %lld s after the last scale-up: %lld s left: hold",
			SECONDS(cool_down_ms), SECONDS(left + CS_MS_PER_S - 1));
	return left > 0;
}

static bool cools_down_from_down(const struct cs_policy_input *in, struct cs_decision *d)
{
	int64_t cool_down_ms = in->spec->cool_down_down_ms;
	int64_t left = cool_down_left_ms(&in->journal->last_down, cool_down_ms, &in->now);

	if (left > 0)
		say(d,
			"cool-down-down %lld s after the last scale-down: %lld s left: "
			"hold",
			SECONDS(cool_down_ms), SECONDS(left + CS_MS_PER_S - 1));
	return left > 0;
}

static void wish_up(const struct cs_policy_input *in, struct cs_decision *d)
{
	const struct cs_measurement *m = in->measurement;
	int64_t capacity = max_of(1, capacity_of(in));
	int64_t bearing = min_of(m->servers, in->census.active);
	int64_t expected = m->load_permille * bearing / capacity;

	say(d, "at or above scale-up-at " PERCENT ": %lld more (step-up)",
		PERCENT_OF(in->spec->scale_up_at_permille), (long long)in->spec->step_up);
	if (expected < in->spec->scale_up_at_permille) {
		say(d, "what is under way brings it to " PERCENT ": hold",
			PERCENT_OF(expected));
		return;
	}
	if (cools_down_from_up(in, d))
		return;
	d->measurement_wall_ms = m->at.wall_ms;
	go_up(in, in->spec->step_up, d);
}

/* Where the remaining servers would stand, if those that gave no figure were full. */
static int64_t projected(const struct cs_measurement *m, int64_t remaining)
{
	int64_t silent = max_of(0, m->servers - m->sampled);
	int64_t demand = m->load_permille * (m->servers - silent) + 1000 * silent;

	return demand / remaining;
}

/* The largest removal up to `wish` that every rule allows. */
static int64_t limit_removal(
	const struct cs_policy_input *in, int64_t wish, struct cs_decision *d)
{
	int64_t capacity = capacity_of(in);
	int64_t limit = in->spec->scale_up_at_permille;

	if (wish > capacity - in->min) {
		say(d, "min %lld: %lld fewer at most", (long long)in->min,
			(long long)max_of(0, capacity - in->min));
		wish = max_of(0, capacity - in->min);
	}
	while (wish > 0 && projected(in->measurement, capacity - wish) >= limit) {
		say(d,
			"the remaining %lld would stand at " PERCENT
			", scale-up-at is " PERCENT ": not %lld fewer",
			(long long)(capacity - wish),
			PERCENT_OF(projected(in->measurement, capacity - wish)),
			PERCENT_OF(limit), (long long)wish);
		wish--;
	}
	if (wish > deletes_left(in)) {
		say(d, "deletes-per-hour %lld: %lld left",
			(long long)in->spec->deletes_per_hour,
			(long long)deletes_left(in));
		wish = deletes_left(in);
	}
	if (wish > in->census.deletable) {
		say(d,
			"%lld servers carry our mark and are not locked: no more is "
			"deleted",
			(long long)in->census.deletable);
		wish = in->census.deletable;
	}
	return wish;
}

static void go_down(const struct cs_policy_input *in, int64_t wish, struct cs_decision *d)
{
	if (in->census.open_work) {
		say(d, "work is open: no scale-down before it has ended");
		return;
	}
	if (cools_down_from_down(in, d) || cools_down_from_up(in, d))
		return;
	wish = limit_removal(in, wish, d);
	if (wish <= 0)
		return;
	d->measurement_wall_ms = in->measurement->at.wall_ms;
	d->direction = CS_DIRECTION_DOWN;
	d->remove = wish;
	d->desired = capacity_of(in) - wish;
}

static void follow_load(const struct cs_policy_input *in, struct cs_decision *d)
{
	const struct cs_policy_spec *spec = in->spec;
	int64_t load = in->measurement->load_permille;
	int64_t capacity = capacity_of(in);

	if (load >= spec->scale_up_at_permille) {
		wish_up(in, d);
	} else if (capacity > in->max) {
		say(d, "more than max %lld: fewer", (long long)in->max);
		go_down(in, min_of(spec->step_down, capacity - in->max), d);
	} else if (load > spec->scale_down_at_permille) {
		say(d,
			"between scale-down-at " PERCENT " and scale-up-at " PERCENT
			": hold",
			PERCENT_OF(spec->scale_down_at_permille),
			PERCENT_OF(spec->scale_up_at_permille));
	} else if (capacity <= in->min) {
		say(d, "at or below scale-down-at " PERCENT ", at the minimum: hold",
			PERCENT_OF(spec->scale_down_at_permille));
	} else {
		say(d, "at or below scale-down-at " PERCENT ": %lld fewer (step-down)",
			PERCENT_OF(spec->scale_down_at_permille),
			(long long)spec->step_down);
		go_down(in, spec->step_down, d);
	}
}

static void decide(const struct cs_policy_input *in, struct cs_decision *d)
{
	int64_t capacity = capacity_of(in);

	if (capacity < in->min && !in->force) {
		say(d, "fewer than min: %lld more", (long long)(in->min - capacity));
		go_up(in, in->min - capacity, d);
	} else if (in->finish_only) {
		say(d, "only open work is finished: hold");
	} else if (is_fresh(in, d) && is_unused(in, d)) {
		follow_load(in, d);
	}
}

void cs_policy_decide(const struct cs_policy_input *in, struct cs_decision *ret)
{
	struct cs_policy_input effective = *in;
	struct cs_decision d = {.desired = capacity_of(in)};

	say_census(in, &d);
	if (in->journal->paused) {
		say(&d, "paused: only open work is finished");
		effective.finish_only = true;
	}
	decide(&effective, &d);
	if (d.direction == CS_DIRECTION_HOLD)
		d.measurement_wall_ms = 0;
	*ret = d;
}

/* By hand. */

static int order_up(const struct cs_policy_input *in, int64_t n, struct cs_decision *d,
	struct cs_error *err)
{
	if (limit_creates(in, n, d) < n) {
		const char *why = d->reasons.items[d->reasons.n - 1];

		return cs_error_set(
			err, CS_E_REFUSED, "cannot create %lld: %s", (long long)n, why);
	}
	d->direction = CS_DIRECTION_UP;
	d->create = n;
	d->desired += n;
	return 0;
}

static int order_down(const struct cs_policy_input *in, const struct cs_order *order,
	struct cs_decision *d, struct cs_error *err)
{
	int64_t left = capacity_of(in) - order->lost;
	long long n = order->remove;

	if (order->lost > 0 && left < 1)
		return cs_error_set(err, CS_E_REFUSED,
			"cannot delete %lld: no server would be left", n);
	if (order->lost > 0 && left < in->min && !in->force)
		return cs_error_set(err, CS_E_REFUSED,
			"cannot delete %lld: %lld would be left and min is %lld "
			"(--force overrides this)",
			n, (long long)left, (long long)in->min);
	if (n > deletes_left(in))
		return cs_error_set(err, CS_E_REFUSED,
			"cannot delete %lld: deletes-per-hour %lld: %lld left", n,
			(long long)in->spec->deletes_per_hour,
			(long long)deletes_left(in));
	d->direction = CS_DIRECTION_DOWN;
	d->remove = n;
	d->desired = left;
	return 0;
}

int cs_policy_order(const struct cs_policy_input *in, const struct cs_order *order,
	struct cs_decision *ret, struct cs_error *err)
{
	struct cs_decision d = {.desired = capacity_of(in)};
	int rc = 0;

	say_census(in, &d);
	if (order->create > 0)
		rc = order_up(in, order->create, &d, err);
	else if (order->remove > 0)
		rc = order_down(in, order, &d, err);
	if (rc < 0) {
		cs_decision_done(&d);
		return rc;
	}
	say(&d, "ordered by hand");
	*ret = d;
	return 0;
}

void cs_decision_done(struct cs_decision *decision)
{
	cs_strings_done(&decision->reasons);
}

char *cs_decision_why(const struct cs_decision *decision)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(8192);

	for (size_t i = 1; i < decision->reasons.n; i++) {
		cs_strbuf_add(&text, i > 1 ? "; " : "");
		cs_strbuf_add(&text, decision->reasons.items[i]);
	}
	return cs_strdup(cs_strbuf_text(&text));
}

static const char *direction_text(enum cs_direction direction)
{
	return direction == CS_DIRECTION_UP	? "up"
	       : direction == CS_DIRECTION_DOWN ? "down"
						: "hold";
}

struct json_object *cs_decision_json(
	const struct cs_policy_input *in, const struct cs_decision *decision)
{
	struct json_object *object = json_object_new_object();
	struct json_object *reasons = json_object_new_array();
	const struct cs_measurement *m = in->measurement;

	cs_json_add_str(object, "direction", direction_text(decision->direction));
	cs_json_add_int(object, "desired", decision->desired);
	cs_json_add_int(object, "undrain", decision->undrain);
	cs_json_add_int(object, "create", decision->create);
	cs_json_add_int(object, "delete", decision->remove);
	cs_json_add_int(object, "active", in->census.active);
	cs_json_add_int(object, "building", in->census.building);
	cs_json_add_int(object, "draining", in->census.draining);
	cs_json_add_int(object, "exists", in->census.exists);
	cs_json_add_int(object, "min", in->min);
	cs_json_add_int(object, "max", in->max);
	if (m) {
		cs_json_add_int(object, "measured", m->at.wall_ms);
		cs_json_add_int(object, "load_permille", m->load_permille);
		cs_json_add_int(object, "servers", m->servers);
		cs_json_add_int(object, "sampled", m->sampled);
	}
	for (size_t i = 0; i < decision->reasons.n; i++)
		json_object_array_add(
			reasons, json_object_new_string(decision->reasons.items[i]));
	json_object_object_add(object, "reasons", reasons);
	return object;
}
