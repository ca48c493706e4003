/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a token answer says: the project, and where the services are; see keystone.h. */
#include <config.h>
#include "client/keystone.h"

#include <string.h>

#include "base/mem.h"
#include "format/json.h"

int cs_keystone_parse_token(
	const char *text, size_t len, struct cs_token *ret, struct cs_error *err)
{
	CS_AUTO_JSON struct json_object *body = NULL;

	if (cs_json_parse(text, len, "the answer of Keystone", &body, err) < 0)
		return err->code;
	struct json_object *token = cs_json_obj(body, "token");
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
		.catalog = catalog};
	return 0;
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
	cs_strbuf_addf(&search->offers, "%s%s %s %s", search->offers.len ? ", " : "",
		type, interface, region);
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

int cs_keystone_pick(const struct cs_token *token, const char *type,
	const char *interface, const char *region, const char **ret, struct cs_error *err)
{
	struct search search = {.type = type,
		.interface = interface,
		.region = region,
		.offers = CS_STRBUF(300)};
	int r = 0;

	each_endpoint(token, consider, &search);
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
