/* SPDX-License-Identifier: GPL-3.0-or-later */
/* System calls that leave a trace outside the process that makes them, and what a stopped
 * one is about. For kill_at. */
#ifndef TESTS_TOOLS_CALLS_H
#define TESTS_TOOLS_CALLS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct call;

/* NULL when it leaves none. */
const struct call *call_find(uint64_t number);

/* Some do so with some arguments only. */
bool call_leaves_a_trace(pid_t tid, const struct call *call, const uint64_t *args);

/* "rename /tmp/a"; of a call that leaves none (`call` NULL) "call 39". Owned by the
 * caller; NULL: errno says why. */
char *call_text(
	pid_t tid, uint64_t number, const struct call *call, const uint64_t *args);

#endif
