/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which servers check_cluster_cpu measures, and how. */
#ifndef CS_PLUGINS_CPU_SCOPE_H
#define CS_PLUGINS_CPU_SCOPE_H

#include "base/mem.h"
#include "base/secret.h"
#include "domain/measure.h"

/* What the command line says; borrowed from it. */
struct cpu_source {
	struct cs_strings hosts;
	const char *hosts_file, *community_file;
	struct cs_secret *community;
};

/* Lives as long as the program. */
struct cpu_scope {
	struct cs_measured *servers;
	size_t n;
	struct cs_measure_setup setup; /* borrows from here */
	struct cs_strings names;
	struct cs_secret *community;
	char *state_dir;	     /* NULL when none can be used */
	struct cs_error state_error; /* then why */
};

int cpu_scope_open(const struct cpu_source *source, struct cs_deadline deadline,
	struct cpu_scope *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
