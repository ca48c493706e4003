/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Does a TCP port accept connections? A new server must not be balanced before. */
#ifndef CS_CLIENT_TCP_PROBE_H
#define CS_CLIENT_TCP_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

struct cs_tcp_probe {
	const char *address; /* numeric IPv4 or IPv6; borrowed */
	int64_t port;
	bool open;     /* result: a connection was accepted */
	int sys_errno; /* result: why not; ETIMEDOUT when nothing came back in time */
};

/* Tries all of them at once, for at most `timeout_ms` altogether; connections that are
 * accepted are closed at once. */
void cs_tcp_probe(struct cs_tcp_probe *probes, size_t n, int64_t timeout_ms)
	CS_NONNULL(1);

#endif
