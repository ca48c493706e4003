/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Load traces: what a cluster had to serve, minute by minute. CSV with the head line
 * "period,count" and lines "YYYY-MM-DD HH:MM:SS,COUNT" of ever later whole minutes (UTC);
 * a count is a decimal number of requests. The form in which the WorldCup'98 trace and
 * its like are passed around. */
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
	double count;	/* in this minute, >= 0 */
};

/* Owned by the caller. */
struct cs_trace {
	struct cs_trace_point *points;
	size_t n;
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
