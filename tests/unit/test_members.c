/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "domain/members.h"

/* Two addresses on two networks, IPv6 first. */
static struct cs_server_address addresses[] = {{(char *)"lan", (char *)"fd00::1", 6},
	{(char *)"lan", (char *)"10.0.0.1", 4}, {(char *)"wan", (char *)"192.0.2.1", 4},
	{(char *)"six", (char *)"2001:DB8:0:0::2", 6},
	{(char *)"odd", (char *)"10.0.0.1 maxconn 1", 4}};

static struct cs_cluster web = {.name = (char *)"web"};

static struct cs_server make(const char *id, const char *status, const char *mark)
{
	return (struct cs_server){.id = (char *)id,
		.name = (char *)id,
		.status = (char *)status,
		.image_id = (char *)"image",
		.flavor = (char *)"",
		.addresses = addresses,
		.n_addresses = CS_ARRAY_SIZE(addresses),
		.mark_cluster = (char *)mark};
}

static void select_from(struct cs_server *servers, size_t n, const char *image_id,
	const char *network, struct cs_members *ret)
{
	const struct cs_server_list list = {.servers = servers, .n = n};

	cs_members_select(&list, &web, image_id, network, ret);
}

static enum cs_member_state state_of(struct cs_server server)
{
	struct cs_members members;

	select_from(&server, 1, NULL, NULL, &members);
	assert_int_equal(members.n, 1);
	enum cs_member_state state = members.items[0].state;
	assert_int_equal(members.by_state[state], 1);
	cs_members_done(&members);
	return state;
}

static void test_only_marked_servers_are_ours(void **state)
{
	struct cs_server servers[] = {make("a", "ACTIVE", "web"),
		make("b", "ACTIVE", "other"), make("c", "ACTIVE", NULL),
		make("d", "ACTIVE", NULL)};
	struct cs_members members;

	(void)state;
	servers[3].image_id = (char *)"another image";
	select_from(servers, 4, "image", NULL, &members);
	assert_int_equal(members.n, 1); /* adopt-image is off */
	cs_members_done(&members);
	web.servers.adopt_image = true;
	select_from(servers, 4, "image", NULL, &members);
	assert_int_equal(members.n, 2);
	assert_true(cs_members_find(&members, "a")->ours);
	assert_false(cs_members_find(&members, "c")->ours);
	assert_null(cs_members_find(&members, "b"));
	cs_members_done(&members);
	servers[2].image_id = (char *)""; /* boot from volume */
	select_from(servers, 4, "", NULL, &members);
	assert_int_equal(members.n, 1);
	cs_members_done(&members);
	web.servers.adopt_image = false;
}

static void test_the_task_comes_before_the_status(void **state)
{
	struct cs_server server = make("a", "ACTIVE", "web");

	(void)state;
	assert_int_equal(state_of(server), CS_MEMBER_ACTIVE);
	server.task_state = (char *)"image_snapshot";
	assert_int_equal(state_of(server), CS_MEMBER_ACTIVE);
	server.mark_draining = (char *)"1764000000000";
	assert_int_equal(state_of(server), CS_MEMBER_DRAINING);
	server.task_state = (char *)"deleting";
	assert_int_equal(state_of(server), CS_MEMBER_DELETING);
	server.status = (char *)"ERROR";
	assert_int_equal(state_of(server), CS_MEMBER_DELETING);
}

static void test_every_status(void **state)
{
	struct cs_server homeless = make("a", "ACTIVE", "web");

	(void)state;
	homeless.n_addresses = 0;
	assert_int_equal(state_of(homeless), CS_MEMBER_BUILDING);
	assert_int_equal(state_of(make("a", "BUILD", "web")), CS_MEMBER_BUILDING);
	assert_int_equal(state_of(make("a", "ERROR", "web")), CS_MEMBER_ERROR);
	assert_int_equal(state_of(make("a", "SOFT_DELETED", "web")), CS_MEMBER_DELETING);
	assert_int_equal(state_of(make("a", "DELETED", "web")), CS_MEMBER_DELETING);
	assert_int_equal(state_of(make("a", "SHUTOFF", "web")), CS_MEMBER_OTHER);
	assert_int_equal(state_of(make("a", "UNKNOWN", "web")), CS_MEMBER_OTHER);
	for (int i = 0; i < CS_MEMBER_STATE_COUNT; i++)
		assert_non_null(cs_member_state_text(i));
}

static void check_address(const char *network, const char *expected)
{
	struct cs_server server = make("a", "ACTIVE", "web");
	struct cs_members members;

	select_from(&server, 1, NULL, network, &members);
	assert_string_equal(members.items[0].address, expected);
	cs_members_done(&members);
}

static void test_the_address_is_on_the_network_ipv4_first(void **state)
{
	(void)state;
	check_address("lan", "10.0.0.1");
	check_address("wan", "192.0.2.1");
	check_address("six", "2001:db8::2"); /* canonical */
	check_address("odd", "");	     /* not an address */
	check_address("nix", "");
	check_address(NULL, "10.0.0.1");
}

static void test_draining_since_the_mark(void **state)
{
	struct cs_server servers[] = {make("a", "ACTIVE", "web"),
		make("b", "ACTIVE", "web"), make("c", "ACTIVE", "web"),
		make("d", "ACTIVE", "web")};
	struct cs_members members;

	(void)state;
	servers[1].mark_draining = (char *)"1764000000123";
	servers[2].mark_draining = (char *)"yesterday";
	servers[3].mark_draining = (char *)"1764000000"; /* seconds */
	select_from(servers, 4, NULL, NULL, &members);
	assert_int_equal(members.items[0].draining_since_wall_ms, 0);
	assert_int_equal(members.items[1].draining_since_wall_ms, 1764000000123);
	assert_true(members.items[2].draining_since_wall_ms == INT64_MAX);
	assert_true(members.items[3].draining_since_wall_ms == INT64_MAX);
	assert_int_equal(members.items[2].state, CS_MEMBER_DRAINING);
	cs_members_done(&members);
}

static void test_members_are_ordered_by_age_then_id(void **state)
{
	struct cs_server servers[] = {make("c", "ACTIVE", "web"),
		make("b", "ACTIVE", "web"), make("a", "ACTIVE", "web")};
	struct cs_members members;

	(void)state;
	servers[0].created_wall_ms = 1;
	servers[1].created_wall_ms = servers[2].created_wall_ms = 2;
	select_from(servers, 3, NULL, NULL, &members);
	assert_string_equal(members.items[0].server->id, "c");
	assert_string_equal(members.items[1].server->id, "a");
	assert_string_equal(members.items[2].server->id, "b");
	cs_members_done(&members);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_marked_servers_are_ours),
		cmocka_unit_test(test_the_task_comes_before_the_status),
		cmocka_unit_test(test_every_status),
		cmocka_unit_test(test_the_address_is_on_the_network_ipv4_first),
		cmocka_unit_test(test_draining_since_the_mark),
		cmocka_unit_test(test_members_are_ordered_by_age_then_id),
	};

	return cmocka_run_group_tests_name("members", tests, NULL, NULL);
}
