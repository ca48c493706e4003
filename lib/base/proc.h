/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Running other programs without a shell, and leaving a monitoring core behind. */
#ifndef CS_BASE_PROC_H
#define CS_BASE_PROC_H

#include <stdbool.h>

#include "base/deadline.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/strbuf.h"

struct cs_proc_result {
	int exit_status; /* 0-255; 128 + n when signal n ended it */
	struct cs_strbuf out;
	struct cs_strbuf err; /* what it wrote to stderr */
};

/* Runs argv[0] (searched in PATH) in the folder / and in a process group of its own, with
 * /dev/null as stdin and no other descriptor than 0-2, and reads both outputs up to 1 MiB
 * each (more is dropped). CS_E_NOT_FOUND when it cannot be started, CS_E_TIMEOUT when the
 * deadline ended it (the whole group is killed and reaped). Any exit status is a success
 * of this call. */
int cs_proc_run(char *const argv[], struct cs_deadline deadline,
	struct cs_proc_result *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

void cs_proc_result_done(struct cs_proc_result *result) CS_NONNULL_ALL;

/* What a handler inherits from a core may harm it: ignored or blocked signals, open
 * descriptors, a wide umask. Sets the defaults (SIGPIPE and SIGXFSZ stay ignored, umask
 * 027), opens /dev/null for a missing 0-2 and closes every descriptor above 2. */
void cs_proc_clean_inheritance(void);

/* Leaves the caller's session for good: fork, setsid, fork, 0-2 to /dev/null, cwd /.
 * Returns 1 in the original process (which should print its line and exit at once), 0 in
 * the detached one, negative when it could not fork. All output must be flushed before.
 * Nothing but this survives Nagios, Icinga, Zabbix and NRPE alike. */
int cs_proc_detach(struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
