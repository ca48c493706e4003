/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From what a configuration or a command line says about SNMP to a credential with its
 * secrets: files are read, keys derived. */
#ifndef CS_DOMAIN_SNMP_ACCESS_H
#define CS_DOMAIN_SNMP_ACCESS_H

#include "base/secret.h"
#include "client/snmp.h"
#include "domain/config.h"

/* Owns its secrets; zeroed it is empty. Do not copy it: the credential points into it. */
struct cs_snmp_access {
	struct cs_snmp_credential credential; /* borrows from the spec, too */
	struct cs_secret *community, *auth_password, *priv_password;
};
void cs_snmp_access_done(struct cs_snmp_access *access) CS_NONNULL_ALL;

/* Reads the files that `spec` names; `ret->community` may be there already. CS_E_CONFIG,
 * CS_E_NOT_FOUND or CS_E_REFUSED say which key or file is wrong. `ret` must be released
 * with cs_snmp_access_done() in any case. */
int cs_snmp_access_open(const struct cs_snmp_spec *spec, struct cs_snmp_access *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* The ways to ask a cluster's members: of each group, and at the end of all others. */
struct cs_snmp_accesses {
	struct cs_snmp_access *items;
	size_t n;
};
void cs_snmp_accesses_done(struct cs_snmp_accesses *accesses) CS_NONNULL_ALL;

/* As above; `cpu` has to outlive `ret`. */
int cs_snmp_accesses_open(const struct cs_cpu_spec *cpu, struct cs_snmp_accesses *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* How a server is asked: its credential, borrowed, and the port of its agent, by its own
 * metadata before its group. CS_E_CONFIG: its metadata names no port. */
int cs_snmp_accesses_find(const struct cs_snmp_accesses *accesses,
	const struct cs_cpu_spec *cpu, const struct cs_server *server,
	const struct cs_snmp_credential **ret, int64_t *ret_port,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
