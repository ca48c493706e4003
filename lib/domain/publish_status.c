/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the file and the running HAProxy have of a cluster, read and never changed; see
 * publish.h. Without the lock a pass may be at work meanwhile: whoever compares looks
 * twice before it calls anybody. */
#include <config.h>
#include "domain/publish.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "domain/publish_record.h"
#include "format/haproxy_config.h"
#include "format/haproxy_outline.h"
#include "format/haproxy_stat.h"

#define FILE_MAX (64 << 20)

struct look {
	const struct cs_cluster *cluster;
	struct cs_strbuf file;
	struct cs_publish_record record;
	struct cs_haproxy_outline outline;
	struct cs_haproxy_servers running;
	struct cs_haproxy_names others; /* the template's own lines */
};

static int read_record(const struct cs_publish_site *site,
	const struct cs_publish_ports *ports, struct look *look, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(FILE_MAX);
	int r = ports->read(ports->context, site->record_path, &text, err);

	if (r == CS_E_NOT_FOUND)
		return 0;
	if (r < 0)
		return r;
	if (cs_publish_record_parse(cs_strbuf_text(&text), text.len, &look->record, err) <
		0)
		return cs_error_prefix(err, "%s is damaged", site->record_path);
	return 0;
}

/* Nothing of what it says is needed here, but no drain and no reload goes without it. */
static int ask_master(
	const struct cs_publish_ports *ports, const char *path, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(FILE_MAX);
	CS_CLEANUP(cs_haproxy_procs_done) struct cs_haproxy_procs procs = {0};

	if (ports->ask(ports->context, path, "show proc", &text, err) < 0)
		return err->code;
	if (cs_haproxy_parse_proc(cs_strbuf_text(&text), text.len, &procs, err) < 0)
		return cs_error_prefix(err, "HAProxy's master socket %s", path);
	return 0;
}

static int read_all(const struct cs_publish_site *site,
	const struct cs_publish_ports *ports, struct look *look, struct cs_error *err)
{
	const struct cs_haproxy_spec *spec = &look->cluster->haproxy;
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(FILE_MAX);

	if (cs_publish_read_template(spec->template_path, ports, &text, err) < 0)
		return err->code;
	cs_haproxy_server_names(cs_strbuf_text(&text), text.len, &look->others);
	if (read_record(site, ports, look, err) < 0 ||
		ports->read(ports->context, site->config_path, &look->file, err) < 0)
		return err->code;
	cs_haproxy_outline_read(
		cs_strbuf_text(&look->file), look->file.len, &look->outline);
	cs_strbuf_clear(&text);
	if (ports->ask(ports->context, spec->stats_socket, "show stat", &text, err) < 0)
		return err->code;
	if (cs_haproxy_parse_stat(cs_strbuf_text(&text), text.len, &look->running, err) <
		0)
		return cs_error_prefix(err, "HAProxy's socket %s", spec->stats_socket);
	return spec->master_socket ? ask_master(ports, spec->master_socket, err) : 0;
}

static const struct cs_publish_entry *entry_of(const struct look *look, const char *name)
{
	for (size_t i = 0; i < look->record.n; i++) {
		if (strcmp(look->record.entries[i].name, name) == 0)
			return &look->record.entries[i];
	}
	return NULL;
}

/* Not the template's own servers, and not those of another cluster in this backend. */
static void add(const struct look *look, const char *name,
	const struct cs_haproxy_line *line, const struct cs_haproxy_server *running,
	struct cs_lb_status *ret)
{
	const struct cs_publish_entry *entry = entry_of(look, name);

	if (cs_haproxy_names_have(&look->others, name) ||
		(entry && strcmp(entry->cluster, look->cluster->name) != 0))
		return;
	const struct cs_lb_server server = {.name = (char *)name,
		.id = entry ? entry->id : NULL,
		.file = line ? (char *)line->endpoint : NULL,
		.running = running ? (char *)running->endpoint : NULL,
		.status = running ? (char *)running->status : NULL,
		.sessions = running ? running->sessions : 0};
	cs_lb_status_add(ret, &server);
}

static void add_all(const struct look *look, struct cs_lb_status *ret)
{
	const char *backend = look->cluster->haproxy.backend;

	for (size_t i = 0; i < look->outline.n; i++) {
		const struct cs_haproxy_line *line = &look->outline.lines[i];

		if (strcmp(line->backend->name, backend) == 0)
			add(look, line->name, line,
				cs_haproxy_servers_find(
					&look->running, backend, line->name),
				ret);
	}
	for (size_t i = 0; i < look->running.n; i++) {
		const struct cs_haproxy_server *server = &look->running.items[i];

		/* What rests without a line waits for a reload to forget it. */
		if (strcmp(server->backend, backend) == 0 &&
			!cs_haproxy_in_maint(server) &&
			!cs_haproxy_outline_find(&look->outline, backend, server->name))
			add(look, server->name, NULL, server, ret);
	}
}

static void look_done(struct look *look)
{
	cs_strbuf_done(&look->file);
	cs_publish_record_done(&look->record);
	cs_haproxy_outline_done(&look->outline);
	cs_haproxy_servers_done(&look->running);
	cs_haproxy_names_done(&look->others);
}

int cs_publish_status(const struct cs_publish_site *site,
	const struct cs_publish_ports *ports, struct cs_lb_status *ret,
	struct cs_error *err)
{
	CS_CLEANUP(look_done)
	struct look look = {
		.cluster = site->clusters[site->asked], .file = CS_STRBUF(FILE_MAX)};
	CS_AUTO_FREE char *failed = cs_asprintf("%s.failed", site->config_path);
	char hash[CS_PUBLISH_HASH_SIZE];

	if (read_all(site, ports, &look, err) < 0)
		return err->code;
	cs_publish_hash(&look.file, hash);
	*ret = (struct cs_lb_status){.applied = strcmp(hash, look.record.applied) == 0,
		.failed = access(failed, F_OK) == 0};
	add_all(&look, ret);
	return 0;
}
