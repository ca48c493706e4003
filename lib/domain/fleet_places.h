/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where new servers go: balancing over availability zones, and free fixed addresses. For
 * fleet.c; pure data, nothing is asked for. */
#ifndef CS_DOMAIN_FLEET_PLACES_H
#define CS_DOMAIN_FLEET_PLACES_H

#include <stdbool.h>

#include "base/error.h"
#include "base/macros.h"
#include "domain/fleet.h"

struct cs_fleet_places;

/* Borrows `spec`. Owned by the caller. */
struct cs_fleet_places *cs_fleet_places_new(
	const struct cs_server_spec *spec) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_fleet_places_free(struct cs_fleet_places *places);

/* Counts anew from a complete list. */
void cs_fleet_places_see(
	struct cs_fleet_places *places, const struct cs_fleet_view *view) CS_NONNULL_ALL;

/* As cs_fleet_place(). */
int cs_fleet_places_next(struct cs_fleet_places *places, bool take, const char **ret_zone,
	const char **ret_address, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
