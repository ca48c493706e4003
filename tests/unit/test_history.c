/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "domain/history.h"

struct folder {
	char dir[32];
	char *path, *old, *lock;
};

static int make_folder(void **state)
{
	struct folder *folder = cs_calloc(1, sizeof *folder);

	strcpy(folder->dir, "/tmp/test_history.XXXXXX");
	assert_non_null(mkdtemp(folder->dir));
	folder->path = cs_asprintf("%s/history", folder->dir);
	folder->old = cs_asprintf("%s/history.1", folder->dir);
	folder->lock = cs_asprintf("%s/samples.lock", folder->dir);
	*state = folder;
	return 0;
}

static int remove_folder(void **state)
{
	struct folder *folder = *state;

	unlink(folder->path);
	unlink(folder->old);
	unlink(folder->lock);
	rmdir(folder->dir);
	free(folder->path);
	free(folder->old);
	free(folder->lock);
	free(folder);
	return 0;
}

static struct cs_measurement measurement(int64_t load_permille)
{
	struct cs_measurement m = {.load_permille = load_permille,
		.servers = 4,
		.sampled = 2,
		.missing = 1,
		.warming = 1,
		.stale = 2,
		.above_mean_permille = -30};

	cs_stamp_now(&m.at);
	return m;
}

static void append(const struct folder *folder, int64_t load_permille)
{
	struct cs_measurement m = measurement(load_permille);
	struct cs_error err;

	if (cs_history_append(folder->dir, &m, &err) < 0)
		fail_msg("%s", err.message);
}

static int64_t last_load(const struct folder *folder)
{
	struct cs_measurement m;
	struct cs_error err;

	if (cs_history_last(folder->dir, &m, &err) < 0)
		return err.code;
	return m.load_permille;
}

static void add_text(const struct folder *folder, const char *text)
{
	FILE *file = fopen(folder->path, "a");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void test_the_last_measurement_comes_back_whole(void **state)
{
	struct folder *folder = *state;
	struct cs_measurement put = measurement(832), got;
	struct cs_error err;

	append(folder, 100);
	assert_int_equal(cs_history_append(folder->dir, &put, &err), 0);
	assert_int_equal(cs_history_last(folder->dir, &got, &err), 0);
	assert_int_equal(got.load_permille, 832);
	assert_int_equal(got.servers, 4);
	assert_int_equal(got.sampled, 2);
	assert_int_equal(got.missing, 1);
	assert_int_equal(got.warming, 1);
	assert_int_equal(got.stale, 2);
	assert_int_equal(got.above_mean_permille, -30);
	assert_int_equal(cs_stamp_age_ms(&put.at, &got.at), 0);
	assert_int_equal(put.at.wall_ms, got.at.wall_ms);
	assert_string_equal(put.at.boot_id, got.at.boot_id);
}

/* Two of four gave a figure, whose mean is 30 permille above it; whoever reads the line
 * finds the ends of the interval in it. */
static void test_the_interval(void **state)
{
	struct folder *folder = *state;
	struct cs_measurement m = measurement(600);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(4096);
	struct cs_error err;

	assert_int_equal(cs_measurement_low_permille(&m), 300);
	assert_int_equal(cs_measurement_high_permille(&m), 815);
	assert_int_equal(cs_measurement_most_demand(&m), 2 * 630 + 2000);
	append(folder, 600);
	assert_int_equal(cs_file_read(folder->path, &text, &err), 0);
	assert_non_null(strstr(text.data, "\"low_permille\":300,\"high_permille\":815"));

	m.load_permille = -1;
	assert_int_equal(cs_measurement_low_permille(&m), 0);
	assert_int_equal(cs_measurement_high_permille(&m), 1000);
	m = (struct cs_measurement){.load_permille = 0};
	assert_int_equal(cs_measurement_low_permille(&m), 0);
	assert_int_equal(cs_measurement_high_permille(&m), 0);
}

static void test_below_quorum_is_kept_as_such(void **state)
{
	append(*state, -1);
	assert_int_equal(last_load(*state), -1);
}

static void test_nothing_is_not_found(void **state)
{
	assert_int_equal(last_load(*state), CS_E_NOT_FOUND);
	add_text(*state, "");
	assert_int_equal(last_load(*state), CS_E_NOT_FOUND);
	add_text(*state, "garbage\n\n{}\n");
	assert_int_equal(last_load(*state), CS_E_NOT_FOUND);
}

static void test_unreadable_and_torn_lines_are_passed_over(void **state)
{
	struct folder *folder = *state;

	append(folder, 100);
	add_text(folder, "garbage\n");
	assert_int_equal(last_load(folder), 100);
	add_text(folder, "{\"t\":1,\"bt\":1,\"load_permille\":999");
	assert_int_equal(last_load(folder), 100);
	append(folder, 200); /* ends the torn line first */
	assert_int_equal(last_load(folder), 200);
}

static void test_a_line_without_a_field_is_no_measurement(void **state)
{
	struct cs_measurement m;
	const char *whole = "{\"t\":1,\"bt\":2,\"load_permille\":3,\"servers\":4,"
			    "\"sampled\":5,\"missing\":6,\"warming\":7,\"boot\":\"x\"}";
	const char *none = "{\"t\":1,\"bt\":2,\"load_permille\":3,\"servers\":4,"
			   "\"sampled\":5,\"missing\":6,\"warming\":7}";

	(void)state;
	/* Lines of before there were stale members and other figures than the mean. */
	assert_true(cs_history_parse_line(whole, strlen(whole), &m));
	assert_int_equal(m.stale + m.above_mean_permille, 0);
	assert_false(cs_history_parse_line(none, strlen(none), &m));
}

static void test_rotates_and_still_finds_the_last(void **state)
{
	struct folder *folder = *state;
	CS_AUTO_FREE char *filler = cs_calloc(1, (1 << 20) + 1);
	struct stat st;

	memset(filler, 'x', 1 << 20);
	add_text(folder, filler);
	add_text(folder, "\n");
	append(folder, 100);
	assert_int_equal(stat(folder->old, &st), 0);
	assert_int_equal(st.st_size, (1 << 20) + 1);
	assert_int_equal(stat(folder->path, &st), 0);
	assert_in_range(st.st_size, 1, 1000);
	assert_int_equal(last_load(folder), 100);
	/* Moved away, the next line not written yet. */
	assert_int_equal(rename(folder->path, folder->old), 0);
	assert_int_equal(last_load(folder), 100);
	add_text(folder, "");
	assert_int_equal(last_load(folder), 100);
}

/* Two that saw a large file at once would move it twice, the second time without it. */
static void test_only_one_at_a_time_rotates(void **state)
{
	struct folder *folder = *state;
	CS_AUTO_FREE char *filler = cs_calloc(1, (1 << 20) + 1);
	CS_CLEANUP(cs_lock_release) struct cs_lock lock = CS_LOCK_NONE;
	struct cs_error err;
	struct stat st;

	memset(filler, 'x', 1 << 20);
	add_text(folder, filler);
	add_text(folder, "\n");
	assert_int_equal(cs_lock_take(folder->lock, "test", &lock, &err), 0);
	append(folder, 100);
	assert_int_equal(stat(folder->old, &st), -1);
	assert_int_equal(last_load(folder), 100);
	cs_lock_release(&lock);
	append(folder, 200);
	assert_int_equal(stat(folder->old, &st), 0);
	assert_int_equal(last_load(folder), 200);
}

/* Lines of a file that cs_history_parse_line() takes. */
static size_t count_lines(const char *path)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(8 << 20);
	struct cs_measurement ignored;
	struct cs_error err;
	size_t n = 0;
	char *rest, *line;

	assert_int_equal(cs_file_read(path, &text, &err), 0);
	rest = text.data;
	while ((line = strsep(&rest, "\n")))
		n += cs_history_parse_line(line, strlen(line), &ignored);
	return n;
}

/* Appends LINES_EACH lines as soon as the other end of `start` is closed. */
#define WRITERS 6
#define LINES_EACH 3
static pid_t start_writer(const char *dir, const int start[2])
{
	struct cs_measurement m = measurement(300);
	struct cs_error err;
	pid_t pid = fork();
	char byte;

	if (pid != 0)
		return pid;
	close(start[1]);
	if (read(start[0], &byte, 1) != 0)
		_exit(1);
	for (int i = 0; i < LINES_EACH; i++) {
		if (cs_history_append(dir, &m, &err) < 0)
			_exit(1);
	}
	_exit(0);
}

/* All find the file too large at the same time, and only one may move it away. */
static void test_writers_at_once_lose_nothing(void **state)
{
	struct folder *folder = *state;

	for (int round = 0; round < 10; round++) {
		CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(8 << 20);
		pid_t writers[WRITERS];
		struct cs_error err;
		int start[2], status;

		while (text.len <= 1 << 20)
			cs_strbuf_add(&text, "a line of before, which is 40 bytes\n");
		unlink(folder->old);
		assert_int_equal(cs_file_replace(folder->path, cs_strbuf_text(&text),
					 text.len, 0640, &err),
			0);
		assert_int_equal(pipe(start), 0);
		for (int i = 0; i < WRITERS; i++)
			writers[i] = start_writer(folder->dir, start);
		close(start[0]);
		close(start[1]);
		for (int i = 0; i < WRITERS; i++) {
			assert_int_equal(waitpid(writers[i], &status, 0), writers[i]);
			assert_int_equal(status, 0);
		}
		struct stat st;
		assert_int_equal(stat(folder->old, &st), 0);
		assert_true(st.st_size >= (off_t)text.len);
		assert_int_equal(count_lines(folder->old) + count_lines(folder->path),
			WRITERS * LINES_EACH);
	}
}

static void test_a_folder_that_is_gone_is_an_error(void **state)
{
	struct cs_measurement m = measurement(1);
	struct cs_error err;

	(void)state;
	assert_int_equal(cs_history_append("/nonexistent", &m, &err), CS_E_IO);
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_last_measurement_comes_back_whole),
		TEST(test_the_interval),
		TEST(test_below_quorum_is_kept_as_such),
		TEST(test_nothing_is_not_found),
		TEST(test_unreadable_and_torn_lines_are_passed_over),
		TEST(test_a_line_without_a_field_is_no_measurement),
		TEST(test_rotates_and_still_finds_the_last),
		TEST(test_only_one_at_a_time_rotates),
		TEST(test_writers_at_once_lose_nothing),
		TEST(test_a_folder_that_is_gone_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
