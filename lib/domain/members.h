/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which servers of a Nova list belong to a cluster, and what each one is at the moment.
 * Pure. Members borrow from the server list and the cluster, which must outlive them. */
#ifndef CS_DOMAIN_MEMBERS_H
#define CS_DOMAIN_MEMBERS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "client/nova.h"
#include "domain/config.h"

enum cs_member_state {
	CS_MEMBER_BUILDING, /* BUILD, or ACTIVE without an address yet */
	CS_MEMBER_ACTIVE,   /* ACTIVE with an address, not marked draining */
	CS_MEMBER_DRAINING, /* ACTIVE and marked clusterscale.draining */
	CS_MEMBER_DELETING, /* task_state deleting, DELETED, SOFT_DELETED */
	CS_MEMBER_ERROR,    /* ERROR */
	CS_MEMBER_OTHER,    /* SHUTOFF, PAUSED, REBOOT, ...: exists, is not counted on */
	CS_MEMBER_UNKNOWN,  /* its cell is down: exists, and may be ours or anybody's */
	CS_MEMBER_STATE_COUNT,
};
const char *cs_member_state_text(enum cs_member_state state);

struct cs_member {
	const struct cs_server *server; /* borrowed from the list */
	enum cs_member_state state;
	bool ours;			/* carries our mark: the only ones ever deleted */
	char address[INET6_ADDRSTRLEN]; /* canonical, "" when there is none */
	int64_t draining_since_wall_ms; /* from the mark; 0 when not draining, in the
					   future when it cannot be read */
};

struct cs_members {
	struct cs_member *items; /* ordered by created, then id */
	size_t n;
	const struct cs_member **by_id; /* the same, for cs_members_find() */
	size_t by_state[CS_MEMBER_STATE_COUNT];
};

/* Members are the servers marked with the cluster's name, those that Nova hides the marks
 * of and, with adopt-image, the unmarked ones whose image is `image_id` (NULL: not looked
 * at). The address is the first on the first configured network (by Nova's network name),
 * IPv4 before IPv6; with no network configured, the first address. `network_name` is that
 * network's name. */
void cs_members_select(const struct cs_server_list *list,
	const struct cs_cluster *cluster, const char *image_id, const char *network_name,
	struct cs_members *ret) CS_NONNULL(1, 2, 5);
/* For whoever fills `items` without cs_members_select(): `by_id` of what they are now. */
void cs_members_index(struct cs_members *members) CS_NONNULL_ALL;
void cs_members_done(struct cs_members *members) CS_NONNULL_ALL;

/* Why it must not be deleted although it is ours, static text: a person locked it in Nova
 * or marked it as protected. NULL: it may be. */
const char *cs_member_kept(const struct cs_member *member) CS_NONNULL_ALL;

/* NULL when there is none. */
const struct cs_member *cs_members_find(
	const struct cs_members *members, const char *server_id) CS_NONNULL_ALL;

#endif
