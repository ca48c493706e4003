/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The loop against a world of its own: a cloud, two load balancers, a journal and a
 * clock, which can fail at every call and end at every call. The world itself checks what
 * must hold at the moment of each request. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "domain/places.h"
#include "domain/scale.h"

#define START_MS 1700000000000
#define SERVERS_MAX 40
#define NEVER 1000000

struct machine {
	struct cs_server server;
	bool exists;
	int lists_until_active; /* of BUILD; NEVER: it stays */
	int probes_until_open;
	int lists_until_gone; /* of deleting */
	int sessions;	      /* a drain takes so many syncs */
	bool drained[2];      /* as each load balancer last said, for this mark */
	bool becomes_error;
	bool unserved; /* no load balancer serves it */
};

enum crash { CRASH_NEVER, CRASH_BEFORE, CRASH_AFTER, FAIL_ONCE, LOSE_ONCE };

static struct {
	int64_t now_ms;
	struct machine machines[SERVERS_MAX];
	size_t n;
	struct cs_strbuf journal, log;
	struct cs_measurement measurement;
	bool measured;
	bool list_hides_last; /* a partial list */
	int hidden_lists;     /* so many first lists are partial */
	int failing_list;     /* the how manieth of a run, 0: none */
	bool disk_full;
	size_t broken_lbs; /* so many fail, */
	int sync_status;   /* with this exit status */
	bool reports_are_old;
	enum crash crash;
	int calls, crash_at;
	bool dead;
	/* what new machines are like */
	int build_lists, open_probes, drain_sessions;
	bool next_fails, next_unserved;
	int create_error;      /* code of a refused create, 0: none */
	int prepare_error;     /* likewise, before its intent */
	int64_t create_ms;     /* until Nova has answered */
	const char *image;     /* that new machines boot from */
	const char *full_zone; /* has no valid host */
	/* what was carried out */
	int creates, deletes;
	int lists; /* of this run: once a second holds within a process */
	int64_t last_list_ms;
} world;

static struct cs_cluster cluster;

/* Every call of the code under test comes through here first. Dead means that nothing it
 * still does has any effect. */
static bool goes_wrong(struct cs_error *err)
{
	world.calls++;
	world.now_ms += 10;
	if (world.calls == world.crash_at &&
		(world.crash == CRASH_BEFORE || world.crash == FAIL_ONCE)) {
		world.dead = world.crash == CRASH_BEFORE;
		cs_error_set(err, CS_E_REMOTE, "injected");
		return true;
	}
	if (world.dead)
		cs_error_set(err, CS_E_IO, "dead");
	return world.dead;
}

/* After the effect: the answer does not arrive. */
static int answer(struct cs_error *err)
{
	if (world.calls != world.crash_at ||
		(world.crash != CRASH_AFTER && world.crash != LOSE_ONCE))
		return 0;
	world.dead = world.crash == CRASH_AFTER;
	return cs_error_set(err, CS_E_LOST, "the answer was lost");
}

static struct machine *find(const char *id)
{
	for (size_t i = 0; i < world.n; i++) {
		if (world.machines[i].exists &&
			strcmp(world.machines[i].server.id, id) == 0)
			return &world.machines[i];
	}
	return NULL;
}

static size_t existing(void)
{
	size_t n = 0;

	for (size_t i = 0; i < world.n; i++)
		n += world.machines[i].exists;
	return n;
}

static struct machine *add_machine(const char *name, const char *op)
{
	struct machine *machine = &world.machines[world.n];
	struct cs_server *server = &machine->server;

	assert_true(world.n < SERVERS_MAX);
	*machine = (struct machine){.exists = true,
		.lists_until_active = world.build_lists,
		.probes_until_open = world.open_probes,
		.sessions = world.drain_sessions,
		.becomes_error = world.next_fails,
		.unserved = world.next_unserved,
		.lists_until_gone = 1};
	*server = (struct cs_server){
		.id = cs_asprintf("aaaaaaaa-0000-4000-8000-%012zu", world.n),
		.name = cs_strdup(name),
		.status = cs_strdup("BUILD"),
		.image_id = cs_strdup(world.image),
		.flavor = cs_strdup("flavor"),
		.mark_cluster = cs_strdup("web"),
		.created_wall_ms = world.now_ms / 1000 * 1000};
	cs_strset(&server->mark_op, op);
	cs_strings_add(&server->tags, "clusterscale:web");
	world.n++;
	return machine;
}

static void become_active(struct machine *machine)
{
	struct cs_server *server = &machine->server;

	cs_strset(&server->status, machine->becomes_error ? "ERROR" : "ACTIVE");
	if (machine->becomes_error)
		cs_strset(&server->fault, "No valid host was found.");
	if (server->n_addresses > 0)
		return;
	server->addresses = cs_calloc(1, sizeof *server->addresses);
	server->addresses[0] = (struct cs_server_address){.network = cs_strdup("net"),
		.ip = cs_asprintf("10.0.0.%zu", (size_t)(machine - world.machines) + 1),
		.version = 4};
	server->n_addresses = 1;
}

/* The cloud. */

static void copy_server(struct cs_server *to, const struct cs_server *from)
{
	*to = *from;
	to->id = cs_strdup(from->id);
	to->name = cs_strdup(from->name);
	to->status = cs_strdup(from->status);
	to->image_id = cs_strdup(from->image_id);
	to->flavor = cs_strdup(from->flavor);
	to->task_state = to->zone = to->fault = NULL;
	cs_strset(&to->zone, from->zone);
	to->mark_cluster = to->mark_op = to->mark_draining = NULL;
	cs_strset(&to->task_state, from->task_state);
	cs_strset(&to->fault, from->fault);
	cs_strset(&to->mark_cluster, from->mark_cluster);
	cs_strset(&to->mark_op, from->mark_op);
	cs_strset(&to->mark_draining, from->mark_draining);
	to->tags = (struct cs_strings){0};
	for (size_t i = 0; i < from->tags.n; i++)
		cs_strings_add(&to->tags, from->tags.items[i]);
	to->addresses = cs_calloc(from->n_addresses + 1, sizeof *to->addresses);
	for (size_t i = 0; i < from->n_addresses; i++)
		to->addresses[i] = (struct cs_server_address){
			.network = cs_strdup(from->addresses[i].network),
			.ip = cs_strdup(from->addresses[i].ip),
			.version = 4};
}

static void time_passes(struct machine *machine)
{
	const char *task = machine->server.task_state;

	if (task && strcmp(task, "deleting") == 0) {
		if (--machine->lists_until_gone < 0)
			machine->exists = false;
	} else if (strcmp(machine->server.status, "BUILD") == 0 &&
		   machine->lists_until_active != NEVER &&
		   --machine->lists_until_active < 0) {
		become_active(machine);
	}
}

static int port_look(void *context, struct cs_fleet_view *ret, struct cs_error *err)
{
	(void)context;
	if (goes_wrong(err))
		return err->code;
	if (world.lists++ > 0 && !world.crash)
		assert_true(world.now_ms - world.last_list_ms >= 1000);
	world.last_list_ms = world.now_ms;
	bool partial = world.list_hides_last || world.lists <= world.hidden_lists;
	if (world.lists == world.failing_list)
		return cs_error_set(err, CS_E_REMOTE, "503");
	ret->list = (struct cs_server_list){.taken_wall_ms = world.now_ms};
	ret->list.servers = cs_calloc(SERVERS_MAX, sizeof *ret->list.servers);
	for (size_t i = 0; i < world.n; i++) {
		struct machine *machine = &world.machines[i];

		time_passes(machine);
		if (machine->exists && !(partial && i + 1 == world.n))
			copy_server(&ret->list.servers[ret->list.n++], &machine->server);
	}
	cs_members_select(&ret->list, &cluster, NULL, NULL, &ret->members);
	return 0;
}

static int port_show(
	void *context, const char *id, struct cs_server *ret, struct cs_error *err)
{
	(void)context;
	if (goes_wrong(err))
		return err->code;
	const struct machine *machine = find(id);
	if (!machine)
		return cs_error_set(err, CS_E_NOT_FOUND, "404");
	copy_server(ret, &machine->server);
	return 0;
}

static bool journal_has(const char *a, const char *b)
{
	const char *text = cs_strbuf_text(&world.journal);

	for (const char *line = strstr(text, a); line; line = strstr(line + 1, a)) {
		const char *end = strchr(line, '\n');
		const char *found = strstr(line, b);

		if (found && found < end)
			return true;
	}
	return false;
}

static int port_prepare(void *context, int64_t servers, struct cs_error *err)
{
	(void)servers;
	(void)context;
	if (world.prepare_error)
		return cs_error_set(
			err, (enum cs_errc)world.prepare_error, "no such image");
	return goes_wrong(err) ? err->code : 0;
}

static int port_create(void *context, const char *name, const char *op, const char *zone,
	char **ret_id, struct cs_error *err)
{
	(void)context;
	if (goes_wrong(err))
		return err->code;
	assert_true(journal_has("\"type\":\"intent\"", op));
	if (world.create_error)
		return cs_error_set(
			err, (enum cs_errc)world.create_error, "Quota exceeded");
	for (size_t i = 0; i < world.n; i++) {
		if (world.machines[i].server.mark_op)
			assert_string_not_equal(world.machines[i].server.mark_op, op);
	}
	world.creates++;
	world.now_ms += world.create_ms;
	struct machine *machine = add_machine(name, op);
	cs_strset(&machine->server.zone, zone);
	if (zone && world.full_zone && strcmp(zone, world.full_zone) == 0)
		machine->becomes_error = true;
	assert_true((int64_t)existing() <= cluster.max);
	if (answer(err) < 0)
		return err->code;
	*ret_id = cs_strdup(machine->server.id);
	return 0;
}

/* The rule of rules: ours, intended, marked and drained everywhere, or never in service.
 */
static int port_remove(void *context, const char *id, struct cs_error *err)
{
	(void)context;
	if (goes_wrong(err))
		return err->code;
	struct machine *machine = find(id);
	if (!machine)
		return cs_error_set(err, CS_E_NOT_FOUND, "404");
	assert_non_null(machine->server.mark_cluster);
	assert_false(machine->server.locked);
	assert_true(journal_has("\"action\":\"delete\"", id));
	if (strcmp(machine->server.status, "ACTIVE") == 0) {
		assert_non_null(machine->server.mark_draining);
		for (size_t i = 0; i < cluster.n_load_balancers; i++)
			assert_true(machine->drained[i]);
	}
	if (!machine->server.task_state)
		world.deletes++;
	cs_strset(&machine->server.task_state, "deleting");
	return answer(err);
}

static int port_set_metadata(void *context, const char *id, const char *key,
	const char *value, struct cs_error *err)
{
	(void)context;
	if (goes_wrong(err))
		return err->code;
	struct machine *machine = find(id);
	assert_string_equal(key, CS_NOVA_MARK_DRAINING);
	if (!machine)
		return cs_error_set(err, CS_E_NOT_FOUND, "404");
	if (value)
		assert_true(journal_has("\"action\":\"delete\"", id));
	cs_strset(&machine->server.mark_draining, value);
	memset(machine->drained, 0, sizeof machine->drained);
	return answer(err);
}

/* Their servers boot from images. */
static int port_volume_goes(
	void *context, const char *id, const char *volume_id, struct cs_error *err)
{
	(void)context;
	return cs_error_set(err, CS_E_NOT_FOUND, "%s of %s", volume_id, id);
}

static int port_add_tag(
	void *context, const char *id, const char *tag, struct cs_error *err)
{
	(void)context;
	if (goes_wrong(err))
		return err->code;
	cs_strings_add(&find(id)->server.tags, tag);
	return answer(err);
}

static int port_probe(void *context, const char *address, struct cs_error *err)
{
	(void)context;
	if (goes_wrong(err))
		return err->code;
	for (size_t i = 0; i < world.n; i++) {
		struct machine *machine = &world.machines[i];

		if (machine->server.n_addresses == 0 ||
			strcmp(machine->server.addresses[0].ip, address) != 0)
			continue;
		if (machine->probes_until_open != NEVER)
			machine->probes_until_open--;
		if (machine->probes_until_open > 0)
			return cs_error_set(err, CS_E_CONNECT, "refused");
	}
	return 0;
}

/* A load balancer serves what is ACTIVE and not marked, and drains what is marked. */
static void sync_machine(
	struct machine *machine, size_t lb, struct cs_sync_report *report)
{
	if (!machine->exists || strcmp(machine->server.status, "ACTIVE") != 0)
		return;
	if (!machine->server.mark_draining) {
		if (!machine->unserved)
			cs_strings_add(&report->serving, machine->server.id);
	} else if (machine->sessions > 0) {
		machine->sessions--;
	} else {
		machine->drained[lb] = true;
		cs_strings_add(&report->drained, machine->server.id);
	}
}

static int port_sync(void *context, const struct cs_load_balancer *lb,
	struct cs_sync_report *ret, struct cs_error *err)
{
	size_t index = (size_t)(lb - cluster.load_balancers);

	(void)context;
	if (goes_wrong(err))
		return err->code;
	if (index < world.broken_lbs) {
		cs_error_set(err, CS_E_REMOTE, "sudo: a password is required");
		err->remote_status = world.sync_status;
		return err->code;
	}
	ret->list_taken_wall_ms = world.reports_are_old ? START_MS : world.now_ms;
	for (size_t i = 0; i < world.n; i++)
		sync_machine(&world.machines[i], index, ret);
	return 0;
}

/* Journal, measurement, clock and log. */

static int port_load(void *context, const struct cs_stamp *now, struct cs_journal *ret,
	struct cs_error *err)
{
	(void)context;
	*ret = (struct cs_journal){0};
	if (goes_wrong(err))
		return err->code;
	return cs_journal_fold(cs_strbuf_text(&world.journal), world.journal.len, "world",
		now, ret, err);
}

static int port_append(
	void *context, const struct cs_journal_line *line, struct cs_error *err)
{
	struct cs_stamp now = {.wall_ms = world.now_ms};
	CS_AUTO_FREE char *text = cs_journal_line_text("run", &now, line);

	(void)context;
	if (goes_wrong(err))
		return err->code;
	if (world.disk_full)
		return cs_error_set(err, CS_E_IO, "no space left on device");
	cs_strbuf_addf(&world.journal, "%s\n", text);
	return answer(err);
}

static int port_history(void *context, struct cs_history *ret, struct cs_error *err)
{
	(void)context;
	if (goes_wrong(err))
		return err->code;
	if (!world.measured)
		return cs_error_set(err, CS_E_NOT_FOUND, "none");
	ret->items = cs_calloc(1, sizeof *ret->items);
	ret->items[0] = world.measurement;
	ret->n = 1;
	return 0;
}

static void port_evidence(void *context, struct cs_plan_evidence *ret)
{
	(void)context;
	ret->image_id = cs_strdup(world.image);
}

static void port_now(void *context, struct cs_stamp *ret)
{
	(void)context;
	/* A dead process has no time: it only has to come to its end. */
	static int64_t dead_ms;

	dead_ms += 1000000;
	*ret = (struct cs_stamp){.wall_ms = world.now_ms + (world.dead ? dead_ms : 0)};
}

static void port_sleep(void *context, int64_t ms)
{
	(void)context;
	assert_true(ms > 0);
	if (!world.dead)
		world.now_ms += ms;
}

static void port_report(void *context, int priority, const char *text)
{
	(void)context;
	if (!world.dead)
		cs_strbuf_addf(&world.log, "%d %s\n", priority, text);
}

static const struct cs_scale_ports ports = {
	.load_journal = port_load,
	.append = port_append,
	.history = port_history,
	.look = port_look,
	.show = port_show,
	.prepare = port_prepare,
	.create = port_create,
	.remove = port_remove,
	.set_metadata = port_set_metadata,
	.add_tag = port_add_tag,
	.volume_goes = port_volume_goes,
	.probe = port_probe,
	.sync = port_sync,
	.evidence = port_evidence,
	.now = port_now,
	.sleep = port_sleep,
	.report = port_report,
};

/* Set-up: a cluster of `n` servers in service. */

static void line(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void line(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	cs_strbuf_addf(&world.journal, "{\"t\":%lld,\"bt\":0,\"boot\":\"\",%s}\n",
		(long long)START_MS - 1000000, text);
}

static void end_world(void)
{
	for (size_t i = 0; i < world.n; i++)
		cs_server_done(&world.machines[i].server);
	cs_strbuf_done(&world.journal);
	cs_strbuf_done(&world.log);
}

static void begin_world(size_t n)
{
	static struct cs_load_balancer lbs[2] = {
		{.name = (char *)"lb1"}, {.name = (char *)"lb2"}};

	end_world();
	memset(&world, 0, sizeof world);
	world.now_ms = START_MS - 1000000; /* the servers are old */
	world.image = "image";
	world.journal = CS_STRBUF(1 << 20);
	world.log = CS_STRBUF(1 << 20);
	cluster = (struct cs_cluster){.name = (char *)"web",
		.mode = CS_MODE_ACT,
		.servers = {.name = (char *)"web%H%M", .build_timeout_ms = 100000},
		.min = 2,
		.max = 5,
		.policy = {.scale_up_at_permille = 700,
			.scale_down_at_permille = 100,
			.step_up = {.number = 1},
			.step_down = {.number = 1},
			.cool_down_up_ms = 60000,
			.cool_down_down_ms = 300000,
			.max_age_ms = 90000,
			.creates_per_hour = 20,
			.deletes_per_hour = 20},
		.load_balancers = lbs,
		.n_load_balancers = 2};
	for (size_t i = 0; i < n; i++) {
		struct machine *machine = add_machine("old", NULL);

		become_active(machine);
		line("\"type\":\"published\",\"server_id\":\"%s\"", machine->server.id);
		world.now_ms += 1000;
	}
	world.now_ms = START_MS;
	world.build_lists = 2;
	world.open_probes = 2;
	world.drain_sessions = 2;
}

static void measure(int64_t load_permille)
{
	world.measured = true;
	world.measurement = (struct cs_measurement){.at = {.wall_ms = world.now_ms},
		.load_permille = load_permille,
		.servers = (int64_t)existing(),
		.sampled = (int64_t)existing()};
}

static enum cs_scale_outcome run_with(struct cs_scale scale)
{
	scale.cluster = &cluster;
	scale.ports = &ports;
	if (!scale.limit_ms)
		scale.limit_ms = 1000000;
	if (!scale.trouble_ms)
		scale.trouble_ms = scale.limit_ms;
	world.lists = 0;
	return cs_scale_run(&scale);
}

static enum cs_scale_outcome run(void)
{
	return run_with((struct cs_scale){0});
}

static enum cs_scale_outcome finish(void)
{
	return run_with((struct cs_scale){.finish_only = true});
}

static enum cs_scale_outcome order(enum cs_scale_verb verb, int64_t n, const char *target)
{
	return run_with((struct cs_scale){.verb = verb, .n = n, .target = target});
}

static bool said(const char *text)
{
	return strstr(cs_strbuf_text(&world.log), text) != NULL;
}

/* Everything that exists is in service, as Nova, the journal and nobody else see it. */
static void check_settled(size_t n)
{
	struct cs_stamp now = {.wall_ms = world.now_ms};
	struct cs_journal journal = {0};
	struct cs_error err;

	assert_int_equal(existing(), n);
	assert_int_equal(cs_journal_fold(cs_strbuf_text(&world.journal),
				 world.journal.len, "world", &now, &journal, &err),
		0);
	assert_int_equal(journal.n_open, 0);
	assert_int_equal(journal.known.n, n);
	for (size_t i = 0; i < world.n; i++) {
		const struct machine *machine = &world.machines[i];

		if (!machine->exists)
			continue;
		assert_string_equal(machine->server.status, "ACTIVE");
		assert_null(machine->server.mark_draining);
		assert_true(cs_journal_is_published(&journal, machine->server.id));
	}
	cs_journal_done(&journal);
}

typedef void story(void);

static void story_up(void)
{
	begin_world(2);
	measure(800);
}

static void story_down(void)
{
	begin_world(3);
	measure(50);
}

static void story_error(void)
{
	begin_world(2);
	measure(800);
	world.next_fails = true;
}

static void story_fill(void)
{
	begin_world(0);
}

/* A new image. */
static void story_replace(void)
{
	begin_world(3);
	world.image = "newer";
	cluster.max = 4;
	cluster.policy.cool_down_up_ms = cluster.policy.cool_down_down_ms = 0;
	cluster.policy.max_age_ms = 900000;
	cluster.rolling = (struct cs_rolling_spec){.present = true, .max_surge = 1};
	measure(400);
}

static void story_take_back(void)
{
	begin_world(3);
	line("\"type\":\"intent\",\"action\":\"delete\",\"op\":"
	     "\"00000000-0000-4000-8000-000000000001\",\"server_id\":\"%s\"",
		world.machines[1].server.id);
	cs_strset(&world.machines[1].server.mark_draining, "1");
	world.machines[1].sessions = 50;
	measure(900);
	world.measurement.servers = world.measurement.sampled = 2;
}

static void test_nothing_to_do(void **state)
{
	(void)state;
	begin_world(2);
	measure(400);
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	assert_int_equal(world.creates + world.deletes, 0);
	assert_int_equal(world.lists, 1);
	assert_true(said("between scale-down-at"));
}

/* The list that shows it ACTIVE is the last one: nobody decides anything after it. */
static void test_an_order_ends_with_its_last_server(void **state)
{
	(void)state;
	begin_world(2);
	world.build_lists = 3;
	world.open_probes = 0;
	assert_int_equal(order(CS_SCALE_CREATE, 1, NULL), CS_SCALE_CONVERGED);
	assert_int_equal(world.creates, 1);
	assert_int_equal(world.lists, 1 + 3 + 1);
}

static void test_scale_up(void **state)
{
	(void)state;
	begin_world(2);
	measure(800);
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	assert_int_equal(world.creates, 1);
	check_settled(3);
	assert_true(said("5 New Server web2213 created"));
	assert_false(said("answer was lost"));
	assert_true(said("is in service after"));
}

static void test_one_measurement_one_action(void **state)
{
	(void)state;
	begin_world(2);
	cluster.policy.cool_down_up_ms = 0;
	measure(1000);
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	assert_int_equal(world.creates, 1);
	assert_true(said("has justified an action already"));
	measure(1000);
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	assert_int_equal(world.creates, 2);
	check_settled(4);
}

static void test_scale_down_drains_first(void **state)
{
	(void)state;
	begin_world(3);
	measure(50);
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	assert_int_equal(world.deletes, 1);
	assert_false(world.machines[2].exists); /* the youngest */
	check_settled(2);
	assert_true(said("is drained on 2 load balancers"));
}

static void test_without_load_balancers(void **state)
{
	(void)state;
	begin_world(2);
	cluster.n_load_balancers = 0;
	measure(800);
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	check_settled(3);
	world.now_ms += 1000000;
	measure(0);
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	check_settled(2);
}

static void test_filling_to_min_needs_no_measurement(void **state)
{
	(void)state;
	begin_world(0);
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	assert_int_equal(world.creates, 2);
	check_settled(2);
	assert_string_not_equal(
		world.machines[0].server.name, world.machines[1].server.name);
}

static void test_no_measurement_is_a_refusal(void **state)
{
	(void)state;
	begin_world(2);
	assert_int_equal(run(), CS_SCALE_REFUSED);
	assert_true(said("refused to scale: no measurement"));
	measure(900);
	world.now_ms += 91000;
	assert_int_equal(run(), CS_SCALE_REFUSED);
	assert_int_equal(world.creates, 0);
}

static void test_finish_only_begins_nothing(void **state)
{
	(void)state;
	begin_world(1); /* below min */
	measure(1000);
	assert_int_equal(finish(), CS_SCALE_CONVERGED);
	assert_int_equal(world.creates, 0);
}

static void test_error_build_is_removed(void **state)
{
	(void)state;
	begin_world(2);
	measure(800);
	world.next_fails = true;
	assert_int_equal(run(), CS_SCALE_FAILED);
	assert_int_equal(world.creates, 1);
	assert_int_equal(world.deletes, 1);
	check_settled(2);
	assert_true(
		said("failed and is removed: it is in ERROR: No valid host was found."));
	assert_true(journal_has("\"outcome\":\"failed\"", "No valid host"));
}

static void test_build_that_never_ends_is_removed(void **state)
{
	(void)state;
	begin_world(2);
	measure(800);
	world.build_lists = NEVER;
	assert_int_equal(run(), CS_SCALE_FAILED);
	check_settled(2);
	assert_true(said("still waiting: server 'web2213' for "));
	assert_true(said(" s: status BUILD, task none"));
	assert_true(said("failed and is removed: not in service within build-timeout"));
}

/* 100 s of build-timeout: a list a second would be a hundred of them. */
static void test_a_late_build_is_looked_at_less_often(void **state)
{
	(void)state;
	begin_world(2);
	measure(800);
	assert_int_equal(run(), CS_SCALE_CONVERGED); /* so long it takes usually */
	world.now_ms += 600000;
	measure(800);
	world.build_lists = NEVER;
	world.lists = 0;
	assert_int_equal(run(), CS_SCALE_FAILED);
	assert_in_range(world.lists, 20, 60);
}

static void test_server_that_never_answers_is_drained_and_removed(void **state)
{
	(void)state;
	begin_world(2);
	measure(800);
	world.open_probes = NEVER;
	assert_int_equal(run(), CS_SCALE_FAILED);
	check_settled(2);
	assert_true(said("is ACTIVE, not answering yet: refused"));
}

static void test_server_of_somebody_else_is_not_waited_for_long(void **state)
{
	(void)state;
	begin_world(2);
	world.open_probes = NEVER;
	become_active(add_machine("adopted", NULL));
	assert_int_equal(order(CS_SCALE_DELETE, 1, NULL), CS_SCALE_CONVERGED);
	assert_int_equal(existing(), 2);

	become_active(add_machine("adopted", NULL));
	assert_int_equal(finish(), CS_SCALE_OPEN);
	assert_true(world.now_ms - START_MS < 60000);
	assert_int_equal(existing(), 3);
}

static void test_quota_fails_once_in_a_run(void **state)
{
	(void)state;
	begin_world(0);
	world.create_error = CS_E_QUOTA;
	assert_int_equal(run(), CS_SCALE_FAILED);
	assert_true(said("was not created: Quota exceeded"));
	assert_true(world.lists <= 2);
	assert_int_equal(finish(), CS_SCALE_CONVERGED);
	assert_int_equal(world.creates, 0);
	check_settled(0);
}

static void test_three_failures_hold_creates(void **state)
{
	(void)state;
	begin_world(0);
	world.create_error = CS_E_QUOTA;
	for (int i = 0; i < 3; i++)
		assert_int_equal(run(), CS_SCALE_FAILED);
	world.create_error = 0;
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	assert_int_equal(world.creates, 0);
	assert_true(said("3 creates in a row failed"));
	line("\"type\":\"resume\"");
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	check_settled(2);
}

static void use_zones(void)
{
	static char *zones[] = {(char *)"a", (char *)"b", NULL};

	cluster.servers.availability_zones = (struct cs_strings){.items = zones, .n = 2};
}

static size_t existing_in(const char *zone)
{
	size_t n = 0;

	for (size_t i = 0; i < world.n; i++)
		n += world.machines[i].exists && world.machines[i].server.zone &&
		     strcmp(world.machines[i].server.zone, zone) == 0;
	return n;
}

static void test_zones_are_balanced(void **state)
{
	(void)state;
	begin_world(0);
	use_zones();
	cluster.min = 5;
	cluster.max = 6;
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	assert_int_equal(existing_in("a"), 3);
	assert_int_equal(existing_in("b"), 2);
	assert_true(said("in zone a"));
	check_settled(5);
}

/* In the same run, on the same measurement. */
static void test_no_valid_host_tries_the_next_zone(void **state)
{
	(void)state;
	begin_world(2);
	use_zones();
	world.full_zone = "a";
	measure(800);
	assert_int_equal(run(), CS_SCALE_FAILED);
	assert_true(said("failed and is removed: it is in ERROR: No valid host"));
	assert_int_equal(world.creates, 2);
	assert_int_equal(existing_in("a"), 0);
	assert_int_equal(existing_in("b"), 1);
	check_settled(3);
}

static void test_a_zone_that_fails_is_left_alone_until_it_may_be_tried(void **state)
{
	(void)state;
	begin_world(0);
	use_zones();
	cluster.min = 4;
	cluster.max = 8;
	world.full_zone = "a";
	assert_int_equal(run(), CS_SCALE_FAILED);
	assert_int_equal(existing_in("b"), 4);
	assert_int_equal(world.creates, 6); /* two of the first four failed */
	world.full_zone = NULL;
	world.now_ms += CS_PLACES_HOLD_MS;
	cluster.min = 5;
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	assert_int_equal(existing_in("a"), 1);
	check_settled(5);
}

static void test_where_every_zone_fails_the_run_ends(void **state)
{
	(void)state;
	begin_world(0);
	use_zones();
	world.next_fails = true;
	assert_int_equal(run(), CS_SCALE_FAILED);
	assert_true(world.creates < 6);
	for (int i = 0; i < 4; i++)
		run();
	assert_int_equal(world.creates, 6);
	assert_true(said("3 creates in a row failed in every zone"));
	check_settled(0);
}

static void test_partial_list_changes_nothing(void **state)
{
	size_t before;

	(void)state;
	begin_world(3);
	measure(1000);
	world.list_hides_last = true;
	before = world.journal.len;
	assert_int_equal(run(), CS_SCALE_FAILED);
	assert_int_equal(world.creates + world.deletes, 0);
	assert_int_equal(world.journal.len, before);
	assert_true(said("the list is partial, nothing is done"));
}

/* It is not taken for carried out when its first pass did not come to it. */
static void test_order_outlives_a_partial_list(void **state)
{
	(void)state;
	begin_world(3);
	line("\"type\":\"intent\",\"action\":\"delete\",\"server_id\":\"%s\","
	     "\"op\":\"aaaaaaaa-1111-4000-8000-000000000000\"",
		world.machines[0].server.id);
	world.hidden_lists = 1;
	assert_int_equal(order(CS_SCALE_CREATE, 1, NULL), CS_SCALE_CONVERGED);
	assert_int_equal(world.creates, 1);
	check_settled(3);
}

static void test_what_cannot_be_recorded_is_not_done(void **state)
{
	static story *const stories_of[] = {story_up, story_down, story_fill};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(stories_of); i++) {
		stories_of[i]();
		world.disk_full = true;
		assert_int_equal(run(), CS_SCALE_FAILED);
		assert_int_equal(world.lists, 1);
		assert_int_equal(world.creates + world.deletes, 0);
		for (size_t k = 0; k < world.n; k++)
			assert_null(world.machines[k].server.mark_draining);
	}
	story_take_back(); /* not even open work is worth another try then */
	world.disk_full = true;
	assert_int_equal(run(), CS_SCALE_FAILED);
	assert_int_equal(world.lists, 1);
}

static void test_report_older_than_the_mark_does_not_count(void **state)
{
	(void)state;
	story_down();
	world.reports_are_old = true;
	assert_int_equal(run_with((struct cs_scale){.limit_ms = 50000}), CS_SCALE_OPEN);
	assert_int_equal(world.deletes, 0);
	assert_true(said("by a list older than the mark: compare the clocks"));
	world.reports_are_old = false;
	assert_int_equal(finish(), CS_SCALE_CONVERGED);
	check_settled(2);
}

static void test_list_that_fails_while_work_is_open_is_tried_again(void **state)
{
	(void)state;
	story_up();
	world.failing_list = 2;
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	assert_true(said("503"));
	check_settled(3);

	story_up(); /* nothing is open yet: the next firing is soon enough */
	world.failing_list = 1;
	assert_int_equal(run(), CS_SCALE_FAILED);
	assert_int_equal(world.creates, 0);
}

static void test_server_deleted_by_somebody_else_is_noticed(void **state)
{
	(void)state;
	begin_world(3);
	world.machines[1].exists = false;
	measure(400);
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	assert_true(said("was deleted by somebody else"));
	check_settled(2);
	assert_int_equal(world.creates, 0);
}

static void test_load_comes_back_during_a_drain(void **state)
{
	(void)state;
	begin_world(3);
	measure(50);
	world.machines[2].sessions = NEVER;
	assert_int_equal(run_with((struct cs_scale){.limit_ms = 10000}), CS_SCALE_OPEN);
	assert_non_null(world.machines[2].server.mark_draining);
	assert_true(said("work is still open after 1"));
	world.now_ms += 1000;
	measure(900);
	world.measurement.servers = world.measurement.sampled = 2;
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	assert_int_equal(world.creates + world.deletes, 0);
	assert_true(said("comes back from draining"));
	check_settled(3);
}

static void test_unreachable_load_balancer_leaves_work_open(void **state)
{
	(void)state;
	begin_world(3);
	measure(50);
	world.machines[2].sessions = NEVER;
	assert_int_equal(run_with((struct cs_scale){.limit_ms = 200000}), CS_SCALE_OPEN);
	assert_int_equal(world.deletes, 0);
	world.machines[2].sessions = 0;
	assert_int_equal(finish(), CS_SCALE_CONVERGED);
	check_settled(2);
}

static void test_person_does_not_wait_for_what_stays_broken(void **state)
{
	(void)state;
	story_up();
	world.broken_lbs = 1;
	assert_int_equal(run_with((struct cs_scale){.trouble_ms = 30000}), CS_SCALE_OPEN);
	assert_int_equal(world.creates, 1); /* the other one serves it */
	assert_true(world.now_ms - START_MS < 60000);
	assert_true(said("load balancer 'lb1': sudo: a password is required"));
	assert_false(said("does not serve"));
	assert_true(said("still waiting: server 'web2213' for 2"));
	assert_true(
		said(" s: load balancer 'lb1': sudo: a password is required; the next "
		     "run goes on with it"));
	world.broken_lbs = 0;
	assert_int_equal(finish(), CS_SCALE_CONVERGED);
	check_settled(3);
}

/* Held, not failed: the measurement still justifies the create once somebody serves. */
static void test_nothing_is_created_that_nobody_would_serve(void **state)
{
	(void)state;
	story_up();
	world.broken_lbs = 2;
	for (int i = 0; i < 4; i++)
		assert_int_equal(run(), CS_SCALE_FAILED);
	assert_int_equal(world.creates, 0);
	assert_false(journal_has("\"type\":\"intent\"", "create"));
	assert_true(said("held: no load balancer can be brought in line"));
	world.broken_lbs = 0;
	measure(800);
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	check_settled(3);
}

static void test_held_create_does_not_hinder_open_work(void **state)
{
	(void)state;
	begin_world(4);
	line("\"type\":\"intent\",\"action\":\"delete\",\"server_id\":\"%s\","
	     "\"op\":\"aaaaaaaa-1111-4000-8000-000000000000\"",
		world.machines[0].server.id);
	cs_strset(&world.machines[0].server.status, "SHUTOFF");
	world.machines[1].exists = false;
	world.broken_lbs = 2;
	assert_int_equal(order(CS_SCALE_CREATE, 1, NULL), CS_SCALE_FAILED);
	assert_int_equal(world.creates, 0);
	assert_int_equal(world.deletes, 1);
	check_settled(2);
}

/* haproxy_sync says 2 to an empty list: that alone must not keep a cluster empty. */
static void test_first_server_needs_no_load_balancer_that_has_servers(void **state)
{
	static const int others[] = {1, 3, 127, 255};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(others); i++) {
		story_fill();
		world.broken_lbs = 2;
		world.sync_status = others[i];
		assert_int_equal(run(), CS_SCALE_FAILED);
		assert_int_equal(world.creates, 0);
	}
	story_fill();
	world.broken_lbs = 2;
	world.sync_status = 2;
	assert_int_equal(run_with((struct cs_scale){.limit_ms = 50000}), CS_SCALE_OPEN);
	assert_int_equal(world.creates, 2);
	world.broken_lbs = 0;
	assert_int_equal(finish(), CS_SCALE_CONVERGED);
	check_settled(2);
}

static void test_what_the_configuration_names_wrongly_is_a_refusal(void **state)
{
	static const enum cs_errc codes[] = {
		CS_E_CONFIG, CS_E_NOT_FOUND, CS_E_CONFLICT, CS_E_REFUSED};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(codes); i++) {
		story_up();
		world.prepare_error = codes[i];
		assert_int_equal(run(), CS_SCALE_REFUSED);
		assert_int_equal(world.creates, 0);
	}
	world.prepare_error = CS_E_CONNECT;
	assert_int_equal(run(), CS_SCALE_FAILED);
}

/* Who serves others, but not this one, says that it is the server. */
static void test_server_that_is_not_served_like_the_others_is_removed(void **state)
{
	(void)state;
	story_up();
	world.next_unserved = true;
	assert_int_equal(run(), CS_SCALE_FAILED);
	assert_int_equal(world.creates, 1);
	assert_int_equal(world.deletes, 1);
	assert_true(
		said("failed and is removed: not in service within build-timeout: load "
		     "balancer 'lb1' does not serve it"));
	check_settled(2);
}

/* A create that is late, and nobody's fault but the load balancers'. */
static void begin_late(bool served_by_lb2)
{
	story_up();
	world.next_unserved = !served_by_lb2;
	world.broken_lbs = 1;
	assert_int_equal(run_with((struct cs_scale){.limit_ms = 200000}), CS_SCALE_OPEN);
	assert_int_equal(world.creates, 1);
	assert_int_equal(world.deletes, 0);
	assert_true(said("answers but is not in service within build-timeout: load "
			 "balancer 'lb1': sudo: a password is required; it is kept and "
			 "counts as under way"));
}

static void test_load_balancers_that_fail_cost_no_server(void **state)
{
	(void)state;
	begin_late(false);
	for (int i = 0; i < 5; i++) { /* and make no other one */
		world.now_ms += 61000;
		measure(1000);
		assert_int_equal(
			run_with((struct cs_scale){.limit_ms = 20000}), CS_SCALE_OPEN);
	}
	assert_int_equal(order(CS_SCALE_CREATE, 1, NULL), CS_SCALE_REFUSED);
	assert_true(said("held: no load balancer serves 'web2213', which answers"));
	assert_int_equal(world.creates, 1);
	assert_int_equal(world.deletes, 0);
	world.broken_lbs = 0;
	world.machines[2].unserved = false;
	assert_int_equal(finish(), CS_SCALE_CONVERGED);
	check_settled(3);
}

static void test_one_load_balancer_that_fails_holds_nothing(void **state)
{
	(void)state;
	begin_late(true);
	assert_false(said("no other is created"));
	run_with((struct cs_scale){.verb = CS_SCALE_CREATE, .n = 1, .limit_ms = 20000});
	assert_int_equal(world.creates, 2);
	world.broken_lbs = 0;
	assert_int_equal(finish(), CS_SCALE_CONVERGED);
	check_settled(4);
}

static void test_load_balancers_that_serve_nobody_cost_no_server(void **state)
{
	(void)state;
	story_up();
	world.machines[0].unserved = world.machines[1].unserved = true;
	world.next_unserved = true;
	assert_int_equal(run_with((struct cs_scale){.limit_ms = 200000}), CS_SCALE_OPEN);
	assert_int_equal(world.creates, 1);
	assert_int_equal(world.deletes, 0);
	assert_true(
		said("server 'web2213' answers; load balancer 'lb1' does not serve it "
		     "yet"));
}

static void test_drain_of_another_journal_is_finished(void **state)
{
	(void)state;
	begin_world(3);
	cs_strset(&world.machines[0].server.mark_draining, "1");
	assert_int_equal(finish(), CS_SCALE_CONVERGED);
	assert_false(world.machines[0].exists);
	check_settled(2);
}

/* The end of that drain is no end of the create. */
static void test_drain_of_an_unfinished_create_is_taken_back(void **state)
{
	(void)state;
	begin_world(1);
	world.open_probes = NEVER;
	assert_int_equal(run_with((struct cs_scale){.limit_ms = 20000}), CS_SCALE_OPEN);
	assert_int_equal(world.creates, 1);
	cs_strset(&world.machines[1].server.mark_draining, "1700000000000");
	world.machines[1].probes_until_open = 0;
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	assert_int_equal(finish(), CS_SCALE_CONVERGED);
	assert_int_equal(world.creates, 1);
	assert_int_equal(world.deletes, 0);
	check_settled(2);
}

/* Neither cut short nor waited for until its time comes. */
static void test_mark_without_a_usable_time_is_written_anew(void **state)
{
	static const char *const marks[] = {"", "junk", "1700000000", "9999999999999"};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(marks); i++) {
		begin_world(3);
		cs_strset(&world.machines[2].server.mark_draining, marks[i]);
		assert_int_equal(finish(), CS_SCALE_CONVERGED);
		assert_int_equal(world.deletes, 1);
		check_settled(2);
	}
}

static void test_drain_below_min_is_taken_back(void **state)
{
	(void)state;
	begin_world(2);
	cs_strset(&world.machines[0].server.mark_draining, "1");
	assert_int_equal(finish(), CS_SCALE_CONVERGED);
	check_settled(2);
	assert_int_equal(world.deletes, 0);
}

static void test_empty_journal_starts_careful(void **state)
{
	(void)state;
	begin_world(3);
	world.machines[2].server.created_wall_ms = world.now_ms - 30000;
	cs_strbuf_clear(&world.journal);
	measure(1000);
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	assert_int_equal(world.creates, 0);
	check_settled(3); /* published again */
}

static void test_missing_tag_is_repaired(void **state)
{
	(void)state;
	begin_world(2);
	cs_strings_done(&world.machines[1].server.tags);
	measure(400);
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	assert_string_equal(world.machines[1].server.tags.items[0], "clusterscale:web");
}

/* By hand. */

static void test_orders(void **state)
{
	(void)state;
	begin_world(2);
	assert_int_equal(order(CS_SCALE_CREATE, 2, NULL), CS_SCALE_CONVERGED);
	check_settled(4);
	assert_int_equal(order(CS_SCALE_CREATE, 2, NULL), CS_SCALE_REFUSED);
	assert_true(said("cannot create 2: max 5 and 4 exist: room for 1"));
	assert_int_equal(order(CS_SCALE_TO, 4, NULL), CS_SCALE_CONVERGED);
	assert_int_equal(order(CS_SCALE_TO, 3, NULL), CS_SCALE_CONVERGED);
	check_settled(3);
	assert_int_equal(order(CS_SCALE_DELETE, 2, NULL), CS_SCALE_REFUSED);
	assert_int_equal(order(CS_SCALE_DELETE, 1, NULL), CS_SCALE_CONVERGED);
	check_settled(2);
	assert_int_equal(world.creates, 2);
	assert_int_equal(world.deletes, 2);
}

static void test_creates_that_take_long_are_waited_for(void **state)
{
	(void)state;
	begin_world(1);
	world.create_ms = 20000;
	assert_int_equal(order(CS_SCALE_CREATE, 4, NULL), CS_SCALE_CONVERGED);
	check_settled(5);
}

static void test_order_to_delete_one_server(void **state)
{
	(void)state;
	begin_world(4);
	cs_strset(&world.machines[0].server.name, "first");
	cs_strset(&world.machines[1].server.mark_cluster, NULL);
	world.machines[2].server.locked = true;
	assert_int_equal(order(CS_SCALE_DELETE, 0, "nobody"), CS_SCALE_REFUSED);
	assert_true(said("no server of the cluster has the name or id 'nobody'"));
	assert_int_equal(order(CS_SCALE_DELETE, 0, "old"), CS_SCALE_REFUSED);
	assert_true(said("2 servers have the name 'old'; say which id:"));
	assert_int_equal(
		order(CS_SCALE_DELETE, 0, world.machines[1].server.id), CS_SCALE_REFUSED);
	assert_int_equal(
		order(CS_SCALE_DELETE, 0, world.machines[2].server.id), CS_SCALE_REFUSED);
	assert_true(said("is not deleted: it is locked (openstack server unlock"));
	assert_int_equal(world.deletes, 0);
	assert_int_equal(order(CS_SCALE_DELETE, 0, "first"), CS_SCALE_CONVERGED);
	assert_false(world.machines[0].exists);
	assert_int_equal(world.deletes, 1);
}

/* Every step, ended and failed. */

static const struct {
	const char *name;
	story *begin;
	int creates, deletes; /* of an undisturbed run */
	size_t least, most;   /* servers in the end */
} stories[] = {
	{"up", story_up, 1, 0, 2, 3},
	{"down", story_down, 0, 1, 2, 3},
	{"error", story_error, 1, 1, 2, 2},
	{"fill", story_fill, 2, 0, 0, 2},
	{"take back", story_take_back, 0, 0, 2, 3},
	{"replace", story_replace, 3, 3, 3, 4},
};

/* After the end of one process at call k, another one finishes: nothing is lost, doubled
 * or deleted in error. */
static void crash_story(size_t which, enum crash crash)
{
	int k = 1;

	for (bool more = true; more; k++) {
		stories[which].begin();
		world.crash = crash;
		world.crash_at = k;
		run();
		more = world.calls >= k;
		world.dead = false;
		world.crash = CRASH_NEVER;
		world.next_fails = false;
		world.measured = false;
		enum cs_scale_outcome outcome = finish();
		if (outcome != CS_SCALE_CONVERGED && outcome != CS_SCALE_FAILED)
			fail_msg("%s, call %d: outcome %d\n%s", stories[which].name, k,
				(int)outcome, cs_strbuf_text(&world.log));
		assert_true(existing() >= stories[which].least);
		assert_true(existing() <= stories[which].most);
		assert_true(world.creates <= stories[which].creates);
		/* Only the drain of "take back" may end in a delete after all. */
		assert_true(world.deletes <= stories[which].deletes + (which == 4));
		check_settled(existing());
	}
	if (k < 10)
		fail_msg("%s: only %d calls", stories[which].name, k);
}

static void test_a_crash_at_every_call_converges(void **state)
{
	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(stories); i++) {
		crash_story(i, CRASH_BEFORE);
		crash_story(i, CRASH_AFTER);
	}
}

/* One call fails, or loses its answer, and the world works again. */
static void fail_story(size_t which, enum crash crash)
{
	int calls = 1000;

	for (int k = 1; k <= calls; k++) {
		stories[which].begin();
		world.crash = crash;
		world.crash_at = k;
		run();
		if (world.calls < k)
			calls = world.calls;
		world.crash = CRASH_NEVER;
		world.measured = false;
		world.next_fails = false;
		enum cs_scale_outcome outcome = finish();
		if (outcome != CS_SCALE_CONVERGED && outcome != CS_SCALE_FAILED)
			fail_msg("%s, call %d: outcome %d\n%s", stories[which].name, k,
				(int)outcome, cs_strbuf_text(&world.log));
		assert_true(existing() >= stories[which].least);
		assert_true(existing() <= stories[which].most);
		assert_true(world.creates <= stories[which].creates);
		check_settled(existing());
	}
	if (calls < 10 || calls == 1000)
		fail_msg("%s: %d calls", stories[which].name, calls);
}

static void test_a_failure_of_every_call_is_survived(void **state)
{
	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(stories); i++) {
		fail_story(i, FAIL_ONCE);
		fail_story(i, LOSE_ONCE);
	}
}

static size_t existing_of(const char *image)
{
	size_t n = 0;

	for (size_t i = 0; i < world.n; i++)
		n += world.machines[i].exists &&
		     strcmp(world.machines[i].server.image_id, image) == 0;
	return n;
}

static void test_replacing_goes_on_after_a_crash_at_every_call(void **state)
{
	int calls = 1000;

	(void)state;
	for (int k = 1; k <= calls; k++) {
		story_replace();
		world.crash = k % 2 ? CRASH_BEFORE : CRASH_AFTER;
		world.crash_at = k;
		run();
		if (world.calls < k)
			calls = world.calls;
		world.dead = false;
		world.crash = CRASH_NEVER;
		/* the first may end a create that was never carried out as failed */
		for (int i = 0; i < 2; i++) {
			measure(400);
			run();
		}
		if (existing_of("newer") != 3 || existing() != 3)
			fail_msg("call %d: %zu of %zu\n%s", k, existing_of("newer"),
				existing(), cs_strbuf_text(&world.log));
		if (world.creates != 3 || world.deletes != 3)
			fail_msg("call %d: %d creates, %d deletes\n%s", k, world.creates,
				world.deletes, cs_strbuf_text(&world.log));
		check_settled(3);
	}
	if (calls < 100 || calls == 1000)
		fail_msg("%d calls", calls);
}

static void test_an_image_that_does_not_boot_replaces_nothing(void **state)
{
	(void)state;
	story_replace();
	cluster.rolling.max_unavailable = 1;
	world.next_fails = true;
	for (int i = 0; i < 6; i++) {
		measure(400);
		run();
		world.now_ms += 10000;
	}
	assert_int_equal(world.creates, 3); /* then the breaker */
	assert_int_equal(world.deletes, 3); /* of these */
	assert_int_equal(existing_of("image"), 3);
	check_settled(3);
}

static void test_without_the_section_nothing_is_replaced(void **state)
{
	(void)state;
	story_replace();
	cluster.rolling = (struct cs_rolling_spec){.max_surge = 1};
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	assert_int_equal(world.creates + world.deletes, 0);
	measure(0);
	cluster.policy.window_ms = 0;
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	assert_int_equal(existing_of("image"), 2); /* though who is old goes first */
	assert_true(journal_has("\"action\":\"delete\"", "; chosen: "));
}

static void test_the_load_comes_before_replacing(void **state)
{
	(void)state;
	story_replace();
	cluster.max = 5;
	measure(900);
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	/* one more for the load, which is the first new one; then the others */
	assert_int_equal(existing(), 4);
	assert_int_equal(existing_of("image"), 0);
	assert_false(journal_has("more are wanted", ""));
}

static void test_a_drain_of_an_old_server_is_taken_back_last(void **state)
{
	(void)state;
	story_replace();
	world.image = "image";
	begin_world(4);
	cs_strset(&world.machines[3].server.image_id, "older");
	for (size_t i = 2; i < 4; i++)
		line("\"type\":\"intent\",\"op\":\"00000000-0000-4000-8000-00000000000%"
		     "zu\","
		     "\"action\":\"delete\",\"server_id\":\"%s\"",
			i, world.machines[i].server.id);
	cs_strset(&world.machines[2].server.mark_draining, "1699999990000");
	cs_strset(&world.machines[3].server.mark_draining, "1699999999000");
	cluster.policy.cool_down_up_ms = 0;
	measure(900);
	world.drain_sessions = world.machines[2].sessions = world.machines[3].sessions =
		4;
	assert_int_equal(run(), CS_SCALE_CONVERGED);
	assert_null(world.machines[2].server.mark_draining);
	assert_true(world.machines[2].exists);
	assert_false(world.machines[3].exists);
}

static void test_lost_create_answer_gives_exactly_one_server(void **state)
{
	(void)state;
	story_up();
	world.crash = LOSE_ONCE;
	/* find the call of the create */
	for (world.crash_at = 1; world.creates == 0; world.crash_at++) {
		int at = world.crash_at;

		story_up();
		world.crash = LOSE_ONCE;
		world.crash_at = at;
		run();
		if (world.creates && said("whether it exists will be seen by its mark"))
			break;
		world.creates = 0;
		world.crash_at = at;
	}
	assert_int_equal(world.creates, 1);
	assert_true(said("is the one whose answer was lost, by its mark"));
	check_settled(3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_to_do),
		cmocka_unit_test(test_an_order_ends_with_its_last_server),
		cmocka_unit_test(test_scale_up),
		cmocka_unit_test(test_one_measurement_one_action),
		cmocka_unit_test(test_scale_down_drains_first),
		cmocka_unit_test(test_without_load_balancers),
		cmocka_unit_test(test_filling_to_min_needs_no_measurement),
		cmocka_unit_test(test_no_measurement_is_a_refusal),
		cmocka_unit_test(test_finish_only_begins_nothing),
		cmocka_unit_test(test_error_build_is_removed),
		cmocka_unit_test(test_build_that_never_ends_is_removed),
		cmocka_unit_test(test_a_late_build_is_looked_at_less_often),
		cmocka_unit_test(test_server_that_never_answers_is_drained_and_removed),
		cmocka_unit_test(test_server_of_somebody_else_is_not_waited_for_long),
		cmocka_unit_test(test_quota_fails_once_in_a_run),
		cmocka_unit_test(test_three_failures_hold_creates),
		cmocka_unit_test(test_zones_are_balanced),
		cmocka_unit_test(test_no_valid_host_tries_the_next_zone),
		cmocka_unit_test(
			test_a_zone_that_fails_is_left_alone_until_it_may_be_tried),
		cmocka_unit_test(test_where_every_zone_fails_the_run_ends),
		cmocka_unit_test(test_partial_list_changes_nothing),
		cmocka_unit_test(test_order_outlives_a_partial_list),
		cmocka_unit_test(test_what_cannot_be_recorded_is_not_done),
		cmocka_unit_test(test_report_older_than_the_mark_does_not_count),
		cmocka_unit_test(test_list_that_fails_while_work_is_open_is_tried_again),
		cmocka_unit_test(test_server_deleted_by_somebody_else_is_noticed),
		cmocka_unit_test(test_load_comes_back_during_a_drain),
		cmocka_unit_test(test_unreachable_load_balancer_leaves_work_open),
		cmocka_unit_test(test_person_does_not_wait_for_what_stays_broken),
		cmocka_unit_test(test_nothing_is_created_that_nobody_would_serve),
		cmocka_unit_test(test_held_create_does_not_hinder_open_work),
		cmocka_unit_test(
			test_first_server_needs_no_load_balancer_that_has_servers),
		cmocka_unit_test(test_what_the_configuration_names_wrongly_is_a_refusal),
		cmocka_unit_test(
			test_server_that_is_not_served_like_the_others_is_removed),
		cmocka_unit_test(test_load_balancers_that_fail_cost_no_server),
		cmocka_unit_test(test_one_load_balancer_that_fails_holds_nothing),
		cmocka_unit_test(test_load_balancers_that_serve_nobody_cost_no_server),
		cmocka_unit_test(test_drain_of_another_journal_is_finished),
		cmocka_unit_test(test_drain_of_an_unfinished_create_is_taken_back),
		cmocka_unit_test(test_mark_without_a_usable_time_is_written_anew),
		cmocka_unit_test(test_drain_below_min_is_taken_back),
		cmocka_unit_test(test_empty_journal_starts_careful),
		cmocka_unit_test(test_missing_tag_is_repaired),
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_creates_that_take_long_are_waited_for),
		cmocka_unit_test(test_order_to_delete_one_server),
		cmocka_unit_test(test_replacing_goes_on_after_a_crash_at_every_call),
		cmocka_unit_test(test_an_image_that_does_not_boot_replaces_nothing),
		cmocka_unit_test(test_without_the_section_nothing_is_replaced),
		cmocka_unit_test(test_the_load_comes_before_replacing),
		cmocka_unit_test(test_a_drain_of_an_old_server_is_taken_back_last),
		cmocka_unit_test(test_lost_create_answer_gives_exactly_one_server),
		cmocka_unit_test(test_a_crash_at_every_call_converges),
		cmocka_unit_test(test_a_failure_of_every_call_is_survived),
	};
	setenv("TZ", "UTC", 1);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	end_world();
	return failed;
}
