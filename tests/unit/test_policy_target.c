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

#define MINUTE_MS 60000
#define NOW_MS (1700000000000 - 1700000000000 % MINUTE_MS)
#define MINUTES 60 /* of history, one measurement each */

/* An hour of measurements of four servers, that each case changes in one or two places.
 */
struct situation {
	struct cs_policy_spec spec;
	struct cs_journal journal;
	struct cs_measurement seen[MINUTES]; /* the last one is of now */
	struct cs_policy_input in;
};

static void measure(struct cs_measurement *m, int64_t demand, int64_t servers)
{
	int64_t load = servers ? demand / servers : 0;

	m->load_permille = load < 1000 ? load : 1000;
	m->servers = m->sampled = servers;
	m->missing = 0;
}

static void steady(struct situation *s, int64_t servers, int64_t demand)
{
	*s = (struct situation){
		.spec = {.follow = CS_FOLLOW_TARGET,
			.target_permille = 700,
			.headroom_permille = 500,
			.window_ms = 15 * MINUTE_MS,
			.grow_by_permille = 1000,
			.shrink_by_permille = 250,
			.scale_up_at_permille = 900,
			.scale_down_at_permille = 100,
			.step_up = {.number = 1},
			.step_down = {.number = 1},
			.cool_down_up_ms = 60000,
			.max_age_ms = 90000,
			.creates_per_hour = 100,
			.deletes_per_hour = 100,
			.timezone = (char *)"UTC"},
		.in = {.min = 1,
			.max = 50,
			.census = {.active = servers,
				.exists = servers,
				.deletable = servers},
			.boot_ms = 4 * MINUTE_MS,
			.now = {.wall_ms = NOW_MS}},
	};
	for (int64_t i = 0; i < MINUTES; i++) {
		s->seen[i].at.wall_ms = NOW_MS - (MINUTES - 1 - i) * MINUTE_MS;
		measure(&s->seen[i], demand, servers);
	}
	s->in.spec = &s->spec;
	s->in.journal = &s->journal;
	s->in.history = s->seen;
	s->in.n_history = MINUTES - 1;
	s->in.measurement = &s->seen[MINUTES - 1];
}

/* The demand `ago` minutes before now, in permille of a server. */
static void demand_at(struct situation *s, int ago, int64_t demand)
{
	struct cs_measurement *m = &s->seen[MINUTES - 1 - ago];

	measure(m, demand, m->servers);
}

/* The desired number, and that `reason` is among the reasons (NULL: any). */
static void expect(struct situation *s, int64_t desired, const char *reason)
{
	struct cs_decision d, quick;

	cs_policy_decide(&s->in, &d);
	CS_AUTO_FREE char *why = cs_decision_why(&d);
	if (d.desired != desired || (reason && !strstr(why, reason)))
		fail_msg("%lld servers, not %lld with '%s': %s", (long long)d.desired,
			(long long)desired, reason ? reason : "", why);
	s->in.wordless = true;
	cs_policy_decide(&s->in, &quick);
	s->in.wordless = false;
	assert_int_equal(quick.desired, d.desired);
	assert_int_equal(quick.direction, d.direction);
	assert_int_equal(quick.n_limiters, d.n_limiters);
	assert_int_equal(quick.reasons.n, 0);
	cs_decision_done(&d);
}

static void test_demand_over_target(void **state)
{
	struct situation s;

	(void)state;
	steady(&s, 4, 2800);
	expect(&s, 4, "demand of 2.8 busy servers at target 70.0 %: 4 servers");
	steady(&s, 4, 2804);
	expect(&s, 5, "5 servers");
	steady(&s, 4, 3800);
	expect(&s, 6, NULL);
	steady(&s, 4, 2800);
	s.spec.spare = 2;
	expect(&s, 6, "spare 2 (4 -> 6 servers)");
}

/* Of another figure than the mean, the mean is known as well. */
static void test_fewer_rests_on_the_mean_at_least(void **state)
{
	struct situation s;

	(void)state;
	/* A median of 20 % with a mean of 65 %: what is to be done is 6.5 servers. */
	steady(&s, 10, 2000);
	expect(&s, 8, NULL);
	for (size_t i = 0; i < MINUTES; i++)
		s.seen[i].above_mean_permille = -450;
	expect(&s, 10, NULL);
	/* Above the mean it is the figure that counts. */
	steady(&s, 10, 6000);
	for (size_t i = 0; i < MINUTES; i++)
		s.seen[i].above_mean_permille = 400;
	expect(&s, 10, NULL);
}

static void test_one_full_server_is_no_saturation(void **state)
{
	struct situation s;

	(void)state;
	steady(&s, 10, 2000);
	demand_at(&s, 0, 10000);
	expect(&s, 20, "saturated");
	s.seen[MINUTES - 1].above_mean_permille = 800;
	s.spec.headroom_permille = 0;
	expect(&s, 15, "demand of 10.0 busy servers");
}

static void test_what_is_under_way_counts(void **state)
{
	struct situation s;

	(void)state;
	steady(&s, 4, 3800);
	s.in.census.building = 1;
	s.in.census.exists = 5;
	s.in.census.open_work = true;
	expect(&s, 6, NULL);
	s.in.census.building = 2;
	s.in.census.exists = 6;
	expect(&s, 6, "6 are as many as wanted: hold");
}

static void test_full_servers_hide_the_demand(void **state)
{
	struct situation s;

	(void)state;
	steady(&s, 4, 4000);
	expect(&s, 8, "grow-by 100.0 % at a time (9 -> 8 servers)");
	expect(&s, 8, "saturated: more is wanted than can be seen");
	s.in.census.building = 5;
	s.in.census.exists = 9;
	expect(&s, 9, "hold"); /* not again before these are full */
}

static void test_headroom_for_the_largest_rise(void **state)
{
	struct situation s;

	(void)state;
	steady(&s, 6, 2700);
	demand_at(&s, 10, 1200); /* it is seen from for four minutes more */
	expect(&s, 5,
		"headroom 50.0 % of the rise by 1.5 within 240 s, 360 s ago "
		"(4 -> 5 servers)");
	steady(&s, 4, 2700);
	expect(&s, 4, NULL);
	demand_at(&s, 23, 1200);
	expect(&s, 5, "1140 s ago");
	steady(&s, 4, 2700);
	demand_at(&s, 24, 1200); /* too long ago */
	expect(&s, 4, NULL);
	demand_at(&s, 10, 1200);
	s.spec.headroom_permille = 0;
	expect(&s, 4, NULL);
}

static void test_fewer_only_after_the_window(void **state)
{
	struct situation s;

	(void)state;
	steady(&s, 8, 1600); /* bare 3; and one less of 4 bears it */
	expect(&s, 6, "shrink-by 25.0 % at a time (4 -> 6 servers)");
	for (int ago = 14; ago < 19; ago++)
		demand_at(&s, ago, 4900); /* 8 wanted then */
	expect(&s, 8, "the highest wish of the last 900 s, 840 s ago");
	demand_at(&s, 14, 1600);
	expect(&s, 6, "headroom 50.0 % of the rise by 3.2"); /* is remembered */
}

static void test_what_was_asked_for_anew_is_kept(void **state)
{
	struct situation s;

	(void)state;
	steady(&s, 8, 1600);
	s.spec.headroom_permille = 0;
	s.spec.keep_ms = 30 * MINUTE_MS;
	for (int ago = 25; ago < MINUTES; ago++)
		demand_at(&s, ago, 4000); /* it has only fallen since */
	expect(&s, 6, NULL);
	demand_at(&s, 20, 4000); /* and came back once, to 6 */
	s.spec.shrink_by_permille = 1000;
	expect(&s, 6,
		"keep 1800 s: more were asked for within that time (3 -> 6 servers)");
	demand_at(&s, 20, 1600);
	expect(&s, 4, NULL);
	demand_at(&s, 31, 1600); /* a rise, too long ago */
	expect(&s, 4, NULL);
	demand_at(&s, 27,
		4800); /* from 6 to 7 on a level that has fallen: not of interest */
	expect(&s, 4, NULL);
	for (int ago = 15; ago < 18; ago++)
		demand_at(&s, ago, 4000); /* to 6, from where it had risen to 7 */
	expect(&s, 7, NULL);
	s.seen[MINUTES - 1 - 20].sampled = 4; /* a silent server is no rise */
	s.seen[MINUTES - 1 - 27].load_permille = -1;
	expect(&s, 6, NULL);
}

static void test_fewer_only_with_proof(void **state)
{
	struct situation s;

	(void)state;
	/* 2.0 busy: 3 servers are enough, but 2 of them would be full. */
	steady(&s, 4, 2000);
	expect(&s, 4,
		"with one server less the highest demand of the window, 2.0, would "
		"still be below the target (3 -> 4 servers)");
	steady(&s, 5, 2000);
	expect(&s, 4, NULL);
}

static void test_silent_servers_may_be_full(void **state)
{
	struct situation s;

	(void)state;
	steady(&s, 6, 1800);
	expect(&s, 5, NULL);
	s.seen[MINUTES - 5].sampled = 4; /* within the window */
	expect(&s, 6, "the highest wish");
	steady(&s, 6, 1800);
	s.seen[MINUTES - 1 - 30].sampled = 4; /* not any more */
	expect(&s, 5, NULL);
	steady(&s, 6, 1800);
	s.seen[MINUTES - 3].load_permille = -1; /* below quorum: nobody knows */
	expect(&s, 6, NULL);
	steady(&s, 4, 3400); /* up goes by those that answered */
	s.seen[MINUTES - 1].sampled = 2;
	expect(&s, 5, NULL);
}

static void test_nothing_goes_while_the_window_is_not_known(void **state)
{
	struct situation s;

	(void)state;
	steady(&s, 8, 1400);
	s.in.history += MINUTES - 10;
	s.in.n_history = 9;
	expect(&s, 8, "window 900 s, of which 540 s are known: no scale-down");
	steady(&s, 8, 1400);
	for (int i = 0; i < 6; i++) /* a hole of six minutes */
		s.seen[MINUTES - 10 + i] = s.seen[MINUTES - 11];
	expect(&s, 8, "no scale-down");
	steady(&s, 4, 3400); /* more needs no past */
	s.in.n_history = 0;
	expect(&s, 5, NULL);
}

static void test_both_policies(void **state)
{
	struct situation s;

	(void)state;
	steady(&s, 4, 3800); /* 95 %: step wants 5, target 6 */
	s.spec.follow = CS_FOLLOW_BOTH;
	expect(&s, 6, NULL);
	steady(&s, 8, 1400); /* 17.5 %: target wants fewer, step does not */
	s.spec.follow = CS_FOLLOW_BOTH;
	expect(&s, 8, "between scale-down-at");
	steady(&s, 8, 640); /* 8 %: both do; step the less */
	s.spec.follow = CS_FOLLOW_BOTH;
	expect(&s, 7, "step-down");
}

static void test_schedule_moves_min_and_max(void **state)
{
	struct cs_schedule_entry entries[2] = {
		{.during = (char *)"day", .min = 6, .max = 50},
		{.during = (char *)"night", .min = 1, .max = 3}};
	struct situation s;

	(void)state;
	/* Now is 22:13 UTC. */
	steady(&s, 4, 2800);
	s.spec.schedule = entries;
	s.spec.n_schedule = 1;
	assert_true(cs_cron_parse("* 22 * * *", &entries[0].cron));
	expect(&s, 6, "schedule 'day': min is 6 (1 -> 6 servers)");
	assert_true(cs_cron_parse("17-30 22 * * *", &entries[0].cron));
	expect(&s, 6, NULL); /* a boot time ahead */
	assert_true(cs_cron_parse("18-30 22 * * *", &entries[0].cron));
	expect(&s, 4, NULL);
	s.spec.timezone = (char *)"Asia/Tokyo"; /* 07:13 */
	assert_true(cs_cron_parse("* 7 * * *", &entries[0].cron));
	expect(&s, 6, NULL);
	s.spec.n_schedule = 2;
	s.spec.timezone = (char *)"UTC";
	assert_true(cs_cron_parse("* 1 * * *", &entries[0].cron));
	assert_true(cs_cron_parse("* 22 * * *", &entries[1].cron));
	steady(&s, 4, 1300);
	s.spec.schedule = entries;
	s.spec.n_schedule = 2;
	expect(&s, 3, "more than max 3: fewer");
}

static void test_limiters_are_in_the_json(void **state)
{
	struct situation s;
	struct cs_decision d;
	int64_t before, after;

	(void)state;
	steady(&s, 4, 4000);
	s.in.max = 6;
	s.spec.spare = 1;
	cs_policy_decide(&s.in, &d);
	CS_AUTO_JSON struct json_object *json = cs_decision_json(&s.in, &d, SIZE_MAX);
	struct json_object *limiters = cs_json_arr(json, "limiters");
	static const struct {
		const char *name;
		int64_t before, after;
	} wanted[] = {{"spare", 9, 10}, {"grow-by", 10, 8}, {"max", 8, 6}};
	assert_int_equal(json_object_array_length(limiters), CS_ARRAY_SIZE(wanted));
	for (size_t i = 0; i < CS_ARRAY_SIZE(wanted); i++) {
		struct json_object *limiter = json_object_array_get_idx(limiters, i);

		assert_string_equal(cs_json_str(limiter, "name"), wanted[i].name);
		assert_true(cs_json_int(limiter, "before", &before) &&
			    cs_json_int(limiter, "after", &after));
		assert_int_equal(before, wanted[i].before);
		assert_int_equal(after, wanted[i].after);
	}
	assert_true(cs_json_int(json, "wanted", &after) && after == 10);
	cs_decision_done(&d);
}

/* What must hold whatever the load was. */

static uint64_t seed;

static int64_t any(int64_t min, int64_t max)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return min + (int64_t)((seed >> 33) % (uint64_t)(max - min + 1));
}

static void random_situation(struct situation *s)
{
	int64_t demand = any(0, 20000);

	steady(s, any(1, 30), demand);
	s->in.min = any(1, 5);
	s->in.max = s->in.min + any(0, 30);
	s->spec.follow = any(0, 3) ? CS_FOLLOW_TARGET : CS_FOLLOW_BOTH;
	s->spec.target_permille = any(300, 900);
	s->spec.headroom_permille = any(0, 1500);
	s->spec.spare = any(0, 2);
	s->spec.window_ms = any(0, 40) * MINUTE_MS;
	s->spec.keep_ms = any(0, 40) * MINUTE_MS;
	s->spec.grow_by_permille = any(10, 2000);
	s->spec.shrink_by_permille = any(10, 1000);
	s->in.boot_ms = any(0, 12) * MINUTE_MS;
	s->in.census.building = any(0, 3);
	s->in.census.draining = any(0, 3);
	s->in.census.exists = s->in.census.active + s->in.census.building +
			      s->in.census.draining + any(0, 2);
	s->in.census.open_work = any(0, 2) == 0;
	s->journal.creates_last_hour = any(0, 110);
	s->journal.deletes_last_hour = any(0, 110);
	for (int i = 0; i < MINUTES; i++) {
		struct cs_measurement *m = &s->seen[i];

		demand = demand + any(-1000, 1000) > 0 ? demand + any(-300, 300) : 0;
		measure(m, demand > 0 ? demand : 0, any(1, 30));
		m->sampled = any(0, 5) ? m->servers : any(0, m->servers);
		if (any(0, 19) == 0)
			m->load_permille = -1;
	}
	s->in.n_history = (size_t)any(0, MINUTES - 1);
	s->in.history = s->seen + MINUTES - 1 - s->in.n_history;
}

static void check_invariants(const struct situation *s, const struct cs_decision *d)
{
	const struct cs_census *census = &s->in.census;
	int64_t capacity = census->active + census->building;

	assert_true(d->create >= 0 && d->undrain >= 0 && d->remove >= 0);
	assert_true(d->remove == 0 || d->create + d->undrain == 0);
	assert_true(d->create == 0 || census->exists + d->create <= s->in.max);
	assert_true(d->remove == 0 || capacity - d->remove >= s->in.min);
	assert_true(d->remove == 0 ||
		    d->remove + s->journal.deletes_last_hour <= s->spec.deletes_per_hour);
	assert_true(d->remove <= 1 ||
		    d->remove * 1000 <= capacity * s->spec.shrink_by_permille);
	assert_true(!census->open_work || d->remove == 0);
	/* The limiters are the story of the number. */
	for (size_t i = 0; i < d->n_limiters; i++)
		assert_int_not_equal(d->limiters[i].before, d->limiters[i].after);
}

static void check_monotone(const struct situation *s)
{
	int64_t last = INT64_MIN;

	for (int64_t load = 0; load <= 1000; load += 25) {
		struct situation at = *s;
		struct cs_decision d;

		at.in.spec = &at.spec;
		at.in.journal = &at.journal;
		at.in.history = at.seen + (s->in.history - s->seen);
		at.in.measurement = &at.seen[MINUTES - 1];
		at.seen[MINUTES - 1].load_permille = load;
		cs_policy_decide(&at.in, &d);
		if (d.desired < last) {
			CS_AUTO_FREE char *why = cs_decision_why(&d);

			fail_msg("%lld after %lld: %s", (long long)d.desired,
				(long long)last, why);
		}
		last = d.desired;
		cs_decision_done(&d);
	}
}

static void take_seed(void)
{
	const char *given = getenv("CS_SEED");

	seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	print_message("CS_SEED=%llu\n", (unsigned long long)seed);
}

static void test_what_holds_for_any_input(void **state)
{
	(void)state;
	take_seed();
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

/* A cluster that the function scales: minute by minute a measurement, what was created is
 * ready a boot time later. */
struct cluster {
	struct situation s;
	int64_t ready, building[16]; /* by the minutes left */
};

static int tick(struct cluster *cluster, int64_t demand)
{
	struct situation *s = &cluster->s;
	struct cs_census *census = &s->in.census;
	struct cs_decision d;
	int boot = (int)(s->in.boot_ms / MINUTE_MS);

	cluster->ready += cluster->building[0];
	memmove(cluster->building, cluster->building + 1, 15 * sizeof(int64_t));
	memmove(s->seen, s->seen + 1, (MINUTES - 1) * sizeof *s->seen);
	s->in.now.wall_ms += MINUTE_MS;
	s->seen[MINUTES - 1].at.wall_ms = s->in.now.wall_ms;
	measure(&s->seen[MINUTES - 1], demand, cluster->ready);
	*census = (struct cs_census){.active = cluster->ready};
	for (int i = 0; i < boot; i++)
		census->building += cluster->building[i];
	census->exists = census->active + census->building;
	census->deletable = census->active;
	census->open_work = census->building > 0;
	cs_policy_decide(&s->in, &d);
	cluster->building[boot - 1] += d.create;
	cluster->ready -= d.remove;
	int direction = d.create > 0 ? 1 : d.remove > 0 ? -1 : 0;
	cs_decision_done(&d);
	return direction;
}

static void test_no_up_after_a_down_at_constant_load(void **state)
{
	(void)state;
	take_seed();
	for (int run = 0; run < 3000; run++) {
		struct cluster cluster = {.ready = any(2, 20)};
		int64_t demand = any(0, 14000), down = -1000;

		steady(&cluster.s, cluster.ready, demand);
		cluster.s.spec.headroom_permille = any(0, 1000);
		cluster.s.spec.spare = any(0, 1);
		cluster.s.spec.keep_ms = any(0, 30) * MINUTE_MS;
		cluster.s.in.boot_ms = any(1, 10) * MINUTE_MS;
		for (int i = any(0, 60); i > 0; i--) {
			demand += any(-demand / 3, 500);
			tick(&cluster, demand);
		}
		for (int i = 0; i < 80; i++) {
			int direction = tick(&cluster, demand);

			if (direction < 0)
				down = i;
			if (direction > 0 &&
				(i - down) * MINUTE_MS <= cluster.s.spec.window_ms)
				fail_msg("run %d: up %d minutes after down", run,
					(int)(i - down));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_demand_over_target),
		cmocka_unit_test(test_fewer_rests_on_the_mean_at_least),
		cmocka_unit_test(test_one_full_server_is_no_saturation),
		cmocka_unit_test(test_what_is_under_way_counts),
		cmocka_unit_test(test_full_servers_hide_the_demand),
		cmocka_unit_test(test_headroom_for_the_largest_rise),
		cmocka_unit_test(test_fewer_only_after_the_window),
		cmocka_unit_test(test_what_was_asked_for_anew_is_kept),
		cmocka_unit_test(test_fewer_only_with_proof),
		cmocka_unit_test(test_silent_servers_may_be_full),
		cmocka_unit_test(test_nothing_goes_while_the_window_is_not_known),
		cmocka_unit_test(test_both_policies),
		cmocka_unit_test(test_schedule_moves_min_and_max),
		cmocka_unit_test(test_limiters_are_in_the_json),
		cmocka_unit_test(test_what_holds_for_any_input),
		cmocka_unit_test(test_no_up_after_a_down_at_constant_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
