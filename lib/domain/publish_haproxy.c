/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The part of a pass that looks at the running HAProxy and drains; see publish_pass.h and
 * the order in publish.h. */
#include <config.h>
#include "domain/publish_pass.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "base/deadline.h"
#include "base/mem.h"

#define REPLY_MAX (64 << 20) /* `show stat` of 100,000 servers */

/* A bind that fails takes HAProxy 2.1 s, in which the master socket first refuses. */
#define MASTER_AWAY_MS 5000
#define MASTER_POLL_MS 5
#define ENDS_WITHIN_MS 1000 /* of a worker, to free what it has */

int cs_publish_ask(const struct cs_publish_pass *pass, const char *socket_path,
	const char *command, struct cs_strbuf *ret, struct cs_error *err)
{
	cs_strbuf_clear(ret);
	return pass->ports->ask(pass->ports->context, socket_path, command, ret, err);
}

int cs_publish_order(struct cs_publish_pass *pass, const char *verb,
	const struct cs_publish_server *server, const char *rest, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf reply = CS_STRBUF(4096);
	CS_AUTO_FREE char *command = cs_asprintf(
		"%s %s/%s%s", verb, server->cluster->haproxy.backend, server->name, rest);

	pass->stirred = true;
	if (cs_publish_ask(pass, pass->spec->stats_socket, command, &reply, err) < 0)
		return err->code;
	size_t blank = strspn(cs_strbuf_text(&reply), " \r\n");
	if (blank == reply.len)
		return 0;
	bool denied = strstr(cs_strbuf_text(&reply), "Permission denied") != NULL;
	bool gone = strncmp(cs_strbuf_text(&reply) + blank, "No such server", 14) == 0;
	return cs_error_set(err, gone ? CS_E_NOT_FOUND : CS_E_REMOTE,
		"HAProxy answered '%s' with '%.*s'%s", command,
		(int)strcspn(cs_strbuf_text(&reply) + blank, "\r\n"),
		cs_strbuf_text(&reply) + blank,
		denied ? "; its stats socket needs 'level admin'" : "");
}

int cs_publish_look(struct cs_publish_pass *pass, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf reply = CS_STRBUF(REPLY_MAX);
	struct cs_haproxy_servers current;

	if (cs_publish_ask(pass, pass->spec->stats_socket, "show stat", &reply, err) < 0)
		return err->code;
	if (cs_haproxy_parse_stat(cs_strbuf_text(&reply), reply.len, &current, err) < 0)
		return cs_error_prefix(
			err, "HAProxy's socket %s", pass->spec->stats_socket);
	cs_haproxy_servers_done(&pass->current);
	pass->current = current;
	cs_publish_servers_observe(&pass->servers, &pass->current);
	return 0;
}

int cs_publish_ask_info(const struct cs_publish_pass *pass, struct cs_haproxy_info *ret,
	struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf reply = CS_STRBUF(1 << 20);

	if (cs_publish_ask(pass, pass->spec->stats_socket, "show info", &reply, err) < 0)
		return err->code;
	return cs_haproxy_parse_info(cs_strbuf_text(&reply), reply.len, ret, err);
}

static int ask_procs(const struct cs_publish_pass *pass, struct cs_haproxy_procs *ret,
	struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf reply = CS_STRBUF(REPLY_MAX);
	int r = cs_publish_ask(pass, pass->spec->master_socket, "show proc", &reply, err);

	if (r == CS_E_TIMEOUT)
		return cs_error_advise(err,
			"HAProxy's master has no connection left, or hangs; "
			"systemctl reload haproxy (SIGUSR2) frees them");
	if (r < 0)
		return r;
	if (cs_haproxy_parse_proc(cs_strbuf_text(&reply), reply.len, ret, err) < 0)
		return cs_error_prefix(
			err, "HAProxy's master socket %s", pass->spec->master_socket);
	return 0;
}

int cs_publish_ask_procs(const struct cs_publish_pass *pass, bool wait,
	struct cs_haproxy_procs *ret, struct cs_error *err)
{
	for (int64_t waited = 0;; waited += MASTER_POLL_MS) {
		int r = ask_procs(pass, ret, err);
		bool away = r == CS_E_LOST ||
			    (r == CS_E_CONNECT && err->sys_errno == ECONNREFUSED);

		if (!away || !wait || waited >= MASTER_AWAY_MS ||
			!pass->ports->pause(pass->ports->context, MASTER_POLL_MS))
			return r;
	}
}

static bool is_old(const struct cs_haproxy_procs *procs, int64_t pid)
{
	for (size_t i = 0; i < procs->n_old; i++) {
		if (procs->old[i] == pid)
			return true;
	}
	return false;
}

static void expose_marked(struct cs_publish_pass *pass)
{
	for (size_t i = 0; i < pass->servers.n; i++)
		pass->servers.items[i].exposed |= pass->servers.items[i].marked;
}

/* What the master has handed to one that ends just then may stay without an answer, so a
 * second question is worth it. */
static bool may_ask_old(const struct cs_publish_unanswered *unanswered, int64_t pid)
{
	size_t asked = 0;

	for (size_t i = 0; i < unanswered->n; i++)
		asked += unanswered->pids[i] == pid;
	return asked < 2 && unanswered->n < CS_PUBLISH_UNANSWERED_MAX;
}

/* One that answers now has answered all that it was asked. */
static void forget_unanswered(struct cs_publish_unanswered *unanswered, int64_t pid)
{
	struct cs_publish_unanswered others = {.current = unanswered->current};

	for (size_t i = 0; i < unanswered->n; i++) {
		if (unanswered->pids[i] != pid)
			others.pids[others.n++] = unanswered->pids[i];
	}
	*unanswered = others;
}

/* CS_E_TIMEOUT when it may not be asked any more. */
static int ask_old(struct cs_publish_pass *pass, const struct cs_haproxy_procs *procs,
	int64_t pid, struct cs_strbuf *reply, struct cs_error *err)
{
	CS_AUTO_FREE char *command = cs_asprintf("@!%d show stat", (int)pid);
	struct cs_publish_unanswered *unanswered = &pass->record.unanswered;

	while (may_ask_old(unanswered, pid)) {
		int r = cs_publish_ask(
			pass, pass->spec->master_socket, command, reply, err);
		if (r != CS_E_TIMEOUT)
			return r;
		unanswered->current = procs->current;
		unanswered->pids[unanswered->n++] = pid;
	}
	return CS_E_TIMEOUT;
}

/* 1: it has ended; 0: it lives on. */
static int await_end(
	const struct cs_publish_pass *pass, int64_t pid, struct cs_error *err)
{
	for (int64_t waited = 0; waited < ENDS_WITHIN_MS; waited += MASTER_POLL_MS) {
		CS_CLEANUP(cs_haproxy_procs_done) struct cs_haproxy_procs procs = {0};

		if (cs_publish_ask_procs(pass, true, &procs, err) < 0)
			return err->code;
		if (!is_old(&procs, pid))
			return 1;
		if (!pass->ports->pause(pass->ports->context, MASTER_POLL_MS))
			break;
	}
	return 0;
}

/* One that ends breaks off, or answers nothing. To ask it meanwhile costs the master
 * connections: 11,784 questions in 40 such moments took 39 of them for good. */
static int look_at_old(struct cs_publish_pass *pass, const struct cs_haproxy_procs *procs,
	int64_t pid, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf reply = CS_STRBUF(REPLY_MAX);
	CS_CLEANUP(cs_haproxy_servers_done) struct cs_haproxy_servers old = {0};
	size_t owed = pass->record.unanswered.n;

	for (int64_t waited = 0;; waited += ENDS_WITHIN_MS) {
		int r = ask_old(pass, procs, pid, &reply, err);

		if (r == CS_E_TIMEOUT) {
			expose_marked(pass);
			cs_publish_say(pass, LOG_WARNING,
				"HAProxy's old worker %d does not answer; no server "
				"counts as drained until it has ended, or drain-timeout "
				"has passed",
				(int)pid);
			return pass->record.unanswered.n == owed
				       ? 0
				       : cs_publish_write_record(pass, err);
		}
		if (r < 0 && r != CS_E_LOST)
			return r;
		if (r == 0 && cs_haproxy_parse_stat(
				      cs_strbuf_text(&reply), reply.len, &old, err) == 0)
			break;
		struct cs_error why = *err;
		r = await_end(pass, pid, err);
		if (r != 0)
			return r < 0 ? r : 0;
		if (waited >= MASTER_AWAY_MS) {
			*err = why;
			return cs_error_prefix(err, "HAProxy's old worker %d", (int)pid);
		}
	}
	forget_unanswered(&pass->record.unanswered, pid);
	cs_publish_servers_observe_old(&pass->servers, &old);
	return 0;
}

static bool is_master_of(const struct cs_haproxy_procs *procs, int64_t pid)
{
	return procs->current == 0 || procs->current == pid;
}

/* Unless the master has the worker behind the stats socket, nothing is known of some
 * worker: it is the master of another HAProxy, or one that is just about to reload. */
static void check_master(
	struct cs_publish_pass *pass, int64_t pid, const struct cs_haproxy_procs *procs)
{
	if (is_master_of(procs, pid))
		return;
	expose_marked(pass);
	cs_publish_say(pass, LOG_WARNING,
		"the process behind %s (%d) is not the worker of the master behind %s "
		"(%d); no server counts as drained until it is, or drain-timeout has "
		"passed",
		pass->spec->stats_socket, (int)pid, pass->spec->master_socket,
		(int)procs->current);
}

static int look_at_all_old(struct cs_publish_pass *pass, struct cs_error *err)
{
	CS_CLEANUP(cs_haproxy_procs_done) struct cs_haproxy_procs procs = {0};
	struct cs_haproxy_info info;

	if (cs_publish_ask_info(pass, &info, err) < 0 ||
		cs_publish_ask_procs(pass, true, &procs, err) < 0)
		return err->code;
	if (!is_master_of(&procs, info.pid)) { /* a reload may have come in between */
		cs_haproxy_procs_done(&procs);
		if (cs_publish_look(pass, err) < 0 ||
			cs_publish_ask_info(pass, &info, err) < 0 ||
			cs_publish_ask_procs(pass, true, &procs, err) < 0)
			return err->code;
	}
	check_master(pass, info.pid, &procs);
	if (pass->record.unanswered.current != procs.current)
		pass->record.unanswered = (struct cs_publish_unanswered){0};
	for (size_t i = 0; i < procs.n_old; i++) {
		if (look_at_old(pass, &procs, procs.old[i], err) < 0)
			return err->code;
	}
	return 0;
}

int cs_publish_count_old(struct cs_publish_pass *pass, struct cs_error *err)
{
	bool marked = false;

	for (size_t i = 0; i < pass->servers.n; i++)
		marked |= pass->servers.items[i].marked;
	if (!marked)
		return 0;
	if (pass->spec->master_socket)
		return look_at_all_old(pass, err);
	expose_marked(pass);
	return 0;
}

int cs_publish_count(struct cs_publish_pass *pass, struct cs_error *err)
{
	if (cs_publish_look(pass, err) < 0)
		return err->code;
	return cs_publish_count_old(pass, err);
}

/* Rests as it should: in maintenance is always enough. */
static bool is_at_rest(const struct cs_publish_server *server, const char *state)
{
	return cs_haproxy_in_maint(server->current) ||
	       (strcmp(state, "drain") == 0 && cs_haproxy_rests(server->current));
}

/* Some server of the backend serves that is not to be drained; one of the template, too.
 */
static bool others_serve(const struct cs_publish_pass *pass, const char *backend)
{
	size_t serving = 0;

	for (size_t i = 0; i < pass->current.n; i++)
		serving += strcmp(pass->current.items[i].backend, backend) == 0 &&
			   cs_haproxy_serves(&pass->current.items[i]);
	for (size_t i = 0; i < pass->servers.n; i++) {
		const struct cs_publish_server *server = &pass->servers.items[i];

		serving -= server->marked && server->current &&
			   strcmp(server->cluster->haproxy.backend, backend) == 0 &&
			   cs_haproxy_serves(server->current);
	}
	return serving > 0;
}

/* Who is to take over may not be there yet, as its reload has to wait. */
static bool is_needed(
	const struct cs_publish_pass *pass, const struct cs_publish_server *server)
{
	const char *backend = server->cluster->haproxy.backend;

	if (!cs_haproxy_serves(server->current) ||
		cs_publish_is_overdue(server, pass->now_wall_ms) ||
		cs_publish_may_empty(pass, server->cluster) ||
		others_serve(pass, backend))
		return false;
	cs_publish_say(pass, LOG_WARNING,
		"server '%s' is not drained yet: no other server of backend '%s' is UP",
		server->name, backend);
	return true;
}

static int put_to_rest(struct cs_publish_pass *pass, struct cs_publish_server *server,
	struct cs_error *err)
{
	const char *state = cs_publish_rest_state(server, pass->now_wall_ms);
	CS_AUTO_FREE char *rest = cs_asprintf(" state %s", state);

	if (!server->current || is_at_rest(server, state) || is_needed(pass, server))
		return 0;
	if (cs_publish_order(pass, "set server", server, rest, err) < 0)
		return err->code;
	if (strcmp(state, "drain") == 0)
		cs_publish_say(pass, LOG_INFO, "Drain server %s", server->name);
	else
		cs_publish_say(pass, LOG_INFO,
			"Drain server %s: maintenance, for clients that stick to it",
			server->name);
	return 0;
}

/* Only what we drained is set back; what leaves, or has left, stays what it is. */
static int put_back_to_work(struct cs_publish_pass *pass,
	struct cs_publish_server *server, struct cs_error *err)
{
	if (!server->has_line && server->current)
		return 0;
	if (server->drained_by_us && server->current &&
		cs_haproxy_rests(server->current)) {
		if (cs_publish_order(pass, "set server", server, " state ready", err) < 0)
			return err->code;
		cs_publish_say(pass, LOG_NOTICE,
			"server '%s' is not to be drained any more: set back to ready",
			server->name);
	}
	server->drained_by_us = false;
	return 0;
}

int cs_publish_steer(struct cs_publish_pass *pass, struct cs_error *err)
{
	for (size_t i = 0; i < pass->servers.n; i++) {
		struct cs_publish_server *server = &pass->servers.items[i];

		if (server->held)
			continue;
		int r = server->marked ? put_to_rest(pass, server, err)
				       : put_back_to_work(pass, server, err);
		if (r < 0 && r != CS_E_NOT_FOUND) /* a reload has just taken it away */
			return r;
	}
	return 0;
}

int cs_publish_check_running(const struct cs_publish_pass *pass, struct cs_error *err)
{
	for (size_t i = 0; i < pass->servers.n; i++) {
		const struct cs_publish_server *server = &pass->servers.items[i];

		if (server->has_line ? !cs_publish_is_present(server)
				     : server->current != NULL)
			return cs_error_set(err, CS_E_VERIFY,
				"the running HAProxy has %s server '%s' at '%s' in "
				"backend '%s'",
				server->has_line ? "no" : "still", server->name,
				server->endpoint, server->cluster->haproxy.backend);
	}
	return 0;
}
