/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What was asked for and what became of it: <dir>/journal, append-only, one JSON object a
 * line, fsync'd before the next step; moved to journal.1 when larger than 1 MiB, and what
 * is still true is written again at the head of the new one.
 *
 *   begin      prev                         a file begins; the chain value before it
 *   end        [creates, deletes,           it is about to become journal.1: so many
 *              creates_hour, deletes_hour]  intents of a day and of an hour are in the
 * one that goes for it; they count for as long again bind       auth_url, project, region
 * what ids in here mean; another one forgets the servers, as their ids mean nothing there
 *   intent     op, action, [server_id], name, why, [measurement], [decision],
 *              [zone], flavor               (of a create)
 *                                           before any request
 *   request    op, server_id                the create was accepted with this id
 *   result     op, action, outcome, detail  done | failed | cancelled
 *   published  server_id                    every load balancer serves it
 *   known      server_id, name              ours without an intent here: adopted, or
 *                                           carried over from journal.1
 *   gone       server_id, detail            deleted by somebody else: a complete list
 *                                           lacks it and Nova says 404
 *   drained    op, server_id, name, detail  how long it took and how many sessions it had
 *   pause, resume                           resume also forgives failed creates
 *
 * Every line has t, bt, boot (struct cs_stamp), run and type, and is sealed with a chain
 * value (journal_line.h). Writers hold the cluster's lock, except for pause and resume;
 * each line is written under journal.lock. */
#ifndef CS_DOMAIN_JOURNAL_H
#define CS_DOMAIN_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/mem.h"
#include "base/stamp.h"

struct json_object;

enum cs_action { CS_ACTION_CREATE, CS_ACTION_DELETE };
const char *cs_action_text(enum cs_action action); /* "create", "delete" */

/* An intent without result. */
struct cs_journal_op {
	char op[CS_UUID_SIZE];
	enum cs_action action;
	char *server_id; /* NULL until a create's answer is known */
	char *name;
	char *why;
	char *zone, *flavor; /* of a create; NULL: not said */
	int64_t measurement; /* that justified it, wall ms; 0: none */
	struct cs_stamp since;
};

/* How creates of one flavor in one availability zone fare; "": not said. */
struct cs_journal_place {
	char *zone, *flavor;
	int64_t failed_in_row;
	struct cs_stamp last_failed;
};

/* Boot times that are kept: the newest. */
#define CS_JOURNAL_BOOTS 20

/* The journal folded into what decisions need. Owned by the caller. */
struct cs_journal {
	struct cs_journal_op *open;
	size_t n_open;
	struct cs_strings published; /* server ids, in their order */
	struct cs_strings known;     /* likewise, of servers of ours not proved gone */
	bool paused;
	struct cs_stamp last_up, last_down; /* RESULTs that moved something; wall_ms 0:
					       never */
	int64_t creates_last_hour, deletes_last_hour; /* intents */
	int64_t creates_last_day, deletes_last_day;   /* likewise, and those of files that
							 were removed: never too few */
	struct cs_journal_place *places;	      /* where creates were asked for */
	size_t n_places;
	/* The last that justified an intent, 0: none; and how many, but for creates that
	 * failed. */
	int64_t used_measurement_wall_ms, used_intents;
	char *auth_url, *project, *region; /* NULL: not bound yet */
	/* of the last decision, if it replaced servers: policy_roll.c; 0 and NULL: not */
	int64_t rolling_base;
	char *rolling_image;
	int64_t boots_ms[CS_JOURNAL_BOOTS]; /* from intent to service */
	size_t n_boots;			    /* ever; the oldest are overwritten */
	bool ended;		    /* the last line is `end`: a rotation was cut off */
	char chain[CS_DIGEST_SIZE]; /* of the last line; "" without sealed ones */
};

/* A missing journal is an empty one. A damaged line in the middle is CS_E_PROTOCOL (hold,
 * a person has to look); a line that breaks off is a write that never happened. */
int cs_journal_load(const char *dir, const struct cs_stamp *now, struct cs_journal *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_journal_done(struct cs_journal *journal) CS_NONNULL_ALL;

/* Folds the text of one journal file into `journal`; `name` is for messages. */
int cs_journal_fold(const char *text, size_t len, const char *name,
	const struct cs_stamp *now, struct cs_journal *journal,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* How long a server takes until it is in service: the 95th percentile of the latest ones.
 * 0 when none is known. */
int64_t cs_journal_boot_ms(const struct cs_journal *journal) CS_NONNULL_ALL;

bool cs_journal_is_published(
	const struct cs_journal *journal, const char *server_id) CS_NONNULL_ALL;
bool cs_journal_is_known(
	const struct cs_journal *journal, const char *server_id) CS_NONNULL_ALL;

/* The open intent about a server: by its id or, for a create whose answer was lost, by
 * the op that the server is marked with (or NULL). NULL when there is none. */
const struct cs_journal_op *cs_journal_op_of(const struct cs_journal *journal,
	const char *server_id, const char *mark_op) CS_NONNULL(1);

/* NULL when no create ended there; zone and flavor may be NULL. */
const struct cs_journal_place *cs_journal_place_of(const struct cs_journal *journal,
	const char *zone, const char *flavor) CS_NONNULL(1);

/* One line to write; NULL and 0 are left out. Borrows everything. */
struct cs_journal_line {
	const char *type, *op, *action, *outcome, *server_id, *name, *why, *detail;
	const char *auth_url, *project, *region;
	const char *prev, *zone, *flavor;
	int64_t measurement; /* wall ms of the measurement that justified an intent */
	int64_t creates, deletes, creates_hour, deletes_hour; /* of `end` */
	struct json_object *decision;
};

#define CS_OUTCOME_DONE "done"
#define CS_OUTCOME_FAILED "failed"
#define CS_OUTCOME_CANCELLED "cancelled"

/* The line as it is written, without its end; owned by the caller. */
char *cs_journal_line_text(const char *run, const struct cs_stamp *at,
	const struct cs_journal_line *line) CS_MUST_CHECK CS_NONNULL_ALL;

/* A line as it was found; everything is borrowed for the call. */
struct cs_journal_entry {
	const char *file;
	size_t number; /* from 1 */
	struct cs_stamp at;
	const char *run; /* or NULL */
	struct cs_journal_line line;
	const char *problem; /* NULL, or what is wrong with it: the rest may be empty */
};

/* Returns 0 to go on, or a negative code, with which the reading ends. */
typedef int cs_journal_visit(
	void *context, const struct cs_journal_entry *entry, struct cs_error *err);

/* Visits every line of journal.1 and of the journal. `chain` is "" before, and after it
 * the chain value of the last line. */
int cs_journal_read(const char *dir, cs_journal_visit *visit, void *context,
	char chain[CS_DIGEST_SIZE], struct cs_error *err) CS_MUST_CHECK
	CS_NONNULL(1, 2, 4, 5);

/* Stamped with now and `run`; on disk when it returns 0. */
int cs_journal_append(const char *dir, const char *run,
	const struct cs_journal_line *line,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Begins a new file when the present one is larger than 1 MiB. */
int cs_journal_rotate(const char *dir, const char *run,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
