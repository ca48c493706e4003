/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The log of the handlers: syslog (facility daemon), to which a monitoring core cannot do
 * anything, plus stderr when a person started it, plus a file when one is configured.
 * Every line carries the cluster and the run, so that one incident can be filtered out:
 *
 *     nova_scale[812]: cluster=web run=3f2a81c0: server 'web1' is ACTIVE after 3 s
 *
 * Only programs log; libraries return errors. */
#ifndef CS_BASE_LOG_H
#define CS_BASE_LOG_H

#include <stdbool.h>
#include <syslog.h>

#include "base/error.h"
#include "base/macros.h"

/* `program` and `cluster` are copied. Makes a run id of 8 hex digits. */
void cs_log_open(const char *program, const char *cluster, bool to_stderr) CS_NONNULL_ALL;

/* Appends to `path` as well (created 0640); it is moved to PATH.1 when larger than 1 MiB.
 */
int cs_log_to_file(const char *path, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* After detaching there is no stderr any more. */
void cs_log_stderr(bool on);

const char *cs_log_run_id(void);

/* `priority`: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG. */
void cs_log(int priority, const char *format, ...) CS_PRINTF(2, 3) CS_NONNULL(2);

#endif
