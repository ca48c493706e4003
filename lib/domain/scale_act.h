/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Carrying out the steps of a plan, for scale.c alone. */
#ifndef CS_DOMAIN_SCALE_ACT_H
#define CS_DOMAIN_SCALE_ACT_H

#include "domain/scale.h"

/* What one load balancer said in a pass. */
struct cs_act_lb {
	struct cs_sync_report report; /* empty when there is none */
	char *trouble;		      /* who and why not, or NULL */
};

/* How a server's drain goes, as far as this run has seen it. */
struct cs_act_drain {
	char *server_id;
	int64_t most_sessions; /* at once, on all load balancers together */
	bool recorded;
};

#define CS_ACT_NAME_SIZE 256

/* Creates and deletes in flight at once. Nova works on a few at a time, and each of them
 * is a promise that a crash leaves to be looked for. */
#define CS_ACT_AT_ONCE 8

/* A create or a delete that was begun. */
struct cs_act_request {
	const struct cs_step *step; /* borrowed from the sight of the pass */
	char op[CS_UUID_SIZE], name[CS_ACT_NAME_SIZE]; /* of a create */
};

/* Lives as long as a run. */
struct cs_act {
	const struct cs_scale *scale;
	struct cs_strings said;	  /* what need not be said again in this run */
	struct cs_stamp reminded; /* when all of `waits` was said last */
	bool failed;		  /* something that was asked for did not come about */
	bool refused;		  /* a create, before anything of it was begun */
	bool create_failed;	  /* no more creates in this run: nowhere else to try */
	bool unrecorded;	  /* the journal cannot be written: nothing can go on */
	bool trouble;		  /* the last pass met an error: go slower */
	struct cs_act_drain *drains;
	size_t n_drains;
	struct cs_run_use used;
	struct cs_stamp looked; /* when the last list was asked for */

	/* of the present pass */
	const struct cs_sight *sight;
	bool stop; /* no further step of this pass may be taken */
	size_t created_in_pass;
	size_t published_in_pass; /* got into service */
	bool recorded_members;	  /* an intent of this pass has them */
	bool held;		  /* no more creates in this pass */
	bool disproved;		  /* a create, in this pass */
	bool unsettled;		  /* ports->settle failed, in this pass */
	struct cs_strings waits;  /* what it leaves to be waited for */
	struct cs_act_lb *lbs;	  /* NULL: not asked yet */
	struct cs_act_request requests[CS_ACT_AT_ONCE]; /* the oldest first */
	size_t n_requests;
	const char *unserved; /* name of a server that answers, and is late because
				 nobody serves it; borrowed from `sight` */
};

/* Carries out every step of `sight` in order, until one of them stops the pass. Victims
 * are chosen anew first, by what the load balancers say. */
void cs_act_pass(struct cs_act *act, struct cs_sight *sight) CS_NONNULL_ALL;
void cs_act_done(struct cs_act *act) CS_NONNULL_ALL;

/* Says that a step failed, and of what. */
void cs_act_step_failed(struct cs_act *act, const struct cs_step *step,
	const struct cs_error *err) CS_NONNULL_ALL;

/* A line that cannot be written stops the pass: nothing may follow it. */
int cs_act_append(struct cs_act *act, const struct cs_journal_line *line,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
int cs_act_append_request(struct cs_act *act, const char *op, const char *id,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
int cs_act_append_result(struct cs_act *act, const char *op, enum cs_action action,
	const char *outcome, const char *detail,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
/* `decision` NULL: nothing was decided. */
int cs_act_append_delete_intent(struct cs_act *act, const struct cs_step *step,
	const char *why, const struct cs_decision *decision,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL(1, 2, 3, 5);

/* scale_create.c */

/* Carries out CS_STEP_CREATE as far as its request, and CS_STEP_DELETE; what becomes of
 * it is said and recorded when it is ended. */
int cs_act_create(struct cs_act *act, const struct cs_step *step,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_act_begin_delete(struct cs_act *act, const struct cs_step *step) CS_NONNULL_ALL;
void cs_act_end_requests(struct cs_act *act) CS_NONNULL_ALL;

int cs_act_append_create_failed(struct cs_act *act, const char *op, const char *zone,
	const char *why, struct cs_error *err) CS_MUST_CHECK CS_NONNULL(1, 2, 4, 5);

/* scale_excess.c */

/* Carries out CS_STEP_EXCESS. */
int cs_act_excess(struct cs_act *act, const struct cs_step *step,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* scale_say.c */

void cs_act_say(struct cs_act *act, int priority, const char *format, ...) CS_PRINTF(3, 4)
	CS_NONNULL(1, 3);

/* Says it once in a run, however often it is repeated. */
void cs_act_say_once(struct cs_act *act, int priority, const char *format, ...)
	CS_PRINTF(3, 4) CS_NONNULL(1, 3);

/* The server of a step, for people. Borrowed. */
const char *cs_act_name_of(const struct cs_step *step) CS_NONNULL_ALL;
long long cs_act_seconds_since(
	const struct cs_act *act, const struct cs_stamp *then) CS_NONNULL_ALL;

/* The decision for an intent. The first of a pass has the members too; owned by the
 * caller. */
struct json_object *cs_act_decision_json(struct cs_act *act) CS_MUST_CHECK CS_NONNULL_ALL;

/* Notes what the server of `step` waits for. */
void cs_act_await(struct cs_act *act, const struct cs_step *step, const char *format, ...)
	CS_PRINTF(3, 4) CS_NONNULL(1, 2, 3);

/* Says all that is waited for when it was not said for long. */
void cs_act_remind(struct cs_act *act, const struct cs_stamp *now) CS_NONNULL_ALL;

/* All that is waited for, in one line; empty when nothing is. Owned by the caller. */
char *cs_act_waits_text(const struct cs_act *act) CS_MUST_CHECK CS_NONNULL_ALL;

/* scale_lb.c */

/* Brings every load balancer in line, unless this pass has done so. Who fails says why;
 * nothing is served and nothing is drained there. */
void cs_act_sync(struct cs_act *act) CS_NONNULL_ALL;
void cs_act_forget_lbs(struct cs_act *act) CS_NONNULL_ALL;

/* Would anybody serve a new server? One load balancer that works is enough, as it bears
 * the load meanwhile. CS_E_REMOTE or CS_E_REFUSED when none would. */
int cs_act_can_publish(
	struct cs_act *act, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* How the load balancers treat a server that answers. */
struct cs_act_service {
	size_t serving, failed; /* load balancers: serve it, gave no report */
	bool serving_others;	/* one of the rest serves other servers */
	char why[600];		/* of the first that does not serve it */
};

/* True when every load balancer serves it. */
bool cs_act_served(struct cs_act *act, const struct cs_step *step,
	struct cs_act_service *ret) CS_NONNULL_ALL;

/* True when every load balancer has said so after the mark was seen. `ret_drain` is
 * borrowed until the next call. */
bool cs_act_drained(struct cs_act *act, const struct cs_step *step,
	struct cs_act_drain **ret_drain) CS_NONNULL_ALL;
void cs_act_forget_drains(struct cs_act *act) CS_NONNULL_ALL;

/* scale_victims.c */

/* The victims that the plan ends with, once more: by the sessions of the servers of which
 * every load balancer tells them. What a person chose stands. */
void cs_act_choose_again(struct cs_act *act, struct cs_sight *sight) CS_NONNULL_ALL;

/* Does an ACTIVE server answer, or does a load balancer serve it? Says so. */
bool cs_act_in_service(struct cs_act *act, const struct cs_step *step) CS_NONNULL_ALL;

/* By servers: name, with some of the op behind it when that is taken. Names are for
 * people; what is found again is found by op. */
void cs_act_make_name(
	struct cs_act *act, const char *op, char ret[CS_ACT_NAME_SIZE]) CS_NONNULL_ALL;

#endif
