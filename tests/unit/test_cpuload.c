/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "domain/cpuload.h"

#define SPAN_MS 60000

/* Two samples a minute apart of a host with two CPUs that has been up for a day; the test
 * says which ticks passed in between. 12,000 make a full minute. */
struct pair {
	struct cs_cpu_sample before, after;
};

static struct pair make_pair(const uint32_t passed[CS_CPU_COUNTER_COUNT])
{
	struct pair pair = {
		.before = {.at = {.wall_ms = 1000000, .boot_ms = 5000, .boot_id = "b"},
			.cpus = 2,
			.uptime_cs = 8640000}};

	for (size_t i = 0; i < CS_CPU_COUNTER_COUNT; i++)
		pair.before.ticks[i] = i == CS_CPU_KERNEL ? 0 : 1000 * (uint32_t)(i + 1);
	pair.after = pair.before;
	pair.after.at.boot_ms += SPAN_MS;
	pair.after.uptime_cs += SPAN_MS / 10;
	for (size_t i = 0; i < CS_CPU_COUNTER_COUNT; i++)
		pair.after.ticks[i] += passed[i];
	return pair;
}
#define PAIR(...) make_pair((const uint32_t[CS_CPU_COUNTER_COUNT]){__VA_ARGS__})

static int64_t permille_of(const struct pair *pair)
{
	struct cs_cpu_load load;
	enum cs_cpu_verdict verdict =
		cs_cpu_load_between(&pair->before, &pair->after, &load);

	if (verdict != CS_CPU_LOAD)
		fail_msg("no load: %s", cs_cpu_verdict_text(verdict));
	return load.permille;
}

static enum cs_cpu_verdict verdict_of(const struct pair *pair)
{
	struct cs_cpu_load untouched = {.permille = 42};
	enum cs_cpu_verdict verdict =
		cs_cpu_load_between(&pair->before, &pair->after, &untouched);

	if (verdict != CS_CPU_LOAD)
		assert_int_equal(untouched.permille, 42);
	return verdict;
}

static void test_busy_is_all_but_idle_and_wait(void **state)
{
	struct pair pair =
		PAIR([CS_CPU_USER] = 3000, [CS_CPU_IDLE] = 7000, [CS_CPU_WAIT] = 2000);
	(void)state;
	assert_int_equal(permille_of(&pair), 250);

	/* Each of the others is busy, softirq and steal too. */
	static const enum cs_cpu_counter busy[] = {CS_CPU_USER, CS_CPU_NICE,
		CS_CPU_SYSTEM, CS_CPU_INTERRUPT, CS_CPU_SOFTIRQ, CS_CPU_STEAL};
	for (size_t i = 0; i < CS_ARRAY_SIZE(busy); i++) {
		uint32_t passed[CS_CPU_COUNTER_COUNT] = {[CS_CPU_IDLE] = 6000};
		passed[busy[i]] = 6000;
		pair = make_pair(passed);
		assert_int_equal(permille_of(&pair), 500);
	}
}

static void test_rounds_to_the_nearest_permille(void **state)
{
	struct pair pair = PAIR([CS_CPU_USER] = 8396, [CS_CPU_IDLE] = 3604);

	(void)state;
	assert_int_equal(permille_of(&pair), 700); /* 699.67 */
	pair = PAIR([CS_CPU_USER] = 8393, [CS_CPU_IDLE] = 3607);
	assert_int_equal(permille_of(&pair), 699); /* 699.42 */
	pair = PAIR([CS_CPU_IDLE] = 12000);
	assert_int_equal(permille_of(&pair), 0);
	pair = PAIR([CS_CPU_USER] = 12000);
	assert_int_equal(permille_of(&pair), 1000);
}

static void test_kernel_stands_for_system_where_it_counts(void **state)
{
	/* There system is kernel and more, so both would count twice. */
	struct pair pair = PAIR([CS_CPU_SYSTEM] = 5000, [CS_CPU_KERNEL] = 3000,
		[CS_CPU_IDLE] = 9000);

	(void)state;
	assert_int_equal(permille_of(&pair), 250);
}

static void test_counters_wrap(void **state)
{
	struct pair pair = PAIR([CS_CPU_USER] = 6000, [CS_CPU_IDLE] = 6000);

	(void)state;
	pair.before.ticks[CS_CPU_IDLE] = UINT32_MAX - 99;
	pair.after.ticks[CS_CPU_IDLE] = 5900;
	assert_int_equal(permille_of(&pair), 500);
}

static void test_a_step_backwards_is_nothing(void **state)
{
	struct pair pair = PAIR([CS_CPU_USER] = 6000, [CS_CPU_IDLE] = 6000);

	(void)state;
	pair.after.ticks[CS_CPU_WAIT] -= 3;
	assert_int_equal(permille_of(&pair), 500);
}

static void test_no_ticks_is_no_load(void **state)
{
	struct pair pair = PAIR(0);

	(void)state;
	assert_int_equal(verdict_of(&pair), CS_CPU_NO_TICKS);
}

static void test_zero_is_all_counters_zero(void **state)
{
	struct cs_cpu_sample sample = {.cpus = 2, .uptime_cs = 5};

	(void)state;
	assert_true(cs_cpu_sample_is_zero(&sample));
	sample.ticks[CS_CPU_STEAL] = 1;
	assert_false(cs_cpu_sample_is_zero(&sample));
}

static void test_uptime_tells_a_reboot(void **state)
{
	struct pair pair = PAIR([CS_CPU_USER] = 6000, [CS_CPU_IDLE] = 6000);

	(void)state;
	pair.after.uptime_cs = 3000;
	assert_int_equal(verdict_of(&pair), CS_CPU_REBOOTED);
	/* Also when the new life is older than the first one was. */
	pair.before.uptime_cs = 1000;
	assert_int_equal(verdict_of(&pair), CS_CPU_REBOOTED);
	/* Wrapping after 497 days is none. */
	pair.before.uptime_cs = UINT32_MAX - 2999;
	assert_int_equal(permille_of(&pair), 500);
	/* Nor is an agent that does not tell. */
	pair.before.uptime_cs = 0;
	assert_int_equal(permille_of(&pair), 500);
}

static void test_totals_must_fit_the_time(void **state)
{
	struct pair pair = PAIR([CS_CPU_USER] = 2000, [CS_CPU_IDLE] = 2000);

	(void)state;
	assert_int_equal(verdict_of(&pair), CS_CPU_IMPLAUSIBLE); /* 20 s of 60 */
	pair = PAIR([CS_CPU_USER] = 20000, [CS_CPU_IDLE] = 20000);
	assert_int_equal(verdict_of(&pair), CS_CPU_IMPLAUSIBLE);
	/* Two refreshes off, or a tick of 1/128 s, are fine. */
	pair = PAIR([CS_CPU_USER] = 5000, [CS_CPU_IDLE] = 5000);
	assert_int_equal(permille_of(&pair), 500);
	pair = PAIR([CS_CPU_USER] = 7680, [CS_CPU_IDLE] = 7680);
	assert_int_equal(permille_of(&pair), 500);
}

static void test_samples_must_be_in_order_and_not_years_apart(void **state)
{
	struct pair pair = PAIR([CS_CPU_USER] = 6000, [CS_CPU_IDLE] = 6000);

	(void)state;
	pair.after.cpus = 0;
	pair.before.uptime_cs = 0;
	pair.after.at.boot_ms = pair.before.at.boot_ms;
	assert_int_equal(verdict_of(&pair), CS_CPU_IMPLAUSIBLE);
	pair.after.at.boot_ms = INT64_MAX / 2;
	assert_int_equal(verdict_of(&pair), CS_CPU_IMPLAUSIBLE);
}

static void test_cpus_are_estimated_when_not_told(void **state)
{
	struct pair pair = PAIR([CS_CPU_USER] = 12100, [CS_CPU_IDLE] = 12000);
	struct cs_cpu_load load;

	(void)state;
	for (uint32_t told = 0; told < 2; told++) {
		pair.after.cpus = told ? UINT32_MAX : 0; /* not believed either */
		assert_int_equal(cs_cpu_load_between(&pair.before, &pair.after, &load),
			CS_CPU_LOAD);
		assert_int_equal(load.cpus, 4);
	}
}

static void test_a_reboot_without_uptime_is_no_load(void **state)
{
	struct pair pair = PAIR(0);

	(void)state;
	pair.before.uptime_cs = 0;
	for (size_t i = 0; i < CS_CPU_COUNTER_COUNT; i++) {
		pair.before.ticks[i] = 50000000;
		pair.after.ticks[i] = 500;
	}
	assert_int_not_equal(verdict_of(&pair), CS_CPU_LOAD);
}

static void test_added_cpus_are_no_reason_for_doubt(void **state)
{
	/* Two CPUs all the time but the end, and now there are eight; and the other way.
	 */
	struct pair pair = PAIR([CS_CPU_USER] = 6000, [CS_CPU_IDLE] = 6000);
	struct cs_cpu_load load;

	(void)state;
	pair.after.cpus = 16;
	assert_int_equal(
		cs_cpu_load_between(&pair.before, &pair.after, &load), CS_CPU_LOAD);
	assert_int_equal(load.permille, 500);
	assert_int_equal(load.cpus, 16);
	pair = PAIR([CS_CPU_USER] = 48000, [CS_CPU_IDLE] = 48000);
	pair.before.cpus = 16;
	assert_int_equal(permille_of(&pair), 500);
	/* A whole minute of sixteen CPUs was not among those. */
	pair.before.cpus = 2;
	assert_int_equal(verdict_of(&pair), CS_CPU_IMPLAUSIBLE);
}

static void test_rows_of_processors_are_a_mean(void **state)
{
	struct cs_stamp at = {.wall_ms = 5};
	struct cs_cpu_sample sample = cs_cpu_sample_of_rows(&at, 101, 3);
	struct cs_cpu_load load = cs_cpu_load_told(&sample);

	(void)state;
	assert_int_equal(load.permille, 337); /* 33.67 % */
	assert_int_equal(load.cpus, 3);
	assert_int_equal(load.source, CS_CPU_HOST_RESOURCES);
	assert_int_equal(load.span_ms, 60000);
	sample = cs_cpu_sample_of_rows(&at, 0, 4096);
	assert_int_equal(cs_cpu_load_told(&sample).permille, 0);
}

static void test_age_is_the_less_of_what_is_known(void **state)
{
	struct cs_cpu_sample sample = {.at = {.wall_ms = 1000000}, .uptime_cs = 3000};

	(void)state;
	assert_int_equal(cs_cpu_age_ms(&sample, -1), 30000);
	assert_int_equal(cs_cpu_age_ms(&sample, 0), 30000);
	assert_int_equal(cs_cpu_age_ms(&sample, 990000), 10000);
	assert_int_equal(cs_cpu_age_ms(&sample, 1), 30000);
	assert_int_equal(cs_cpu_age_ms(&sample, 1000500), 0);
	sample.uptime_cs = 0;
	assert_int_equal(cs_cpu_age_ms(&sample, 990000), 10000);
	assert_true(cs_cpu_age_ms(&sample, -1) == INT64_MAX);
}

static int64_t aggregate(
	enum cs_cpu_aggregate how, const struct cs_cpu_share *shares, size_t n)
{
	struct cs_cpu_share copy[20];

	memcpy(copy, shares, n * sizeof *shares);
	return cs_cpu_aggregate_of(how, copy, n);
}

static void test_aggregates_are_weighted_by_cpus(void **state)
{
	static const struct cs_cpu_share two[] = {{900, 1}, {100, 7}};
	static const struct cs_cpu_share odd[] = {{700, 2}, {100, 2}, {400, 2}};
	static const struct cs_cpu_share even[] = {
		{900, 2}, {100, 2}, {401, 2}, {200, 2}};
	struct cs_cpu_share twenty[20];

	(void)state;
	for (int how = 0; cs_cpu_aggregates[how]; how++) {
		assert_int_equal(aggregate((enum cs_cpu_aggregate)how, two, 0), -1);
		assert_int_equal(aggregate((enum cs_cpu_aggregate)how, two, 1), 900);
	}
	assert_int_equal(aggregate(CS_CPU_MEAN, two, 2), 200);
	assert_int_equal(aggregate(CS_CPU_MAX, two, 2), 900);
	assert_int_equal(aggregate(CS_CPU_MEDIAN, two, 2), 100);
	assert_int_equal(aggregate(CS_CPU_P90, two, 2), 900);
	assert_int_equal(aggregate(CS_CPU_MEDIAN, odd, 3), 400);
	assert_int_equal(aggregate(CS_CPU_MEDIAN, even, 4), 301); /* 300.5 */
	assert_int_equal(aggregate(CS_CPU_MEAN, even, 4), 400);	  /* 400.25 */
	for (int i = 0; i < 20; i++)
		twenty[i] = (struct cs_cpu_share){50 * (20 - i), 4};
	assert_int_equal(aggregate(CS_CPU_P90, twenty, 20), 900);
	assert_int_equal(aggregate(CS_CPU_P95, twenty, 20), 950);
	assert_int_equal(aggregate(CS_CPU_MAX, twenty, 20), 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_busy_is_all_but_idle_and_wait),
		cmocka_unit_test(test_rounds_to_the_nearest_permille),
		cmocka_unit_test(test_kernel_stands_for_system_where_it_counts),
		cmocka_unit_test(test_counters_wrap),
		cmocka_unit_test(test_a_step_backwards_is_nothing),
		cmocka_unit_test(test_no_ticks_is_no_load),
		cmocka_unit_test(test_zero_is_all_counters_zero),
		cmocka_unit_test(test_uptime_tells_a_reboot),
		cmocka_unit_test(test_totals_must_fit_the_time),
		cmocka_unit_test(test_samples_must_be_in_order_and_not_years_apart),
		cmocka_unit_test(test_cpus_are_estimated_when_not_told),
		cmocka_unit_test(test_a_reboot_without_uptime_is_no_load),
		cmocka_unit_test(test_added_cpus_are_no_reason_for_doubt),
		cmocka_unit_test(test_rows_of_processors_are_a_mean),
		cmocka_unit_test(test_age_is_the_less_of_what_is_known),
		cmocka_unit_test(test_aggregates_are_weighted_by_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
