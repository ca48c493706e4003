/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Floating addresses; see floating.h. */
#include <config.h>
#include "client/floating.h"

#include <string.h>

#include "base/parse.h"
#include "client/nova_internal.h"

#define PAGES_MAX 100
#define MARK "clusterscale"

static char *mark_of(const char *cluster, const char *server_id)
{
	return cs_asprintf(MARK " %s %s", cluster, server_id);
}

/* The server's id in a description that is our mark; NULL: it is none. Borrowed. */
static const char *server_of(const char *description, const char *cluster)
{
	CS_AUTO_FREE char *prefix = mark_of(cluster, "");
	size_t len = strlen(prefix);

	if (!description || strncmp(description, prefix, len) != 0 ||
		!cs_uuid_ok(description + len))
		return NULL;
	return description + len;
}

static int take_row(struct json_object *row, const char *cluster,
	struct cs_floating_list *list, struct cs_error *err)
{
	const char *server_id = server_of(cs_json_str(row, "description"), cluster);
	const char *id = cs_json_str(row, "id");
	const char *address = cs_json_str(row, "floating_ip_address");

	if (!server_id)
		return 0;
	if (!id || !cs_uuid_ok(id) || !address)
		return cs_error_set(err, CS_E_PROTOCOL,
			"the Network service lists a floating address without id or "
			"address");
	list->items = cs_reallocarray(list->items, list->n + 1, sizeof *list->items);
	list->items[list->n++] = (struct cs_floating){.id = cs_strdup(id),
		.address = cs_strdup(address),
		.server_id = cs_strdup(server_id),
		.attached = cs_json_str(row, "port_id") != NULL};
	return 0;
}

static int find_next(struct json_object *links, char **ret_next, struct cs_error *err)
{
	const char *href, *query;

	if (!cs_nova_next_page(links, &href, &query))
		return cs_error_set(err, CS_E_PROTOCOL,
			"the list of floating addresses has a next page but no usable "
			"link to it");
	if (query)
		*ret_next = cs_strdup(query);
	return 0;
}

int cs_floating_parse_page(const char *text, size_t len, const char *cluster,
	struct cs_floating_list *list, char **ret_next, struct cs_error *err)
{
	CS_AUTO_JSON struct json_object *body = NULL;

	*ret_next = NULL;
	if (cs_json_parse(text, len, "the list of floating addresses", &body, err) < 0)
		return err->code;
	struct json_object *rows = cs_json_arr(body, "floatingips");
	if (!rows)
		return cs_error_set(err, CS_E_PROTOCOL,
			"the list of floating addresses has no array 'floatingips'");
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		if (take_row(json_object_array_get_idx(rows, i), cluster, list, err) < 0)
			return err->code;
	}
	return find_next(cs_json_arr(body, "floatingips_links"), ret_next, err);
}

void cs_floating_list_done(struct cs_floating_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->items[i].id);
		free(list->items[i].address);
		free(list->items[i].server_id);
	}
	free(list->items);
	*list = (struct cs_floating_list){0};
}

static int list_page(struct cs_nova *nova, const char *url, const char *cluster,
	struct cs_floating_list *list, char **ret_next, struct cs_error *err)
{
	CS_CLEANUP(cs_http_reply_done) struct cs_http_reply reply = {0};

	if (cs_nova_fetch(nova, url, &reply, err) < 0)
		return err->code;
	if (cs_floating_parse_page(cs_strbuf_text(&reply.body), reply.body.len, cluster,
		    list, ret_next, err) < 0)
		return cs_error_prefix(err, "GET %s", url);
	return 0;
}

static int list_all(struct cs_nova *nova, const char *base, const char *cluster,
	struct cs_floating_list *list, struct cs_error *err)
{
	CS_AUTO_FREE char *query = cs_strdup("");

	for (int page = 0; page < PAGES_MAX; page++) {
		CS_AUTO_FREE char *url = cs_asprintf("%s%s", base, query);
		char *next = NULL;

		if (list_page(nova, url, cluster, list, &next, err) < 0)
			return err->code;
		if (!next)
			return 0;
		free(query);
		query = next;
	}
	return cs_error_set(err, CS_E_LIMIT,
		"the list of floating addresses has no end; it is not used");
}

int cs_floating_list(struct cs_nova *nova, const char *cluster,
	struct cs_floating_list *ret, struct cs_error *err)
{
	CS_AUTO_FREE char *base = NULL;
	struct cs_floating_list list = {0};

	if (cs_nova_network_url(nova, "/floatingips", &base, err) < 0)
		return err->code;
	if (list_all(nova, base, cluster, &list, err) < 0) {
		cs_floating_list_done(&list);
		return err->code;
	}
	*ret = list;
	return 0;
}

static bool has_address(struct json_object *port, const char *address)
{
	struct json_object *fixed = cs_json_arr(port, "fixed_ips");

	for (size_t i = 0; fixed && i < json_object_array_length(fixed); i++) {
		const char *its =
			cs_json_str(json_object_array_get_idx(fixed, i), "ip_address");
		if (its && strcmp(its, address) == 0)
			return true;
	}
	return false;
}

int cs_floating_parse_ports(const char *text, size_t len, const char *address,
	char **ret_id, struct cs_error *err)
{
	CS_AUTO_JSON struct json_object *body = NULL;

	if (cs_json_parse(text, len, "the list of ports", &body, err) < 0)
		return err->code;
	struct json_object *ports = cs_json_arr(body, "ports");
	for (size_t i = 0; ports && i < json_object_array_length(ports); i++) {
		struct json_object *port = json_object_array_get_idx(ports, i);
		const char *id = cs_json_str(port, "id");

		if (id && has_address(port, address)) {
			*ret_id = cs_strdup(id);
			return 0;
		}
	}
	return cs_error_set(err, CS_E_NOT_FOUND, "no port has the address %s", address);
}

/* The port of the server that has the address. */
static int find_port(struct cs_nova *nova, const struct cs_floating_goal *goal,
	char **ret_id, struct cs_error *err)
{
	CS_CLEANUP(cs_http_reply_done) struct cs_http_reply reply = {0};
	CS_AUTO_FREE char *base = NULL;

	if (cs_nova_network_url(nova, "/ports?device_id=", &base, err) < 0)
		return err->code;
	CS_AUTO_FREE char *escaped = cs_http_escape(goal->server_id);
	CS_AUTO_FREE char *url = cs_asprintf("%s%s", base, escaped);
	if (cs_nova_fetch(nova, url, &reply, err) < 0)
		return err->code;
	if (cs_floating_parse_ports(cs_strbuf_text(&reply.body), reply.body.len,
		    goal->fixed_address, ret_id, err) < 0)
		return cs_error_prefix(err, "GET %s", url);
	return 0;
}

/* The body of a request, to be filled and sent. */
static struct json_object *wrap(struct json_object **ret_floating)
{
	struct json_object *body = json_object_new_object();

	*ret_floating = json_object_new_object();
	json_object_object_add(body, "floatingip", *ret_floating);
	return body;
}

static void aim(struct json_object *floating, const char *port,
	const struct cs_floating_goal *goal)
{
	cs_json_add_str(floating, "port_id", port);
	cs_json_add_str(floating, "fixed_ip_address", goal->fixed_address);
}

int cs_floating_allocate(struct cs_nova *nova, const char *network_id,
	const struct cs_floating_goal *goal, char **ret_address, struct cs_error *err)
{
	CS_CLEANUP(cs_http_reply_done) struct cs_http_reply reply = {0};
	CS_AUTO_FREE char *mark = mark_of(goal->cluster, goal->server_id);
	CS_AUTO_JSON struct json_object *answer = NULL;
	CS_AUTO_FREE char *port = NULL;
	struct json_object *floating;
	CS_AUTO_FREE char *url = NULL;

	if (find_port(nova, goal, &port, err) < 0 ||
		cs_nova_network_url(nova, "/floatingips", &url, err) < 0)
		return err->code;
	struct json_object *body = wrap(&floating);
	cs_json_add_str(floating, "floating_network_id", network_id);
	cs_json_add_str(floating, "description", mark);
	aim(floating, port, goal);
	if (cs_nova_end(cs_nova_begin(nova, "POST", CS_TAKE(url), body), &reply, err) < 0)
		return err->code;
	if (cs_json_parse(cs_strbuf_text(&reply.body), reply.body.len,
		    "the new floating address", &answer, err) < 0)
		return err->code;
	const char *address =
		cs_json_str(cs_json_obj(answer, "floatingip"), "floating_ip_address");
	if (!address)
		return cs_error_set(err, CS_E_PROTOCOL,
			"the answer to a new floating address has no address");
	*ret_address = cs_strdup(address);
	return 0;
}

static int floating_url(struct cs_nova *nova, const struct cs_floating *floating,
	char **ret, struct cs_error *err)
{
	CS_AUTO_FREE char *base = NULL;

	if (cs_nova_network_url(nova, "/floatingips", &base, err) < 0)
		return err->code;
	*ret = cs_asprintf("%s/%s", base, floating->id);
	return 0;
}

int cs_floating_attach(struct cs_nova *nova, const struct cs_floating *floating,
	const struct cs_floating_goal *goal, struct cs_error *err)
{
	CS_CLEANUP(cs_http_reply_done) struct cs_http_reply reply = {0};
	CS_AUTO_FREE char *port = NULL;
	struct json_object *content;
	CS_AUTO_FREE char *url = NULL;

	if (find_port(nova, goal, &port, err) < 0 ||
		floating_url(nova, floating, &url, err) < 0)
		return err->code;
	struct json_object *body = wrap(&content);
	aim(content, port, goal);
	return cs_nova_end(cs_nova_begin(nova, "PUT", CS_TAKE(url), body), &reply, err);
}

int cs_floating_release(
	struct cs_nova *nova, const struct cs_floating *floating, struct cs_error *err)
{
	CS_CLEANUP(cs_http_reply_done) struct cs_http_reply reply = {0};
	CS_AUTO_FREE char *url = NULL;

	if (floating_url(nova, floating, &url, err) < 0)
		return err->code;
	int r = cs_nova_end(
		cs_nova_begin(nova, "DELETE", CS_TAKE(url), NULL), &reply, err);
	return r == CS_E_NOT_FOUND ? 0 : r;
}
