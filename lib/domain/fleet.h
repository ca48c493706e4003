/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One look at a cluster in its cloud: what every program begins with. Finds the
 * credentials, authenticates, resolves the configured names once, and lists the servers.
 */
#ifndef CS_DOMAIN_FLEET_H
#define CS_DOMAIN_FLEET_H

#include "base/deadline.h"
#include "base/error.h"
#include "base/macros.h"
#include "client/keystone.h"
#include "client/nova.h"
#include "domain/config.h"
#include "domain/members.h"

/* An open connection to a cluster's cloud. */
struct cs_fleet;

/* One complete list and the cluster's members in it. */
struct cs_fleet_view {
	struct cs_server_list list;
	struct cs_members members; /* borrows from `list` */
};

/* `cloud`: the name in clouds.yaml (cluster->cloud, or cluster->haproxy.cloud). Borrows
 * config and cluster. The deadline bounds every later call until it is moved. */
int cs_fleet_open(const struct cs_config *config, const struct cs_cluster *cluster,
	const char *cloud, struct cs_deadline deadline, struct cs_fleet **ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
/* The same with credentials that were found before. They are taken. `cache`: the file
 * that keeps the token (cs_fleet_open(): <state-dir>/<cluster>/token), NULL for none. */
int cs_fleet_open_as(struct cs_credentials *take_credentials, const char *cache,
	const struct cs_cluster *cluster, struct cs_deadline deadline,
	struct cs_fleet **ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL(1, 3, 5, 6);
void cs_fleet_set_deadline(
	struct cs_fleet *fleet, struct cs_deadline deadline) CS_NONNULL_ALL;
void cs_fleet_close(struct cs_fleet *fleet);
CS_DEFINE_FREEP(struct cs_fleet, cs_fleet_close)

/* Lists and selects. `ret` is filled only from a complete list. CS_E_CONFIG when members
 * have addresses, but none of them on the first configured network. */
int cs_fleet_look(struct cs_fleet *fleet, struct cs_fleet_view *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_fleet_view_done(struct cs_fleet_view *view) CS_NONNULL_ALL;

/* For what changes servers; borrowed. */
struct cs_nova *cs_fleet_nova(struct cs_fleet *fleet) CS_NONNULL_ALL;

/* What a journal is bound to; borrowed. */
const char *cs_fleet_auth_url(const struct cs_fleet *fleet) CS_NONNULL_ALL;
const char *cs_fleet_project_id(const struct cs_fleet *fleet) CS_NONNULL_ALL;
const char *cs_fleet_region(
	const struct cs_fleet *fleet) CS_NONNULL_ALL; /* "" for none */

/* On the first network; borrowed. */
struct cs_fleet_address {
	const char *address; /* NULL: Nova chooses */
	const char *port_id; /* of a port that has it; NULL: Nova makes one */
};

/* For the next server: the first of the configured ones that no server has, by the last
 * list and what was taken since. CS_E_REFUSED when none is left. `take`: it is given to
 * one, unless that fails. */
int cs_fleet_address(struct cs_fleet *fleet, bool take, struct cs_fleet_address *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* May the project have so many servers more than at the last look? CS_E_QUOTA names the
 * limit. A cloud that does not tell its limits is not asked in vain: 0. */
int cs_fleet_has_room(struct cs_fleet *fleet, int64_t servers,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* After it: 0 if the cloud told its limits, else why not; CS_E_FORBIDDEN or
 * CS_E_NOT_FOUND from one that tells none. */
int cs_fleet_tells_limits(
	const struct cs_fleet *fleet, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* The URL of a service as cs_keystone_endpoint(); owned by the caller. */
int cs_fleet_endpoint(struct cs_fleet *fleet, const char *type, char **ret_url,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Asks for the configured names and the limits at once, as far as they are not known, so
 * that the calls that want them do not wait one after the other. */
void cs_fleet_look_ahead(struct cs_fleet *fleet) CS_NONNULL_ALL;

/* The configured names resolved to ids (asked for on first use, then kept); borrowed. */
int cs_fleet_image_id(struct cs_fleet *fleet, const char **ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
int cs_fleet_flavor(struct cs_fleet *fleet, const char **ret_id,
	struct cs_nova_size *ret_size, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
int cs_fleet_group_id(struct cs_fleet *fleet, const char **ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL; /* NULL when there is none */
/* Of floating addresses; NULL when there are to be none. */
int cs_fleet_floating_network_id(struct cs_fleet *fleet, const char **ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
int cs_fleet_network_ids(struct cs_fleet *fleet, const struct cs_strings **ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
