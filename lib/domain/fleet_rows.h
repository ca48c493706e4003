/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A view of a cluster as lines of text, for a pipe between a process that may be believed
 * and one that may not:
 *
 *     list TAKEN_WALL_MS
 *     ID NAME STATE ADDRESS OURS DRAINING FLAVOR VCPUS ZONE CREATED_WALL_MS SNMP-PORT
 *     complete NUMBER-OF-ROWS
 *
 * with a tab between fields, or "failed CODE REMOTE-STATUS MESSAGE". Simple enough that
 * reading it is no risk of its own; nothing is believed that was not checked, and a text
 * without its last line is not a list. Pure. */
#ifndef CS_DOMAIN_FLEET_ROWS_H
#define CS_DOMAIN_FLEET_ROWS_H

#include <stddef.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/strbuf.h"
#include "domain/fleet.h"

/* Text that is no printable US-ASCII gets '?' in its place, and is cut to 255 bytes. */
void cs_fleet_rows_write(
	const struct cs_fleet_view *view, struct cs_strbuf *ret) CS_NONNULL_ALL;
void cs_fleet_rows_write_error(
	const struct cs_error *failure, struct cs_strbuf *ret) CS_NONNULL_ALL;

/* The servers of `ret` have id, name, flavor, vcpus, zone, created_wall_ms, mark_draining
 * and mark_snmp_port; its members are whole. The failure that was written, or
 * CS_E_PROTOCOL for what is no such text: an id that is no uuid or comes twice, a state
 * that there is not, an address that is none, control characters, a wrong number of
 * anything. */
int cs_fleet_rows_parse(const char *text, size_t len, struct cs_fleet_view *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
