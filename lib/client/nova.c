/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests to Nova; see nova.h. */
#include <config.h>
#include "client/nova.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/stamp.h"
#include "client/nova_internal.h"

#define MINOR_FLOOR 26	     /* tags */
#define MINOR_WANTED 73	     /* UNKNOWN rows of a cell that is down, `locked` filter */
#define MINOR_VOLUME_GOES 85 /* for that request alone */
#define PAGES_MAX 1000
#define SERVERS_MAX 100000

struct cs_nova_call {
	char *url;
	struct json_object *body;
	const char *headers[2];
	struct cs_http_request request; /* borrows the others */
	struct cs_keystone_call *sent;
};

static struct cs_nova_call *begin_as(struct cs_nova *nova, const char *header,
	const char *method, char *take_url, struct json_object *take_body)
{
	struct cs_nova_call *call = cs_calloc(1, sizeof *call);

	call->url = take_url;
	call->body = take_body;
	call->headers[0] = *header ? header : NULL;
	call->request = (struct cs_http_request){.method = method,
		.url = call->url,
		.body = call->body ? cs_json_text(call->body) : NULL,
		.headers = call->headers,
		.changes = strcmp(method, "GET") != 0};
	call->sent = cs_keystone_begin(nova->session, &call->request);
	return call;
}

struct cs_nova_call *cs_nova_begin(struct cs_nova *nova, const char *method,
	char *take_url, struct json_object *take_body)
{
	return begin_as(nova, nova->header, method, take_url, take_body);
}

static void call_free(struct cs_nova_call **call)
{
	json_object_put((*call)->body);
	free((*call)->url);
	free(*call);
}

int cs_nova_end(
	struct cs_nova_call *take_call, struct cs_http_reply *reply, struct cs_error *err)
{
	CS_CLEANUP(call_free) struct cs_nova_call *call = take_call;

	if (cs_keystone_end(call->sent, reply, err) < 0)
		return err->code;
	if (reply->status < 200 || reply->status > 299)
		return cs_http_fail(&call->request, reply, err);
	return 0;
}

void cs_nova_look_ahead(struct cs_nova *nova, bool on)
{
	nova->looks_ahead = on;
}

/* What was sent for it before, or NULL. */
static struct cs_nova_call *take_ahead(struct cs_nova *nova, const char *url)
{
	for (size_t i = 0; i < nova->n_ahead; i++) {
		struct cs_nova_call *call = nova->ahead[i];

		if (strcmp(call->url, url) != 0)
			continue;
		nova->ahead[i] = nova->ahead[--nova->n_ahead];
		return call;
	}
	return NULL;
}

static int send_ahead(struct cs_nova *nova, const char *url, struct cs_error *err)
{
	if (nova->n_ahead < CS_NOVA_AHEAD_MAX)
		nova->ahead[nova->n_ahead++] =
			cs_nova_begin(nova, "GET", cs_strdup(url), NULL);
	return cs_error_set(err, CS_E_LOST, "GET %s: under way", url);
}

int cs_nova_fetch(struct cs_nova *nova, const char *url, struct cs_http_reply *reply,
	struct cs_error *err)
{
	if (nova->looks_ahead)
		return send_ahead(nova, url, err);
	CS_CLEANUP(call_free) struct cs_nova_call *call = take_ahead(nova, url);
	if (!call)
		call = cs_nova_begin(nova, "GET", cs_strdup(url), NULL);
	if (cs_keystone_end(call->sent, reply, err) < 0)
		return err->code;
	return reply->status == 200 ? 0 : cs_http_fail(&call->request, reply, err);
}

int cs_nova_get(struct cs_nova *nova, const char *url, struct json_object **ret,
	struct cs_error *err)
{
	CS_CLEANUP(cs_http_reply_done) struct cs_http_reply reply = {0};

	if (cs_nova_fetch(nova, url, &reply, err) < 0)
		return err->code;
	return cs_json_parse(cs_strbuf_text(&reply.body), reply.body.len, url, ret, err);
}

/* "2.93" -> 93, -1 when it is not a version 2. */
static int minor_of(struct json_object *version, const char *key)
{
	const char *text = cs_json_str(version, key);
	int64_t minor;

	if (!text || strncmp(text, "2.", 2) != 0 ||
		!cs_parse_int(text + 2, 0, 9999, &minor))
		return -1;
	return (int)minor;
}

/* A versioned endpoint answers {"version": {}}, the bare service {"versions": []}. */
static struct json_object *find_version(struct json_object *body)
{
	struct json_object *list = cs_json_arr(body, "versions");

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		const char *id = cs_json_str(item, "id");
		if (id && strcmp(id, "v2.1") == 0)
			return item;
	}
	return cs_json_obj(body, "version");
}

static void write_header(int minor, char ret[CS_NOVA_HEADER_SIZE])
{
	snprintf(ret, CS_NOVA_HEADER_SIZE, "OpenStack-API-Version: compute 2.%d", minor);
}

static int negotiate(struct cs_nova *nova, struct json_object *body, const char *url,
	struct cs_error *err)
{
	struct json_object *version = find_version(body);
	int min = minor_of(version, "min_version"), max = minor_of(version, "version");

	if (max < MINOR_FLOOR || min > MINOR_WANTED)
		return cs_error_set(err, CS_E_PROTOCOL,
			"Nova at %s offers microversions 2.%d to 2.%d; one from 2.%d "
			"(OpenStack Newton) to 2.%d is needed",
			url, min < 0 ? 0 : min, max < 0 ? 0 : max, MINOR_FLOOR,
			MINOR_WANTED);
	nova->newest = max;
	nova->minor = max < MINOR_WANTED ? max : MINOR_WANTED;
	write_header(nova->minor, nova->header);
	return 0;
}

int cs_nova_open(struct cs_keystone *session, struct cs_nova **ret, struct cs_error *err)
{
	CS_CLEANUP(cs_nova_closep) struct cs_nova *nova = cs_calloc(1, sizeof *nova);
	CS_AUTO_JSON struct json_object *body = NULL;
	CS_AUTO_FREE char *endpoint = NULL;

	nova->session = session;
	if (cs_keystone_endpoint(session, "compute", &endpoint, err) < 0)
		return err->code;
	/* Behind the version there may be the project's id, as in /v2.1/da357d1f. */
	const char *version = strstr(endpoint, "/v2.1");
	int prefix_len = version ? (int)(version - endpoint) : (int)strlen(endpoint);
	CS_AUTO_FREE char *url =
		cs_asprintf("%.*s%s/", prefix_len, endpoint, version ? "/v2.1" : "");
	nova->base = version ? cs_strdup(endpoint) : cs_asprintf("%s/v2.1", endpoint);
	if (cs_nova_get(nova, url, &body, err) < 0 || negotiate(nova, body, url, err) < 0)
		return err->code;
	*ret = CS_TAKE(nova);
	return 0;
}

void cs_nova_close(struct cs_nova *nova)
{
	if (!nova)
		return;
	while (nova->n_ahead > 0) {
		CS_CLEANUP(cs_http_reply_done) struct cs_http_reply reply = {0};
		struct cs_error ignored;

		(void)!cs_nova_end(nova->ahead[--nova->n_ahead], &reply, &ignored);
	}
	free(nova->base);
	free(nova);
}

static int list_page(struct cs_nova *nova, const char *query, struct cs_server_list *list,
	char **ret_next, struct cs_error *err)
{
	CS_CLEANUP(cs_http_reply_done) struct cs_http_reply reply = {0};
	CS_AUTO_FREE char *url = cs_asprintf(
		"%s/servers/detail%s%s", nova->base, *query ? "?" : "", query);

	if (cs_nova_fetch(nova, url, &reply, err) < 0)
		return err->code;
	if (cs_nova_parse_page(
		    cs_strbuf_text(&reply.body), reply.body.len, list, ret_next, err) < 0)
		return cs_error_prefix(err, "GET %s", url);
	return 0;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A service that ignores the marker would make one server count twice. */
static int check_unique(const struct cs_server_list *list, struct cs_error *err)
{
	CS_AUTO_FREE char **ids = cs_calloc(list->n, sizeof *ids);

	for (size_t i = 0; i < list->n; i++)
		ids[i] = list->servers[i].id;
	qsort(ids, list->n, sizeof *ids, by_id);
	for (size_t i = 1; i < list->n; i++) {
		if (strcmp(ids[i - 1], ids[i]) == 0)
			return cs_error_set(err, CS_E_PROTOCOL,
				"Nova lists server %s twice; the list is not used",
				ids[i]);
	}
	return 0;
}

static bool has(const struct cs_strings *texts, const char *text)
{
	for (size_t i = 0; i < texts->n; i++) {
		if (strcmp(texts->items[i], text) == 0)
			return true;
	}
	return false;
}

static int list_all(
	struct cs_nova *nova, struct cs_server_list *list, struct cs_error *err)
{
	CS_CLEANUP(cs_strings_done) struct cs_strings read = {0}; /* their queries */

	cs_strings_add(&read, "");
	for (size_t page = 0; page < PAGES_MAX; page++) {
		CS_AUTO_FREE char *next = NULL;

		if (list_page(nova, read.items[page], list, &next, err) < 0)
			return page == 0 ? err->code
					 : cs_error_prefix(err,
						   "page %zu of Nova's list failed, the "
						   "others are not used",
						   page + 1);
		if (!next)
			return check_unique(list, err);
		if (has(&read, next))
			return cs_error_set(err, CS_E_PROTOCOL,
				"Nova's list refers to the same page again (%s)", next);
		if (list->n > SERVERS_MAX)
			break;
		cs_strings_add(&read, next);
	}
	return cs_error_set(err, CS_E_LIMIT,
		"Nova's list has no end: %zu servers so far; it is not used", list->n);
}

int cs_nova_list(struct cs_nova *nova, struct cs_server_list *ret, struct cs_error *err)
{
	struct cs_server_list list = {0};
	struct cs_stamp now;

	cs_stamp_now(&now);
	list.taken_wall_ms = now.wall_ms;
	if (list_all(nova, &list, err) < 0) {
		cs_server_list_done(&list);
		return err->code;
	}
	*ret = list;
	return 0;
}

/* The URL of a server or of a part of it; owned by the caller. Ids come from Nova and
 * from people, so they are escaped like any text. */
static char *server_url(
	const struct cs_nova *nova, const char *id, const char *format, const char *part)
{
	CS_AUTO_FREE char *escaped_id = cs_http_escape(id);
	CS_AUTO_FREE char *escaped_part = cs_http_escape(part);

	return cs_asprintf(
		"%s/servers/%s%s%s", nova->base, escaped_id, format, escaped_part);
}

int cs_nova_show(
	struct cs_nova *nova, const char *id, struct cs_server *ret, struct cs_error *err)
{
	CS_CLEANUP(cs_http_reply_done) struct cs_http_reply reply = {0};
	CS_AUTO_FREE char *url = server_url(nova, id, "", "");

	if (cs_nova_fetch(nova, url, &reply, err) < 0)
		return err->code;
	if (cs_nova_parse_server(cs_strbuf_text(&reply.body), reply.body.len, ret, err) <
		0)
		return cs_error_prefix(err, "GET %s", url);
	return 0;
}

/* For what is answered by a status alone. */
static int end_change(struct cs_nova_call *call, struct cs_error *err)
{
	CS_CLEANUP(cs_http_reply_done) struct cs_http_reply reply = {0};

	return cs_nova_end(call, &reply, err);
}

struct cs_nova_call *cs_nova_delete_begin(struct cs_nova *nova, const char *id)
{
	return cs_nova_begin(nova, "DELETE", server_url(nova, id, "", ""), NULL);
}

int cs_nova_delete_end(struct cs_nova_call *take_call, struct cs_error *err)
{
	return end_change(take_call, err);
}

int cs_nova_metadata_set(struct cs_nova *nova, const char *id, const char *key,
	const char *value, struct cs_error *err)
{
	char *url = server_url(nova, id, "/metadata", "");
	struct json_object *body = json_object_new_object();
	struct json_object *metadata = json_object_new_object();

	json_object_object_add(body, "metadata", metadata);
	cs_json_add_str(metadata, key, value);
	/* POST merges, PUT replaces all */
	return end_change(cs_nova_begin(nova, "POST", url, body), err);
}

int cs_nova_metadata_unset(
	struct cs_nova *nova, const char *id, const char *key, struct cs_error *err)
{
	char *url = server_url(nova, id, "/metadata/", key);

	return end_change(cs_nova_begin(nova, "DELETE", url, NULL), err);
}

int cs_nova_tag_add(
	struct cs_nova *nova, const char *id, const char *tag, struct cs_error *err)
{
	char *url = server_url(nova, id, "/tags/", tag);

	return end_change(cs_nova_begin(nova, "PUT", url, NULL), err);
}

int cs_nova_volume_goes(struct cs_nova *nova, const char *server_id,
	const char *volume_id, struct cs_error *err)
{
	char header[CS_NOVA_HEADER_SIZE];

	if (nova->newest < MINOR_VOLUME_GOES)
		return cs_error_set(err, CS_E_CONFIG,
			"to have it deleted needs Nova's microversion 2.%d, this cloud "
			"has 2.%d",
			MINOR_VOLUME_GOES, nova->newest);
	struct json_object *body = json_object_new_object();
	struct json_object *attachment = json_object_new_object();
	char *url = server_url(nova, server_id, "/os-volume_attachments/", volume_id);

	write_header(MINOR_VOLUME_GOES, header);
	cs_json_add_str(attachment, "volumeId", volume_id);
	cs_json_add_bool(attachment, "delete_on_termination", true);
	json_object_object_add(body, "volumeAttachment", attachment);
	return end_change(begin_as(nova, header, "PUT", url, body), err);
}
