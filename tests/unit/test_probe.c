/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Probes of ports that are open, closed, deaf or odd. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/file.h"
#include "base/mem.h"
#include "client/probe.h"

static const struct cs_probe_spec tcp = {0};

static int listen_tcp(int family, int backlog, int64_t *ret_port)
{
	struct sockaddr_in v4 = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 v6 = {
		.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	bool is_v6 = family == AF_INET6;
	struct sockaddr *address = is_v6 ? (void *)&v6 : (void *)&v4;
	socklen_t size = is_v6 ? sizeof v6 : sizeof v4;
	int fd = socket(family, SOCK_STREAM, 0);

	*ret_port = 1;
	if (fd < 0 || bind(fd, address, size) < 0)
		return -1;
	assert_return_code(listen(fd, backlog), errno);
	assert_return_code(getsockname(fd, address, &size), errno);
	*ret_port = ntohs(is_v6 ? v6.sin6_port : v4.sin_port);
	return fd;
}

static void test_open_is_told_from_closed(void **state)
{
	int64_t open4, open6, closed;
	CS_CLEANUP(cs_closep) int fd = listen_tcp(AF_INET, 5, &open4);
	CS_CLEANUP(cs_closep) int fd6 = listen_tcp(AF_INET6, 5, &open6);
	int once = listen_tcp(AF_INET, 5, &closed);
	CS_AUTO_FREE char *to4 = cs_asprintf("127.0.0.1:%d", (int)open4);
	CS_AUTO_FREE char *to6 = cs_asprintf("[::1]:%d", (int)open6);
	CS_AUTO_FREE char *nowhere = cs_asprintf("127.0.0.1:%d", (int)closed);
	struct cs_probe probes[] = {{.endpoint = to4, .spec = &tcp},
		{.endpoint = nowhere, .spec = &tcp}, {.endpoint = to6, .spec = &tcp}};

	(void)state;
	close(once);
	cs_probe(probes, CS_ARRAY_SIZE(probes), 2000);
	assert_return_code(fd, errno);
	assert_string_equal(probes[0].why, "");
	assert_true(probes[0].good);
	assert_false(probes[1].good);
	assert_string_equal(probes[1].why, "Connection refused");
	assert_int_equal(probes[2].good, fd6 >= 0);
	cs_probe(probes, 0, 2000);
}

/* A listener whose queue is full drops SYNs, like a machine that boots. */
static int listen_deaf(int64_t *ret_port, int fillers[4])
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = listen_tcp(AF_INET, 0, ret_port);

	assert_return_code(fd, errno);
	address.sin_port = htons((uint16_t)*ret_port);
	for (size_t i = 0; i < 4; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(fillers[i], (struct sockaddr *)&address, sizeof address) < 0)
			assert_int_equal(errno, EINPROGRESS);
	}
	return fd;
}

static void test_dropped_packets_hold_nobody_up(void **state)
{
	enum { N = 300 }; /* more than there are at once */
	int fillers[4];
	int64_t deaf, open;
	CS_CLEANUP(cs_closep) int fd = listen_deaf(&deaf, fillers);
	CS_CLEANUP(cs_closep) int fd2 = listen_tcp(AF_INET, N, &open);
	CS_AUTO_FREE char *to_deaf = cs_asprintf("127.0.0.1:%d", (int)deaf);
	CS_AUTO_FREE char *to_open = cs_asprintf("127.0.0.1:%d", (int)open);
	struct cs_probe probes[N];
	int64_t start = cs_monotonic_ms();

	(void)state, (void)fd, (void)fd2;
	for (size_t i = 0; i < N; i++)
		probes[i] = (struct cs_probe){
			.endpoint = i % 4 ? to_open : to_deaf, .spec = &tcp};
	cs_probe(probes, N, 2000);
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(probes[i].good, i % 4 != 0);
		assert_string_equal(
			probes[i].why, i % 4 ? "" : "no answer within 2000 ms");
	}
	/* one after the other they would take 150 s */
	assert_in_range(cs_monotonic_ms() - start, 1950, 30000);
	for (size_t i = 0; i < CS_ARRAY_SIZE(fillers); i++)
		close(fillers[i]);
}

/* Answers one request: /NNN with that status, /host with 200 for "Host: www.example",
 * /mute not at all, /garbage with some, /endless with a body that has no end. */
static void answer(int fd)
{
	char request[4096] = "", reply[128] = "HTTP/1.1 500 No\r\n\r\n";
	size_t len = 0;

	while (!strstr(request, "\r\n\r\n") && len < sizeof request - 1) {
		ssize_t got = read(fd, request + len, sizeof request - 1 - len);
		if (got <= 0)
			return;
		len += (size_t)got;
		request[len] = '\0';
	}
	if (strncmp(request, "GET /mute ", 10) == 0)
		pause();
	if (strncmp(request, "GET /garbage ", 13) == 0)
		snprintf(reply, sizeof reply, "SSH-2.0\r\n\r\n");
	else if (strncmp(request, "GET /endless ", 13) == 0)
		snprintf(reply, sizeof reply, "HTTP/1.1 200 OK\r\n\r\nendless");
	else if (strncmp(request, "GET /host ", 10) == 0 &&
		 strstr(request, "\r\nHost: www.example\r\n"))
		snprintf(reply, sizeof reply,
			"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	else if (strncmp(request, "GET /../", 8) == 0)
		snprintf(reply, sizeof reply, "HTTP/1.1 %.3s X\r\nLocation: /200\r\n\r\n",
			request + 8);
	if (write(fd, reply, strlen(reply)) < 0)
		return;
	if (strncmp(request, "GET /endless ", 13) == 0)
		pause();
}

/* A web server with a process for each connection; to be killed as a group. */
static pid_t serve(int64_t *ret_port)
{
	int fd = listen_tcp(AF_INET, 50, ret_port);
	pid_t pid = fork();

	assert_return_code(pid, errno);
	if (pid > 0) {
		setpgid(pid, pid);
		close(fd);
		return pid;
	}
	setpgid(0, 0);
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int client = accept(fd, NULL, NULL);

		if (client >= 0 && fork() == 0) {
			answer(client);
			_exit(0);
		}
		close(client);
	}
}

static void assert_status(const char *endpoint, const char *path, const char *host,
	int64_t min, int64_t max, const char *why)
{
	struct cs_probe_spec spec = {(char *)path, (char *)host, min, max};
	struct cs_probe probe = {.endpoint = endpoint, .spec = &spec};

	cs_probe(&probe, 1, 3000);
	assert_string_equal(probe.why, why);
	assert_int_equal(probe.good, !*why);
}

static void test_the_status_decides(void **state)
{
	int64_t port;
	pid_t server = serve(&port);
	CS_AUTO_FREE char *to = cs_asprintf("127.0.0.1:%d", (int)port);
	struct cs_probe_spec mute_spec = {(char *)"/mute", NULL, 200, 399};
	struct cs_probe mute = {.endpoint = to, .spec = &mute_spec};

	(void)state;
	assert_status(to, "/../200", NULL, 200, 200, "");
	assert_status(to, "/../302", NULL, 200, 399, ""); /* not followed */
	assert_status(
		to, "/../302", NULL, 200, 200, "GET /../302: status 302, expected 200");
	assert_status(to, "/../503", NULL, 200, 399,
		"GET /../503: status 503, expected 200-399");
	assert_status(to, "/../503", NULL, 503, 503, "");
	assert_status(to, "/endless", NULL, 200, 399, "");
	assert_status(to, "/host", "www.example", 200, 200, "");
	assert_status(to, "/host", NULL, 200, 200, "GET /host: status 500, expected 200");
	assert_status(
		to, "/garbage", NULL, 200, 399, "GET /garbage: Unsupported protocol");
	cs_probe(&mute, 1, 200);
	assert_string_equal(mute.why, "GET /mute: no answer within 200 ms");
	kill(-server, SIGKILL);
	waitpid(server, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_is_told_from_closed),
		cmocka_unit_test(test_dropped_packets_hold_nobody_up),
		cmocka_unit_test(test_the_status_decides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
