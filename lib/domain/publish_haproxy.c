/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The part of a pass that deals with the running HAProxy: looking, draining, and
 * replacing its configuration; see publish_pass.h and the order in publish.h. */
#include <config.h>
#include "domain/publish_pass.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "base/deadline.h"
#include "base/mem.h"

#define REPLY_MAX (64 << 20) /* `show stat` of 100,000 servers */
#define STATE_MODE 0640
#define BACKUP_MODE 0600 /* a configuration may hold passwords */

/* A bind that fails takes HAProxy 2.1 s, in which the master socket first refuses. */
#define MASTER_AWAY_MS 5000
#define RELOAD_LIMIT_MS 12000
#define RELOAD_POLL_MS 20
/* During a good or a failed reload the stats socket always answers. When nothing does for
 * this long, HAProxy has died of the new file. */
#define DEAD_AFTER_MS 2000

static int ask(const struct cs_publish_pass *pass, const char *socket_path,
	const char *command, struct cs_strbuf *ret, struct cs_error *err)
{
	cs_strbuf_clear(ret);
	return pass->ports->ask(pass->ports->context, socket_path, command, ret, err);
}

/* A command that says nothing when it worked. */
static int order(const struct cs_publish_pass *pass, const char *verb,
	const struct cs_publish_server *server, const char *rest, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf reply = CS_STRBUF(4096);
	CS_AUTO_FREE char *command = cs_asprintf(
		"%s %s/%s%s", verb, server->cluster->haproxy.backend, server->name, rest);

	if (ask(pass, pass->spec->stats_socket, command, &reply, err) < 0)
		return err->code;
	size_t blank = strspn(cs_strbuf_text(&reply), " \r\n");
	if (blank == reply.len)
		return 0;
	bool denied = strstr(cs_strbuf_text(&reply), "Permission denied") != NULL;
	return cs_error_set(err, CS_E_REMOTE, "HAProxy answered '%s' with '%.*s'%s",
		command, (int)strcspn(cs_strbuf_text(&reply) + blank, "\r\n"),
		cs_strbuf_text(&reply) + blank,
		denied ? "; its stats socket needs 'level admin'" : "");
}

int cs_publish_look(struct cs_publish_pass *pass, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf reply = CS_STRBUF(REPLY_MAX);
	struct cs_haproxy_servers current;

	if (ask(pass, pass->spec->stats_socket, "show stat", &reply, err) < 0)
		return err->code;
	if (cs_haproxy_parse_stat(cs_strbuf_text(&reply), reply.len, &current, err) < 0)
		return cs_error_prefix(
			err, "HAProxy's socket %s", pass->spec->stats_socket);
	cs_haproxy_servers_done(&pass->current);
	pass->current = current;
	cs_publish_servers_observe(&pass->servers, &pass->current);
	return 0;
}

static int ask_procs(const struct cs_publish_pass *pass, struct cs_haproxy_procs *ret,
	struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf reply = CS_STRBUF(REPLY_MAX);

	if (ask(pass, pass->spec->master_socket, "show proc", &reply, err) < 0)
		return err->code;
	if (cs_haproxy_parse_proc(cs_strbuf_text(&reply), reply.len, ret, err) < 0)
		return cs_error_prefix(
			err, "HAProxy's master socket %s", pass->spec->master_socket);
	return 0;
}

/* The same, over the moments of a reload, ours or anybody's, in which the master is
 * away. */
static int await_procs(const struct cs_publish_pass *pass, struct cs_haproxy_procs *ret,
	struct cs_error *err)
{
	for (int64_t waited = 0;; waited += RELOAD_POLL_MS) {
		int r = ask_procs(pass, ret, err);
		bool away = r == CS_E_LOST ||
			    (r == CS_E_CONNECT && err->sys_errno == ECONNREFUSED);

		if (!away || waited >= MASTER_AWAY_MS ||
			!pass->ports->pause(pass->ports->context, RELOAD_POLL_MS))
			return r;
	}
}

static int look_at_old(struct cs_publish_pass *pass, int64_t pid, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf reply = CS_STRBUF(REPLY_MAX);
	CS_CLEANUP(cs_haproxy_servers_done) struct cs_haproxy_servers old = {0};
	CS_AUTO_FREE char *command = cs_asprintf("@!%d show stat", (int)pid);

	for (int64_t waited = 0;; waited += RELOAD_POLL_MS) {
		int r = ask(pass, pass->spec->master_socket, command, &reply, err);

		if (r < 0 && r != CS_E_LOST)
			return r;
		if (strncmp(cs_strbuf_text(&reply), "Can't find the target", 21) == 0)
			return 0; /* it has just ended */
		if (r == 0 && cs_haproxy_parse_stat(
				      cs_strbuf_text(&reply), reply.len, &old, err) == 0)
			break;
		/* One that ends just now breaks off; the master knows in a moment. */
		if (waited >= MASTER_AWAY_MS ||
			!pass->ports->pause(pass->ports->context, RELOAD_POLL_MS))
			return cs_error_prefix(err, "HAProxy's old worker %d", (int)pid);
	}
	cs_publish_servers_observe_old(&pass->servers, &old);
	return 0;
}

int cs_publish_count(struct cs_publish_pass *pass, struct cs_error *err)
{
	CS_CLEANUP(cs_haproxy_procs_done) struct cs_haproxy_procs procs = {0};
	bool marked = false;

	if (cs_publish_look(pass, err) < 0)
		return err->code;
	for (size_t i = 0; i < pass->servers.n; i++) {
		struct cs_publish_server *server = &pass->servers.items[i];

		marked |= server->marked;
		server->exposed = server->marked && !pass->spec->master_socket;
	}
	if (!marked || !pass->spec->master_socket)
		return 0;
	if (await_procs(pass, &procs, err) < 0)
		return err->code;
	for (size_t i = 0; i < procs.n_old; i++) {
		if (look_at_old(pass, procs.old[i], err) < 0)
			return err->code;
	}
	return 0;
}

int cs_publish_steer(struct cs_publish_pass *pass, struct cs_error *err)
{
	for (size_t i = 0; i < pass->servers.n; i++) {
		struct cs_publish_server *server = &pass->servers.items[i];
		bool rests = server->current && cs_haproxy_rests(server->current);

		if (server->held)
			continue;
		if (server->marked && server->current && !rests) {
			if (order(pass, "set server", server, " state drain", err) < 0)
				return err->code;
			cs_publish_say(pass, LOG_INFO, "Drain server %s", server->name);
		} else if (!server->marked && server->drained_by_us) {
			if (rests && order(pass, "set server", server, " state ready",
					     err) < 0)
				return err->code;
			if (rests)
				cs_publish_say(pass, LOG_NOTICE,
					"server '%s' is not to be drained any more: set "
					"back to ready",
					server->name);
			server->drained_by_us = false;
		}
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

/* What a reload is told apart by. */
struct generation {
	int64_t pid;	/* behind the stats socket */
	int64_t failed; /* reloads, as the master counts them; -1 when it does not */
};

static int ask_pid(
	const struct cs_publish_pass *pass, int64_t *ret_pid, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf reply = CS_STRBUF(1 << 20);

	if (ask(pass, pass->spec->stats_socket, "show info", &reply, err) < 0)
		return err->code;
	return cs_haproxy_parse_info(cs_strbuf_text(&reply), reply.len, ret_pid, err);
}

static int64_t ask_failed(const struct cs_publish_pass *pass)
{
	CS_CLEANUP(cs_haproxy_procs_done) struct cs_haproxy_procs procs = {0};
	struct cs_error ignored; /* it is away while it reloads */

	if (!pass->spec->master_socket || ask_procs(pass, &procs, &ignored) < 0)
		return -1;
	return procs.failed;
}

/* Up to 2.6 the answer is empty or lost, from 2.7 it is "Success=0|1" and the log. */
static int order_reload(const struct cs_publish_pass *pass, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf reply = CS_STRBUF(1 << 20);
	int r;

	if (pass->spec->reload.n > 0)
		return pass->ports->run(pass->ports->context, &pass->spec->reload, err);
	for (int64_t waited = 0;; waited += RELOAD_POLL_MS) {
		r = ask(pass, pass->spec->master_socket, "reload", &reply, err);
		if (r != CS_E_CONNECT || waited >= RELOAD_LIMIT_MS ||
			!pass->ports->pause(pass->ports->context, RELOAD_POLL_MS))
			break;
	}
	if (r < 0 && r != CS_E_LOST && r != CS_E_TIMEOUT)
		return r; /* else it may have been heard: the new worker tells */
	const char *failure = strstr(cs_strbuf_text(&reply), "Success=0");
	if (!failure)
		return 0;
	return cs_error_set(
		err, CS_E_VERIFY, "HAProxy could not load it: %s", failure + 9);
}

/* Waits until another process answers on the stats socket. */
static int await_worker(const struct cs_publish_pass *pass,
	const struct generation *before, struct cs_error *err)
{
	int64_t dead_ms = 0;

	for (int64_t waited = 0; waited < RELOAD_LIMIT_MS; waited += RELOAD_POLL_MS) {
		struct cs_error why;
		int64_t pid;

		if (ask_pid(pass, &pid, &why) < 0)
			dead_ms += RELOAD_POLL_MS;
		else if (pid != before->pid)
			return 0;
		else
			dead_ms = 0;
		if (dead_ms >= DEAD_AFTER_MS)
			return cs_error_set(err, CS_E_VERIFY,
				"HAProxy is gone after the reload: %s", why.message);
		if (dead_ms == 0 && before->failed >= 0 &&
			ask_failed(pass) > before->failed)
			return cs_error_set(err, CS_E_VERIFY,
				"the reload failed, the old worker still serves; "
				"HAProxy's "
				"log tells why (an address in use, a missing file?)");
		if (!pass->ports->pause(pass->ports->context, RELOAD_POLL_MS))
			break;
	}
	return cs_error_set(err, CS_E_VERIFY,
		"no new worker answers on %s %d s after the reload",
		pass->spec->stats_socket, RELOAD_LIMIT_MS / CS_MS_PER_S);
}

/* Any reload is over when the master answers again. */
static int await_master(
	const struct cs_publish_pass *pass, int64_t *ret_failed, struct cs_error *err)
{
	CS_CLEANUP(cs_haproxy_procs_done) struct cs_haproxy_procs procs = {.failed = -1};

	if (pass->spec->master_socket && await_procs(pass, &procs, err) < 0)
		return err->code;
	*ret_failed = procs.failed;
	return 0;
}

static int reload(const struct cs_publish_pass *pass, struct cs_error *err)
{
	struct generation before = {.failed = -1};
	struct cs_error ignored;
	int64_t failed;

	/* HAProxy may be dead when the old file is put back: then any worker will do. */
	if (ask_pid(pass, &before.pid, &ignored) < 0)
		before.pid = 0;
	else if (await_master(pass, &before.failed, err) < 0)
		return err->code;
	if (order_reload(pass, err) < 0 || await_worker(pass, &before, err) < 0)
		return err->code;
	return await_master(pass, &failed, err);
}

/* Drains, maintenance and health survive the reload through the state file. */
static int save_state(const struct cs_publish_pass *pass, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf dump = CS_STRBUF(REPLY_MAX);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf copy = CS_STRBUF(REPLY_MAX);
	size_t n = pass->site->n_clusters;
	CS_AUTO_FREE struct cs_haproxy_group *before = cs_calloc(n, sizeof *before);
	CS_AUTO_FREE struct cs_haproxy_group *after = cs_calloc(n, sizeof *after);

	if (!pass->spec->state_file)
		return 0;
	if (ask(pass, pass->spec->stats_socket, "show servers state", &dump, err) < 0)
		return err->code;
	for (size_t i = 0; i < n; i++) {
		const struct cs_cluster *cluster = pass->site->clusters[i];

		cs_publish_servers_group(&pass->servers, cluster, false, &before[i]);
		cs_publish_servers_group(&pass->servers, cluster, true, &after[i]);
	}
	int r = cs_haproxy_state_copy(
		cs_strbuf_text(&dump), dump.len, before, n, after, n, &copy, err);
	for (size_t i = 0; i < n; i++) {
		free((void *)before[i].rows);
		free((void *)after[i].rows);
	}
	if (r < 0)
		return r;
	return pass->ports->write(
		pass->ports->context, pass->spec->state_file, &copy, STATE_MODE, err);
}

/* The worker that becomes an old one must not send them anything any more. */
static int rest_leavers(const struct cs_publish_pass *pass, struct cs_error *err)
{
	for (size_t i = 0; i < pass->servers.n; i++) {
		const struct cs_publish_server *server = &pass->servers.items[i];

		if (!server->marked || server->has_line || !server->current)
			continue;
		if (order(pass, "set server", server, " state maint", err) < 0)
			return err->code;
		if (server->current->sessions == 0)
			continue;
		cs_publish_say(pass, LOG_WARNING,
			"server '%s': drain-timeout of %d s has passed; sessions "
			"shut: %d",
			server->name,
			(int)(server->cluster->haproxy.drain_timeout_ms / CS_MS_PER_S),
			(int)server->current->sessions);
		if (order(pass, "shutdown sessions server", server, "", err) < 0)
			return err->code;
	}
	return 0;
}

/* `why` is what went wrong; its message grows by what became of the old file. */
static int put_back(const struct cs_publish_pass *pass, struct cs_error *why)
{
	struct cs_error err;
	char *outcome;

	if (cs_publish_same_text(&pass->installed, &pass->rendered))
		return why->code;
	cs_publish_say(pass, LOG_WARNING, "putting the old configuration back: %s",
		why->message);
	if (pass->ports->write(pass->ports->context, pass->site->config_path,
		    &pass->installed, BACKUP_MODE, &err) < 0)
		outcome = cs_asprintf("%s; the old configuration could not be put back "
				      "(%s): copy %s to %s by hand and reload",
			why->message, err.message, pass->site->backup_path,
			pass->site->config_path);
	else if (reload(pass, &err) < 0)
		outcome = cs_asprintf("%s; the old configuration is back in the file but "
				      "HAProxy has not loaded it again (%s)",
			why->message, err.message);
	else
		outcome = cs_asprintf(
			"%s; the old configuration is back and loaded", why->message);
	cs_error_set(why, CS_E_VERIFY, "%s", outcome);
	free(outcome);
	return why->code;
}

int cs_publish_apply(struct cs_publish_pass *pass, struct cs_error *err)
{
	const struct cs_publish_ports *ports = pass->ports;

	if (ports->validate(ports->context, &pass->rendered, err) < 0 ||
		ports->write(ports->context, pass->site->backup_path, &pass->installed,
			BACKUP_MODE, err) < 0 ||
		save_state(pass, err) < 0 || rest_leavers(pass, err) < 0 ||
		ports->write(ports->context, pass->site->config_path, &pass->rendered,
			BACKUP_MODE, err) < 0)
		return err->code;
	cs_publish_say(pass, LOG_INFO, "Reload haproxy");
	if (reload(pass, err) < 0 || cs_publish_look(pass, err) < 0 ||
		cs_publish_check_running(pass, err) < 0)
		return put_back(pass, err);
	return 0;
}
