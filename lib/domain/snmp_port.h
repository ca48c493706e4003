/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a member's agent listens, by the configuration and the member's own metadata;
 * apart from snmp_access.h, because it needs no SNMP library. */
#ifndef CS_DOMAIN_SNMP_PORT_H
#define CS_DOMAIN_SNMP_PORT_H

#include "client/nova.h"
#include "domain/config.h"

/* The group of a server, or cpu->n_groups: it has none. */
size_t cs_snmp_group_of(
	const struct cs_cpu_spec *cpu, const struct cs_server *server) CS_NONNULL_ALL;

/* Its metadata comes before its group. CS_E_CONFIG: its metadata names no port. */
int cs_snmp_port_of(const struct cs_cpu_spec *cpu, const struct cs_server *server,
	int64_t *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
