/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The socket client against scripted peers. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "client/haproxy_socket.h"

static char folder[] = "/tmp/cs-test-socket.XXXXXX";
static char *path;

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	path = cs_asprintf("%s/admin.sock", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	free(path);
	return rmdir(folder);
}

static int listen_at(const char *where)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	unlink(where);
	memcpy(address.sun_path, where, strlen(where));
	assert_return_code(bind(fd, (struct sockaddr *)&address, sizeof address), errno);
	assert_return_code(listen(fd, 5), errno);
	return fd;
}

/* A peer for one connection that reads all that is sent, answers and ends; it exits 0
 * when `expected` was what it read. With `answer` NULL it hangs until it is hung up on.
 */
static pid_t serve(int listener, const char *expected, const char *answer)
{
	pid_t pid = fork();
	char got[256];
	size_t len = 0;
	ssize_t n;

	if (pid != 0)
		return pid;
	int fd = accept(listener, NULL, NULL);
	while ((n = read(fd, got + len, sizeof got - 1 - len)) > 0)
		len += (size_t)n;
	got[len] = '\0';
	if (answer)
		n = write(fd, answer, strlen(answer));
	else
		n = poll(&(struct pollfd){.fd = fd}, 1, 5000);
	_exit(strcmp(got, expected) != 0);
}

static void assert_served(pid_t pid)
{
	int status = -1;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_one_command_and_its_whole_answer(void **state)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf answer = CS_STRBUF(64);
	CS_CLEANUP(cs_closep) int listener = listen_at(path);
	pid_t pid = serve(listener, "show stat\n", "# pxname\n\n");
	struct cs_error err;

	(void)state;
	assert_int_equal(
		cs_haproxy_ask(path, "show stat", cs_deadline_in(3000), &answer, &err),
		0);
	assert_string_equal(cs_strbuf_text(&answer), "# pxname\n\n");
	assert_served(pid);
}

static void test_an_answer_beyond_the_ceiling_is_an_error(void **state)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf answer = CS_STRBUF(4);
	CS_CLEANUP(cs_closep) int listener = listen_at(path);
	pid_t pid = serve(listener, "x\n", "too long");
	struct cs_error err;

	(void)state;
	assert_int_equal(cs_haproxy_ask(path, "x", cs_deadline_in(3000), &answer, &err),
		CS_E_LIMIT);
	assert_served(pid);
}

static void test_a_silent_socket_ends_at_the_deadline(void **state)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf answer = CS_STRBUF(64);
	CS_CLEANUP(cs_closep) int listener = listen_at(path);
	pid_t pid = serve(listener, "show stat\n", NULL);
	int64_t start = cs_monotonic_ms();
	struct cs_error err;

	(void)state;
	assert_int_equal(
		cs_haproxy_ask(path, "show stat", cs_deadline_in(100), &answer, &err),
		CS_E_TIMEOUT);
	assert_in_range(cs_monotonic_ms() - start, 90, 2000);
	CS_AUTO_FREE char *expected = cs_asprintf(
		"HAProxy's socket %s: no whole answer to 'show stat' in time", path);
	assert_string_equal(err.message, expected);
	assert_served(pid);
}

static void test_nobody_there_says_what_to_do(void **state)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf answer = CS_STRBUF(64);
	struct cs_error err;
	char longer[200];

	(void)state;
	unlink(path);
	assert_int_equal(cs_haproxy_ask(path, "x", cs_deadline_in(1000), &answer, &err),
		CS_E_CONNECT);
	assert_int_equal(err.sys_errno, ENOENT);
	assert_non_null(strstr(err.message, "is HAProxy running"));
	close(listen_at(path));
	assert_int_equal(cs_haproxy_ask(path, "x", cs_deadline_in(1000), &answer, &err),
		CS_E_CONNECT);
	assert_int_equal(err.sys_errno, ECONNREFUSED);
	assert_non_null(strstr(err.message, path));
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	assert_int_equal(cs_haproxy_ask(longer, "x", cs_deadline_in(1000), &answer, &err),
		CS_E_CONFIG);
}

static void test_no_right_to_connect_names_the_group(void **state)
{
	CS_CLEANUP(cs_closep) int listener = listen_at(path);
	int status;

	(void)state;
	chmod(path, 0); /* which keeps out its owner too */
	chmod(folder, 0755);
	pid_t pid = fork();
	if (pid == 0) {
		CS_CLEANUP(cs_strbuf_done) struct cs_strbuf answer = CS_STRBUF(64);
		struct cs_error err = {0};

		if (geteuid() == 0 && setuid(65534) < 0)
			_exit(2);
		int r = cs_haproxy_ask(path, "x", cs_deadline_in(1000), &answer, &err);
		_exit(r != CS_E_FORBIDDEN || !strstr(err.message, "group of the socket"));
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	(void)listener;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_command_and_its_whole_answer),
		cmocka_unit_test(test_an_answer_beyond_the_ceiling_is_an_error),
		cmocka_unit_test(test_a_silent_socket_ends_at_the_deadline),
		cmocka_unit_test(test_nobody_there_says_what_to_do),
		cmocka_unit_test(test_no_right_to_connect_names_the_group),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
