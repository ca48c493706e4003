/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Time budgets. One deadline is made at the start of a program or operation and passed
 * down; every wait below asks it what is left. CLOCK_MONOTONIC, milliseconds. */
#ifndef CS_BASE_DEADLINE_H
#define CS_BASE_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

struct cs_deadline {
	int64_t at_ms; /* CLOCK_MONOTONIC */
};

int64_t cs_monotonic_ms(void);

struct cs_deadline cs_deadline_in(int64_t ms);

/* The earlier of `outer` and `ms` from now. */
struct cs_deadline cs_deadline_within(struct cs_deadline outer, int64_t ms);

/* Milliseconds left, 0 when it has passed. */
int64_t cs_deadline_left_ms(struct cs_deadline deadline);

/* Sleeps `ms`, at most until the deadline; false when the deadline has passed. */
bool cs_deadline_sleep(struct cs_deadline deadline, int64_t ms);

#endif
