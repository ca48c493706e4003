/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking a load balancer what it has, by the `status` command of the configuration. */
#ifndef CS_DOMAIN_LB_ASK_H
#define CS_DOMAIN_LB_ASK_H

#include "base/deadline.h"
#include "base/error.h"
#include "base/macros.h"
#include "domain/config.h"
#include "format/lb_status.h"

/* `lb` has a status command. Errors as cs_proc_run(); CS_E_REMOTE with what the command
 * said when it failed, CS_E_PROTOCOL when it said something else than a status. */
int cs_lb_ask(const struct cs_load_balancer *lb, struct cs_deadline deadline,
	struct cs_lb_status *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
