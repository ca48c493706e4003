/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Floating addresses of the Network service, each marked in its description as that of
 * one server of one cluster: "clusterscale CLUSTER SERVER-ID". So what a lost answer or a
 * crash leaves behind is found again, and nobody else's is touched.
 * Source:
 * https://docs.openstack.org/api-ref/network/v2/#floating-ips-floatingips .
 *
 * Errors as in nova.h; CS_E_CONFLICT when the project may have no more. */
#ifndef CS_CLIENT_FLOATING_H
#define CS_CLIENT_FLOATING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/macros.h"
#include "client/nova.h"

struct cs_floating {
	char *id, *address;
	char *server_id; /* by our mark */
	bool attached;	 /* to a port */
};

/* Owned by the caller. */
struct cs_floating_list {
	struct cs_floating *items;
	size_t n;
};
void cs_floating_list_done(struct cs_floating_list *list) CS_NONNULL_ALL;

/* All with the mark of the cluster, every page, or an error. */
int cs_floating_list(struct cs_nova *nova, const char *cluster,
	struct cs_floating_list *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* The server, and which of its addresses the floating one leads to. */
struct cs_floating_goal {
	const char *cluster, *server_id, *fixed_address;
};

/* A new one of the network, attached in the same request: there is none that belongs to
 * nobody. `ret_address` is owned by the caller. */
int cs_floating_allocate(struct cs_nova *nova, const char *network_id,
	const struct cs_floating_goal *goal, char **ret_address,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* One that lost its port. */
int cs_floating_attach(struct cs_nova *nova, const struct cs_floating *floating,
	const struct cs_floating_goal *goal,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* 0, too, when it is gone already. */
int cs_floating_release(struct cs_nova *nova, const struct cs_floating *floating,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Pure. Appends those of one page that carry the mark, and gives the query of the next
 * one, or NULL. For cs_floating_list() and its fuzz target. */
int cs_floating_parse_page(const char *text, size_t len, const char *cluster,
	struct cs_floating_list *list, char **ret_next,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Pure. The id, owned by the caller, of the one of a list of ports that has the address;
 * CS_E_NOT_FOUND: none has. */
int cs_floating_parse_ports(const char *text, size_t len, const char *address,
	char **ret_id, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
