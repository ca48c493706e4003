/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a pass refuses to do to a backend; see publish_pass.h. The running HAProxy is what
 * counts: a record may be lost or never have been. */
#include <config.h>
#include "domain/publish_pass.h"

#include <string.h>

#define PERMILLE 1000

/* How a backend would stand after this pass. Lines of the template itself do not count.
 */
struct outlook {
	bool before;	/* some server has a line or runs */
	size_t serving; /* will have a line and are not to be drained */
	size_t running; /* without what is in maintenance, as those are that were removed
			 */
	size_t leaving; /* of those: serve, will have no line, and nobody marked them */
};

static bool is_of(const struct cs_publish_server *server, const char *backend)
{
	return strcmp(server->cluster->haproxy.backend, backend) == 0;
}

/* Adds what the table of this pass says; `ret_known` are the names whose going, if they
 * go, is planned. */
static void count_table(const struct cs_publish_pass *pass, const char *backend,
	struct outlook *outlook, struct cs_haproxy_names *ret_known)
{
	for (size_t i = 0; i < pass->servers.n; i++) {
		const struct cs_publish_server *server = &pass->servers.items[i];

		if (!is_of(server, backend))
			continue;
		outlook->before |= server->had_line;
		outlook->serving += server->has_line && !server->marked;
		if (server->has_line || server->marked)
			cs_haproxy_names_add(ret_known, server->name);
	}
}

static struct outlook look_ahead(const struct cs_publish_pass *pass, const char *backend)
{
	CS_CLEANUP(cs_haproxy_names_done) struct cs_haproxy_names fixed = {0};
	CS_CLEANUP(cs_haproxy_names_done) struct cs_haproxy_names known = {0};
	struct outlook outlook = {0};

	cs_haproxy_server_names(
		cs_strbuf_text(&pass->template), pass->template.len, &fixed);
	count_table(pass, backend, &outlook, &known);
	for (size_t i = 0; i < pass->current.n; i++) {
		const struct cs_haproxy_server *server = &pass->current.items[i];

		if (strcmp(server->backend, backend) != 0 ||
			cs_haproxy_in_maint(server) ||
			cs_haproxy_names_have(&fixed, server->name))
			continue;
		outlook.running++;
		outlook.leaving += cs_haproxy_serves(server) &&
				   !cs_haproxy_names_have(&known, server->name);
	}
	outlook.before |= outlook.running > 0;
	return outlook;
}

/* One may always go, or a cluster of two would never lose a server that was deleted by
 * hand before HAProxy finds it dead. */
static size_t most_that_may_leave(size_t running, int64_t max_shrink_permille)
{
	size_t most = running * (size_t)max_shrink_permille / PERMILLE;

	return most == 0 && max_shrink_permille > 0 ? 1 : most;
}

int cs_publish_guard(const struct cs_publish_pass *pass, const struct cs_cluster *cluster,
	struct cs_error *err)
{
	const char *backend = cluster->haproxy.backend;
	struct outlook outlook = look_ahead(pass, backend);
	size_t most = most_that_may_leave(
		outlook.running, cluster->haproxy.max_shrink_permille);

	if (outlook.before && outlook.serving == 0)
		return cs_publish_may_empty(pass, cluster)
			       ? 0
			       : cs_error_set(err, CS_E_REFUSED,
					 "none of its servers can serve now; backend "
					 "'%s' is not emptied (to do so on purpose: "
					 "--allow-empty)",
					 backend);
	if (outlook.leaving > most)
		return cs_error_set(err, CS_E_REFUSED,
			"%zu of %zu servers would leave backend '%s' without a drain "
			"although HAProxy finds them UP, at most %zu may (max-shrink); "
			"such a list is not believed (to take servers out: nova_scale "
			"--delete)",
			outlook.leaving, outlook.running, backend, most);
	return 0;
}

bool cs_publish_may_empty(
	const struct cs_publish_pass *pass, const struct cs_cluster *cluster)
{
	return pass->site->allow_empty &&
	       cluster == pass->site->clusters[pass->site->asked];
}
