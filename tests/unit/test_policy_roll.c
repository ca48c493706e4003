/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replacing servers of an older image, decision by decision: random clusters, with the
 * journal folded as the loop would have written it. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "domain/policy.h"

#define NOW_MS 1700000000000
#define CLUSTERS 20000

struct cluster {
	struct cs_policy_spec spec;
	struct cs_rolling_spec rolling;
	struct cs_journal journal;
	struct cs_measurement measurement;
	struct cs_policy_input in;
	int64_t fresh; /* servers of the new image */
};

static uint64_t seed, cluster_seed;

static int64_t dice(int64_t sides)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (int64_t)(seed % (uint64_t)sides);
}

/* `old` servers of an older image, as much load as servers bear and want no change. */
static void begin(struct cluster *c, int64_t old, int64_t min, int64_t max)
{
	*c = (struct cluster){.spec = {.follow = CS_FOLLOW_STEP,
				      .scale_up_at_permille = 950,
				      .scale_down_at_permille = 1,
				      .step_up = {.number = 1},
				      .step_down = {.number = 1},
				      .max_age_ms = 90000,
				      .creates_per_hour = 1000,
				      .deletes_per_hour = 1000},
		.rolling = {.present = true, .max_surge = 1},
		.measurement = {.at = {.wall_ms = NOW_MS},
			.load_permille = 20,
			.servers = old,
			.sampled = old}};
	c->in = (struct cs_policy_input){.spec = &c->spec,
		.min = min,
		.max = max,
		.census = {.active = old, .exists = old, .deletable = old, .old = old},
		.rolling = &c->rolling,
		.image_id = "new",
		.journal = &c->journal,
		.measurement = &c->measurement,
		.now = {.wall_ms = NOW_MS}};
}

static int64_t present(const struct cluster *c)
{
	return c->in.census.active;
}

/* Carried out, and so recorded. False: nothing was decided. */
static bool step(struct cluster *c)
{
	struct cs_census *census = &c->in.census;
	struct cs_decision d;

	cs_policy_decide(&c->in, &d);
	bool acts = d.create + d.remove > 0;
	if (acts) {
		c->journal.rolling_base = d.rolling_base;
		cs_strset(&c->journal.rolling_image, d.rolling_base ? "new" : NULL);
	}
	assert_true(d.create == 0 || d.remove == 0);
	assert_int_equal(d.measurement_wall_ms, 0);
	assert_true(d.remove <= census->old);
	census->active += d.create - d.remove;
	census->old -= d.remove;
	census->exists = census->deletable = census->active;
	c->fresh += d.create;
	cs_decision_done(&d);
	return acts;
}

static void done(struct cluster *c)
{
	cs_journal_done(&c->journal);
}

static void test_random_clusters_are_replaced_within_their_limits(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= CLUSTERS; i++) {
		struct cluster c;

		seed = cluster_seed = i * 0x9e3779b97f4a7c15;
		int64_t old = 1 + dice(12), min = 1 + dice(old);
		begin(&c, old, min, old + dice(4));
		c.rolling.max_surge = dice(5);
		c.rolling.max_unavailable = dice(5);
		bool possible =
			(c.rolling.max_surge > 0 && c.in.max > old) ||
			(c.rolling.max_unavailable > 0 && old > min &&
				old > 2); /* the proof wants one more than bear it */
		int steps = 0;

		while (step(&c)) {
			assert_true(++steps <= 4 * old + 4);
			assert_true(present(&c) <= c.in.max);
			assert_true(present(&c) >= c.in.min);
			assert_true(present(&c) <= old + c.rolling.max_surge);
			assert_true(present(&c) >= old - c.rolling.max_unavailable);
		}
		assert_int_equal(present(&c), old);
		assert_int_equal(c.fresh, possible ? old : 0);
		done(&c);
	}
}

/* Also after a failure, whose seed it is. */
static int say_seed(void **state)
{
	(void)state;
	print_message("# the last seed: %llu\n", (unsigned long long)cluster_seed);
	return 0;
}

static void test_what_was_held_to_ends_with_another_image(void **state)
{
	struct cluster c;

	(void)state;
	begin(&c, 4, 1, 9);
	c.journal.rolling_base = 3; /* of the image before: this surge stays */
	c.journal.rolling_image = cs_strdup("older");
	assert_true(step(&c));
	assert_int_equal(present(&c), 5);
	assert_int_equal(c.journal.rolling_base, 4);
	done(&c);
}

static void test_what_is_missing_is_made_though_nothing_is_old_any_more(void **state)
{
	struct cluster c;

	(void)state;
	begin(&c, 3, 1, 9);
	c.in.census.old = 0;
	assert_false(step(&c));
	c.journal.rolling_base = 4;
	c.journal.rolling_image = cs_strdup("new");
	assert_true(step(&c));
	assert_int_equal(present(&c), 4);
	assert_false(step(&c));
	done(&c);
}

static void test_after_a_failed_create_no_old_server_leaves(void **state)
{
	struct cluster c;

	(void)state;
	begin(&c, 4, 1, 4);
	c.rolling.max_unavailable = 2;
	c.journal.places = &(struct cs_journal_place){
		.zone = (char *)"", .flavor = (char *)"", .failed_in_row = 1};
	c.journal.n_places = 1;
	assert_false(step(&c));
	c.journal.n_places = 0;
	c.journal.places = NULL;
	assert_true(step(&c));
	assert_int_equal(present(&c), 2);
	done(&c);
}

static void test_nothing_is_replaced_without_a_fresh_measurement(void **state)
{
	struct cluster c;

	(void)state;
	begin(&c, 4, 1, 9);
	c.measurement.at.wall_ms -= 91000;
	assert_false(step(&c));
	c.measurement.at.wall_ms += 91000;
	c.in.census.open_work = true;
	assert_false(step(&c));
	c.in.census.open_work = false;
	c.in.finish_only = true;
	assert_false(step(&c));
	c.in.finish_only = false;
	c.in.image_id = NULL;
	c.in.census.old = 0;
	assert_false(step(&c));
	done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(
			test_random_clusters_are_replaced_within_their_limits, say_seed),
		cmocka_unit_test(test_what_was_held_to_ends_with_another_image),
		cmocka_unit_test(
			test_what_is_missing_is_made_though_nothing_is_old_any_more),
		cmocka_unit_test(test_after_a_failed_create_no_old_server_leaves),
		cmocka_unit_test(test_nothing_is_replaced_without_a_fresh_measurement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
