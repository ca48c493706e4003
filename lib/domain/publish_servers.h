/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The servers that one pass has to do with: what the cloud, the record and the workers of
 * HAProxy say of each, and what follows from it. Pure. For publish*.c alone. */
#ifndef CS_DOMAIN_PUBLISH_SERVERS_H
#define CS_DOMAIN_PUBLISH_SERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "domain/config.h"
#include "domain/fleet.h"
#include "domain/publish_record.h"
#include "format/haproxy_config.h"
#include "format/haproxy_stat.h"

struct cs_publish_server {
	const struct cs_cluster *cluster; /* borrowed */
	char *id, *name;
	char *endpoint; /* "" when it has no usable address */
	char *options;	/* of its line, without placeholders */

	/* the cloud; NULL: not in the list, borrowed otherwise */
	const struct cs_member *member;
	bool marked; /* to be drained */
	int64_t marked_wall_ms;

	/* the record */
	bool had_line, drained_by_us;

	/* HAProxy; `current` is NULL when the current worker has no server of the name,
	 * borrowed from the last look otherwise */
	const struct cs_haproxy_server *current;
	bool remnant; /* it has it in maintenance, without a line: `current` is NULL */
	int64_t sessions; /* in all workers that were looked at */
	bool exposed;	  /* another worker or name may still send it requests */

	bool sticky;   /* cookies or a stick table lead clients to it even when drained */
	bool held;     /* its cluster keeps the lines that it has */
	bool answers;  /* its port was probed and is open */
	bool has_line; /* decided: it has one in the next file; before that `had_line` */
};

struct cs_publish_servers {
	struct cs_publish_server *items;
	size_t n;
};

/* Members of the clusters' lists, but for those that nothing is known of, in their order
 * (views[i] belongs to clusters[i]), each with the name that the record has for it or a
 * new one that is not in `taken`, which grows by all names; behind them what only the
 * record knows. A cluster whose `listed` is false has those alone, and is held, as is
 * each that nothing is known of. */
void cs_publish_servers_build(const struct cs_cluster *const *clusters, size_t n_clusters,
	const struct cs_fleet_view *views, const bool *listed,
	const struct cs_publish_record *record, struct cs_haproxy_names *taken,
	struct cs_publish_servers *ret) CS_NONNULL_ALL;
void cs_publish_servers_done(struct cs_publish_servers *servers) CS_NONNULL_ALL;

/* Enters what the current worker says; forgets every other worker. */
void cs_publish_servers_observe(struct cs_publish_servers *servers,
	const struct cs_haproxy_servers *current) CS_NONNULL_ALL;

/* Adds what an old worker says. */
void cs_publish_servers_observe_old(struct cs_publish_servers *servers,
	const struct cs_haproxy_servers *old) CS_NONNULL_ALL;

/* The current worker has it, at its endpoint. */
bool cs_publish_is_present(const struct cs_publish_server *server) CS_NONNULL_ALL;

/* How a marked server is best kept from new requests: "drain", or "maint" when clients
 * stick to it and a tenth of drain-timeout has passed since the mark. */
const char *cs_publish_rest_state(
	const struct cs_publish_server *server, int64_t now_wall_ms) CS_NONNULL_ALL;

/* drain-timeout has passed since it was marked. */
bool cs_publish_is_overdue(
	const struct cs_publish_server *server, int64_t now_wall_ms) CS_NONNULL_ALL;

/* Nothing is going on with it and nothing can begin, in any worker; or it is overdue. */
bool cs_publish_is_quiet(
	const struct cs_publish_server *server, int64_t now_wall_ms) CS_NONNULL_ALL;

/* Decides who has a line: held ones as before; marked ones that are present and not
 * quiet; ACTIVE ones that are present or answer; others as long as they are present and
 * HAProxy's own check calls them UP (a server that migrates or reboots says nothing of
 * use about itself). */
void cs_publish_servers_decide(
	struct cs_publish_servers *servers, int64_t now_wall_ms) CS_NONNULL_ALL;

/* The servers of a cluster keep the lines that the record has, address and options
 * included. */
void cs_publish_servers_hold(struct cs_publish_servers *servers,
	const struct cs_cluster *cluster,
	const struct cs_publish_record *record) CS_NONNULL_ALL;

/* The lines of a cluster before (from the record) or after (decided). ret->rows is owned
 * by the caller, everything in it borrowed. */
void cs_publish_servers_group(const struct cs_publish_servers *servers,
	const struct cs_cluster *cluster, bool after,
	struct cs_haproxy_group *ret) CS_NONNULL_ALL;

/* The record after this pass. Without `applied` (NULL) lines and hash are as before. */
void cs_publish_servers_record(const struct cs_publish_servers *servers,
	const char *applied, const struct cs_publish_record *before,
	struct cs_publish_record *ret) CS_NONNULL(1, 3, 4);

#endif
