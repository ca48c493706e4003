/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nova, the load balancers, the journal and the history held against each other. Pure:
 * plain data in, findings and figures out; the clock is an input. */
#ifndef CS_DOMAIN_DRIFT_H
#define CS_DOMAIN_DRIFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/stamp.h"
#include "domain/config.h"
#include "domain/fleet.h"
#include "domain/history.h"
#include "domain/journal.h"
#include "domain/policy.h"
#include "format/lb_status.h"

/* The worst one is the state of the check. */
enum cs_severity {
	CS_SEVERITY_OK,	     /* worth saying */
	CS_SEVERITY_UNKNOWN, /* could not be compared */
	CS_SEVERITY_WARNING,
	CS_SEVERITY_CRITICAL,
};

/* One load balancer as it was asked. Borrows everything. */
struct cs_drift_lb {
	const char *name;
	bool asked;	     /* it has a `status` command */
	const char *trouble; /* why there is no status, or NULL */
	const struct cs_lb_status *status;
};

/* Everything is borrowed. */
struct cs_drift_input {
	const struct cs_cluster *cluster;
	const struct cs_fleet_view *view; /* one complete list */
	const struct cs_journal *journal;
	const struct cs_history *history;
	const char *journal_trouble, *history_trouble; /* why unreadable, or NULL */
	const char *auth_url, *project, *region;       /* of the cloud that was asked */
	const struct cs_census *census;
	const struct cs_decision *decision;
	const struct cs_drift_lb *lbs;
	size_t n_lbs;
	int64_t open_age_ms, history_age_ms; /* limits; 0: as the manual says */
	struct cs_stamp now;
};

struct cs_finding {
	enum cs_severity severity;
	const char *kind; /* static, for programs: "unserved", "breaker", ... */
	char *text;	  /* what differs from what */
	char *advice;	  /* what to do, "" for nothing */
};

/* Owned by the caller. */
struct cs_drift {
	struct cs_finding *findings; /* the worst first */
	size_t n;
	size_t by_severity[CS_SEVERITY_CRITICAL + 1];
	enum cs_severity worst;
	int64_t servers, wanted; /* ACTIVE ones; as the policy decides */
	int64_t oldest_open_ms;	 /* 0: nothing is open */
	int64_t history_age_ms;	 /* of the newest measurement, -1: there is none */
	int64_t history_limit_ms;
};

void cs_drift_find(const struct cs_drift_input *in, struct cs_drift *ret) CS_NONNULL_ALL;
void cs_drift_done(struct cs_drift *drift) CS_NONNULL_ALL;

/* For drift*.c alone. */
void cs_drift_add(struct cs_drift *drift, enum cs_severity severity, const char *kind,
	const char *advice, const char *format, ...) CS_PRINTF(5, 6) CS_NONNULL_ALL;
void cs_drift_compare_lbs(
	const struct cs_drift_input *in, struct cs_drift *ret) CS_NONNULL_ALL;

#endif
