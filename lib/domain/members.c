/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Selecting and classing servers; see members.h. */
#include <config.h>
#include "domain/members.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/sorted.h"

#define MARK_MIN_MS 1000000000000 /* the year 2001 */

const char *cs_member_state_text(enum cs_member_state state)
{
	static const char *const texts[CS_MEMBER_STATE_COUNT] = {
		[CS_MEMBER_BUILDING] = "building",
		[CS_MEMBER_ACTIVE] = "active",
		[CS_MEMBER_DRAINING] = "draining",
		[CS_MEMBER_DELETING] = "deleting",
		[CS_MEMBER_ERROR] = "error",
		[CS_MEMBER_OTHER] = "other",
		[CS_MEMBER_UNKNOWN] = "unknown",
	};

	return texts[state];
}

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++) {
		if (strcmp(text, *words) == 0)
			return true;
	}
	return false;
}

/* Nova keeps `status` ACTIVE while it deletes; only the task tells. */
static bool is_deleting(const struct cs_server *server)
{
	static const char *const tasks[] = {"deleting", "soft-deleting", NULL};
	static const char *const statuses[] = {"DELETED", "SOFT_DELETED", NULL};

	return (server->task_state && is_one_of(server->task_state, tasks)) ||
	       is_one_of(server->status, statuses);
}

static enum cs_member_state state_of(const struct cs_member *member)
{
	const struct cs_server *server = member->server;

	if (server->hidden)
		return CS_MEMBER_UNKNOWN;
	if (is_deleting(server))
		return CS_MEMBER_DELETING;
	if (strcmp(server->status, "ERROR") == 0)
		return CS_MEMBER_ERROR;
	if (strcmp(server->status, "BUILD") == 0)
		return CS_MEMBER_BUILDING;
	if (strcmp(server->status, "ACTIVE") != 0)
		return CS_MEMBER_OTHER;
	if (server->mark_draining)
		return CS_MEMBER_DRAINING;
	return *member->address ? CS_MEMBER_ACTIVE : CS_MEMBER_BUILDING;
}

/* The first usable address of `version` on `network` (NULL: any), rewritten by the
 * library so that nothing but an address can come out of it. */
static bool find_address(const struct cs_server *server, const char *network, int version,
	char ret[INET6_ADDRSTRLEN])
{
	int family = version == 6 ? AF_INET6 : AF_INET;

	for (size_t i = 0; i < server->n_addresses; i++) {
		const struct cs_server_address *address = &server->addresses[i];
		unsigned char bytes[sizeof(struct in6_addr)];

		if (address->version != version ||
			(network && strcmp(address->network, network) != 0))
			continue;
		if (inet_pton(family, address->ip, bytes) == 1 &&
			inet_ntop(family, bytes, ret, INET6_ADDRSTRLEN))
			return true;
	}
	return false;
}

/* A mark that cannot be read still marks, but its time is to come: no session is shut for
 * it and nothing is deleted before it is written anew. Seconds are not milliseconds. */
static int64_t draining_since(const struct cs_server *server)
{
	int64_t wall_ms;

	if (!server->mark_draining)
		return 0;
	if (!cs_parse_int(server->mark_draining, MARK_MIN_MS, INT64_MAX, &wall_ms))
		return INT64_MAX;
	return wall_ms;
}

static bool is_member(const struct cs_server *server, const struct cs_cluster *cluster,
	const char *image_id)
{
	if (server->hidden)
		return true;
	if (server->mark_cluster)
		return strcmp(server->mark_cluster, cluster->name) == 0;
	return cluster->servers.adopt_image && image_id && *image_id &&
	       strcmp(server->image_id, image_id) == 0;
}

static struct cs_member make_member(
	const struct cs_server *server, const char *network_name)
{
	struct cs_member member = {.server = server,
		.ours = server->mark_cluster != NULL,
		.draining_since_wall_ms = draining_since(server)};

	if (!find_address(server, network_name, 4, member.address) &&
		!find_address(server, network_name, 6, member.address))
		member.address[0] = '\0';
	member.state = state_of(&member);
	return member;
}

static int by_age(const void *left, const void *right)
{
	const struct cs_server *a = ((const struct cs_member *)left)->server;
	const struct cs_server *b = ((const struct cs_member *)right)->server;

	if (a->created_wall_ms != b->created_wall_ms)
		return a->created_wall_ms < b->created_wall_ms ? -1 : 1;
	return strcmp(a->id, b->id);
}

void cs_members_select(const struct cs_server_list *list,
	const struct cs_cluster *cluster, const char *image_id, const char *network_name,
	struct cs_members *ret)
{
	*ret = (struct cs_members){.items = cs_calloc(list->n, sizeof *ret->items)};
	for (size_t i = 0; i < list->n; i++) {
		const struct cs_server *server = &list->servers[i];

		if (!is_member(server, cluster, image_id))
			continue;
		ret->items[ret->n] = make_member(server, network_name);
		ret->by_state[ret->items[ret->n].state]++;
		ret->n++;
	}
	qsort(ret->items, ret->n, sizeof *ret->items, by_age);
	cs_members_index(ret);
}

static int by_id(const void *left, const void *right)
{
	const struct cs_member *const *a = left, *const *b = right;

	return strcmp((*a)->server->id, (*b)->server->id);
}

void cs_members_index(struct cs_members *members)
{
	free(members->by_id);
	members->by_id = cs_calloc(members->n, sizeof(*members->by_id));
	for (size_t i = 0; i < members->n; i++)
		members->by_id[i] = &members->items[i];
	qsort(members->by_id, members->n, sizeof(*members->by_id), by_id);
}

const char *cs_member_kept(const struct cs_member *member)
{
	return member->server->locked	      ? "it is locked"
	       : member->server->is_protected ? "it is protected"
					      : NULL;
}

void cs_members_done(struct cs_members *members)
{
	free(members->items);
	free(members->by_id);
	*members = (struct cs_members){0};
}

static const char *id_of(const void *row)
{
	return (*(const struct cs_member *const *)row)->server->id;
}

const struct cs_member *cs_members_find(
	const struct cs_members *members, const char *server_id)
{
	bool found;
	size_t at = cs_sorted_place(members->by_id, members->n, sizeof(*members->by_id),
		id_of, server_id, &found);

	return found ? members->by_id[at] : NULL;
}
