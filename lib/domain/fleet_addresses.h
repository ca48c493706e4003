/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which fixed address the next server gets. For fleet.c; pure data, nothing is asked for.
 */
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

/* As cs_fleet_address(). */
int cs_fleet_addresses_next(struct cs_fleet_addresses *fixed, bool take,
	const char **ret_address, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
