/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who leaves first: cases, and random fleets against the order as a person would say it.
 */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "domain/plan.h"

#define NOW_MS 1700000000000
#define SERVERS_MAX 20
#define FLEETS 3000

struct fleet {
	struct cs_cluster cluster;
	struct cs_journal journal;
	struct cs_fleet_view view;
	struct cs_plan_evidence evidence;
	struct cs_plan_input in;
};

static void begin(struct fleet *fleet)
{
	*fleet = (struct fleet){
		.cluster = {.name = (char *)"web",
			.servers = {.adopt_image = true, .build_timeout_ms = 600000},
			.policy = {.deletes_per_hour = 1000}},
		.evidence.image_id = cs_strdup("new")};
	fleet->view.list.servers =
		cs_calloc(SERVERS_MAX, sizeof *fleet->view.list.servers);
}

/* ACTIVE, ours, of the new image and the older the earlier; never published. */
static struct cs_server *add(struct fleet *fleet)
{
	size_t i = fleet->view.list.n++;
	struct cs_server *server = &fleet->view.list.servers[i];

	*server =
		(struct cs_server){.id = cs_asprintf("aaaaaaaa-0000-4000-8000-%012zu", i),
			.name = cs_asprintf("web-%zu", i),
			.status = cs_strdup("ACTIVE"),
			.image_id = cs_strdup("new"),
			.flavor = cs_strdup("flavor"),
			.mark_cluster = cs_strdup("web"),
			.created_wall_ms = NOW_MS - (int64_t)(1000 - i) * 1000,
			.addresses = cs_calloc(1, sizeof *server->addresses),
			.n_addresses = 1};
	server->addresses[0] = (struct cs_server_address){
		.network = cs_strdup("net"), .ip = cs_strdup("10.0.0.1"), .version = 4};
	return server;
}

static void publish(struct fleet *fleet, const struct cs_server *server)
{
	cs_strings_add(&fleet->journal.published, server->id);
	cs_strings_add(&fleet->journal.known, server->id);
}

static void ready(struct fleet *fleet)
{
	cs_members_select(
		&fleet->view.list, &fleet->cluster, "new", NULL, &fleet->view.members);
	fleet->in = (struct cs_plan_input){.cluster = &fleet->cluster,
		.view = &fleet->view,
		.journal = &fleet->journal,
		.evidence = &fleet->evidence,
		.now = {.wall_ms = NOW_MS}};
}

static void done(struct fleet *fleet)
{
	cs_fleet_view_done(&fleet->view);
	cs_journal_done(&fleet->journal);
	cs_plan_evidence_done(&fleet->evidence);
}

static void test_each_reason_decides_in_its_turn(void **state)
{
	static const char *const chosen[] = {"it is in ERROR", "never in service",
		"of an older image", "fewest sessions (2)", "lowest CPU (3.4 %)",
		"the zone with the most servers", "the youngest", "no other may go"};
	struct fleet fleet;
	struct cs_server *servers[8];
	struct cs_victim victims[9];

	(void)state;
	begin(&fleet);
	for (size_t i = 0; i < 8; i++) {
		servers[i] = add(&fleet);
		cs_strset(&servers[i]->zone, i < 6 ? "one" : "two");
		if (i != 1)
			publish(&fleet, servers[i]);
	}
	cs_strset(&servers[0]->status, "ERROR");
	cs_strset(&servers[2]->image_id, "old");
	for (size_t i = 3; i < 8; i++)
		cs_plan_figures_add(
			&fleet.evidence.sessions, servers[i]->id, i == 3 ? 2 : 7);
	/* of the last three nothing is known: as good as full */
	cs_plan_figures_add(&fleet.evidence.loads, servers[4]->id, 34);
	ready(&fleet);
	for (size_t n = 1; n <= 8; n++) {
		static const size_t order[] = {0, 1, 2, 3, 4, 5, 7, 6};

		assert_int_equal(cs_plan_victims(&fleet.in, n, victims), n);
		assert_string_equal(
			victims[n - 1].member->server->id, servers[order[n - 1]]->id);
		assert_string_equal(victims[n - 1].chosen, chosen[n - 1]);
	}
	assert_int_equal(cs_plan_victims(&fleet.in, 9, victims), 8);
	assert_int_equal(cs_plan_victims(&fleet.in, 0, victims), 0);
	done(&fleet);
}

static void test_orphans(void **state)
{
	static const struct {
		const char *status;
		bool known, orphan, suspect;
	} cases[] = {{"ERROR", false, true, false}, {"SHUTOFF", false, true, false},
		{"BUILD", false, true, false}, {"ACTIVE", false, false, true},
		{"REBOOT", false, false, false}, {"ERROR", true, false, false},
		{"ACTIVE", true, false, false}};
	struct fleet fleet;

	(void)state;
	begin(&fleet);
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) {
		struct cs_server *server = add(&fleet);

		cs_strset(&server->status, cases[i].status);
		if (cases[i].known)
			cs_strings_add(&fleet.journal.known, server->id);
	}
	ready(&fleet);
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) {
		const struct cs_member *member = &fleet.view.members.items[i];

		assert_int_equal(
			cs_plan_is_orphan(&fleet.in, member, 900000), cases[i].orphan);
		assert_int_equal(
			cs_plan_is_suspect(&fleet.in, member, 900000), cases[i].suspect);
		assert_false(cs_plan_is_orphan(&fleet.in, member, 1000001));
	}
	done(&fleet);
}

static void test_a_volume_has_no_older_image(void **state)
{
	struct fleet fleet;

	(void)state;
	begin(&fleet);
	cs_strset(&add(&fleet)->image_id, "");
	cs_strset(&add(&fleet)->image_id, "old");
	ready(&fleet);
	assert_false(cs_plan_is_old(&fleet.in, &fleet.view.members.items[0]));
	assert_true(cs_plan_is_old(&fleet.in, &fleet.view.members.items[1]));
	cs_strset(&fleet.evidence.image_id, NULL);
	assert_false(cs_plan_is_old(&fleet.in, &fleet.view.members.items[1]));
	fleet.in.evidence = NULL;
	assert_false(cs_plan_is_old(&fleet.in, &fleet.view.members.items[1]));
	done(&fleet);
}

/* Random fleets. */

static uint64_t seed, fleet_seed;

static unsigned dice(unsigned sides)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed % sides);
}

static void add_random(struct fleet *fleet)
{
	static const char *const statuses[] = {
		"ACTIVE", "ACTIVE", "ACTIVE", "ERROR", "BUILD", "SHUTOFF"};
	static const char *const images[] = {"new", "new", "old", ""};
	struct cs_server *server = add(fleet);

	cs_strset(&server->status, statuses[dice(6)]);
	cs_strset(&server->image_id, images[dice(4)]);
	server->locked = dice(6) == 0;
	server->is_protected = dice(6) == 0;
	if (dice(6) == 0)
		cs_strset(&server->mark_cluster, NULL);
	if (dice(8) == 0)
		cs_strset(&server->mark_draining, "1699999999000");
	if (dice(8) == 0)
		cs_strset(&server->task_state, "deleting");
	if (dice(4) > 0)
		publish(fleet, server);
	if (dice(4) > 0)
		cs_plan_figures_add(&fleet->evidence.sessions, server->id, dice(3));
	if (dice(4) > 0)
		cs_plan_figures_add(&fleet->evidence.loads, server->id, dice(3));
}

static int64_t known(const struct cs_plan_figures *figures, const char *id)
{
	for (size_t i = 0; i < figures->n; i++) {
		if (strcmp(figures->items[i].server_id, id) == 0)
			return figures->items[i].value;
	}
	return 1000000;
}

#define PREFER(what_a, what_b)                      \
	do {                                        \
		if ((what_a) != (what_b))           \
			return (what_a) < (what_b); \
	} while (0)

/* Should `a` go before `b`? */
static bool goes_before(
	const struct fleet *fleet, const struct cs_server *a, const struct cs_server *b)
{
	const struct cs_plan_evidence *evidence = &fleet->evidence;

	PREFER(strcmp(a->status, "ERROR") != 0, strcmp(b->status, "ERROR") != 0);
	PREFER(cs_journal_is_published(&fleet->journal, a->id),
		cs_journal_is_published(&fleet->journal, b->id));
	PREFER(strcmp(a->image_id, "old") != 0, strcmp(b->image_id, "old") != 0);
	PREFER(known(&evidence->sessions, a->id), known(&evidence->sessions, b->id));
	PREFER(known(&evidence->loads, a->id), known(&evidence->loads, b->id));
	return a->created_wall_ms > b->created_wall_ms;
}

static bool may_go(const struct cs_server *server)
{
	bool settled = strcmp(server->status, "ERROR") == 0 ||
		       (strcmp(server->status, "ACTIVE") == 0 && !server->mark_draining);

	return server->mark_cluster && !server->locked && !server->is_protected &&
	       settled && !server->task_state;
}

static void check_order(const struct fleet *fleet, size_t n)
{
	struct cs_victim victims[SERVERS_MAX];
	size_t found = cs_plan_victims(&fleet->in, n, victims), candidates = 0;

	for (size_t i = 0; i < fleet->view.list.n; i++)
		candidates += may_go(&fleet->view.list.servers[i]);
	assert_int_equal(found, n < candidates ? n : candidates);
	for (size_t i = 0; i < found; i++) {
		const struct cs_server *victim = victims[i].member->server;

		assert_true(may_go(victim));
		assert_true(*victims[i].chosen);
		if (i > 0)
			assert_true(goes_before(
				fleet, victims[i - 1].member->server, victim));
	}
	/* whoever stays would have gone later than the last one */
	for (size_t i = 0; found > 0 && i < fleet->view.list.n; i++) {
		const struct cs_server *server = &fleet->view.list.servers[i];
		bool chosen = false;

		for (size_t k = 0; k < found; k++)
			chosen |= victims[k].member->server == server;
		if (!chosen && may_go(server))
			assert_true(goes_before(
				fleet, victims[found - 1].member->server, server));
	}
}

static void check_orphans(const struct fleet *fleet, int64_t age_s)
{
	const struct cs_member *orphans[SERVERS_MAX];
	size_t n = cs_plan_orphans(&fleet->in, age_s * 1000, orphans);

	for (size_t i = 0; i < n; i++) {
		const struct cs_server *server = orphans[i]->server;
		int64_t age_ms = NOW_MS - server->created_wall_ms;

		assert_non_null(server->mark_cluster);
		assert_false(server->locked || server->is_protected);
		assert_false(cs_journal_is_known(&fleet->journal, server->id));
		assert_string_not_equal(server->status, "ACTIVE");
		assert_null(server->task_state);
		assert_true(age_ms >= age_s * 1000 && age_ms >= 600000);
	}
}

static void test_random_fleets_keep_the_order(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= FLEETS; i++) {
		struct fleet fleet;
		struct cs_decision decision;
		struct cs_plan plan = {0};

		seed = fleet_seed = i * 0x9e3779b97f4a7c15;
		begin(&fleet);
		for (unsigned n = dice(SERVERS_MAX); n > 0; n--)
			add_random(&fleet);
		ready(&fleet);
		check_order(&fleet, dice(SERVERS_MAX));
		check_orphans(&fleet, dice(1001));
		decision = (struct cs_decision){.remove = dice(4)};
		cs_plan_add_decision(&fleet.in, &decision, &plan);
		assert_true(plan.n <= (size_t)decision.remove);
		cs_plan_done(&plan);
		done(&fleet);
	}
}

/* Also after a failure, whose seed it is. */
static int say_seed(void **state)
{
	(void)state;
	print_message("# the last seed: %llu\n", (unsigned long long)fleet_seed);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_reason_decides_in_its_turn),
		cmocka_unit_test(test_orphans),
		cmocka_unit_test(test_a_volume_has_no_older_image),
		cmocka_unit_test_teardown(test_random_fleets_keep_the_order, say_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
