/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One reconcile of a cluster: observe, decide, plan, act, record, and again until no work
 * is open. Everything outside is reached through one struct of functions, so that a test
 * can fail or end it at every step.
 *
 * What holds whatever happens: no request without its intent on disk; a list that may be
 * partial changes nothing; only what carries our mark is deleted; a server is deleted
 * only when every load balancer has said "drained" after the mark was seen. */
#ifndef CS_DOMAIN_SCALE_H
#define CS_DOMAIN_SCALE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/stamp.h"
#include "domain/config.h"
#include "domain/fleet.h"
#include "domain/history.h"
#include "domain/journal.h"
#include "domain/plan.h"
#include "domain/policy.h"
#include "format/sync_report.h"

/* Every function that has an `err` returns 0 or fills `err` and returns its code. */
struct cs_scale_ports {
	void *context;

	int (*load_journal)(void *context, const struct cs_stamp *now,
		struct cs_journal *ret, struct cs_error *err);
	int (*append)(
		void *context, const struct cs_journal_line *line, struct cs_error *err);
	/* The measurements of late; CS_E_NOT_FOUND when there is none. */
	int (*history)(void *context, struct cs_history *ret, struct cs_error *err);
	/* The samples behind them, to explain decisions with. May be NULL. */
	void (*samples)(void *context, struct cs_samples *ret);

	int (*look)(void *context, struct cs_fleet_view *ret, struct cs_error *err);
	int (*show)(void *context, const char *id, struct cs_server *ret,
		struct cs_error *err);
	/* Resolves what a create needs, before its intent; it will be the `servers`th
	 * since the last look. */
	int (*prepare)(void *context, int64_t servers, struct cs_error *err);
	/* `zone` NULL: Nova chooses. */
	int (*create)(void *context, const char *name, const char *op, const char *zone,
		char **ret_id, struct cs_error *err);
	int (*remove)(void *context, const char *id, struct cs_error *err);
	/* Sends it already; the create of this op, or remove of this id, that follows
	 * only waits for the answer. Both may be NULL: then that one sends it. */
	void (*begin_create)(
		void *context, const char *name, const char *op, const char *zone);
	void (*begin_remove)(void *context, const char *id);
	/* `value` NULL takes the key away. */
	int (*set_metadata)(void *context, const char *id, const char *key,
		const char *value, struct cs_error *err);
	int (*add_tag)(
		void *context, const char *id, const char *tag, struct cs_error *err);
	/* Brings what belongs to servers and outlives them in line with the last look.
	 * May be NULL. */
	int (*settle)(
		void *context, const struct cs_fleet_view *view, struct cs_error *err);
	/* The volume will be deleted with the server. */
	int (*volume_goes)(void *context, const char *id, const char *volume_id,
		struct cs_error *err);

	/* Does the service port answer? */
	int (*probe)(void *context, const char *address, struct cs_error *err);
	int (*sync)(void *context, const struct cs_load_balancer *lb,
		struct cs_sync_report *ret, struct cs_error *err);

	/* What a choice of victims rests on, as far as it can be had; sessions are left
	 * out. May be NULL. */
	void (*evidence)(void *context, struct cs_plan_evidence *ret);

	void (*now)(void *context, struct cs_stamp *ret);
	void (*sleep)(void *context, int64_t ms);
	/* One line for the log; syslog's priorities. */
	void (*report)(void *context, int priority, const char *text);
	/* A pass has looked; for progress on a terminal. May be NULL. */
	void (*observed)(void *context, const struct cs_fleet_view *view,
		const struct cs_journal *journal);
};

/* What a person ordered, instead of a decision by the policy. */
enum cs_scale_verb {
	CS_SCALE_DECIDE, /* nothing: the policy decides */
	CS_SCALE_CREATE, /* `n` more */
	CS_SCALE_DELETE, /* `n` fewer, or the server `target` */
	CS_SCALE_TO,	 /* `n` in all */
	CS_SCALE_REAP,	 /* no orphans that are older than `age_ms` */
};

struct cs_scale {
	const struct cs_cluster *cluster;
	const struct cs_scale_ports *ports;
	enum cs_scale_verb verb;
	int64_t n;
	const char *target; /* name or id, or NULL */
	int64_t age_ms;
	bool force;		/* below min, until this run ends */
	bool finish_only;	/* begin nothing new */
	int64_t limit_ms;	/* for the whole run */
	int64_t trouble_ms;	/* end when every pass met an error for so long */
	struct cs_run_use used; /* zero; kept by cs_scale_run() */
};

/* What a run ended with; the exit status of nova_scale. */
enum cs_scale_outcome {
	CS_SCALE_CONVERGED = 0,
	CS_SCALE_OPEN = 1,
	CS_SCALE_FAILED = 2,
	CS_SCALE_REFUSED = 3,
};

/* Takes the lock for granted. Says everything through ports->report. */
enum cs_scale_outcome cs_scale_run(const struct cs_scale *scale) CS_NONNULL_ALL;

/* One observation with the decision and the steps that follow from it. Borrows within
 * itself: not to be copied or moved. */
struct cs_sight {
	struct cs_stamp now; /* taken before the list */
	struct cs_journal journal;
	struct cs_fleet_view view;
	struct cs_history history;
	struct cs_evidence *evidence; /* of each member of the view */
	struct cs_plan_evidence plan_evidence;
	bool evident; /* it was asked for */
	struct cs_plan_input plan_input;
	struct cs_policy_input policy_input;
	struct cs_decision decision;
	struct cs_plan plan;
};

/* Observes, decides and plans; changes nothing. CS_E_REFUSED when an order is refused.
 * `ret` holds what was seen, also when it fails: cs_sight_done() in any case. */
int cs_scale_see(const struct cs_scale *scale, struct cs_sight *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_sight_done(struct cs_sight *sight) CS_NONNULL_ALL;

/* The member that a person means by a name or id. CS_E_NOT_FOUND; CS_E_CONFLICT lists
 * the ids of one name. */
int cs_scale_find(const struct cs_fleet_view *view, const char *name_or_id,
	const struct cs_member **ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
