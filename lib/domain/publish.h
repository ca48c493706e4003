/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Brings one HAProxy in line with its clusters: one pass, which never waits for sessions.
 * Everything outside is reached through one struct of functions, so that a test can fail
 * it at every step.
 *
 * The order within a pass, and why no request is lost (measured with HAProxy 2.6):
 *
 *  1. Lists, template, sockets and probes are looked at before anything is changed. A new
 *     server gets its line only once its port answers: HAProxy calls a server UP before
 *     its first check, and would send it requests at once.
 *  2. What is going to be drained is written down, so that a later pass can tell its own
 *     drains from those of a person, whoever dies in between.
 *  3. Marked servers are set to drain, at every pass, because a reload may forget it.
 *  4. Sessions are counted after that, in every worker: a worker that was reloaded away
 *     lives on with what it had, deaf to commands, and one that was replaced before the
 *     drain still sends requests of its kept connections to the server. So a server
 *     leaves only with no session anywhere and no such worker left, or drain-timeout
 *     after its mark, when what remains is shut and counted.
 *     Clients that stick to a drained server are moved by maintenance, after a tenth of
 *     that time.
 *  5. It is set to maintenance just before the file without it is installed: whatever
 *     worker there is keeps that state and cannot send it anything any more, one that the
 *     next reload makes an old one included. There it stays until a reload forgets it.
 *     Only from 3.0 on it is deleted: `del server` crashes 2.6, master and all.
 *  6. The file goes first, backup kept and validated, then HAProxy: by its socket when
 *     the texts differ in nothing but servers of ours and all that counts was applied
 *     before. A new server is let in behind a gate: weight 0, enabled, said to be down,
 *     then its weight, so that it gets nothing before HAProxy's own check was good. Any
 *     refusal is a reload. A reload brings new servers DOWN by the state file, comes once
 *     in min-reload-interval, and is proved: a new process behind the stats socket that
 *     has exactly the lines. Anything else puts the old file back.
 *  7. Only then is it counted once more, in all workers, and only what holds nowhere is
 *     reported as drained. A server in maintenance without a line holds nothing. */
#ifndef CS_DOMAIN_PUBLISH_H
#define CS_DOMAIN_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/file.h"
#include "base/macros.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/strbuf.h"
#include "client/probe.h"
#include "domain/config.h"
#include "domain/fleet.h"
#include "format/lb_status.h"

/* What has time while somebody else works. */
struct cs_publish_meanwhile {
	void (*call)(void *context);
	void *context;
};

/* What a pass does to the world. Functions that return int return 0 or fill `err` and
 * return its code. */
struct cs_publish_ports {
	void *context;

	/* One complete list of the cluster's members; cs_fleet_look(). */
	int (*list)(void *context, const struct cs_cluster *cluster,
		struct cs_fleet_view *ret, struct cs_error *err);
	void (*probe)(void *context, struct cs_probe *probes, size_t n);

	/* cs_file_read() and cs_file_replace(). */
	int (*read)(void *context, const char *path, struct cs_strbuf *ret,
		struct cs_error *err);
	int (*write)(void *context, const char *path, const struct cs_strbuf *text,
		mode_t mode, struct cs_error *err);
	/* The same for the configuration in two steps, of which the first takes the time
	 * and changes nothing yet. After a power failure the old one may be back. */
	int (*stage)(void *context, const struct cs_strbuf *text, mode_t mode,
		struct cs_error *err);
	int (*commit)(void *context, struct cs_error *err);

	/* CS_E_CONFIG with HAProxy's own words when it does not accept `text`. It looks
	 * at it in a process of its own; `meanwhile`, if any, is called during that. */
	int (*validate)(void *context, const struct cs_strbuf *text,
		const struct cs_publish_meanwhile *meanwhile, struct cs_error *err);
	/* Appends `diff -u` from the configuration to `text`. */
	int (*diff)(void *context, const struct cs_strbuf *text, struct cs_strbuf *ret,
		struct cs_error *err);

	/* cs_haproxy_ask(), within a few seconds. */
	int (*ask)(void *context, const char *socket_path, const char *command,
		struct cs_strbuf *ret, struct cs_error *err);
	/* A configured reload command; a failure has its words. */
	int (*run)(void *context, const struct cs_strings *argv, struct cs_error *err);

	/* False when the time for the whole run is over. */
	bool (*pause)(void *context, int64_t ms);
	/* One line for people: LOG_WARNING what is not as it should be, LOG_NOTICE what
	 * was changed, LOG_INFO what goes on, LOG_DEBUG what was found. */
	void (*say)(void *context, int priority, const char *text);
};

/* One configuration file, the clusters that render into it, and our files about it. */
struct cs_publish_site {
	const struct cs_cluster **clusters; /* in the order of the configuration */
	size_t n_clusters;
	size_t asked;	   /* index of the cluster that the run is about */
	bool allow_empty;  /* its backend may be left without a server; false */
	char *config_path; /* resolved */
	char *record_path, *backup_path;
	struct cs_lock lock;
	bool waited; /* for it: another run has just left little to do */
};

/* Finds every cluster of `config` whose haproxy.config is the same file, and takes the
 * lock of that file (in haproxy.state-dir). CS_E_CONFIG when two of them differ in
 * anything that there is only one of; CS_E_LOCKED names the holder, when it still holds
 * it after 30 s. Borrows the clusters. */
int cs_publish_site_open(const struct cs_config *config, const struct cs_cluster *cluster,
	struct cs_publish_site *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
/* The same for a look that changes nothing: without the lock, whoever holds it. */
int cs_publish_site_look(const struct cs_config *config, const struct cs_cluster *cluster,
	struct cs_publish_site *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_publish_site_close(struct cs_publish_site *site) CS_NONNULL_ALL;

/* CS_E_CONFIG when there is no template, or no place in it for the servers of a cluster:
 * every pass would end with it. Asks neither cloud nor HAProxy. */
int cs_publish_check_template(const struct cs_publish_site *site,
	const struct cs_publish_ports *ports,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Appends HAProxy's template to `ret`; CS_E_CONFIG when there is none, and where to
 * begin. */
int cs_publish_read_template(const char *path, const struct cs_publish_ports *ports,
	struct cs_strbuf *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

struct cs_publish_draining {
	char *id;
	int64_t sessions; /* in all workers */
};

/* The load balancer's word on the asked cluster, by Nova id. A server that is in none of
 * the lists is unknown here. Owned by the caller. */
struct cs_publish_report {
	int64_t list_taken_wall_ms;
	struct cs_strings serving; /* the running HAProxy has it UP, or unchecked */
	int64_t *sessions;	   /* of each of them */
	struct cs_publish_draining *draining;
	size_t n_draining;
	struct cs_strings drained;    /* marked, and in no worker that could send to it */
	bool open;		      /* something is not yet as it should be */
	char *diff;		      /* of a dry run, "" when nothing would change */
	struct cs_publish_pass *pass; /* all that it was made from; no longer of use */
};

/* One pass over all clusters of the site. With `dry_run` nothing is changed. The asked
 * cluster's list empty: CS_E_NOT_FOUND, and CS_E_REFUSED when its backend would lose all
 * of its servers, or more than max-shrink without a drain; nothing was changed then.
 * Another cluster of the file that cannot be listed or is refused keeps the lines it has.
 * CS_E_VERIFY: a reload failed and the old file is back. */
int cs_publish_run(const struct cs_publish_site *site,
	const struct cs_publish_ports *ports, bool dry_run, struct cs_publish_report *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_publish_report_done(struct cs_publish_report *report) CS_NONNULL_ALL;

/* The report as the one line that nova_scale reads. `lb` names this load balancer. */
char *cs_publish_report_text(const struct cs_publish_report *report,
	const char *lb) CS_MUST_CHECK CS_NONNULL_ALL;

/* What the file, the record and the running HAProxy have of the asked cluster. Changes
 * nothing and asks no cloud; ports: read and ask. */
int cs_publish_status(const struct cs_publish_site *site,
	const struct cs_publish_ports *ports, struct cs_lb_status *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* The real world, for one run. Borrows all of it. */
struct cs_publish_world {
	const struct cs_config *config;
	const struct cs_publish_site *site;
	struct cs_deadline deadline; /* for the whole run */
	void (*say)(int priority, const char *text);
	struct cs_proc early; /* HAProxy's check that waits for its file, if any */
	struct cs_file_new staged;
};
struct cs_publish_ports cs_publish_world_ports(
	struct cs_publish_world *world) CS_NONNULL_ALL;
void cs_publish_world_done(struct cs_publish_world *world) CS_NONNULL_ALL;

#endif
