/* SPDX-License-Identifier: GPL-3.0-or-later */
/* State, text and JSON of check_cluster_drift. */
#ifndef CS_PLUGINS_DRIFT_REPORT_H
#define CS_PLUGINS_DRIFT_REPORT_H

#include "base/macros.h"
#include "domain/drift.h"

/* Print and exit. `verbose`: with what each load balancer has. */
_Noreturn void drift_report_text(const struct cs_drift_input *in,
	const struct cs_drift *drift, int verbose) CS_NONNULL_ALL;
_Noreturn void drift_report_json(
	const struct cs_drift_input *in, const struct cs_drift *drift) CS_NONNULL_ALL;

#endif
