/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is known of the agents' SNMPv3 engines, kept between runs, so that a poll takes
 * one round trip and not two: the file `engines`, a line per address,
 *
 *     ADDRESS PORT ENGINE_ID BOOTS TIME_S WALL_MS
 *
 * Nothing in it is secret and nothing is believed: an engine that is another one by now,
 * or has another time, says so and is looked for again. Inside client/ only. */
#ifndef CS_CLIENT_SNMP_ENGINES_H
#define CS_CLIENT_SNMP_ENGINES_H

#include "client/snmp_usm.h"

/* Fills the engines of the targets of v3 that it knows. A missing file is an empty one.
 */
void cs_snmp_engines_load(const char *dir, const struct cs_snmp_target *targets,
	struct cs_snmp_engine *engines, size_t n) CS_NONNULL_ALL;

/* Replaces the file if there is anything new. Without it the next run only takes longer,
 * so a failure is none. */
void cs_snmp_engines_save(const char *dir, const struct cs_snmp_target *targets,
	const struct cs_snmp_engine *engines, size_t n) CS_NONNULL_ALL;

#endif
