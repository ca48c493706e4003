/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The part of a pass that reloads HAProxy and proves it; see publish_pass.h. */
#include <config.h>
#include "domain/publish_pass.h"

#include "base/deadline.h"
#include "base/mem.h"

/* A bind that fails takes HAProxy 2.1 s, in which the master socket first refuses. */
#define RELOAD_LIMIT_MS 12000
#define RELOAD_POLL_MS 5
/* During a good or a failed reload the stats socket always answers. When nothing does for
 * this long, HAProxy has died of the new file. */
#define DEAD_AFTER_MS 2000

/* What a reload is told apart by. */
struct generation {
	int64_t pid;	/* behind the stats socket */
	int64_t failed; /* reloads, as the master counts them; -1: there is no master */
};

static int64_t ask_failed(const struct cs_publish_pass *pass)
{
	CS_CLEANUP(cs_haproxy_procs_done) struct cs_haproxy_procs procs = {0};
	struct cs_error ignored; /* it is away while it reloads */

	if (!pass->spec->master_socket ||
		cs_publish_ask_procs(pass, false, &procs, &ignored) < 0)
		return -1;
	return procs.failed;
}

/* Up to 2.6 the answer is empty or lost. */
static int order_reload(const struct cs_publish_pass *pass, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf reply = CS_STRBUF(1 << 20);
	int r;

	if (pass->spec->reload.n > 0)
		return pass->ports->run(pass->ports->context, &pass->spec->reload, err);
	for (int64_t waited = 0;; waited += RELOAD_POLL_MS) {
		r = cs_publish_ask(
			pass, pass->spec->master_socket, "reload", &reply, err);
		if (r != CS_E_CONNECT || waited >= RELOAD_LIMIT_MS ||
			!pass->ports->pause(pass->ports->context, RELOAD_POLL_MS))
			break;
	}
	if (r < 0 && r != CS_E_LOST && r != CS_E_TIMEOUT)
		return r; /* else it may have been heard: the new worker tells */
	CS_AUTO_FREE char *words =
		cs_haproxy_reload_failure(cs_strbuf_text(&reply), reply.len);
	return words ? cs_error_set(
			       err, CS_E_VERIFY, "HAProxy could not load it: %s", words)
		     : 0;
}

/* Waits until another process answers on the stats socket. */
static int await_worker(const struct cs_publish_pass *pass,
	const struct generation *before, struct cs_error *err)
{
	int64_t dead_ms = 0;

	for (int64_t waited = 0; waited < RELOAD_LIMIT_MS; waited += RELOAD_POLL_MS) {
		struct cs_haproxy_info info;
		struct cs_error why;

		if (cs_publish_ask_info(pass, &info, &why) < 0)
			dead_ms += RELOAD_POLL_MS;
		else if (info.pid != before->pid)
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

	if (pass->spec->master_socket &&
		cs_publish_ask_procs(pass, true, &procs, err) < 0)
		return err->code;
	*ret_failed = procs.failed;
	return 0;
}

int cs_publish_reload(struct cs_publish_pass *pass, struct cs_error *err)
{
	struct generation before = {.failed = -1};
	struct cs_haproxy_info info;
	struct cs_error ignored;
	int64_t failed;

	pass->stirred = true;
	/* HAProxy may be dead when the old file is put back: then any worker will do. */
	if (cs_publish_ask_info(pass, &info, &ignored) == 0) {
		before.pid = info.pid;
		if (await_master(pass, &before.failed, err) < 0)
			return err->code;
	}
	/* The master comes back while the new worker tells of its servers. */
	if (order_reload(pass, err) < 0 || await_worker(pass, &before, err) < 0 ||
		cs_publish_look(pass, err) < 0)
		return err->code;
	return await_master(pass, &failed, err);
}
