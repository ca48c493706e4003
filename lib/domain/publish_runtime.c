/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The part of a pass that changes a running HAProxy without a reload; see publish_pass.h.
 * Source: management guide, section 9.3: "add server", "set server", "wait", "del
 * server". */
#include <config.h>
#include "domain/publish_pass.h"

#include <string.h>
#include <syslog.h>

#include "base/mem.h"

/* A line of commands must fit into tune.bufsize (16384) less tune.maxrewrite, which is at
 * most half of it. */
#define BATCH_MAX 8000
#define REPLY_MAX (1 << 20)

#define DELETED "Server deleted."

static bool is_newcomer(const struct cs_publish_server *server)
{
	return server->has_line && !server->had_line;
}

static bool is_leaver(const struct cs_publish_server *server)
{
	return server->had_line && !server->has_line;
}

static const struct cs_haproxy_line *find_line(
	const struct cs_haproxy_outline *outline, const struct cs_publish_server *server)
{
	return cs_haproxy_outline_find(
		outline, server->cluster->haproxy.backend, server->name);
}

/* Lines that `other` has not. */
static size_t count_alone(
	const struct cs_haproxy_outline *one, const struct cs_haproxy_outline *other)
{
	size_t alone = 0;

	for (size_t i = 0; i < one->n; i++)
		alone += !cs_haproxy_outline_find(
			other, one->lines[i].backend->name, one->lines[i].name);
	return alone;
}

/* Why one server's part of the change is not for the socket, or NULL. */
static char *find_server_obstacle(
	const struct cs_publish_server *server, const struct cs_publish_change *change)
{
	const struct cs_haproxy_line *line = find_line(&change->after, server);

	if (server->had_line && !server->remnant && !cs_publish_is_present(server))
		return cs_asprintf("the running HAProxy has no server '%s' at '%s'",
			server->name, server->endpoint);
	if (!is_newcomer(server))
		return NULL;
	if (server->current || server->remnant)
		return cs_asprintf(
			"the running HAProxy still has a server '%s'", server->name);
	return line ? cs_haproxy_add_refusal(line, change->info.version)
		    : cs_asprintf("server '%s' has no line of its own", server->name);
}

char *cs_publish_runtime_obstacle(
	const struct cs_publish_pass *pass, const struct cs_publish_change *change)
{
	char hash[CS_PUBLISH_HASH_SIZE];
	size_t newcomers = 0, leavers = 0;

	cs_publish_hash(&pass->installed, hash);
	if (!*pass->record.applied)
		return cs_strdup("nothing was applied yet");
	if (strcmp(hash, pass->record.applied) != 0)
		return cs_strdup("the file is not what was applied last");
	for (size_t i = 0; i < pass->servers.n; i++) {
		const struct cs_publish_server *server = &pass->servers.items[i];
		char *obstacle = find_server_obstacle(server, change);

		if (obstacle)
			return obstacle;
		newcomers += is_newcomer(server);
		leavers += is_leaver(server);
	}
	if (!cs_haproxy_outline_same(&change->before, &change->after) ||
		count_alone(&change->after, &change->before) != newcomers ||
		count_alone(&change->before, &change->after) != leavers)
		return cs_strdup("more changes than servers of ours");
	return NULL;
}

/* HAProxy calls a server UP before its first check. So it is enabled with weight 0, said
 * to be down, and only then given its weight: nothing is sent to it until HAProxy's own
 * check was good. Without a check its port was probed, and that has to do. */
static char *make_gate(const struct cs_haproxy_line *line)
{
	CS_AUTO_FREE char *server = cs_asprintf("%s/%s", line->backend->name, line->name);

	if (!cs_haproxy_line_checks(line))
		return cs_asprintf("add server %s %s %s; enable server %s", server,
			line->endpoint, line->options, server);
	return cs_asprintf("add server %s %s %s; set server %s weight 0; enable health "
			   "%s; enable server %s; set server %s health down; set server "
			   "%s weight 100%%",
		server, line->endpoint, line->options, server, server, server, server,
		server);
}

static int check_replies(const struct cs_strbuf *replies, struct cs_error *err)
{
	CS_AUTO_FREE char *failure =
		cs_haproxy_add_failure(cs_strbuf_text(replies), replies->len);

	if (!failure)
		return 0;
	return cs_error_set(err, CS_E_REMOTE,
		"HAProxy does not add a server to what runs: '%s'%s", failure,
		strstr(failure, "Permission denied")
			? "; its stats socket needs 'level admin'"
			: "");
}

static int send_batch(
	struct cs_publish_pass *pass, struct cs_strbuf *batch, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf replies = CS_STRBUF(REPLY_MAX);

	if (batch->len == 0)
		return 0;
	pass->stirred = true;
	if (cs_publish_ask(pass, pass->spec->stats_socket, cs_strbuf_text(batch),
		    &replies, err) < 0)
		return err->code;
	cs_strbuf_clear(batch);
	return check_replies(&replies, err);
}

static int add_newcomers(struct cs_publish_pass *pass,
	const struct cs_haproxy_outline *after, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf batch = CS_STRBUF(2 * BATCH_MAX);

	for (size_t i = 0; i < pass->servers.n; i++) {
		const struct cs_publish_server *server = &pass->servers.items[i];

		if (!is_newcomer(server))
			continue;
		CS_AUTO_FREE char *gate = make_gate(find_line(after, server));
		if (batch.len + strlen(gate) + 2 > BATCH_MAX &&
			send_batch(pass, &batch, err) < 0)
			return err->code;
		cs_strbuf_addf(&batch, "%s%s", batch.len ? "; " : "", gate);
	}
	if (cs_strbuf_check(&batch, "what HAProxy is to be told of a server", err) < 0)
		return err->code;
	return send_batch(pass, &batch, err);
}

/* Before 3.0 `del server` can crash HAProxy (2.6 did so in 4 of 4 runs against a server
 * that did not answer), so there a server stays in maintenance until the next reload.
 * From 3.0 one that cannot be removed in time stays likewise. */
static int delete_leavers(struct cs_publish_pass *pass, int version, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf reply = CS_STRBUF(REPLY_MAX);

	for (size_t i = 0; i < pass->servers.n; i++) {
		const struct cs_publish_server *server = &pass->servers.items[i];
		const char *backend = server->cluster->haproxy.backend;

		if (version < CS_HAPROXY_VERSION(3, 0) || !is_leaver(server) ||
			server->sessions > 0)
			continue;
		CS_AUTO_FREE char *command =
			cs_asprintf("wait 10s srv-removable %s/%s; del server %s/%s",
				backend, server->name, backend, server->name);
		if (cs_publish_ask(pass, pass->spec->stats_socket, command, &reply, err) <
			0)
			return err->code;
		if (!strstr(cs_strbuf_text(&reply), DELETED)) {
			cs_publish_say(pass, LOG_INFO,
				"server '%s' stays in maintenance until the next reload",
				server->name);
			return 0;
		}
	}
	return 0;
}

int cs_publish_runtime(struct cs_publish_pass *pass,
	const struct cs_publish_change *change, struct cs_error *err)
{
	pass->stirred = true; /* the look forgets what the old workers said */
	if (add_newcomers(pass, &change->after, err) < 0 ||
		delete_leavers(pass, change->info.version, err) < 0 ||
		cs_publish_look(pass, err) < 0 || cs_publish_check_running(pass, err) < 0)
		return err->code;
	return 0;
}
