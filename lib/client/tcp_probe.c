/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Non-blocking connects under one poll; see tcp_probe.h. */
#include <config.h>
#include "client/tcp_probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/mem.h"

/* A connect under way, or -1 and the errno in `probe`. */
static int begin(struct cs_tcp_probe *probe)
{
	struct sockaddr_in v4 = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)probe->port)};
	struct sockaddr_in6 v6 = {
		.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)probe->port)};
	bool is_v6 = inet_pton(AF_INET6, probe->address, &v6.sin6_addr) == 1;

	probe->sys_errno = EINVAL;
	if (!is_v6 && inet_pton(AF_INET, probe->address, &v4.sin_addr) != 1)
		return -1;
	int fd = socket(is_v6 ? AF_INET6 : AF_INET,
		SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	probe->sys_errno = ETIMEDOUT;
	if (fd >= 0 &&
		(connect(fd, is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4,
			 is_v6 ? sizeof v6 : sizeof v4) == 0 ||
			errno == EINPROGRESS))
		return fd;
	probe->sys_errno = errno;
	if (fd >= 0)
		close(fd);
	return -1;
}

static void end(struct cs_tcp_probe *probe, struct pollfd *pollfd)
{
	socklen_t size = sizeof probe->sys_errno;

	if (getsockopt(pollfd->fd, SOL_SOCKET, SO_ERROR, &probe->sys_errno, &size) < 0)
		probe->sys_errno = errno;
	probe->open = probe->sys_errno == 0;
	close(pollfd->fd);
	pollfd->fd = -1;
}

void cs_tcp_probe(struct cs_tcp_probe *probes, size_t n, int64_t timeout_ms)
{
	CS_AUTO_FREE struct pollfd *fds = cs_calloc(n + 1, sizeof *fds);
	struct cs_deadline deadline = cs_deadline_in(timeout_ms);
	size_t pending = 0;

	for (size_t i = 0; i < n; i++) {
		probes[i].open = false;
		fds[i] = (struct pollfd){.fd = begin(&probes[i]), .events = POLLOUT};
		pending += fds[i].fd >= 0;
	}
	for (int64_t left; pending && (left = cs_deadline_left_ms(deadline)) > 0;) {
		if (poll(fds, n, (int)left) < 0 && errno != EINTR)
			break;
		for (size_t i = 0; i < n; i++) {
			if (fds[i].fd >= 0 && fds[i].revents) {
				end(&probes[i], &fds[i]);
				pending--;
			}
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (fds[i].fd >= 0)
			close(fds[i].fd);
	}
}
