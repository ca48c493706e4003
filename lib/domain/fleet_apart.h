/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The list of a cluster's servers, fetched by a child without rights: a program that runs
 * as root lets nobody's process speak HTTP and TLS and read JSON, and believes of its
 * answer what it can check itself. */
#ifndef CS_DOMAIN_FLEET_APART_H
#define CS_DOMAIN_FLEET_APART_H

#include "base/deadline.h"
#include "base/error.h"
#include "base/macros.h"
#include "domain/fleet.h"

/* cs_fleet_open() and cs_fleet_look() in one, in a cs_proc_confine() child, with the
 * errors of both; for any user. This process reads the file of credentials for it, but
 * never what is in it, and forgets it at once. ret->list has the members alone, each with
 * what fleet_rows.h lists. CS_E_REFUSED: others than root could have written the file of
 * authorities that the credentials name. */
int cs_fleet_look_apart(const struct cs_config *config, const struct cs_cluster *cluster,
	const char *cloud, struct cs_deadline deadline, struct cs_fleet_view *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
