/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of a pass share. For publish*.c alone. */
#ifndef CS_DOMAIN_PUBLISH_PASS_H
#define CS_DOMAIN_PUBLISH_PASS_H

#include "base/strbuf.h"
#include "domain/publish.h"
#include "domain/publish_record.h"
#include "domain/publish_servers.h"
#include "format/haproxy_outline.h"
#include "format/haproxy_stat.h"

#define CS_PUBLISH_CONFIG_MAX (8 << 20)

struct cs_publish_pass {
	const struct cs_publish_site *site;
	const struct cs_publish_ports *ports;
	const struct cs_haproxy_spec *spec; /* paths and sockets: the same for all */
	struct cs_stamp now;
	int64_t now_wall_ms;
	struct cs_stamp reloaded; /* these two as the record has them or will */
	char installing[CS_PUBLISH_HASH_SIZE];
	bool dry_run;

	size_t n_clusters;
	struct cs_fleet_view *views; /* of each cluster, when listed */
	bool *listed;
	struct cs_publish_record record;
	struct cs_publish_servers servers;
	struct cs_haproxy_servers current; /* as of the last look */

	bool stirred;  /* HAProxy was told something since the last look */
	bool deferred; /* a reload is needed, and the last one is too young */

	struct cs_strbuf template;
	struct cs_strbuf installed; /* the configuration as it was found */
	struct cs_strbuf previous;  /* what goes back when a change fails */
	struct cs_strbuf rendered;
};

void cs_publish_say(const struct cs_publish_pass *pass, int priority, const char *format,
	...) CS_PRINTF(3, 4) CS_NONNULL(1, 3);

bool cs_publish_same_text(
	const struct cs_strbuf *one, const struct cs_strbuf *other) CS_NONNULL_ALL;

/* CS_E_REFUSED when the decided lines would empty the cluster's backend, or take more
 * servers out of it than max-shrink that serve and were never marked to be drained. */
int cs_publish_guard(const struct cs_publish_pass *pass, const struct cs_cluster *cluster,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Its backend may be left without a server, because a person says so. */
bool cs_publish_may_empty(const struct cs_publish_pass *pass,
	const struct cs_cluster *cluster) CS_NONNULL_ALL;

/* Asks the current worker for its servers. */
int cs_publish_look(
	struct cs_publish_pass *pass, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Adds what the old workers say when some server is marked. Without a master socket they
 * cannot be seen, and every marked server counts as exposed. */
int cs_publish_count_old(
	struct cs_publish_pass *pass, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Both. */
int cs_publish_count(
	struct cs_publish_pass *pass, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Sets marked servers to drain, and those back to ready that we drained and that are not
 * marked any more. */
int cs_publish_steer(
	struct cs_publish_pass *pass, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* The current worker has every decided line and none of the lines that leave. */
int cs_publish_check_running(const struct cs_publish_pass *pass,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* One command to a socket; its reply replaces what `ret` has. */
int cs_publish_ask(const struct cs_publish_pass *pass, const char *socket_path,
	const char *command, struct cs_strbuf *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* "VERB BACKEND/SERVER REST" to the stats socket, which says nothing when it worked. */
int cs_publish_order(struct cs_publish_pass *pass, const char *verb,
	const struct cs_publish_server *server, const char *rest,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* `show info`. */
int cs_publish_ask_info(const struct cs_publish_pass *pass, struct cs_haproxy_info *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* `show proc`; over the moments of a reload, ours or anybody's, in which the master is
 * away, when `wait`. */
int cs_publish_ask_procs(const struct cs_publish_pass *pass, bool wait,
	struct cs_haproxy_procs *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Writes pass->record, but for a dry run. */
int cs_publish_write_record(const struct cs_publish_pass *pass,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* The same when the servers or their file changed. `applied`: the hash that was proved to
 * be running, or NULL for the rest only. */
int cs_publish_save_record(struct cs_publish_pass *pass, const char *applied,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL(1, 3);

/* The change from pass->installed to pass->rendered. `before` and `after` are their
 * outlines. */
struct cs_publish_change {
	struct cs_haproxy_outline before, after;
	struct cs_haproxy_info info; /* of HAProxy as it runs */
};

/* Why a running HAProxy cannot be given the change by its socket, NULL when it can. Owned
 * by the caller. */
char *cs_publish_runtime_obstacle(const struct cs_publish_pass *pass,
	const struct cs_publish_change *change) CS_MUST_CHECK CS_NONNULL_ALL;

/* Adds the servers whose line is new, behind the gate that lets no request through before
 * their first good check, and removes those whose line is gone. */
int cs_publish_runtime(struct cs_publish_pass *pass,
	const struct cs_publish_change *change,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Orders a reload, waits until it is proved (another process behind the stats socket, the
 * master back again) and looks at the new servers. */
int cs_publish_reload(
	struct cs_publish_pass *pass, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Validates pass->rendered, installs it, and brings the running HAProxy in line with it:
 * by its socket or by a reload; or puts pass->installed back. Nothing at all when it
 * takes a reload and the last one is too young (pass->deferred). */
int cs_publish_apply(
	struct cs_publish_pass *pass, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
