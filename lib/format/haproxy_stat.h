/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What HAProxy's sockets answer: `show stat`, `show proc`, `show info` and `show servers
 * state`. Pure. Source: HAProxy's management guide, sections 9.1, 9.3 and 9.4; forms of
 * 2.4 to 3.2. Malformed text is CS_E_PROTOCOL, more than 100,000 rows CS_E_LIMIT. */
#ifndef CS_FORMAT_HAPROXY_STAT_H
#define CS_FORMAT_HAPROXY_STAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/strbuf.h"
#include "format/haproxy_config.h"

/* A server of one worker. Owned by its list. */
struct cs_haproxy_server {
	char *backend, *name;
	char *status;	  /* "UP", "UP 1/3", "DOWN", "DRAIN", "MAINT", "no check", ... */
	char *endpoint;	  /* "10.0.0.5:80", "[::1]:80"; "" when the socket hides it */
	int64_t sessions; /* running and queued */
};

struct cs_haproxy_servers {
	struct cs_haproxy_server *items;
	size_t n;
};

/* The servers of `show stat` (other rows are skipped). */
int cs_haproxy_parse_stat(const char *text, size_t len, struct cs_haproxy_servers *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_haproxy_servers_done(struct cs_haproxy_servers *servers) CS_NONNULL_ALL;

/* NULL when there is none. Borrowed. */
const struct cs_haproxy_server *cs_haproxy_servers_find(
	const struct cs_haproxy_servers *servers, const char *backend,
	const char *name) CS_NONNULL_ALL;

/* Checked and up, or not checked at all. */
bool cs_haproxy_serves(const struct cs_haproxy_server *server) CS_NONNULL_ALL;

/* New requests do not reach it: drained or in maintenance. */
bool cs_haproxy_rests(const struct cs_haproxy_server *server) CS_NONNULL_ALL;

/* The workers of a master, from `show proc`. */
struct cs_haproxy_procs {
	int64_t failed;	 /* reloads that failed since the last good one; -1: not told */
	int64_t current; /* pid, 0 when there is none */
	int64_t *old;	 /* pids of workers that finish what they had; owned */
	size_t n_old;
};
int cs_haproxy_parse_proc(const char *text, size_t len, struct cs_haproxy_procs *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_haproxy_procs_done(struct cs_haproxy_procs *procs) CS_NONNULL_ALL;

/* The pid of the worker that answered `show info`. */
int cs_haproxy_parse_info(const char *text, size_t len, int64_t *ret_pid,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Copies a `show servers state` dump for the reload that brings `groups`. Left out are
 * servers of `before` that are not in `groups` any more (a later one of the same name
 * would begin with its drain or maintenance) and servers whose endpoint changes (a state
 * file overrides the port of the configuration). */
int cs_haproxy_state_copy(const char *dump, size_t len,
	const struct cs_haproxy_group *before, size_t n_before,
	const struct cs_haproxy_group *groups, size_t n_groups, struct cs_strbuf *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL(1, 7, 8);

#endif
