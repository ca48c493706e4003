/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of images, flavors and networks to ids; see nova.h. */
#include <config.h>
#include "client/nova.h"

#include <ctype.h>
#include <string.h>

#include "base/parse.h"
#include "client/nova_internal.h"

/* A collection that is searched. */
struct collection {
	const char *what; /* "image" */
	const char *list; /* key of the array in a list answer */
	const char *item; /* key of the object in a single answer, NULL: it is the body */
	char *url;	  /* of the collection */
	const char *filter; /* "?name=" when the service can filter, else NULL */
	const char *all;    /* behind `url`, for the list of all with their names */
};

#define NEAR_MAX 5
#define NAME_MAX_COMPARED 64

struct found {
	char *id, *name;
	char *address;		  /* of a port */
	struct cs_nova_size size; /* of a flavor */
};

static void take(struct json_object *object, struct found *ret)
{
	const char *name = cs_json_str(object, "name");
	struct json_object *fixed = cs_json_arr(object, "fixed_ips");

	if (fixed && json_object_array_length(fixed) > 0)
		cs_strset(&ret->address,
			cs_json_str(json_object_array_get_idx(fixed, 0), "ip_address"));
	cs_json_int(object, "vcpus", &ret->size.vcpus);
	cs_json_int(object, "ram", &ret->size.ram_mib);
	cs_json_int(object, "disk", &ret->size.disk_gib);
	cs_strset(&ret->id, cs_json_str(object, "id"));
	cs_strset(&ret->name, name ? name : "");
}

static void found_done(struct found *found)
{
	free(found->id);
	free(found->name);
	free(found->address);
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

/* How many letters have to be changed, added or taken away, capitals aside
 * (Levenshtein's distance of the beginnings). */
static size_t distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_COMPARED + 1], len = strnlen(b, NAME_MAX_COMPARED);

	for (size_t k = 0; k <= len; k++)
		row[k] = k;
	for (size_t i = 0; a[i] && i < NAME_MAX_COMPARED; i++) {
		size_t corner = row[0];

		row[0] = i + 1;
		for (size_t k = 0; k < len; k++) {
			bool same = tolower((unsigned char)a[i]) ==
				    tolower((unsigned char)b[k]);
			size_t least = row[k] < row[k + 1] ? row[k] : row[k + 1];
			size_t change = corner + !same;

			corner = row[k + 1];
			row[k + 1] = least + 1 < change ? least + 1 : change;
		}
	}
	return row[len];
}

struct near {
	const char *name; /* borrowed */
	size_t distance;
};

/* Keeps the nearest ones in order. */
static void keep_near(struct near near[NEAR_MAX], const char *name, size_t how_far)
{
	struct near candidate = {name, how_far};

	for (size_t i = 0; i < NEAR_MAX; i++) {
		if (near[i].name && near[i].distance <= candidate.distance)
			continue;
		struct near pushed = near[i];
		near[i] = candidate;
		candidate = pushed;
		if (!candidate.name)
			break;
	}
}

/* "; it has: a, b", the names most like `name` first; what they are in is borrowed. */
static void add_near(struct json_object *list, const char *name, struct cs_strbuf *ret)
{
	struct near near[NEAR_MAX] = {0};
	size_t n = list ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < n; i++) {
		const char *other =
			cs_json_str(json_object_array_get_idx(list, i), "name");
		if (other && *other)
			keep_near(near, other, distance(name, other));
	}
	if (!near[0].name) {
		cs_strbuf_add(ret, "; it has none at all");
		return;
	}
	for (size_t i = 0; i < NEAR_MAX && near[i].name; i++)
		cs_strbuf_addf(ret, "%s'%s'",
			i	       ? ", "
			: n > NEAR_MAX ? "; most like it: "
				       : "; it has ",
			near[i].name);
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
		return CS_E_NOT_FOUND;
	if (matches > 1)
		return cs_error_set(err, CS_E_CONFLICT,
			"%d %ss have the name '%s'; give the id of the right one: %s",
			matches, where->what, name, cs_strbuf_text(&ids));
	return 0;
}

static int get_list(struct cs_nova *nova, const struct collection *where,
	const char *rest, struct json_object **ret_body, struct json_object **ret_list,
	struct cs_error *err)
{
	CS_AUTO_FREE char *url = cs_asprintf("%s%s", where->url, rest);

	if (cs_nova_get(nova, url, ret_body, err) < 0)
		return err->code;
	*ret_list = cs_json_arr(*ret_body, where->list);
	if (!*ret_list)
		return cs_error_set(err, CS_E_PROTOCOL,
			"GET %s: the answer has no array '%s'", url, where->list);
	return 0;
}

/* What there is instead is worth a request more. */
static int none(struct cs_nova *nova, const struct collection *where, const char *name,
	struct json_object *list, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf near = CS_STRBUF(400);
	CS_AUTO_JSON struct json_object *body = NULL;

	if (!where->filter || get_list(nova, where, where->all, &body, &list, err) == 0)
		add_near(list, name, &near);
	return cs_error_set(err, CS_E_NOT_FOUND,
		"the cloud has no %s with name or id '%s' for this project%s",
		where->what, name, cs_strbuf_text(&near));
}

static int by_name(struct cs_nova *nova, const struct collection *where, const char *name,
	struct found *ret, struct cs_error *err)
{
	CS_AUTO_JSON struct json_object *body = NULL;
	struct json_object *list;
	CS_AUTO_FREE char *escaped = cs_http_escape(name);
	CS_AUTO_FREE char *rest = where->filter
					  ? cs_asprintf("%s%s", where->filter, escaped)
					  : cs_strdup(where->all);

	if (get_list(nova, where, rest, &body, &list, err) < 0)
		return err->code;
	int r = pick(list, where, name, ret, err);
	return r == CS_E_NOT_FOUND ? none(nova, where, name, list, err) : r;
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
	found_done(&found);
	return r;
}

int cs_nova_images_url(struct cs_nova *nova, char **ret, struct cs_error *err)
{
	return collection_url(nova, "image", "/v2", "/images", ret, err);
}

/* https://docs.openstack.org/api-ref/image/v2/#list-images */
int cs_nova_image_id(
	struct cs_nova *nova, const char *name_or_id, char **ret_id, struct cs_error *err)
{
	struct collection images = {
		"image", "images", NULL, NULL, "?name=", "?limit=1000"};

	if (cs_nova_images_url(nova, &images.url, err) < 0)
		return err->code;
	int r = find_id(nova, &images, name_or_id, cs_uuid_ok(name_or_id), ret_id, err);
	free(images.url);
	return r;
}

/* Flavor ids have no form of their own, and Nova has no filter for names: the list of all
 * tells both, and what is not on its one page is asked for by its id. */
static int find_flavor(struct cs_nova *nova, const struct collection *where,
	const char *name_or_id, struct found *ret, struct cs_error *err)
{
	CS_AUTO_JSON struct json_object *body = NULL;
	struct json_object *list;

	if (get_list(nova, where, where->all, &body, &list, err) < 0)
		return err->code;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *flavor = json_object_array_get_idx(list, i);
		const char *id = cs_json_str(flavor, "id");

		if (id && strcmp(id, name_or_id) == 0) {
			take(flavor, ret);
			return 0;
		}
	}
	int r = pick(list, where, name_or_id, ret, err);
	if (r == CS_E_NOT_FOUND)
		r = by_id(nova, where, name_or_id, ret, err);
	return r == CS_E_NOT_FOUND ? none(nova, where, name_or_id, list, err) : r;
}

/* https://docs.openstack.org/api-ref/compute/#list-flavors-with-details */
int cs_nova_flavor_find(struct cs_nova *nova, const char *name_or_id, char **ret_id,
	struct cs_nova_size *ret_size, struct cs_error *err)
{
	struct collection flavors = {
		"flavor", "flavors", "flavor", NULL, NULL, "/detail"};
	struct found found = {0};

	flavors.url = cs_asprintf("%s/flavors", nova->base);
	int r = find_flavor(nova, &flavors, name_or_id, &found, err);
	if (r == 0 && found.size.vcpus <= 0)
		r = cs_error_set(err, CS_E_PROTOCOL,
			"GET %s/detail: flavor '%s' has no 'vcpus'", flavors.url,
			name_or_id);
	free(flavors.url);
	if (r == 0) {
		*ret_id = CS_TAKE(found.id);
		*ret_size = found.size;
	}
	found_done(&found);
	return r;
}

/* https://docs.openstack.org/api-ref/compute/#list-server-groups */
int cs_nova_group_id(
	struct cs_nova *nova, const char *name_or_id, char **ret_id, struct cs_error *err)
{
	struct collection groups = {
		"server group", "server_groups", "server_group", NULL, NULL, ""};

	groups.url = cs_asprintf("%s/os-server-groups", nova->base);
	int r = find_id(nova, &groups, name_or_id, cs_uuid_ok(name_or_id), ret_id, err);
	free(groups.url);
	return r;
}

int cs_nova_network_url(
	struct cs_nova *nova, const char *path, char **ret, struct cs_error *err)
{
	return collection_url(nova, "network", "/v2.0", path, ret, err);
}

/* https://docs.openstack.org/api-ref/network/v2/#list-ports */
int cs_nova_port_find(struct cs_nova *nova, const char *name_or_id, char **ret_id,
	char **ret_address, struct cs_error *err)
{
	struct collection ports = {"port", "ports", "port", NULL, "?name=", ""};
	struct found found = {0};

	if (cs_nova_network_url(nova, "/ports", &ports.url, err) < 0)
		return err->code;
	int r = find(nova, &ports, name_or_id, cs_uuid_ok(name_or_id), &found, err);
	if (r == 0 && !found.address)
		r = cs_error_set(
			err, CS_E_CONFIG, "port '%s' has no fixed address", name_or_id);
	if (r == 0) {
		*ret_id = CS_TAKE(found.id);
		*ret_address = CS_TAKE(found.address);
	}
	free(ports.url);
	found_done(&found);
	return r;
}

/* https://docs.openstack.org/api-ref/network/v2/#list-networks */
int cs_nova_network_find(struct cs_nova *nova, const char *name_or_id, char **ret_id,
	char **ret_name, struct cs_error *err)
{
	struct collection networks = {
		"network", "networks", "network", NULL, "?name=", ""};
	struct found found = {0};

	if (cs_nova_network_url(nova, "/networks", &networks.url, err) < 0)
		return err->code;
	int r = find(nova, &networks, name_or_id, cs_uuid_ok(name_or_id), &found, err);
	free(networks.url);
	if (r == 0) {
		*ret_id = CS_TAKE(found.id);
		*ret_name = CS_TAKE(found.name);
	}
	found_done(&found);
	return r;
}

/* https://docs.openstack.org/api-ref/network/v2/#list-security-groups */
int cs_nova_security_group_id(
	struct cs_nova *nova, const char *name_or_id, char **ret_id, struct cs_error *err)
{
	struct collection groups = {"security group", "security_groups", "security_group",
		NULL, "?name=", ""};

	if (collection_url(
		    nova, "network", "/v2.0", "/security-groups", &groups.url, err) < 0)
		return err->code;
	int r = find_id(nova, &groups, name_or_id, cs_uuid_ok(name_or_id), ret_id, err);
	free(groups.url);
	return r;
}

/* Each row of the list is an object in an object. */
static void add_near_keypairs(
	struct cs_nova *nova, const char *url, const char *name, struct cs_strbuf *ret)
{
	CS_AUTO_JSON struct json_object *body = NULL;
	CS_AUTO_JSON struct json_object *names = json_object_new_array();
	struct json_object *list;
	struct cs_error ignored;

	if (cs_nova_get(nova, url, &body, &ignored) < 0 ||
		!(list = cs_json_arr(body, "keypairs")))
		return;
	for (size_t i = 0; i < json_object_array_length(list); i++)
		json_object_array_add(
			names, json_object_get(cs_json_obj(
				       json_object_array_get_idx(list, i), "keypair")));
	add_near(names, name, ret);
}

/* https://docs.openstack.org/api-ref/compute/#show-keypair-details */
int cs_nova_keypair_check(struct cs_nova *nova, const char *name, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf near = CS_STRBUF(400);
	CS_AUTO_JSON struct json_object *body = NULL;
	CS_AUTO_FREE char *escaped = cs_http_escape(name);
	CS_AUTO_FREE char *all = cs_asprintf("%s/os-keypairs", nova->base);
	CS_AUTO_FREE char *one = cs_asprintf("%s/%s", all, escaped);
	int r = cs_nova_get(nova, one, &body, err);

	if (r != CS_E_NOT_FOUND)
		return r;
	add_near_keypairs(nova, all, name, &near);
	return cs_error_set(err, CS_E_NOT_FOUND,
		"the cloud has no key pair '%s' for this user%s", name,
		cs_strbuf_text(&near));
}
