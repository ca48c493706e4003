/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The port of an agent; see snmp_port.h. */
#include <config.h>
#include "domain/snmp_port.h"

#include <fnmatch.h>

#include "base/parse.h"

size_t cs_snmp_group_of(const struct cs_cpu_spec *cpu, const struct cs_server *server)
{
	size_t i = 0;

	while (i < cpu->n_groups && fnmatch(cpu->groups[i].names, server->name, 0) != 0)
		i++;
	return i;
}

int cs_snmp_port_of(const struct cs_cpu_spec *cpu, const struct cs_server *server,
	int64_t *ret, struct cs_error *err)
{
	size_t i = cs_snmp_group_of(cpu, server);

	*ret = i < cpu->n_groups ? cpu->groups[i].snmp.port : cpu->snmp.port;
	if (!server->mark_snmp_port ||
		cs_parse_int(server->mark_snmp_port, 1, 65535, ret))
		return 0;
	return cs_error_set(err, CS_E_CONFIG,
		"its metadata " CS_NOVA_MARK_SNMP_PORT " is '%.20s', which is no port",
		server->mark_snmp_port);
}
