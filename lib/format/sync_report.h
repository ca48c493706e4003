/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The last line of what haproxy_sync prints: one load balancer's word on every server,
 *
 *     {"lb": "lb1", "list_taken": 1700000000000, "serving": ["<id>"],
 *      "sessions": {"<id>": 2}, "draining": [{"id": "<id>", "sessions": 3}],
 *      "drained": ["<id>"]}
 *
 * Servers are named by their Nova id, times are wall ms. A server that is in none of the
 * lists is unknown there: absence proves nothing. `sessions` are those of the serving
 * ones, and may be left out. */
#ifndef CS_FORMAT_SYNC_REPORT_H
#define CS_FORMAT_SYNC_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/mem.h"

struct cs_sync_sessions {
	char *id;
	int64_t sessions;
};

/* Owned by the caller. */
struct cs_sync_report {
	int64_t list_taken_wall_ms; /* the Nova list that it rests on */
	struct cs_strings serving, drained;
	struct cs_sync_sessions *draining, *sessions; /* sessions: of serving ones */
	size_t n_draining, n_sessions;
};

/* CS_E_PROTOCOL when the last line is anything else, or contradicts itself by giving one
 * server two states. */
int cs_sync_report_parse(const char *text, size_t len, struct cs_sync_report *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_sync_report_done(struct cs_sync_report *report) CS_NONNULL_ALL;

bool cs_sync_report_serves(
	const struct cs_sync_report *report, const char *server_id) CS_NONNULL_ALL;

/* False when it does not tell the sessions of that server. */
bool cs_sync_report_sessions(const struct cs_sync_report *report, const char *server_id,
	int64_t *ret) CS_NONNULL_ALL;

/* Drained, as of a list that was taken after `since_wall_ms`. */
bool cs_sync_report_drained(const struct cs_sync_report *report, const char *server_id,
	int64_t since_wall_ms) CS_NONNULL_ALL;

#endif
