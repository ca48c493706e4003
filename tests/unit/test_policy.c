/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "domain/policy.h"
#include "format/json.h"

#define NOW_MS 1700000000000
#define AGO(seconds) ((struct cs_stamp){.wall_ms = NOW_MS - (seconds)*1000LL})

/* A cluster in which nothing is wrong, that each case changes in one or two places. */
struct situation {
	struct cs_policy_spec spec;
	struct cs_journal journal;
	struct cs_measurement measurement;
	struct cs_journal_place places[2]; /* of the journal, when it has any */
	struct cs_policy_input in;
};

/* Copied, it points to itself again. */
static void point(struct situation *s)
{
	s->in.spec = &s->spec;
	s->in.journal = &s->journal;
	s->in.measurement = &s->measurement;
	s->journal.places = s->places;
}

static void calm(struct situation *s)
{
	*s = (struct situation){
		.spec = {.scale_up_at_permille = 700,
			.scale_down_at_permille = 100,
			.step_up = {.number = 1},
			.step_down = {.number = 1},
			.cool_down_up_ms = 60000,
			.cool_down_down_ms = 300000,
			.max_age_ms = 90000,
			.creates_per_hour = 20,
			.deletes_per_hour = 20},
		.measurement = {.at = AGO(5),
			.load_permille = 400,
			.servers = 4,
			.sampled = 4},
		.in = {.min = 2,
			.max = 10,
			.census = {.active = 4, .exists = 4, .deletable = 4},
			.now = AGO(0)},
	};
	point(s);
}

static void creates_failed(
	struct situation *s, const char *zone, int64_t n, int64_t seconds_ago)
{
	struct cs_journal_place *place = &s->places[*zone == 'b'];

	*place = (struct cs_journal_place){.zone = (char *)zone,
		.flavor = (char *)"",
		.failed_in_row = n,
		.last_failed = AGO(seconds_ago)};
	s->journal.n_places = *zone == 'b' ? 2 : 1;
}

/* The same change is applied to every one of a kind of case. */
typedef void change(struct situation *s);

struct expectation {
	const char *name;
	change *change;
	int64_t load_permille;
	int64_t undrain, create, remove;
	const char *reason; /* part of the last sentence */
};

static void as_it_is(struct situation *s)
{
	(void)s;
}

static void check(const struct expectation *e)
{
	struct situation s;
	struct cs_decision d;

	calm(&s);
	s.measurement.load_permille = e->load_permille;
	e->change(&s);
	cs_policy_decide(&s.in, &d);
	const char *last = d.reasons.items[d.reasons.n - 1];
	if (d.undrain != e->undrain || d.create != e->create || d.remove != e->remove ||
		(e->reason && !strstr(last, e->reason))) {
		CS_AUTO_FREE char *why = cs_decision_why(&d);

		print_message("%s: undrain %lld, create %lld, remove %lld: %s\n", e->name,
			(long long)d.undrain, (long long)d.create, (long long)d.remove,
			why);
		fail();
	}
	bool acts = d.undrain + d.create + d.remove > 0;
	int64_t capacity = s.in.census.active + s.in.census.building;
	assert_int_equal(d.direction != CS_DIRECTION_HOLD, acts);
	assert_true(acts || d.measurement_wall_ms == 0);
	assert_int_equal(d.desired, capacity + d.undrain + d.create - d.remove);
	cs_decision_done(&d);
}

#define CHECK_ALL(cases)                                          \
	do {                                                      \
		for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) \
			check(&(cases)[i]);                       \
	} while (0)

/* Nova calls the fourth one ACTIVE, the check has counted it; it bears nothing yet. */
static void one_unpublished(struct situation *s)
{
	s->in.census.active = 3;
	s->in.census.building = 1;
	s->measurement.servers = 4;
	s->measurement.sampled = 3;
}

static void one_of_four_silent(struct situation *s)
{
	s->measurement.sampled = 3;
}

static void one_silent_of_many(struct situation *s)
{
	s->in.max = 20;
	s->in.census.active = s->in.census.exists = s->in.census.deletable = 20;
	s->measurement.servers = 20;
	s->measurement.sampled = 19;
}

static void test_thresholds(void **state)
{
	static const struct expectation cases[] = {
		{"idle", as_it_is, 0, 0, 0, 1, "step-down"},
		{"at scale-down-at", as_it_is, 100, 0, 0, 1, "step-down"},
		{"above it", as_it_is, 101, 0, 0, 0, "between scale-down-at 10.0 %"},
		{"below scale-up-at", as_it_is, 699, 0, 0, 0, "between"},
		{"at scale-up-at", as_it_is, 700, 0, 1, 0, "step-up"},
		{"full", as_it_is, 1000, 0, 1, 0, "step-up"},
		{"the silent one may be full", one_of_four_silent, 0, 0, 0, 0,
			"but at 25.0 % if those without a figure were full"},
		{"it may not be idle either", one_of_four_silent, 700, 0, 1, 0,
			"step-up"},
		{"fuller than that it cannot be", one_silent_of_many, 50, 0, 0, 1,
			"step-down"},
		{"help is under way", one_unpublished, 900, 0, 0, 0,
			"brings it to 67.5 %"},
		{"and not enough", one_unpublished, 960, 0, 1, 0, "step-up"},
	};

	(void)state;
	CHECK_ALL(cases);
}

static void steps_of_three(struct situation *s)
{
	s->spec.step_up.number = s->spec.step_down.number = 3;
}

static void room_for_two(struct situation *s)
{
	steps_of_three(s);
	s->in.max = 6;
}

static void at_max(struct situation *s)
{
	s->in.max = 4;
}

static void over_max(struct situation *s)
{
	s->in.max = 3;
}

static void leftovers_fill_max(struct situation *s)
{
	s->in.census.exists = 10; /* ERROR, DELETING, unproved: all of them count */
}

static void leftovers_exceed_max(struct situation *s)
{
	s->in.census.exists = 12;
}

static void at_min(struct situation *s)
{
	s->in.min = 4;
}

static void below_min(struct situation *s)
{
	s->in.min = 6;
}

static void below_min_unmeasured(struct situation *s)
{
	below_min(s);
	s->in.measurement = NULL;
}

static void below_min_cooling(struct situation *s)
{
	below_min(s);
	s->journal.last_up = s->journal.last_down = AGO(1);
	s->in.census.open_work = true;
}

static void below_min_underway(struct situation *s)
{
	below_min(s);
	s->in.census.building = 2;
	s->in.census.exists = 6;
	s->measurement.at = AGO(1000);
}

static void below_min_paused(struct situation *s)
{
	below_min(s);
	s->journal.paused = true;
}

static void below_min_draining(struct situation *s)
{
	below_min(s);
	s->in.census.draining = 1;
	s->in.census.exists = 5;
}

static void below_min_draining_paused(struct situation *s)
{
	below_min_draining(s);
	s->journal.paused = true;
}

static void below_min_draining_full(struct situation *s)
{
	below_min_draining(s);
	s->in.max = 6;
	s->in.census.exists = 6;
}

static void test_size_limits(void **state)
{
	static const struct expectation cases[] = {
		{"steps up", steps_of_three, 800, 0, 3, 0, "(step-up)"},
		{"step cut by max", room_for_two, 800, 0, 2, 0, "2 more at most"},
		{"at max", at_max, 999, 0, 0, 0, "0 more at most"},
		{"over max is shrunk", over_max, 400, 0, 0, 1, "more than max 3"},
		{"over max, but busy", over_max, 700, 0, 0, 0, "0 more at most"},
		{"leftovers count for max", leftovers_fill_max, 999, 0, 0, 0,
			"room for 0"},
		{"more than max exist", leftovers_exceed_max, 999, 0, 0, 0, "room for 0"},
		{"step cut by min", steps_of_three, 50, 0, 0, 2, "2 fewer at most"},
		{"at min", at_min, 0, 0, 0, 0, "at the minimum"},
		{"below min", below_min, 0, 0, 2, 0, "2 more"},
		{"below min, no measurement", below_min_unmeasured, 0, 0, 2, 0, "2 more"},
		{"below min, cooling down", below_min_cooling, 0, 0, 2, 0, "2 more"},
		{"below min, but under way", below_min_underway, 0, 0, 0, 0, "old"},
		{"below min, paused", below_min_paused, 0, 0, 0, 0, "only open work"},
		{"a drain comes back first", below_min_draining, 0, 1, 1, 0, NULL},
		{"also when paused", below_min_draining_paused, 0, 1, 0, 0, NULL},
		{"also when no room is left", below_min_draining_full, 0, 1, 0, 0,
			"room for 0"},
	};

	(void)state;
	CHECK_ALL(cases);
}

static void no_measurement(struct situation *s)
{
	s->in.measurement = NULL;
}

static void stale(struct situation *s)
{
	s->measurement.at = AGO(91);
}

static void just_fresh(struct situation *s)
{
	s->measurement.at = AGO(90);
}

static void from_the_future(struct situation *s)
{
	s->measurement.at = AGO(-1);
}

static void below_quorum(struct situation *s)
{
	s->measurement.load_permille = -1;
	s->measurement.sampled = 1;
}

static void used(struct situation *s)
{
	s->journal.used_measurement_wall_ms = s->measurement.at.wall_ms;
}

static void older_used(struct situation *s)
{
	s->journal.used_measurement_wall_ms = s->measurement.at.wall_ms - 1;
}

static void newer_used(struct situation *s)
{
	s->journal.used_measurement_wall_ms = s->measurement.at.wall_ms + 1;
}

static void used_before_the_clock_was_set_back(struct situation *s)
{
	s->journal.used_measurement_wall_ms = NOW_MS + 1;
}

static void before_last_up(struct situation *s)
{
	s->spec.cool_down_up_ms = 0;
	s->journal.last_up = AGO(5);
}

static void before_last_down(struct situation *s)
{
	s->journal.last_down = AGO(4);
}

static void after_last_down(struct situation *s)
{
	s->journal.last_down = AGO(6);
}

static void finish_only(struct situation *s)
{
	s->in.finish_only = true;
}

static void paused(struct situation *s)
{
	s->journal.paused = true;
}

static void test_measurements(void **state)
{
	static const struct expectation cases[] = {
		{"none", no_measurement, 0, 0, 0, 0, "no measurement"},
		{"stale", stale, 999, 0, 0, 0, "91 s old, max-age is 90 s"},
		{"just fresh", just_fresh, 999, 0, 1, 0, NULL},
		{"future", from_the_future, 999, 0, 0, 0, "max-age"},
		{"quorum", below_quorum, -1, 0, 0, 0, "1 of 4 servers gave a figure"},
		{"used", used, 999, 0, 0, 0, "has justified an action already"},
		{"older one used", older_used, 999, 0, 1, 0, NULL},
		{"newer one used", newer_used, 999, 0, 0, 0,
			"has justified an action already"},
		{"clock set back", used_before_the_clock_was_set_back, 999, 0, 1, 0,
			NULL},
		{"before the last up", before_last_up, 999, 0, 0, 0, "had ended"},
		{"before the last down", before_last_down, 999, 0, 0, 0, "had ended"},
		{"after the last down", after_last_down, 999, 0, 1, 0, NULL},
		{"finish only", finish_only, 999, 0, 0, 0, "only open work"},
		{"paused", paused, 999, 0, 0, 0, "only open work"},
	};

	(void)state;
	CHECK_ALL(cases);
}

static void test_only_a_missing_measurement_is_a_refusal(void **state)
{
	static change *const missing[] = {no_measurement, stale, below_quorum};
	static change *const present[] = {
		as_it_is, used, finish_only, below_min_unmeasured};
	struct situation s;
	struct cs_decision d;

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(missing); i++) {
		calm(&s);
		missing[i](&s);
		cs_policy_decide(&s.in, &d);
		assert_true(d.unmeasured);
		cs_decision_done(&d);
	}
	for (size_t i = 0; i < CS_ARRAY_SIZE(present); i++) {
		calm(&s);
		present[i](&s);
		cs_policy_decide(&s.in, &d);
		assert_false(d.unmeasured);
		cs_decision_done(&d);
	}
}

static void last_up_59(struct situation *s)
{
	s->journal.last_up = AGO(59);
}

static void last_up_60(struct situation *s)
{
	s->journal.last_up = AGO(60);
}

static void last_up_later(struct situation *s)
{
	s->journal.last_up = AGO(-3600);
}

static void created_59(struct situation *s)
{
	s->in.census.last_created_wall_ms = NOW_MS - 59000;
}

static void created_later(struct situation *s)
{
	s->in.census.last_created_wall_ms = NOW_MS + 3600000;
}

static void last_down_299(struct situation *s)
{
	s->journal.last_down = AGO(299);
}

static void last_down_300(struct situation *s)
{
	s->journal.last_down = AGO(300);
}

static void test_cool_downs(void **state)
{
	static const struct expectation cases[] = {
		{"up too early", last_up_59, 999, 0, 0, 0, "1 s left"},
		{"up in time", last_up_60, 999, 0, 1, 0, NULL},
		{"the future is now", last_up_later, 999, 0, 0, 0, NULL},
		{"Nova knows better", created_59, 999, 0, 0, 0, "cool-down-up"},
		{"Nova's clock is ahead", created_later, 999, 0, 0, 0, ": 60 s left"},
		{"up right after a down", last_down_299, 999, 0, 1, 0, NULL},
		{"down too early", last_down_299, 0, 0, 0, 0, "cool-down-down 300 s"},
		{"down in time", last_down_300, 0, 0, 0, 1, NULL},
		{"down waits for cool-down-up", last_up_59, 0, 0, 0, 0, "cool-down-up"},
		{"down waits for Nova's too", created_59, 0, 0, 0, 0, "cool-down-up"},
	};

	(void)state;
	CHECK_ALL(cases);
}

static void one_building(struct situation *s)
{
	s->in.census.building = 1;
	s->in.census.exists = 5;
	s->in.census.open_work = true;
}

static void one_draining(struct situation *s)
{
	s->in.census.draining = 1;
	s->in.census.exists = 5;
	s->in.census.open_work = true;
}

static void draining_and_big_steps(struct situation *s)
{
	one_draining(s);
	steps_of_three(s);
}

static void open_work(struct situation *s)
{
	s->in.census.open_work = true;
}

static void test_work_under_way(void **state)
{
	static const struct expectation cases[] = {
		{"enough is coming", one_building, 850, 0, 0, 0, "brings it to 68.0 %"},
		{"not enough is coming", one_building, 900, 0, 1, 0, NULL},
		{"a drain comes back", one_draining, 800, 1, 0, 0, "come back"},
		{"and new ones", draining_and_big_steps, 800, 1, 2, 0, NULL},
		{"no down with open work", open_work, 0, 0, 0, 0, "work is open"},
		{"no down while draining", one_draining, 0, 0, 0, 0, "work is open"},
		{"up with open work", open_work, 800, 0, 1, 0, NULL},
	};

	(void)state;
	CHECK_ALL(cases);
}

static void narrow(struct situation *s)
{
	s->spec.scale_down_at_permille = 600;
	s->in.min = 1;
}

static void narrow_steps(struct situation *s)
{
	narrow(s);
	steps_of_three(s);
}

static void two_in_service(struct situation *s)
{
	narrow(s);
	s->in.census.active = s->in.census.exists = 2;
}

static void one_silent(struct situation *s)
{
	narrow(s);
	s->measurement.sampled = 3;
	s->measurement.missing = 1;
}

static void measured_on_more(struct situation *s)
{
	narrow(s);
	s->measurement.servers = s->measurement.sampled = 6;
}

static void test_remaining_servers_must_bear_the_load(void **state)
{
	static const struct expectation cases[] = {
		/* 4 servers at 34.9 %: 3 less one more would stand at 69.8 % */
		{"they just do", narrow, 349, 0, 0, 1, NULL},
		{"they would not", narrow, 350, 0, 0, 0,
			"without one more, 2, would stand at 70.0 %"},
		{"fewer go", narrow_steps, 174, 0, 0, 2, "not 3 fewer"},
		{"one alone is not enough", two_in_service, 0, 0, 0, 0,
			"no server would remain without one more"},
		{"the silent one counts as full", one_silent, 133, 0, 0, 1, NULL},
		{"then it is too much", one_silent, 134, 0, 0, 0, "70.1 %"},
		{"load of servers that are gone", measured_on_more, 234, 0, 0, 0,
			"70.2 %"},
		{"beyond max no spare one is kept", over_max, 524, 0, 0, 1, "max 3"},
		{"but the load is borne", over_max, 525, 0, 0, 0,
			"the remaining, 3, would stand at 70.0 %"},
	};

	(void)state;
	CHECK_ALL(cases);
}

static void nineteen_created(struct situation *s)
{
	steps_of_three(s);
	s->journal.creates_last_hour = 19;
}

static void nova_saw_twenty(struct situation *s)
{
	s->in.census.created_last_hour = 20;
}

static void deletes_used_up(struct situation *s)
{
	s->journal.deletes_last_hour = 20;
}

static void run_used_up(struct situation *s)
{
	steps_of_three(s);
	s->spec.creates_per_run = s->spec.deletes_per_run = 5;
	s->in.run = (struct cs_run_use){.creates = 3, .deletes = 4, .capacity = 4};
	s->in.min = 1;
}

static void day_used_up(struct situation *s)
{
	steps_of_three(s);
	s->spec.creates_per_day = s->spec.deletes_per_day = 100;
	s->journal.creates_last_day = s->journal.deletes_last_day = 99;
	s->in.min = 1;
}

static void nova_saw_a_day(struct situation *s)
{
	day_used_up(s);
	s->in.census.created_last_day = 100;
}

static void half_per_run(struct situation *s)
{
	s->spec.step_down = (struct cs_amount){5, 0};
	s->in.census.active = s->in.census.exists = s->in.census.deletable = 6;
	s->spec.shrink_per_run_permille = 500;
	s->in.min = 1;
}

static void some_went(struct situation *s)
{
	half_per_run(s);
	s->in.run = (struct cs_run_use){.deletes = 2, .removed = 2, .capacity = 5};
}

static void half_went(struct situation *s)
{
	some_went(s);
	s->in.run.removed = 3;
}

static void half_went_forced(struct situation *s)
{
	half_went(s);
	s->in.force = true;
}

static void one_serves(struct situation *s)
{
	s->in.min = 1;
	s->in.census.active = 1;
	s->in.census.building = 1;
}

static void use_zones(struct situation *s)
{
	static char *zones[] = {(char *)"a", (char *)"b", NULL};
	static const struct cs_server_spec servers = {
		.flavor = (char *)"", .availability_zones = {.items = zones, .n = 2}};

	s->in.servers = &servers;
}

static void one_zone_failed(struct situation *s)
{
	use_zones(s);
	creates_failed(s, "a", 3, 61);
}

static void both_zones_failed(struct situation *s)
{
	use_zones(s);
	creates_failed(s, "a", 3, 61);
	creates_failed(s, "b", 4, 161);
}

static void both_zones_failed_one_long_ago(struct situation *s)
{
	steps_of_three(s);
	both_zones_failed(s);
	creates_failed(s, "b", 4, 901);
}

static void two_failed(struct situation *s)
{
	creates_failed(s, "", 2, 61);
}

static void three_failed(struct situation *s)
{
	creates_failed(s, "", 3, 61);
}

static void three_failed_long_ago(struct situation *s)
{
	steps_of_three(s);
	creates_failed(s, "", 3, 900);
}

static void one_deletable(struct situation *s)
{
	s->in.min = 1;
	steps_of_three(s);
	s->in.census.deletable = 1;
}

static void none_deletable(struct situation *s)
{
	s->in.census.deletable = 0;
}

static void test_budgets_and_holds(void **state)
{
	static const struct expectation cases[] = {
		{"budget cuts", nineteen_created, 800, 0, 1, 0, "1 left"},
		{"Nova's count is stricter", nova_saw_twenty, 800, 0, 0, 0, "0 left"},
		{"deletes", deletes_used_up, 0, 0, 0, 0, "deletes-per-hour 20: 0 left"},
		{"up in this run", run_used_up, 800, 0, 2, 0,
			"creates-per-run 5: 2 left"},
		{"down in this run", run_used_up, 0, 0, 0, 1, "deletes-per-run 5: 1"},
		{"up today", day_used_up, 800, 0, 1, 0, "creates-per-day 100: 1 left"},
		{"Nova knows of more", nova_saw_a_day, 800, 0, 0, 0, "per-day 100: 0"},
		{"down today", day_used_up, 0, 0, 0, 1, "deletes-per-day 100: 1 left"},
		{"half at once", half_per_run, 0, 0, 0, 3, "50.0 %: 3 of 6 servers"},
		{"half, rounded up, in all", some_went, 0, 0, 0, 1,
			"3 of 5 servers, 2 went already"},
		{"no more", half_went, 0, 0, 0, 0, "shrink-per-run"},
		{"two failures", two_failed, 800, 0, 1, 0, NULL},
		{"three failures", three_failed, 800, 0, 0, 0, "held for 839 s"},
		{"in one zone of two", one_zone_failed, 800, 0, 1, 0, "step-up"},
		{"in both", both_zones_failed, 800, 0, 0, 0,
			"in every zone: creates are held for 739 s"},
		{"then one is tried there", both_zones_failed_one_long_ago, 800, 0, 1, 0,
			"the last 3 creates failed in every zone: one is tried"},
		{"then one is tried", three_failed_long_ago, 800, 0, 1, 0,
			"one is tried"},
		{"unmarked and locked stay", one_deletable, 0, 0, 0, 1,
			"1 servers carry"},
		{"all of them", none_deletable, 0, 0, 0, 0, "0 servers carry"},
	};

	(void)state;
	CHECK_ALL(cases);
}

/* By hand. */

static void forced(struct situation *s)
{
	s->in.force = true;
}

static void forced_below_min(struct situation *s)
{
	below_min_draining(s);
	s->in.force = s->in.finish_only = true;
}

static void test_forced_drain_is_not_taken_back(void **state)
{
	static const struct expectation cases[] = {
		{"forced", forced_below_min, 0, 0, 0, 0, "only open work"}};

	(void)state;
	CHECK_ALL(cases);
}

static void test_orders(void **state)
{
	static const struct {
		const char *name;
		change *change;
		struct cs_order order;
		int64_t create, remove;
		const char *refusal; /* NULL: allowed */
	} cases[] = {
		{"create", as_it_is, {.create = 3}, 3, 0, NULL},
		{"unmeasured, cooling", below_min_cooling, {.create = 1}, 1, 0, NULL},
		{"create beyond max", as_it_is, {.create = 7}, 0, 0,
			"max 10 and 4 exist: room for 6"},
		{"force does not lift max", forced, {.create = 7}, 0, 0, "max 10"},
		{"budget", nineteen_created, {.create = 2}, 0, 0, "creates-per-hour 20"},
		{"breaker", three_failed, {.create = 1}, 0, 0, "until --resume"},
		{"delete", as_it_is, {.remove = 2, .lost = 2}, 0, 2, NULL},
		{"below min", as_it_is, {.remove = 3, .lost = 3}, 0, 0, "--force"},
		{"forced", forced, {.remove = 3, .lost = 3}, 0, 3, NULL},
		{"all of them", forced, {.remove = 4, .lost = 4}, 0, 0,
			"no server would be left"},
		{"broken ones", at_min, {.remove = 2, .lost = 0}, 0, 2, NULL},
		{"half went", half_went, {.remove = 1, .lost = 1}, 0, 0,
			"3 went already (5 -> 6 servers) (--force overrides this)"},
		{"forced once more", half_went_forced, {.remove = 1, .lost = 1}, 0, 1,
			NULL},
		{"broken ones are no share", half_went, {.remove = 1}, 0, 1, NULL},
		{"run used up", run_used_up, {.remove = 2, .lost = 2}, 0, 0,
			"deletes-per-run 5: 1 left"},
		{"deletes used up", deletes_used_up, {.remove = 1, .lost = 1}, 0, 0,
			"deletes-per-hour 20"},
		{"the only one in service", one_serves,
			{.remove = 1, .lost = 1, .serving = 1}, 0, 0,
			"none would be in service until one that is under way is"},
		{"the one that is coming", one_serves, {.remove = 1, .lost = 1}, 0, 1,
			NULL},
		{"nothing", as_it_is, {0}, 0, 0, NULL},
	};
	struct situation s;
	struct cs_decision d;
	struct cs_error err;

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) {
		calm(&s);
		cases[i].change(&s);
		int rc = cs_policy_order(&s.in, &cases[i].order, &d, &err);
		if (cases[i].refusal) {
			assert_int_equal(rc, CS_E_REFUSED);
			if (!strstr(err.message, cases[i].refusal))
				fail_msg("%s: %s", cases[i].name, err.message);
			continue;
		}
		if (rc < 0)
			fail_msg("%s: %s", cases[i].name, err.message);
		assert_int_equal(d.create, cases[i].create);
		assert_int_equal(d.remove, cases[i].remove);
		cs_decision_done(&d);
	}
}

static void test_json_says_the_same_as_the_words(void **state)
{
	struct situation s;
	struct cs_decision d;
	int64_t number;

	(void)state;
	calm(&s);
	s.measurement.load_permille = 800;
	cs_policy_decide(&s.in, &d);
	CS_AUTO_JSON struct json_object *json = cs_decision_json(&s.in, &d, SIZE_MAX);
	assert_string_equal(cs_json_str(json, "direction"), "up");
	assert_true(cs_json_int(json, "create", &number) && number == 1);
	assert_true(cs_json_int(json, "desired", &number) && number == 5);
	assert_true(cs_json_int(json, "load_permille", &number) && number == 800);
	assert_int_equal(
		json_object_array_length(cs_json_arr(json, "reasons")), d.reasons.n);
	CS_AUTO_FREE char *why = cs_decision_why(&d);
	assert_string_equal(why, "load 80.0 % on 4 of 4 servers, measured 5 s ago; "
				 "at or above scale-up-at 70.0 %: 1 more (step-up)");
	assert_int_equal(d.measurement_wall_ms, s.measurement.at.wall_ms);
	cs_decision_done(&d);
}

/* Up is rounded up, down is rounded down, and one is the least. */
static void test_steps_in_per_cent(void **state)
{
	static const struct {
		int64_t active, permille, up, down;
	} cases[] = {{4, 200, 1, 1}, {10, 200, 2, 2}, {11, 200, 3, 2}, {14, 200, 3, 2},
		{15, 200, 3, 3}, {3, 10, 1, 1}, {6, 500, 3, 3}};
	struct situation s;
	struct cs_decision d;

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) {
		calm(&s);
		s.in.max = 100;
		s.in.min = 1;
		s.in.census.active = s.in.census.exists = s.in.census.deletable =
			s.measurement.servers = s.measurement.sampled = cases[i].active;
		s.spec.step_up = s.spec.step_down =
			(struct cs_amount){.permille = cases[i].permille};
		s.measurement.load_permille = 800;
		cs_policy_decide(&s.in, &d);
		assert_int_equal(d.create, cases[i].up);
		cs_decision_done(&d);
		s.measurement.load_permille = 10;
		cs_policy_decide(&s.in, &d);
		assert_int_equal(d.remove, cases[i].down);
		cs_decision_done(&d);
	}
}

static void test_what_puts_it_off_is_a_limiter(void **state)
{
	struct situation s;
	struct cs_decision d;

	(void)state;
	calm(&s);
	s.measurement.load_permille = 800;
	last_up_59(&s);
	cs_policy_decide(&s.in, &d);
	assert_int_equal(d.wanted, 5);
	assert_int_equal(d.desired, 4);
	assert_int_equal(d.n_limiters, 1);
	assert_string_equal(d.limiters[0].name, "cool-down-up");
	assert_int_equal(d.limiters[0].before, 5);
	assert_int_equal(d.limiters[0].after, 4);
	cs_decision_done(&d);

	calm(&s);
	s.measurement.load_permille = 50;
	s.in.census.open_work = true;
	cs_policy_decide(&s.in, &d);
	assert_int_equal(d.n_limiters, 1);
	assert_string_equal(d.limiters[0].name, "open-work");
	assert_int_equal(d.limiters[0].before, 3);
	assert_int_equal(d.limiters[0].after, 4);
	cs_decision_done(&d);
}

/* What must hold for any input at all. */

static uint64_t seed;

static int64_t any(int64_t min, int64_t max)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return min + (int64_t)((seed >> 33) % (uint64_t)(max - min + 1));
}

static void random_situation(struct situation *s)
{
	struct cs_census *census = &s->in.census;

	calm(s);
	s->in.min = any(1, 5);
	s->in.max = s->in.min + any(0, 8);
	census->active = any(0, 12);
	census->building = any(0, 3);
	census->draining = any(0, 3);
	census->exists = census->active + census->building + census->draining + any(0, 2);
	census->deletable = any(0, census->active);
	census->open_work = any(0, 1);
	census->created_last_hour = any(0, 25);
	census->last_created_wall_ms = any(0, 1) ? NOW_MS - any(-10, 200) * 1000 : 0;
	s->spec.step_up.number = any(1, 4);
	s->spec.step_down.number = any(1, 4);
	s->spec.scale_down_at_permille = any(0, 500);
	s->spec.scale_up_at_permille = any(501, 1000);
	s->measurement.load_permille = any(-1, 1000);
	s->measurement.servers = any(0, 12);
	s->measurement.sampled = any(0, s->measurement.servers);
	s->measurement.at = AGO(any(-5, 120));
	s->journal.last_up = any(0, 1) ? AGO(any(-10, 200)) : (struct cs_stamp){0};
	s->journal.last_down = any(0, 1) ? AGO(any(-10, 600)) : (struct cs_stamp){0};
	s->journal.creates_last_hour = any(0, 25);
	s->journal.deletes_last_hour = any(0, 25);
	creates_failed(s, "", any(0, 4), any(0, 1000));
	s->journal.paused = any(0, 9) == 0;
	s->in.finish_only = any(0, 9) == 0;
	if (any(0, 9) == 0)
		s->in.measurement = NULL;
}

static void check_invariants(const struct situation *s, const struct cs_decision *d)
{
	const struct cs_census *census = &s->in.census;
	int64_t capacity = census->active + census->building;
	bool unknown = !s->in.measurement || s->measurement.load_permille < 0 ||
		       s->measurement.at.wall_ms > NOW_MS ||
		       s->measurement.at.wall_ms < NOW_MS - s->spec.max_age_ms;

	assert_true(d->create >= 0 && d->undrain >= 0 && d->remove >= 0);
	assert_true(d->remove == 0 || d->create + d->undrain == 0);
	/* never above max, whatever exists; never below min */
	assert_true(d->create == 0 || census->exists + d->create <= s->in.max);
	assert_true(d->undrain == 0 || capacity + d->undrain <= s->in.max);
	assert_true(d->remove == 0 || capacity - d->remove >= s->in.min);
	/* budgets */
	assert_true(d->create == 0 ||
		    d->create + s->journal.creates_last_hour <= s->spec.creates_per_hour);
	assert_true(d->remove == 0 ||
		    d->remove + s->journal.deletes_last_hour <= s->spec.deletes_per_hour);
	assert_true(d->remove <= census->deletable);
	assert_true(d->undrain <= census->draining);
	/* unknown is not a reason, except for reaching min */
	assert_true(!unknown || d->remove == 0);
	assert_true(!unknown || d->create + d->undrain == 0 || capacity < s->in.min);
	assert_true(!census->open_work || d->remove == 0);
	assert_true(!(s->journal.paused || s->in.finish_only) ||
		    (d->create == 0 && d->remove == 0));
	assert_true(d->direction == CS_DIRECTION_HOLD || capacity < s->in.min ||
		    d->measurement_wall_ms == s->measurement.at.wall_ms);
}

/* More load never means fewer servers. */
static void check_monotone(const struct situation *s)
{
	int64_t last = INT64_MIN;

	for (int64_t load = 0; load <= 1000; load += 50) {
		struct situation at = *s;
		struct cs_decision d;

		at.measurement.load_permille = load;
		point(&at);
		if (!s->in.measurement)
			at.in.measurement = NULL;
		cs_policy_decide(&at.in, &d);
		assert_true(d.desired >= last);
		last = d.desired;
		cs_decision_done(&d);
	}
}

static void test_what_holds_for_any_input(void **state)
{
	const char *given = getenv("CS_SEED");

	(void)state;
	seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	print_message("CS_SEED=%llu\n", (unsigned long long)seed);
	for (int i = 0; i < 20000; i++) {
		struct situation s;
		struct cs_decision d;

		random_situation(&s);
		cs_policy_decide(&s.in, &d);
		check_invariants(&s, &d);
		cs_decision_done(&d);
		if (i % 20 == 0)
			check_monotone(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thresholds),
		cmocka_unit_test(test_size_limits),
		cmocka_unit_test(test_measurements),
		cmocka_unit_test(test_only_a_missing_measurement_is_a_refusal),
		cmocka_unit_test(test_cool_downs),
		cmocka_unit_test(test_work_under_way),
		cmocka_unit_test(test_remaining_servers_must_bear_the_load),
		cmocka_unit_test(test_budgets_and_holds),
		cmocka_unit_test(test_forced_drain_is_not_taken_back),
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_json_says_the_same_as_the_words),
		cmocka_unit_test(test_steps_in_per_cent),
		cmocka_unit_test(test_what_puts_it_off_is_a_limiter),
		cmocka_unit_test(test_what_holds_for_any_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
