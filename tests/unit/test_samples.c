/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "domain/samples.h"

#define BOOT "8d74f24e-74e9-4048-9f0a-d626b04d4937"
#define OTHER_BOOT "00000000-74e9-4048-9f0a-d626b04d4937"
static const struct cs_sample_spans spans = {10000, 180000};

static struct cs_cpu_sample sample_at(int64_t second)
{
	struct cs_cpu_sample sample = {.at = {.wall_ms = 1700000000000 + second * 1000,
					       .boot_ms = 1000000 + second * 1000,
					       .boot_id = BOOT},
		.cpus = 2,
		.uptime_cs = (uint32_t)(second + 1000) * 100};

	for (size_t i = 0; i < CS_CPU_COUNTER_COUNT; i++)
		sample.ticks[i] = (uint32_t)second;
	return sample;
}

static void add_line(struct cs_strbuf *file, const struct cs_baseline *baseline)
{
	char line[CS_SAMPLES_LINE_SIZE];

	cs_strbuf_add_bytes(file, line, cs_baseline_render(baseline, line));
}

/* One run at `second` of a plugin that lives for milliseconds: the state goes through its
 * text. Returns the second of the baseline, or -1. */
static int64_t run_at(struct cs_strbuf *file, int64_t second)
{
	CS_CLEANUP(cs_samples_done) struct cs_samples samples = {0};
	struct cs_cpu_sample now = sample_at(second), base;
	struct cs_baseline baseline = {.id = (char *)"web1", .newer = now};

	cs_samples_parse(cs_strbuf_text(file), &samples);
	const struct cs_baseline *known = cs_samples_find(&samples, "web1");
	if (known)
		baseline = *known;
	bool found = known && cs_baseline_advance(&baseline, &now, spans, &base);
	cs_strbuf_clear(file);
	add_line(file, &baseline);
	return found ? (int64_t)base.ticks[0] : -1;
}

#define SCHEDULE(...)                                                                \
	do {                                                                         \
		static const int64_t runs[][2] = {__VA_ARGS__};                      \
		CS_CLEANUP(cs_strbuf_done) struct cs_strbuf file = CS_STRBUF(65536); \
		for (size_t i = 0; i < CS_ARRAY_SIZE(runs); i++)                     \
			assert_int_equal(run_at(&file, runs[i][0]), runs[i][1]);     \
	} while (0)

static void test_each_run_measures_since_the_last(void **state)
{
	(void)state;
	SCHEDULE({0, -1}, {60, 0}, {120, 60}, {180, 120});
}

static void test_a_run_in_between_moves_nothing(void **state)
{
	(void)state;
	SCHEDULE({0, -1}, {60, 0}, {61, 0}, {65, 0}, {120, 60}, {122, 60}, {180, 120});
}

static void test_spans_have_both_borders_inside(void **state)
{
	(void)state;
	SCHEDULE({0, -1}, {10, 0}, {190, 10});
	SCHEDULE({0, -1}, {181, -1}, {191, 181});
}

static void test_runs_closer_than_min_still_come_to_measure(void **state)
{
	(void)state;
	SCHEDULE({0, -1}, {5, -1}, {10, 0}, {15, 0}, {20, 10}, {25, 10}, {30, 20});
}

static void test_too_old_is_no_baseline(void **state)
{
	(void)state;
	/* At 185 the newer is young and the older too old. */
	SCHEDULE({0, -1}, {178, 0}, {185, -1}, {188, 178});
	SCHEDULE({0, -1}, {60, 0}, {1000, -1}, {1005, -1}, {1010, 1000});
}

static void test_a_run_at_the_same_time_disturbs_nothing(void **state)
{
	(void)state;
	/* The second one took its sample first and came to the file last. */
	SCHEDULE({0, -1}, {60, 0}, {59, 0}, {120, 60});
}

static void test_a_sample_from_the_future_is_replaced(void **state)
{
	(void)state;
	SCHEDULE({1000, -1}, {60, -1}, {70, 60});
}

static void test_another_boot_counts_by_the_wall(void **state)
{
	struct cs_cpu_sample second = sample_at(60), base;
	struct cs_baseline baseline = {.id = (char *)"a", .newer = sample_at(0)};

	(void)state;
	memcpy(baseline.newer.at.boot_id, OTHER_BOOT, CS_BOOT_ID_SIZE);
	baseline.newer.at.boot_ms = 99999999;
	assert_true(cs_baseline_advance(&baseline, &second, spans, &base));
}

static void test_unreadable_lines_are_dropped(void **state)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf file = CS_STRBUF(65536);
	CS_CLEANUP(cs_samples_done) struct cs_samples samples = {0};
	const char *good = "web1 1700000000000 1000000 " BOOT " 5 2 1 2 3 4 5 6 7 8 9";

	(void)state;
	cs_strbuf_addf(&file, "garbage\n\n%s\n", good);
	cs_strbuf_addf(&file, "web2%s 7\n", strchr(good, ' ')); /* a field too many */
	cs_strbuf_addf(&file, "web3%s\n", strrchr(good, ' '));	/* far too few */
	cs_strbuf_addf(&file, " %s\n", good);			/* no id */
	cs_strbuf_add(&file, "web4 1 1 no-boot-id 5 2 1 2 3 4 5 6 7 8 9\n");
	cs_strbuf_add(&file, "web5 1 1 - 5 2 1 2 3 4 5 6 7 8 4294967296\n");
	cs_strbuf_add(&file, "web6 -1 1 - 5 2 1 2 3 4 5 6 7 8 9\n");
	cs_strbuf_addf(&file, "web7%s", strchr(good, ' ')); /* torn: no end */
	cs_samples_parse(cs_strbuf_text(&file), &samples);
	assert_int_equal(samples.n, 1);
	assert_string_equal(samples.items[0].id, "web1");
	assert_int_equal(samples.items[0].newer.ticks[CS_CPU_STEAL], 9);
	assert_false(samples.items[0].has_older);
}

static void test_loads_that_were_told_stand_for_themselves(void **state)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf file = CS_STRBUF(65536);
	CS_CLEANUP(cs_samples_done) struct cs_samples samples = {0}, again = {0};
	const char *line = "win1 host-resources 1700000000000 1000000 " BOOT " 4 337\n";
	struct cs_cpu_sample now = sample_at(60), base;
	struct cs_cpu_load load;

	(void)state;
	cs_strbuf_add(&file, line);
	cs_strbuf_add(&file, "win2 host-resources 1 1 - 0 337\n"); /* no CPU */
	cs_strbuf_add(&file, "win3 host-resources 1 1 - 4 1001\n");
	cs_strbuf_add(&file, "win4 host-resources 1 1 - 4\n");
	cs_strbuf_add(&file, "win5 ucd 1 1 - 4 337\n");
	cs_samples_parse(cs_strbuf_text(&file), &samples);
	assert_int_equal(samples.n, 1);
	const struct cs_baseline *found = cs_samples_find(&samples, "win1");
	struct cs_baseline changed = *found;
	cs_strbuf_clear(&file);
	add_line(&file, found);
	assert_string_equal(cs_strbuf_text(&file), line);
	assert_int_equal(cs_samples_load_of(found, &load), CS_CPU_LOAD);
	assert_int_equal(load.permille, 337);
	assert_int_equal(load.cpus, 4);
	assert_null(cs_samples_find(&samples, "win2"));

	/* Counters are measured from counters alone, and a told load from nothing. */
	assert_false(cs_baseline_advance(&changed, &now, spans, &base));
	assert_int_equal(cs_samples_load_of(&changed, &load), CS_CPU_FIRST);
	now = cs_cpu_sample_of_rows(&now.at, 50, 1);
	assert_false(cs_baseline_advance(&changed, &now, spans, &base));
	cs_strbuf_clear(&file);
	add_line(&file, &changed);
	cs_samples_parse(cs_strbuf_text(&file), &again);
	assert_int_equal(cs_samples_load_of(&again.items[0], &load), CS_CPU_LOAD);
	assert_int_equal(load.permille, 500);
}

/* Writes `ids` through a pass that keeps what is there. */
static void save(
	const char *dir, const char *ids, const struct cs_cpu_sample *(*of)(char))
{
	struct cs_samples_pass pass;
	struct cs_baseline baseline;
	struct cs_error err;

	assert_int_equal(cs_samples_pass_open(dir, &pass, &err), 0);
	while (cs_samples_pass_next(&pass, &baseline))
		cs_samples_pass_keep(&pass, &baseline);
	for (; *ids; ids++) {
		char id[] = {*ids, '\0'};
		baseline = (struct cs_baseline){.id = id, .newer = *of(*ids)};
		cs_samples_pass_keep(&pass, &baseline);
	}
	assert_int_equal(cs_samples_pass_commit(&pass, &err), 0);
	cs_samples_pass_done(&pass);
}

static void remove_folder(const char *dir)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/samples", dir);

	unlink(path);
	assert_int_equal(rmdir(dir), 0); /* nothing else was left there */
}

static const struct cs_cpu_sample *counted(char id)
{
	static struct cs_cpu_sample sample;

	(void)id;
	sample = sample_at(5);
	return &sample;
}

static const struct cs_cpu_sample *vowels_told(char id)
{
	static struct cs_cpu_sample rows;

	if (!strchr("aeiou", id))
		return counted(id);
	rows = cs_cpu_sample_of_rows(&counted(id)->at, 80, 2);
	return &rows;
}

static void test_what_was_told_can_be_read_alone(void **state)
{
	char dir[] = "/tmp/test_samples.XXXXXX";
	CS_CLEANUP(cs_samples_done) struct cs_samples told = {0};

	(void)state;
	assert_non_null(mkdtemp(dir));
	cs_samples_load_told(dir, &told);
	assert_int_equal(told.n, 0);
	save(dir, "zyxuoiecba", vowels_told);
	cs_samples_load_told(dir, &told);
	assert_int_equal(told.n, 5);
	assert_string_equal(told.items[1].id, "e");
	assert_null(cs_samples_find(&told, "b"));
	remove_folder(dir);
}

static void test_servers_that_are_gone_expire(void **state)
{
	static const struct {
		int64_t second;
		bool expired;
	} cases[] = {{0, true}, {1, false}, {181, false}, {361, false}, {500, true}};
	struct cs_cpu_sample now = sample_at(181);

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) {
		struct cs_baseline baseline = {.newer = sample_at(cases[i].second)};
		assert_int_equal(cs_baseline_is_expired(&baseline, &now.at, spans),
			cases[i].expired);
	}
}

static void test_files_come_back_as_they_were_saved(void **state)
{
	char dir[] = "/tmp/test_samples.XXXXXX";
	CS_CLEANUP(cs_samples_done) struct cs_samples loaded = {0}, none = {0};
	struct cs_samples_pass pass;
	struct cs_error err;

	(void)state;
	assert_non_null(mkdtemp(dir));
	cs_samples_load(dir, &none);
	assert_int_equal(none.n, 0);
	save(dir, "zyx", counted);
	save(dir, "cba", counted);
	/* What is not committed changes nothing. */
	assert_int_equal(cs_samples_pass_open(dir, &pass, &err), 0);
	cs_samples_pass_done(&pass);
	cs_samples_load(dir, &loaded);
	assert_int_equal(loaded.n, 6);
	assert_string_equal(loaded.items[0].id, "a");
	const struct cs_cpu_sample *first = &loaded.items[0].newer, *now = counted('a');
	assert_int_equal(first->at.wall_ms, now->at.wall_ms);
	assert_int_equal(first->at.boot_ms, now->at.boot_ms);
	assert_string_equal(first->at.boot_id, now->at.boot_id);
	assert_memory_equal(first->ticks, now->ticks, sizeof now->ticks);
	assert_int_equal(first->cpus, now->cpus);
	assert_int_equal(first->uptime_cs, now->uptime_cs);
	remove_folder(dir);
	assert_int_equal(cs_samples_pass_open(dir, &pass, &err), CS_E_IO);
}

static void test_a_line_of_any_length_harms_no_other(void **state)
{
	char dir[] = "/tmp/test_samples.XXXXXX";
	CS_CLEANUP(cs_samples_done) struct cs_samples loaded = {0};
	struct cs_error err;

	(void)state;
	assert_non_null(mkdtemp(dir));
	CS_AUTO_FREE char *path = cs_asprintf("%s/samples", dir);
	save(dir, "a", counted);
	for (size_t len = CS_SAMPLES_LINE_SIZE - 3; len < CS_SAMPLES_LINE_SIZE + 3;
		len++) {
		char line[CS_SAMPLES_LINE_SIZE + 4];
		memset(line, 'x', len);
		memcpy(line + len, "\n", 2);
		assert_int_equal(cs_file_append(path, line, &err), 0);
	}
	save(dir, "b", counted);
	assert_int_equal(cs_file_append(path, "torn", &err), 0);
	cs_samples_load(dir, &loaded);
	assert_int_equal(loaded.n, 2);
	remove_folder(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_run_measures_since_the_last),
		cmocka_unit_test(test_a_run_in_between_moves_nothing),
		cmocka_unit_test(test_spans_have_both_borders_inside),
		cmocka_unit_test(test_runs_closer_than_min_still_come_to_measure),
		cmocka_unit_test(test_too_old_is_no_baseline),
		cmocka_unit_test(test_a_run_at_the_same_time_disturbs_nothing),
		cmocka_unit_test(test_a_sample_from_the_future_is_replaced),
		cmocka_unit_test(test_another_boot_counts_by_the_wall),
		cmocka_unit_test(test_unreadable_lines_are_dropped),
		cmocka_unit_test(test_loads_that_were_told_stand_for_themselves),
		cmocka_unit_test(test_what_was_told_can_be_read_alone),
		cmocka_unit_test(test_servers_that_are_gone_expire),
		cmocka_unit_test(test_files_come_back_as_they_were_saved),
		cmocka_unit_test(test_a_line_of_any_length_harms_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
