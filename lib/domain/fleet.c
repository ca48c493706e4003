/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Credentials, session, names and list of a cluster's cloud; see fleet.h. */
#include <config.h>
#include "domain/fleet.h"

#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "client/keystone.h"
#include "domain/clouds.h"
#include "domain/fleet_addresses.h"

struct cs_fleet {
	const struct cs_cluster *cluster; /* borrowed */
	struct cs_credentials credentials;
	struct cs_keystone *session;
	struct cs_nova *nova;
	char *image_id, *flavor_id, *group_id; /* NULL until asked for */
	struct cs_strings network_ids;	       /* empty until asked for */
	char *network_name;		       /* of the first network, likewise */
	char *floating_network_id;	       /* likewise */
	struct cs_nova_size size;	       /* of the flavor */
	struct cs_nova_limits limits;	       /* since the last look; */
	bool limited;			       /* false: not asked for, or in vain: */
	struct cs_error limits_trouble;	       /* why */
	struct cs_fleet_addresses *addresses;
};

int cs_fleet_open(const struct cs_config *config, const struct cs_cluster *cluster,
	const char *cloud, struct cs_deadline deadline, struct cs_fleet **ret,
	struct cs_error *err)
{
	struct cs_credentials credentials;
	CS_AUTO_FREE char *dir = cs_config_cluster_dir(config, cluster);
	CS_AUTO_FREE char *cache = cs_asprintf("%s/token", dir);

	if (cs_clouds_find(config->clouds_file, cloud, &credentials, err) < 0)
		return err->code;
	return cs_fleet_open_as(&credentials, cache, cluster, deadline, ret, err);
}

int cs_fleet_open_as(struct cs_credentials *take_credentials, const char *cache,
	const struct cs_cluster *cluster, struct cs_deadline deadline,
	struct cs_fleet **ret, struct cs_error *err)
{
	CS_CLEANUP(cs_fleet_closep)
	struct cs_fleet *fleet = cs_calloc(1, sizeof *fleet);

	fleet->cluster = cluster;
	fleet->addresses = cs_fleet_addresses_new(&cluster->servers);
	fleet->credentials = *take_credentials;
	*take_credentials = (struct cs_credentials){0};
	if (cs_keystone_open(&fleet->credentials, cache, deadline, &fleet->session, err) <
			0 ||
		cs_nova_open(fleet->session, &fleet->nova, err) < 0)
		return err->code;
	*ret = CS_TAKE(fleet);
	return 0;
}

void cs_fleet_set_deadline(struct cs_fleet *fleet, struct cs_deadline deadline)
{
	cs_keystone_set_deadline(fleet->session, deadline);
}

void cs_fleet_close(struct cs_fleet *fleet)
{
	if (!fleet)
		return;
	cs_nova_close(fleet->nova);
	cs_keystone_close(fleet->session);
	cs_credentials_done(&fleet->credentials);
	free(fleet->image_id);
	free(fleet->flavor_id);
	free(fleet->group_id);
	cs_fleet_addresses_free(fleet->addresses);
	cs_strings_done(&fleet->network_ids);
	free(fleet->network_name);
	free(fleet->floating_network_id);
	free(fleet);
}

/* Nova lists addresses under the network's name, so a configured name needs no look-up,
 * and a cloud whose Network service is slow or down can still be looked at. */
static int find_network_name(
	struct cs_fleet *fleet, const char **ret, struct cs_error *err)
{
	const struct cs_strings *networks = &fleet->cluster->servers.networks;
	CS_AUTO_FREE char *id = NULL;

	*ret = networks->n > 0 ? networks->items[0] : NULL;
	if (!*ret || !cs_uuid_ok(*ret))
		return 0;
	if (!fleet->network_name && cs_nova_network_find(fleet->nova, *ret, &id,
					    &fleet->network_name, err) < 0)
		return err->code;
	*ret = fleet->network_name;
	return 0;
}

/* A mistyped network would make every member look as if it were being built, for ever. */
static int check_network(
	const struct cs_fleet_view *view, const char *network_name, struct cs_error *err)
{
	const char *other = NULL;

	for (size_t i = 0; network_name && i < view->members.n; i++) {
		const struct cs_member *member = &view->members.items[i];
		if (*member->address)
			return 0;
		if (member->server->n_addresses > 0)
			other = member->server->addresses[0].network;
	}
	if (!other)
		return 0;
	return cs_error_set(err, CS_E_CONFIG,
		"servers.networks: no member has an address on network '%s'; there are "
		"some on '%s'",
		network_name, other);
}

int cs_fleet_look(struct cs_fleet *fleet, struct cs_fleet_view *ret, struct cs_error *err)
{
	struct cs_fleet_view view = {0};
	const char *image_id = NULL, *network_name;

	fleet->limited = false;
	if (find_network_name(fleet, &network_name, err) < 0)
		return err->code;
	if (fleet->cluster->servers.adopt_image &&
		cs_fleet_image_id(fleet, &image_id, err) < 0)
		return err->code;
	if (cs_nova_list(fleet->nova, &view.list, err) < 0)
		return err->code;
	cs_members_select(
		&view.list, fleet->cluster, image_id, network_name, &view.members);
	if (check_network(&view, network_name, err) < 0) {
		cs_fleet_view_done(&view);
		return err->code;
	}
	cs_fleet_addresses_see(fleet->addresses, &view);
	*ret = view;
	return 0;
}

void cs_fleet_view_done(struct cs_fleet_view *view)
{
	cs_members_done(&view->members);
	cs_server_list_done(&view->list);
}

struct cs_nova *cs_fleet_nova(struct cs_fleet *fleet)
{
	return fleet->nova;
}

const char *cs_fleet_auth_url(const struct cs_fleet *fleet)
{
	return cs_keystone_auth_url(fleet->session);
}

const char *cs_fleet_project_id(const struct cs_fleet *fleet)
{
	return cs_keystone_project_id(fleet->session);
}

const char *cs_fleet_region(const struct cs_fleet *fleet)
{
	return cs_keystone_region(fleet->session);
}

int cs_fleet_endpoint(
	struct cs_fleet *fleet, const char *type, char **ret_url, struct cs_error *err)
{
	return cs_keystone_endpoint(fleet->session, type, ret_url, err);
}

int cs_fleet_image_id(struct cs_fleet *fleet, const char **ret, struct cs_error *err)
{
	if (!fleet->image_id &&
		cs_nova_image_id(fleet->nova, fleet->cluster->servers.image,
			&fleet->image_id, err) < 0)
		return cs_error_prefix(err, "servers.image");
	*ret = fleet->image_id;
	return 0;
}

int cs_fleet_flavor(struct cs_fleet *fleet, const char **ret_id,
	struct cs_nova_size *ret_size, struct cs_error *err)
{
	if (!fleet->flavor_id &&
		cs_nova_flavor_find(fleet->nova, fleet->cluster->servers.flavor,
			&fleet->flavor_id, &fleet->size, err) < 0)
		return cs_error_prefix(err, "servers.flavor");
	*ret_id = fleet->flavor_id;
	*ret_size = fleet->size;
	return 0;
}

int cs_fleet_group_id(struct cs_fleet *fleet, const char **ret, struct cs_error *err)
{
	const char *name = fleet->cluster->servers.server_group;

	if (name && !fleet->group_id &&
		cs_nova_group_id(fleet->nova, name, &fleet->group_id, err) < 0)
		return cs_error_prefix(err, "servers.server-group");
	*ret = fleet->group_id;
	return 0;
}

int cs_fleet_floating_network_id(
	struct cs_fleet *fleet, const char **ret, struct cs_error *err)
{
	const char *network = fleet->cluster->servers.floating_network;
	CS_AUTO_FREE char *name = NULL;

	if (network && !fleet->floating_network_id &&
		cs_nova_network_find(fleet->nova, network, &fleet->floating_network_id,
			&name, err) < 0)
		return cs_error_prefix(err, "servers.floating-network");
	*ret = fleet->floating_network_id;
	return 0;
}

int cs_fleet_address(struct cs_fleet *fleet, bool take, struct cs_fleet_address *ret,
	struct cs_error *err)
{
	while (cs_fleet_addresses_need_port(fleet->addresses)) {
		CS_AUTO_FREE char *id = NULL;
		CS_AUTO_FREE char *address = NULL;

		if (cs_nova_port_find(fleet->nova,
			    cs_fleet_addresses_next_port(fleet->addresses), &id, &address,
			    err) < 0)
			return cs_error_prefix(err, "servers.ports");
		cs_fleet_addresses_add_port(fleet->addresses, id, address);
	}
	return cs_fleet_addresses_next(fleet->addresses, take, ret, err);
}

/* Asked for once for all servers that are created at once. */
static bool find_limits(struct cs_fleet *fleet)
{
	fleet->limited = fleet->limited || cs_nova_limits(fleet->nova, &fleet->limits,
						   &fleet->limits_trouble) == 0;
	return fleet->limited;
}

int cs_fleet_has_room(struct cs_fleet *fleet, int64_t servers, struct cs_error *err)
{
	struct cs_nova_size size;
	const char *flavor_id;

	if (cs_fleet_flavor(fleet, &flavor_id, &size, err) < 0)
		return err->code;
	if (!find_limits(fleet))
		return 0;
	return cs_nova_limits_check(&fleet->limits, &size, servers, err);
}

int cs_fleet_tells_limits(const struct cs_fleet *fleet, struct cs_error *err)
{
	if (!fleet->limited)
		*err = fleet->limits_trouble;
	return fleet->limited ? 0 : err->code;
}

void cs_fleet_look_ahead(struct cs_fleet *fleet)
{
	const struct cs_strings *networks;
	struct cs_nova_size size;
	struct cs_error ignored;
	const char *id;

	cs_nova_look_ahead(fleet->nova, true);
	(void)!cs_fleet_image_id(fleet, &id, &ignored);
	(void)!cs_fleet_flavor(fleet, &id, &size, &ignored);
	(void)!cs_fleet_group_id(fleet, &id, &ignored);
	(void)!cs_fleet_network_ids(fleet, &networks, &ignored);
	(void)!cs_fleet_floating_network_id(fleet, &id, &ignored);
	(void)find_limits(fleet);
	cs_nova_look_ahead(fleet->nova, false);
}

int cs_fleet_network_ids(
	struct cs_fleet *fleet, const struct cs_strings **ret, struct cs_error *err)
{
	const struct cs_strings *networks = &fleet->cluster->servers.networks;

	for (size_t i = fleet->network_ids.n; i < networks->n; i++) {
		CS_AUTO_FREE char *id = NULL;
		CS_AUTO_FREE char *name = NULL;

		if (cs_nova_network_find(
			    fleet->nova, networks->items[i], &id, &name, err) < 0)
			return cs_error_prefix(err, "servers.networks");
		cs_strings_add(&fleet->network_ids, id);
	}
	*ret = &fleet->network_ids;
	return 0;
}
