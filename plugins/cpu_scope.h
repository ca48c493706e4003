/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which servers check_cluster_cpu measures, and how: the members of a cluster, or hosts
 * given by hand. */
#ifndef CS_PLUGINS_CPU_SCOPE_H
#define CS_PLUGINS_CPU_SCOPE_H

#include "base/mem.h"
#include "base/secret.h"
#include "cpu_report.h"
#include "domain/config.h"
#include "domain/fleet.h"
#include "domain/measure.h"
#include "domain/snmp_access.h"

/* What a run holds for each at its largest, about. */
#define CPU_BYTES_PER_SERVER 700

/* What the command line says; borrowed from it. */
struct cpu_source {
	const char *cluster, *config_file;
	struct cs_strings hosts;
	const char *hosts_file;
	struct cs_secret *community;
	const char *source, *aggregate; /* or NULL */
	int64_t retries;		/* -1: not given */
	bool dry_run;			/* ask once and keep nothing */
	/* of SNMP, for hosts given by hand; as words */
	const char *version, *community_file, *user, *level, *context;
	const char *auth_protocol, *auth_password_file;
	const char *priv_protocol, *priv_password_file;
};

/* Lives as long as the program. */
struct cpu_scope {
	struct cs_measured *servers;
	size_t n;
	struct cs_measure_setup setup; /* borrows from here */
	struct cs_strings names;       /* of the servers, printable */
	struct cs_snmp_access access;  /* of hosts given by hand */
	char *state_dir;	       /* NULL when none can be used */
	struct cs_error state_error;   /* then why */

	/* of a cluster only */
	struct cs_snmp_accesses accesses;
	struct cs_config *config;
	struct cs_fleet_view view;
	struct cpu_cluster cluster; /* name NULL: ad hoc */
};

int cpu_scope_open(const struct cpu_source *source, struct cs_deadline deadline,
	struct cpu_scope *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* The configuration alone, for `source->cluster` or all; reads secrets too. */
int cpu_config_check(const struct cpu_source *source, char **ret_summary,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Used by cpu_scope_open(). */
int cpu_cluster_open(const struct cpu_source *source, struct cs_deadline deadline,
	struct cpu_scope *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
