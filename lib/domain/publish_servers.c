/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of a pass and its decisions; see publish_servers.h. */
#include <config.h>
#include "domain/publish_servers.h"

#include <string.h>

#include "base/mem.h"

static const struct cs_publish_entry *find_entry(const struct cs_publish_record *record,
	const struct cs_cluster *cluster, const char *id)
{
	for (size_t i = 0; i < record->n; i++) {
		if (strcmp(record->entries[i].id, id) == 0 &&
			strcmp(record->entries[i].cluster, cluster->name) == 0)
			return &record->entries[i];
	}
	return NULL;
}

static struct cs_publish_server *add(struct cs_publish_servers *servers,
	const struct cs_cluster *cluster, const char *id, const char *name,
	const char *endpoint)
{
	servers->items =
		cs_reallocarray(servers->items, servers->n + 1, sizeof *servers->items);
	struct cs_publish_server *server = &servers->items[servers->n++];
	*server = (struct cs_publish_server){.cluster = cluster,
		.id = cs_strdup(id),
		.name = cs_strdup(name),
		.endpoint = cs_strdup(endpoint)};
	return server;
}

/* `taken` grows by the name. */
static void add_member(struct cs_publish_servers *servers,
	const struct cs_cluster *cluster, const struct cs_member *member,
	const struct cs_publish_entry *entry, struct cs_strings *taken)
{
	const struct cs_server *nova = member->server;
	CS_AUTO_FREE char *endpoint =
		cs_haproxy_endpoint(member->address, cluster->haproxy.port);
	CS_AUTO_FREE char *name =
		entry ? cs_strdup(entry->name)
		      : cs_haproxy_name_make(nova->name, nova->id, taken);
	struct cs_publish_server *server =
		add(servers, cluster, nova->id, name, endpoint ? endpoint : "");

	server->member = member;
	server->marked = nova->mark_draining != NULL;
	server->marked_wall_ms = member->draining_since_wall_ms;
	server->had_line = entry && entry->has_line;
	server->drained_by_us = entry && entry->drained_by_us;
	if (!entry)
		cs_strings_add(taken, name);
}

static void add_recorded(struct cs_publish_servers *servers,
	const struct cs_cluster *cluster, const struct cs_publish_entry *entry, bool held)
{
	struct cs_publish_server *server =
		add(servers, cluster, entry->id, entry->name, entry->endpoint);

	server->had_line = entry->has_line;
	server->drained_by_us = entry->drained_by_us;
	server->held = held;
}

void cs_publish_servers_build(const struct cs_cluster *const *clusters, size_t n_clusters,
	const struct cs_fleet_view *views, const bool *listed,
	const struct cs_publish_record *record, const struct cs_strings *foreign,
	struct cs_publish_servers *ret)
{
	CS_CLEANUP(cs_strings_done) struct cs_strings taken = {0};

	for (size_t i = 0; i < foreign->n; i++)
		cs_strings_add(&taken, foreign->items[i]);
	for (size_t i = 0; i < record->n; i++)
		cs_strings_add(&taken, record->entries[i].name);
	for (size_t i = 0; i < n_clusters; i++) {
		const struct cs_members *members = &views[i].members;

		for (size_t k = 0; listed[i] && k < members->n; k++)
			add_member(ret, clusters[i], &members->items[k],
				find_entry(record, clusters[i],
					members->items[k].server->id),
				&taken);
		for (size_t k = 0; k < record->n; k++) {
			const struct cs_publish_entry *entry = &record->entries[k];

			if (strcmp(entry->cluster, clusters[i]->name) == 0 &&
				!(listed[i] && cs_members_find(members, entry->id)))
				add_recorded(ret, clusters[i], entry, !listed[i]);
		}
	}
}

void cs_publish_servers_done(struct cs_publish_servers *servers)
{
	for (size_t i = 0; i < servers->n; i++) {
		free(servers->items[i].id);
		free(servers->items[i].name);
		free(servers->items[i].endpoint);
	}
	free(servers->items);
	*servers = (struct cs_publish_servers){0};
}

void cs_publish_servers_observe(
	struct cs_publish_servers *servers, const struct cs_haproxy_servers *current)
{
	for (size_t i = 0; i < servers->n; i++) {
		struct cs_publish_server *server = &servers->items[i];

		server->current = cs_haproxy_servers_find(
			current, server->cluster->haproxy.backend, server->name);
		server->sessions = server->current ? server->current->sessions : 0;
		server->exposed = false;
	}
}

void cs_publish_servers_observe_old(
	struct cs_publish_servers *servers, const struct cs_haproxy_servers *old)
{
	for (size_t i = 0; i < servers->n; i++) {
		struct cs_publish_server *server = &servers->items[i];
		const struct cs_haproxy_server *there = cs_haproxy_servers_find(
			old, server->cluster->haproxy.backend, server->name);

		if (there) {
			server->sessions += there->sessions;
			server->exposed |= cs_haproxy_serves(there);
		}
	}
}

bool cs_publish_is_present(const struct cs_publish_server *server)
{
	return server->current &&
	       strcmp(server->current->endpoint, server->endpoint) == 0;
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

void cs_publish_servers_group(const struct cs_publish_servers *servers,
	const struct cs_cluster *cluster, bool after, struct cs_haproxy_group *ret)
{
	struct cs_haproxy_row *rows = cs_calloc(servers->n + 1, sizeof *rows);

	*ret = (struct cs_haproxy_group){.cluster = cluster->name,
		.backend = cluster->haproxy.backend,
		.options = cluster->haproxy.options,
		.rows = rows};
	for (size_t i = 0; i < servers->n; i++) {
		const struct cs_publish_server *server = &servers->items[i];

		if (server->cluster == cluster &&
			(after ? server->has_line : server->had_line))
			rows[ret->n++] =
				(struct cs_haproxy_row){server->name, server->endpoint};
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
				.has_line = applied ? server->has_line : server->had_line,
				.drained_by_us = server->drained_by_us});
	}
}
