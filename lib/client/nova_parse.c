/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nova's servers as structs; see nova.h. Only the id is insisted on: fields depend on the
 * microversion, and rows of a cell that is down lack nearly everything. */
#include <config.h>
#include "client/nova_internal.h"

#include <string.h>

#include "base/parse.h"
#include "base/stamp.h"

#define LIST_STEP 256 /* servers for which room is made at a time */

void cs_server_done(struct cs_server *server)
{
	char *texts[] = {server->id, server->name, server->status, server->task_state,
		server->image_id, server->flavor, server->zone, server->fault,
		server->mark_cluster, server->mark_op, server->mark_draining,
		server->mark_address, server->mark_snmp_port};

	for (size_t i = 0; i < CS_ARRAY_SIZE(texts); i++)
		free(texts[i]);
	for (size_t i = 0; i < server->n_addresses; i++) {
		free(server->addresses[i].network);
		free(server->addresses[i].ip);
	}
	free(server->addresses);
	cs_strings_done(&server->tags);
	cs_strings_done(&server->kept_volumes);
	*server = (struct cs_server){0};
}

void cs_server_list_done(struct cs_server_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		cs_server_done(&list->servers[i]);
	free(list->servers);
	*list = (struct cs_server_list){0};
}

static char *copy_or(struct json_object *object, const char *key, const char *fallback)
{
	const char *text = cs_json_str(object, key);

	if (!text)
		text = fallback;
	return text ? cs_strdup(text) : NULL;
}

static void parse_addresses(struct json_object *addresses, struct cs_server *ret)
{
	if (!addresses)
		return;
	json_object_object_foreach(addresses, network, list)
	{
		size_t n = json_object_is_type(list, json_type_array)
				   ? json_object_array_length(list)
				   : 0;

		for (size_t i = 0; i < n; i++) {
			struct json_object *item = json_object_array_get_idx(list, i);
			const char *ip = cs_json_str(item, "addr");
			int64_t version = 4;

			if (!ip)
				continue;
			cs_json_int(item, "version", &version);
			ret->addresses = cs_reallocarray(ret->addresses,
				ret->n_addresses + 1, sizeof *ret->addresses);
			ret->addresses[ret->n_addresses++] = (struct cs_server_address){
				cs_strdup(network), cs_strdup(ip), version == 6 ? 6 : 4};
		}
	}
}

static void parse_tags(struct json_object *tags, struct cs_server *ret)
{
	for (size_t i = 0; tags && i < json_object_array_length(tags); i++) {
		struct json_object *tag = json_object_array_get_idx(tags, i);
		if (!json_object_is_type(tag, json_type_string))
			continue;
		cs_strings_add(&ret->tags, json_object_get_string(tag));
		ret->is_protected |=
			strcmp(json_object_get_string(tag), CS_NOVA_MARK_PROTECTED) == 0;
	}
}

/* Each has "delete_on_termination" from 2.3 on. */
static void parse_volumes(struct json_object *volumes, struct cs_server *ret)
{
	for (size_t i = 0; volumes && i < json_object_array_length(volumes); i++) {
		struct json_object *volume = json_object_array_get_idx(volumes, i);
		const char *id = cs_json_str(volume, "id");
		bool goes = true;

		cs_json_bool(volume, "delete_on_termination", &goes);
		if (id && !goes)
			cs_strings_add(&ret->kept_volumes, id);
	}
}

/* A server that boots from a volume has "image": "". */
static char *image_of(struct json_object *row, struct json_object *metadata)
{
	const char *mark = cs_json_str(metadata, CS_NOVA_MARK_IMAGE);

	return copy_or(cs_json_obj(row, "image"), "id", mark ? mark : "");
}

static int parse_server(
	struct json_object *row, struct cs_server *ret, struct cs_error *err)
{
	struct json_object *flavor = cs_json_obj(row, "flavor");
	struct json_object *metadata = cs_json_obj(row, "metadata");
	const char *id = cs_json_str(row, "id");
	const char *created = cs_json_str(row, "created");

	if (!id || !cs_uuid_ok(id))
		return cs_error_set(
			err, CS_E_PROTOCOL, "Nova lists a server whose id is no uuid");
	*ret = (struct cs_server){
		.id = cs_strdup(id),
		.name = copy_or(row, "name", ""),
		.status = copy_or(row, "status", "UNKNOWN"),
		.task_state = copy_or(row, "OS-EXT-STS:task_state", NULL),
		.image_id = image_of(row, metadata),
		.flavor = copy_or(flavor,
			cs_json_str(flavor, "original_name") ? "original_name" : "id",
			""),
		.zone = copy_or(row, "OS-EXT-AZ:availability_zone", NULL),
		.fault = copy_or(cs_json_obj(row, "fault"), "message", NULL),
		.created_wall_ms = created ? cs_wall_parse(created) : -1,
		.hidden = !metadata,
		.mark_cluster = copy_or(metadata, CS_NOVA_MARK_CLUSTER, NULL),
		.mark_op = copy_or(metadata, CS_NOVA_MARK_OP, NULL),
		.mark_draining = copy_or(metadata, CS_NOVA_MARK_DRAINING, NULL),
		.mark_address = copy_or(metadata, CS_NOVA_MARK_ADDRESS, NULL),
		.mark_snmp_port = copy_or(metadata, CS_NOVA_MARK_SNMP_PORT, NULL),
		.is_protected =
			json_object_object_get_ex(metadata, CS_NOVA_MARK_PROTECTED, NULL),
	};
	cs_json_int(flavor, "vcpus", &ret->vcpus);
	cs_json_bool(row, "locked", &ret->locked);
	parse_addresses(cs_json_obj(row, "addresses"), ret);
	parse_tags(cs_json_arr(row, "tags"), ret);
	parse_volumes(cs_json_arr(row, "os-extended-volumes:volumes_attached"), ret);
	return 0;
}

int cs_nova_parse_server(
	const char *text, size_t len, struct cs_server *ret, struct cs_error *err)
{
	CS_AUTO_JSON struct json_object *body = NULL;

	if (cs_json_parse(text, len, "Nova's answer", &body, err) < 0)
		return err->code;
	return parse_server(cs_json_obj(body, "server"), ret, err);
}

/* Does the link, up to its query, lead to a list of servers? Proxies change host and
 * version of it, not the end. */
static bool is_list(const char *href, const char *query)
{
	static const char *const paths[] = {"/servers/detail", "/servers"};
	size_t len = (size_t)(query - href);

	for (size_t i = 0; i < CS_ARRAY_SIZE(paths); i++) {
		size_t end = strlen(paths[i]);
		if (len >= end && strncmp(query - end, paths[i], end) == 0)
			return true;
	}
	return false;
}

bool cs_nova_next_page(
	struct json_object *links, const char **ret_href, const char **ret_query)
{
	*ret_query = NULL;
	for (size_t i = 0; links && i < json_object_array_length(links); i++) {
		struct json_object *link = json_object_array_get_idx(links, i);
		const char *rel = cs_json_str(link, "rel");

		if (!rel || strcmp(rel, "next") != 0)
			continue;
		*ret_href = cs_json_str(link, "href");
		*ret_query = *ret_href ? strchr(*ret_href, '?') : NULL;
		return *ret_query && strstr(*ret_query, "marker=") &&
		       strcspn(*ret_query, " \t\r\n\"<>#") == strlen(*ret_query);
	}
	return true;
}

/* "http://internal/v2.1/servers/detail?limit=2&marker=ID" -> "limit=2&marker=ID" */
static int parse_next(struct json_object *links, char **ret, struct cs_error *err)
{
	const char *href, *query;

	*ret = NULL;
	if (!cs_nova_next_page(links, &href, &query) || (query && !is_list(href, query)))
		return cs_error_set(err, CS_E_PROTOCOL,
			"Nova's list has a next page but no usable link to it");
	if (query)
		*ret = cs_strdup(query + 1);
	return 0;
}

static int take_row(void *context, struct json_object *row, struct cs_error *err)
{
	struct cs_server_list *list = context;

	if (list->n % LIST_STEP == 0)
		list->servers = cs_reallocarray(
			list->servers, list->n + LIST_STEP, sizeof *list->servers);
	if (parse_server(row, &list->servers[list->n], err) < 0)
		return err->code;
	list->n++;
	return 0;
}

int cs_nova_parse_page(const char *text, size_t len, struct cs_server_list *list,
	char **ret_next, struct cs_error *err)
{
	CS_AUTO_JSON struct json_object *rest = NULL;

	if (cs_json_rows(
		    text, len, "Nova's list", "servers", take_row, list, &rest, err) < 0)
		return err->code;
	return parse_next(cs_json_arr(rest, "servers_links"), ret_next, err);
}
