/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The real world behind a pass; see publish.h. */
#include <config.h>
#include "domain/publish.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/proc.h"
#include "client/haproxy_socket.h"
#include "format/haproxy_config.h"

#define LIST_LIMIT_MS 15000
#define ASK_LIMIT_MS 5000
#define PROBE_LIMIT_MS 1000
#define VALIDATE_LIMIT_MS 10000
#define COMMAND_LIMIT_MS 20000
#define CANDIDATE_MODE 0600

static int world_list(void *context, const struct cs_cluster *cluster,
	struct cs_fleet_view *ret, struct cs_error *err)
{
	const struct cs_publish_world *world = context;
	CS_CLEANUP(cs_fleet_closep) struct cs_fleet *fleet = NULL;

	if (cs_fleet_open(world->config, cluster, cluster->haproxy.cloud,
		    cs_deadline_within(world->deadline, LIST_LIMIT_MS), &fleet, err) < 0)
		return err->code;
	return cs_fleet_look(fleet, ret, err);
}

static void world_probe(void *context, struct cs_tcp_probe *probes, size_t n)
{
	(void)context;
	cs_tcp_probe(probes, n, PROBE_LIMIT_MS);
}

static int world_read(
	void *context, const char *path, struct cs_strbuf *ret, struct cs_error *err)
{
	(void)context;
	return cs_file_read(path, ret, err);
}

static int world_write(void *context, const char *path, const struct cs_strbuf *text,
	mode_t mode, struct cs_error *err)
{
	(void)context;
	return cs_file_replace(path, cs_strbuf_text(text), text->len, mode, err);
}

static void argv_make(struct cs_strings *ret, const char *const *words)
{
	for (; *words; words++)
		cs_strings_add(ret, *words);
}

/* Beside the configuration, so that relative paths in it mean the same; not *.cfg, so
 * that a HAProxy that loads the whole folder passes over it. */
static char *candidate_path(const struct cs_publish_world *world)
{
	return cs_asprintf("%s.clusterscale-candidate", world->site->config_path);
}

/* The alerts of `haproxy -c`, without their prefix "[ALERT] (pid) :". */
static char *alerts(const struct cs_strbuf *output)
{
	CS_AUTO_FREE char *text = cs_strdup(cs_strbuf_text(output));
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf words = CS_STRBUF(400);
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		const char *words_of_it = strstr(line, ") : ");

		if (strncmp(line, "[ALERT]", 7) == 0 && words_of_it)
			cs_strbuf_addf(
				&words, "%s%s", words.len ? "; " : "", words_of_it + 4);
	}
	return cs_strbuf_take(&words);
}

/* `haproxy -c` says "valid" to a chroot that does not exist; the reload then ends the old
 * worker and the master too. */
static int check_chroot(const struct cs_strbuf *text, struct cs_error *err)
{
	CS_AUTO_FREE char *path = cs_haproxy_directive(cs_strbuf_text(text), "chroot");
	struct stat st;

	if (!path || (stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
		return 0;
	return cs_error_set(err, CS_E_CONFIG,
		"the configuration has 'chroot %s', which is no folder here; HAProxy "
		"would "
		"accept the file and die of it",
		path);
}

static int world_validate(
	void *context, const struct cs_strbuf *text, struct cs_error *err)
{
	const struct cs_publish_world *world = context;
	const char *program = world->site->clusters[world->site->asked]->haproxy.program;
	CS_CLEANUP(cs_proc_result_done) struct cs_proc_result result = {0};
	CS_CLEANUP(cs_strings_done) struct cs_strings argv = {0};
	CS_AUTO_FREE char *path = candidate_path(world);

	argv_make(&argv, (const char *const[]){program, "-c", "-f", path, NULL});
	if (check_chroot(text, err) < 0 ||
		cs_file_replace(
			path, cs_strbuf_text(text), text->len, CANDIDATE_MODE, err) < 0 ||
		cs_proc_run(argv.items,
			cs_deadline_within(world->deadline, VALIDATE_LIMIT_MS), &result,
			err) < 0)
		return err->code;
	if (result.exit_status == 0) {
		unlink(path);
		return 0;
	}
	CS_AUTO_FREE char *words = alerts(&result.err);
	return cs_error_set(err, CS_E_CONFIG,
		"HAProxy does not accept the configuration (%s -c -f %s: exit status "
		"%d): %s",
		program, path, result.exit_status, words);
}

static int world_diff(void *context, const struct cs_strbuf *text, struct cs_strbuf *ret,
	struct cs_error *err)
{
	const struct cs_publish_world *world = context;
	const char *installed = world->site->config_path;
	CS_CLEANUP(cs_proc_result_done) struct cs_proc_result result = {0};
	CS_CLEANUP(cs_strings_done) struct cs_strings argv = {0};
	CS_AUTO_FREE char *path = candidate_path(world);

	argv_make(&argv, (const char *const[]){"diff", "-u", "--label", installed,
				 "--label", "rendered", installed, path, NULL});
	if (cs_file_replace(path, cs_strbuf_text(text), text->len, CANDIDATE_MODE, err) <
		0)
		return err->code;
	int r = cs_proc_run(argv.items, world->deadline, &result, err);
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

	return cs_haproxy_ask(socket_path, command,
		cs_deadline_within(world->deadline, ASK_LIMIT_MS), ret, err);
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
		.validate = world_validate,
		.diff = world_diff,
		.ask = world_ask,
		.run = world_run,
		.pause = world_pause,
		.say = world_say};
}
