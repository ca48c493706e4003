/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What check_cluster_cpu says about a measurement: state, reason, figures. */
#ifndef CS_PLUGINS_CPU_REPORT_H
#define CS_PLUGINS_CPU_REPORT_H

#include "cli/plugin_output.h"
#include "domain/measure.h"
#include "domain/policy.h"
#include "format/threshold.h"

/* Of a configured cluster; loads in permille. */
struct cpu_cluster {
	const char *name;
	int64_t min, max, up_at;
	const struct cs_policy_spec *policy;
	const struct cs_server_spec *servers;
	struct cs_history history; /* before this measurement */
	struct cs_journal journal;
	struct cs_census census;
	int64_t boot_ms; /* of its servers, 0: not known */
	/* work that nova_scale has not finished */
	int64_t open_requests, draining, unpublished;
	char *not_counted; /* lines about members that are not ACTIVE */
	/* Why there is no new list of its servers, and how old the one used is; NULL: it
	 * is new. Scaling needs a new one, so nothing follows from an old one. */
	char *list_trouble;
	int64_t list_age_ms;
};

struct cpu_report {
	const struct cpu_cluster *cluster; /* NULL: ad hoc */
	const struct cs_measure_result *result;
	enum cs_cpu_aggregate aggregate; /* what the figure is */
	struct cs_measurement recorded;	 /* of a cluster: what nova_scale decides from */
	const struct cs_measured *servers;
	size_t n;
	const struct cs_snmp_counts *counts;
	struct cs_threshold warn, crit;
	int verbose;
	bool per_instance; /* perfdata for each server */
};

/* How many servers the policies want for this measurement; its `servers` when those are
 * as many as wanted. */
int64_t cpu_wanted(const struct cpu_cluster *cluster,
	const struct cs_measurement *measurement) CS_NONNULL_ALL;

/* What nova_scale would decide now. `ret_in` borrows; `ret` is owned by the caller. */
void cpu_decide(const struct cpu_cluster *cluster,
	const struct cs_measurement *measurement, struct cs_policy_input *ret_in,
	struct cs_decision *ret) CS_NONNULL_ALL;

/* Print and exit. */
_Noreturn void cpu_report_text(const struct cpu_report *report);
_Noreturn void cpu_report_json(const struct cpu_report *report);

#endif
