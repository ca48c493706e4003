/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The line that `haproxy_sync --status` prints: what one load balancer's file and its
 * running HAProxy have of a cluster,
 *
 *     {"lb": "lb1", "applied": true, "failed": false, "servers": [{"name": "web1",
 *      "id": "<id>", "file": "10.0.0.5:80", "running": "10.0.0.5:80", "status": "UP",
 *      "sessions": 3}]}
 *
 * `id` is null for a server that haproxy_sync did not put there, `file` and `running` are
 * null where it is not. Pure. */
#ifndef CS_FORMAT_LB_STATUS_H
#define CS_FORMAT_LB_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"

struct cs_lb_server {
	char *name;
	char *id;      /* of Nova, or NULL */
	char *file;    /* ADDRESS:PORT of its line, or NULL */
	char *running; /* of the running HAProxy ("" when hidden), or NULL */
	char *status;  /* HAProxy's word ("UP", "DOWN", "MAINT", ...), NULL if not running
			*/
	int64_t sessions;
};

/* Owned by the caller. */
struct cs_lb_status {
	bool applied; /* the file is what haproxy_sync proved to be running */
	bool failed;  /* CONFIG.failed lies there */
	struct cs_lb_server *servers;
	size_t n;
};

/* Copies what it is given. */
void cs_lb_status_add(
	struct cs_lb_status *status, const struct cs_lb_server *server) CS_NONNULL_ALL;

/* CS_E_PROTOCOL when the last line that is not empty is anything else. */
int cs_lb_status_parse(const char *text, size_t len, struct cs_lb_status *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* One line without its end, owned by the caller. `lb` names this load balancer. */
char *cs_lb_status_text(
	const struct cs_lb_status *status, const char *lb) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_lb_status_done(struct cs_lb_status *status) CS_NONNULL_ALL;

#endif
