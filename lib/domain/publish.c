/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One pass: gather, guard, steer, render, apply, report; see publish.h. */
#include <config.h>
#include "domain/publish.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "base/stamp.h"
#include "domain/publish_pass.h"
#include "format/json.h"

#define RECORD_MAX (64 << 20)
#define RECORD_MODE 0600

void cs_publish_say(
	const struct cs_publish_pass *pass, int priority, const char *format, ...)
{
	va_list args;
	char text[1024];

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	pass->ports->say(pass->ports->context, priority, text);
}

bool cs_publish_same_text(const struct cs_strbuf *one, const struct cs_strbuf *other)
{
	return one->len == other->len &&
	       memcmp(cs_strbuf_text(one), cs_strbuf_text(other), one->len) == 0;
}

static const struct cs_cluster *asked(const struct cs_publish_pass *pass)
{
	return pass->site->clusters[pass->site->asked];
}

/* The asked cluster's trouble ends the pass before anything was changed. Another one of
 * the same file keeps the lines that it has, as long as the record knows them. */
static int hold(const struct cs_publish_pass *pass, size_t cluster, struct cs_error *err)
{
	const char *name = pass->site->clusters[cluster]->name;

	cs_error_prefix(err, "cluster '%s'", name);
	if (cluster == pass->site->asked || !*pass->record.applied)
		return err->code;
	cs_publish_say(
		pass, LOG_WARNING, "%s; its servers stay as they are", err->message);
	return 0;
}

static int list_clusters(struct cs_publish_pass *pass, struct cs_error *err)
{
	for (size_t i = 0; i < pass->site->n_clusters; i++) {
		int r = pass->ports->list(pass->ports->context, pass->site->clusters[i],
			&pass->views[i], err);

		pass->listed[i] = r == 0;
		if (r == 0 && pass->views[i].members.n == 0 &&
			!cs_publish_may_empty(pass, pass->site->clusters[i])) {
			cs_fleet_view_done(&pass->views[i]);
			pass->views[i] = (struct cs_fleet_view){0};
			pass->listed[i] = false;
			r = cs_error_set(err, CS_E_NOT_FOUND,
				"the cloud lists none of its servers; nothing is changed "
				"on the word of an empty list (which is to be expected "
				"before the first one: nova_scale -n %s --create 1)",
				pass->site->clusters[i]->name);
		}
		if (r < 0 && hold(pass, i, err) < 0)
			return err->code;
	}
	return 0;
}

static int load_record(struct cs_publish_pass *pass, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(RECORD_MAX);
	const char *path = pass->site->record_path;
	int r = pass->ports->read(pass->ports->context, path, &text, err);

	if (r == CS_E_NOT_FOUND)
		return 0;
	if (r < 0)
		return r;
	if (cs_publish_record_parse(cs_strbuf_text(&text), text.len, &pass->record, err) <
		0)
		return cs_error_prefix(err,
			"%s is damaged (when it is moved away, haproxy_sync begins anew)",
			path);
	pass->reloaded = pass->record.reloaded;
	memcpy(pass->installing, pass->record.installing, sizeof pass->installing);
	return 0;
}

int cs_publish_write_record(const struct cs_publish_pass *pass, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(RECORD_MAX);
	const char *path = pass->site->record_path;

	if (pass->dry_run)
		return 0;
	cs_publish_record_write(&pass->record, &text);
	if (cs_strbuf_check(&text, path, err) < 0)
		return err->code;
	return pass->ports->write(pass->ports->context, path, &text, RECORD_MODE, err);
}

int cs_publish_save_record(
	struct cs_publish_pass *pass, const char *applied, struct cs_error *err)
{
	struct cs_publish_record next = {.unanswered = pass->record.unanswered};

	cs_publish_servers_record(&pass->servers, applied, &pass->record, &next);
	next.reloaded = pass->reloaded;
	memcpy(next.installing, pass->installing, sizeof next.installing);
	bool same = cs_publish_record_same(&pass->record, &next);
	cs_publish_record_done(&pass->record);
	pass->record = next;
	return same ? 0 : cs_publish_write_record(pass, err);
}

/* Ports of members that are about to get their first line. */
static void probe_new(struct cs_publish_pass *pass)
{
	CS_AUTO_FREE struct cs_probe *probes =
		cs_calloc(pass->servers.n + 1, sizeof *probes);
	CS_AUTO_FREE struct cs_publish_server **whose =
		cs_calloc(pass->servers.n + 1, sizeof *whose);
	size_t n = 0;

	for (size_t i = 0; i < pass->servers.n; i++) {
		struct cs_publish_server *server = &pass->servers.items[i];

		if (!server->member || server->member->state != CS_MEMBER_ACTIVE ||
			server->marked || cs_publish_is_present(server) ||
			!*server->endpoint)
			continue;
		probes[n].endpoint = server->endpoint;
		probes[n].spec = &server->cluster->haproxy.probe;
		whose[n++] = server;
	}
	if (n > 0)
		pass->ports->probe(pass->ports->context, probes, n);
	for (size_t i = 0; i < n; i++) {
		whose[i]->answers = probes[i].good;
		if (!probes[i].good)
			cs_publish_say(pass, LOG_WARNING,
				"server '%s' is left out for now: %s does not answer "
				"(%s)",
				whose[i]->name, whose[i]->endpoint, probes[i].why);
	}
}

/* Decides, and takes back what would hurt a backend. */
static int decide(struct cs_publish_pass *pass, struct cs_error *err)
{
	cs_publish_servers_decide(&pass->servers, pass->now_wall_ms);
	for (size_t c = 0; c < pass->site->n_clusters; c++) {
		const struct cs_cluster *cluster = pass->site->clusters[c];

		if (!pass->listed[c] || cs_publish_guard(pass, cluster, err) == 0)
			continue;
		if (hold(pass, c, err) < 0)
			return err->code;
		cs_publish_servers_hold(&pass->servers, cluster, &pass->record);
		cs_publish_servers_decide(&pass->servers, pass->now_wall_ms);
	}
	return 0;
}

static int render(struct cs_publish_pass *pass, struct cs_error *err)
{
	size_t n = pass->site->n_clusters;
	CS_AUTO_FREE struct cs_haproxy_group *groups = cs_calloc(n, sizeof *groups);

	for (size_t i = 0; i < n; i++)
		cs_publish_servers_group(
			&pass->servers, pass->site->clusters[i], true, &groups[i]);
	cs_strbuf_clear(&pass->rendered);
	int r = cs_haproxy_render(cs_strbuf_text(&pass->template), pass->template.len,
		pass->spec->template_path, groups, n, &pass->rendered, err);
	for (size_t i = 0; i < n; i++)
		free((void *)groups[i].rows);
	return r;
}

static void find_sticky(struct cs_publish_pass *pass)
{
	struct cs_haproxy_outline outline;

	cs_haproxy_outline_read(
		cs_strbuf_text(&pass->template), pass->template.len, &outline);
	for (size_t i = 0; i < pass->servers.n; i++) {
		struct cs_publish_server *server = &pass->servers.items[i];

		server->sticky = cs_haproxy_outline_is_sticky(
			&outline, server->cluster->haproxy.backend);
	}
	cs_haproxy_outline_done(&outline);
}

/* Everything that can be known, and refused, before anything is changed. The cloud comes
 * last: what its list asks for follows at once. */
static int observe(struct cs_publish_pass *pass, struct cs_error *err)
{
	const struct cs_publish_ports *ports = pass->ports;
	CS_CLEANUP(cs_haproxy_names_done) struct cs_haproxy_names taken = {0};

	if (load_record(pass, err) < 0 ||
		cs_publish_read_template(
			pass->spec->template_path, ports, &pass->template, err) < 0 ||
		ports->read(ports->context, pass->site->config_path, &pass->installed,
			err) < 0 ||
		cs_publish_look(pass, err) < 0 || list_clusters(pass, err) < 0)
		return err->code;
	cs_stamp_now(&pass->now);
	pass->now_wall_ms = pass->now.wall_ms;
	cs_haproxy_server_names(
		cs_strbuf_text(&pass->template), pass->template.len, &taken);
	cs_publish_servers_build(pass->site->clusters, pass->site->n_clusters,
		pass->views, pass->listed, &pass->record, &taken, &pass->servers);
	find_sticky(pass);
	cs_publish_servers_observe(&pass->servers, &pass->current);
	if (cs_publish_count_old(pass, err) < 0)
		return err->code;
	probe_new(pass);
	if (decide(pass, err) < 0)
		return err->code;
	return render(pass, err);
}

/* It is about to be kept from requests, to be drained or to be taken out. What rests
 * already was sent there by a person, unless the record that would know is lost. */
static bool is_to_rest(
	const struct cs_publish_pass *pass, const struct cs_publish_server *server)
{
	bool rests = server->current && cs_haproxy_rests(server->current);

	if (server->marked)
		return !rests || !*pass->record.applied;
	return !server->has_line && server->current && !rests;
}

/* The drains, and what they change in the decision. */
static int drain(struct cs_publish_pass *pass, struct cs_error *err)
{
	bool begins = false;

	for (size_t i = 0; i < pass->servers.n; i++) {
		struct cs_publish_server *server = &pass->servers.items[i];

		if (is_to_rest(pass, server) && !server->held && !server->drained_by_us)
			begins = server->drained_by_us = true;
	}
	if ((begins && cs_publish_save_record(pass, NULL, err) < 0) ||
		cs_publish_steer(pass, err) < 0)
		return err->code;
	if (!pass->stirred)
		return 0; /* what was counted holds */
	if (cs_publish_count(pass, err) < 0)
		return err->code;
	cs_publish_servers_decide(&pass->servers, pass->now_wall_ms);
	return render(pass, err);
}

/* True when the rendered text was proved to be running, still lies in the file, and
 * HAProxy has not lost any of it. */
static bool is_applied(const struct cs_publish_pass *pass)
{
	char hash[CS_PUBLISH_HASH_SIZE], found[CS_PUBLISH_HASH_SIZE];
	struct cs_error difference;

	cs_publish_hash(&pass->rendered, hash);
	cs_publish_hash(&pass->installed, found);
	if (*pass->record.applied && strcmp(found, pass->record.applied) != 0 &&
		strcmp(found, pass->record.installing) != 0 && strcmp(found, hash) != 0)
		cs_publish_say(pass, LOG_WARNING,
			"%s is not what was applied last; it is rendered from %s again "
			"(what it was is kept as %s)",
			pass->site->config_path, pass->spec->template_path,
			pass->site->backup_path);
	if (strcmp(hash, pass->record.applied) != 0 || strcmp(hash, found) != 0)
		return false;
	if (cs_publish_check_running(pass, &difference) == 0)
		return true;
	cs_publish_say(pass, LOG_WARNING, "%s; reloading", difference.message);
	return false;
}

static void say_changes(const struct cs_publish_pass *pass)
{
	for (size_t i = 0; i < pass->servers.n; i++) {
		const struct cs_publish_server *server = &pass->servers.items[i];

		if (server->has_line != server->had_line)
			cs_publish_say(pass, LOG_NOTICE, "server '%s' %s %s backend '%s'",
				server->name, server->endpoint,
				server->has_line ? "added to" : "removed from",
				server->cluster->haproxy.backend);
	}
}

static int apply(struct cs_publish_pass *pass, struct cs_error *err)
{
	char hash[CS_PUBLISH_HASH_SIZE];

	for (size_t i = 0; i < pass->servers.n; i++) {
		const struct cs_publish_server *server = &pass->servers.items[i];

		if (server->has_line && server->member)
			cs_publish_say(pass, LOG_DEBUG,
				"Found matched server %s %s, add to haproxy",
				server->name, server->member->address);
	}
	if (!is_applied(pass)) {
		if (cs_publish_apply(pass, err) < 0)
			return err->code;
		if (pass->deferred)
			return 0;
		say_changes(pass);
	}
	cs_publish_hash(&pass->rendered, hash);
	return cs_publish_save_record(pass, hash, err);
}

static int dry(struct cs_publish_pass *pass, struct cs_publish_report *report,
	struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done)
	struct cs_strbuf diff = CS_STRBUF(CS_PUBLISH_CONFIG_MAX);

	if (pass->ports->validate(pass->ports->context, &pass->rendered, NULL, err) < 0 ||
		pass->ports->diff(pass->ports->context, &pass->rendered, &diff, err) < 0)
		return err->code;
	report->diff = cs_strbuf_take(&diff);
	return 0;
}

/* The file could not be replaced yet, and a reload of somebody else would load its line.
 */
static bool may_come_back(
	const struct cs_publish_pass *pass, const struct cs_publish_server *server)
{
	return pass->deferred && *server->endpoint &&
	       strstr(cs_strbuf_text(&pass->installed), server->endpoint);
}

static void report_marked(const struct cs_publish_pass *pass,
	const struct cs_publish_server *server, struct cs_publish_report *report)
{
	if (!server->current && !may_come_back(pass, server) &&
		cs_publish_is_quiet(server, pass->now_wall_ms)) {
		cs_strings_add(&report->drained, server->id);
		if (server->sessions > 0)
			cs_publish_say(pass, LOG_WARNING,
				"server '%s': drain-timeout has passed; sessions in old "
				"workers that will end with it: %d",
				server->name, (int)server->sessions);
		return;
	}
	report->draining = cs_reallocarray(
		report->draining, report->n_draining + 1, sizeof *report->draining);
	report->draining[report->n_draining++] = (struct cs_publish_draining){
		.id = cs_strdup(server->id), .sessions = server->sessions};
	report->open = true;
	cs_publish_say(pass, LOG_INFO, "Server %s drains, sessions: %d%s", server->name,
		(int)server->sessions,
		server->exposed ? "; a worker older than its drain still runs" : "");
}

static void add_serving(
	const struct cs_publish_server *server, struct cs_publish_report *report)
{
	cs_strings_add(&report->serving, server->id);
	report->sessions = cs_reallocarray(
		report->sessions, report->serving.n, sizeof *report->sessions);
	report->sessions[report->serving.n - 1] = server->sessions;
}

static void report_servers(
	const struct cs_publish_pass *pass, struct cs_publish_report *report)
{
	report->open = pass->deferred;
	report->list_taken_wall_ms = pass->views[pass->site->asked].list.taken_wall_ms;
	for (size_t i = 0; i < pass->servers.n; i++) {
		const struct cs_publish_server *server = &pass->servers.items[i];

		if (server->cluster != asked(pass) || !server->member)
			continue;
		if (server->marked)
			report_marked(pass, server, report);
		else if (cs_publish_is_present(server) &&
			 cs_haproxy_serves(server->current))
			add_serving(server, report);
		else if (server->member->state == CS_MEMBER_ACTIVE)
			report->open = true;
	}
}

static bool has_marked(const struct cs_publish_pass *pass)
{
	for (size_t i = 0; i < pass->servers.n; i++) {
		if (pass->servers.items[i].marked)
			return true;
	}
	return false;
}

static int change(struct cs_publish_pass *pass, struct cs_error *err)
{
	if (drain(pass, err) < 0)
		return err->code;
	pass->stirred = false;
	if (apply(pass, err) < 0)
		return err->code;
	if (!pass->stirred)
		return 0;
	/* Steered again, because without a state file a reload forgets it. */
	pass->stirred = false;
	if (cs_publish_steer(pass, err) < 0)
		return err->code;
	if (!pass->stirred && !has_marked(pass))
		return 0; /* what apply() saw at its end holds */
	return cs_publish_count(pass, err);
}

static int run(struct cs_publish_pass *pass, struct cs_publish_report *report,
	struct cs_error *err)
{
	if (observe(pass, err) < 0 ||
		(pass->dry_run ? dry(pass, report, err) : change(pass, err)) < 0)
		return err->code;
	report_servers(pass, report);
	return 0;
}

static void pass_free(struct cs_publish_pass *pass)
{
	if (!pass)
		return;
	for (size_t i = 0; i < pass->n_clusters; i++) {
		if (pass->listed[i])
			cs_fleet_view_done(&pass->views[i]);
	}
	free(pass->views);
	free(pass->listed);
	cs_publish_record_done(&pass->record);
	cs_publish_servers_done(&pass->servers);
	cs_haproxy_servers_done(&pass->current);
	cs_strbuf_done(&pass->template);
	cs_strbuf_done(&pass->installed);
	cs_strbuf_done(&pass->previous);
	cs_strbuf_done(&pass->rendered);
	free(pass);
}

int cs_publish_run(const struct cs_publish_site *site,
	const struct cs_publish_ports *ports, bool dry_run, struct cs_publish_report *ret,
	struct cs_error *err)
{
	struct cs_publish_report report = {.pass = cs_calloc(1, sizeof *report.pass)};
	struct cs_error why; /* also has what the pass gets over */

	*report.pass = (struct cs_publish_pass){.site = site,
		.ports = ports,
		.dry_run = dry_run,
		.spec = &site->clusters[site->asked]->haproxy,
		.n_clusters = site->n_clusters,
		.views = cs_calloc(site->n_clusters, sizeof *report.pass->views),
		.listed = cs_calloc(site->n_clusters, sizeof *report.pass->listed),
		.template = CS_STRBUF(CS_PUBLISH_CONFIG_MAX),
		.installed = CS_STRBUF(CS_PUBLISH_CONFIG_MAX),
		.previous = CS_STRBUF(CS_PUBLISH_CONFIG_MAX),
		.rendered = CS_STRBUF(CS_PUBLISH_CONFIG_MAX)};
	int r = run(report.pass, &report, &why);
	if (r == 0) {
		*ret = report;
	} else {
		*err = why;
		cs_publish_report_done(&report);
	}
	return r;
}

void cs_publish_report_done(struct cs_publish_report *report)
{
	for (size_t i = 0; i < report->n_draining; i++)
		free(report->draining[i].id);
	free(report->draining);
	free(report->sessions);
	cs_strings_done(&report->serving);
	cs_strings_done(&report->drained);
	free(report->diff);
	pass_free(report->pass);
	*report = (struct cs_publish_report){0};
}

static void add_ids(
	struct json_object *object, const char *key, const struct cs_strings *ids)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < ids->n; i++)
		json_object_array_add(array, json_object_new_string(ids->items[i]));
	json_object_object_add(object, key, array);
}

char *cs_publish_report_text(const struct cs_publish_report *report, const char *lb)
{
	CS_AUTO_JSON struct json_object *object = json_object_new_object();
	struct json_object *draining = json_object_new_array();
	struct json_object *sessions = json_object_new_object();

	cs_json_add_str(object, "lb", lb);
	cs_json_add_int(object, "list_taken", report->list_taken_wall_ms);
	add_ids(object, "serving", &report->serving);
	json_object_object_add(object, "sessions", sessions);
	for (size_t i = 0; i < report->serving.n; i++)
		cs_json_add_int(sessions, report->serving.items[i], report->sessions[i]);
	json_object_object_add(object, "draining", draining);
	for (size_t i = 0; i < report->n_draining; i++) {
		struct json_object *server = json_object_new_object();

		cs_json_add_str(server, "id", report->draining[i].id);
		cs_json_add_int(server, "sessions", report->draining[i].sessions);
		json_object_array_add(draining, server);
	}
	add_ids(object, "drained", &report->drained);
	return cs_strdup(cs_json_text(object));
}
