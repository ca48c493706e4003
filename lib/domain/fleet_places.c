/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Zones and addresses for new servers; see fleet_places.h. */
#include <config.h>
#include "domain/fleet_places.h"

#include <string.h>

struct cs_fleet_places {
	const struct cs_server_spec *spec; /* borrowed */
	int64_t *members;		   /* of each zone of the spec */
	bool *in_use;			   /* each address of the spec, by the list */
	bool *taken;			   /* and by us: the list may not show it yet */
};

struct cs_fleet_places *cs_fleet_places_new(const struct cs_server_spec *spec)
{
	struct cs_fleet_places *places = cs_calloc(1, sizeof *places);

	places->spec = spec;
	places->members =
		cs_calloc(spec->availability_zones.n + 1, sizeof *places->members);
	places->in_use = cs_calloc(spec->fixed_addresses.n + 1, sizeof *places->in_use);
	places->taken = cs_calloc(spec->fixed_addresses.n + 1, sizeof *places->taken);
	return places;
}

void cs_fleet_places_free(struct cs_fleet_places *places)
{
	if (!places)
		return;
	free(places->members);
	free(places->in_use);
	free(places->taken);
	free(places);
}

/* What is on its way out leaves its zone; what failed was never in it. */
static bool stays(const struct cs_member *member)
{
	return member->state != CS_MEMBER_DELETING && member->state != CS_MEMBER_ERROR &&
	       member->state != CS_MEMBER_DRAINING;
}

static void count_zones(struct cs_fleet_places *places, const struct cs_members *members)
{
	const struct cs_strings *zones = &places->spec->availability_zones;

	for (size_t z = 0; z < zones->n; z++) {
		places->members[z] = 0;
		for (size_t i = 0; i < members->n; i++) {
			const char *zone = members->items[i].server->zone;

			if (zone && stays(&members->items[i]))
				places->members[z] += strcmp(zone, zones->items[z]) == 0;
		}
	}
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

void cs_fleet_places_see(struct cs_fleet_places *places, const struct cs_fleet_view *view)
{
	const struct cs_strings *addresses = &places->spec->fixed_addresses;

	count_zones(places, &view->members);
	for (size_t a = 0; a < addresses->n; a++) {
		places->in_use[a] = false;
		for (size_t i = 0; i < view->list.n && !places->in_use[a]; i++)
			places->in_use[a] =
				has_address(&view->list.servers[i], addresses->items[a]);
	}
}

int cs_fleet_places_next(struct cs_fleet_places *places, bool take, const char **ret_zone,
	const char **ret_address, struct cs_error *err)
{
	const struct cs_strings *zones = &places->spec->availability_zones;
	const struct cs_strings *addresses = &places->spec->fixed_addresses;
	size_t zone = 0, address = 0;

	while (address < addresses->n &&
		(places->in_use[address] || places->taken[address]))
		address++;
	if (addresses->n > 0 && address == addresses->n)
		return cs_error_set(err, CS_E_REFUSED,
			"servers.fixed-addresses: all %zu are in use; add some, or "
			"delete the servers that have them",
			addresses->n);
	for (size_t z = 1; z < zones->n; z++) {
		if (places->members[z] < places->members[zone])
			zone = z;
	}
	*ret_zone = zones->n > 0 ? zones->items[zone] : NULL;
	*ret_address = addresses->n > 0 ? addresses->items[address] : NULL;
	if (take) {
		places->members[zone]++;
		places->taken[address] = true;
	}
	return 0;
}
