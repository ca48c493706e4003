/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Would HAProxy live with a new configuration? For publish*.c alone. */
#ifndef CS_DOMAIN_PUBLISH_CHECK_H
#define CS_DOMAIN_PUBLISH_CHECK_H

#include "base/error.h"
#include "base/macros.h"
#include "base/strbuf.h"
#include "domain/publish.h"

#define CS_PUBLISH_CANDIDATE_MODE 0600

/* Beside the configuration, so that relative paths in it mean the same; not *.cfg, so
 * that a HAProxy that loads the whole folder passes over it. Owned by the caller. */
char *cs_publish_candidate_path(
	const struct cs_publish_world *world) CS_MUST_CHECK CS_NONNULL_ALL;

/* Half of the time that HAProxy takes for a check is over before it reads the file.
 * Starts one that waits for it, for those who have nothing else to do now; without it the
 * check begins later. It is ended by cs_publish_world_done(). */
void cs_publish_check_early(struct cs_publish_world *world) CS_NONNULL_ALL;

/* See `validate` of struct cs_publish_ports. CS_E_CONFIG when HAProxy does not accept
 * `text` (with its own words), or accepts it and would then fail to start with it. The
 * candidate file stays behind when HAProxy refused it, for a look at it. */
int cs_publish_check(struct cs_publish_world *world, const struct cs_strbuf *text,
	const struct cs_publish_meanwhile *meanwhile, struct cs_error *err) CS_MUST_CHECK
	CS_NONNULL(1, 2, 4);

#endif
