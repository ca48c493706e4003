/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The measurements of a cluster: one line of JSON per run of check_cluster_cpu in
 * <dir>/history, appended and fsync'd; moved to history.1 when larger than 1 MiB. Any
 * number of runs may append at the same time, and read meanwhile.
 *
 * A line keeps the figure of those that answered, how many there are, answered and were
 * silent, and the interval that the load lies in (low_permille, high_permille): a silent
 * member is anywhere in [0, 100] per cent. The interval is there for other readers, as it
 * follows from the rest. */
#ifndef CS_DOMAIN_HISTORY_H
#define CS_DOMAIN_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/stamp.h"

struct cs_measurement {
	struct cs_stamp at;    /* when the members were polled */
	int64_t load_permille; /* aggregate of the members with a load; -1: below quorum
				*/
	int64_t above_mean_permille; /* so much of it is more than their mean by CPUs, or
					less: what is proved with fewer servers rests on
					the mean at least */
	int64_t servers;	     /* members that are ACTIVE and not draining */
	int64_t sampled;	     /* of those: gave a figure */
	int64_t stale;	 /* of those: silent or unusable, their last load is in the
			    figure; proves nothing of fewer servers */
	int64_t missing; /* of those: silent or unusable */
	int64_t warming; /* of those: answered, no baseline yet, or young */
};

/* So many servers would be fully busy, in 1/1000, if those without a figure were. Not
 * less than the mean of the others says: their median may lie below it. */
int64_t cs_measurement_most_demand(
	const struct cs_measurement *measurement) CS_NONNULL_ALL;

/* The ends of the interval; of a measurement below the quorum, everything. */
int64_t cs_measurement_low_permille(
	const struct cs_measurement *measurement) CS_NONNULL_ALL;
int64_t cs_measurement_high_permille(
	const struct cs_measurement *measurement) CS_NONNULL_ALL;

int cs_history_append(const char *dir, const struct cs_measurement *measurement,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* The newest complete line; CS_E_NOT_FOUND when there is none. Unreadable lines are
 * passed over, newest first. */
int cs_history_last(const char *dir, struct cs_measurement *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Measurements of a cluster, the oldest first. Owned by the caller. */
struct cs_history {
	struct cs_measurement *items;
	size_t n;
};

/* The newest `most` readable lines, or fewer; reaches back into history.1 for them.
 * CS_E_NOT_FOUND when there is none. */
int cs_history_load(const char *dir, size_t most, struct cs_history *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_history_done(struct cs_history *history) CS_NONNULL_ALL;

/* One line without its end. For cs_history_last() and its fuzz target. */
bool cs_history_parse_line(const char *text, size_t len,
	struct cs_measurement *ret) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
