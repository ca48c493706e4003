/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/proc.h"
#include "base/secret.h"
#include "base/stamp.h"
#include "base/strbuf.h"

static char folder[] = "/tmp/cs-test-base.XXXXXX";

static char *in_folder(const char *name)
{
	return cs_asprintf("%s/%s", folder, name);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	CS_AUTO_FREE char *command = cs_asprintf("rm -rf %s", folder);

	(void)state;
	return system(command);
}

static void test_error_keeps_control_characters_out(void **state)
{
	struct cs_error err;

	(void)state;
	assert_int_equal(
		cs_error_set(&err, CS_E_CONFIG, "bad\nname \x1b[31m"), CS_E_CONFIG);
	assert_string_equal(err.message, "bad?name ?[31m");
	cs_error_prefix(&err, "cluster '%s'", "web");
	assert_string_equal(err.message, "cluster 'web': bad?name ?[31m");
	assert_int_equal(cs_error_advise(&err, "rename %s", "it"), CS_E_CONFIG);
	assert_string_equal(err.message, "cluster 'web': bad?name ?[31m; rename it");
}

static void test_error_too_long_ends_in_dots(void **state)
{
	struct cs_error err;
	char longer[1000];

	(void)state;
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	cs_error_set(&err, CS_E_IO, "%s", longer);
	assert_int_equal(strlen(err.message), sizeof err.message - 1);
	assert_string_equal(err.message + sizeof err.message - 4, "...");
	cs_error_prefix(&err, "%s", longer);
	assert_int_equal(strlen(err.message), sizeof err.message - 1);
}

static void test_strbuf_stops_at_its_ceiling(void **state)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf buf = CS_STRBUF(5);
	struct cs_error err;

	(void)state;
	assert_string_equal(cs_strbuf_text(&buf), "");
	cs_strbuf_add(&buf, "abc");
	assert_int_equal(cs_strbuf_check(&buf, "it", &err), 0);
	cs_strbuf_addf(&buf, "%d", 12345);
	assert_string_equal(cs_strbuf_text(&buf), "abc12");
	assert_int_equal(cs_strbuf_check(&buf, "it", &err), CS_E_LIMIT);
	assert_string_equal(err.message, "it is larger than the limit of 5 bytes");
	cs_strbuf_clear(&buf);
	assert_int_equal(cs_strbuf_check(&buf, "it", &err), 0);
}

static void test_parse_takes_the_whole_text_or_nothing(void **state)
{
	static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "1x", "0x10", "1e3",
		".5", "5.", "1.2345", "nan", "inf", "1,5", "9223372036854775808", "--1",
		"1.5.5"};
	int64_t value = 42;

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(bad); i++)
		assert_false(cs_parse_scaled(bad[i], 1000, INT64_MIN, INT64_MAX, &value));
	assert_int_equal(value, 42);
	assert_true(cs_parse_scaled("70.5", 1000, 0, 100000, &value));
	assert_int_equal(value, 70500);
	assert_true(cs_parse_scaled("-0.25", 1000, -1000, 0, &value));
	assert_int_equal(value, -250);
	assert_false(cs_parse_int("1.0", 0, 9, &value));
	assert_false(cs_parse_int("10", 0, 9, &value));
	assert_true(cs_parse_int("9", 0, 9, &value));
}

static void test_names_and_uuids(void **state)
{
	char uuid[CS_UUID_SIZE], other[CS_UUID_SIZE];

	(void)state;
	assert_true(cs_cluster_name_ok("web-1_A"));
	assert_false(cs_cluster_name_ok(""));
	assert_false(cs_cluster_name_ok("-web"));
	assert_false(cs_cluster_name_ok("../etc"));
	assert_false(cs_cluster_name_ok("a1234567890123456789012345678901234567890"));
	cs_uuid_make(uuid);
	cs_uuid_make(other);
	assert_true(cs_uuid_ok(uuid));
	assert_string_not_equal(uuid, other);
	assert_false(cs_uuid_ok("12345678-1234-1234-1234-12345678901"));
}

static void test_stamps_age_by_boot_time_within_a_boot(void **state)
{
	struct cs_stamp then = {.wall_ms = 9000, .boot_ms = 100, .boot_id = "a"};
	struct cs_stamp now = {.wall_ms = 5000, .boot_ms = 350, .boot_id = "a"};

	(void)state;
	assert_int_equal(cs_stamp_age_ms(&then, &now), 250);
	strcpy(now.boot_id, "b");
	assert_int_equal(cs_stamp_age_ms(&then, &now), -4000);
}

static void test_wall_text_round_trip(void **state)
{
	char text[CS_WALL_TEXT_SIZE];

	(void)state;
	assert_int_equal(cs_wall_parse("2026-11-23T21:46:56Z"), 1795470416000);
	assert_int_equal(cs_wall_parse("2026-11-23T21:46:56.000000Z"), 1795470416000);
	assert_int_equal(cs_wall_parse("2026-11-23T21:46:56+02:00"), -1);
	assert_int_equal(cs_wall_parse("yesterday"), -1);
	cs_wall_format(1795470416000, text);
	assert_string_equal(text, "2026-11-23T21:46:56Z");
}

static void test_replace_keeps_mode_and_link(void **state)
{
	CS_AUTO_FREE char *file = in_folder("file"), *link_path = in_folder("link");
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(100);
	struct cs_error err;
	struct stat st;

	(void)state;
	assert_int_equal(cs_file_replace(file, "one", 3, 0640, &err), 0);
	assert_int_equal(chmod(file, 0604), 0);
	assert_int_equal(symlink("file", link_path), 0);
	assert_int_equal(cs_file_replace(link_path, "two", 3, 0600, &err), 0);
	assert_int_equal(lstat(link_path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0604);
	assert_int_equal(cs_file_read(file, &text, &err), 0);
	assert_string_equal(cs_strbuf_text(&text), "two");
}

static void replaces(const char *file, const char *content)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(100);
	CS_AUTO_FREE char *left = cs_asprintf("%s.new", file);
	struct cs_error err;

	assert_int_equal(cs_file_replace(file, content, strlen(content), 0640, &err), 0);
	assert_int_equal(cs_file_read(file, &text, &err), 0);
	assert_string_equal(cs_strbuf_text(&text), content);
	assert_int_equal(access(left, F_OK), -1);
}

static void test_replace_takes_up_what_a_killed_run_left(void **state)
{
	CS_AUTO_FREE char *file = in_folder("again");
	CS_AUTO_FREE char *left = cs_asprintf("%s.new", file);
	CS_AUTO_FREE char *elsewhere = in_folder("elsewhere");
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(100);
	struct cs_error err;

	(void)state;
	assert_int_equal(cs_file_append(left, "longer than what follows\n", &err), 0);
	replaces(file, "one");
	assert_int_equal(cs_file_append(elsewhere, "kept\n", &err), 0);
	assert_int_equal(link(elsewhere, left), 0);
	replaces(file, "two");
	assert_int_equal(mkfifo(left, 0600), 0);
	assert_true(cs_file_replace(file, "x", 1, 0640, &err) < 0);
	assert_int_equal(unlink(left), 0);
	assert_int_equal(symlink(elsewhere, left), 0);
	assert_true(cs_file_replace(file, "x", 1, 0640, &err) < 0);
	assert_non_null(strstr(err.message, "cannot create"));
	assert_int_equal(cs_file_read(elsewhere, &text, &err), 0);
	assert_string_equal(cs_strbuf_text(&text), "kept\n");
}

static void test_own_files_are_plain_and_ours_alone(void **state)
{
	CS_AUTO_FREE char *target = in_folder("target"), *own = in_folder("own");
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(100);
	struct cs_lock lock = CS_LOCK_NONE;
	struct cs_error err;
	struct stat st;

	(void)state;
	assert_int_equal(cs_file_replace(target, "passwd", 6, 0600, &err), 0);
	assert_int_equal(cs_file_read_own(target, &text, &err), 0);
	assert_string_equal(cs_strbuf_text(&text), "passwd");
	assert_int_equal(cs_file_read_own(own, &text, &err), CS_E_NOT_FOUND);
	for (int what = 0; what < 5; what++) {
		int made = what == 0   ? symlink("target", own)
			   : what == 1 ? link(target, own)
			   : what == 2 ? mkfifo(own, 0600)
			   : what == 3 ? mkdir(own, 0700)
				       : symlink("/dev/zero", own);
		assert_int_equal(made, 0);
		assert_int_equal(cs_file_read_own(own, &text, &err), CS_E_REFUSED);
		assert_int_equal(cs_lock_take(own, "sync", &lock, &err), CS_E_REFUSED);
		assert_int_equal(lock.fd, -1);
		if (what == 3)
			assert_int_equal(rmdir(own), 0);
		else /* what is replaced is the name, whatever it was */
			assert_int_equal(
				cs_file_replace_own(own, "new", 3, 0600, &err), 0);
		assert_int_equal(stat(target, &st), 0);
		assert_int_equal(st.st_size, 6);
		unlink(own);
	}
	assert_int_equal(chmod(target, 0620), 0);
	assert_int_equal(cs_file_read_own(target, &text, &err), CS_E_REFUSED);
}

/* Makes `own` a plain file and a link to `target` by turns, until it is killed. */
static _Noreturn void swap(const char *own, const char *target, const char *next)
{
	struct cs_error err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		if (cs_file_replace_own(own, "mine", 4, 0600, &err) < 0 ||
			symlink(target, next) < 0 || rename(next, own) < 0)
			_exit(1);
	}
}

/* What `user` is told who may not make a folder in `parent`. */
static char *told(uid_t user, const char *parent)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/web", parent);
	struct cs_error err;

	assert_int_equal(seteuid(user), 0);
	int r = cs_state_dir_open(path, 0750, &err);
	assert_int_equal(seteuid(0), 0);
	assert_int_not_equal(r, 0);
	return cs_strdup(strstr(err.message, "denied"));
}

static void test_who_may_not_make_the_state_folder_is_told_what_to_do(void **state)
{
	CS_AUTO_FREE char *parent = in_folder("states");

	(void)state;
	if (geteuid() != 0)
		skip(); /* only root becomes somebody else */
	assert_int_equal(chmod(folder, 0755), 0);
	assert_int_equal(mkdir(parent, 0755), 0);
	CS_AUTO_FREE char *missing = told(2, parent);
	CS_AUTO_FREE char *to_make = cs_asprintf(
		"denied; as root type: install -d -o bin -m 750 %s/web", parent);
	assert_string_equal(missing, to_make);
	assert_int_equal(chmod(parent, 0700), 0);
	CS_AUTO_FREE char *closed = told(2, parent);
	CS_AUTO_FREE char *to_hand_over =
		cs_asprintf("denied; %s is closed to user bin; if it is for clusterscale "
			    "alone, as root type: chown bin %s; else choose another "
			    "state-dir",
			parent, parent);
	assert_string_equal(closed, to_hand_over);
	assert_int_equal(chown(parent, 1, 1), 0);
	CS_AUTO_FREE char *foreign = told(2, parent);
	CS_AUTO_FREE char *to_leave = cs_asprintf("denied; %s belongs to user daemon; "
						  "run this as: sudo -u daemon ...",
		parent);
	assert_string_equal(foreign, to_leave);
}

static void test_own_files_are_looked_at_after_the_open(void **state)
{
	CS_AUTO_FREE char *target = in_folder("aim"), *own = in_folder("swapped");
	CS_AUTO_FREE char *next = in_folder("next");
	struct cs_error err;
	int read = 0, refused = 0;

	(void)state;
	assert_int_equal(cs_file_replace(target, "passwd", 6, 0600, &err), 0);
	pid_t swapper = fork();
	if (swapper == 0)
		swap(own, target, next);
	while (read < 200 || refused < 200) {
		CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(100);
		struct cs_lock lock = CS_LOCK_NONE;
		int r = cs_file_read_own(own, &text, &err);

		assert_int_equal(waitpid(swapper, NULL, WNOHANG), 0);
		if (r == 0)
			assert_string_not_equal(cs_strbuf_text(&text), "passwd");
		else
			assert_true(r == CS_E_REFUSED || r == CS_E_NOT_FOUND);
		read += r == 0;
		refused += r == CS_E_REFUSED;
		if (cs_lock_take(own, "sync", &lock, &err) == 0)
			cs_lock_release(&lock);
	}
	kill(swapper, SIGKILL);
	assert_int_equal(waitpid(swapper, NULL, 0), swapper);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf aim = CS_STRBUF(100);
	assert_int_equal(cs_file_read(target, &aim, &err), 0);
	assert_string_equal(cs_strbuf_text(&aim), "passwd");
}

static void test_append_repairs_a_torn_line(void **state)
{
	CS_AUTO_FREE char *file = in_folder("lines");
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(100);
	struct cs_error err;

	(void)state;
	assert_int_equal(cs_file_append(file, "one\n", &err), 0);
	assert_int_equal(truncate(file, 2), 0);
	assert_int_equal(cs_file_append(file, "two\n", &err), 0);
	assert_int_equal(cs_file_read(file, &text, &err), 0);
	assert_string_equal(cs_strbuf_text(&text), "on\ntwo\n");
}

static void test_secret_file_of_others_is_refused(void **state)
{
	CS_AUTO_FREE char *file = in_folder("secret");
	CS_CLEANUP(cs_secret_freep) struct cs_secret *secret = NULL;
	struct cs_error err;

	(void)state;
	assert_int_equal(cs_file_replace(file, "s3cret\n", 7, 0640, &err), 0);
	assert_int_equal(cs_secret_from_file(file, &secret, &err), 0);
	assert_string_equal(cs_secret_expose(secret), "s3cret");
	assert_int_equal(chmod(file, 0644), 0);
	struct cs_secret *none = NULL;
	assert_int_equal(cs_secret_from_file(file, &none, &err), CS_E_REFUSED);
	assert_non_null(strstr(err.message, "type: chmod o= "));
	assert_null(strstr(err.message, "s3cret"));
}

static void test_lock_names_its_holder(void **state)
{
	CS_AUTO_FREE char *path = in_folder("lock");
	struct cs_lock mine = CS_LOCK_NONE, other = CS_LOCK_NONE;
	struct cs_error err;
	char expected[64];

	(void)state;
	assert_int_equal(cs_lock_peek(path, &err), 0);
	assert_int_equal(cs_lock_take(path, "scale", &mine, &err), 0);
	assert_int_equal(cs_lock_take(path, "scale", &other, &err), CS_E_LOCKED);
	snprintf(expected, sizeof expected, "another run (scale, pid %d, since 0 s)",
		getpid());
	assert_non_null(strstr(err.message, expected));
	assert_int_equal(cs_lock_peek(path, &err), CS_E_LOCKED);
	cs_lock_release(&mine);
	assert_int_equal(cs_lock_take(path, "scale", &other, &err), 0);
	cs_lock_release(&other);
}

static void test_proc_reports_output_and_status(void **state)
{
	char *const argv[] = {(char *)"sh", (char *)"-c",
		(char *)"pwd; echo err >&2; read x; exit 7", NULL};
	CS_CLEANUP(cs_proc_result_done) struct cs_proc_result result;
	struct cs_error err;

	(void)state;
	assert_int_equal(cs_proc_run(argv, cs_deadline_in(5000), &result, &err), 0);
	assert_int_equal(result.exit_status, 7);
	assert_string_equal(cs_strbuf_text(&result.out), "/\n");
	assert_string_equal(cs_strbuf_text(&result.err), "err\n");
}

static void test_proc_says_when_it_cannot_start(void **state)
{
	char *const argv[] = {(char *)"/nonexistent/program", NULL};
	CS_CLEANUP(cs_proc_result_done) struct cs_proc_result result = {0};
	struct cs_error err;

	(void)state;
	if (getenv("CS_VALGRIND"))
		return; /* see tests/run-valgrind */
	assert_int_equal(
		cs_proc_run(argv, cs_deadline_in(5000), &result, &err), CS_E_NOT_FOUND);
	assert_string_equal(err.message,
		"cannot start /nonexistent/program: No such file or directory");
}

/* More than a pipe holds, to one that reads all of it and to one that reads nothing. */
static void test_proc_gets_its_input(void **state)
{
	static const char *const programs[] = {"wc -c", "exit 3"};
	const size_t len = 3000000;
	CS_AUTO_FREE char *text = cs_calloc(len, 1);

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < CS_ARRAY_SIZE(programs); i++) {
		char *const argv[] = {
			(char *)"sh", (char *)"-c", (char *)programs[i], NULL};
		CS_CLEANUP(cs_proc_result_done) struct cs_proc_result result;
		struct cs_proc proc;
		struct cs_error err;

		assert_int_equal(cs_proc_start(argv, NULL, &proc, &err), 0);
		cs_proc_feed(&proc, text, len);
		assert_int_equal(
			cs_proc_finish(&proc, cs_deadline_in(5000), &result, &err), 0);
		assert_int_equal(result.exit_status, i == 0 ? 0 : 3);
		assert_string_equal(
			cs_strbuf_text(&result.out), i == 0 ? "3000000\n" : "");
		assert_int_equal(proc.pid, 0);
		cs_proc_end(&proc);
	}
}

static void test_proc_ends_one_that_waits(void **state)
{
	char *const argv[] = {(char *)"cat", NULL};
	struct cs_proc proc;
	struct cs_error err;

	(void)state;
	assert_int_equal(cs_proc_start(argv, NULL, &proc, &err), 0);
	pid_t pid = proc.pid;
	assert_int_equal(kill(pid, 0), 0);
	cs_proc_end(&proc);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(proc.in, -1);
}

static void test_proc_kills_the_whole_group_in_time(void **state)
{
	char *const argv[] = {
		(char *)"sh", (char *)"-c", (char *)"sleep 60 & sleep 60", NULL};
	CS_CLEANUP(cs_proc_result_done) struct cs_proc_result result;
	struct cs_error err;
	int64_t start = cs_monotonic_ms();

	(void)state;
	assert_int_equal(
		cs_proc_run(argv, cs_deadline_in(200), &result, &err), CS_E_TIMEOUT);
	assert_true(cs_monotonic_ms() - start < 5000);
}

static void test_map_finds_pairs(void **state)
{
	static char names[1000][8];
	CS_CLEANUP(cs_map_done) struct cs_map map = {0};

	(void)state;
	assert_null(cs_map_find(&map, "web", "1"));
	for (size_t i = 0; i < CS_ARRAY_SIZE(names); i++) {
		snprintf(names[i], sizeof names[i], "%d", (int)i);
		assert_true(cs_map_add(&map, i % 2 ? "web" : "api", names[i], names[i]));
	}
	assert_false(cs_map_add(&map, "web", "1", "another"));
	for (size_t i = 0; i < CS_ARRAY_SIZE(names); i++) {
		assert_ptr_equal(
			cs_map_find(&map, i % 2 ? "web" : "api", names[i]), names[i]);
		assert_null(cs_map_find(&map, i % 2 ? "api" : "web", names[i]));
	}
	assert_null(cs_map_find(&map, "we", "b1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error_keeps_control_characters_out),
		cmocka_unit_test(test_error_too_long_ends_in_dots),
		cmocka_unit_test(test_strbuf_stops_at_its_ceiling),
		cmocka_unit_test(test_parse_takes_the_whole_text_or_nothing),
		cmocka_unit_test(test_names_and_uuids),
		cmocka_unit_test(test_stamps_age_by_boot_time_within_a_boot),
		cmocka_unit_test(test_wall_text_round_trip),
		cmocka_unit_test(test_replace_keeps_mode_and_link),
		cmocka_unit_test(test_replace_takes_up_what_a_killed_run_left),
		cmocka_unit_test(test_own_files_are_plain_and_ours_alone),
		cmocka_unit_test(test_own_files_are_looked_at_after_the_open),
		cmocka_unit_test(test_append_repairs_a_torn_line),
		cmocka_unit_test(test_secret_file_of_others_is_refused),
		cmocka_unit_test(test_lock_names_its_holder),
		cmocka_unit_test(test_proc_reports_output_and_status),
		cmocka_unit_test(
			test_who_may_not_make_the_state_folder_is_told_what_to_do),
		cmocka_unit_test(test_proc_says_when_it_cannot_start),
		cmocka_unit_test(test_proc_gets_its_input),
		cmocka_unit_test(test_proc_ends_one_that_waits),
		cmocka_unit_test(test_map_finds_pairs),
		cmocka_unit_test(test_proc_kills_the_whole_group_in_time),
	};

	return cmocka_run_group_tests_name("base", tests, make_folder, remove_folder);
}
