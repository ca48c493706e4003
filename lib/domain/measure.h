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
	CS_SERVER_WARMING, /* answered, no baseline yet */
	CS_SERVER_SAMPLED, /* `load` holds */
};
const char *cs_measured_state_text(enum cs_measured_state state);

#define CS_MEASURED_REASON_SIZE 128

struct cs_measured {
	/* in, borrowed; the id keys the baseline and has no blanks */
	const char *id, *name, *where;
	union cs_snmp_address address; /* AF_UNSPEC: cannot be asked, `reason` says why */
	const struct cs_snmp_credential *credential;
	/* out */
	enum cs_measured_state state;
	struct cs_cpu_load load;
	char reason[CS_MEASURED_REASON_SIZE]; /* "" when sampled */
};

struct cs_measure_setup {
	const char *state_dir; /* exists; NULL: keep nothing */
	struct cs_sample_spans spans;
	int64_t timeout_ms; /* of one poll */
	struct cs_deadline deadline;
};

struct cs_measure_result {
	struct cs_measurement measurement;
	bool twice;		     /* a second sample was taken for want of baselines */
	bool no_time;		     /* it was wanted, but the deadline is too close */
	struct cs_error state_error; /* code 0, or why no baselines were kept */
};

/* Negative only when nothing could be asked at all. Without a baseline for any server it
 * takes a second sample after the agents' next refresh, if the deadline allows. */
int cs_measure(const struct cs_measure_setup *setup, struct cs_measured *servers,
	size_t n, struct cs_measure_result *ret, struct cs_error *err) CS_MUST_CHECK
	CS_NONNULL(1, 4, 5);

#endif
