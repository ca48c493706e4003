/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Load traces: what a cluster had to serve, minute by minute. Either CSV with the head
 * line "period,count" and lines "YYYY-MM-DD HH:MM:SS,COUNT" of ever later whole minutes
 * (UTC), a count being a decimal number of requests: the form in which the WorldCup'98
 * trace and its like are passed around. Or the history of a cluster (domain/history.h),
 * JSON lines of which "t", "load_permille" and "servers" count: what was served is the
 * number of busy servers, on average over the lines of a minute. Or the performance data
 * of check_cluster_cpu as a core writes it, tab-separated: a field with $TIMET$, then
 * host and service, and a field with "load=...%" and "servers=..."; that fits the
 * template of Nagios ("[SERVICEPERFDATA]\t$TIMET$\t$HOSTNAME$\t$SERVICEDESC$\t...") and
 * those of PNP4Nagios and Icinga 2 ("DATATYPE::SERVICEPERFDATA\tTIMET::$TIMET$\t...").
 * Lines of other plugins are passed over. */
#ifndef CS_FORMAT_TRACE_H
#define CS_FORMAT_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"

#define CS_TRACE_SIZE_MAX (256 << 20) /* bytes of text: some 17 years of minutes */

struct cs_trace_point {
	int64_t minute; /* since the epoch */
	double count;	/* in this minute, >= 0: requests, or busy servers */
};

/* Owned by the caller. */
struct cs_trace {
	struct cs_trace_point *points;
	size_t n;
	bool busy_servers; /* it is not CSV */
};

/* CS_E_CONFIG "NAME:LINE: expected ..., found ..."; `text` ends with a NUL behind `len`
 * bytes. No points at all are an error. */
int cs_trace_parse(const char *text, size_t len, const char *name, struct cs_trace *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_trace_done(struct cs_trace *trace) CS_NONNULL_ALL;

/* "1998-06-01", "1998-06-01 12:30" or "1998-06-01 12:30:00". */
bool cs_trace_minute(const char *text, int64_t *ret) CS_MUST_CHECK CS_NONNULL_ALL;

/* Narrows to minutes of [from, to): moves what stays to the front. */
void cs_trace_cut(struct cs_trace *trace, int64_t from, int64_t to) CS_NONNULL_ALL;

#endif
