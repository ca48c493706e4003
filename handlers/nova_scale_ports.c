/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The real world behind the loop: the cloud, the journal, the check and the load
 * balancers' commands. No decisions here. */
#include <config.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "client/probe.h"
#include "domain/history.h"
#include "domain/lb_ask.h"
#include "format/haproxy_line.h"
#include "nova_scale.h"

#define CLOUD_MS (60 * CS_MS_PER_S)
#define CHECK_MS (60 * CS_MS_PER_S)
#define SYNC_MS (60 * CS_MS_PER_S)
#define PROBE_MS CS_MS_PER_S
#define USER_DATA_MAX 49149 /* 65535 in base64, Nova's limit */

int scale_lock(struct scale_program *program, struct cs_error *err)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/lock", program->dir);

	return cs_lock_take(path, "nova_scale", &program->lock, err);
}

int scale_load_journal(
	struct scale_program *program, struct cs_journal *ret, struct cs_error *err)
{
	struct cs_stamp now;

	cs_stamp_now(&now);
	return cs_journal_load(program->dir, &now, ret, err);
}

int scale_append(struct scale_program *program, const struct cs_journal_line *line,
	struct cs_error *err)
{
	return cs_journal_append(program->dir, cs_log_run_id(), line, err);
}

/* Ids mean something in one project of one cloud only: elsewhere every server of the
 * journal would look deleted. */
int scale_hold_to_cloud(struct scale_program *program, struct cs_error *err)
{
	CS_CLEANUP(cs_journal_done) struct cs_journal journal = {0};
	struct cs_journal_line bind = {.type = "bind",
		.auth_url = cs_fleet_auth_url(program->fleet),
		.project = cs_fleet_project_id(program->fleet),
		.region = cs_fleet_region(program->fleet)};

	if (program->values.rebind)
		return 0;
	if (scale_load_journal(program, &journal, err) < 0)
		return err->code;
	if (!journal.auth_url)
		return program->acts ? scale_append(program, &bind, err) : 0;
	if (strcmp(journal.auth_url, bind.auth_url) == 0 &&
		strcmp(journal.project, bind.project) == 0 &&
		strcmp(journal.region, bind.region) == 0)
		return 0;
	return cs_error_set(err, CS_E_REFUSED,
		"the journal in %s belongs to %s, project %s, region '%s', but cloud "
		"'%s' is %s, "
		"project %s, region '%s'; correct clouds.yaml, or accept the move with "
		"--rebind",
		program->dir, journal.auth_url, journal.project, journal.region,
		program->cluster->cloud, bind.auth_url, bind.project, bind.region);
}

int scale_cloud(struct scale_program *program, struct cs_error *err)
{
	struct cs_deadline deadline = cs_deadline_in(CLOUD_MS);

	if (program->fleet) {
		cs_fleet_set_deadline(program->fleet, deadline);
		return 0;
	}
	if (cs_fleet_open(program->config, program->cluster, program->cluster->cloud,
		    deadline, &program->fleet, err) < 0)
		return err->code;
	if (scale_hold_to_cloud(program, err) < 0) {
		cs_fleet_close(program->fleet);
		program->fleet = NULL;
		return err->code;
	}
	return 0;
}

static int port_load(void *context, const struct cs_stamp *now, struct cs_journal *ret,
	struct cs_error *err)
{
	struct scale_program *program = context;

	return cs_journal_load(program->dir, now, ret, err);
}

static int port_append(
	void *context, const struct cs_journal_line *line, struct cs_error *err)
{
	struct scale_program *program = context;

	/* A create that is refused leaves nothing to be undone. */
	program->began |= strcmp(line->type, "request") == 0 ||
			  (line->action && strcmp(line->action, "delete") == 0);
	return scale_append(program, line, err);
}

/* Measuring: normally the core's check has just done it. */

static char *if_executable(char *path)
{
	if (access(path, X_OK) == 0)
		return path;
	free(path);
	return NULL;
}

/* Beside the handlers' folder, as installed, wherever that was moved to; or as built. */
char *scale_check_path(void)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);

	for (int up = 0; len > 0 && up < 2; up++) {
		self[len] = '\0';
		char *slash = strrchr(self, '/');
		len = slash ? slash - self : 0;
	}
	if (len > 0) {
		self[len] = '\0';
		char *path = if_executable(cs_asprintf("%s/check_cluster_cpu", self));
		if (!path)
			path = if_executable(
				cs_asprintf("%s/plugins/check_cluster_cpu", self));
		if (path)
			return path;
	}
	return cs_strdup(CS_PLUGINDIR "/check_cluster_cpu");
}

static void run_check(struct scale_program *program)
{
	CS_AUTO_FREE char *path = scale_check_path();
	char *argv[] = {path, (char *)"-n", program->cluster->name, (char *)"-f",
		program->path, NULL};
	struct cs_proc_result result;
	struct cs_error err;

	program->measured = true;
	program->measured_ms = cs_monotonic_ms();
	scale_say(program, LOG_INFO, "no fresh measurement: running %s", path);
	if (cs_proc_run(argv, cs_deadline_in(CHECK_MS), &result, &err) < 0) {
		if (err.code == CS_E_NOT_FOUND)
			cs_error_advise(&err, "install it there, or run it by hand: "
					      "nothing is scaled without a measurement");
		scale_say(program, LOG_WARNING, "%s", err.message);
	} else {
		const char *text = cs_strbuf_text(&result.out);
		size_t len = strcspn(text, "|\n");

		while (len > 0 && text[len - 1] == ' ')
			len--;
		scale_say(program, LOG_INFO, "%.*s", len ? (int)len : -1,
			len ? text : "it said nothing");
	}
	cs_proc_result_done(&result);
}

static bool is_fresh(
	const struct scale_program *program, const struct cs_measurement *measurement)
{
	struct cs_stamp now;

	cs_stamp_now(&now);
	int64_t age_ms = cs_stamp_age_ms(&measurement->at, &now);
	return age_ms >= 0 && age_ms <= program->cluster->policy.max_age_ms;
}

/* Once is enough for a decision; replacing servers takes many, and long. */
static bool may_measure(const struct scale_program *program)
{
	int64_t age_ms = cs_monotonic_ms() - program->measured_ms;

	return program->acts &&
	       (!program->measured ||
		       (program->cluster->rolling.present && program->measured_ms > 0 &&
			       age_ms > program->cluster->policy.max_age_ms));
}

static int port_history(void *context, struct cs_history *ret, struct cs_error *err)
{
	struct scale_program *program = context;
	int rc = cs_history_load(program->dir, CS_POLICY_HISTORY_MAX, ret, err);

	if ((rc == 0 && is_fresh(program, &ret->items[ret->n - 1])) ||
		!may_measure(program))
		return rc;
	run_check(program);
	cs_history_done(ret);
	return cs_history_load(program->dir, CS_POLICY_HISTORY_MAX, ret, err);
}

/* The cloud. */

static void port_samples(void *context, struct cs_samples *ret)
{
	const struct scale_program *program = context;

	cs_samples_load(program->dir, ret);
}

static int port_look(void *context, struct cs_fleet_view *ret, struct cs_error *err)
{
	struct scale_program *program = context;

	if (scale_cloud(program, err) < 0)
		return err->code;
	scale_list_floating(program);
	return cs_fleet_look(program->fleet, ret, err);
}

static int port_show(
	void *context, const char *id, struct cs_server *ret, struct cs_error *err)
{
	struct scale_program *program = context;

	if (scale_cloud(program, err) < 0)
		return err->code;
	return cs_nova_show(cs_fleet_nova(program->fleet), id, ret, err);
}

/* RFC 4648, section 4. */
static char *base64(const char *bytes, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = cs_calloc(len / 3 + 2, 4), *out = text;

	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t group = 0;

		for (size_t k = 0; k < 3; k++)
			group = group << 8 | (k < n ? (unsigned char)bytes[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			*out++ = k <= n ? digits[group >> (18 - 6 * k) & 63] : '=';
	}
	return text;
}

int scale_read_user_data(struct scale_program *program, struct cs_error *err)
{
	const char *path = program->cluster->servers.user_data_file;
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(USER_DATA_MAX);

	if (!path || program->user_data)
		return 0;
	if (cs_file_read(path, &text, err) < 0) {
		cs_error_prefix(err, "servers.user-data-file");
		if (err->code == CS_E_LIMIT)
			cs_error_advise(err, "Nova takes no more: let it fetch the rest");
		return err->code = CS_E_CONFIG;
	}
	program->user_data = base64(cs_strbuf_text(&text), text.len);
	return 0;
}

/* `take`: it is for sending. */
static int make_request(struct scale_program *program, bool take,
	struct cs_server_request *ret, struct cs_error *err)
{
	const struct cs_server_spec *spec = &program->cluster->servers;
	struct cs_fleet_address address;
	struct cs_nova_size size;

	if (scale_cloud(program, err) < 0 || scale_read_user_data(program, err) < 0 ||
		cs_fleet_image_id(program->fleet, &ret->image_id, err) < 0 ||
		cs_fleet_flavor(program->fleet, &ret->flavor_id, &size, err) < 0 ||
		cs_fleet_group_id(program->fleet, &ret->group_id, err) < 0 ||
		cs_fleet_network_ids(program->fleet, &ret->network_ids, err) < 0 ||
		cs_fleet_address(program->fleet, take, &address, err) < 0)
		return err->code;
	ret->address = address.address;
	ret->port_id = address.port_id;
	ret->key_name = spec->key_name;
	ret->config_drive = spec->config_drive;
	ret->volume = spec->boot_volume.size_gib > 0 ? &spec->boot_volume : NULL;
	ret->security_groups = &spec->security_groups;
	ret->user_data_base64 = program->user_data;
	ret->mark_cluster = program->cluster->name;
	return 0;
}

static int port_prepare(void *context, int64_t servers, struct cs_error *err)
{
	struct scale_program *program = context;
	struct cs_server_request request;
	const char *floating;

	if (scale_check_commands(program, err) < 0 || scale_cloud(program, err) < 0)
		return err->code;
	cs_fleet_look_ahead(program->fleet);
	if (make_request(program, false, &request, err) < 0 ||
		cs_fleet_floating_network_id(program->fleet, &floating, err) < 0)
		return err->code;
	if (cs_fleet_has_room(program->fleet, servers, err) < 0)
		return cs_error_advise(
			err, "have the project's quota raised, or lower size.max");
	return 0;
}

/* A create or delete in flight. */
struct scale_request {
	char *key; /* the op of a create, the id of a server to delete */
	struct cs_nova_call *call;
	struct cs_error refused; /* when it was not sent */
	struct scale_request *next;
};

static struct scale_request *add_request(struct scale_program *program, const char *key)
{
	struct scale_request *request = cs_calloc(1, sizeof *request);

	request->key = cs_strdup(key);
	request->next = program->requests;
	program->requests = request;
	return request;
}

/* What was begun with this key; owned by the caller. NULL, and why, when it was refused.
 */
static struct cs_nova_call *take_call(
	struct scale_program *program, const char *key, struct cs_error *err)
{
	struct scale_request **place = &program->requests;

	while (strcmp((*place)->key, key) != 0)
		place = &(*place)->next;
	struct scale_request *request = *place;
	struct cs_nova_call *call = request->call;
	*place = request->next;
	*err = request->refused;
	free(request->key);
	free(request);
	return call;
}

static void port_begin_create(
	void *context, const char *name, const char *op, const char *zone)
{
	struct scale_program *program = context;
	struct cs_server_request request = {.name = name, .mark_op = op, .zone = zone};
	struct scale_request *sent = add_request(program, op);
	struct cs_error *err = &sent->refused;

	if (make_request(program, true, &request, err) == 0 &&
		cs_nova_create_check(cs_fleet_nova(program->fleet), &request, err) == 0)
		sent->call =
			cs_nova_create_begin(cs_fleet_nova(program->fleet), &request);
}

static int port_create(void *context, const char *name, const char *op, const char *zone,
	char **ret_id, struct cs_error *err)
{
	struct cs_nova_call *call = take_call(context, op, err);

	(void)name;
	(void)zone;
	return call ? cs_nova_create_end(call, ret_id, err) : err->code;
}

static void port_begin_remove(void *context, const char *id)
{
	struct scale_program *program = context;
	struct scale_request *sent = add_request(program, id);

	if (scale_cloud(program, &sent->refused) == 0)
		sent->call = cs_nova_delete_begin(cs_fleet_nova(program->fleet), id);
}

static int port_remove(void *context, const char *id, struct cs_error *err)
{
	struct cs_nova_call *call = take_call(context, id, err);

	return call ? cs_nova_delete_end(call, err) : err->code;
}

static int port_set_metadata(void *context, const char *id, const char *key,
	const char *value, struct cs_error *err)
{
	struct scale_program *program = context;

	if (scale_cloud(program, err) < 0)
		return err->code;
	struct cs_nova *nova = cs_fleet_nova(program->fleet);
	return value ? cs_nova_metadata_set(nova, id, key, value, err)
		     : cs_nova_metadata_unset(nova, id, key, err);
}

static int port_add_tag(
	void *context, const char *id, const char *tag, struct cs_error *err)
{
	struct scale_program *program = context;

	if (scale_cloud(program, err) < 0)
		return err->code;
	return cs_nova_tag_add(cs_fleet_nova(program->fleet), id, tag, err);
}

static int port_volume_goes(
	void *context, const char *id, const char *volume_id, struct cs_error *err)
{
	struct scale_program *program = context;

	if (scale_cloud(program, err) < 0)
		return err->code;
	return cs_nova_volume_goes(cs_fleet_nova(program->fleet), id, volume_id, err);
}

/* Instances and load balancers. */

static int port_probe(void *context, const char *address, struct cs_error *err)
{
	struct scale_program *program = context;
	const struct cs_haproxy_spec *haproxy = &program->cluster->haproxy;
	CS_AUTO_FREE char *endpoint = cs_haproxy_endpoint(address, haproxy->port);
	struct cs_probe probe = {.endpoint = endpoint, .spec = &haproxy->probe};

	if (!endpoint)
		return cs_error_set(err, CS_E_CONNECT, "'%s' is no address", address);
	cs_probe(&probe, 1, PROBE_MS);
	if (probe.good)
		return 0;
	return cs_error_set(err, CS_E_CONNECT, "%s port %lld: %s", address,
		(long long)haproxy->port, probe.why);
}

/* 1: drains are not over. Everything else has not brought it in line; and sudo and ssh
 * have exit statuses of their own, so that 0 and 1 count only with a report. */
static int read_report(
	struct cs_proc_result *result, struct cs_sync_report *ret, struct cs_error *err)
{
	struct cs_error parse = {0};

	if (result->exit_status <= 1 && cs_sync_report_parse(cs_strbuf_text(&result->out),
						result->out.len, ret, &parse) == 0)
		return 0;
	bool silent = result->err.len == 0 && (parse.code || result->out.len == 0);
	cs_error_set(err, CS_E_REMOTE, "its sync ended with %d: %s", result->exit_status,
		!silent	     ? cs_lb_last_words(result)
		: parse.code ? parse.message
			     : "it said nothing");
	err->remote_status = result->exit_status;
	return err->code;
}

static int port_sync(void *context, const struct cs_load_balancer *lb,
	struct cs_sync_report *ret, struct cs_error *err)
{
	struct cs_proc_result result;
	int rc = cs_proc_run(lb->sync.items, cs_deadline_in(SYNC_MS), &result, err);

	(void)context;
	if (rc == 0)
		rc = read_report(&result, ret, err);
	cs_proc_result_done(&result);
	return rc == 0 ? 0 : cs_lb_advise(&lb->sync, err);
}

static void port_evidence(void *context, struct cs_plan_evidence *ret)
{
	scale_find_evidence(context, ret);
}

static void port_now(void *context, struct cs_stamp *ret)
{
	(void)context;
	cs_stamp_now(ret);
}

static void port_sleep(void *context, int64_t ms)
{
	(void)context;
	cs_deadline_sleep(cs_deadline_in(ms), ms);
}

static void port_report(void *context, int priority, const char *text)
{
	scale_say(context, priority, "%s", text);
}

static void port_observed(
	void *context, const struct cs_fleet_view *view, const struct cs_journal *journal)
{
	scale_show_progress(context, view, journal);
}

void scale_ports(struct scale_program *program, struct cs_scale_ports *ret)
{
	*ret = (struct cs_scale_ports){.context = program,
		.load_journal = port_load,
		.append = port_append,
		.history = port_history,
		.samples = port_samples,
		.look = port_look,
		.show = port_show,
		.prepare = port_prepare,
		.create = port_create,
		.remove = port_remove,
		.begin_create = port_begin_create,
		.begin_remove = port_begin_remove,
		.set_metadata = port_set_metadata,
		.add_tag = port_add_tag,
		.settle = scale_settle_floating,
		.volume_goes = port_volume_goes,
		.probe = port_probe,
		.sync = port_sync,
		.evidence = port_evidence,
		.now = port_now,
		.sleep = port_sleep,
		.report = port_report,
		.observed = port_observed};
}
