/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From what is (a complete list and the journal) to the next step for each server. Pure.
 * Every step looks at a state and makes one transition, so whoever comes next, after a
 * crash or on another host, goes on from there. */
#ifndef CS_DOMAIN_PLAN_H
#define CS_DOMAIN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "domain/config.h"
#include "domain/fleet.h"
#include "domain/journal.h"
#include "domain/policy.h"

/* How long a server that was asked for may be missing from complete lists before that
 * proves anything. The request alone may take a minute, and Nova may go on with it when
 * nobody waits for its answer any more. */
#define CS_PLAN_GRACE_MS (180 * CS_MS_PER_S)

#define CS_PLAN_CHOSEN_SIZE 64

/* The tag of a cluster's servers, followed by its name. */
#define CS_PLAN_TAG "clusterscale:"

enum cs_step_kind {
	/* open work, whoever began it */
	CS_STEP_PROVE_GONE,  /* not listed: gone when Nova says 404 */
	CS_STEP_DISPROVE,    /* a create without a server: it was never carried out */
	CS_STEP_NOTE_ID,     /* a create whose answer was lost: the list has its server */
	CS_STEP_WAIT,	     /* under way in Nova */
	CS_STEP_PUBLISH,     /* ACTIVE: probe, load balancers, record */
	CS_STEP_FAIL,	     /* the create failed; the server stays */
	CS_STEP_REMOVE,	     /* the create failed: intent to delete, then its result */
	CS_STEP_EXCESS,	     /* its own create, beyond max: likewise */
	CS_STEP_ADOPT_DRAIN, /* marked draining without an intent: write one */
	CS_STEP_MARK,	     /* intent to delete, not (readably) marked yet */
	CS_STEP_DRAIN,	     /* marked: load balancers; DELETE once drained */
	CS_STEP_DELETE,	     /* to be deleted and serving nobody */
	CS_STEP_DROP,	     /* intent to delete that no longer holds: cancel it */
	/* not work: repaired in passing */
	CS_STEP_TAG,
	/* what a decision adds */
	CS_STEP_UNDRAIN, /* take the drain back */
	CS_STEP_CREATE,
	CS_STEP_CHOOSE, /* a victim: intent to delete; its create, if open, is given up */
	CS_STEP_REAP,	/* likewise, unless it is in service after all */
};

struct cs_step {
	enum cs_step_kind kind;
	const struct cs_member *member;	  /* borrowed from the view, or NULL */
	const struct cs_journal_op *op;	  /* borrowed from the journal, or NULL */
	const char *server_id;		  /* borrowed, or NULL */
	const char *why;		  /* static text, or NULL */
	char chosen[CS_PLAN_CHOSEN_SIZE]; /* why this victim, or empty */
	const char *zone;		  /* of a create, borrowed; NULL: Nova chooses */
};

/* Owned by the caller. */
struct cs_plan {
	struct cs_step *steps;
	size_t n;
};

/* One figure for each of some servers, in the order of their ids. Owned by the caller. */
struct cs_plan_figures {
	struct cs_plan_figure {
		char *server_id;
		int64_t value;
	} * items;
	size_t n;
};

/* What a choice among servers rests on, beside the list and the journal. Who is missing
 * in it is unknown. Owned by the caller. */
struct cs_plan_evidence {
	char *image_id; /* that a new server would boot from; NULL: unknown */
	struct cs_plan_figures sessions; /* on all load balancers together */
	struct cs_plan_figures loads;	 /* permille, of the last two samples */
};
void cs_plan_evidence_done(struct cs_plan_evidence *evidence) CS_NONNULL_ALL;
void cs_plan_figures_add(struct cs_plan_figures *figures, const char *server_id,
	int64_t value) CS_NONNULL_ALL;
void cs_plan_figures_done(struct cs_plan_figures *figures) CS_NONNULL_ALL;

/* What every plan is made from; borrowed. */
struct cs_plan_input {
	const struct cs_cluster *cluster;
	const struct cs_fleet_view *view;
	const struct cs_journal *journal;
	const struct cs_plan_evidence *evidence;
	struct cs_stamp now; /* taken before the list */
	struct cs_run_use run;
};

/* The steps of open work, and repairs. */
void cs_plan_open(const struct cs_plan_input *in, struct cs_plan *ret) CS_NONNULL_ALL;

/* How many of its steps are not repairs. */
size_t cs_plan_open_work(const struct cs_plan *plan) CS_NONNULL_ALL;

/* Anything that this journal began, or a decision? The rest may wait for a person. */
bool cs_plan_has_own_work(const struct cs_plan *plan) CS_NONNULL_ALL;

void cs_plan_count(const struct cs_plan_input *in, const struct cs_plan *plan,
	struct cs_census *ret) CS_NONNULL_ALL;

/* The zone for one more server than the plan creates: where no create failed lately, then
 * where the fewest servers are or will be, then the first one. NULL: Nova chooses. */
const char *cs_plan_zone(
	const struct cs_plan_input *in, const struct cs_plan *plan) CS_NONNULL_ALL;

/* Servers in service or under way that are, or will be, in a zone ("": not known). */
int64_t cs_plan_count_in_zone(
	const struct cs_plan_input *in, const char *zone) CS_NONNULL_ALL;

/* The zone of a server: what Nova says or, before it knows, what was asked for; or "". */
const char *cs_plan_zone_of(
	const struct cs_plan_input *in, const struct cs_member *member) CS_NONNULL_ALL;

/* Adds what was decided. A drain that is taken back loses its other steps. */
void cs_plan_add_decision(const struct cs_plan_input *in,
	const struct cs_decision *decision, struct cs_plan *plan) CS_NONNULL_ALL;

/* May this server be deleted? It carries our mark, is neither locked nor protected, and
 * nothing else is under way with it. */
bool cs_plan_may_delete(
	const struct cs_plan_input *in, const struct cs_member *member) CS_NONNULL_ALL;

struct cs_victim {
	const struct cs_member *member;	  /* borrowed from the view */
	char chosen[CS_PLAN_CHOSEN_SIZE]; /* "fewest sessions (2)" */
};

/* Up to `n` victims in the order of deletion: ERROR, never published, of an older image,
 * fewest sessions, lowest load, youngest (its connections and caches are worth least).
 * What is unknown of a server counts as the most: silence is no reason to go. Returns how
 * many; `ret` has room for n. */
size_t cs_plan_victims(
	const struct cs_plan_input *in, size_t n, struct cs_victim *ret) CS_NONNULL_ALL;

/* May it be chosen as a victim? Also when it is still being created. */
bool cs_plan_is_victim(
	const struct cs_plan_input *in, const struct cs_member *member) CS_NONNULL_ALL;

/* Instead of whatever else was planned for it. */
void cs_plan_add_victim(const struct cs_plan_input *in, const struct cs_victim *victim,
	struct cs_plan *plan) CS_NONNULL_ALL;

/* Does it boot from another image than new servers would? Not when either is unknown, or
 * when it boots from a volume. */
bool cs_plan_is_old(
	const struct cs_plan_input *in, const struct cs_member *member) CS_NONNULL_ALL;

/* Is it in service, of an older image and may be deleted? */
bool cs_plan_is_replaceable(
	const struct cs_plan_input *in, const struct cs_member *member) CS_NONNULL_ALL;

/* Adds the victims of a decision, which are replaceable ones when it replaces. The choice
 * that the plan ends with is made anew, as more may be known by now. */
void cs_plan_choose(const struct cs_plan_input *in, const struct cs_decision *decision,
	struct cs_plan *plan) CS_NONNULL_ALL;

/* Is it beyond max? First come those that this journal knows to be in service, then the
 * others by `created`, then id; what Nova is deleting does not count.
 *
 * A single master never asks for more than max, whatever fails, as its intents count.
 * Two with journals of their own can ask at the same moment, and Nova has nothing that
 * keeps them from it. So each reads the list again after its creates, removes what is
 * beyond max and its own, and publishes nothing that is beyond max. More than max exist
 * until the next list of each; as long as its creator reads a list before it is ACTIVE,
 * none of the excess gets into service. */
bool cs_plan_is_excess(
	const struct cs_plan_input *in, const struct cs_member *member) CS_NONNULL_ALL;

/* An orphan carries our mark, is neither locked nor protected, and no journal line and no
 * open work here is about it; it is older than `age_ms` and than build-timeout; and Nova
 * says that it serves nobody: ERROR, a build without end, SHUTOFF and alike. A server
 * that is ACTIVE is none, however little is known of it here: another master may well
 * have it in service. */
bool cs_plan_is_orphan(const struct cs_plan_input *in, const struct cs_member *member,
	int64_t age_ms) CS_NONNULL_ALL;

/* The orphans, the oldest first. Returns how many; `ret` has room for every member. */
size_t cs_plan_orphans(const struct cs_plan_input *in, int64_t age_ms,
	const struct cs_member **ret) CS_NONNULL_ALL;

/* The same for an ACTIVE server: whoever believes it has to probe it first, and ask the
 * load balancers. */
bool cs_plan_is_suspect(const struct cs_plan_input *in, const struct cs_member *member,
	int64_t age_ms) CS_NONNULL_ALL;

/* An age at which nothing of its master's work can be under way any more. */
#define CS_PLAN_ORPHAN_MS (3600 * CS_MS_PER_S)

/* Only in these states is it certain that a server has no connections. */
bool cs_plan_serves_nobody(const struct cs_member *member) CS_NONNULL_ALL;

/* Does it count as in service or under way? */
bool cs_plan_is_capacity(
	const struct cs_plan_input *in, const struct cs_member *member) CS_NONNULL_ALL;

/* In service alone. */
bool cs_plan_is_serving(
	const struct cs_plan_input *in, const struct cs_member *member) CS_NONNULL_ALL;

void cs_plan_add(struct cs_plan *plan, struct cs_step step) CS_NONNULL_ALL;
void cs_plan_done(struct cs_plan *plan) CS_NONNULL_ALL;

#endif
