/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of images, flavors and networks to ids; see nova.h. */
#include <config.h>
#include "client/nova.h"

#include <string.h>

#include "base/parse.h"
#include "client/nova_internal.h"

/* A collection that is searched. */
struct collection {
	const char *what; /* "image" */
	const char *list; /* key of the array in a list answer */
	const char *item; /* key of the object in a single answer, NULL: it is the body */
	char *url;	  /* of the collection */
	const char *filter; /* "name=" when the service can filter, else NULL */
};

struct found {
	char *id, *name;
};

static void take(struct json_object *object, struct found *ret)
{
	const char *name = cs_json_str(object, "name");

	cs_strset(&ret->id, cs_json_str(object, "id"));
	cs_strset(&ret->name, name ? name : "");
}

static int by_id(struct cs_nova *nova, const struct collection *where, const char *id,
	struct found *ret, struct cs_error *err)
{
	CS_AUTO_JSON struct json_object *body = NULL;
	CS_AUTO_FREE char *escaped = cs_http_escape(id);
	CS_AUTO_FREE char *url = cs_asprintf("%s/%s", where->url, escaped);

	if (cs_nova_get(nova, url, &body, err) < 0)
		return err->code;
	struct json_object *item = where->item ? cs_json_obj(body, where->item) : body;
	if (!cs_json_str(item, "id"))
		return cs_error_set(
			err, CS_E_PROTOCOL, "GET %s: the answer has no id", url);
	take(item, ret);
	return 0;
}

static int pick(struct json_object *list, const struct collection *where,
	const char *name, struct found *ret, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf ids = CS_STRBUF(300);
	int matches = 0;

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		const char *id = cs_json_str(item, "id");
		const char *its_name = cs_json_str(item, "name");

		if (!id || !its_name || strcmp(its_name, name) != 0)
			continue;
		cs_strbuf_addf(&ids, "%s%s", matches++ ? ", " : "", id);
		take(item, ret);
	}
	if (matches == 0)
		return cs_error_set(err, CS_E_NOT_FOUND,
			"the cloud has no %s with name or id '%s' for this project",
			where->what, name);
	if (matches > 1)
		return cs_error_set(err, CS_E_CONFLICT,
			"%d %ss have the name '%s'; give the id of the right one: %s",
			matches, where->what, name, cs_strbuf_text(&ids));
	return 0;
}

static int by_name(struct cs_nova *nova, const struct collection *where, const char *name,
	struct found *ret, struct cs_error *err)
{
	CS_AUTO_JSON struct json_object *body = NULL;
	CS_AUTO_FREE char *escaped = cs_http_escape(name);
	CS_AUTO_FREE char *url =
		where->filter ? cs_asprintf("%s?%s%s", where->url, where->filter, escaped)
			      : cs_asprintf("%s/detail", where->url);

	if (cs_nova_get(nova, url, &body, err) < 0)
		return err->code;
	struct json_object *list = cs_json_arr(body, where->list);
	if (!list)
		return cs_error_set(err, CS_E_PROTOCOL,
			"GET %s: the answer has no array '%s'", url, where->list);
	return pick(list, where, name, ret, err);
}

/* Whatever looks like an id is tried as one first: a name may look like one, too. */
static int find(struct cs_nova *nova, const struct collection *where,
	const char *name_or_id, bool try_id, struct found *ret, struct cs_error *err)
{
	if (try_id) {
		int r = by_id(nova, where, name_or_id, ret, err);
		if (r != CS_E_NOT_FOUND)
			return r;
	}
	return by_name(nova, where, name_or_id, ret, err);
}

/* The URL of a collection of another service, whose endpoint may have the version in it
 * already; owned by the caller. */
static int collection_url(struct cs_nova *nova, const char *type, const char *version,
	const char *path, char **ret, struct cs_error *err)
{
	CS_AUTO_FREE char *endpoint = NULL;

	if (cs_keystone_endpoint(nova->session, type, &endpoint, err) < 0)
		return err->code;
	size_t len = strlen(endpoint), n = strlen(version);
	bool has_version = len > n && strcmp(endpoint + len - n, version) == 0;
	*ret = cs_asprintf("%s%s%s", endpoint, has_version ? "" : version, path);
	return 0;
}

static int find_id(struct cs_nova *nova, const struct collection *where,
	const char *name_or_id, bool try_id, char **ret_id, struct cs_error *err)
{
	struct found found = {0};
	int r = find(nova, where, name_or_id, try_id, &found, err);

	if (r == 0)
		*ret_id = CS_TAKE(found.id);
	free(found.id);
	free(found.name);
	return r;
}

/* https://docs.openstack.org/api-ref/image/v2/#list-images */
int cs_nova_image_id(
	struct cs_nova *nova, const char *name_or_id, char **ret_id, struct cs_error *err)
{
	struct collection images = {"image", "images", NULL, NULL, "name="};

	if (collection_url(nova, "image", "/v2", "/images", &images.url, err) < 0)
		return err->code;
	int r = find_id(nova, &images, name_or_id, cs_uuid_ok(name_or_id), ret_id, err);
	free(images.url);
	return r;
}

/* Flavor ids have no form of their own, and Nova has no filter for names. */
int cs_nova_flavor_id(
	struct cs_nova *nova, const char *name_or_id, char **ret_id, struct cs_error *err)
{
	struct collection flavors = {"flavor", "flavors", "flavor", NULL, NULL};

	flavors.url = cs_asprintf("%s/flavors", nova->base);
	int r = find_id(nova, &flavors, name_or_id, true, ret_id, err);
	free(flavors.url);
	return r;
}

/* https://docs.openstack.org/api-ref/network/v2/#list-networks */
int cs_nova_network_find(struct cs_nova *nova, const char *name_or_id, char **ret_id,
	char **ret_name, struct cs_error *err)
{
	struct collection networks = {"network", "networks", "network", NULL, "name="};
	struct found found = {0};

	if (collection_url(nova, "network", "/v2.0", "/networks", &networks.url, err) < 0)
		return err->code;
	int r = find(nova, &networks, name_or_id, cs_uuid_ok(name_or_id), &found, err);
	free(networks.url);
	if (r < 0) {
		free(found.id);
		free(found.name);
		return r;
	}
	*ret_id = found.id;
	*ret_name = found.name;
	return 0;
}
