/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses for new servers; see fleet_addresses.h. */
#include <config.h>
#include "domain/fleet_addresses.h"

#include <string.h>

struct cs_fleet_addresses {
	const struct cs_server_spec *spec; /* borrowed */
	struct cs_strings seen;		   /* what the servers of the last list have */
	struct cs_strings ports;	   /* ids and addresses of spec->ports, */
	struct cs_strings port_addresses;  /* once they are known */
	bool *taken; /* by us, each of what is given: the list may not show it yet */
};

struct cs_fleet_addresses *cs_fleet_addresses_new(const struct cs_server_spec *spec)
{
	struct cs_fleet_addresses *fixed = cs_calloc(1, sizeof *fixed);

	fixed->spec = spec;
	fixed->taken = cs_calloc(
		spec->fixed_addresses.n + spec->ports.n + 1, sizeof *fixed->taken);
	return fixed;
}

void cs_fleet_addresses_free(struct cs_fleet_addresses *fixed)
{
	if (!fixed)
		return;
	cs_strings_done(&fixed->seen);
	cs_strings_done(&fixed->ports);
	cs_strings_done(&fixed->port_addresses);
	free(fixed->taken);
	free(fixed);
}

void cs_fleet_addresses_see(
	struct cs_fleet_addresses *fixed, const struct cs_fleet_view *view)
{
	cs_strings_done(&fixed->seen);
	if (fixed->spec->fixed_addresses.n + fixed->spec->ports.n == 0)
		return;
	for (size_t i = 0; i < view->list.n; i++) {
		const struct cs_server *server = &view->list.servers[i];

		if (server->mark_address)
			cs_strings_add(&fixed->seen, server->mark_address);
		for (size_t k = 0; k < server->n_addresses; k++)
			cs_strings_add(&fixed->seen, server->addresses[k].ip);
	}
}

bool cs_fleet_addresses_need_port(const struct cs_fleet_addresses *fixed)
{
	return fixed->ports.n < fixed->spec->ports.n;
}

const char *cs_fleet_addresses_next_port(const struct cs_fleet_addresses *fixed)
{
	return fixed->spec->ports.items[fixed->ports.n];
}

void cs_fleet_addresses_add_port(
	struct cs_fleet_addresses *fixed, const char *id, const char *address)
{
	cs_strings_add(&fixed->ports, id);
	cs_strings_add(&fixed->port_addresses, address);
}

static bool is_seen(const struct cs_fleet_addresses *fixed, const char *address)
{
	for (size_t i = 0; i < fixed->seen.n; i++) {
		if (strcmp(fixed->seen.items[i], address) == 0)
			return true;
	}
	return false;
}

int cs_fleet_addresses_next(struct cs_fleet_addresses *fixed, bool take,
	struct cs_fleet_address *ret, struct cs_error *err)
{
	bool by_port = fixed->spec->ports.n > 0;
	const struct cs_strings *given =
		by_port ? &fixed->port_addresses : &fixed->spec->fixed_addresses;
	size_t i = 0;

	*ret = (struct cs_fleet_address){0};
	if (given->n == 0)
		return 0;
	while (i < given->n && (fixed->taken[i] || is_seen(fixed, given->items[i])))
		i++;
	if (i == given->n)
		return cs_error_set(err, CS_E_REFUSED,
			"servers.%s: all %zu are in use; add some, or delete the "
			"servers that have them",
			by_port ? "ports" : "fixed-addresses", given->n);
	*ret = (struct cs_fleet_address){.address = given->items[i],
		.port_id = by_port ? fixed->ports.items[i] : NULL};
	if (take)
		fixed->taken[i] = true;
	return 0;
}
