/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The last complete list of a cluster's servers, kept for a check that cannot have a new
 * one. It lies in the file `list` of the cluster's state folder, 0600:
 *
 *     of WHAT                       cs_fleet_kept_of()
 *     at WALL_MS BOOT_MS BOOT_ID    when it was asked for
 *     ...                           the rows of fleet_rows.h
 *
 * It is for telling people how the servers of then do now. Whoever creates, deletes or
 * publishes servers asks the cloud. */
#ifndef CS_DOMAIN_FLEET_KEPT_H
#define CS_DOMAIN_FLEET_KEPT_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/stamp.h"
#include "base/strbuf.h"
#include "domain/fleet.h"

/* One line that says of what cloud, project and network a list is; owned by the caller. A
 * list that was kept for another one is none. There is no secret in it. */
char *cs_fleet_kept_of(const struct cs_credentials *who,
	const struct cs_cluster *cluster) CS_MUST_CHECK CS_NONNULL_ALL;

/* Replaces the one before, in one step. */
int cs_fleet_kept_save(const char *state_dir, const char *of,
	const struct cs_stamp *taken, const struct cs_fleet_view *view,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* What fleet_rows.h says of a view that was read holds here too. CS_E_NOT_FOUND: none is
 * kept of this; CS_E_REFUSED: it is older than `max_age_ms`, or of the future. */
int cs_fleet_kept_load(const char *state_dir, const char *of, int64_t max_age_ms,
	struct cs_fleet_view *ret, int64_t *ret_age_ms,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Pure; for both and their fuzz target. `text` of `len` bytes, which a NUL follows, is
 * changed. CS_E_NOT_FOUND: it is no whole list of this. */
int cs_fleet_kept_parse(char *text, size_t len, const char *of,
	struct cs_stamp *ret_taken, struct cs_fleet_view *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_fleet_kept_write(const char *of, const struct cs_stamp *taken,
	const struct cs_fleet_view *view, struct cs_strbuf *ret) CS_NONNULL_ALL;

#endif
