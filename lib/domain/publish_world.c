/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The real world behind a pass; see publish.h. */
#include <config.h>
#include "domain/publish.h"

#include <unistd.h>

#include "base/deadline.h"
#include "base/proc.h"
#include "client/haproxy_socket.h"
#include "domain/fleet_apart.h"
#include "domain/publish_check.h"

#define LIST_LIMIT_MS 15000
#define ASK_LIMIT_MS 15000    /* `wait 10s` is among what is asked */
#define ASK_OLD_LIMIT_MS 3000 /* an old worker, which may have fallen asleep */
#define PROBE_LIMIT_MS 1000
#define COMMAND_LIMIT_MS 20000

static int world_list(void *context, const struct cs_cluster *cluster,
	struct cs_fleet_view *ret, struct cs_error *err)
{
	struct cs_publish_world *world = context;

	if (!world->site->waited)
		cs_publish_check_early(world);
	/* The child that asks the cloud needs the same. */
	if (cs_probe_prepare(err) < 0)
		return err->code;
	return cs_fleet_look_apart(world->config, cluster, cluster->haproxy.cloud,
		cs_deadline_within(world->deadline, LIST_LIMIT_MS), ret, err);
}

static void world_probe(void *context, struct cs_probe *probes, size_t n)
{
	(void)context;
	cs_probe(probes, n, PROBE_LIMIT_MS);
}

/* What lies in our state folder, and is nobody else's. */
static bool is_own(const struct cs_publish_world *world, const char *path)
{
	return path == world->site->record_path || path == world->site->backup_path;
}

/* What HAProxy's servers are now, for the reload that follows. HAProxy does without it
 * when it starts again after a power failure. */
static bool is_of_the_moment(const struct cs_publish_world *world, const char *path)
{
	return path == world->site->clusters[world->site->asked]->haproxy.state_file;
}

static int world_read(
	void *context, const char *path, struct cs_strbuf *ret, struct cs_error *err)
{
	return is_own(context, path) ? cs_file_read_own(path, ret, err)
				     : cs_file_read(path, ret, err);
}

static int world_write(void *context, const char *path, const struct cs_strbuf *text,
	mode_t mode, struct cs_error *err)
{
	if (is_of_the_moment(context, path))
		return cs_file_replace_lightly(
			path, cs_strbuf_text(text), text->len, mode, err);
	return (is_own(context, path) ? cs_file_replace_own : cs_file_replace)(
		path, cs_strbuf_text(text), text->len, mode, err);
}

static int world_stage(
	void *context, const struct cs_strbuf *text, mode_t mode, struct cs_error *err)
{
	struct cs_publish_world *world = context;

	if (cs_file_new_open(world->site->config_path, mode, &world->staged, err) < 0)
		return err->code;
	fwrite(cs_strbuf_text(text), 1, text->len, world->staged.stream);
	return cs_file_new_sync(&world->staged, err);
}

static int world_commit(void *context, struct cs_error *err)
{
	struct cs_publish_world *world = context;

	return cs_file_new_commit(&world->staged, err);
}

static int world_validate(void *context, const struct cs_strbuf *text,
	const struct cs_publish_meanwhile *meanwhile, struct cs_error *err)
{
	return cs_publish_check(context, text, meanwhile, err);
}

static int world_diff(void *context, const struct cs_strbuf *text, struct cs_strbuf *ret,
	struct cs_error *err)
{
	const struct cs_publish_world *world = context;
	const char *installed = world->site->config_path;
	CS_CLEANUP(cs_proc_result_done) struct cs_proc_result result = {0};
	CS_AUTO_FREE char *path = cs_publish_candidate_path(world);
	char *argv[] = {(char *)"diff", (char *)"-u", (char *)"--label",
		(char *)installed, (char *)"--label", (char *)"rendered",
		(char *)installed, path, NULL};

	if (cs_file_replace_lightly(path, cs_strbuf_text(text), text->len,
		    CS_PUBLISH_CANDIDATE_MODE, err) < 0)
		return err->code;
	int r = cs_proc_run(argv, world->deadline, &result, err);
	unlink(path);
	if (r < 0)
		return r;
	if (result.exit_status > 1)
		return cs_error_set(
			err, CS_E_IO, "diff failed: %s", cs_strbuf_text(&result.err));
	cs_strbuf_add(ret, cs_strbuf_text(&result.out));
	return 0;
}

static int world_ask(void *context, const char *socket_path, const char *command,
	struct cs_strbuf *ret, struct cs_error *err)
{
	const struct cs_publish_world *world = context;
	int64_t limit_ms = *command == '@' ? ASK_OLD_LIMIT_MS : ASK_LIMIT_MS;

	return cs_haproxy_ask(socket_path, command,
		cs_deadline_within(world->deadline, limit_ms), ret, err);
}

static int world_run(void *context, const struct cs_strings *argv, struct cs_error *err)
{
	const struct cs_publish_world *world = context;
	CS_CLEANUP(cs_proc_result_done) struct cs_proc_result result = {0};

	if (cs_proc_run(argv->items,
		    cs_deadline_within(world->deadline, COMMAND_LIMIT_MS), &result,
		    err) < 0)
		return err->code;
	if (result.exit_status == 0)
		return 0;
	return cs_error_set(err, CS_E_VERIFY,
		"the reload command %s failed with exit status %d: %s", argv->items[0],
		result.exit_status, cs_strbuf_text(&result.err));
}

static bool world_pause(void *context, int64_t ms)
{
	const struct cs_publish_world *world = context;

	return cs_deadline_sleep(world->deadline, ms);
}

static void world_say(void *context, int priority, const char *text)
{
	const struct cs_publish_world *world = context;

	world->say(priority, text);
}

struct cs_publish_ports cs_publish_world_ports(struct cs_publish_world *world)
{
	return (struct cs_publish_ports){.context = world,
		.list = world_list,
		.probe = world_probe,
		.read = world_read,
		.write = world_write,
		.stage = world_stage,
		.commit = world_commit,
		.validate = world_validate,
		.diff = world_diff,
		.ask = world_ask,
		.run = world_run,
		.pause = world_pause,
		.say = world_say};
}

void cs_publish_world_done(struct cs_publish_world *world)
{
	cs_proc_end(&world->early);
	cs_file_new_done(&world->staged);
}
