/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a token answer says: the project, and where the services are; see keystone.h. */
#include <config.h>
#include "client/keystone.h"

#include <string.h>

#include "base/mem.h"
#include "base/stamp.h"
#include "format/json.h"

/* https://service-types.openstack.org/service-types.json */
const char *const *cs_service_types(enum cs_service service)
{
	static const char *const types[CS_SERVICES][6] = {
		[CS_SERVICE_COMPUTE] = {"compute"},
		[CS_SERVICE_IMAGE] = {"image"},
		[CS_SERVICE_NETWORK] = {"network"},
		[CS_SERVICE_VOLUME] = {"block-storage", "volumev3", "block-store",
			"volume", "volumev2"},
		[CS_SERVICE_IDENTITY] = {"identity"},
		[CS_SERVICE_PLACEMENT] = {"placement"},
	};

	return types[service];
}

/* {"publicURL", "internalURL", "region"} to an endpoint per interface, as in v3. */
static void add_v2_endpoints(struct json_object *list, struct json_object *old)
{
	static const char *const names[][2] = {{"public", "publicURL"},
		{"internal", "internalURL"}, {"admin", "adminURL"}};

	for (size_t i = 0; i < CS_ARRAY_SIZE(names); i++) {
		const char *url = cs_json_str(old, names[i][1]);
		const char *region = cs_json_str(old, "region");
		struct json_object *endpoint;

		if (!url)
			continue;
		endpoint = json_object_new_object();
		cs_json_add_str(endpoint, "interface", names[i][0]);
		cs_json_add_str(endpoint, "region", region ? region : "");
		cs_json_add_str(endpoint, "url", url);
		json_object_array_add(list, endpoint);
	}
}

static struct json_object *v2_catalog(struct json_object *old)
{
	struct json_object *catalog = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(old); i++) {
		struct json_object *service = json_object_array_get_idx(old, i);
		struct json_object *endpoints = cs_json_arr(service, "endpoints");
		struct json_object *new = json_object_new_object();
		struct json_object *list = json_object_new_array();

		cs_json_add_str(new, "type", cs_json_str(service, "type"));
		json_object_object_add(new, "endpoints", list);
		json_object_array_add(catalog, new);
		for (size_t j = 0; endpoints && j < json_object_array_length(endpoints);
			j++)
			add_v2_endpoints(list, json_object_array_get_idx(endpoints, j));
	}
	return catalog;
}

/* What is in {"access"} of Identity v2.0, in the form of {"token"} of v3; owned by the
 * caller. Source: https://docs.openstack.org/api-ref/identity/v2/ */
static struct json_object *from_v2(struct json_object *access)
{
	struct json_object *token = cs_json_obj(access, "token");
	struct json_object *catalog = cs_json_arr(access, "serviceCatalog");
	struct json_object *tenant = cs_json_obj(token, "tenant");
	struct json_object *new = json_object_new_object();

	json_object_object_add(new, "project", json_object_get(tenant));
	cs_json_add_str(new, "issued_at", cs_json_str(token, "issued_at"));
	cs_json_add_str(new, "expires_at", cs_json_str(token, "expires"));
	if (catalog)
		json_object_object_add(new, "catalog", v2_catalog(catalog));
	return new;
}

static int64_t life_of(struct json_object *token)
{
	const char *from = cs_json_str(token, "issued_at");
	const char *to = cs_json_str(token, "expires_at");
	int64_t from_ms = from ? cs_wall_parse(from) : -1;
	int64_t to_ms = to ? cs_wall_parse(to) : -1;

	return from_ms >= 0 && to_ms > from_ms ? to_ms - from_ms : -1;
}

static int parse_v3(struct json_object *token, struct cs_token *ret, struct cs_error *err)
{
	const char *project_id = cs_json_str(cs_json_obj(token, "project"), "id");
	struct json_object *catalog = cs_json_arr(token, "catalog");

	if (!token)
		return cs_error_set(
			err, CS_E_PROTOCOL, "the answer of Keystone has no 'token'");
	if (!project_id || *project_id == '\0')
		return cs_error_set(err, CS_E_AUTH,
			"the token is for no project; set project_name and its domain");
	if (!catalog)
		return cs_error_set(err, CS_E_PROTOCOL,
			"the answer of Keystone has no catalogue of services");
	*ret = (struct cs_token){.body = json_object_get(token),
		.project_id = project_id,
		.catalog = catalog,
		.life_ms = life_of(token)};
	return 0;
}

int cs_keystone_parse_token(
	const char *text, size_t len, struct cs_token *ret, struct cs_error *err)
{
	CS_AUTO_JSON struct json_object *body = NULL;
	CS_AUTO_JSON struct json_object *made = NULL;

	if (cs_json_parse(text, len, "the answer of Keystone", &body, err) < 0)
		return err->code;
	struct json_object *access = cs_json_obj(body, "access");
	if (access)
		made = from_v2(access);
	return parse_v3(access ? made : cs_json_obj(body, "token"), ret, err);
}

void cs_token_done(struct cs_token *token)
{
	json_object_put(token->body);
	*token = (struct cs_token){0};
}

static const char *region_of(struct json_object *endpoint)
{
	const char *id = cs_json_str(endpoint, "region_id");
	const char *region = id ? id : cs_json_str(endpoint, "region");

	return region ? region : "";
}

static bool is_text(const char *a, const char *b)
{
	return a && strcmp(a, b) == 0;
}

/* Calls `use` for each endpoint of the catalogue that is one at all. */
static void each_endpoint(const struct cs_token *token,
	void (*use)(const char *type, struct json_object *endpoint, void *user),
	void *user)
{
	for (size_t i = 0; i < json_object_array_length(token->catalog); i++) {
		struct json_object *service =
			json_object_array_get_idx(token->catalog, i);
		struct json_object *endpoints = cs_json_arr(service, "endpoints");
		const char *type = cs_json_str(service, "type");

		for (size_t j = 0;
			type && endpoints && j < json_object_array_length(endpoints); j++)
			use(type, json_object_array_get_idx(endpoints, j), user);
	}
}

struct search {
	const char *type, *interface, *region; /* region NULL: any */
	bool again;			       /* the offers are known */
	const char *url, *url_region;	       /* what was found */
	bool ambiguous;			       /* in another region as well */
	struct cs_strbuf offers;	       /* "compute public RegionOne, ..." */
};

static void consider(const char *type, struct json_object *endpoint, void *user)
{
	struct search *search = user;
	const char *url = cs_json_str(endpoint, "url");
	const char *interface = cs_json_str(endpoint, "interface");
	const char *region = region_of(endpoint);

	if (!url || !interface)
		return;
	if (!search->again)
		cs_strbuf_addf(&search->offers, "%s%s %s %s",
			search->offers.len ? ", " : "", type, interface, region);
	if (strcmp(type, search->type) != 0 || strcmp(interface, search->interface) != 0)
		return;
	if (search->region && strcmp(region, search->region) != 0 &&
		!is_text(cs_json_str(endpoint, "region"), search->region))
		return;
	if (search->url)
		search->ambiguous |= strcmp(region, search->url_region) != 0;
	else
		search->url = url, search->url_region = region;
}

/* The type itself, then what else the service is called. */
static void look_for(
	const struct cs_token *token, const char *type, struct search *search)
{
	const char *const *types = NULL;

	each_endpoint(token, consider, search);
	search->again = true;
	for (size_t i = 0; !types && i < CS_SERVICES; i++) {
		const char *const *names = cs_service_types(i);

		for (size_t j = 0; names[j]; j++) {
			if (strcmp(names[j], type) == 0)
				types = names;
		}
	}
	for (size_t i = 0; types && types[i] && !search->url; i++) {
		search->type = types[i];
		each_endpoint(token, consider, search);
	}
}

int cs_keystone_pick(const struct cs_token *token, const char *type,
	const char *interface, const char *region, const char **ret, struct cs_error *err)
{
	struct search search = {.type = type,
		.interface = interface,
		.region = region,
		.offers = CS_STRBUF(300)};
	int r = 0;

	look_for(token, type, &search);
	const char *offers =
		search.offers.len ? cs_strbuf_text(&search.offers) : "nothing";
	if (search.ambiguous)
		r = cs_error_set(err, CS_E_CONFIG,
			"several regions offer '%s'; set region_name; the catalogue has: "
			"%s",
			type, offers);
	else if (!search.url)
		r = cs_error_set(err, CS_E_NOT_FOUND,
			"the catalogue has no '%s' with interface '%s' in region '%s'; "
			"it "
			"has: %s",
			type, interface, region ? region : "any", offers);
	else
		*ret = search.url;
	cs_strbuf_done(&search.offers);
	return r;
}
