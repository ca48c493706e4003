/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "domain/plan.h"

#define NOW_MS 1700000000000
#define OP(n) "00000000-0000-4000-8000-00000000000" #n
#define ID(n) "aaaaaaaa-0000-4000-8000-00000000000" #n

/* A server as a case writes it down; ACTIVE, ours and tagged unless it says otherwise. */
struct spec {
	const char *id, *status, *task;
	const char *op;
	int64_t age_s;
	bool unmarked, untagged, draining, locked;
};

struct cloud {
	struct cs_cluster cluster;
	struct cs_journal journal;
	struct cs_fleet_view view;
	struct cs_plan_input in;
	struct cs_plan plan;
};

static void make_server(struct cs_server *server, const struct spec *spec)
{
	*server = (struct cs_server){.id = cs_strdup(spec->id),
		.name = cs_strdup("web"),
		.status = cs_strdup(spec->status ? spec->status : "ACTIVE"),
		.image_id = cs_strdup("image"),
		.flavor = cs_strdup("flavor"),
		.created_wall_ms = NOW_MS - spec->age_s * 1000,
		.locked = spec->locked};
	cs_strset(&server->task_state, spec->task);
	cs_strset(&server->mark_op, spec->op);
	if (!spec->unmarked)
		server->mark_cluster = cs_strdup("web");
	if (!spec->untagged)
		cs_strings_add(&server->tags, "clusterscale:web");
	if (spec->draining)
		server->mark_draining = cs_asprintf("%lld", NOW_MS - 1000LL);
	server->addresses = cs_calloc(1, sizeof *server->addresses);
	server->addresses[0] = (struct cs_server_address){
		.network = cs_strdup("net"), .ip = cs_strdup("10.0.0.1"), .version = 4};
	server->n_addresses = 1;
}

/* Journal lines of `seconds` ago: INTENT(...) and alike. */
static void add_lines(struct cs_journal *journal, const char *lines)
{
	struct cs_stamp now = {.wall_ms = NOW_MS};
	struct cs_error err;

	if (cs_journal_fold(lines, strlen(lines), "test", &now, journal, &err) < 0)
		fail_msg("%s", err.message);
}

static void make(struct cloud *cloud, const struct spec *specs, size_t n)
{
	*cloud = (struct cloud){
		.cluster = {.name = (char *)"web",
			.max = 20,
			.servers = {.adopt_image = true, .build_timeout_ms = 600000},
			.policy = {.deletes_per_hour = 20}}};
	cloud->view.list.servers = cs_calloc(n + 1, sizeof *cloud->view.list.servers);
	cloud->view.list.n = n;
	for (size_t i = 0; i < n; i++)
		make_server(&cloud->view.list.servers[i], &specs[i]);
	cs_members_select(
		&cloud->view.list, &cloud->cluster, "image", NULL, &cloud->view.members);
	cloud->in = (struct cs_plan_input){.cluster = &cloud->cluster,
		.view = &cloud->view,
		.journal = &cloud->journal,
		.now = {.wall_ms = NOW_MS}};
}

static void done(struct cloud *cloud)
{
	cs_plan_done(&cloud->plan);
	cs_fleet_view_done(&cloud->view);
	cs_journal_done(&cloud->journal);
}

#define LINE(ago_s, rest) "{\"t\":" #ago_s ",\"bt\":0,\"boot\":\"\"," rest "}\n"
/* t counts from the epoch; 1700000000000 - 30000 is 1699999970000 */
#define T30 1699999970000
#define T181 1699999819000
#define T601 1699999399000
#define CREATE(t, op) \
	LINE(t, "\"type\":\"intent\",\"action\":\"create\",\"op\":\"" op "\"")
#define REQUEST(t, op, id) \
	LINE(t, "\"type\":\"request\",\"op\":\"" op "\",\"server_id\":\"" id "\"")
#define DELETE(t, op, id)                                                      \
	LINE(t, "\"type\":\"intent\",\"action\":\"delete\",\"op\":\"" op "\"," \
		"\"server_id\":\"" id "\"")
#define PUBLISHED(id) LINE(1, "\"type\":\"published\",\"server_id\":\"" id "\"")
#define KNOWN(id) LINE(1, "\"type\":\"known\",\"server_id\":\"" id "\"")

static const char *kind_text(enum cs_step_kind kind)
{
	static const char *const texts[] = {"PROVE_GONE", "DISPROVE", "NOTE_ID", "WAIT",
		"PUBLISH", "FAIL", "REMOVE", "EXCESS", "ADOPT_DRAIN", "MARK", "DRAIN",
		"DELETE", "DROP", "TAG", "UNDRAIN", "CREATE", "CHOOSE", "REAP"};

	return texts[kind];
}

static char *steps_text(const struct cs_plan *plan)
{
	struct cs_strbuf text = CS_STRBUF(4096);

	cs_strbuf_add(&text, "");
	for (size_t i = 0; i < plan->n; i++) {
		const struct cs_step *step = &plan->steps[i];

		cs_strbuf_addf(&text, "%s%s", i ? " " : "", kind_text(step->kind));
		if (step->server_id)
			cs_strbuf_addf(&text, ":%s",
				step->server_id + strlen(step->server_id) - 1);
	}
	char *taken = cs_strdup(cs_strbuf_text(&text));
	cs_strbuf_done(&text);
	return taken;
}

/* One server (or none) against one journal. */
struct one {
	const char *name;
	struct spec spec; /* id NULL: the list is empty */
	const char *journal;
	const char *steps;
	int64_t active, building, draining, exists, deletable;
};

static void check_one(const struct one *one)
{
	struct cloud cloud;
	struct cs_census census;

	make(&cloud, &one->spec, one->spec.id != NULL);
	add_lines(&cloud.journal, one->journal);
	cs_plan_open(&cloud.in, &cloud.plan);
	cs_plan_count(&cloud.in, &cloud.plan, &census);
	CS_AUTO_FREE char *steps = steps_text(&cloud.plan);
	if (strcmp(steps, one->steps) != 0)
		fail_msg("%s: steps '%s', not '%s'", one->name, steps, one->steps);
	if (census.active != one->active || census.building != one->building ||
		census.draining != one->draining || census.exists != one->exists ||
		census.deletable != one->deletable)
		fail_msg(
			"%s: %lld active, %lld building, %lld draining, %lld exist, %lld "
			"deletable",
			one->name, (long long)census.active, (long long)census.building,
			(long long)census.draining, (long long)census.exists,
			(long long)census.deletable);
	done(&cloud);
}

#define CHECK_ALL(cases)                                          \
	do {                                                      \
		for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) \
			check_one(&(cases)[i]);                   \
	} while (0)

static void test_settled_servers(void **state)
{
	static const struct one cases[] = {
		{"in service", {.id = ID(1)}, PUBLISHED(ID(1)), "", 1, 0, 0, 1, 1},
		{"never published", {.id = ID(1)}, "", "PUBLISH:1", 1, 0, 0, 1, 1},
		{"unmarked, of the image", {.id = ID(1), .unmarked = true},
			PUBLISHED(ID(1)), "", 1, 0, 0, 1, 0},
		{"unmarked and new", {.id = ID(1), .unmarked = true}, "", "PUBLISH:1", 1,
			0, 0, 1, 0},
		{"locked", {.id = ID(1), .locked = true}, PUBLISHED(ID(1)), "", 1, 0, 0,
			1, 0},
		{"without tag", {.id = ID(1), .untagged = true}, PUBLISHED(ID(1)),
			"TAG:1", 1, 0, 0, 1, 1},
		{"somebody builds", {.id = ID(1), .status = "BUILD", .age_s = 599}, "",
			"WAIT:1", 0, 1, 0, 1, 1},
		{"and never ends", {.id = ID(1), .status = "BUILD", .age_s = 600}, "", "",
			0, 0, 0, 1, 0},
		{"being deleted", {.id = ID(1), .status = "ACTIVE", .task = "deleting"},
			PUBLISHED(ID(1)), "", 0, 0, 0, 1, 0},
		{"stopped", {.id = ID(1), .status = "SHUTOFF"}, PUBLISHED(ID(1)), "", 0,
			0, 0, 1, 0},
		{"ERROR, was in service", {.id = ID(1), .status = "ERROR"},
			PUBLISHED(ID(1)), "", 0, 0, 0, 1, 1},
		{"ERROR, not from here", {.id = ID(1), .status = "ERROR"}, "", "", 0, 0,
			0, 1, 1},
		{"ERROR, a build from here", {.id = ID(1), .status = "ERROR"},
			KNOWN(ID(1)), "REMOVE:1", 0, 0, 0, 1, 1},
		{"ERROR and locked", {.id = ID(1), .status = "ERROR", .locked = true},
			KNOWN(ID(1)), "", 0, 0, 0, 1, 0},
		{"a drain is found", {.id = ID(1), .draining = true}, PUBLISHED(ID(1)),
			"ADOPT_DRAIN:1", 0, 0, 1, 1, 0},
		{"a locked drain is left",
			{.id = ID(1), .draining = true, .locked = true}, PUBLISHED(ID(1)),
			"", 0, 0, 0, 1, 0},
		{"an unmarked drain is left",
			{.id = ID(1), .draining = true, .unmarked = true},
			PUBLISHED(ID(1)), "", 0, 0, 0, 1, 0},
		{"not listed any more", {.id = NULL}, PUBLISHED(ID(1)), "PROVE_GONE:1", 0,
			0, 0, 1, 0},
	};

	(void)state;
	CHECK_ALL(cases);
}

static void test_creates(void **state)
{
	static const char asked[] = CREATE(T30, OP(1)) REQUEST(T30, OP(1), ID(1));
	static const char late[] = CREATE(T601, OP(1)) REQUEST(T601, OP(1), ID(1));
	static const struct one cases[] = {
		{"no answer yet", {.id = NULL}, CREATE(T30, OP(1)), "WAIT", 0, 1, 0, 1,
			0},
		{"no server after the grace", {.id = NULL}, CREATE(T181, OP(1)),
			"DISPROVE", 0, 1, 0, 1, 0},
		{"not listed yet", {.id = NULL}, asked, "WAIT:1", 0, 1, 0, 1, 0},
		{"vanished", {.id = NULL}, late, "PROVE_GONE:1", 0, 1, 0, 1, 0},
		{"the answer was lost", {.id = ID(1), .status = "BUILD", .op = OP(1)},
			CREATE(T181, OP(1)), "NOTE_ID:1 WAIT:1", 0, 1, 0, 1, 1},
		{"and it is ready", {.id = ID(1), .op = OP(1)}, CREATE(T181, OP(1)),
			"NOTE_ID:1 PUBLISH:1", 0, 1, 0, 1, 1},
		{"building", {.id = ID(1), .status = "BUILD", .op = OP(1)}, asked,
			"WAIT:1", 0, 1, 0, 1, 1},
		{"ready", {.id = ID(1), .op = OP(1)}, asked, "PUBLISH:1", 0, 1, 0, 1, 1},
		{"failed", {.id = ID(1), .status = "ERROR", .op = OP(1)}, asked,
			"REMOVE:1", 0, 0, 0, 1, 0},
		{"failed, but locked",
			{.id = ID(1), .status = "ERROR", .op = OP(1), .locked = true},
			asked, "FAIL:1", 0, 0, 0, 1, 0},
		{"builds too long", {.id = ID(1), .status = "BUILD", .op = OP(1)}, late,
			"REMOVE:1", 0, 1, 0, 1, 1},
		{"stopped by somebody", {.id = ID(1), .status = "SHUTOFF", .op = OP(1)},
			asked, "WAIT:1", 0, 0, 0, 1, 0},
		{"and left so", {.id = ID(1), .status = "SHUTOFF", .op = OP(1)}, late,
			"FAIL:1", 0, 0, 0, 1, 0},
		{"drained by somebody", {.id = ID(1), .op = OP(1), .draining = true},
			asked, "ADOPT_DRAIN:1", 0, 0, 1, 1, 0},
		{"lost its mark", {.id = ID(1), .op = NULL, .unmarked = true}, asked,
			"PUBLISH:1", 0, 1, 0, 1, 0},
	};

	(void)state;
	CHECK_ALL(cases);
}

static void test_deletes(void **state)
{
	static const char wanted[] = PUBLISHED(ID(1)) DELETE(T30, OP(1), ID(1));
	static const char both[] =
		CREATE(T181, OP(2)) REQUEST(T181, OP(2), ID(1)) DELETE(T30, OP(1), ID(1));
	static const struct one cases[] = {
		{"not marked yet", {.id = ID(1)}, wanted, "MARK:1", 0, 0, 1, 1, 0},
		{"marked", {.id = ID(1), .draining = true}, wanted, "DRAIN:1", 0, 0, 1, 1,
			0},
		{"asked for",
			{.id = ID(1),
				.status = "ACTIVE",
				.task = "deleting",
				.draining = true},
			wanted, "WAIT:1", 0, 0, 0, 1, 0},
		{"gone", {.id = NULL}, wanted, "PROVE_GONE:1", 0, 0, 0, 1, 0},
		{"failed to be deleted",
			{.id = ID(1), .status = "ERROR", .draining = true}, wanted,
			"DELETE:1", 0, 0, 0, 1, 0},
		{"asked for, and given up by Nova",
			{.id = ID(1), .status = "ERROR", .task = "deleting"}, wanted,
			"DELETE:1", 0, 0, 0, 1, 0},
		{"given up by Nova, and kept",
			{.id = ID(1),
				.status = "ERROR",
				.task = "deleting",
				.locked = true},
			wanted, "DROP:1", 0, 0, 0, 1, 0},
		{"never built", {.id = ID(1), .status = "BUILD"}, both, "DELETE:1", 0, 0,
			0, 1, 0},
		{"stopped", {.id = ID(1), .status = "SHUTOFF"}, wanted, "DELETE:1", 0, 0,
			0, 1, 0},
		{"unknown to Nova", {.id = ID(1), .status = "UNKNOWN"}, wanted, "WAIT:1",
			0, 0, 0, 1, 0},
		{"migrating", {.id = ID(1), .status = "MIGRATING"}, wanted, "WAIT:1", 0,
			0, 0, 1, 0},
		{"locked meanwhile", {.id = ID(1), .draining = true, .locked = true},
			wanted, "DROP:1", 0, 0, 0, 1, 0},
		{"lost our mark", {.id = ID(1), .draining = true, .unmarked = true},
			wanted, "DROP:1", 0, 0, 0, 1, 0},
		{"undoes a create", {.id = ID(1), .status = "ERROR", .op = OP(2)}, both,
			"DELETE:1", 0, 0, 0, 1, 0},
	};

	(void)state;
	CHECK_ALL(cases);
}

static void test_server_without_any_mark_is_given_up_not_deleted(void **state)
{
	static const char journal[] =
		DELETE(T30, OP(1), ID(1)) CREATE(T181, OP(2)) REQUEST(T181, OP(2), ID(2));
	struct spec specs[] = {
		{.id = ID(1), .unmarked = true}, {.id = ID(2), .unmarked = true}};
	struct cs_census census;
	struct cloud cloud;

	(void)state;
	make(&cloud, specs, 2);
	cloud.cluster.servers.adopt_image = false;
	cs_members_done(&cloud.view.members);
	cs_members_select(
		&cloud.view.list, &cloud.cluster, "image", NULL, &cloud.view.members);
	add_lines(&cloud.journal, journal);
	cs_plan_open(&cloud.in, &cloud.plan);
	CS_AUTO_FREE char *steps = steps_text(&cloud.plan);
	assert_string_equal(steps, "DROP:1 DROP:2");
	cs_plan_count(&cloud.in, &cloud.plan, &census);
	assert_int_equal(census.exists, 2); /* they still cost */
	done(&cloud);
}

static void test_removals_keep_the_budget(void **state)
{
	static const char journal[] = KNOWN(ID(1)) KNOWN(ID(2)) KNOWN(ID(3))
		DELETE(T30, OP(1), ID(4)) CREATE(T30, OP(5)) REQUEST(T30, OP(5), ID(5));
	struct spec specs[] = {{.id = ID(1), .status = "ERROR", .age_s = 4},
		{.id = ID(2), .status = "ERROR", .age_s = 3},
		{.id = ID(3), .status = "ERROR", .age_s = 2},
		{.id = ID(4), .draining = true, .age_s = 1},
		{.id = ID(5), .status = "ERROR", .op = OP(5)}};
	struct cloud cloud;

	(void)state;
	make(&cloud, specs, CS_ARRAY_SIZE(specs));
	cloud.cluster.policy.deletes_per_hour = 3;
	add_lines(&cloud.journal, journal);
	cs_plan_open(&cloud.in, &cloud.plan);
	CS_AUTO_FREE char *steps = steps_text(&cloud.plan);
	assert_string_equal(steps, "REMOVE:1 REMOVE:2 DRAIN:4 FAIL:5");
	done(&cloud);
}

static void test_victims_are_ours_error_unpublished_youngest(void **state)
{
	static const char journal[] =
		PUBLISHED(ID(1)) PUBLISHED(ID(2)) PUBLISHED(ID(3)) PUBLISHED(ID(4))
			PUBLISHED(ID(5)) PUBLISHED(ID(7)) DELETE(T30, OP(1), ID(7));
	struct spec specs[] = {
		{.id = ID(1), .age_s = 100},
		{.id = ID(2), .age_s = 10}, /* the youngest in service */
		{.id = ID(3), .age_s = 5, .unmarked = true},
		{.id = ID(4), .age_s = 4, .locked = true},
		{.id = ID(5), .status = "ERROR", .age_s = 200},
		{.id = ID(6), .age_s = 300}, /* never published */
		{.id = ID(7), .age_s = 1},   /* going already */
		{.id = ID(8), .status = "BUILD", .age_s = 0},
	};
	struct cs_victim victims[9];
	struct cloud cloud;

	(void)state;
	make(&cloud, specs, CS_ARRAY_SIZE(specs));
	add_lines(&cloud.journal, journal);
	assert_int_equal(cs_plan_victims(&cloud.in, 9, victims), 5);
	assert_string_equal(victims[0].member->server->id, ID(5));
	assert_string_equal(victims[1].member->server->id, ID(8));
	assert_string_equal(victims[2].member->server->id, ID(6));
	assert_string_equal(victims[3].member->server->id, ID(2));
	assert_string_equal(victims[4].member->server->id, ID(1));
	assert_int_equal(cs_plan_victims(&cloud.in, 1, victims), 1);
	assert_int_equal(cs_plan_victims(&cloud.in, 0, victims), 0);

	struct cs_decision decision = {.remove = 2};
	cs_plan_add_decision(&cloud.in, &decision, &cloud.plan);
	CS_AUTO_FREE char *steps = steps_text(&cloud.plan);
	assert_string_equal(steps, "CHOOSE:5 CHOOSE:8");
	done(&cloud);
}

static void test_one_that_is_coming_goes_before_one_that_serves(void **state)
{
	static const char journal[] = PUBLISHED(ID(1)) CREATE(T30, OP(2))
		REQUEST(T30, OP(2), ID(2)) CREATE(T30, OP(3));
	struct spec specs[] = {{.id = ID(1), .age_s = 100},
		{.id = ID(2), .status = "BUILD", .age_s = 30, .op = OP(2)},
		{.id = ID(3), .age_s = 20, .op = OP(3), .untagged = true}};
	struct cs_decision decision = {.remove = 2};
	struct cloud cloud;

	(void)state;
	make(&cloud, specs, CS_ARRAY_SIZE(specs));
	add_lines(&cloud.journal, journal);
	cs_plan_open(&cloud.in, &cloud.plan);
	CS_AUTO_FREE char *before = steps_text(&cloud.plan);
	assert_string_equal(before, "WAIT:2 NOTE_ID:3 PUBLISH:3 TAG:3");
	cs_plan_add_decision(&cloud.in, &decision, &cloud.plan);
	CS_AUTO_FREE char *steps = steps_text(&cloud.plan);
	assert_string_equal(steps, "CHOOSE:3 CHOOSE:2");
	assert_string_equal(cloud.plan.steps[0].op->op, OP(3));
	assert_string_equal(cloud.plan.steps[1].op->op, OP(2));
	assert_true(cs_plan_is_serving(&cloud.in, &cloud.view.members.items[0]));
	assert_false(cs_plan_is_serving(&cloud.in, &cloud.view.members.items[2]));
	done(&cloud);
}

static void test_youngest_drain_comes_back_and_loses_its_steps(void **state)
{
	static const char journal[] = PUBLISHED(ID(1)) PUBLISHED(ID(2)) PUBLISHED(ID(3))
		DELETE(T181, OP(1), ID(1)) DELETE(T30, OP(2), ID(2))
			DELETE(T30, OP(3), ID(3));
	struct spec specs[] = {{.id = ID(1), .draining = true, .age_s = 3},
		{.id = ID(2), .draining = true, .age_s = 2},
		{.id = ID(3), .age_s = 1, .untagged = true}};
	struct cs_decision decision = {.undrain = 2, .create = 1};
	struct cloud cloud;

	(void)state;
	make(&cloud, specs, CS_ARRAY_SIZE(specs));
	cs_strset(&cloud.view.list.servers[0].mark_draining, "1699999999000");
	cs_strset(&cloud.view.list.servers[1].mark_draining, "1699999999001");
	cs_members_done(&cloud.view.members);
	cs_members_select(
		&cloud.view.list, &cloud.cluster, "image", NULL, &cloud.view.members);
	add_lines(&cloud.journal, journal);
	cs_plan_open(&cloud.in, &cloud.plan);
	CS_AUTO_FREE char *before = steps_text(&cloud.plan);
	assert_string_equal(before, "DRAIN:1 DRAIN:2 MARK:3 TAG:3");
	cs_plan_add_decision(&cloud.in, &decision, &cloud.plan);
	CS_AUTO_FREE char *steps = steps_text(&cloud.plan);
	assert_string_equal(steps, "DRAIN:1 UNDRAIN:3 UNDRAIN:2 CREATE");
	assert_string_equal(cloud.plan.steps[1].op->op, OP(3));
	done(&cloud);
}

static void test_nova_says_how_many_were_created(void **state)
{
	struct spec specs[] = {{.id = ID(1), .age_s = 3601}, {.id = ID(2), .age_s = 3599},
		{.id = ID(3), .age_s = 7, .unmarked = true}, {.id = ID(4), .age_s = -50}};
	struct cs_census census;
	struct cloud cloud;

	(void)state;
	make(&cloud, specs, CS_ARRAY_SIZE(specs));
	cs_plan_open(&cloud.in, &cloud.plan);
	cs_plan_count(&cloud.in, &cloud.plan, &census);
	assert_int_equal(census.created_last_hour, 2);
	assert_int_equal(census.last_created_wall_ms, NOW_MS + 50000);
	done(&cloud);
}

static void test_repairs_are_not_open_work(void **state)
{
	struct spec specs[] = {{.id = ID(1), .untagged = true}};
	struct cloud cloud;

	(void)state;
	make(&cloud, specs, 1);
	add_lines(&cloud.journal, PUBLISHED(ID(1)));
	cs_plan_open(&cloud.in, &cloud.plan);
	assert_int_equal(cloud.plan.n, 1);
	assert_int_equal(cs_plan_open_work(&cloud.plan), 0);
	cs_plan_add(&cloud.plan, (struct cs_step){.kind = CS_STEP_WAIT});
	assert_int_equal(cs_plan_open_work(&cloud.plan), 1);
	done(&cloud);
}

/* Two of three, by creation: what is in service stays, of the rest the newest goes. */
static void test_excess_is_removed_by_its_creator(void **state)
{
	static const struct {
		const char *name, *journal, *status, *steps;
	} cases[] = {
		{"all in service", PUBLISHED(ID(1)) PUBLISHED(ID(2)) PUBLISHED(ID(3)),
			"ACTIVE", ""},
		{"ours is the newest",
			PUBLISHED(ID(1)) PUBLISHED(ID(2)) CREATE(T30, OP(1))
				REQUEST(T30, OP(1), ID(3)),
			"BUILD", "EXCESS:3"},
		{"ours is ACTIVE already",
			PUBLISHED(ID(1)) PUBLISHED(ID(2)) CREATE(T30, OP(1))
				REQUEST(T30, OP(1), ID(3)),
			"ACTIVE", "EXCESS:3"},
		{"ours is older, the newest is not ours",
			PUBLISHED(ID(1)) CREATE(T30, OP(1)) REQUEST(T30, OP(1), ID(2)),
			"ACTIVE", "PUBLISH:2"},
		{"ours is older, and the others are in service",
			PUBLISHED(ID(1)) PUBLISHED(ID(3)) CREATE(T30, OP(1))
				REQUEST(T30, OP(1), ID(2)),
			"ACTIVE", "EXCESS:2"},
		{"it is removed already",
			PUBLISHED(ID(1)) PUBLISHED(ID(2)) CREATE(T30, OP(1))
				REQUEST(T30, OP(1), ID(3)) DELETE(T30, OP(2), ID(3)),
			"BUILD", "DELETE:3"},
	};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) {
		struct spec specs[] = {{.id = ID(1), .age_s = 1000},
			{.id = ID(2), .age_s = 31},
			{.id = ID(3), .age_s = 30, .status = cases[i].status}};
		struct cloud cloud;

		make(&cloud, specs, CS_ARRAY_SIZE(specs));
		cloud.cluster.max = 2;
		add_lines(&cloud.journal, cases[i].journal);
		cs_plan_open(&cloud.in, &cloud.plan);
		CS_AUTO_FREE char *steps = steps_text(&cloud.plan);
		if (strcmp(steps, cases[i].steps) != 0)
			fail_msg("%s: '%s'", cases[i].name, steps);
		done(&cloud);
	}
}

/* The zones of three creates, in order. */
static void test_zones_are_balanced(void **state)
{
#define CREATE_IN(t, op, zone)                                           \
	LINE(t, "\"type\":\"intent\",\"action\":\"create\",\"op\":\"" op \
		"\",\"zone\":\"" zone "\"")
#define FAILED(t, op)                                                    \
	LINE(t, "\"type\":\"result\",\"action\":\"create\",\"op\":\"" op \
		"\",\"outcome\":\"failed\"")
#define FAIL_IN(t, zone) CREATE_IN(t, OP(9), zone) FAILED(t, OP(9))
/* 1700000000000 less 901 s */
#define T901 1699999099000
	static const struct {
		const char *name, *zone, *journal, *zones;
	} cases[] = {
		{"one is in a", "a", PUBLISHED(ID(1)), "b a b"},
		{"one is in a zone that is not configured", "c", PUBLISHED(ID(1)),
			"a b a"},
		{"one builds in a, Nova does not say so", NULL,
			CREATE_IN(T30, OP(1), "a") REQUEST(T30, OP(1), ID(1)), "b a b"},
		{"one is not listed yet", "c",
			PUBLISHED(ID(1)) CREATE_IN(T30, OP(1), "a"), "b a b"},
		{"one failed in b", "a", PUBLISHED(ID(1)) FAIL_IN(T30, "b"), "a a a"},
		{"long ago", "a", PUBLISHED(ID(1)) FAIL_IN(T901, "b"), "b a b"},
		{"both failed, b more often", "a",
			FAIL_IN(T30, "a") FAIL_IN(T30, "b") FAIL_IN(T30, "b"), "a a a"},
		{"three failed in b long ago: it waits", "c",
			FAIL_IN(T901, "b") FAIL_IN(T901, "b") FAIL_IN(T901, "b"),
			"a a a"},
		{"everywhere: it gets one", "c",
			FAIL_IN(T30, "a") FAIL_IN(T30, "a") FAIL_IN(T30, "a")
				FAIL_IN(T901, "b") FAIL_IN(T901, "b") FAIL_IN(T901, "b"),
			"b a a"},
	};
	static char *zones[] = {(char *)"a", (char *)"b", NULL};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) {
		struct spec spec = {.id = ID(1), .age_s = 40};
		struct cs_decision decision = {.create = 3};
		struct cs_strbuf text = CS_STRBUF(100);
		struct cloud cloud;

		make(&cloud, &spec, 1);
		cs_strset(&cloud.view.list.servers[0].zone, cases[i].zone);
		cloud.cluster.servers.availability_zones =
			(struct cs_strings){.items = zones, .n = 2};
		add_lines(&cloud.journal, cases[i].journal);
		cs_plan_add_decision(&cloud.in, &decision, &cloud.plan);
		for (size_t k = 0; k < cloud.plan.n; k++)
			cs_strbuf_addf(
				&text, "%s%s", k ? " " : "", cloud.plan.steps[k].zone);
		if (strcmp(cs_strbuf_text(&text), cases[i].zones) != 0)
			fail_msg("%s: %s", cases[i].name, cs_strbuf_text(&text));
		cs_strbuf_done(&text);
		done(&cloud);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settled_servers),
		cmocka_unit_test(test_creates),
		cmocka_unit_test(test_deletes),
		cmocka_unit_test(test_server_without_any_mark_is_given_up_not_deleted),
		cmocka_unit_test(test_removals_keep_the_budget),
		cmocka_unit_test(test_victims_are_ours_error_unpublished_youngest),
		cmocka_unit_test(test_one_that_is_coming_goes_before_one_that_serves),
		cmocka_unit_test(test_youngest_drain_comes_back_and_loses_its_steps),
		cmocka_unit_test(test_nova_says_how_many_were_created),
		cmocka_unit_test(test_repairs_are_not_open_work),
		cmocka_unit_test(test_excess_is_removed_by_its_creator),
		cmocka_unit_test(test_zones_are_balanced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
