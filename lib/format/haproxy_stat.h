/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What HAProxy's sockets answer: `show stat`, `show proc` and `show info`. Pure. Source:
 * HAProxy's management guide, sections 9.1, 9.3 and 9.4; forms of 2.4 to 3.2. Malformed
 * text is CS_E_PROTOCOL, more than 100,000 rows CS_E_LIMIT. */
#ifndef CS_FORMAT_HAPROXY_STAT_H
#define CS_FORMAT_HAPROXY_STAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/map.h"

/* A server of one worker. Borrows from its list. */
struct cs_haproxy_server {
	const char *backend, *name;
	const char
		*status; /* "UP", "UP 1/3", "DOWN", "DRAIN", "MAINT", "no check", ... */
	const char *endpoint; /* "10.0.0.5:80", "[::1]:80"; "" when the socket hides it */
	int64_t sessions;     /* running and queued */
};

/* Owned by the caller. */
struct cs_haproxy_servers {
	struct cs_haproxy_server *items;
	size_t n;
	char *text;	       /* what the items borrow from */
	struct cs_map by_name; /* of the backend and the server */
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

/* No request of any kind reaches it. */
bool cs_haproxy_in_maint(const struct cs_haproxy_server *server) CS_NONNULL_ALL;

/* New requests do not reach it: drained or in maintenance. */
bool cs_haproxy_rests(const struct cs_haproxy_server *server) CS_NONNULL_ALL;

/* The workers of a master, from `show proc`. */
struct cs_haproxy_procs {
	/* Reloads that failed since the last good one. 2.4 does not count them: 1 when it
	 * has no current worker, which is how it shows one, else 0. */
	int64_t failed;
	int64_t current; /* pid, 0 when there is none */
	/* Other workers, which the stats socket does not reach: those that finish what
	 * they had, and with nbproc (up to 2.4) those beside the current one. Owned. */
	int64_t *old;
	size_t n_old;
};
int cs_haproxy_parse_proc(const char *text, size_t len, struct cs_haproxy_procs *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_haproxy_procs_done(struct cs_haproxy_procs *procs) CS_NONNULL_ALL;

/* What the reply to `reload` says of one that failed, on one line; NULL when it says
 * nothing of the kind. Up to 2.6 it is empty, from 2.7 on "Success=0|1" and the log.
 * Owned by the caller. */
char *cs_haproxy_reload_failure(
	const char *reply, size_t len) CS_MUST_CHECK CS_NONNULL_ALL;

/* The first line of the replies to `add server` and commands that say nothing when they
 * worked (set, enable) that is another one than theirs; NULL when all worked. Owned by
 * the caller. */
char *cs_haproxy_add_failure(
	const char *replies, size_t len) CS_MUST_CHECK CS_NONNULL_ALL;

/* The worker that answered `show info`. */
struct cs_haproxy_info {
	int64_t pid;
	int version; /* CS_HAPROXY_VERSION(2, 6), 0 when it cannot be told */
};
#define CS_HAPROXY_VERSION(major, minor) ((major)*100 + (minor))
int cs_haproxy_parse_info(const char *text, size_t len, struct cs_haproxy_info *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
