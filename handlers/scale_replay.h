/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scale_replay between its files: a fluid model of a cluster that a policy scales over a
 * load trace, minute by minute, and what came of it. */
#ifndef CS_HANDLERS_SCALE_REPLAY_H
#define CS_HANDLERS_SCALE_REPLAY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/macros.h"
#include "domain/config.h"
#include "domain/policy.h"
#include "format/trace.h"

/* Demand is the fewest servers that this share of each would do for. */
#define REPLAY_TARGET 0.70

/* What a policy sees of a minute. */
struct replay_tick {
	int64_t t;	/* ticks since the first one */
	int64_t minute; /* since the epoch */
	double util;	/* of the ready servers, at most 1 */
	int64_t ready, booting;
	int64_t sampled; /* of the ready ones: gave a figure */
};

/* The rules of the shipped policy and of the peers keep their memory in a struct of
 * their own that begins with this. */
struct replay_policy {
	const char *name;
	/* How many servers there should be, those that boot included. */
	int64_t (*desired)(struct replay_policy *policy, const struct replay_tick *tick);
};

struct replay_setup {
	const struct cs_trace *trace;
	double cap; /* requests a minute that one server bears at 100 % */
	int64_t boot_minutes;
	int64_t min, max;
	bool faults; /* samples get lost */
	uint64_t seed;
};

/* Elasticity metrics of the SPEC Research Group and what they leave out; shares in per
 * cent, demand d, supply s. */
struct replay_result {
	double theta_u, theta_o;  /* mean of max(d - s, 0) / d and max(s - d, 0) / d */
	double tau_u, tau_o;	  /* share of time with s < d and s > d */
	double instability;	  /* share of moves of s that differ from those of d */
	double cost;		  /* servers paid for over servers needed */
	double saturated;	  /* share of minutes with more load than capacity */
	double lost;		  /* share of requests above capacity */
	int64_t actions;	  /* minutes with a change */
	int64_t creates, deletes; /* servers */
	int64_t flips;		  /* changes of direction within 30 minutes */
	int64_t wrong_scale_ins;  /* to less than the demand */
	int64_t largest;	  /* most servers at a time */
};

/* One minute as it went, for plots and --ticks. */
struct replay_row {
	int64_t minute;
	double load;		/* requests */
	int64_t demand, ready;	/* servers */
	int64_t total, desired; /* before and after the decision */
};

/* `ret_rows` has room for every point of the trace, or is NULL. */
void replay_run(const struct replay_setup *setup, struct replay_policy *policy,
	struct replay_result *ret, struct replay_row *ret_rows) CS_NONNULL(1, 2, 3);

/* The decision function of nova_scale; release with replay_shipped_free(). */
struct replay_policy *replay_shipped_new(const char *name,
	const struct cs_policy_spec *spec,
	const struct replay_setup *setup) CS_MUST_CHECK CS_NONNULL_ALL;
void replay_shipped_free(struct replay_policy *policy);
/* Actions so far, and those of them that came without a reason. */
void replay_shipped_count(const struct replay_policy *policy, int64_t *ret_actions,
	int64_t *ret_unexplained) CS_NONNULL_ALL;

/* A peer by its name, or NULL; release with free(). */
struct replay_policy *replay_peer_new(const char *name) CS_MUST_CHECK CS_NONNULL_ALL;
/* "article, heat, ..." */
const char *replay_peer_names(void);

/* Demand, supply and actions over time. */
int replay_plot(const char *path, const struct replay_row *rows, size_t n,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
