/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of a pass share. For publish*.c alone. */
#ifndef CS_DOMAIN_PUBLISH_PASS_H
#define CS_DOMAIN_PUBLISH_PASS_H

#include "base/strbuf.h"
#include "domain/publish.h"
#include "domain/publish_record.h"
#include "domain/publish_servers.h"

#define CS_PUBLISH_CONFIG_MAX (8 << 20)

struct cs_publish_pass {
	const struct cs_publish_site *site;
	const struct cs_publish_ports *ports;
	const struct cs_haproxy_spec *spec; /* paths and sockets: the same for all */
	int64_t now_wall_ms;

	struct cs_fleet_view *views; /* of each cluster, when listed */
	bool *listed;
	struct cs_publish_record record;
	struct cs_publish_servers servers;
	struct cs_haproxy_servers current; /* as of the last look */

	struct cs_strbuf template;
	struct cs_strbuf installed; /* the configuration as it was found */
	struct cs_strbuf rendered;
};

void cs_publish_say(const struct cs_publish_pass *pass, int priority, const char *format,
	...) CS_PRINTF(3, 4) CS_NONNULL(1, 3);

bool cs_publish_same_text(
	const struct cs_strbuf *one, const struct cs_strbuf *other) CS_NONNULL_ALL;

/* CS_E_REFUSED when the decided lines would empty the cluster's backend, or take most of
 * its servers out that nobody asked to take out. */
int cs_publish_guard(const struct cs_publish_pass *pass, const struct cs_cluster *cluster,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Asks the current worker for its servers. */
int cs_publish_look(
	struct cs_publish_pass *pass, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Looks, and adds what the old workers say when some server is marked. Without a master
 * socket they cannot be seen, and every marked server counts as exposed. */
int cs_publish_count(
	struct cs_publish_pass *pass, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Sets marked servers to drain, and those back to ready that we drained and that are not
 * marked any more. */
int cs_publish_steer(
	struct cs_publish_pass *pass, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* The current worker has every decided line and none of the lines that leave. */
int cs_publish_check_running(const struct cs_publish_pass *pass,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Validates pass->rendered, installs it, reloads and proves it; or puts pass->installed
 * back. */
int cs_publish_apply(
	struct cs_publish_pass *pass, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
