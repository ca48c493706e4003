/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The measurements of a cluster: one line of JSON per run of check_cluster_cpu in
 * <dir>/history, appended and fsync'd; moved to history.1 when larger than 1 MiB. Any
 * number of runs may append at the same time, and read meanwhile.
 *
 * A line keeps the figure of those that answered and how many there are, answered and
 * were silent. The interval that the load lies in is not kept, as it follows from these:
 * a silent member is anywhere in [0, 100] per cent. */
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
