/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The part of a pass that replaces the configuration; see publish_pass.h and the order in
 * publish.h. */
#include <config.h>
#include "domain/publish_pass.h"

#include <string.h>
#include <syslog.h>

#include "base/deadline.h"
#include "base/mem.h"

#define REPLY_MAX (64 << 20) /* the state of 100,000 servers */
#define STATE_MODE 0640
#define BACKUP_MODE 0600 /* a configuration may hold passwords */
#define FAILED_MODE 0600
#define RETRY_FAILED_MS (300 * CS_MS_PER_S)

/* Drains, maintenance and health survive our reload through the state file. */
static int save_state(const struct cs_publish_pass *pass,
	const struct cs_publish_change *change, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf dump = CS_STRBUF(REPLY_MAX);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf copy = CS_STRBUF(REPLY_MAX);

	if (!pass->spec->state_file)
		return 0;
	if (cs_publish_ask(pass, pass->spec->stats_socket, "show servers state", &dump,
		    err) < 0 ||
		cs_haproxy_state_copy(cs_strbuf_text(&dump), dump.len, &change->before,
			&change->after, &copy, err) < 0)
		return err->code;
	return pass->ports->write(
		pass->ports->context, pass->spec->state_file, &copy, STATE_MODE, err);
}

/* It is of one moment: a later reload of somebody else must not find servers drained or
 * down that have long been serving. */
static void forget_state(const struct cs_publish_pass *pass)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf none = CS_STRBUF(16);
	struct cs_error err;

	cs_strbuf_add(&none, "1\n");
	if (pass->spec->state_file &&
		pass->ports->write(pass->ports->context, pass->spec->state_file, &none,
			STATE_MODE, &err) < 0)
		cs_publish_say(pass, LOG_WARNING,
			"a later reload may find servers as they are now: %s",
			err.message);
}

/* No worker must send them anything any more, one that becomes an old one included. */
static int rest_leavers(struct cs_publish_pass *pass, struct cs_error *err)
{
	for (size_t i = 0; i < pass->servers.n; i++) {
		const struct cs_publish_server *server = &pass->servers.items[i];

		if (server->has_line || !server->current)
			continue;
		int r = cs_publish_order(pass, "set server", server, " state maint", err);
		if (r == CS_E_NOT_FOUND)
			continue; /* the reload of a killed run has just ended */
		if (r < 0)
			return r;
		if (!server->marked || server->current->sessions == 0)
			continue;
		cs_publish_say(pass, LOG_WARNING,
			"server '%s': drain-timeout of %d s has passed; sessions "
			"shut: %d",
			server->name,
			(int)(server->cluster->haproxy.drain_timeout_ms / CS_MS_PER_S),
			(int)server->current->sessions);
		r = cs_publish_order(pass, "shutdown sessions server", server, "", err);
		if (r < 0 && r != CS_E_NOT_FOUND)
			return r;
	}
	return 0;
}

/* Not *.cfg, which a HAProxy that loads the whole folder would read. */
static char *failed_path(const struct cs_publish_pass *pass)
{
	return cs_asprintf("%s.failed", pass->site->config_path);
}

/* For a look at it, and not to be tried again at once. */
static void keep_failed(const struct cs_publish_pass *pass, struct cs_error *why)
{
	CS_AUTO_FREE char *path = failed_path(pass);
	CS_AUTO_FREE char *before = cs_strdup(why->message);
	struct cs_error err;

	if (pass->ports->write(
		    pass->ports->context, path, &pass->rendered, FAILED_MODE, &err) == 0)
		cs_error_set(why, CS_E_VERIFY, "%s (the file that failed is kept as %s)",
			before, path);
	else
		cs_publish_say(pass, LOG_WARNING, "%s", err.message);
}

/* The old file has them, and nobody asked for more than that the marked ones drain. */
static void wake_leavers(struct cs_publish_pass *pass)
{
	for (size_t i = 0; i < pass->servers.n; i++) {
		const struct cs_publish_server *server = &pass->servers.items[i];
		CS_AUTO_FREE char *rest = cs_asprintf(" state %s",
			server->marked ? cs_publish_rest_state(server, pass->now_wall_ms)
				       : "ready");
		struct cs_error err;

		if (server->had_line && !server->has_line && server->drained_by_us &&
			cs_publish_order(pass, "set server", server, rest, &err) < 0)
			cs_publish_say(pass, LOG_WARNING, "%s", err.message);
	}
}

/* `why` is what went wrong; its message grows by what became of the old file. */
static int put_back(struct cs_publish_pass *pass, struct cs_error *why)
{
	struct cs_error err;
	char *outcome;

	if (cs_publish_same_text(&pass->previous, &pass->rendered))
		return why->code;
	if (why->code == CS_E_VERIFY)
		keep_failed(pass, why);
	cs_publish_say(pass, LOG_WARNING, "putting the old configuration back: %s",
		why->message);
	if (pass->ports->validate(pass->ports->context, &pass->previous, NULL, &err) < 0)
		outcome = cs_asprintf(
			"%s; the old configuration is not put back, as it is no better "
			"(%s)",
			why->message, err.message);
	else if (pass->ports->write(pass->ports->context, pass->site->config_path,
			 &pass->previous, BACKUP_MODE, &err) < 0)
		outcome = cs_asprintf("%s; the old configuration could not be put back "
				      "(%s): copy %s to %s by hand and reload",
			why->message, err.message, pass->site->backup_path,
			pass->site->config_path);
	else if (cs_publish_reload(pass, &err) < 0)
		outcome = cs_asprintf("%s; the old configuration is back in the file but "
				      "HAProxy has not loaded it again (%s)",
			why->message, err.message);
	else
		outcome = cs_asprintf(
			"%s; the old configuration is back and loaded", why->message);
	forget_state(pass);
	wake_leavers(pass);
	cs_error_set(why, CS_E_VERIFY, "%s", outcome);
	free(outcome);
	return why->code;
}

/* Says so, and that it is for a later pass. */
static bool is_too_early(struct cs_publish_pass *pass, const char *why)
{
	int64_t interval_ms = pass->spec->min_reload_interval_ms;
	int64_t age_ms = cs_stamp_age_ms(&pass->record.reloaded, &pass->now);

	if (pass->record.reloaded.wall_ms == 0 || age_ms < 0 || age_ms >= interval_ms)
		return false;
	cs_publish_say(pass, LOG_WARNING,
		"a reload is needed (%s) and can be made in %d s: the last one was %d s "
		"ago, min-reload-interval is %d s",
		why, (int)((interval_ms - age_ms + CS_MS_PER_S - 1) / CS_MS_PER_S),
		(int)(age_ms / CS_MS_PER_S), (int)(interval_ms / CS_MS_PER_S));
	pass->deferred = true;
	return true;
}

/* A file that HAProxy accepts and cannot load is not tried at every pass: each of its
 * reloads shakes the one that serves. One that a killed run left is, to be taken out. */
static int check_failed_before(struct cs_publish_pass *pass, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done)
	struct cs_strbuf failed = CS_STRBUF(CS_PUBLISH_CONFIG_MAX);
	CS_AUTO_FREE char *path = failed_path(pass);
	int64_t age_ms = cs_stamp_age_ms(&pass->record.reloaded, &pass->now);
	int r = pass->ports->read(pass->ports->context, path, &failed, err);

	if (r == CS_E_NOT_FOUND ||
		cs_publish_same_text(&pass->installed, &pass->rendered) ||
		pass->record.reloaded.wall_ms == 0 || age_ms < 0 ||
		age_ms >= RETRY_FAILED_MS ||
		!cs_publish_same_text(&failed, &pass->rendered))
		return 0;
	if (r < 0)
		return r;
	return cs_error_set(err, CS_E_VERIFY,
		"this configuration was tried %d s ago and taken back (it is kept as "
		"%s); "
		"it is tried again in %d s (to try at once, when the cause is mended: "
		"remove that file)",
		(int)(age_ms / CS_MS_PER_S), path,
		(int)((RETRY_FAILED_MS - age_ms) / CS_MS_PER_S));
}

/* The file as it was found, which goes back when the new one fails. When a killed run had
 * put it there and the backup is what was applied before, it is the backup that goes
 * back, and it stays. */
static int back_up(struct cs_publish_pass *pass, struct cs_error *err)
{
	char hash[CS_PUBLISH_HASH_SIZE], found[CS_PUBLISH_HASH_SIZE];
	const struct cs_publish_ports *ports = pass->ports;
	int r = ports->read(
		ports->context, pass->site->backup_path, &pass->previous, err);

	if (r < 0 && r != CS_E_NOT_FOUND)
		return r;
	cs_publish_hash(&pass->previous, hash);
	cs_publish_hash(&pass->installed, found);
	if (r == 0 && strcmp(hash, found) == 0)
		return 0;
	if (r == 0 && strcmp(hash, pass->record.applied) == 0 &&
		strcmp(found, pass->record.installing) == 0 &&
		strcmp(found, pass->record.applied) != 0)
		return 0;
	cs_strbuf_clear(&pass->previous);
	cs_strbuf_add_bytes(
		&pass->previous, cs_strbuf_text(&pass->installed), pass->installed.len);
	return ports->write(ports->context, pass->site->backup_path, &pass->previous,
		BACKUP_MODE, err);
}

/* In the record, before the file is there. */
static int announce(struct cs_publish_pass *pass, bool by_reload, struct cs_error *err)
{
	/* Before it happens: a pass that dies of it has reloaded all the same. */
	if (by_reload)
		pass->reloaded = pass->now;
	cs_publish_hash(&pass->rendered, pass->installing);
	return cs_publish_save_record(pass, NULL, err);
}

static int install(struct cs_publish_pass *pass, struct cs_error *err)
{
	if (rest_leavers(pass, err) < 0)
		return err->code;
	if (pass->ports->commit(pass->ports->context, err) < 0) {
		wake_leavers(pass);
		return err->code;
	}
	return 0;
}

static int reload(struct cs_publish_pass *pass, const char *why, struct cs_error *err)
{
	cs_publish_say(pass, LOG_INFO, "Reload haproxy: %s", why);
	if (cs_publish_reload(pass, err) < 0 || cs_publish_check_running(pass, err) < 0)
		return put_back(pass, err);
	forget_state(pass);
	return 0;
}

/* The file is in place; `obstacle` NULL: HAProxy may be told by its socket. */
static int bring_in_line(struct cs_publish_pass *pass,
	const struct cs_publish_change *change, const char *obstacle,
	struct cs_error *err)
{
	struct cs_error why;

	if (obstacle)
		return reload(pass, obstacle, err);
	if (cs_publish_runtime(pass, change, &why) == 0)
		return 0;
	if (is_too_early(pass, why.message))
		return 0;
	pass->reloaded = pass->now;
	if (cs_publish_save_record(pass, NULL, err) < 0 ||
		save_state(pass, change, err) < 0)
		return put_back(pass, err);
	cs_publish_say(pass, LOG_WARNING, "%s; reloading instead", why.message);
	return reload(pass, "it was refused without", err);
}

/* What is done while HAProxy looks at the new file: reads, questions, and what does no
 * harm when it does not like it. */
struct preparation {
	struct cs_publish_pass *pass;
	struct cs_publish_change change;
	char *obstacle;
	int result;
	struct cs_error err;
};

static void preparation_done(struct preparation *preparation)
{
	cs_haproxy_outline_done(&preparation->change.before);
	cs_haproxy_outline_done(&preparation->change.after);
	free(preparation->obstacle);
}

static void prepare(void *context)
{
	struct preparation *preparation = context;
	struct cs_publish_pass *pass = preparation->pass;
	struct cs_publish_change *change = &preparation->change;

	cs_haproxy_outline_read(
		cs_strbuf_text(&pass->installed), pass->installed.len, &change->before);
	cs_haproxy_outline_read(
		cs_strbuf_text(&pass->rendered), pass->rendered.len, &change->after);
	preparation->result = cs_publish_ask_info(pass, &change->info, &preparation->err);
	if (preparation->result < 0)
		return;
	preparation->obstacle = cs_publish_runtime_obstacle(pass, change);
	if (preparation->obstacle && is_too_early(pass, preparation->obstacle))
		return;
	struct cs_error *err = &preparation->err;
	if ((preparation->obstacle && check_failed_before(pass, err) < 0) ||
		back_up(pass, err) < 0 ||
		pass->ports->stage(
			pass->ports->context, &pass->rendered, BACKUP_MODE, err) < 0 ||
		(!preparation->obstacle && announce(pass, false, err) < 0))
		preparation->result = err->code;
}

int cs_publish_apply(struct cs_publish_pass *pass, struct cs_error *err)
{
	CS_CLEANUP(preparation_done)
	struct preparation prepared = {.pass = pass};
	const struct cs_publish_meanwhile meanwhile = {prepare, &prepared};
	const struct cs_publish_change *change = &prepared.change;

	if (pass->ports->validate(
		    pass->ports->context, &pass->rendered, &meanwhile, err) < 0)
		return err->code;
	if (prepared.result < 0) {
		*err = prepared.err;
		return err->code;
	}
	const char *obstacle = prepared.obstacle;
	if (pass->deferred)
		return 0;
	/* The reload is announced only now: one that does not come must not keep a later
	 * one waiting. */
	if ((obstacle && (save_state(pass, change, err) < 0 ||
				 announce(pass, true, err) < 0)) ||
		install(pass, err) < 0)
		return err->code;
	return bring_in_line(pass, change, obstacle, err);
}
