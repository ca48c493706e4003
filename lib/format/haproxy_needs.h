/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a configuration of HAProxy needs of the machine, and `haproxy -c` does not look
 * for: folders, addresses, file descriptors. Pure.
 *
 * For texts that `haproxy -c` has accepted. What cannot be judged here (variables, what
 * stands between .if and .endif, names of hosts) is left out. Source:
 * configuration manual, sections 2.2, 2.4, 3 and 5.1. */
#ifndef CS_FORMAT_HAPROXY_NEEDS_H
#define CS_FORMAT_HAPROXY_NEEDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/macros.h"
#include "base/mem.h"

/* Owned by the caller. */
struct cs_haproxy_needs {
	char *chroot;		     /* NULL: none */
	struct cs_strings sockets;   /* paths of Unix sockets to listen on */
	struct cs_strings addresses; /* "10.0.0.1:80" to listen on, one per port */
	int64_t maxconn, ulimit_n;   /* of the section global; 0: not set */
	bool lenient_limits;	     /* "no strict-limits": goes on with fewer */
	size_t servers;		     /* lines */
	/* Lines that let requests in, and that lead them to a backend ("listen" does),
	 * behind .if as well. */
	size_t binds, routes;
};

void cs_haproxy_needs_read(const char *text, struct cs_haproxy_needs *ret) CS_NONNULL_ALL;
void cs_haproxy_needs_done(struct cs_haproxy_needs *needs) CS_NONNULL_ALL;

/* One of `addresses` for bind(2); 0 when it is not a literal address with one port. */
socklen_t cs_haproxy_address(
	const char *text, struct sockaddr_storage *ret) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
