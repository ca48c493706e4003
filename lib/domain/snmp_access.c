/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Secrets for SNMP; see snmp_access.h. */
#include <config.h>
#include "domain/snmp_access.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/user.h"
#include "domain/snmp_port.h"

void cs_snmp_access_done(struct cs_snmp_access *access)
{
	cs_secret_free(access->community);
	cs_secret_free(access->auth_password);
	cs_secret_free(access->priv_password);
	explicit_bzero(access, sizeof *access);
}

static int read_secret(const char *key, const char *path, const char *what,
	struct cs_secret **ret, struct cs_error *err)
{
	if (!path)
		return cs_error_set(
			err, CS_E_CONFIG, "no %s: the key %s is missing", what, key);
	if (cs_secret_from_file(path, ret, err) == CS_E_NOT_FOUND) {
		CS_AUTO_FREE char *group = cs_group_name(getegid());

		cs_error_advise(err,
			"write the %s into it (mode 0640, group %s), or correct %s", what,
			group, key);
	}
	return *ret ? 0 : err->code;
}

static int open_community(
	const struct cs_snmp_spec *spec, struct cs_snmp_access *ret, struct cs_error *err)
{
	if (!ret->community &&
		read_secret("community-file", spec->community_file,
			"read community of snmpd", &ret->community, err) < 0)
		return err->code;
	ret->credential.community = ret->community;
	return cs_snmp_credential_prepare(&ret->credential, err);
}

static int open_user(
	const struct cs_snmp_spec *spec, struct cs_snmp_access *ret, struct cs_error *err)
{
	struct cs_snmp_credential *credential = &ret->credential;

	credential->user = spec->user;
	credential->context = spec->context;
	credential->auth_protocol = spec->auth_protocol;
	credential->priv_protocol = spec->priv_protocol;
	if (credential->level >= CS_SNMP_AUTH_NO_PRIV &&
		read_secret("auth-password-file (--authpass-file)",
			spec->auth_password_file, "authentication password of SNMPv3",
			&ret->auth_password, err) < 0)
		return err->code;
	if (credential->level == CS_SNMP_AUTH_PRIV &&
		read_secret("priv-password-file (--privpass-file)",
			spec->priv_password_file, "privacy password of SNMPv3",
			&ret->priv_password, err) < 0)
		return err->code;
	credential->auth_password = ret->auth_password;
	credential->priv_password = ret->priv_password;
	return cs_snmp_credential_prepare(credential, err);
}

int cs_snmp_access_open(
	const struct cs_snmp_spec *spec, struct cs_snmp_access *ret, struct cs_error *err)
{
	ret->credential = (struct cs_snmp_credential){
		.version = (enum cs_snmp_version)spec->version,
		.level = (enum cs_snmp_level)spec->level};
	if (spec->version == CS_SNMP_V3)
		return open_user(spec, ret, err);
	return open_community(spec, ret, err);
}

void cs_snmp_accesses_done(struct cs_snmp_accesses *accesses)
{
	for (size_t i = 0; i < accesses->n; i++)
		cs_snmp_access_done(&accesses->items[i]);
	free(accesses->items);
	*accesses = (struct cs_snmp_accesses){0};
}

int cs_snmp_accesses_open(
	const struct cs_cpu_spec *cpu, struct cs_snmp_accesses *ret, struct cs_error *err)
{
	*ret = (struct cs_snmp_accesses){.n = cpu->n_groups + 1};
	ret->items = cs_calloc(ret->n, sizeof *ret->items);
	for (size_t i = 0; i < cpu->n_groups; i++) {
		const struct cs_cpu_group *group = &cpu->groups[i];

		if (cs_snmp_access_open(&group->snmp, &ret->items[i], err) < 0)
			return cs_error_prefix(err, "group '%s'", group->names);
	}
	return cs_snmp_access_open(&cpu->snmp, &ret->items[cpu->n_groups], err);
}

int cs_snmp_accesses_find(const struct cs_snmp_accesses *accesses,
	const struct cs_cpu_spec *cpu, const struct cs_server *server,
	const struct cs_snmp_credential **ret, int64_t *ret_port, struct cs_error *err)
{
	*ret = &accesses->items[cs_snmp_group_of(cpu, server)].credential;
	return cs_snmp_port_of(cpu, server, ret_port, err);
}
