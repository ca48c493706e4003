/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/strbuf.h"
#include "client/http.h"
#include "client/nova.h"

#define UUID(digit) "00000000-0000-4000-8000-00000000000" digit
#define ID(digit) "\"" UUID(digit) "\""
#define NO_UUID "Nova lists a server whose id is no uuid"

static void parse_page(const char *text, struct cs_server_list *list, char **ret_next)
{
	struct cs_error err;

	if (cs_nova_parse_page(text, strlen(text), list, ret_next, &err) < 0)
		fail_msg("%s", err.message);
}

static void refuse(const char *text, const char *message)
{
	struct cs_server_list list = {0};
	char *next = NULL;
	struct cs_error err;

	assert_int_equal(cs_nova_parse_page(text, strlen(text), &list, &next, &err),
		CS_E_PROTOCOL);
	assert_string_equal(err.message, message);
	assert_null(next);
	cs_server_list_done(&list);
}

static void test_a_whole_server(void **state)
{
	struct cs_server_list list = {0};
	char *next = NULL;

	(void)state;
	parse_page(
		"{\"servers\": [{\"id\": " ID(
			"1") ", \"name\": \"n\", \"status\": \"ACTIVE\","
			     "\"OS-EXT-STS:task_state\": \"deleting\", \"image\": "
			     "{\"id\": \"im\"},"
			     "\"flavor\": {\"original_name\": \"m1\", \"vcpus\": 4},"
			     "\"created\": \"1970-01-01T00:00:01Z\", \"locked\": true,"
			     "\"OS-EXT-AZ:availability_zone\": \"z\","
			     "\"fault\": {\"code\": 500, \"message\": \"No valid host\"},"
			     "\"addresses\": {\"lan\": [{\"version\": 6, \"addr\": "
			     "\"fd00::1\"},"
			     "  {\"version\": 4, \"addr\": \"10.0.0.1\"}]},"
			     "\"metadata\": {\"clusterscale.cluster\": \"web\","
			     "  \"clusterscale.op\": \"o\", \"clusterscale.draining\": "
			     "\"5\"},"
			     "\"tags\": [\"t\", 3]}]}",
		&list, &next);
	const struct cs_server *server = &list.servers[0];
	assert_int_equal(list.n, 1);
	assert_null(next);
	assert_string_equal(server->id, UUID("1"));
	assert_string_equal(server->name, "n");
	assert_string_equal(server->status, "ACTIVE");
	assert_string_equal(server->task_state, "deleting");
	assert_string_equal(server->image_id, "im");
	assert_string_equal(server->flavor, "m1");
	assert_int_equal(server->vcpus, 4);
	assert_int_equal(server->created_wall_ms, 1000);
	assert_true(server->locked);
	assert_string_equal(server->zone, "z");
	assert_string_equal(server->fault, "No valid host");
	assert_int_equal(server->n_addresses, 2);
	assert_string_equal(server->addresses[1].ip, "10.0.0.1");
	assert_int_equal(server->addresses[0].version, 6);
	assert_string_equal(server->mark_cluster, "web");
	assert_string_equal(server->mark_op, "o");
	assert_string_equal(server->mark_draining, "5");
	assert_int_equal(server->tags.n, 1);
	cs_server_list_done(&list);
}

static void test_the_image_of_a_volume_is_in_our_mark(void **state)
{
	struct cs_server_list list = {0};
	char *next = NULL;

	(void)state;
	parse_page(
		"{\"servers\": [{\"id\": " ID(
			"1") ", \"image\": \"\", \"metadata\":"
			     " {\"clusterscale.image\": \"im\", "
			     "\"clusterscale.address\": \"10.0.0.1\"}},"
			     "{\"id\": " ID(
				     "2") ", \"image\": {\"id\": \"real\"}, \"metadata\":"
					  " {\"clusterscale.image\": \"im\"}}]}",
		&list, &next);
	assert_string_equal(list.servers[0].image_id, "im");
	assert_string_equal(list.servers[0].mark_address, "10.0.0.1");
	assert_string_equal(list.servers[1].image_id, "real");
	assert_null(list.servers[1].mark_address);
	cs_server_list_done(&list);
}

static void test_a_row_of_a_cell_that_is_down(void **state)
{
	struct cs_server_list list = {0};
	char *next = NULL;

	(void)state;
	parse_page(
		"{\"servers\": [{\"id\": " ID("1") ", \"image\": \"\", \"name\": null}]}",
		&list, &next);
	assert_string_equal(list.servers[0].name, "");
	assert_string_equal(list.servers[0].status, "UNKNOWN");
	assert_string_equal(list.servers[0].image_id, "");
	assert_null(list.servers[0].task_state);
	assert_null(list.servers[0].mark_cluster);
	assert_int_equal(list.servers[0].created_wall_ms, -1);
	cs_server_list_done(&list);
}

#define LINK(href)                                                                    \
	"{\"servers\": [], \"servers_links\": [{\"rel\": \"self\", \"href\": \"x\"}," \
	" {\"rel\": \"next\", \"href\": \"" href "\"}]}"

static void test_of_the_next_link_only_the_query_counts(void **state)
{
	struct cs_server_list list = {0};
	char *next = NULL;

	(void)state;
	parse_page(LINK("http://internal/nova/v2/servers/detail?limit=2&marker=m"), &list,
		&next);
	assert_string_equal(next, "limit=2&marker=m");
	free(next);
	cs_server_list_done(&list);
}

static void test_pages_append(void **state)
{
	struct cs_server_list list = {0};
	char *next = NULL;

	(void)state;
	parse_page(" {\"a\": null, \"servers\" : [ {\"id\": " ID("a") "} ] , \"z\": 1 } ",
		&list, &next);
	parse_page("{\"servers\": [{\"id\": " ID("b") "}, {\"id\": " ID("c") "}]}", &list,
		&next);
	assert_int_equal(list.n, 3);
	assert_string_equal(list.servers[2].id, UUID("c"));
	cs_server_list_done(&list);
}

static void test_what_is_no_list_is_an_error(void **state)
{
	(void)state;
	refuse("", "Nova's list is not JSON: unexpected end of data at byte 0");
	refuse("[]", "Nova's list has no array 'servers'");
	refuse("{\"servers\": null}", "Nova's list has no array 'servers'");
	refuse("{\"servers\": {}}", "Nova's list has no array 'servers'");
	refuse("{\"servers\": [{\"id\": " ID("a") "}, 3]}", NO_UUID);
	refuse("{\"servers\": [{\"id\": 7}]}", NO_UUID);
	refuse("{\"servers\": [], \"servers\": []}",
		"Nova's list has no array 'servers'");
	refuse("{\"servers\": []} x",
		"Nova's list is not JSON: unexpected character at byte 16");
	refuse("{\"servers\": [{\"id\": " ID("a") "},]}",
		"Nova's list is not JSON: unexpected character at byte 60");
	refuse("{\"servers\": [{\"id\": " ID("a") "}",
		"Nova's list is not JSON: unexpected end of data at byte 0");
	refuse("{\"servers\": [{\"id\": \"7\"}]}", NO_UUID);
	refuse(LINK("http://k/v2.1/servers/detail"),
		"Nova's list has a next page but no usable link to it");
	refuse(LINK("http://evil.example/elsewhere?limit=2&marker=m"),
		"Nova's list has a next page but no usable link to it");
	refuse(LINK("?marker=m"), "Nova's list has a next page but no usable link to it");
	refuse(LINK("/servers/detail?marker=a b"),
		"Nova's list has a next page but no usable link to it");
	refuse("{\"servers\": [], \"servers_links\": [{\"rel\": \"next\"}]}",
		"Nova's list has a next page but no usable link to it");
}

static void test_limits_name_what_has_no_room(void **state)
{
	struct cs_nova_limits limits = {
		.instances = {20, 18}, .cores = {-1, 900}, .ram_mib = {8192, 4096}};
	const struct cs_nova_size size = {2, 2048, 20}, huge = {1, 0, 0};
	struct cs_error err;

	(void)state;
	assert_int_equal(cs_nova_limits_check(&limits, &size, 2, &err), 0);
	assert_int_equal(cs_nova_limits_check(&limits, &size, 3, &err), CS_E_QUOTA);
	assert_string_equal(err.message,
		"the project's quota has no room: 18 of 20 servers are in use, 3 more "
		"would be needed");
	limits.instances.max = -1;
	assert_int_equal(cs_nova_limits_check(&limits, &size, 3, &err), CS_E_QUOTA);
	assert_string_equal(err.message,
		"the project's quota has no room: 4096 of 8192 MiB of memory are in use, "
		"6144 more would be needed");
	limits.cores = (struct cs_nova_limit){10, 12}; /* lowered below what is used */
	assert_int_equal(cs_nova_limits_check(&limits, &huge, 1, &err), CS_E_QUOTA);
	assert_string_equal(err.message,
		"the project's quota has no room: 12 of 10 cores are in use, 1 more "
		"would be needed");
}

static void check_fits(int64_t flavor_gib, int64_t volume_gib, const char *expected)
{
	const struct cs_nova_image image = {.min_disk_gib = 10, .min_ram_mib = 2048};
	const struct cs_nova_size size = {2, 2048, flavor_gib};
	struct cs_error err = {0};

	assert_int_equal(cs_nova_image_fits(&image, &size, volume_gib, &err),
		expected ? CS_E_CONFIG : 0);
	assert_string_equal(err.message, expected ? expected : "");
}

static void test_image_needs_disk_and_memory(void **state)
{
	const struct cs_nova_image image = {.min_ram_mib = 2049};
	const struct cs_nova_size size = {2, 2048, 20};
	struct cs_error err;

	(void)state;
	check_fits(10, 0, NULL);
	check_fits(0, 0, NULL); /* the flavor's disk is as large as the image */
	check_fits(9, 10, NULL);
	check_fits(9, 0, "the image needs 10 GiB of disk (min_disk), the flavor has 9");
	check_fits(20, 9,
		"the image needs 10 GiB of disk (min_disk), the boot-volume has 9");
	assert_int_equal(cs_nova_image_fits(&image, &size, 0, &err), CS_E_CONFIG);
	assert_string_equal(err.message,
		"the image needs 2049 MiB of memory (min_ram), the flavor has 2048");
}

static void check_text(const char *body, const char *expected)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(64);

	assert_int_equal(cs_http_error_text(body, strlen(body), &text), expected != NULL);
	assert_string_equal(cs_strbuf_text(&text), expected ? expected : "");
}

static void test_error_envelopes_of_all_services(void **state)
{
	(void)state;
	check_text("{\"itemNotFound\": {\"code\": 404, \"message\": \"m\"}}", "m");
	check_text("{\"error\": {\"code\": 401, \"message\": \"m\"}}", "m");
	check_text("{\"NeutronError\": {\"type\": \"t\", \"message\": \"m\"}}", "m");
	check_text("{\"message\": \"m\", \"code\": \"404\"}", "m");
	check_text("{\"debuginfo\": null, \"faultstring\": \"m\"}", "m");
	check_text("{\"message\": 3}", NULL);
	check_text("[1]", NULL);
	check_text("<html>no</html>", NULL);
	check_text("", NULL);
}

static int fail_with(int status, const char *body, struct cs_error *err)
{
	const struct cs_http_request request = {.method = "GET", .url = "http://k/x"};
	struct cs_http_reply reply = {.status = status, .body = CS_STRBUF(1024)};

	cs_strbuf_add(&reply.body, body);
	strcpy(reply.request_id, "req-1");
	strcpy(reply.location, "http://other/");
	int code = cs_http_fail(&request, &reply, err);
	assert_int_equal(err->remote_status, status);
	cs_http_reply_done(&reply);
	return code;
}

static void test_statuses_become_codes(void **state)
{
	struct cs_error err;

	(void)state;
	assert_int_equal(fail_with(400, "{}", &err), CS_E_REMOTE);
	assert_int_equal(fail_with(401, "{}", &err), CS_E_AUTH);
	assert_int_equal(fail_with(403, "{}", &err), CS_E_FORBIDDEN);
	assert_int_equal(fail_with(403,
				 "{\"forbidden\": {\"message\": \"Quota exceeded for "
				 "cores: Requested 1\"}}",
				 &err),
		CS_E_QUOTA);
	assert_string_equal(err.message, "GET http://k/x: status 403: Quota exceeded for "
					 "cores: Requested 1 (req-1)");
	assert_int_equal(fail_with(404, "", &err), CS_E_NOT_FOUND);
	assert_string_equal(
		err.message, "GET http://k/x: status 404: an empty answer (req-1)");
	assert_int_equal(fail_with(409, "{}", &err), CS_E_CONFLICT);
	assert_int_equal(fail_with(429, "{}", &err), CS_E_QUOTA);
	assert_int_equal(fail_with(503, "<html>", &err), CS_E_REMOTE);
	assert_string_equal(err.message,
		"GET http://k/x: status 503: a web page, not the "
		"service's own answer (req-1)");
	assert_int_equal(fail_with(302, "", &err), CS_E_REMOTE);
	assert_string_equal(err.message,
		"GET http://k/x: status 302: a redirect to "
		"'http://other/', which is not followed (req-1)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_whole_server),
		cmocka_unit_test(test_the_image_of_a_volume_is_in_our_mark),
		cmocka_unit_test(test_a_row_of_a_cell_that_is_down),
		cmocka_unit_test(test_of_the_next_link_only_the_query_counts),
		cmocka_unit_test(test_pages_append),
		cmocka_unit_test(test_what_is_no_list_is_an_error),
		cmocka_unit_test(test_limits_name_what_has_no_room),
		cmocka_unit_test(test_image_needs_disk_and_memory),
		cmocka_unit_test(test_error_envelopes_of_all_services),
		cmocka_unit_test(test_statuses_become_codes),
	};

	return cmocka_run_group_tests_name("nova", tests, NULL, NULL);
}
