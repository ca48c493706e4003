/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Running other programs without a shell, and leaving a monitoring core behind. */
#ifndef CS_BASE_PROC_H
#define CS_BASE_PROC_H

#include <stdbool.h>
#include <sys/types.h>

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
 * an empty stdin and no other descriptor than 0-2, and reads both outputs up to 1 MiB
 * each (more is dropped). CS_E_NOT_FOUND when it cannot be started, CS_E_TIMEOUT when the
 * deadline ended it (the whole group is killed and reaped). Any exit status is a success
 * of this call. */
int cs_proc_run(char *const argv[], struct cs_deadline deadline,
	struct cs_proc_result *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* The same in steps, for what can be done meanwhile. Whatever was started has to be
 * finished or ended, and is gone afterwards; it borrows argv[0] until then. Its stdin is
 * a pipe, at whose end it comes when it is finished. */
struct cs_proc {
	const char *name;
	pid_t pid;    /* 0: it is not there */
	int out, err; /* where its outputs come from */
	int in;
	const char *input; /* what it has not been given yet */
	size_t input_len;
};
/* `setting`: "NAME=VALUE" for its environment, or NULL. */
int cs_proc_start(char *const argv[], const char *setting, struct cs_proc *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL(1, 3, 4);

/* Gives it `text`, borrowed until it is finished: as much as it takes now, the rest then.
 * What it does not want is dropped. */
void cs_proc_feed(struct cs_proc *proc, const char *text, size_t len) CS_NONNULL_ALL;

int cs_proc_finish(struct cs_proc *proc, struct cs_deadline deadline,
	struct cs_proc_result *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Kills and reaps it, if it is there. */
void cs_proc_end(struct cs_proc *proc) CS_NONNULL_ALL;

void cs_proc_result_done(struct cs_proc_result *result) CS_NONNULL_ALL;

/* A child of ours that works behind one pipe. */
struct cs_proc_child {
	pid_t pid;
	int fd; /* where its text comes from */
};

/* Forks a child for what should not be done with our rights. Started by root it is user
 * nobody, in no group but nobody's. It gains no rights, writes no files, has a GiB of
 * memory, cannot be traced, and dies with us; no descriptor but its pipe and /dev/null is
 * open. It runs `work`, sends what that put into `ret` (at most CS_PROC_CHILD_MAX bytes),
 * and ends. CS_E_IO when it cannot be started. Its word deserves no trust. */
#define CS_PROC_CHILD_MAX (8 << 20)
int cs_proc_confine(void (*work)(void *context, struct cs_strbuf *ret), void *context,
	struct cs_proc_child *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Appends all that the child sends to `ret`. CS_E_TIMEOUT: the deadline ended it;
 * CS_E_LIMIT: it sent more than ret's ceiling; it is gone then. `what` names it. */
int cs_proc_hear(struct cs_proc_child *child, const char *what,
	struct cs_deadline deadline, struct cs_strbuf *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Reaps a child that was heard to its end; only then its words count. Whatever became of
 * it, it is gone afterwards. CS_E_IO: it died, or could not give up its rights, and
 * `heard` says why; CS_E_TIMEOUT: the deadline ended it. */
int cs_proc_await(struct cs_proc_child *child, const char *what,
	struct cs_deadline deadline, const struct cs_strbuf *heard,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

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
