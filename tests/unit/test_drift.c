/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/deadline.h"
#include "base/strbuf.h"
#include "domain/drift.h"

#define NOW_MS 1700000000000
#define A "aaaaaaaa-0000-4000-8000-000000000001"
#define B "bbbbbbbb-0000-4000-8000-000000000002"

/* Two servers long in service on two load balancers, measured every minute; every case
 * changes one thing. */
struct world {
	struct cs_cluster cluster;
	struct cs_server servers[2];
	struct cs_member members[2];
	const struct cs_member *by_id[2];
	struct cs_fleet_view view;
	struct cs_journal journal;
	struct cs_journal_op op;
	struct cs_measurement measurements[5];
	struct cs_history history;
	struct cs_census census;
	struct cs_decision decision;
	struct cs_lb_server rows[2][2];
	struct cs_lb_status statuses[2];
	struct cs_drift_lb lbs[2];
	struct cs_drift_input in;
	struct cs_drift drift;
};

static void make_server(struct world *w, size_t i, char *id, char *name, const char *ip)
{
	w->servers[i] = (struct cs_server){.id = id,
		.name = name,
		.status = (char *)"ACTIVE",
		.created_wall_ms = NOW_MS - 3600000};
	w->members[i] = (struct cs_member){
		.server = &w->servers[i], .state = CS_MEMBER_ACTIVE, .ours = true};
	snprintf(w->members[i].address, sizeof w->members[i].address, "%s", ip);
}

static void make_lb(struct world *w, size_t i, const char *name)
{
	static const char *const endpoints[] = {"10.0.0.1:80", "10.0.0.2:80"};

	for (size_t k = 0; k < 2; k++)
		w->rows[i][k] = (struct cs_lb_server){.name = w->servers[k].name,
			.id = w->servers[k].id,
			.file = (char *)endpoints[k],
			.running = (char *)endpoints[k],
			.status = (char *)"UP"};
	w->statuses[i] =
		(struct cs_lb_status){.applied = true, .servers = w->rows[i], .n = 2};
	w->lbs[i] = (struct cs_drift_lb){
		.name = name, .asked = true, .status = &w->statuses[i]};
}

static void make(struct world *w)
{
	*w = (struct world){
		.cluster = {
			.name = (char *)"web", .mode = CS_MODE_ACT, .min = 1, .max = 4}};
	w->cluster.servers.build_timeout_ms = 600000;
	w->cluster.cpu.snmp.community_file = (char *)"community";
	w->cluster.policy.max_age_ms = 90000;
	w->cluster.haproxy.port = 80;
	w->cluster.haproxy.drain_timeout_ms = 300000;
	make_server(w, 0, (char *)A, (char *)"web1", "10.0.0.1");
	make_server(w, 1, (char *)B, (char *)"web2", "10.0.0.2");
	w->by_id[0] = &w->members[0];
	w->by_id[1] = &w->members[1];
	w->view.members =
		(struct cs_members){.items = w->members, .n = 2, .by_id = w->by_id};
	w->view.members.by_state[CS_MEMBER_ACTIVE] = 2;
	for (int i = 0; i < 5; i++)
		w->measurements[i].at.wall_ms = NOW_MS - (5 - i) * 60000;
	w->history = (struct cs_history){.items = w->measurements, .n = 5};
	w->census = (struct cs_census){.active = 2, .exists = 2};
	w->decision = (struct cs_decision){.wanted = 2, .desired = 2};
	make_lb(w, 0, "lb1");
	make_lb(w, 1, "lb2");
	w->op = (struct cs_journal_op){
		.op = A, .name = (char *)"web3", .since.wall_ms = NOW_MS - 60000};
	w->in = (struct cs_drift_input){.cluster = &w->cluster,
		.view = &w->view,
		.journal = &w->journal,
		.history = &w->history,
		.auth_url = "http://cloud",
		.project = "p",
		.region = "",
		.census = &w->census,
		.decision = &w->decision,
		.lbs = w->lbs,
		.n_lbs = 2,
		.now.wall_ms = NOW_MS};
}

static void use_zones(struct world *w)
{
	static char *zones[] = {(char *)"a", (char *)"b", NULL};

	w->cluster.servers.availability_zones =
		(struct cs_strings){.items = zones, .n = 2};
}

static void fail_creates(struct world *w, const char *zone, int64_t n)
{
	static struct cs_journal_place place;

	place = (struct cs_journal_place){
		.zone = (char *)zone, .flavor = (char *)"", .failed_in_row = n};
	w->journal.places = &place;
	w->journal.n_places = 1;
}

/* "CRITICAL kind, WARNING kind" */
static void expect(struct world *w, const char *expected)
{
	static const char *const names[] = {"OK", "UNKNOWN", "WARNING", "CRITICAL"};
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(4096);

	cs_drift_find(&w->in, &w->drift);
	for (size_t i = 0; i < w->drift.n; i++)
		cs_strbuf_addf(&text, "%s%s %s", i ? ", " : "",
			names[w->drift.findings[i].severity], w->drift.findings[i].kind);
	assert_string_equal(cs_strbuf_text(&text), expected);
	assert_int_equal(w->drift.worst,
		w->drift.n ? w->drift.findings[0].severity : CS_SEVERITY_OK);
	cs_drift_done(&w->drift);
}

#define CASE(expected, ...)             \
	do {                            \
		struct world w;         \
		make(&w);               \
		__VA_ARGS__;            \
		expect(&w, (expected)); \
	} while (0)

static void test_all_agree(void **state)
{
	(void)state;
	CASE("", (void)0);
	CASE("OK observe", w.cluster.mode = CS_MODE_OBSERVE);
	CASE("OK not-looked-at", w.lbs[1] = (struct cs_drift_lb){.name = "lb2"});
	CASE("UNKNOWN unreachable",
		w.lbs[1] = (struct cs_drift_lb){
			.name = "lb2", .asked = true, .trouble = "no route"});
}

static void test_journal(void **state)
{
	(void)state;
	CASE("CRITICAL journal", w.in.journal_trouble = "line 3 is damaged");
	CASE("WARNING paused", w.journal.paused = true);
	CASE("", fail_creates(&w, "", 2));
	CASE("CRITICAL breaker", fail_creates(&w, "", 3));
	CASE("", fail_creates(&w, "gone", 3));
	CASE("CRITICAL breaker", use_zones(&w); fail_creates(&w, "b", 3));
	CASE("", w.journal.auth_url = (char *)"http://cloud";
		w.journal.project = (char *)"p"; w.journal.region = (char *)"");
	/* what else it says means nothing here */
	CASE("CRITICAL cloud", w.journal.auth_url = (char *)"http://cloud";
		w.journal.project = (char *)"q"; w.journal.region = (char *)"";
		w.journal.paused = true);
}

static void test_open_work(void **state)
{
	(void)state;
	CASE("", w.journal.open = &w.op; w.journal.n_open = 1);
	CASE("CRITICAL open-work", w.journal.open = &w.op; w.journal.n_open = 1;
		w.in.open_age_ms = 59000);
	CASE("", w.journal.open = &w.op; w.journal.n_open = 1;
		w.op.since.wall_ms = NOW_MS - 780000);
	CASE("CRITICAL open-work", w.journal.open = &w.op; w.journal.n_open = 1;
		w.op.since.wall_ms = NOW_MS - 780001);
	CASE("", w.journal.open = &w.op; w.journal.n_open = 1;
		w.op.action = CS_ACTION_DELETE; w.op.since.wall_ms = NOW_MS - 480000);
	CASE("CRITICAL open-work", w.journal.open = &w.op; w.journal.n_open = 1;
		w.op.action = CS_ACTION_DELETE; w.op.since.wall_ms = NOW_MS - 480001);
}

static void test_history(void **state)
{
	(void)state;
	CASE("", w.in.now.wall_ms = NOW_MS + 120000); /* three intervals */
	CASE("CRITICAL history", w.in.now.wall_ms = NOW_MS + 120001);
	CASE("", w.in.now.wall_ms = NOW_MS + 120001; w.in.history_age_ms = 200000);
	/* one long pause is no interval */
	CASE("CRITICAL history", w.measurements[0].at.wall_ms = NOW_MS - 9000000;
		w.in.now.wall_ms = NOW_MS + 120001);
	CASE("", w.history.n = 2; w.in.now.wall_ms = NOW_MS - 240000 + 90000);
	CASE("CRITICAL history", w.history.n = 2;
		w.in.now.wall_ms = NOW_MS - 240000 + 90001);
	CASE("CRITICAL history", w.history.n = 0);
	CASE("CRITICAL history", w.in.history_trouble = "no right to read it");
	CASE("CRITICAL history", w.in.now.wall_ms = NOW_MS - 70000);
	CASE("", w.history.n = 0; w.cluster.cpu.snmp.community_file = NULL);
}

static void test_size(void **state)
{
	(void)state;
	CASE("CRITICAL at-max", w.decision.wanted = 5);
	CASE("", w.decision.wanted = 4);
	CASE("CRITICAL at-max", w.decision.limiters[0] = (struct cs_limiter){"max", 4, 3};
		w.decision.n_limiters = 1);
	CASE("", w.decision.limiters[0] = (struct cs_limiter){"grow-by", 4, 3};
		w.decision.n_limiters = 1);
	CASE("CRITICAL below-min", w.cluster.min = 3);
	CASE("WARNING below-min", w.cluster.min = 3; w.census.building = 1);
	CASE("WARNING above-max", w.census.exists = 5);
}

static void test_members(void **state)
{
	(void)state;
	CASE("WARNING error", w.members[1].state = CS_MEMBER_ERROR);
	CASE("WARNING stopped", w.members[1].state = CS_MEMBER_OTHER);
	CASE("WARNING unknown", w.members[1].state = CS_MEMBER_UNKNOWN;
		w.servers[1].hidden = true);
	CASE("WARNING building", w.members[1].state = CS_MEMBER_BUILDING);
	CASE("", w.members[1].state = CS_MEMBER_BUILDING;
		w.servers[1].created_wall_ms = NOW_MS - 600000);
	CASE("", w.members[1].state = CS_MEMBER_DRAINING;
		w.members[1].draining_since_wall_ms = NOW_MS - 480000);
	CASE("WARNING draining", w.members[1].state = CS_MEMBER_DRAINING;
		w.members[1].draining_since_wall_ms = NOW_MS - 480001);
	CASE("WARNING draining", w.members[1].state = CS_MEMBER_DRAINING;
		w.members[1].draining_since_wall_ms = INT64_MAX / 2);
}

static void test_unserved(void **state)
{
	(void)state;
	CASE("WARNING unserved", w.rows[0][1].status = (char *)"DOWN");
	CASE("CRITICAL unserved, CRITICAL unserved",
		w.rows[0][1].status = (char *)"DOWN 1/2";
		w.statuses[1].n = 1);
	CASE("", w.rows[0][1].status = (char *)"DOWN"; w.statuses[1].n = 1;
		w.servers[1].created_wall_ms = NOW_MS - 600000);
	CASE("", w.rows[0][1].status = (char *)"no check");
	CASE("", w.rows[0][1].status = (char *)"UP 1/3");
	/* maintenance is said at once, also of a young one */
	CASE("WARNING resting", w.rows[0][1].status = (char *)"MAINT";
		w.servers[1].created_wall_ms = NOW_MS);
	CASE("WARNING resting", w.rows[0][1].status = (char *)"DRAIN");
	/* one that drains rests rightly */
	CASE("", w.rows[0][1].status = (char *)"DRAIN";
		w.members[1].state = CS_MEMBER_DRAINING;
		w.members[1].draining_since_wall_ms = NOW_MS - 1000);
	CASE("WARNING not-running, WARNING unserved",
		w.rows[0][1].running = w.rows[0][1].status = NULL);
}

static void test_rows(void **state)
{
	(void)state;
	CASE("CRITICAL ghost", w.view.members.n = 1; w.lbs[1].status = NULL;
		w.lbs[1].asked = false; w.in.n_lbs = 1);
	CASE("WARNING ghost", w.view.members.n = 1; w.in.n_lbs = 1;
		w.rows[0][1].status = (char *)"DOWN");
	CASE("WARNING ghost", w.view.members.n = 1; w.in.n_lbs = 1;
		w.rows[0][1].running = w.rows[0][1].status = NULL);
	CASE("WARNING not-in-file", w.rows[0][1].file = NULL);
	CASE("CRITICAL address", w.rows[0][1].running = (char *)"10.0.0.9:80");
	CASE("CRITICAL address", w.rows[0][1].file = (char *)"10.0.0.2:81");
	CASE("", w.rows[0][1].running = (char *)""); /* the socket hides it */
	/* put there by hand: known by its address */
	CASE("", w.rows[0][1].id = NULL);
	CASE("CRITICAL ghost, WARNING unserved", w.rows[0][1].id = NULL;
		w.rows[0][1].running = (char *)"10.0.0.9:80");
	CASE("WARNING file", w.statuses[0].applied = false);
	CASE("WARNING failed", w.statuses[0].failed = true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_agree),
		cmocka_unit_test(test_journal),
		cmocka_unit_test(test_open_work),
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_unserved),
		cmocka_unit_test(test_rows),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("drift", tests, NULL, NULL);
}
