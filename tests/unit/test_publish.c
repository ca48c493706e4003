/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A pass against a model of the world in memory. What has to hold is looked at after
 * every step was failed once, and after the process died at every step once. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/stamp.h"
#include "domain/publish.h"
#include "domain/publish_record.h"

#define SERVERS_MAX 8
#define FILES_MAX 8
#define STATS "/stats"
#define MASTER "/master"
#define CONFIG "/haproxy.cfg"
#define FAILED CONFIG ".failed"
#define TEMPLATE "/template"
#define RECORD "/applied"
#define BACKUP "/backup"
#define STATE "/state"
#define HEAD "global\nbackend web\n    # clusterscale: servers web\n"

/* A server in a worker of the model. */
struct fake_server {
	char name[32], endpoint[32], status[16];
	int sessions;
};

struct fake_worker {
	int pid; /* 0: none */
	struct fake_server servers[SERVERS_MAX];
	size_t n;
};

struct fake_file {
	char path[64];
	char text[4096];
};

/* A server of the model's cloud; `draining` NULL: not marked. */
struct fake_nova {
	const char *id, *name, *address, *draining;
};

struct fake {
	struct fake_nova nova[SERVERS_MAX];
	size_t n_nova;
	bool port_closed;
	struct fake_file files[FILES_MAX];
	size_t n_files;
	struct fake_worker current, old;
	char loaded[4096]; /* the text that `current` runs with */
	char staged[4096];
	char state_loaded[4096];
	bool reload_fails, reload_loses_servers, refuses_to_add;
	bool rejects;	    /* every file, when it is checked */
	bool old_ends;	    /* while it is asked */
	bool old_is_silent; /* and ends, */
	bool old_sleeps;    /* and does not */
	int old_asked;
	const char *reloads_before; /* the next order to a server that begins so */
	bool allow_empty;
	const char *version;
	char added[4096], told[4096]; /* `add server`, and all that is silent */
	int failed, reloads, writes, next_pid;
	int foreign;	   /* a worker that the master does not have answers instead */
	bool foreign_ends; /* after its first answer */

	int step, fail_at, dead_from; /* 0: never */
	char said[4096];
};

/* Counts a step; true when it is the one that goes wrong. */
static bool goes_wrong(struct fake *fake, struct cs_error *err)
{
	fake->step++;
	if (fake->step != fake->fail_at &&
		(fake->dead_from == 0 || fake->step < fake->dead_from))
		return false;
	cs_error_set(err, CS_E_IO, "step %d went wrong", fake->step);
	return true;
}

static char *file_text(struct fake *fake, const char *path)
{
	for (size_t i = 0; i < fake->n_files; i++) {
		if (strcmp(fake->files[i].path, path) == 0)
			return fake->files[i].text;
	}
	return NULL;
}

static void remove_file(struct fake *fake, const char *path)
{
	for (size_t i = 0; i < fake->n_files; i++) {
		if (strcmp(fake->files[i].path, path) == 0)
			fake->files[i] = fake->files[--fake->n_files];
	}
}

static void put_file(struct fake *fake, const char *path, const char *text)
{
	char *old = file_text(fake, path);

	assert_true(strlen(text) < sizeof fake->files[0].text);
	if (!old) {
		assert_true(fake->n_files < FILES_MAX);
		snprintf(fake->files[fake->n_files].path, sizeof fake->files[0].path,
			"%s", path);
		old = fake->files[fake->n_files++].text;
	}
	strcpy(old, text);
}

static struct fake_server *find(struct fake_worker *worker, const char *name)
{
	for (size_t i = 0; i < worker->n; i++) {
		if (strcmp(worker->servers[i].name, name) == 0)
			return &worker->servers[i];
	}
	return NULL;
}

/* What HAProxy does with the lines of a file. */
static void load(struct fake *fake)
{
	struct fake_worker worker = {.pid = ++fake->next_pid};
	const char *text = file_text(fake, CONFIG);

	while ((text = strstr(text, "server ")) && !fake->reload_loses_servers) {
		struct fake_server *server = &worker.servers[worker.n];

		if (sscanf(text, "server %31s %31s", server->name, server->endpoint) ==
				2 &&
			strchr(server->endpoint, ':')) {
			strcpy(server->status, "UP");
			worker.n++;
		}
		text += 7;
	}
	fake->old = fake->current;
	fake->current = worker;
	strcpy(fake->loaded, file_text(fake, CONFIG));
	if (file_text(fake, STATE))
		strcpy(fake->state_loaded, file_text(fake, STATE));
	fake->reloads++;
	fake->failed = 0;
}

static void show_stat(const struct fake_worker *worker, struct cs_strbuf *ret)
{
	cs_strbuf_add(ret, "# pxname,svname,qcur,scur,status,type,addr,\n");
	for (size_t i = 0; i < worker->n; i++)
		cs_strbuf_addf(ret, "web,%s,0,%d,%s,2,%s,\n", worker->servers[i].name,
			worker->servers[i].sessions, worker->servers[i].status,
			worker->servers[i].endpoint);
}

static void show_state(const struct fake_worker *worker, struct cs_strbuf *ret)
{
	cs_strbuf_add(ret, "1\n# be_id\n");
	for (size_t i = 0; i < worker->n; i++) {
		const char *endpoint = worker->servers[i].endpoint;
		int len = (int)strcspn(endpoint, ":");

		cs_strbuf_addf(ret,
			"3 web 1 %s %.*s 2 0 1 1 1 6 3 4 6 0 0 0 - %s - 0 0 - - 0\n",
			worker->servers[i].name, len, endpoint, endpoint + len + 1);
	}
}

/* The model's health check is at once. */
static void add_server(struct fake *fake, const char *command, struct cs_strbuf *ret)
{
	struct fake_server *server = &fake->current.servers[fake->current.n];

	snprintf(fake->added + strlen(fake->added),
		sizeof fake->added - strlen(fake->added), "%s\n", command);
	if (fake->refuses_to_add) {
		cs_strbuf_add(ret, "'check' option is not accepted for dynamic server\n");
		return;
	}
	assert_int_equal(sscanf(command, "add server web/%31s %31s", server->name,
				 server->endpoint),
		2);
	assert_null(find(&fake->current, server->name));
	strcpy(server->status, "UP");
	fake->current.n++;
	cs_strbuf_add(ret, "New server registered.\n");
}

/* Commands that say nothing when they worked. */
static void obey(struct fake *fake, const char *command, struct cs_strbuf *ret)
{
	const char *target = strstr(command, " web/");
	char name[32], state[16];
	struct fake_server *server = NULL;

	if (strncmp(command, "add server ", 11) == 0) {
		add_server(fake, command, ret);
		return;
	}
	if (fake->reloads_before && strncmp(command, fake->reloads_before,
					    strlen(fake->reloads_before)) == 0) {
		fake->reloads_before = NULL;
		load(fake);
	}
	if (target && sscanf(target, " web/%31s", name) == 1)
		server = find(&fake->current, name);
	if (!server) {
		cs_strbuf_add(ret, "No such server.\n");
		return;
	}
	snprintf(fake->told + strlen(fake->told), sizeof fake->told - strlen(fake->told),
		"%s\n", command);
	if (strncmp(command, "del server", 10) == 0) {
		assert_string_equal(fake->version, "3.0.0");
		cs_strbuf_add(ret, "Server deleted.\n");
		*server = fake->current.servers[--fake->current.n];
	} else if (sscanf(command, "%*s server %*s state %15s", state) == 1) {
		strcpy(server->status, strcmp(state, "drain") == 0   ? "DRAIN"
				       : strcmp(state, "maint") == 0 ? "MAINT"
								     : "UP");
	} else if (strncmp(command, "shutdown", 8) == 0) {
		server->sessions = 0;
	}
}

/* A line may hold several. */
static void obey_all(struct fake *fake, const char *line, struct cs_strbuf *ret)
{
	CS_AUTO_FREE char *copy = cs_strdup(line);
	char *save = NULL;

	for (char *command = strtok_r(copy, ";", &save); command;
		command = strtok_r(NULL, ";", &save)) {
		command += strspn(command, " ");
		if (strncmp(command, "wait ", 5) != 0)
			obey(fake, command, ret);
		cs_strbuf_add(ret, "\n");
	}
}

static void answer(
	struct fake *fake, const char *path, const char *command, struct cs_strbuf *ret)
{
	if (strcmp(path, MASTER) == 0 && strcmp(command, "reload") == 0) {
		if (fake->reload_fails)
			fake->failed++;
		else
			load(fake);
	} else if (strcmp(command, "show proc") == 0) {
		cs_strbuf_addf(ret,
			"#<PID>\n1 master 0 [failed: %d]\n# workers\n%d worker\n",
			fake->failed, fake->current.pid);
		if (fake->old.pid)
			cs_strbuf_addf(ret, "# old workers\n%d worker\n", fake->old.pid);
	} else if (strncmp(command, "@!", 2) == 0 && fake->old.pid == 0) {
		cs_strbuf_add(ret, "Can't find the target PID matching the prefix\n");
	} else if (strncmp(command, "@!", 2) == 0 && fake->old_ends) {
		fake->old.pid = 0;
	} else if (strncmp(command, "@!", 2) == 0) {
		show_stat(&fake->old, ret);
	} else if (strcmp(command, "show stat") == 0) {
		show_stat(&fake->current, ret);
	} else if (strcmp(command, "show info") == 0) {
		cs_strbuf_addf(ret, "Version: %s\nPid: %d\n", fake->version,
			fake->foreign ? fake->foreign : fake->current.pid);
		if (fake->foreign_ends)
			fake->foreign = 0;
	} else if (strcmp(command, "show servers state") == 0) {
		show_state(&fake->current, ret);
	} else {
		obey_all(fake, command, ret);
	}
}

static int port_list(void *context, const struct cs_cluster *cluster,
	struct cs_fleet_view *ret, struct cs_error *err)
{
	struct fake *fake = context;

	if (goes_wrong(fake, err))
		return err->code;
	*ret = (struct cs_fleet_view){.list = {.taken_wall_ms = 77, .n = fake->n_nova}};
	ret->list.servers = cs_calloc(fake->n_nova + 1, sizeof *ret->list.servers);
	for (size_t i = 0; i < fake->n_nova; i++) {
		const struct fake_nova *nova = &fake->nova[i];
		struct cs_server *server = &ret->list.servers[i];

		server->id = cs_strdup(nova->id);
		server->name = cs_strdup(nova->name);
		server->status = cs_strdup("ACTIVE");
		server->image_id = cs_strdup("");
		server->flavor = cs_strdup("");
		server->created_wall_ms = (int64_t)i;
		server->mark_cluster = cs_strdup("web");
		server->mark_draining = nova->draining ? cs_strdup(nova->draining) : NULL;
		server->addresses = cs_calloc(1, sizeof *server->addresses);
		server->n_addresses = 1;
		server->addresses[0].network = cs_strdup("private");
		server->addresses[0].ip = cs_strdup(nova->address);
		server->addresses[0].version = 4;
	}
	cs_members_select(&ret->list, cluster, NULL, NULL, &ret->members);
	return 0;
}

static void port_probe(void *context, struct cs_probe *probes, size_t n)
{
	const struct fake *fake = context;

	for (size_t i = 0; i < n; i++) {
		probes[i].good = !fake->port_closed;
		snprintf(probes[i].why, sizeof probes[i].why, "Connection refused");
	}
}

static int port_read(
	void *context, const char *path, struct cs_strbuf *ret, struct cs_error *err)
{
	struct fake *fake = context;
	const char *text = file_text(fake, path);

	if (goes_wrong(fake, err))
		return err->code;
	if (!text)
		return cs_error_set(err, CS_E_NOT_FOUND, "no %s", path);
	cs_strbuf_add(ret, text);
	return 0;
}

static int port_write(void *context, const char *path, const struct cs_strbuf *text,
	mode_t mode, struct cs_error *err)
{
	struct fake *fake = context;

	(void)mode;
	if (goes_wrong(fake, err))
		return err->code;
	put_file(fake, path, cs_strbuf_text(text));
	fake->writes++;
	return 0;
}

static int port_stage(
	void *context, const struct cs_strbuf *text, mode_t mode, struct cs_error *err)
{
	struct fake *fake = context;

	(void)mode;
	if (goes_wrong(fake, err))
		return err->code;
	snprintf(fake->staged, sizeof fake->staged, "%s", cs_strbuf_text(text));
	return 0;
}

static int port_commit(void *context, struct cs_error *err)
{
	struct fake *fake = context;

	if (goes_wrong(fake, err))
		return err->code;
	put_file(fake, CONFIG, fake->staged);
	fake->writes++;
	return 0;
}

static int port_validate(void *context, const struct cs_strbuf *text,
	const struct cs_publish_meanwhile *meanwhile, struct cs_error *err)
{
	struct fake *fake = context;

	if (goes_wrong(fake, err))
		return err->code;
	if (meanwhile)
		meanwhile->call(meanwhile->context);
	if (fake->rejects || !strstr(cs_strbuf_text(text), "backend"))
		return cs_error_set(err, CS_E_CONFIG, "no backend");
	return 0;
}

static int port_diff(void *context, const struct cs_strbuf *text, struct cs_strbuf *ret,
	struct cs_error *err)
{
	struct fake *fake = context;

	if (goes_wrong(fake, err))
		return err->code;
	if (strcmp(cs_strbuf_text(text), file_text(fake, CONFIG)) != 0)
		cs_strbuf_add(ret, "different\n");
	return 0;
}

static int port_ask(void *context, const char *socket_path, const char *command,
	struct cs_strbuf *ret, struct cs_error *err)
{
	struct fake *fake = context;

	if (goes_wrong(fake, err))
		return err->code;
	if (fake->old_is_silent && fake->old.pid && strncmp(command, "@!", 2) == 0) {
		fake->old_asked++;
		fake->old.pid = fake->old_sleeps ? fake->old.pid : 0;
		return cs_error_set(err, CS_E_TIMEOUT, "no whole answer in time");
	}
	answer(fake, socket_path, command, ret);
	return 0;
}

static int port_run(void *context, const struct cs_strings *argv, struct cs_error *err)
{
	(void)argv;
	if (goes_wrong(context, err))
		return err->code;
	load(context);
	return 0;
}

static bool port_pause(void *context, int64_t ms)
{
	const struct fake *fake = context;

	(void)ms;
	return fake->dead_from == 0 || fake->step < fake->dead_from;
}

static void port_say(void *context, int priority, const char *text)
{
	struct fake *fake = context;
	size_t len = strlen(fake->said);

	snprintf(fake->said + len, sizeof fake->said - len, "%d %s\n", priority, text);
}

static char backend[] = "web", options[] = "check", name[] = "web";
static char template_path[] = TEMPLATE, state_file[] = STATE, stats[] = STATS,
	    master[] = MASTER;
static char config_path[] = CONFIG, record_path[] = RECORD, backup_path[] = BACKUP;
static struct cs_cluster cluster = {.name = name,
	.haproxy = {.present = true,
		.template_path = template_path,
		.backend = backend,
		.port = 80,
		.options = options,
		.master_socket = master,
		.stats_socket = stats,
		.state_file = state_file,
		.max_shrink_permille = 500,
		.drain_timeout_ms = 300000}};

static int run(struct fake *fake, struct cs_publish_report *report, struct cs_error *err)
{
	const struct cs_cluster *clusters[] = {&cluster};
	const struct cs_publish_site site = {.clusters = clusters,
		.n_clusters = 1,
		.allow_empty = fake->allow_empty,
		.config_path = config_path,
		.record_path = record_path,
		.backup_path = backup_path,
		.lock = CS_LOCK_NONE};
	const struct cs_publish_ports ports = {.context = fake,
		.list = port_list,
		.probe = port_probe,
		.read = port_read,
		.write = port_write,
		.stage = port_stage,
		.commit = port_commit,
		.validate = port_validate,
		.diff = port_diff,
		.ask = port_ask,
		.run = port_run,
		.pause = port_pause,
		.say = port_say};

	*report = (struct cs_publish_report){0};
	*err = (struct cs_error){0};
	fake->said[0] = '\0';
	fake->step = 0;
	return cs_publish_run(&site, &ports, false, report, err);
}

static char *joined(const struct cs_publish_report *report)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(4096);

	cs_strbuf_add(&text, "serving");
	for (size_t i = 0; i < report->serving.n; i++)
		cs_strbuf_addf(&text, " %s", report->serving.items[i]);
	cs_strbuf_add(&text, ", draining");
	for (size_t i = 0; i < report->n_draining; i++)
		cs_strbuf_addf(&text, " %s:%d", report->draining[i].id,
			(int)report->draining[i].sessions);
	cs_strbuf_add(&text, ", drained");
	for (size_t i = 0; i < report->drained.n; i++)
		cs_strbuf_addf(&text, " %s", report->drained.items[i]);
	return cs_strbuf_take(&text);
}

/* One pass in which nothing goes wrong. */
static void assert_pass(struct fake *fake, const char *expected)
{
	CS_CLEANUP(cs_publish_report_done) struct cs_publish_report report;
	struct cs_error err;

	fake->fail_at = fake->dead_from = 0;
	int r = run(fake, &report, &err);
	assert_string_equal(err.message, "");
	assert_int_equal(r, 0);
	CS_AUTO_FREE char *text = joined(&report);
	assert_string_equal(text, expected);
	assert_int_equal(report.list_taken_wall_ms, 77);
}

static void assert_running_is_the_file(struct fake *fake)
{
	struct fake_worker *current = &fake->current;

	if (strcmp(fake->version, "2.4.0") == 0) {
		assert_string_equal(fake->loaded, file_text(fake, CONFIG));
		return;
	}
	for (size_t i = 0; i < current->n; i++) {
		CS_AUTO_FREE char *line = cs_asprintf("server %s %s check\n",
			current->servers[i].name, current->servers[i].endpoint);
		if (!strstr(file_text(fake, CONFIG), line) &&
			strcmp(current->servers[i].status, "MAINT") != 0)
			fail_msg("%s serves without a line", current->servers[i].name);
	}
}

/* "id1" and "id2" are published; "id3" is new and "id2" marked, with one session on it
 * that `sessions` says. */
static void set_up_version(struct fake *fake, int sessions, const char *version)
{
	*fake = (struct fake){.next_pid = 100,
		.version = version,
		.n_nova = 2,
		.nova = {{"id1", "web1", "10.0.0.1", NULL},
			{"id2", "web2", "10.0.0.2", NULL}}};
	put_file(fake, TEMPLATE, HEAD);
	put_file(fake, CONFIG, HEAD);
	load(fake);
	fake->old.pid = 0;
	assert_pass(fake, "serving id1 id2, draining, drained");
	fake->old.pid = 0;
	fake->nova[2] = (struct fake_nova){"id3", "web3", "10.0.0.3", NULL};
	fake->n_nova = 3;
	fake->nova[1].draining = "99999999999999"; /* far from overdue */
	find(&fake->current, "web2")->sessions = sessions;
	fake->reloads = 0;
}

/* One whose every change is a reload. */
static void set_up(struct fake *fake, int sessions)
{
	set_up_version(fake, sessions, "2.4.0");
}

#define ROW(n) "    server web" #n " 10.0.0." #n ":80 check\n"

static void test_one_comes_and_one_goes(void **state)
{
	struct fake fake;

	(void)state;
	set_up(&fake, 0);
	assert_pass(&fake, "serving id1 id3, draining, drained id2");
	assert_string_equal(file_text(&fake, CONFIG), HEAD ROW(1) ROW(3));
	assert_string_equal(file_text(&fake, BACKUP), HEAD ROW(1) ROW(2));
	assert_int_equal(fake.reloads, 1);
	/* the worker that this reload made an old one keeps away from it */
	assert_string_equal(find(&fake.old, "web2")->status, "MAINT");
	assert_null(strstr(file_text(&fake, STATE), "web2"));
	int writes = fake.writes;
	assert_pass(&fake, "serving id1 id3, draining, drained id2");
	assert_int_equal(fake.reloads, 1);
	assert_int_equal(fake.writes, writes);
}

/* The gate, word for word: nothing is sent before HAProxy's own check was good. */
static void test_a_change_of_servers_is_no_reload(void **state)
{
	struct fake fake;

	(void)state;
	set_up_version(&fake, 0, "2.6.12");
	assert_pass(&fake, "serving id1 id3, draining, drained id2");
	assert_int_equal(fake.reloads, 0);
	assert_string_equal(fake.added, "add server web/web3 10.0.0.3:80 check\n");
	assert_string_equal(fake.told, "set server web/web2 state drain\n"
				       "set server web/web2 state maint\n"
				       "set server web/web3 weight 0\n"
				       "enable health web/web3\n"
				       "enable server web/web3\n"
				       "set server web/web3 health down\n"
				       "set server web/web3 weight 100%\n");
	assert_string_equal(file_text(&fake, CONFIG), HEAD ROW(1) ROW(3));
	assert_null(strstr(file_text(&fake, STATE), "web2"));
	int writes = fake.writes;
	assert_pass(&fake, "serving id1 id3, draining, drained id2");
	assert_int_equal(fake.reloads, 0);
	assert_int_equal(fake.writes, writes);
}

static void test_a_refused_server_is_a_reload(void **state)
{
	struct fake fake;

	(void)state;
	set_up_version(&fake, 0, "2.6.12");
	fake.refuses_to_add = true;
	assert_pass(&fake, "serving id1 id3, draining, drained id2");
	assert_int_equal(fake.reloads, 1);
	assert_non_null(strstr(fake.said, "4 HAProxy does not add a server to what runs: "
					  "''check' option is not accepted for dynamic "
					  "server'; reloading instead"));
}

static void test_sessions_keep_a_server_in_the_file(void **state)
{
	struct fake fake;

	(void)state;
	set_up(&fake, 1);
	assert_pass(&fake, "serving id1 id3, draining id2:1, drained");
	assert_string_equal(file_text(&fake, CONFIG), HEAD ROW(1) ROW(2) ROW(3));
	assert_string_equal(find(&fake.current, "web2")->status, "DRAIN");
	/* now they are in the old worker alone */
	assert_pass(&fake, "serving id1 id3, draining id2:1, drained");
	find(&fake.old, "web2")->sessions = 0;
	assert_pass(&fake, "serving id1 id3, draining, drained id2");
}

/* Where cookies lead clients to a drained server, only maintenance keeps them away, and
 * an old worker cannot be told of it. */
static void test_sticky_clients_of_an_old_worker_keep_a_server(void **state)
{
	struct fake fake;

	(void)state;
	set_up(&fake, 1);
	put_file(&fake, TEMPLATE,
		"global\nbackend web\n cookie A\n    # clusterscale: servers web\n");
	assert_pass(&fake, "serving id1 id3, draining id2:1, drained");
	find(&fake.old, "web2")->sessions = 0;
	assert_string_equal(find(&fake.old, "web2")->status, "DRAIN");
	assert_pass(&fake, "serving id1 id3, draining id2:0, drained");
	fake.old.pid = 0;
	assert_pass(&fake, "serving id1 id3, draining, drained id2");
}

static void test_a_worker_that_was_never_told_keeps_it_too(void **state)
{
	struct fake fake;

	(void)state;
	set_up(&fake, 0);
	fake.nova[1].draining = NULL;
	load(&fake);
	fake.nova[1].draining = "99999999999999";
	assert_string_equal(find(&fake.old, "web2")->status, "UP");
	assert_pass(&fake, "serving id1 id3, draining id2:0, drained");
	fake.old_ends = true;
	assert_pass(&fake, "serving id1 id3, draining, drained id2");
}

static void test_a_worker_that_ends_without_an_answer_keeps_nothing(void **state)
{
	struct fake fake;

	(void)state;
	set_up(&fake, 0);
	load(&fake);
	fake.old_is_silent = true;
	assert_pass(&fake, "serving id1 id3, draining, drained id2");
}

static void test_a_worker_that_sleeps_keeps_it_until_it_has_ended(void **state)
{
	struct fake fake;

	(void)state;
	set_up(&fake, 0);
	load(&fake);
	fake.old_is_silent = fake.old_sleeps = true;
	assert_pass(&fake, "serving id1 id3, draining id2:0, drained");
	fake.old_asked = 0;
	assert_pass(&fake, "serving id1 id3, draining id2:0, drained");
	assert_int_equal(fake.old_asked, 0);
	load(&fake); /* frees the master's connections */
	assert_pass(&fake, "serving id1 id3, draining id2:0, drained");
	assert_int_equal(fake.old_asked, 2);
	fake.old.pid = 0;
	assert_pass(&fake, "serving id1 id3, draining, drained id2");
}

static void test_only_our_own_drain_is_undone(void **state)
{
	struct fake fake;

	(void)state;
	set_up(&fake, 1);
	assert_pass(&fake, "serving id1 id3, draining id2:1, drained");
	fake.nova[1].draining = NULL;
	assert_pass(&fake, "serving id1 id2 id3, draining, drained");
	strcpy(find(&fake.current, "web2")->status, "MAINT");
	assert_pass(&fake, "serving id1 id3, draining, drained");
	assert_string_equal(find(&fake.current, "web2")->status, "MAINT");
}

/* It was seen, and is gone when it is to be drained or to be set back to ready. */
static void test_a_server_may_go_meanwhile(void **state)
{
	struct fake fake;

	(void)state;
	set_up(&fake, 0);
	put_file(&fake, CONFIG, HEAD ROW(1));
	fake.reloads_before = "set server";
	assert_pass(&fake, "serving id1 id3, draining, drained id2");
	set_up(&fake, 1);
	assert_pass(&fake, "serving id1 id3, draining id2:1, drained");
	put_file(&fake, CONFIG, HEAD ROW(1) ROW(3));
	fake.nova[1].draining = NULL;
	fake.reloads_before = "set server";
	assert_pass(&fake, "serving id1 id3, draining, drained");
	assert_pass(&fake, "serving id1 id2 id3, draining, drained");
}

static void test_overdue_sessions_are_shut(void **state)
{
	struct fake fake;

	(void)state;
	set_up(&fake, 4);
	fake.nova[1].draining = "1000000000000";
	assert_pass(&fake, "serving id1 id3, draining, drained id2");
	assert_non_null(strstr(fake.said, "4 server 'web2': drain-timeout of 300 s has "
					  "passed; sessions shut: 4"));
	assert_int_equal(find(&fake.old, "web2")->sessions, 0);
}

/* Seen, set to maintenance, and gone when its sessions are to be shut. */
static void test_an_overdue_server_may_go_meanwhile(void **state)
{
	struct fake fake;

	(void)state;
	set_up(&fake, 4);
	fake.nova[1].draining = "1000000000000";
	put_file(&fake, CONFIG, HEAD ROW(1));
	fake.reloads_before = "shutdown";
	assert_pass(&fake, "serving id1 id3, draining, drained id2");
	assert_null(fake.reloads_before);
}

static void test_a_mark_without_a_time_shuts_nothing(void **state)
{
	struct fake fake;

	(void)state;
	set_up(&fake, 4);
	fake.nova[1].draining = "1";
	assert_pass(&fake, "serving id1 id3, draining id2:4, drained");
	assert_int_equal(find(&fake.old, "web2")->sessions, 4);
}

static void test_a_closed_port_is_left_out(void **state)
{
	struct fake fake;

	(void)state;
	set_up(&fake, 1);
	fake.port_closed = true;
	assert_pass(&fake, "serving id1, draining id2:1, drained");
	assert_string_equal(file_text(&fake, CONFIG), HEAD ROW(1) ROW(2));
	assert_int_equal(fake.reloads, 0);
}

/* Although nothing stands in its way any more, until its time or a person has come. */
static void assert_not_tried_again(struct fake *fake)
{
	CS_CLEANUP(cs_publish_report_done) struct cs_publish_report report;
	int reloads = fake->reloads;
	struct cs_error err;

	assert_int_equal(run(fake, &report, &err), CS_E_VERIFY);
	assert_non_null(strstr(err.message, " s ago and taken back (it is kept as " FAILED
					    "); it is tried again in "));
	assert_int_equal(fake->reloads, reloads);
	assert_string_equal(file_text(fake, CONFIG), HEAD ROW(1) ROW(2));
	remove_file(fake, FAILED);
}

static void assert_rolled_back(struct fake *fake, const char *message)
{
	CS_CLEANUP(cs_publish_report_done) struct cs_publish_report report;
	struct cs_error err;

	assert_int_equal(run(fake, &report, &err), CS_E_VERIFY);
	assert_string_equal(err.message, message);
	assert_string_equal(file_text(fake, CONFIG), HEAD ROW(1) ROW(2));
}

static void test_a_reload_that_fails_puts_the_file_back(void **state)
{
	struct fake fake;

	(void)state;
	set_up(&fake, 0);
	fake.reload_fails = true;
	assert_rolled_back(&fake,
		"the reload failed, the old worker still serves; HAProxy's log tells why "
		"(an "
		"address in use, a missing file?) (the file that failed is kept "
		"as " FAILED "); the old configuration is back in the "
		"file "
		"but HAProxy has not loaded it again (the reload failed, the old worker "
		"still "
		"serves; HAProxy's log tells why (an address in use, a missing file?))");
	assert_int_equal(fake.reloads, 0);
	assert_running_is_the_file(&fake);
	fake.reload_fails = false;
	assert_not_tried_again(&fake);
	assert_pass(&fake, "serving id1 id3, draining, drained id2");
}

static void test_a_reload_that_loses_servers_is_noticed(void **state)
{
	struct fake fake;

	(void)state;
	set_up(&fake, 0);
	fake.reload_loses_servers = true;
	assert_rolled_back(&fake, "the running HAProxy has no server 'web1' at "
				  "'10.0.0.1:80' in backend 'web' (the file that "
				  "failed is kept as " FAILED "); the "
				  "old configuration is back and loaded");
	fake.reload_loses_servers = false;
	assert_not_tried_again(&fake);
	assert_pass(&fake, "serving id1 id3, draining, drained id2");
}

/* An empty file would reload well, into a HAProxy that listens nowhere. */
static void test_what_haproxy_does_not_accept_is_not_put_back(void **state)
{
	CS_CLEANUP(cs_publish_report_done) struct cs_publish_report report;
	struct cs_error err;
	struct fake fake;

	(void)state;
	set_up(&fake, 0);
	put_file(&fake, CONFIG, "");
	fake.reload_loses_servers = true;
	assert_int_equal(run(&fake, &report, &err), CS_E_VERIFY);
	assert_non_null(strstr(err.message, "; the old configuration is not put back, as "
					    "it is no better (no backend)"));
	assert_string_equal(file_text(&fake, CONFIG), HEAD ROW(1) ROW(3));
	assert_int_equal(fake.reloads, 1);
}

/* A reload that was not made keeps no later one waiting. */
static void test_a_rejected_file_is_no_reload(void **state)
{
	CS_CLEANUP(cs_publish_report_done) struct cs_publish_report report;
	struct cs_error err;
	struct fake fake;

	(void)state;
	set_up(&fake, 0);
	cs_deadline_sleep(cs_deadline_in(1000),
		2); /* now is another time than that of the last reload */
	CS_AUTO_FREE char *reloaded =
		cs_strdup(strstr(file_text(&fake, RECORD), "\"reloaded\""));
	strchr(reloaded, '}')[1] = '\0';
	fake.rejects = true;
	assert_int_equal(run(&fake, &report, &err), CS_E_CONFIG);
	assert_non_null(strstr(file_text(&fake, RECORD), reloaded));
	assert_string_equal(file_text(&fake, CONFIG), HEAD ROW(1) ROW(2));
	assert_int_equal(fake.reloads, 0);
	fake.rejects = false;
	assert_pass(&fake, "serving id1 id3, draining, drained id2");
}

/* No server may be called drained that a worker has sessions on or could send to. */
static void assert_drained_is_true(
	struct fake *fake, const struct cs_publish_report *report)
{
	struct fake_server *there = find(&fake->current, "web2");
	struct fake_server *before = find(&fake->old, "web2");

	if (report->drained.n == 0)
		return;
	assert_true(!there || strcmp(there->status, "MAINT") == 0);
	assert_true(!fake->old.pid || !before ||
		    (before->sessions == 0 && strcmp(before->status, "UP") != 0));
}

/* Whatever fails, the file is what HAProxy runs, and the next pass gets there. */
static void fail_every_step(const char *version)
{
	int failures = 0, step = 0;

	for (bool more = true; more;) {
		CS_CLEANUP(cs_publish_report_done) struct cs_publish_report report;
		struct cs_error err;
		struct fake fake;

		set_up_version(&fake, 0, version);
		fake.fail_at = ++step;
		int r = run(&fake, &report, &err);
		more = fake.step >= step;
		failures += r < 0;
		assert_running_is_the_file(&fake);
		assert_drained_is_true(&fake, &report);
		assert_string_equal(find(&fake.current, "web1")->status, "UP");
		if (r < 0)
			assert_non_null(strstr(err.message, "went wrong"));
		/* Nobody is left in maintenance whose line could not be taken out. */
		if (strstr(file_text(&fake, CONFIG), ROW(2)))
			assert_string_not_equal(
				find(&fake.current, "web2")->status, "MAINT");
		assert_pass(&fake, "serving id1 id3, draining, drained id2");
		assert_string_equal(file_text(&fake, CONFIG), HEAD ROW(1) ROW(3));
	}
	assert_in_range(failures, 12, step);
}

static void test_every_step_may_fail(void **state)
{
	(void)state;
	fail_every_step("2.4.0");
	fail_every_step("2.6.12");
	fail_every_step("3.0.0");
}

/* Wherever it dies, the next pass gets there. */
static void die_at_every_step(const char *version)
{
	int step = 0;

	for (bool more = true; more;) {
		CS_CLEANUP(cs_publish_report_done) struct cs_publish_report report;
		struct cs_error err;
		struct fake fake;

		set_up_version(&fake, 0, version);
		fake.dead_from = ++step;
		more = run(&fake, &report, &err) < 0;
		assert_non_null(find(&fake.current, "web1"));
		assert_pass(&fake, "serving id1 id3, draining, drained id2");
		assert_running_is_the_file(&fake);
		assert_string_equal(file_text(&fake, CONFIG), HEAD ROW(1) ROW(3));
	}
	assert_in_range(step, 15, 100);
}

static void test_it_may_die_at_every_step(void **state)
{
	(void)state;
	die_at_every_step("2.4.0");
	die_at_every_step("2.6.12");
	die_at_every_step("3.0.0");
}

/* It died after a drain was begun, and the mark was taken back before the next pass. */
static void test_a_drain_of_a_dead_pass_is_undone(void **state)
{
	(void)state;
	for (int step = 1; step < 30; step++) {
		CS_CLEANUP(cs_publish_report_done) struct cs_publish_report report;
		struct cs_error err;
		struct fake fake;

		set_up(&fake, 1);
		fake.n_nova = 2;
		fake.dead_from = step;
		(void)!run(&fake, &report, &err);
		fake.nova[1].draining = NULL;
		assert_pass(&fake, "serving id1 id2, draining, drained");
	}
}

/* It died after a file was installed that differs in nothing that the sockets show. */
static void test_a_file_of_a_dead_pass_is_loaded(void **state)
{
	(void)state;
	for (int step = 1; step < 30; step++) {
		CS_CLEANUP(cs_publish_report_done) struct cs_publish_report report;
		struct cs_error err;
		struct fake fake;

		set_up(&fake, 0);
		fake.n_nova = 2;
		fake.nova[1].draining = NULL;
		put_file(&fake, TEMPLATE, "# new\n" HEAD);
		fake.dead_from = step;
		(void)!run(&fake, &report, &err);
		assert_pass(&fake, "serving id1 id2, draining, drained");
		assert_string_equal(fake.loaded, "# new\n" HEAD ROW(1) ROW(2));
	}
}

/* What it had put there is never mistaken for what HAProxy ran with before. */
static void test_a_bad_file_of_a_dead_pass_is_taken_back(void **state)
{
	(void)state;
	for (int step = 1; step < 60; step++) {
		CS_CLEANUP(cs_publish_report_done) struct cs_publish_report report;
		struct cs_error err;
		struct fake fake;

		set_up(&fake, 0);
		fake.n_nova = 2;
		fake.nova[1].draining = NULL;
		put_file(&fake, TEMPLATE, "# bad\n" HEAD);
		fake.reload_fails = true;
		fake.dead_from = step;
		(void)!run(&fake, &report, &err);
		fake.dead_from = 0;
		assert_int_equal(run(&fake, &report, &err), CS_E_VERIFY);
		assert_string_equal(file_text(&fake, CONFIG), HEAD ROW(1) ROW(2));
		assert_string_equal(file_text(&fake, BACKUP), HEAD ROW(1) ROW(2));
		assert_string_equal(
			file_text(&fake, FAILED), "# bad\n" HEAD ROW(1) ROW(2));
		assert_running_is_the_file(&fake);
	}
}

/* Servers that were removed stay in a worker for long; they are no reason to believe that
 * many others may go, nor a backend that could be emptied. */
static void test_remnants_do_not_count(void **state)
{
	CS_CLEANUP(cs_publish_report_done) struct cs_publish_report report;
	struct cs_error err;
	struct fake fake;

	(void)state;
	set_up_version(&fake, 0, "2.6.12");
	fake.nova[1].draining = NULL;
	assert_pass(&fake, "serving id1 id2 id3, draining, drained");
	for (int i = 0; i < 4; i++) {
		struct fake_server *server = &fake.current.servers[fake.current.n++];

		*server = (struct fake_server){
			.endpoint = "10.0.0.9:80", .status = "MAINT"};
		snprintf(server->name, sizeof server->name, "gone%d", i);
	}
	fake.n_nova = 1;
	assert_int_equal(run(&fake, &report, &err), CS_E_REFUSED);
	assert_string_equal(err.message,
		"cluster 'web': 2 of 3 servers would leave backend 'web' without a drain "
		"although HAProxy finds them UP, at most 1 may (max-shrink); such a list "
		"is not believed (to take servers out: nova_scale --delete)");
}

static void test_a_backend_of_remnants_is_empty(void **state)
{
	struct fake fake;

	(void)state;
	set_up_version(&fake, 0, "2.6.12");
	fake.n_nova = 2;
	fake.nova[0].draining = fake.nova[1].draining;
	fake.allow_empty = true;
	assert_pass(&fake, "serving, draining, drained id1 id2");
	fake.allow_empty = false;
	assert_pass(&fake, "serving, draining, drained id1 id2");
}

/* Where the marker becomes the whole section, or the defaults have a name, it is they
 * that make clients stick. */
static void assert_sticky(const char *template)
{
	struct fake fake;

	set_up(&fake, 1);
	put_file(&fake, TEMPLATE, template);
	assert_pass(&fake, "serving id1 id3, draining id2:1, drained");
	find(&fake.old, "web2")->sessions = 0;
	assert_string_equal(find(&fake.old, "web2")->status, "DRAIN");
	assert_pass(&fake, "serving id1 id3, draining id2:0, drained");
}

static void test_clients_stick_by_the_defaults(void **state)
{
	(void)state;
	assert_sticky("defaults\n cookie A insert\n# clusterscale: backend web\n");
	assert_sticky("defaults a\n cookie A insert\ndefaults b\nbackend web from a\n"
		      "# clusterscale: servers web\n");
	assert_sticky("backend web\n use-server web2 if { path /a }\n"
		      "# clusterscale: servers web\n");
}

/* The workers of another HAProxy say nothing of those that may send to a server; nor is
 * the current one known while a reload of somebody else is going on. */
static void test_the_master_of_another_haproxy_proves_nothing(void **state)
{
	struct fake fake;

	(void)state;
	set_up_version(&fake, 0, "2.6.12");
	fake.n_nova = 2;
	fake.foreign = 4711;
	assert_pass(&fake, "serving id1, draining id2:0, drained");
	assert_non_null(
		strstr(fake.said, "4 the process behind " STATS " (4711) is not the "
				  "worker of the master behind " MASTER " (102)"));
	fake.foreign = 0;
	assert_pass(&fake, "serving id1, draining, drained id2");
}

/* The reload that a dead pass ordered ends between the two questions. */
static void test_a_worker_that_has_just_been_replaced_is_asked_again(void **state)
{
	struct fake fake;

	(void)state;
	set_up_version(&fake, 0, "2.6.12");
	fake.n_nova = 2;
	fake.foreign = 4711;
	fake.foreign_ends = true;
	assert_pass(&fake, "serving id1, draining, drained id2");
	assert_null(strstr(fake.said, "is not the worker of the master"));
}

/* A pass put it into maintenance to take it out, and died of it or failed; then the cloud
 * lists the server again. */
static void come_back(int fail_at, int dead_from, const char *version)
{
	CS_CLEANUP(cs_publish_report_done) struct cs_publish_report report;
	struct cs_error err;
	struct fake fake;

	set_up_version(&fake, 0, version);
	fake.nova[1].draining = NULL;
	assert_pass(&fake, "serving id1 id2 id3, draining, drained");
	fake.n_nova = 2;
	fake.fail_at = fail_at;
	fake.dead_from = dead_from;
	(void)!run(&fake, &report, &err);
	fake.n_nova = 3;
	assert_pass(&fake, "serving id1 id2 id3, draining, drained");
}

static void test_a_server_that_comes_back_serves(void **state)
{
	(void)state;
	for (int step = 1; step < 40; step++) {
		come_back(step, 0, "2.4.0");
		come_back(step, 0, "2.6.12");
		come_back(0, step, "2.4.0");
		come_back(0, step, "2.6.12");
	}
}

/* What it was written for is over: a later reload, of somebody else, would find servers
 * drained or down that have long been serving. */
static void test_the_state_file_is_for_one_reload(void **state)
{
	struct fake fake;

	(void)state;
	set_up(&fake, 1);
	assert_pass(&fake, "serving id1 id3, draining id2:1, drained");
	assert_int_equal(fake.reloads, 1);
	assert_non_null(strstr(fake.state_loaded, " web2 10.0.0.2 "));
	assert_string_equal(file_text(&fake, STATE), "1\n");
	fake.version = "2.6.12";
	fake.nova[3] = (struct fake_nova){"id4", "web4", "10.0.0.4", NULL};
	fake.n_nova = 4;
	assert_pass(&fake, "serving id1 id3 id4, draining id2:1, drained");
	assert_int_equal(fake.reloads, 1);
	assert_string_equal(file_text(&fake, STATE), "1\n");
}

/* Clients that stuck to it have gone, while another drain begins. */
static void test_what_is_in_maintenance_leaves_without_a_reload(void **state)
{
	struct fake fake;

	(void)state;
	set_up_version(&fake, 0, "2.6.12");
	strcpy(find(&fake.current, "web2")->status, "MAINT");
	fake.nova[0].draining = fake.nova[1].draining;
	find(&fake.current, "web1")->sessions = 1;
	assert_pass(&fake, "serving id3, draining id1:1, drained id2");
	assert_int_equal(fake.reloads, 0);
}

/* The record was lost, and the names are made anew. */
static void test_an_old_worker_is_asked_by_address_too(void **state)
{
	struct fake fake;

	(void)state;
	set_up(&fake, 0);
	strcpy(find(&fake.current, "web2")->name, "web2-id2");
	find(&fake.current, "web2-id2")->sessions = 1;
	put_file(&fake, RECORD, "{\"applied\":\"\",\"servers\":[]}");
	assert_pass(&fake, "serving id1 id3, draining id2:1, drained");
	assert_string_equal(find(&fake.old, "web2-id2")->status, "UP");
	find(&fake.old, "web2-id2")->sessions = 0;
	assert_pass(&fake, "serving id1 id3, draining id2:0, drained");
	fake.old.pid = 0;
	assert_pass(&fake, "serving id1 id3, draining, drained id2");
}

/* The old file is back, and the server that it has serves as before. */
static void test_a_failed_reload_keeps_who_was_to_leave(void **state)
{
	CS_CLEANUP(cs_publish_report_done) struct cs_publish_report report;
	struct cs_error err;
	struct fake fake;

	(void)state;
	set_up(&fake, 0);
	fake.nova[1] = fake.nova[2];
	fake.n_nova = 2;
	fake.reload_fails = true;
	assert_int_equal(run(&fake, &report, &err), CS_E_VERIFY);
	assert_string_equal(file_text(&fake, CONFIG), HEAD ROW(1) ROW(2));
	assert_string_equal(find(&fake.current, "web2")->status, "UP");
	fake.reload_fails = false;
	assert_not_tried_again(&fake);
	assert_pass(&fake, "serving id1 id3, draining, drained");
	assert_string_equal(file_text(&fake, CONFIG), HEAD ROW(1) ROW(3));
}

/* The line of its old address was to leave, and is back: nobody asked for more than that
 * it drains. */
static void test_a_failed_reload_keeps_a_moved_server_draining(void **state)
{
	CS_CLEANUP(cs_publish_report_done) struct cs_publish_report report;
	struct cs_error err;
	struct fake fake;

	(void)state;
	set_up(&fake, 1);
	fake.nova[1].address = "10.0.0.22";
	fake.reload_fails = true;
	assert_int_equal(run(&fake, &report, &err), CS_E_VERIFY);
	assert_string_equal(find(&fake.current, "web2")->status, "DRAIN");
}

/* A run that died had put its line there; whoever reloads next makes HAProxy use it. */
static void test_a_line_that_cannot_be_taken_out_yet_keeps_a_server(void **state)
{
	struct fake fake;

	(void)state;
	set_up_version(&fake, 0, "2.6.12");
	fake.nova[1].draining = NULL;
	fake.nova[2].draining = "99999999999999";
	put_file(&fake, CONFIG, HEAD ROW(1) ROW(2) ROW(3));
	cluster.haproxy.min_reload_interval_ms = 3600000;
	assert_pass(&fake, "serving id1 id2, draining id3:0, drained");
	cluster.haproxy.min_reload_interval_ms = 0;
	assert_pass(&fake, "serving id1 id2, draining, drained id3");
}

/* The new server that is to take over comes with a reload, and that with a later pass. */
static void test_the_last_one_that_serves_is_not_drained_yet(void **state)
{
	struct fake fake;

	(void)state;
	set_up(&fake, 0);
	fake.nova[0].draining = fake.nova[1].draining;
	cluster.haproxy.min_reload_interval_ms = 3600000;
	assert_pass(&fake, "serving, draining id1:0 id2:0, drained");
	assert_string_equal(find(&fake.current, "web1")->status, "UP");
	assert_string_equal(find(&fake.current, "web2")->status, "UP");
	assert_non_null(strstr(fake.said, "4 server 'web1' is not drained yet: no other "
					  "server of backend 'web' is UP"));
	cluster.haproxy.min_reload_interval_ms = 0;
	assert_pass(&fake, "serving id3, draining id1:0 id2:0, drained");
	fake.old.pid = 0;
	assert_pass(&fake, "serving id3, draining, drained id1 id2");
}

/* HAProxy still has the server that had the address before. */
static void test_an_address_of_somebody_before_is_not_drained(void **state)
{
	struct fake fake;

	(void)state;
	set_up(&fake, 0);
	fake.nova[1] = (struct fake_nova){"id9", "new", "10.0.0.2", "99999999999999"};
	cluster.haproxy.min_reload_interval_ms = 3600000;
	put_file(&fake, CONFIG, HEAD);
	assert_pass(&fake, "serving id1, draining id9:0, drained");
	cluster.haproxy.min_reload_interval_ms = 0;
	assert_pass(&fake, "serving id1 id3, draining, drained id9");
}

/* The file changes in nothing that HAProxy has to be told of. */
static void test_old_workers_count_after_a_change_of_order(void **state)
{
	struct fake fake;

	(void)state;
	set_up_version(&fake, 0, "2.6.12");
	assert_pass(&fake, "serving id1 id3, draining, drained id2");
	fake.old = (struct fake_worker){
		.pid = 50, .n = 1, .servers = {{"web2", "10.0.0.2:80", "DRAIN", 1}}};
	assert_pass(&fake, "serving id1 id3, draining id2:1, drained");
	struct fake_nova first = fake.nova[0];
	fake.nova[0] = fake.nova[2];
	fake.nova[2] = first;
	assert_pass(&fake, "serving id3 id1, draining id2:1, drained");
}

static void test_report_is_the_agreed_line(void **state)
{
	char *ids[] = {(char *)"a", (char *)"b", NULL};
	struct cs_publish_draining draining = {(char *)"c", 3};
	int64_t sessions[] = {4, 0};
	struct cs_publish_report report = {.list_taken_wall_ms = 1700000000000,
		.serving = {ids, 2},
		.sessions = sessions,
		.draining = &draining,
		.n_draining = 1};
	CS_AUTO_FREE char *text = cs_publish_report_text(&report, "lb1");

	(void)state;
	assert_string_equal(text,
		"{\"lb\":\"lb1\",\"list_taken\":1700000000000,\"serving\":[\"a\",\"b\"],"
		"\"sessions\":{\"a\":4,\"b\":0},"
		"\"draining\":[{\"id\":\"c\",\"sessions\":3}],\"drained\":[]}");
}

static void test_a_record_is_read_as_it_was_written(void **state)
{
	CS_CLEANUP(cs_publish_record_done)
	struct cs_publish_record record = {.applied = "00ff",
		.reloaded = {.wall_ms = 12, .boot_ms = -3},
		.unanswered = {.current = 7, .pids = {5, 6}, .n = 2}};
	CS_CLEANUP(cs_publish_record_done) struct cs_publish_record again = {0};
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(4096);
	struct cs_error err;

	(void)state;
	strcpy(record.reloaded.boot_id, "boot");
	for (int i = 0; i < 2; i++)
		cs_publish_record_add(&record,
			&(struct cs_publish_entry){.cluster = (char *)"a \"quoted\" \\",
				.id = (char *)"\t\x01\n",
				.name = (char *)"\xc3\xa4",
				.endpoint = (char *)"",
				.options = (char *)"check",
				.has_line = i == 0,
				.drained_by_us = i == 1});
	cs_publish_record_write(&record, &text);
	assert_int_equal(
		cs_publish_record_parse(cs_strbuf_text(&text), text.len, &again, &err),
		0);
	assert_true(cs_publish_record_same(&record, &again));
	assert_int_equal(again.reloaded.boot_ms, -3);
	assert_string_equal(again.reloaded.boot_id, "boot");
	assert_int_equal(again.unanswered.current, 7);
	assert_int_equal(again.unanswered.n, 2);
	assert_int_equal(again.unanswered.pids[1], 6);
}

static void test_a_damaged_record_stops_the_pass(void **state)
{
	CS_CLEANUP(cs_publish_report_done) struct cs_publish_report report;
	struct cs_error err;
	struct fake fake;

	(void)state;
	set_up(&fake, 0);
	put_file(&fake, RECORD, "{\"applied\":\"x\",\"servers\":[{}]}");
	assert_int_equal(run(&fake, &report, &err), CS_E_PROTOCOL);
	assert_string_equal(err.message, "/applied is damaged (when it is moved away, "
					 "haproxy_sync begins anew): it is not "
					 "what haproxy_sync writes there");
	assert_int_equal(fake.reloads, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_comes_and_one_goes),
		cmocka_unit_test(test_a_change_of_servers_is_no_reload),
		cmocka_unit_test(test_a_refused_server_is_a_reload),
		cmocka_unit_test(test_sessions_keep_a_server_in_the_file),
		cmocka_unit_test(test_sticky_clients_of_an_old_worker_keep_a_server),
		cmocka_unit_test(test_a_worker_that_ends_without_an_answer_keeps_nothing),
		cmocka_unit_test(test_a_worker_that_was_never_told_keeps_it_too),
		cmocka_unit_test(test_a_worker_that_sleeps_keeps_it_until_it_has_ended),
		cmocka_unit_test(test_only_our_own_drain_is_undone),
		cmocka_unit_test(test_a_server_may_go_meanwhile),
		cmocka_unit_test(test_overdue_sessions_are_shut),
		cmocka_unit_test(test_an_overdue_server_may_go_meanwhile),
		cmocka_unit_test(test_a_mark_without_a_time_shuts_nothing),
		cmocka_unit_test(test_a_closed_port_is_left_out),
		cmocka_unit_test(test_a_reload_that_fails_puts_the_file_back),
		cmocka_unit_test(test_a_reload_that_loses_servers_is_noticed),
		cmocka_unit_test(test_what_haproxy_does_not_accept_is_not_put_back),
		cmocka_unit_test(test_a_rejected_file_is_no_reload),
		cmocka_unit_test(test_every_step_may_fail),
		cmocka_unit_test(test_it_may_die_at_every_step),
		cmocka_unit_test(test_a_drain_of_a_dead_pass_is_undone),
		cmocka_unit_test(test_a_file_of_a_dead_pass_is_loaded),
		cmocka_unit_test(test_a_bad_file_of_a_dead_pass_is_taken_back),
		cmocka_unit_test(test_remnants_do_not_count),
		cmocka_unit_test(test_a_backend_of_remnants_is_empty),
		cmocka_unit_test(test_clients_stick_by_the_defaults),
		cmocka_unit_test(test_the_master_of_another_haproxy_proves_nothing),
		cmocka_unit_test(
			test_a_worker_that_has_just_been_replaced_is_asked_again),
		cmocka_unit_test(test_a_server_that_comes_back_serves),
		cmocka_unit_test(test_the_state_file_is_for_one_reload),
		cmocka_unit_test(test_what_is_in_maintenance_leaves_without_a_reload),
		cmocka_unit_test(test_an_old_worker_is_asked_by_address_too),
		cmocka_unit_test(test_a_failed_reload_keeps_who_was_to_leave),
		cmocka_unit_test(test_a_failed_reload_keeps_a_moved_server_draining),
		cmocka_unit_test(test_a_line_that_cannot_be_taken_out_yet_keeps_a_server),
		cmocka_unit_test(test_the_last_one_that_serves_is_not_drained_yet),
		cmocka_unit_test(test_an_address_of_somebody_before_is_not_drained),
		cmocka_unit_test(test_old_workers_count_after_a_change_of_order),
		cmocka_unit_test(test_report_is_the_agreed_line),
		cmocka_unit_test(test_a_record_is_read_as_it_was_written),
		cmocka_unit_test(test_a_damaged_record_stops_the_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
