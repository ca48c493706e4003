/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What was asked for and what became of it: <dir>/journal, append-only, one JSON object a
 * line, fsync'd before the next step; moved to journal.1 when larger than 1 MiB, and what
 * is still open is written again at the head of the new one.
 *
 *   bind       auth_url, project, region    what ids in here mean; first line
 *   intent     op, action, [server_id], name, why, [measurement]   before any request
 *   request    op, server_id                the create was accepted with this id
 *   result     op, outcome, detail          done | failed | cancelled
 *   published  server_id                    every load balancer serves it
 *   pause, resume
 *
 * Every line has t, bt, boot (struct cs_stamp), run and type. */
#ifndef CS_DOMAIN_JOURNAL_H
#define CS_DOMAIN_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/mem.h"
#include "base/stamp.h"

enum cs_action { CS_ACTION_CREATE, CS_ACTION_DELETE };

/* An intent without result. */
struct cs_journal_op {
	char op[CS_UUID_SIZE];
	enum cs_action action;
	char *server_id; /* NULL until a create's answer is known */
	char *name;
	char *why;
	struct cs_stamp since;
};

/* The journal folded into what decisions need. Owned by the caller. */
struct cs_journal {
	struct cs_journal_op *open;
	size_t n_open;
	struct cs_strings published; /* server ids */
	bool paused;
	struct cs_stamp last_up, last_down;	      /* RESULTs; wall_ms 0: never */
	int64_t creates_last_hour, deletes_last_hour; /* intents */
	int64_t failed_creates_in_row;
	int64_t used_measurement_wall_ms;  /* newest one that justified an intent, 0: none
					    */
	char *auth_url, *project, *region; /* NULL: not bound yet */
};

/* A missing journal is an empty one. A damaged line in the middle is CS_E_PROTOCOL (hold,
 * a person has to look); an incomplete last line is a write that never happened. */
int cs_journal_load(const char *dir, const struct cs_stamp *now, struct cs_journal *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_journal_done(struct cs_journal *journal) CS_NONNULL_ALL;

bool cs_journal_is_published(
	const struct cs_journal *journal, const char *server_id) CS_NONNULL_ALL;

#endif
