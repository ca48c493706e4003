/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lets test_fleet.py drive one session of cs_fleet and cs_nova: commands on stdin, one a
 * line; the answers end with "ok" or "error CODE STATUS MESSAGE".
 *
 *     fleet_probe CONFIG CLUSTER DEADLINE_MS */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "domain/fleet.h"

#define WORDS_MAX 4

static const char *code_text(int code)
{
	static const char *const texts[] = {"USAGE", "CONFIG", "IO", "LOCKED", "TIMEOUT",
		"CONNECT", "AUTH", "FORBIDDEN", "NOT_FOUND", "CONFLICT", "QUOTA",
		"PROTOCOL", "REMOTE", "LIMIT", "VERIFY", "REFUSED", "LOST"};

	return texts[-code - 1];
}

static int list(struct cs_fleet *fleet, struct cs_error *err)
{
	struct cs_fleet_view view;

	if (cs_fleet_look(fleet, &view, err) < 0)
		return err->code;
	printf("servers %zu\n", view.list.n);
	for (size_t i = 0; i < view.members.n; i++) {
		const struct cs_member *member = &view.members.items[i];
		printf("member %s %s %s %s\n", member->server->name,
			cs_member_state_text(member->state),
			*member->address ? member->address : "-",
			member->ours ? "ours" : "adopted");
	}
	cs_fleet_view_done(&view);
	return 0;
}

static int create(struct cs_fleet *fleet, const char *name, const char *op,
	const struct cs_cluster *cluster, struct cs_error *err)
{
	struct cs_server_request request = {.name = name,
		.security_groups = &cluster->servers.security_groups,
		.key_name = cluster->servers.key_name,
		.mark_cluster = cluster->name,
		.mark_op = op};
	CS_AUTO_FREE char *id = NULL;
	struct cs_nova_size size;

	if (cs_fleet_image_id(fleet, &request.image_id, err) < 0 ||
		cs_fleet_flavor(fleet, &request.flavor_id, &size, err) < 0 ||
		cs_fleet_network_ids(fleet, &request.network_ids, err) < 0 ||
		cs_nova_create_end(cs_nova_create_begin(cs_fleet_nova(fleet), &request),
			&id, err) < 0)
		return err->code;
	printf("created %s\n", id);
	return 0;
}

static int show(struct cs_nova *nova, const char *id, struct cs_error *err)
{
	struct cs_server server;

	if (cs_nova_show(nova, id, &server, err) < 0)
		return err->code;
	printf("%s status=%s task=%s image=%s flavor=%s vcpus=%" PRId64 " fault=%s "
	       "cluster=%s op=%s draining=%s tag=%s\n",
		server.name, server.status, server.task_state ? server.task_state : "-",
		server.image_id, server.flavor, server.vcpus,
		server.fault ? server.fault : "-",
		server.mark_cluster ? server.mark_cluster : "-",
		server.mark_op ? server.mark_op : "-",
		server.mark_draining ? server.mark_draining : "-",
		server.tags.n ? server.tags.items[0] : "-");
	cs_server_done(&server);
	return 0;
}

static int where(struct cs_fleet *fleet)
{
	printf("%s %s '%s'\n", cs_fleet_auth_url(fleet), cs_fleet_project_id(fleet),
		cs_fleet_region(fleet));
	return 0;
}

static int run(struct cs_fleet *fleet, const struct cs_cluster *cluster, char **words,
	struct cs_error *err)
{
	struct cs_nova *nova = cs_fleet_nova(fleet);

	if (strcmp(words[0], "list") == 0)
		return list(fleet, err);
	if (strcmp(words[0], "where") == 0)
		return where(fleet);
	if (strcmp(words[0], "create") == 0)
		return create(fleet, words[1], words[2], cluster, err);
	if (strcmp(words[0], "show") == 0)
		return show(nova, words[1], err);
	if (strcmp(words[0], "delete") == 0)
		return cs_nova_delete_end(cs_nova_delete_begin(nova, words[1]), err);
	if (strcmp(words[0], "mark") == 0)
		return cs_nova_metadata_set(nova, words[1], words[2], words[3], err);
	if (strcmp(words[0], "unmark") == 0)
		return cs_nova_metadata_unset(nova, words[1], words[2], err);
	if (strcmp(words[0], "tag") == 0)
		return cs_nova_tag_add(nova, words[1], words[2], err);
	return cs_error_set(err, CS_E_USAGE, "no such command: %s", words[0]);
}

static void report(int r, const struct cs_error *err)
{
	if (r < 0)
		printf("error %s %d %s\n", code_text(err->code), err->remote_status,
			err->message);
	else
		puts("ok");
	fflush(stdout);
}

static void serve(
	struct cs_fleet *fleet, const struct cs_cluster *cluster, int64_t deadline_ms)
{
	char line[512];

	while (fgets(line, sizeof line, stdin)) {
		struct cs_error err = {0};
		char *words[WORDS_MAX] = {0}, *rest = line;

		for (int i = 0; i < WORDS_MAX; i++) {
			words[i] = strtok_r(i ? NULL : line, " \n", &rest);
			if (!words[i])
				words[i] = (char *)"";
		}
		cs_fleet_set_deadline(fleet, cs_deadline_in(deadline_ms));
		report(run(fleet, cluster, words, &err), &err);
	}
}

int main(int argc, char **argv)
{
	CS_CLEANUP(cs_config_freep) struct cs_config *config = NULL;
	CS_CLEANUP(cs_fleet_closep) struct cs_fleet *fleet = NULL;
	const struct cs_cluster *cluster;
	struct cs_error err = {0};

	if (argc != 4)
		return 3;
	int64_t deadline_ms = strtol(argv[3], NULL, 10);
	if (cs_config_load(argv[1], &config, &err) < 0 ||
		cs_config_cluster(config, argv[2], &cluster, &err) < 0 ||
		cs_fleet_open(config, cluster, cluster->cloud,
			cs_deadline_in(deadline_ms), &fleet, &err) < 0) {
		report(err.code, &err);
		return 2;
	}
	report(0, &err);
	serve(fleet, cluster, deadline_ms);
	return 0;
}
