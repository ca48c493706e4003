/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "domain/journal.h"
#include "domain/journal_line.h"

#define OP_A "11111111-1111-4111-8111-111111111111"
#define OP_B "22222222-2222-4222-8222-222222222222"
#define ID_A "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
#define ID_B "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
#define HOUR_MS 3600000
#define NOW_MS 1700000000000

static const struct cs_stamp now = {.wall_ms = NOW_MS, .boot_ms = 0, .boot_id = ""};

/* Folds lines whose `@N` stands for a stamp N seconds ago. */
static int fold(
	struct cs_journal *journal, struct cs_error *err, const char *const *lines)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(1 << 16);

	*journal = (struct cs_journal){0};
	for (; *lines; lines++) {
		long ago = 0;
		int used = 0;

		sscanf(*lines, "@%ld %n", &ago, &used);
		cs_strbuf_addf(&text,
			"{\"t\":%lld,\"bt\":0,\"boot\":\"\",\"run\":\"r\",%s}\n",
			NOW_MS - ago * 1000LL, *lines + used);
	}
	return cs_journal_fold(
		cs_strbuf_text(&text), text.len, "test", &now, journal, err);
}

#define FOLD(...) fold(&journal, &err, (const char *const[]){__VA_ARGS__, NULL})
#define CREATE_A "@30 \"type\":\"intent\",\"op\":\"" OP_A "\",\"action\":\"create\""
#define DELETE_B                                                             \
	"@20 \"type\":\"intent\",\"op\":\"" OP_B "\",\"action\":\"delete\"," \
	"\"server_id\":\"" ID_B "\",\"name\":\"web2\",\"why\":\"idle\""
#define REQUEST_A \
	"@29 \"type\":\"request\",\"op\":\"" OP_A "\",\"server_id\":\"" ID_A "\""
#define RESULT(op, action, outcome)                                      \
	"@10 \"type\":\"result\",\"op\":\"" op "\",\"action\":\"" action \
	"\",\"outcome\":\"" outcome "\""
#define PUBLISHED(id) "@9 \"type\":\"published\",\"server_id\":\"" id "\""

static void test_intent_is_open_until_its_result(void **state)
{
	struct cs_journal journal;
	struct cs_error err;

	(void)state;
	assert_int_equal(FOLD(CREATE_A), 0);
	assert_int_equal(journal.n_open, 1);
	assert_string_equal(journal.open[0].op, OP_A);
	assert_int_equal(journal.open[0].action, CS_ACTION_CREATE);
	assert_null(journal.open[0].server_id);
	assert_int_equal(journal.open[0].since.wall_ms, NOW_MS - 30000);
	assert_ptr_equal(cs_journal_op_of(&journal, ID_A, OP_A), &journal.open[0]);
	assert_null(cs_journal_op_of(&journal, ID_A, NULL));
	cs_journal_done(&journal);

	assert_int_equal(FOLD(CREATE_A, REQUEST_A), 0);
	assert_string_equal(journal.open[0].server_id, ID_A);
	assert_true(cs_journal_is_known(&journal, ID_A));
	assert_ptr_equal(cs_journal_op_of(&journal, ID_A, NULL), &journal.open[0]);
	cs_journal_done(&journal);

	assert_int_equal(FOLD(CREATE_A, REQUEST_A, PUBLISHED(ID_A),
				 RESULT(OP_A, "create", "done")),
		0);
	assert_int_equal(journal.n_open, 0);
	assert_true(cs_journal_is_published(&journal, ID_A));
	assert_int_equal(journal.last_up.wall_ms, NOW_MS - 10000);
	assert_int_equal(journal.last_down.wall_ms, 0);
	assert_int_equal(journal.creates_last_hour, 1);
	cs_journal_done(&journal);
}

static void test_delete_revokes_published_and_forgets_at_the_end(void **state)
{
	struct cs_journal journal;
	struct cs_error err;

	(void)state;
	assert_int_equal(FOLD(PUBLISHED(ID_B), DELETE_B), 0);
	assert_false(cs_journal_is_published(&journal, ID_B));
	assert_true(cs_journal_is_known(&journal, ID_B));
	assert_string_equal(journal.open[0].name, "web2");
	assert_string_equal(journal.open[0].why, "idle");
	cs_journal_done(&journal);

	assert_int_equal(
		FOLD(PUBLISHED(ID_B), DELETE_B, RESULT(OP_B, "delete", "done")), 0);
	assert_false(cs_journal_is_known(&journal, ID_B));
	assert_int_equal(journal.last_down.wall_ms, NOW_MS - 10000);
	assert_int_equal(journal.last_up.wall_ms, 0);
	assert_int_equal(journal.deletes_last_hour, 1);
	cs_journal_done(&journal);
}

static void test_cancelled_drain_is_a_scale_up_and_keeps_the_server(void **state)
{
	struct cs_journal journal;
	struct cs_error err;

	(void)state;
	assert_int_equal(
		FOLD(PUBLISHED(ID_B), DELETE_B, RESULT(OP_B, "delete", "cancelled")), 0);
	assert_int_equal(journal.n_open, 0);
	assert_true(cs_journal_is_known(&journal, ID_B));
	assert_false(cs_journal_is_published(&journal, ID_B));
	assert_int_equal(journal.last_up.wall_ms, NOW_MS - 10000);
	assert_int_equal(journal.last_down.wall_ms, 0);
	cs_journal_done(&journal);
}

static void test_failed_creates_in_a_row(void **state)
{
	static const struct {
		const char *last;
		int64_t row;
	} cases[] = {
		{RESULT(OP_B, "create", "failed"), 2},
		{RESULT(OP_B, "create", "cancelled"), 1},
		{RESULT(OP_B, "create", "done"), 0},
		{RESULT(OP_B, "delete", "done"), 1},
		{"\"type\":\"resume\"", 0},
	};
	struct cs_journal journal;
	struct cs_error err;

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) {
		assert_int_equal(
			FOLD(RESULT(OP_A, "create", "failed"), cases[i].last), 0);
		const struct cs_journal_place *place =
			cs_journal_place_of(&journal, NULL, NULL);
		assert_int_equal(place ? place->failed_in_row : 0, cases[i].row);
		cs_journal_done(&journal);
	}
}

/* Each zone and flavor counts for itself. */
static void test_failed_creates_by_zone_and_flavor(void **state)
{
#define CREATE_IN(op, zone)                                                            \
	"\"type\":\"intent\",\"action\":\"create\",\"op\":\"" op "\",\"zone\":\"" zone \
	"\",\"flavor\":\"small\",\"measurement\":7"
	struct cs_journal journal;
	struct cs_error err;

	(void)state;
	assert_int_equal(FOLD(CREATE_IN(OP_A, "a"), CREATE_IN(OP_B, "b"),
				 RESULT(OP_A, "create", "failed")),
		0);
	assert_int_equal(cs_journal_place_of(&journal, "a", "small")->failed_in_row, 1);
	assert_int_equal(cs_journal_place_of(&journal, "a", "small")->last_failed.wall_ms,
		NOW_MS - 10000);
	assert_null(cs_journal_place_of(&journal, "b", "small"));
	assert_null(cs_journal_place_of(&journal, "a", "large"));
	/* Another create counts on the measurement; it failing too, it is free again. */
	assert_int_equal(journal.used_measurement_wall_ms, 7);
	assert_int_equal(journal.last_up.wall_ms, 0);
	cs_journal_done(&journal);

	assert_int_equal(FOLD(CREATE_IN(OP_A, "a"), CREATE_IN(OP_B, "b"),
				 RESULT(OP_A, "create", "failed"),
				 RESULT(OP_B, "create", "failed")),
		0);
	assert_int_equal(cs_journal_place_of(&journal, "b", "small")->failed_in_row, 1);
	assert_int_equal(journal.used_measurement_wall_ms, 0);
	cs_journal_done(&journal);
}

static void test_budgets_count_one_hour_and_the_future(void **state)
{
	struct cs_journal journal;
	struct cs_error err;

	(void)state;
#define INTENT(ago, op) \
	"@" ago " \"type\":\"intent\",\"op\":\"" op "\",\"action\":\"create\""
	assert_int_equal(FOLD(INTENT("3601", OP_A), INTENT("3599", OP_B)), 0);
	assert_int_equal(journal.creates_last_hour, 1);
	cs_journal_done(&journal);
	assert_int_equal(FOLD(INTENT("-500", OP_A)), 0);
	assert_int_equal(journal.creates_last_hour, 1);
	cs_journal_done(&journal);
	/* The same line again, as after a rotation, is the same intent. */
	assert_int_equal(FOLD(INTENT("5", OP_A), INTENT("5", OP_A)), 0);
	assert_int_equal(journal.creates_last_hour, 1);
	assert_int_equal(journal.n_open, 1);
	cs_journal_done(&journal);
}

static void test_last_used_measurement_is_remembered(void **state)
{
	struct cs_journal journal;
	struct cs_error err;

	(void)state;
	assert_int_equal(FOLD(INTENT("9", OP_A) ",\"measurement\":500",
				 INTENT("8", OP_B) ",\"measurement\":400"),
		0);
	assert_int_equal(journal.used_measurement_wall_ms, 400);
	cs_journal_done(&journal);
}

#define BIND(project)                                                        \
	"\"type\":\"bind\",\"auth_url\":\"http://k\",\"project\":\"" project \
	"\",\"region\":\"\""

static void test_another_cloud_makes_the_servers_meaningless(void **state)
{
	struct cs_journal journal;
	struct cs_error err;

	(void)state;
	assert_int_equal(FOLD(BIND("p"), PUBLISHED(ID_B), CREATE_A, BIND("p")), 0);
	assert_int_equal(journal.n_open, 1);
	assert_true(cs_journal_is_published(&journal, ID_B));
	cs_journal_done(&journal);

	assert_int_equal(FOLD(BIND("p"), PUBLISHED(ID_B), CREATE_A, BIND("q")), 0);
	assert_int_equal(journal.n_open, 0);
	assert_int_equal(journal.known.n, 0);
	assert_int_equal(journal.published.n, 0);
	assert_string_equal(journal.project, "q");
	assert_int_equal(journal.creates_last_hour, 1);
	cs_journal_done(&journal);
}

static void test_pause_resume_known_and_gone(void **state)
{
	struct cs_journal journal;
	struct cs_error err;

	(void)state;
	assert_int_equal(
		FOLD("\"type\":\"pause\"",
			"\"type\":\"known\",\"server_id\":\"" ID_A "\"", PUBLISHED(ID_B),
			"\"type\":\"gone\",\"server_id\":\"" ID_B "\""),
		0);
	assert_true(journal.paused);
	assert_true(cs_journal_is_known(&journal, ID_A));
	assert_false(cs_journal_is_known(&journal, ID_B));
	assert_false(cs_journal_is_published(&journal, ID_B));
	cs_journal_done(&journal);
	assert_int_equal(FOLD("\"type\":\"pause\"", "\"type\":\"resume\""), 0);
	assert_false(journal.paused);
	cs_journal_done(&journal);
}

static void test_delete_speaks_louder_than_the_create_of_the_same_server(void **state)
{
	struct cs_journal journal;
	struct cs_error err;

	(void)state;
	assert_int_equal(FOLD(CREATE_A, REQUEST_A,
				 "\"type\":\"intent\",\"op\":\"" OP_B
				 "\",\"action\":\"delete\",\"server_id\":\"" ID_A "\""),
		0);
	assert_int_equal(journal.n_open, 2);
	assert_int_equal(
		cs_journal_op_of(&journal, ID_A, OP_A)->action, CS_ACTION_DELETE);
	cs_journal_done(&journal);
}

static void test_damage_is_named_by_line(void **state)
{
	static const char *const damaged[] = {
		"\"type\":\"intent\"",
		"\"type\":\"intent\",\"op\":\"" OP_A "\"",
		"\"type\":\"intent\",\"op\":\"" OP_A "\",\"action\":\"burn\"",
		"\"type\":\"intent\",\"op\":\"" OP_A "\",\"action\":\"delete\"",
		"\"type\":\"intent\",\"op\":\"../x\",\"action\":\"create\"",
		"\"type\":\"request\",\"op\":\"" OP_A "\",\"server_id\":\"x\"",
		"\"type\":\"result\",\"op\":\"" OP_A "\",\"action\":\"create\"",
		RESULT(OP_A, "create", "perhaps"),
		RESULT(OP_A, "delete", "done"),
		"\"type\":\"published\"",
		"\"type\":\"gone\",\"server_id\":7",
		"\"type\":\"bind\",\"auth_url\":\"http://k\"",
		"\"type\":\"later\"",
		"\"kind\":\"pause\"",
	};
	struct cs_journal journal;
	struct cs_error err;

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(damaged); i++) {
		assert_int_equal(FOLD(CREATE_A, damaged[i]), CS_E_PROTOCOL);
		assert_non_null(
			strstr(err.message, "the journal test is damaged in line 2"));
		cs_journal_done(&journal);
	}
}

static int fold_text(const char *text, struct cs_journal *journal, struct cs_error *err)
{
	*journal = (struct cs_journal){0};
	return cs_journal_fold(text, strlen(text), "test", &now, journal, err);
}

static void test_torn_line_is_a_write_that_never_happened(void **state)
{
#define STAMP "{\"t\":1,\"bt\":0,\"boot\":\"\","
#define PAUSE STAMP "\"type\":\"pause\"}"
	struct cs_journal journal;
	struct cs_error err;

	(void)state;
	assert_int_equal(fold_text("", &journal, &err), 0);
	assert_int_equal(fold_text(PAUSE, &journal, &err), 0); /* no line end yet */
	assert_false(journal.paused);
	assert_int_equal(fold_text(PAUSE "\n" STAMP "\"ty", &journal, &err), 0);
	assert_true(journal.paused);
	/* ended by the append that came after the crash */
	assert_int_equal(fold_text(STAMP "\"ty\n" PAUSE "\n", &journal, &err), 0);
	assert_true(journal.paused);
	assert_int_equal(
		fold_text("rubbish\n" PAUSE "\n", &journal, &err), CS_E_PROTOCOL);
	assert_int_equal(fold_text("{\"t\"}\n", &journal, &err), CS_E_PROTOCOL);
	assert_int_equal(
		fold_text("{\"type\":\"pause\"}\n", &journal, &err), CS_E_PROTOCOL);
}

/* Wherever the write ended, and the next append ended the line. */
static void test_a_line_torn_at_any_byte_is_passed_over(void **state)
{
	static const char whole[] =
		STAMP "\"type\":\"intent\",\"op\":\"" OP_A "\",\"action\":\"create\","
		      "\"name\":\"w\303\251{b}\",\"decision\":{\"create\":1,"
		      "\"reasons\":[\"a}\",{}]}}";

	(void)state;
	for (size_t len = 0; len < sizeof whole; len++) {
		CS_AUTO_FREE char *text =
			cs_asprintf("%.*s\n" PAUSE "\n", (int)len, whole);
		struct cs_journal journal;
		struct cs_error err;

		assert_int_equal(fold_text(text, &journal, &err), 0);
		assert_true(journal.paused);
		assert_int_equal(journal.n_open, len == sizeof whole - 1);
		cs_journal_done(&journal);
	}
}

/* Files. */

static char dir[64];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_journal.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/journal", dir);
	CS_AUTO_FREE char *older = cs_asprintf("%s/journal.1", dir);

	(void)state;
	CS_AUTO_FREE char *lock = cs_asprintf("%s/journal.lock", dir);
	unlink(path);
	unlink(older);
	unlink(lock);
	return rmdir(dir);
}

static void append(const struct cs_journal_line *line)
{
	struct cs_error err;

	assert_int_equal(cs_journal_append(dir, "run", line, &err), 0);
}

static void load(struct cs_journal *journal)
{
	struct cs_stamp at;
	struct cs_error err;

	cs_stamp_now(&at);
	assert_int_equal(cs_journal_load(dir, &at, journal, &err), 0);
}

static void test_missing_journal_is_an_empty_one(void **state)
{
	struct cs_journal journal;

	(void)state;
	load(&journal);
	assert_int_equal(journal.n_open, 0);
	assert_null(journal.auth_url);
	cs_journal_done(&journal);
}

static void test_what_is_written_is_read(void **state)
{
	struct cs_journal journal;

	(void)state;
	append(&(struct cs_journal_line){
		.type = "bind", .auth_url = "http://k", .project = "p", .region = ""});
	append(&(struct cs_journal_line){.type = "intent",
		.op = OP_A,
		.action = "create",
		.name = "web\"\n1",
		.why = "load 80.0 %",
		.measurement = 77});
	append(&(struct cs_journal_line){
		.type = "request", .op = OP_A, .server_id = ID_A});
	load(&journal);
	assert_string_equal(journal.auth_url, "http://k");
	assert_string_equal(journal.region, "");
	assert_string_equal(journal.open[0].name, "web\"\n1");
	assert_string_equal(journal.open[0].why, "load 80.0 %");
	assert_string_equal(journal.open[0].server_id, ID_A);
	assert_int_equal(journal.used_measurement_wall_ms, 77);
	cs_journal_done(&journal);
}

static void test_append_after_a_torn_write_keeps_the_journal_readable(void **state)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/journal", dir);
	struct cs_journal journal;

	(void)state;
	append(&(struct cs_journal_line){.type = "pause"});
	FILE *file = fopen(path, "a");
	fputs("{\"t\":123,\"bt\":4,\"type\":\"inte", file);
	fclose(file);
	load(&journal);
	assert_true(journal.paused);
	cs_journal_done(&journal);
	append(&(struct cs_journal_line){.type = "resume"});
	load(&journal);
	assert_false(journal.paused);
	cs_journal_done(&journal);
}

/* Appends many lines at once; each alone would be fsync'd. */
static void fill(size_t bytes)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/journal", dir);
	FILE *file = fopen(path, "a");
	struct cs_journal journal;

	load(&journal);
	for (size_t done = 0; done < bytes; done += 80) {
		CS_AUTO_FREE char *line = cs_journal_seal(
			"{\"t\":1,\"bt\":0,\"boot\":\"\",\"type\":\"resume\"}",
			journal.chain);

		fprintf(file, "%s\n", line);
	}
	fclose(file);
	cs_journal_done(&journal);
}

static void rotate(bool expected)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/journal", dir);
	struct cs_strbuf before = CS_STRBUF(4 << 20), after = CS_STRBUF(4 << 20);
	struct cs_error err;

	assert_int_equal(cs_file_read(path, &before, &err), 0);
	assert_int_equal(cs_journal_rotate(dir, "run", &err), 0);
	assert_int_equal(cs_file_read(path, &after, &err), 0);
	assert_int_equal(after.len < before.len, expected);
	cs_strbuf_done(&before);
	cs_strbuf_done(&after);
}

/* Twice, so that nothing of the first file is left. */
static void test_rotation_carries_what_is_still_true(void **state)
{
	struct cs_journal journal;

	(void)state;
	append(&(struct cs_journal_line){
		.type = "bind", .auth_url = "http://k", .project = "p", .region = "r"});
	append(&(struct cs_journal_line){.type = "published", .server_id = ID_A});
	append(&(struct cs_journal_line){.type = "published", .server_id = ID_B});
	append(&(struct cs_journal_line){.type = "intent",
		.op = OP_B,
		.action = "delete",
		.server_id = ID_B,
		.name = "web2",
		.why = "idle"});
	append(&(struct cs_journal_line){
		.type = "intent", .op = OP_A, .action = "create", .name = "web3"});
	rotate(false);
	for (int round = 0; round < 2; round++) {
		fill(1 << 20);
		append(&(struct cs_journal_line){.type = "pause"});
		rotate(true);
		load(&journal);
		assert_string_equal(journal.auth_url, "http://k");
		assert_true(cs_journal_is_published(&journal, ID_A));
		assert_false(cs_journal_is_published(&journal, ID_B));
		assert_true(cs_journal_is_known(&journal, ID_B));
		assert_true(journal.paused);
		assert_int_equal(journal.n_open, 2);
		assert_string_equal(cs_journal_op_of(&journal, ID_B, NULL)->name, "web2");
		assert_string_equal(cs_journal_op_of(&journal, NULL, OP_A)->name, "web3");
		assert_int_equal(journal.creates_last_hour, 1);
		assert_int_equal(journal.deletes_last_hour, 1);
		cs_journal_done(&journal);
	}
}

/* An intent to create and one to delete, both over. */
static void do_both(void)
{
	char create[CS_UUID_SIZE], del[CS_UUID_SIZE];

	cs_uuid_make(create);
	cs_uuid_make(del);
	append(&(struct cs_journal_line){
		.type = "intent", .op = create, .action = "create"});
	append(&(struct cs_journal_line){.type = "result",
		.op = create,
		.action = "create",
		.outcome = CS_OUTCOME_CANCELLED});
	append(&(struct cs_journal_line){
		.type = "intent", .op = del, .action = "delete", .server_id = ID_B});
	append(&(struct cs_journal_line){.type = "result",
		.op = del,
		.action = "delete",
		.outcome = CS_OUTCOME_DONE});
}

/* So many of both kinds, seen after `hours`. */
static void assert_spent(int64_t hours, int64_t in_hour, int64_t in_day)
{
	struct cs_journal journal;
	struct cs_stamp then;
	struct cs_error err;

	cs_stamp_now(&then);
	then.wall_ms += hours * 3600 * CS_MS_PER_S;
	then.boot_ms += hours * 3600 * CS_MS_PER_S;
	assert_int_equal(cs_journal_load(dir, &then, &journal, &err), 0);
	assert_int_equal(journal.creates_last_hour, in_hour);
	assert_int_equal(journal.deletes_last_hour, in_hour);
	assert_int_equal(journal.creates_last_day, in_day);
	assert_int_equal(journal.deletes_last_day, in_day);
	cs_journal_done(&journal);
}

/* However often a journal is rotated meanwhile, its budgets know what was done. */
static void test_rotations_keep_the_budgets(void **state)
{
	(void)state;
	for (int round = 1; round <= 5; round++) {
		do_both();
		fill(1 << 20);
		rotate(true);
		assert_spent(0, round, round);
	}
	assert_spent(2, 0, 5);
	assert_spent(25, 0, 0);
}

/* The budgets of a rotation that was killed after its first step (all is in two files,
 * the older one counts twice), and after its second (the journal is gone). */
static void test_a_rotation_that_was_killed(void **state)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/journal", dir);
	CS_AUTO_FREE char *older = cs_asprintf("%s/journal.1", dir);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf first = CS_STRBUF(4 << 20);
	struct cs_error err;

	(void)state;
	for (int round = 0; round < 2; round++) {
		do_both();
		fill(1 << 20);
		rotate(true);
	}
	do_both();
	fill(1 << 20);
	assert_int_equal(cs_file_read(older, &first, &err), 0);
	rotate(true);
	assert_spent(0, 3, 3);

	unlink(path);
	assert_spent(0, 3, 3);
	append(&(struct cs_journal_line){.type = "published", .server_id = ID_A});
	assert_spent(0, 3, 3);

	unlink(path);
	assert_int_equal(rename(older, path), 0);
	assert_int_equal(
		cs_file_replace(older, cs_strbuf_text(&first), first.len, 0640, &err), 0);
	assert_spent(0, 5, 5);
	rotate(true);
	assert_spent(0, 3, 3);
}

static void test_boot_times(void **state)
{
	struct cs_journal journal;
	struct cs_error err;

	(void)state;
	assert_int_equal(FOLD(CREATE_A, REQUEST_A), 0);
	assert_int_equal(cs_journal_boot_ms(&journal), 0);
	cs_journal_done(&journal);
	assert_int_equal(FOLD(CREATE_A, RESULT(OP_A, "create", "failed")), 0);
	assert_int_equal(cs_journal_boot_ms(&journal), 0);
	cs_journal_done(&journal);
	assert_int_equal(FOLD(CREATE_A, REQUEST_A, RESULT(OP_A, "create", "done")), 0);
	assert_int_equal(cs_journal_boot_ms(&journal), 20000);
	for (int64_t i = 0; i < 45; i++) /* the latest 20: 125 down to 106 */
		journal.boots_ms[journal.n_boots++ % CS_JOURNAL_BOOTS] = 150 - i;
	assert_int_equal(cs_journal_boot_ms(&journal), 124);
	cs_journal_done(&journal);
}

/* The lines of the journal, for a test to tamper with. */
static void read_lines(struct cs_strbuf *ret)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/journal", dir);
	struct cs_error err;

	assert_int_equal(cs_file_read(path, ret, &err), 0);
}

static void write_lines(const char *text)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/journal", dir);
	struct cs_error err;

	assert_int_equal(cs_file_replace(path, text, strlen(text), 0640, &err), 0);
}

static void assert_damaged(size_t line, const char *why)
{
	CS_AUTO_FREE char *where = cs_asprintf(" is damaged in line %zu: %s", line, why);
	struct cs_journal journal;
	struct cs_error err;

	assert_int_equal(cs_journal_load(dir, &now, &journal, &err), CS_E_PROTOCOL);
	assert_non_null(strstr(err.message, where));
}

/* Line `number` (from 1) of a text that is changed by it; without its end. */
static char *cut_line(char *text, size_t number, size_t *ret_len)
{
	while (--number > 0)
		text = strchr(text, '\n') + 1;
	*ret_len = strcspn(text, "\n");
	return text;
}

#define TAMPERED                                                                         \
	"its chain value does not fit: it, or a line before it, was changed, taken out " \
	"or put in"

static void test_what_was_tampered_with_does_not_fit(void **state)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf whole = CS_STRBUF(1 << 16);
	struct cs_journal journal;
	size_t len;

	(void)state;
	append(&(struct cs_journal_line){.type = "published", .server_id = ID_A});
	append(&(struct cs_journal_line){.type = "pause"});
	append(&(struct cs_journal_line){.type = "resume"});
	append(&(struct cs_journal_line){.type = "published", .server_id = ID_B});
	read_lines(&whole);
	load(&journal);
	cs_journal_done(&journal);

	CS_AUTO_FREE char *changed = cs_strdup(cs_strbuf_text(&whole));
	memcpy(strstr(changed, "pause"), "known", 5);
	write_lines(changed);
	assert_damaged(3, TAMPERED);

	CS_AUTO_FREE char *shorter = cs_strdup(cs_strbuf_text(&whole));
	char *third = cut_line(shorter, 3, &len);
	memmove(third, third + len + 1, strlen(third + len + 1) + 1);
	write_lines(shorter);
	assert_damaged(3, TAMPERED);

	CS_AUTO_FREE char *begun = cs_strdup(cs_strbuf_text(&whole));
	write_lines(strchr(begun, '\n') + 1);
	assert_damaged(1, TAMPERED);

	CS_AUTO_FREE char *longer = cs_asprintf("%s{\"t\":1,\"bt\":0,\"boot\":\"\","
						"\"type\":\"pause\"}\n",
		cs_strbuf_text(&whole));
	write_lines(longer);
	assert_damaged(6, "it is not sealed, and lines before it are");
}

static void test_the_chain_goes_on_after_the_rotation(void **state)
{
	CS_AUTO_FREE char *older = cs_asprintf("%s/journal.1", dir);
	struct cs_journal journal;
	size_t len;

	(void)state;
	for (int round = 0; round < 2; round++) {
		append(&(struct cs_journal_line){.type = "published", .server_id = ID_A});
		fill(1 << 20);
		rotate(true);
		append(&(struct cs_journal_line){.type = "pause"});
		load(&journal);
		cs_journal_done(&journal);
	}
	/* The end of journal.1 is cut off. */
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(4 << 20);
	struct cs_error err;
	assert_int_equal(cs_file_read(older, &text, &err), 0);
	CS_AUTO_FREE char *cut = cs_strdup(cs_strbuf_text(&text));
	*(char *)memrchr(cut, '\n', strlen(cut) - 1) = '\0';
	len = strlen(cut);
	cut[len] = '\n';
	assert_int_equal(cs_file_replace(older, cut, len + 1, 0640, &err), 0);
	assert_damaged(1, "lines are missing before it");
	/* Without it the journal stands alone. */
	unlink(older);
	load(&journal);
	assert_true(journal.paused);
	cs_journal_done(&journal);
}

static void test_a_journal_without_seals_is_taken_over(void **state)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/journal", dir);
	struct cs_journal journal;
	struct cs_error err;

	(void)state;
	assert_int_equal(
		cs_file_append(path,
			"{\"t\":1,\"bt\":0,\"boot\":\"\",\"type\":\"pause\"}\n", &err),
		0);
	append(&(struct cs_journal_line){.type = "published", .server_id = ID_A});
	append(&(struct cs_journal_line){.type = "published", .server_id = ID_B});
	load(&journal);
	assert_true(journal.paused);
	assert_true(cs_journal_is_published(&journal, ID_B));
	assert_int_equal(strlen(journal.chain), CS_DIGEST_SIZE - 1);
	cs_journal_done(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_intent_is_open_until_its_result),
		cmocka_unit_test(test_delete_revokes_published_and_forgets_at_the_end),
		cmocka_unit_test(test_cancelled_drain_is_a_scale_up_and_keeps_the_server),
		cmocka_unit_test(test_failed_creates_in_a_row),
		cmocka_unit_test(test_failed_creates_by_zone_and_flavor),
		cmocka_unit_test(test_budgets_count_one_hour_and_the_future),
		cmocka_unit_test(test_last_used_measurement_is_remembered),
		cmocka_unit_test(test_another_cloud_makes_the_servers_meaningless),
		cmocka_unit_test(test_pause_resume_known_and_gone),
		cmocka_unit_test(
			test_delete_speaks_louder_than_the_create_of_the_same_server),
		cmocka_unit_test(test_damage_is_named_by_line),
		cmocka_unit_test(test_torn_line_is_a_write_that_never_happened),
		cmocka_unit_test(test_a_line_torn_at_any_byte_is_passed_over),
		cmocka_unit_test_setup_teardown(
			test_missing_journal_is_an_empty_one, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_what_is_written_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_append_after_a_torn_write_keeps_the_journal_readable, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_rotation_carries_what_is_still_true, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_rotations_keep_the_budgets, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_rotation_that_was_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_what_was_tampered_with_does_not_fit, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_the_chain_goes_on_after_the_rotation, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_journal_without_seals_is_taken_over, setup, teardown),
		cmocka_unit_test(test_boot_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
