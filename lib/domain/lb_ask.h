/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking a load balancer what it has, by the `status` command of the configuration, and
 * what its commands say when they fail. */
#ifndef CS_DOMAIN_LB_ASK_H
#define CS_DOMAIN_LB_ASK_H

#include "base/deadline.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/proc.h"
#include "domain/config.h"
#include "format/lb_status.h"

/* What lets sudo run a command of a load balancer. */
#define CS_LB_SUDOERS                                          \
	"install -m 440 " CS_DOCDIR "/sudoers.d/clusterscale " \
	"/etc/sudoers.d/clusterscale, with this user, cluster and path in it"

/* `lb` has a status command. Errors as cs_proc_run(); CS_E_REMOTE with what the command
 * said when it failed and what to do, CS_E_PROTOCOL when it said something else than a
 * status. */
int cs_lb_ask(const struct cs_load_balancer *lb, struct cs_deadline deadline,
	struct cs_lb_status *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* The last line that a command said on stderr, or else on stdout; before it may stand
 * warnings of sudo or ssh. Points into `result`, and cuts the newlines off its end. */
const char *cs_lb_last_words(struct cs_proc_result *result) CS_NONNULL_ALL;

/* Adds to the error of a command that failed what to do; returns err->code. */
int cs_lb_advise(const struct cs_strings *command, struct cs_error *err) CS_NONNULL_ALL;

#endif
