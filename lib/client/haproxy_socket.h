/* SPDX-License-Identifier: GPL-3.0-or-later */
/* HAProxy's stats and master sockets. Source: management guide, sections 9.3 and 9.4. */
#ifndef CS_CLIENT_HAPROXY_SOCKET_H
#define CS_CLIENT_HAPROXY_SOCKET_H

#include "base/deadline.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/strbuf.h"

/* Sends one command over a connection of its own and appends the whole reply to `ret`
 * (beyond its ceiling: CS_E_LIMIT). HAProxy reports its own errors as ordinary replies.
 * CS_E_CONNECT: nobody listens there, CS_E_FORBIDDEN: no right to connect, CS_E_REFUSED:
 * this is root and somebody listens whom it does not believe; nothing was sent.
 * CS_E_LOST: the connection broke after the command, as it does when the master begins to
 * reload. CS_E_TIMEOUT at the deadline. */
int cs_haproxy_ask(const char *socket_path, const char *command,
	struct cs_deadline deadline, struct cs_strbuf *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL(1, 2, 4, 5);

#endif
