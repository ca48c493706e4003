/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a pass refuses to do to a backend; see publish_pass.h. */
#include <config.h>
#include "domain/publish_pass.h"

#include <string.h>

/* How a backend would stand after this pass. */
struct outlook {
	size_t before; /* servers that have a line or run; of anybody at the first run */
	size_t serving;
	size_t lines;	/* of the record */
	size_t missing; /* of those: not listed any more although HAProxy finds them UP */
};

static struct outlook look_ahead(
	const struct cs_publish_pass *pass, const struct cs_cluster *cluster)
{
	struct outlook outlook = {0};

	for (size_t i = 0; !*pass->record.applied && i < pass->current.n; i++)
		outlook.before += strcmp(pass->current.items[i].backend,
					  cluster->haproxy.backend) == 0;
	for (size_t i = 0; i < pass->servers.n; i++) {
		const struct cs_publish_server *server = &pass->servers.items[i];

		if (server->cluster != cluster)
			continue;
		outlook.before += server->had_line || server->current;
		outlook.serving += server->has_line && !server->marked;
		outlook.lines += server->had_line;
		outlook.missing += server->had_line && !server->member &&
				   server->current &&
				   strncmp(server->current->status, "UP", 2) == 0;
	}
	return outlook;
}

int cs_publish_guard(const struct cs_publish_pass *pass, const struct cs_cluster *cluster,
	struct cs_error *err)
{
	struct outlook outlook = look_ahead(pass, cluster);

	if (outlook.before > 0 && outlook.serving == 0)
		return cs_error_set(err, CS_E_REFUSED,
			"none of its servers can serve now; backend '%s' is not emptied",
			cluster->haproxy.backend);
	if (outlook.missing > 1 && outlook.missing * 2 > outlook.lines)
		return cs_error_set(err, CS_E_REFUSED,
			"%zu of %zu servers are not listed any more although HAProxy "
			"finds them UP; a list that shrinks so much is not believed "
			"(to take them out on purpose: nova_scale --delete, or fewer "
			"at a time)",
			outlook.missing, outlook.lines);
	return 0;
}
