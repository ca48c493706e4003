/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One command, one connection; see haproxy_socket.h. */
#include <config.h>
#include "client/haproxy_socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/trust.h"

#define RETRY_MS 10

/* What a person can do about an errno of connect(2). */
static int cannot_connect(const char *path, int errnum, struct cs_error *err)
{
	bool refused = errnum == EACCES || errnum == EPERM;
	const char *hint = "";

	if (errnum == ENOENT)
		hint = "; is HAProxy running, and is this the path in its configuration "
		       "('stats socket', or -S for the master)?";
	else if (errnum == ECONNREFUSED)
		hint = "; HAProxy is not running, is just reloading, or was started "
		       "without this socket; see systemctl status haproxy";
	else if (refused)
		hint = "; the user who runs this must be in the group of the socket "
		       "(Debian: haproxy)";
	cs_error_set_errno(err, errnum, "cannot connect to HAProxy's socket %s", path);
	CS_AUTO_FREE char *text = cs_asprintf("%s%s", err->message, hint);
	cs_error_set(err, refused ? CS_E_FORBIDDEN : CS_E_CONNECT, "%s", text);
	err->sys_errno = errnum;
	return err->code;
}

static int open_socket(
	const char *path, struct cs_deadline deadline, struct cs_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof address.sun_path)
		return cs_error_set(err, CS_E_CONFIG,
			"HAProxy's socket %s: the path is longer than %zu bytes", path,
			sizeof address.sun_path - 1);
	memcpy(address.sun_path, path, strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return cs_error_set_errno(err, errno, "cannot make a socket");
	while (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		int errnum = errno;

		/* EAGAIN: its queue is full, for as long as HAProxy is busy */
		if ((errnum == EAGAIN || errnum == EINTR) &&
			cs_deadline_sleep(deadline, RETRY_MS))
			continue;
		close(fd);
		return cannot_connect(path, errnum, err);
	}
	return fd;
}

static int wait_for(int fd, short events, struct cs_deadline deadline)
{
	struct pollfd pollfd = {.fd = fd, .events = events};

	for (;;) {
		int64_t left = cs_deadline_left_ms(deadline);
		int ready = poll(&pollfd, 1, (int)(left < 60000 ? left : 60000));
		if (ready > 0)
			return 0;
		if (left == 0 || (ready < 0 && errno != EINTR))
			return -1;
	}
}

static int send_command(int fd, const char *command, struct cs_deadline deadline)
{
	CS_AUTO_FREE char *line = cs_asprintf("%s\n", command);
	size_t sent = 0, len = strlen(line);

	while (sent < len) {
		ssize_t done = send(fd, line + sent, len - sent, MSG_NOSIGNAL);
		if (done >= 0)
			sent += (size_t)done;
		else if (errno != EINTR &&
			 (errno != EAGAIN || wait_for(fd, POLLOUT, deadline) < 0))
			return -1;
	}
	/* the master keeps the connection open otherwise */
	return shutdown(fd, SHUT_WR);
}

static int failed(const char *path, const char *command, struct cs_error *err)
{
	if (errno == EAGAIN)
		return cs_error_set(err, CS_E_TIMEOUT,
			"HAProxy's socket %s: no whole answer to '%s' in time", path,
			command);
	cs_error_set_errno(
		err, errno, "HAProxy's socket %s: '%s' lost its answer", path, command);
	err->code = CS_E_LOST;
	return err->code;
}

int cs_haproxy_ask(const char *socket_path, const char *command,
	struct cs_deadline deadline, struct cs_strbuf *ret, struct cs_error *err)
{
	CS_CLEANUP(cs_closep) int fd = open_socket(socket_path, deadline, err);
	char chunk[16384];

	if (fd < 0 || (geteuid() == 0 && cs_trust_check_peer(fd, socket_path, err) < 0))
		return err->code;
	if (send_command(fd, command, deadline) < 0)
		return failed(socket_path, command, err);
	for (;;) {
		ssize_t len = recv(fd, chunk, sizeof chunk, 0);
		if (len == 0)
			return cs_strbuf_check(ret, "HAProxy's answer", err);
		if (len > 0)
			cs_strbuf_add_bytes(ret, chunk, (size_t)len);
		else if (errno != EINTR &&
			 (errno != EAGAIN || wait_for(fd, POLLIN, deadline) < 0))
			return failed(socket_path, command, err);
	}
}
