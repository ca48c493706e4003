/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Images of servers; see nova.h. */
#include <config.h>
#include "client/nova.h"

#include <inttypes.h>
#include <string.h>

#include "base/parse.h"
#include "client/nova_internal.h"

/* From 2.45 in the body, before at the end of the Location. */
static int take_image_id(
	const struct cs_http_reply *reply, char **ret_id, struct cs_error *err)
{
	CS_AUTO_JSON struct json_object *body = NULL;
	const char *slash = strrchr(reply->location, '/');
	const char *id = slash ? slash + 1 : "";
	struct cs_error ignored;

	if (cs_json_parse(cs_strbuf_text(&reply->body), reply->body.len, "Nova's answer",
		    &body, &ignored) == 0 &&
		cs_json_str(body, "image_id"))
		id = cs_json_str(body, "image_id");
	if (!cs_uuid_ok(id))
		return cs_error_set(err, CS_E_LOST,
			"Nova began a snapshot, but its answer names no image");
	*ret_id = cs_strdup(id);
	return 0;
}

/* https://docs.openstack.org/api-ref/compute/#create-image-createimage-action */
int cs_nova_snapshot(struct cs_nova *nova, const char *server_id, const char *name,
	char **ret_image_id, struct cs_error *err)
{
	CS_CLEANUP(cs_http_reply_done) struct cs_http_reply reply = {0};
	CS_AUTO_FREE char *escaped = cs_http_escape(server_id);
	struct json_object *body = json_object_new_object();
	struct json_object *action = json_object_new_object();

	json_object_object_add(body, "createImage", action);
	cs_json_add_str(action, "name", name);
	char *url = cs_asprintf("%s/servers/%s/action", nova->base, escaped);
	if (cs_nova_end(cs_nova_begin(nova, "POST", url, body), &reply, err) < 0)
		return err->code;
	return take_image_id(&reply, ret_image_id, err);
}

/* https://docs.openstack.org/api-ref/image/v2/#show-image */
int cs_nova_image_show(struct cs_nova *nova, const char *image_id,
	struct cs_nova_image *ret, struct cs_error *err)
{
	struct cs_nova_image image = {0};
	CS_AUTO_JSON struct json_object *body = NULL;
	CS_AUTO_FREE char *images = NULL;
	CS_AUTO_FREE char *escaped = cs_http_escape(image_id);

	if (cs_nova_images_url(nova, &images, err) < 0)
		return err->code;
	CS_AUTO_FREE char *url = cs_asprintf("%s/%s", images, escaped);
	if (cs_nova_get(nova, url, &body, err) < 0)
		return err->code;
	if (!cs_json_str(body, "status"))
		return cs_error_set(
			err, CS_E_PROTOCOL, "GET %s: the answer has no status", url);
	/* Both are optional. */
	(void)cs_json_int(body, "min_disk", &image.min_disk_gib);
	(void)cs_json_int(body, "min_ram", &image.min_ram_mib);
	image.status = cs_strdup(cs_json_str(body, "status"));
	*ret = image;
	return 0;
}

void cs_nova_image_done(struct cs_nova_image *image)
{
	cs_strset(&image->status, NULL);
}

/* As Nova's own check before a build; a flavor without a disk takes the image's size. */
int cs_nova_image_fits(const struct cs_nova_image *image, const struct cs_nova_size *size,
	int64_t volume_gib, struct cs_error *err)
{
	int64_t disk_gib = volume_gib > 0 ? volume_gib : size->disk_gib;

	if (image->min_ram_mib > size->ram_mib)
		return cs_error_set(err, CS_E_CONFIG,
			"the image needs %" PRId64
			" MiB of memory (min_ram), the flavor has %" PRId64,
			image->min_ram_mib, size->ram_mib);
	if (disk_gib > 0 && image->min_disk_gib > disk_gib)
		return cs_error_set(err, CS_E_CONFIG,
			"the image needs %" PRId64
			" GiB of disk (min_disk), the %s has %" PRId64,
			image->min_disk_gib, volume_gib > 0 ? "boot-volume" : "flavor",
			disk_gib);
	return 0;
}
