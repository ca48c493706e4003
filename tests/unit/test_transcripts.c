/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a real cloud was recorded to answer goes through our parsers. The recordings lie
 * beside the source tree (../shared, or $CS_SHARED); without them this is skipped. */
#include <config.h>

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "client/http.h"
#include "client/keystone.h"
#include "client/nova.h"
#include "format/json.h"

/* How many of each kind were met: none at all would be a silent success. */
struct counts {
	int pages, servers, tokens, errors, web_pages, others, empty, all;
};

static void check_page(const char *name, const char *text, struct json_object *rows)
{
	struct cs_server_list list = {0};
	CS_AUTO_FREE char *next = NULL;
	struct cs_error err;

	if (cs_nova_parse_page(text, strlen(text), &list, &next, &err) < 0)
		fail_msg("%s: %s", name, err.message);
	assert_int_equal(list.n, json_object_array_length(rows));
	for (size_t i = 0; i < list.n; i++)
		assert_string_equal(list.servers[i].id,
			cs_json_str(json_object_array_get_idx(rows, i), "id"));
	assert_int_equal(next != NULL, strstr(text, "\"next\"") != NULL);
	cs_server_list_done(&list);
}

static void check_server(const char *name, const char *text, struct json_object *row)
{
	struct cs_server server;
	struct cs_error err;

	if (cs_nova_parse_server(text, strlen(text), &server, &err) < 0)
		fail_msg("%s: %s", name, err.message);
	assert_string_equal(server.name, cs_json_str(row, "name"));
	assert_string_equal(server.status, cs_json_str(row, "status"));
	assert_true(server.created_wall_ms > 0);
	assert_true(*server.flavor != '\0');
	cs_server_done(&server);
}

static void check_token(const char *name, const char *text, struct json_object *token)
{
	struct cs_token parsed;
	struct cs_error err;
	const char *url = NULL;
	int r = cs_keystone_parse_token(text, strlen(text), &parsed, &err);

	if (!cs_json_obj(token, "project")) {
		assert_int_equal(r, CS_E_AUTH);
	} else if (!cs_json_arr(token, "catalog")) {
		assert_int_equal(r, CS_E_PROTOCOL);
	} else {
		if (r < 0 || cs_keystone_pick(
				     &parsed, "compute", "public", NULL, &url, &err) < 0)
			fail_msg("%s: %s", name, err.message);
		assert_non_null(strstr(url, ":8774/v2.1"));
		cs_token_done(&parsed);
	}
}

static void check_error(const char *name, const char *text, struct counts *counts)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf message = CS_STRBUF(300);
	bool found = cs_http_error_text(text, strlen(text), &message);

	if (found != (*text == '{'))
		fail_msg("%s: %s", name, text);
	counts->errors += found;
	counts->web_pages += !found;
}

static void check_json(const char *name, const char *text)
{
	CS_AUTO_JSON struct json_object *body = NULL;
	struct cs_error err;

	if (cs_json_parse(text, strlen(text), name, &body, &err) < 0)
		fail_msg("%s", err.message);
}

static void check_exchange(
	const char *name, struct json_object *response, struct counts *counts)
{
	struct json_object *body = NULL;
	int64_t status = 0;

	cs_json_int(response, "status", &status);
	json_object_object_get_ex(response, "body", &body);
	const char *text = json_object_is_type(body, json_type_string)
				   ? json_object_get_string(body)
			   : body ? cs_json_text(body)
				  : "";
	if (status >= 400) {
		check_error(name, text, counts);
	} else if (cs_json_arr(body, "servers")) {
		check_page(name, text, cs_json_arr(body, "servers"));
		counts->pages++;
	} else if (cs_json_str(cs_json_obj(body, "server"), "status")) {
		check_server(name, text, cs_json_obj(body, "server"));
		counts->servers++;
	} else if (cs_json_obj(body, "token")) {
		check_token(name, text, cs_json_obj(body, "token"));
		counts->tokens++;
	} else if (*text) {
		check_json(name, text);
		counts->others++;
	} else {
		counts->empty++;
	}
	counts->all++;
}

static char *folder(void)
{
	const char *shared = getenv("CS_SHARED"), *source = getenv("top_srcdir");

	if (shared)
		return cs_asprintf("%s/data/openstack-transcripts", shared);
	return cs_asprintf(
		"%s/../shared/data/openstack-transcripts", source ? source : ".");
}

static void test_every_recorded_answer_is_understood(void **state)
{
	CS_AUTO_FREE char *path = folder();
	struct counts counts = {0};
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort);

	(void)state;
	assert_true(n >= 0);
	for (int i = 0; i < n; i++) {
		CS_AUTO_FREE char *file = cs_asprintf("%s/%s", path, names[i]->d_name);
		CS_AUTO_JSON struct json_object *exchange = NULL;

		if (strstr(names[i]->d_name, ".json"))
			exchange = json_object_from_file(file);
		if (exchange)
			check_exchange(names[i]->d_name,
				cs_json_obj(exchange, "response"), &counts);
		free(names[i]);
	}
	free(names);
	print_message("exchanges %d: lists %d, servers %d, tokens %d, errors %d, web "
		      "pages %d, other JSON %d, empty %d\n",
		counts.all, counts.pages, counts.servers, counts.tokens, counts.errors,
		counts.web_pages, counts.others, counts.empty);
	assert_true(counts.pages > 20 && counts.servers > 20 && counts.tokens > 5);
	assert_true(counts.errors > 50 && counts.web_pages > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_recorded_answer_is_understood),
	};

	CS_AUTO_FREE char *path = folder();
	DIR *there = opendir(path);

	if (!there) { /* the skip() of cmocka 1.1 reads as a failure in TAP */
		printf("1..0 # SKIP no recordings in %s\n", path);
		return 0;
	}
	closedir(there);
	return cmocka_run_group_tests_name("transcripts", tests, NULL, NULL);
}
