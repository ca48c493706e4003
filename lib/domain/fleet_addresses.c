/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fixed addresses for new servers; see fleet_addresses.h. */
#include <config.h>
#include "domain/fleet_addresses.h"

#include <string.h>

struct cs_fleet_addresses {
	const struct cs_server_spec *spec; /* borrowed */
	bool *in_use;			   /* each address of the spec, by the list */
	bool *taken;			   /* and by us: the list may not show it yet */
};

struct cs_fleet_addresses *cs_fleet_addresses_new(const struct cs_server_spec *spec)
{
	struct cs_fleet_addresses *fixed = cs_calloc(1, sizeof *fixed);

	fixed->spec = spec;
	fixed->in_use = cs_calloc(spec->fixed_addresses.n + 1, sizeof *fixed->in_use);
	fixed->taken = cs_calloc(spec->fixed_addresses.n + 1, sizeof *fixed->taken);
	return fixed;
}

void cs_fleet_addresses_free(struct cs_fleet_addresses *fixed)
{
	if (!fixed)
		return;
	free(fixed->in_use);
	free(fixed->taken);
	free(fixed);
}

static bool has_address(const struct cs_server *server, const char *address)
{
	if (server->mark_address && strcmp(server->mark_address, address) == 0)
		return true;
	for (size_t i = 0; i < server->n_addresses; i++) {
		if (strcmp(server->addresses[i].ip, address) == 0)
			return true;
	}
	return false;
}

void cs_fleet_addresses_see(
	struct cs_fleet_addresses *fixed, const struct cs_fleet_view *view)
{
	const struct cs_strings *addresses = &fixed->spec->fixed_addresses;

	for (size_t a = 0; a < addresses->n; a++) {
		fixed->in_use[a] = false;
		for (size_t i = 0; i < view->list.n && !fixed->in_use[a]; i++)
			fixed->in_use[a] =
				has_address(&view->list.servers[i], addresses->items[a]);
	}
}

int cs_fleet_addresses_next(struct cs_fleet_addresses *fixed, bool take,
	const char **ret_address, struct cs_error *err)
{
	const struct cs_strings *addresses = &fixed->spec->fixed_addresses;
	size_t address = 0;

	while (address < addresses->n &&
		(fixed->in_use[address] || fixed->taken[address]))
		address++;
	if (addresses->n > 0 && address == addresses->n)
		return cs_error_set(err, CS_E_REFUSED,
			"servers.fixed-addresses: all %zu are in use; add some, or "
			"delete the servers that have them",
			addresses->n);
	*ret_address = addresses->n > 0 ? addresses->items[address] : NULL;
	if (take)
		fixed->taken[address] = true;
	return 0;
}
