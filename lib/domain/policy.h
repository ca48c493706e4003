/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How many servers there should be, and why. Pure: plain data in, a decision and its
 * whole derivation out; the clock is an input.
 *
 * Step: at or above scale-up-at `step-up` more, at or below scale-down-at `step-down`
 * fewer. Target: the demand, in busy servers, over the target, and the largest rise of
 * late kept ready on top; fewer only as the highest wish of the window and the proof that
 * the remaining ones, less one more, stay below the target. A schedule moves min and max.
 * While nothing is to be changed for the load, servers of an older image are replaced.
 * And everything that may forbid it. Loads are permille, times ms. */
#ifndef CS_DOMAIN_POLICY_H
#define CS_DOMAIN_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/mem.h"
#include "base/stamp.h"
#include "base/strbuf.h"
#include "domain/config.h"
#include "domain/evidence.h"
#include "domain/history.h"
#include "domain/journal.h"

struct json_object;

/* How far back the target policy looks for rises of the demand, beside its window. */
#define CS_POLICY_LOOKBACK_MS (1200 * CS_MS_PER_S)
/* What a server is believed to take until the cluster knows better. */
#define CS_POLICY_BOOT_MS (300 * CS_MS_PER_S)
/* The newest of a longer history count. */
#define CS_POLICY_HISTORY_MAX 512
#define CS_POLICY_LIMITERS_MAX 16

/* The servers of a complete list and the journal, as decisions count them; see
 * cs_plan_count(). */
struct cs_census {
	int64_t active;	   /* ACTIVE and not draining, and in service as far as we know */
	int64_t building;  /* under way: asked for and not in service yet */
	int64_t draining;  /* marked draining by us and still ACTIVE: can be taken back */
	int64_t exists;	   /* every server ever asked for that is not proved gone */
	int64_t unknown;   /* of those: in a cell that is down, and maybe not ours */
	int64_t deletable; /* may be chosen for deletion */
	int64_t old;	   /* of those: in service and of an older image */
	int64_t created_last_hour;    /* of ours, as Nova says */
	int64_t created_last_day;     /* likewise */
	int64_t last_created_wall_ms; /* the youngest of ours, as Nova says; 0: none */
	bool open_work;		      /* anything is under way or undecided */
};

/* What the present run has done already; zero before a run. */
struct cs_run_use {
	int64_t creates, deletes; /* intents */
	int64_t removed;	  /* those of the deletes that a decision chose */
	int64_t capacity;	  /* in service or under way when it began */
};

struct cs_policy_input {
	const struct cs_policy_spec *spec;
	const struct cs_server_spec *servers; /* NULL: Nova chooses their zone */
	int64_t min, max;
	struct cs_census census;
	const struct cs_rolling_spec *rolling; /* NULL or not present: none */
	const char *image_id;		       /* of new servers, or NULL: unknown */
	const struct cs_journal *journal;
	const struct cs_measurement *measurement; /* the newest; NULL: there is none */
	const struct cs_measurement *history;	  /* those before it, oldest first */
	size_t n_history;
	struct cs_run_use run;
	int64_t boot_ms; /* from POST to service; 0: CS_POLICY_BOOT_MS */
	const struct cs_evidence *members; /* behind the measurement, for the record */
	size_t n_members;
	struct cs_stamp now;
	bool finish_only; /* nothing new, except taking back drains to reach min */
	bool force;	  /* a person said that min does not matter */
	bool wordless;	  /* only the numbers are wanted: no reasons are written */
};

enum cs_direction { CS_DIRECTION_HOLD, CS_DIRECTION_UP, CS_DIRECTION_DOWN };

/* What changed the number of servers that are wanted. */
struct cs_limiter {
	const char *name; /* static: a key of the configuration, or a word */
	int64_t before, after;
};

/* Owned by the caller. */
struct cs_decision {
	enum cs_direction direction;
	int64_t wanted;	 /* by the policies, before any limit of acting */
	int64_t desired; /* servers in service or under way after it */
	int64_t undrain; /* drains to take back, the youngest first */
	int64_t create;
	int64_t remove;
	int64_t rolling_base; /* > 0: replaces servers, of which there are so many */
	int64_t measurement_wall_ms; /* what it rests on, 0: not on a measurement */
	bool unmeasured; /* it would have needed a fresh measurement: a refusal */
	struct cs_strings reasons; /* the derivation, a sentence each; never empty, unless
				      wordless */
	struct cs_limiter limiters[CS_POLICY_LIMITERS_MAX]; /* in order */
	size_t n_limiters;
	bool wordless;
};

void cs_policy_decide(
	const struct cs_policy_input *in, struct cs_decision *ret) CS_NONNULL_ALL;

/* What a person orders: `create` servers more, or `remove` fewer, of which `lost` count
 * as in service or under way, and `serving` as in service. */
struct cs_order {
	int64_t create, remove, lost, serving;
};

/* Needs no measurement and waits for no cool-down, but max, budgets and the hold after
 * failed creates stand, and so do min and the share per run without in->force:
 * CS_E_REFUSED says which one forbids it. All or nothing. */
int cs_policy_order(const struct cs_policy_input *in, const struct cs_order *order,
	struct cs_decision *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* How many more servers may be deleted now, whatever for. */
int64_t cs_policy_deletes_left(const struct cs_policy_spec *spec,
	const struct cs_journal *journal, const struct cs_run_use *run) CS_NONNULL_ALL;

void cs_decision_done(struct cs_decision *decision) CS_NONNULL_ALL;

/* Inputs and outcome as one JSON object; owned by the caller. It has `most_members` at
 * most, those that do not count first. */
struct json_object *cs_decision_json(const struct cs_policy_input *in,
	const struct cs_decision *decision,
	size_t most_members) CS_MUST_CHECK CS_NONNULL_ALL;

/* Members, reasons and the decision, a line each: what --explain prints and the plugin's
 * long output ends with. */
void cs_decision_text(const struct cs_policy_input *in,
	const struct cs_decision *decision, struct cs_strbuf *ret) CS_NONNULL_ALL;

/* The last line of it without its end: "decision: up to 4 servers". */
void cs_decision_outcome(
	const struct cs_decision *decision, struct cs_strbuf *ret) CS_NONNULL_ALL;

/* The reasons joined by "; ", without the first one, which counts the servers; owned by
 * the caller. */
char *cs_decision_why(const struct cs_decision *decision) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
