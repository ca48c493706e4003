/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of a pass and its decisions; see publish_servers.h. */
#include <config.h>
#include "domain/publish_servers.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"

/* Sessions that end by themselves soon do so at their server; the others must have the
 * time to. */
#define GRACE_DIVISOR 10

static struct cs_publish_server *add(struct cs_publish_servers *servers,
	const struct cs_cluster *cluster, const char *id, const char *name,
	const char *endpoint, const char *options)
{
	if ((servers->n & (servers->n - 1)) == 0) /* grows at the powers of two */
		servers->items = cs_reallocarray(servers->items,
			servers->n ? servers->n * 2 : 1, sizeof *servers->items);
	struct cs_publish_server *server = &servers->items[servers->n++];
	*server = (struct cs_publish_server){.cluster = cluster,
		.id = cs_strdup(id),
		.name = cs_strdup(name),
		.endpoint = cs_strdup(endpoint),
		.options = cs_strdup(options)};
	return server;
}

/* `taken` grows by the name. */
static void add_member(struct cs_publish_servers *servers,
	const struct cs_cluster *cluster, const struct cs_member *member,
	const struct cs_publish_entry *entry, struct cs_haproxy_names *taken)
{
	const struct cs_server *nova = member->server;
	CS_AUTO_FREE char *endpoint =
		cs_haproxy_endpoint(member->address, cluster->haproxy.port);
	CS_AUTO_FREE char *name =
		entry ? cs_strdup(entry->name)
		      : cs_haproxy_name_make(nova->name, nova->id, taken);
	const struct cs_haproxy_values values = {.name = name,
		.id = nova->id,
		.endpoint = endpoint ? endpoint : "",
		.zone = nova->zone,
		.vcpus = nova->vcpus};
	CS_AUTO_FREE char *options =
		cs_haproxy_options(cluster->haproxy.options, &values);
	struct cs_publish_server *server =
		add(servers, cluster, nova->id, name, values.endpoint, options);

	server->member = member;
	server->marked = nova->mark_draining != NULL;
	server->marked_wall_ms = member->draining_since_wall_ms;
	server->had_line = server->has_line = entry && entry->has_line;
	server->drained_by_us = entry && entry->drained_by_us;
}

static void add_recorded(struct cs_publish_servers *servers,
	const struct cs_cluster *cluster, const struct cs_publish_entry *entry, bool held)
{
	struct cs_publish_server *server = add(servers, cluster, entry->id, entry->name,
		entry->endpoint, entry->options);

	server->had_line = server->has_line = entry->has_line;
	server->drained_by_us = entry->drained_by_us;
	server->held = held;
}

/* The members of a list, then what only the record knows of the cluster. */
static void add_cluster(struct cs_publish_servers *servers,
	const struct cs_cluster *cluster, const struct cs_members *listed,
	const struct cs_publish_record *record, const struct cs_map *entries,
	struct cs_haproxy_names *taken)
{
	CS_CLEANUP(cs_map_done) struct cs_map ids = {0};

	for (size_t i = 0; listed && i < listed->n; i++) {
		const struct cs_member *member = &listed->items[i];
		const char *id = member->server->id;
		const struct cs_publish_entry *entry =
			cs_map_find(entries, cluster->name, id);

		cs_map_add(&ids, "", id, member);
		if (member->state != CS_MEMBER_UNKNOWN)
			add_member(servers, cluster, member, entry, taken);
		else if (entry) /* it stays what it was; a new one may be anybody's */
			add_recorded(servers, cluster, entry, true);
	}
	for (size_t i = 0; i < record->n; i++) {
		const struct cs_publish_entry *entry = &record->entries[i];

		if (strcmp(entry->cluster, cluster->name) == 0 &&
			!cs_map_find(&ids, "", entry->id))
			add_recorded(servers, cluster, entry, !listed);
	}
}

void cs_publish_servers_build(const struct cs_cluster *const *clusters, size_t n_clusters,
	const struct cs_fleet_view *views, const bool *listed,
	const struct cs_publish_record *record, struct cs_haproxy_names *taken,
	struct cs_publish_servers *ret)
{
	CS_CLEANUP(cs_map_done) struct cs_map entries = {0};

	for (size_t i = 0; i < record->n; i++) {
		const struct cs_publish_entry *entry = &record->entries[i];

		cs_haproxy_names_add(taken, entry->name);
		cs_map_add(&entries, entry->cluster, entry->id, entry);
	}
	for (size_t i = 0; i < n_clusters; i++)
		add_cluster(ret, clusters[i], listed[i] ? &views[i].members : NULL,
			record, &entries, taken);
}

void cs_publish_servers_done(struct cs_publish_servers *servers)
{
	for (size_t i = 0; i < servers->n; i++) {
		free(servers->items[i].id);
		free(servers->items[i].name);
		free(servers->items[i].endpoint);
		free(servers->items[i].options);
	}
	free(servers->items);
	*servers = (struct cs_publish_servers){0};
}

/* A worker with that view of the server sends it new requests. */
static bool may_send(
	const struct cs_publish_server *server, const struct cs_haproxy_server *there)
{
	return cs_haproxy_serves(there) ||
	       (server->sticky && cs_haproxy_rests(there) && !cs_haproxy_in_maint(there));
}

static void add_view(
	struct cs_publish_server *server, const struct cs_haproxy_server *there)
{
	server->sessions += there->sessions;
	server->exposed |= may_send(server, there);
}

/* It has another name there: that of a lost record, or of who had the address before. */
static void observe_address(
	struct cs_publish_server *server, const struct cs_haproxy_servers *worker)
{
	for (size_t i = 0; i < worker->n; i++) {
		const struct cs_haproxy_server *there = &worker->items[i];

		if (strcmp(there->endpoint, server->endpoint) == 0 &&
			strcmp(there->backend, server->cluster->haproxy.backend) == 0 &&
			strcmp(there->name, server->name) != 0)
			add_view(server, there);
	}
}

void cs_publish_servers_observe(
	struct cs_publish_servers *servers, const struct cs_haproxy_servers *current)
{
	for (size_t i = 0; i < servers->n; i++) {
		struct cs_publish_server *server = &servers->items[i];

		const struct cs_haproxy_server *there = cs_haproxy_servers_find(
			current, server->cluster->haproxy.backend, server->name);

		server->remnant =
			there && !server->has_line && cs_haproxy_in_maint(there);
		server->current = server->remnant ? NULL : there;
		server->sessions = there ? there->sessions : 0;
		server->exposed = false;
		if (server->marked)
			observe_address(server, current);
	}
}

void cs_publish_servers_observe_old(
	struct cs_publish_servers *servers, const struct cs_haproxy_servers *old)
{
	for (size_t i = 0; i < servers->n; i++) {
		struct cs_publish_server *server = &servers->items[i];
		const struct cs_haproxy_server *there = cs_haproxy_servers_find(
			old, server->cluster->haproxy.backend, server->name);

		if (there)
			add_view(server, there);
		if (server->marked)
			observe_address(server, old);
	}
}

bool cs_publish_is_present(const struct cs_publish_server *server)
{
	return server->current &&
	       strcmp(server->current->endpoint, server->endpoint) == 0;
}

const char *cs_publish_rest_state(
	const struct cs_publish_server *server, int64_t now_wall_ms)
{
	int64_t grace_ms = server->cluster->haproxy.drain_timeout_ms / GRACE_DIVISOR;

	return server->sticky && now_wall_ms - server->marked_wall_ms >= grace_ms
		       ? "maint"
		       : "drain";
}

bool cs_publish_is_overdue(const struct cs_publish_server *server, int64_t now_wall_ms)
{
	return server->marked && now_wall_ms - server->marked_wall_ms >=
					 server->cluster->haproxy.drain_timeout_ms;
}

bool cs_publish_is_quiet(const struct cs_publish_server *server, int64_t now_wall_ms)
{
	bool receives = server->exposed ||
			(server->current && cs_haproxy_serves(server->current));

	return cs_publish_is_overdue(server, now_wall_ms) ||
	       (server->sessions == 0 && !receives);
}

static bool wants_line(const struct cs_publish_server *server, int64_t now_wall_ms)
{
	bool present = cs_publish_is_present(server);

	if (server->held)
		return server->had_line;
	if (!server->member || !*server->endpoint)
		return false;
	if (server->marked)
		return present && !cs_publish_is_quiet(server, now_wall_ms);
	if (server->member->state == CS_MEMBER_ACTIVE)
		return present || server->answers;
	return server->member->state == CS_MEMBER_OTHER && present &&
	       strncmp(server->current->status, "UP", 2) == 0;
}

void cs_publish_servers_decide(struct cs_publish_servers *servers, int64_t now_wall_ms)
{
	for (size_t i = 0; i < servers->n; i++)
		servers->items[i].has_line = wants_line(&servers->items[i], now_wall_ms);
}

void cs_publish_servers_hold(struct cs_publish_servers *servers,
	const struct cs_cluster *cluster, const struct cs_publish_record *record)
{
	CS_CLEANUP(cs_map_done) struct cs_map entries = {0};

	for (size_t i = 0; i < record->n; i++) {
		const struct cs_publish_entry *entry = &record->entries[i];

		if (strcmp(entry->cluster, cluster->name) == 0)
			cs_map_add(&entries, "", entry->id, entry);
	}
	for (size_t i = 0; i < servers->n; i++) {
		struct cs_publish_server *server = &servers->items[i];
		const struct cs_publish_entry *entry =
			cs_map_find(&entries, "", server->id);

		if (server->cluster != cluster)
			continue;
		server->held = true;
		if (entry) {
			cs_strset(&server->endpoint, entry->endpoint);
			cs_strset(&server->options, entry->options);
		}
	}
}

void cs_publish_servers_group(const struct cs_publish_servers *servers,
	const struct cs_cluster *cluster, bool after, struct cs_haproxy_group *ret)
{
	struct cs_haproxy_row *rows = cs_calloc(servers->n + 1, sizeof *rows);

	*ret = (struct cs_haproxy_group){.cluster = cluster->name,
		.backend = cluster->haproxy.backend,
		.rows = rows};
	for (size_t i = 0; i < servers->n; i++) {
		const struct cs_publish_server *server = &servers->items[i];

		if (server->cluster == cluster &&
			(after ? server->has_line : server->had_line))
			rows[ret->n++] = (struct cs_haproxy_row){
				server->name, server->endpoint, server->options};
	}
}

void cs_publish_servers_record(const struct cs_publish_servers *servers,
	const char *applied, const struct cs_publish_record *before,
	struct cs_publish_record *ret)
{
	memcpy(ret->applied, applied ? applied : before->applied, sizeof ret->applied);
	for (size_t i = 0; i < servers->n; i++) {
		const struct cs_publish_server *server = &servers->items[i];

		if (applied && !server->member && !server->held)
			continue; /* gone, and proved to be out of the running HAProxy */
		cs_publish_record_add(ret,
			&(struct cs_publish_entry){.cluster = server->cluster->name,
				.id = server->id,
				.name = server->name,
				.endpoint = server->endpoint,
				.options = server->options,
				.has_line = applied ? server->has_line : server->had_line,
				.drained_by_us = server->drained_by_us});
	}
}
