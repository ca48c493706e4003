/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One measurement of a cluster: all servers are asked over SNMP at once, each load is
 * taken from the server's baseline, and the loads become one figure. */
#ifndef CS_DOMAIN_MEASURE_H
#define CS_DOMAIN_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/deadline.h"
#include "base/error.h"
#include "base/macros.h"
#include "client/snmp.h"
#include "domain/cpuload.h"
#include "domain/history.h"
#include "domain/samples.h"

enum cs_measured_state {
	CS_SERVER_MISSING, /* silent or unusable */
	CS_SERVER_STALE,   /* the same, but its last load was there a moment ago */
	CS_SERVER_WARMING, /* answered, no baseline yet, or young; does not count */
	CS_SERVER_SAMPLED, /* `load` holds */
};
const char *cs_measured_state_text(enum cs_measured_state state);

struct cs_measured {
	/* in, borrowed; the id keys the baseline and has no blanks */
	const char *id, *name, *where;
	union cs_snmp_address address; /* AF_UNSPEC: cannot be asked, `reason` says why */
	const struct cs_snmp_credential *credential;
	int64_t created_wall_ms; /* not above 0: unknown */
	/* out */
	enum cs_measured_state state;
	bool has_load; /* sampled, stale, and warming when young */
	struct cs_cpu_load load;
	int64_t stale_ms; /* how old the load of a stale one is */
	char *reason;	  /* owned; NULL when sampled */
};
void cs_measured_set_reason(struct cs_measured *server, const char *reason) CS_NONNULL(1);

struct cs_measure_setup {
	const char *state_dir; /* exists; NULL: keep nothing */
	enum cs_cpu_source source;
	enum cs_cpu_aggregate aggregate;
	struct cs_sample_spans spans;
	int64_t warm_up_ms; /* who is up for less does not count; 0: everyone does */
	int64_t grace_ms;   /* so long the last load stands for a missing one; 0: not */
	int64_t timeout_ms; /* of one poll */
	int64_t retries;    /* of a silent server within it */
	bool once;	    /* no second sample, whatever is missing */
	struct cs_deadline deadline;
	struct cs_snmp_counts *counts; /* added to; or NULL */
};

struct cs_measure_result {
	struct cs_measurement measurement;
	bool twice;		     /* a second sample was taken for want of baselines */
	bool no_time;		     /* it was wanted, but the deadline is too close */
	struct cs_error state_error; /* code 0, or why no baselines were kept */
};

/* The figure is that of the servers with a load, those of stale ones included; but at
 * least half of those that could have a load must have one of now. A stale server is
 * missing to whoever asks whether fewer would do: see struct cs_measurement.
 *
 * Negative only when nothing could be asked at all. Without a baseline for any server it
 * takes a second sample after the agents' next refresh, if the deadline allows. */
int cs_measure(const struct cs_measure_setup *setup, struct cs_measured *servers,
	size_t n, struct cs_measure_result *ret, struct cs_error *err) CS_MUST_CHECK
	CS_NONNULL(1, 4, 5);

#endif
