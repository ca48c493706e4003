/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Time budgets; see deadline.h. */
#include <config.h>
#include "base/deadline.h"

#include <time.h>

#include "base/macros.h"

int64_t cs_monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * CS_MS_PER_S + now.tv_nsec / 1000000;
}

struct cs_deadline cs_deadline_in(int64_t ms)
{
	return (struct cs_deadline){.at_ms = cs_monotonic_ms() + ms};
}

struct cs_deadline cs_deadline_within(struct cs_deadline outer, int64_t ms)
{
	struct cs_deadline inner = cs_deadline_in(ms);

	return inner.at_ms < outer.at_ms ? inner : outer;
}

int64_t cs_deadline_left_ms(struct cs_deadline deadline)
{
	int64_t left = deadline.at_ms - cs_monotonic_ms();

	return left > 0 ? left : 0;
}

bool cs_deadline_sleep(struct cs_deadline deadline, int64_t ms)
{
	int64_t left = cs_deadline_left_ms(deadline);

	if (ms > left)
		ms = left;
	struct timespec pause = {
		.tv_sec = ms / CS_MS_PER_S, .tv_nsec = ms % CS_MS_PER_S * 1000000};
	nanosleep(&pause, NULL);
	return cs_deadline_left_ms(deadline) > 0;
}
