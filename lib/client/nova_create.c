/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The request that makes a server; see nova.h.
 * Source: https://docs.openstack.org/api-ref/compute/#create-server . */
#include <config.h>
#include "client/nova.h"

#include <string.h>

#include "base/parse.h"
#include "client/nova_internal.h"

#define MINOR_NETWORKS 37
#define MINOR_CREATE_TAGS 52
#define MINOR_VOLUME_TYPE 67

static struct json_object *networks_of(
	const struct cs_nova *nova, const struct cs_server_request *request)
{
	const struct cs_strings *ids = request->network_ids;

	if (ids->n == 0) /* below, leaving it out means the same */
		return nova->minor >= MINOR_NETWORKS ? json_object_new_string("auto")
						     : NULL;
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < ids->n; i++) {
		struct json_object *network = json_object_new_object();
		if (i == 0 && request->port_id) {
			cs_json_add_str(network, "port", request->port_id);
		} else {
			cs_json_add_str(network, "uuid", ids->items[i]);
			if (i == 0 && request->address)
				cs_json_add_str(network, "fixed_ip", request->address);
		}
		json_object_array_add(list, network);
	}
	return list;
}

static struct json_object *groups_of(const struct cs_strings *names)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < names->n; i++) {
		struct json_object *group = json_object_new_object();
		cs_json_add_str(group, "name", names->items[i]);
		json_object_array_add(list, group);
	}
	return list;
}

static void add_marks(const struct cs_nova *nova, struct json_object *server,
	const struct cs_server_request *request)
{
	struct json_object *metadata = json_object_new_object();
	struct json_object *tags = json_object_new_array();
	CS_AUTO_FREE char *tag = cs_asprintf("clusterscale:%s", request->mark_cluster);

	cs_json_add_str(metadata, CS_NOVA_MARK_CLUSTER, request->mark_cluster);
	cs_json_add_str(metadata, CS_NOVA_MARK_OP, request->mark_op);
	if (request->volume)
		cs_json_add_str(metadata, CS_NOVA_MARK_IMAGE, request->image_id);
	if (request->address)
		cs_json_add_str(metadata, CS_NOVA_MARK_ADDRESS, request->address);
	json_object_object_add(server, "metadata", metadata);
	json_object_array_add(tags, json_object_new_string(tag));
	if (nova->minor >= MINOR_CREATE_TAGS)
		json_object_object_add(server, "tags", tags);
	else
		json_object_put(tags);
}

/* A volume that is made from the image. Only then a server has no image in Nova's eyes.
 */
static void add_volume(
	struct json_object *server, const struct cs_server_request *request)
{
	const struct cs_boot_volume *volume = request->volume;
	struct json_object *list = json_object_new_array();
	struct json_object *device = json_object_new_object();

	cs_json_add_int(device, "boot_index", 0);
	cs_json_add_str(device, "uuid", request->image_id);
	cs_json_add_str(device, "source_type", "image");
	cs_json_add_str(device, "destination_type", "volume");
	cs_json_add_int(device, "volume_size", volume->size_gib);
	if (volume->type)
		cs_json_add_str(device, "volume_type", volume->type);
	cs_json_add_bool(device, "delete_on_termination", volume->goes_with_server);
	json_object_array_add(list, device);
	json_object_object_add(server, "block_device_mapping_v2", list);
}

static void add_group(struct json_object *body, const char *group_id)
{
	struct json_object *hints = json_object_new_object();

	cs_json_add_str(hints, "group", group_id);
	json_object_object_add(body, "os:scheduler_hints", hints);
}

static struct json_object *create_body(
	const struct cs_nova *nova, const struct cs_server_request *request)
{
	struct json_object *body = json_object_new_object();
	struct json_object *server = json_object_new_object();
	struct json_object *networks = networks_of(nova, request);

	json_object_object_add(body, "server", server);
	cs_json_add_str(server, "name", request->name);
	if (request->volume)
		add_volume(server, request);
	else
		cs_json_add_str(server, "imageRef", request->image_id);
	cs_json_add_str(server, "flavorRef", request->flavor_id);
	if (networks)
		json_object_object_add(server, "networks", networks);
	if (request->key_name)
		cs_json_add_str(server, "key_name", request->key_name);
	if (request->zone)
		cs_json_add_str(server, "availability_zone", request->zone);
	if (request->user_data_base64)
		cs_json_add_str(server, "user_data", request->user_data_base64);
	if (request->security_groups->n > 0)
		json_object_object_add(
			server, "security_groups", groups_of(request->security_groups));
	if (request->config_drive)
		cs_json_add_bool(server, "config_drive", true);
	if (request->group_id)
		add_group(body, request->group_id);
	add_marks(nova, server, request);
	return body;
}

static int take_new_id(
	const struct cs_http_reply *reply, char **ret_id, struct cs_error *err)
{
	CS_AUTO_JSON struct json_object *body = NULL;
	const char *id;

	if (cs_json_parse(cs_strbuf_text(&reply->body), reply->body.len, "Nova's answer",
		    &body, err) < 0)
		return cs_error_set(err, CS_E_LOST,
			"Nova accepted a new server, but its answer is not readable");
	id = cs_json_str(cs_json_obj(body, "server"), "id");
	if (!id || !cs_uuid_ok(id)) /* the journal takes nothing else */
		return cs_error_set(err, CS_E_LOST,
			"Nova accepted a new server, but its answer has no uuid");
	*ret_id = cs_strdup(id);
	return 0;
}

int cs_nova_create_check(const struct cs_nova *nova,
	const struct cs_server_request *request, struct cs_error *err)
{
	if (request->volume && request->volume->type && nova->minor < MINOR_VOLUME_TYPE)
		return cs_error_set(err, CS_E_CONFIG,
			"a type of a boot volume needs Nova's microversion 2.%d, this "
			"cloud has 2.%d; leave the type out to get the default one",
			MINOR_VOLUME_TYPE, nova->minor);
	return 0;
}

struct cs_nova_call *cs_nova_create_begin(
	struct cs_nova *nova, const struct cs_server_request *request)
{
	return cs_nova_begin(nova, "POST", cs_asprintf("%s/servers", nova->base),
		create_body(nova, request));
}

int cs_nova_create_end(
	struct cs_nova_call *take_call, char **ret_id, struct cs_error *err)
{
	CS_CLEANUP(cs_http_reply_done) struct cs_http_reply reply = {0};

	if (cs_nova_end(take_call, &reply, err) == 0)
		return take_new_id(&reply, ret_id, err);
	if (err->remote_status >= 500 && err->remote_status != 503)
		err->code = CS_E_LOST;
	return err->code;
}
