/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which of the configured addresses or ports the next server gets. For fleet.c; pure
 * data, nothing is asked for. */
#ifndef CS_DOMAIN_FLEET_ADDRESSES_H
#define CS_DOMAIN_FLEET_ADDRESSES_H

#include <stdbool.h>

#include "base/error.h"
#include "base/macros.h"
#include "domain/fleet.h"

struct cs_fleet_addresses;

/* Borrows `spec`. Owned by the caller. */
struct cs_fleet_addresses *cs_fleet_addresses_new(
	const struct cs_server_spec *spec) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_fleet_addresses_free(struct cs_fleet_addresses *fixed);

/* Counts anew from a complete list. */
void cs_fleet_addresses_see(struct cs_fleet_addresses *fixed,
	const struct cs_fleet_view *view) CS_NONNULL_ALL;

/* Ports are known by their addresses. While one is needed: the configured name or id of
 * the next one (borrowed), and what it was found to be. */
bool cs_fleet_addresses_need_port(const struct cs_fleet_addresses *fixed) CS_NONNULL_ALL;
const char *cs_fleet_addresses_next_port(
	const struct cs_fleet_addresses *fixed) CS_NONNULL_ALL;
void cs_fleet_addresses_add_port(struct cs_fleet_addresses *fixed, const char *id,
	const char *address) CS_NONNULL_ALL;

/* As cs_fleet_address(), when no port is needed any more. */
int cs_fleet_addresses_next(struct cs_fleet_addresses *fixed, bool take,
	struct cs_fleet_address *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
