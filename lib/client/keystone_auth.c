/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Getting a token, in each of the ways of enum cs_auth_type; see keystone_internal.h. */
#include <config.h>
#include "client/keystone_internal.h"

#include <string.h>

#include "base/mem.h"
#include "format/json.h"

/* What one authentication needs on its way. */
struct errand {
	struct cs_http *http;
	const struct cs_credentials *who;
	const char *base;
	struct cs_deadline deadline;
};

/* The name of the method in a v3 request, and what to look at when it is refused. */
static const struct method {
	const char *name, *check;
} methods[] = {
	[CS_AUTH_PASSWORD] = {"password",
		"username, password, project_name and their domains"},
	[CS_AUTH_APPLICATION_CREDENTIAL] = {"application_credential",
		"id and secret of the application credential, and whether it has "
		"expired"},
	[CS_AUTH_TOKEN] = {"token", "token (has it ended?), project_name and its domain"},
	[CS_AUTH_OIDC_ACCESS_TOKEN] = {"token",
		"access_token (has it ended?), identity_provider, protocol, project_name "
		"and its domain"},
	[CS_AUTH_OIDC_CLIENT_CREDENTIALS] = {"token",
		"identity_provider, protocol, project_name and its domain"},
	[CS_AUTH_V2_PASSWORD] = {"passwordCredentials",
		"username, password and project_name"},
	[CS_AUTH_HTTP_BASIC] = {"", "username and password"},
	[CS_AUTH_NONE] = {"", "whether the service takes requests without a token"},
};

static struct json_object *add_object(struct json_object *parent, const char *key)
{
	struct json_object *child = json_object_new_object();

	json_object_object_add(parent, key, child);
	return child;
}

static void add_if(struct json_object *object, const char *key, const char *text)
{
	if (text)
		cs_json_add_str(object, key, text);
}

/* {"id"} or {"name", "domain": {"id"} or {"name"}} */
static struct json_object *add_named(struct json_object *parent, const char *key,
	const char *id, const char *name, const char *domain_id, const char *domain_name)
{
	struct json_object *object = add_object(parent, key);

	add_if(object, "id", id);
	if (id)
		return object;
	add_if(object, "name", name);
	struct json_object *domain = add_object(object, "domain");
	add_if(domain, domain_id ? "id" : "name", domain_id ? domain_id : domain_name);
	return object;
}

static struct json_object *add_user(
	struct json_object *details, const struct cs_credentials *who)
{
	return add_named(details, "user", who->user_id, who->user_name,
		who->user_domain_id, who->user_domain_name);
}

/* `secret` is that of the credentials, or the token that it was exchanged for. */
static struct json_object *v3_body(
	const struct cs_credentials *who, const struct cs_secret *secret)
{
	const char *name = methods[who->type].name, *text = cs_secret_expose(secret);
	struct json_object *body = json_object_new_object();
	struct json_object *auth = add_object(body, "auth");
	struct json_object *identity = add_object(auth, "identity");
	struct json_object *list = json_object_new_array();

	json_object_array_add(list, json_object_new_string(name));
	json_object_object_add(identity, "methods", list);
	struct json_object *details = add_object(identity, name);
	if (who->type == CS_AUTH_APPLICATION_CREDENTIAL) {
		if (!who->credential_id)
			add_user(details, who);
		add_if(details, who->credential_id ? "id" : "name",
			who->credential_id ? who->credential_id : who->credential_name);
		cs_json_add_str(details, "secret", text);
		return body; /* it has its own scope, and another one is an error */
	}
	if (who->type == CS_AUTH_PASSWORD)
		cs_json_add_str(add_user(details, who), "password", text);
	else
		cs_json_add_str(details, "id", text);
	add_named(add_object(auth, "scope"), "project", who->project_id,
		who->project_name, who->project_domain_id, who->project_domain_name);
	return body;
}

static struct json_object *v2_body(const struct cs_credentials *who)
{
	struct json_object *body = json_object_new_object();
	struct json_object *auth = add_object(body, "auth");
	struct json_object *details = add_object(auth, "passwordCredentials");

	add_if(details, who->user_id ? "userId" : "username",
		who->user_id ? who->user_id : who->user_name);
	cs_json_add_str(details, "password", cs_secret_expose(who->secret));
	add_if(auth, who->project_id ? "tenantId" : "tenantName",
		who->project_id ? who->project_id : who->project_name);
	return body;
}

/* json-c knows no secrets: every text within, and the text made of the whole. */
static void wipe(struct json_object *value)
{
	if (json_object_is_type(value, json_type_object)) {
		const char *text = cs_json_text(value);

		explicit_bzero((char *)text, strlen(text));
		json_object_object_foreach(value, key, member)
		{
			(void)key;
			wipe(member);
		}
	} else if (json_object_is_type(value, json_type_string)) {
		const char *text = json_object_get_string(value);

		explicit_bzero((char *)text, strlen(text));
	}
}

static void wipe_freep(struct json_object **value)
{
	if (*value)
		wipe(*value);
	json_object_put(*value);
}
#define AUTO_WIPE CS_CLEANUP(wipe_freep)

static void wipe_reply(struct cs_http_reply *reply)
{
	if (reply->body.data)
		explicit_bzero(reply->body.data, reply->body.len);
	cs_http_reply_done(reply);
}
#define AUTO_REPLY CS_CLEANUP(wipe_reply)

/* Names the likely reason when there is nothing of the kind behind the auth URL. */
static int explain_missing(const struct errand *errand, struct cs_error *err)
{
	CS_CLEANUP(cs_http_reply_done) struct cs_http_reply reply = {0};
	CS_AUTO_FREE char *url = cs_asprintf("%s/", errand->base);
	const struct cs_http_request request = {.method = "GET", .url = url};
	struct cs_error ignored;

	if (errand->who->type == CS_AUTH_V2_PASSWORD)
		return cs_error_set(err, CS_E_NOT_FOUND,
			"%s has no Identity v2.0 (any more); write auth_type: password, "
			"with user_domain_name and project_domain_name (often Default)",
			errand->base);
	if (cs_http_send(errand->http, &request, errand->deadline, &reply, &ignored) ==
			0 &&
		strstr(cs_strbuf_text(&reply.body), "\"v2.0\"") &&
		!strstr(cs_strbuf_text(&reply.body), "\"v3"))
		return cs_error_set(err, CS_E_NOT_FOUND,
			"%s offers Identity v2.0 only; write auth_type: v2password",
			errand->base);
	return cs_error_set(err, CS_E_NOT_FOUND,
		"%s/v3/auth/tokens does not exist; check auth_url: it is Keystone's URL, "
		"such as https://cloud.example.org:5000/v3",
		errand->base);
}

static int refuse(const struct errand *errand, const struct cs_http_request *request,
	const struct cs_http_reply *reply, struct cs_error *err)
{
	bool own_words = *cs_strbuf_text(&reply->body) == '{';

	cs_http_fail(request, reply, err);
	if (reply->status == 404 && !own_words)
		explain_missing(errand, err);
	else if (reply->status == 401 || reply->status == 404) /* unknown credential */
		cs_error_set(err, CS_E_AUTH,
			"%s refused to authenticate; check %s (status %d, %s)",
			errand->base, methods[errand->who->type].check, reply->status,
			*reply->request_id ? reply->request_id : "no request id");
	err->remote_status = reply->status;
	return err->code;
}

/* In a v2.0 answer the token lies in the body. */
static struct cs_secret *find_v2_token(const struct cs_http_reply *reply)
{
	AUTO_WIPE struct json_object *body = NULL;
	struct cs_error ignored;

	if (cs_json_parse(cs_strbuf_text(&reply->body), reply->body.len, "token", &body,
		    &ignored) < 0)
		return NULL;
	const char *id =
		cs_json_str(cs_json_obj(cs_json_obj(body, "access"), "token"), "id");
	return id ? cs_secret_new(id) : NULL;
}

static int take_grant(const struct errand *errand, struct cs_http_reply *reply,
	struct cs_grant *ret, struct cs_error *err)
{
	CS_CLEANUP(cs_secret_freep)
	struct cs_secret *secret = errand->who->type == CS_AUTH_V2_PASSWORD
					   ? find_v2_token(reply)
					   : CS_TAKE(reply->subject_token);

	if (!secret)
		return cs_error_set(err, CS_E_PROTOCOL,
			"%s answered without a token; is it Keystone?", errand->base);
	if (cs_keystone_parse_token(
		    cs_strbuf_text(&reply->body), reply->body.len, &ret->token, err) < 0)
		return err->code;
	ret->secret = CS_TAKE(secret);
	cs_stamp_now(&ret->since);
	return 0;
}

/* POST of a body that holds secrets. */
static int ask(const struct errand *errand, struct json_object *body, const char *path,
	int good_status, struct cs_grant *ret, struct cs_error *err)
{
	AUTO_REPLY struct cs_http_reply reply = {0};
	CS_AUTO_FREE char *url = cs_asprintf("%s%s", errand->base, path);
	const struct cs_http_request request = {
		.method = "POST", .url = url, .body = cs_json_text(body)};

	if (cs_http_send(errand->http, &request, errand->deadline, &reply, err) < 0)
		return err->code;
	if (reply.status != good_status)
		return refuse(errand, &request, &reply, err);
	return take_grant(errand, &reply, ret, err);
}

static int ask_v3(const struct errand *errand, const struct cs_secret *secret,
	struct cs_grant *ret, struct cs_error *err)
{
	AUTO_WIPE struct json_object *body = v3_body(errand->who, secret);

	return ask(errand, body, "/v3/auth/tokens", 201, ret, err);
}

static int ask_v2(const struct errand *errand, struct cs_grant *ret, struct cs_error *err)
{
	AUTO_WIPE struct json_object *body = v2_body(errand->who);

	return ask(errand, body, "/v2.0/tokens", 200, ret, err);
}

/* Keystone takes the word of the identity provider and answers with a token for nothing
 * yet. Source: OS-FEDERATION of the Identity v3 API. */
static int federate(const struct errand *errand, const struct cs_secret *access,
	struct cs_grant *ret, struct cs_error *err)
{
	const struct cs_credentials *who = errand->who;
	AUTO_REPLY struct cs_http_reply reply = {0};
	CS_AUTO_FREE char *provider = cs_http_escape(who->provider);
	CS_AUTO_FREE char *protocol = cs_http_escape(who->protocol);
	CS_AUTO_FREE char *url =
		cs_asprintf("%s/v3/OS-FEDERATION/identity_providers/%s/protocols/%s/auth",
			errand->base, provider, protocol);
	CS_CLEANUP(cs_secret_freep) struct cs_secret *bearer = cs_http_bearer(access);
	const struct cs_http_request request = {
		.method = "POST", .url = url, .body = "", .authorization = bearer};

	if (cs_http_send(errand->http, &request, errand->deadline, &reply, err) < 0)
		return err->code;
	if (reply.status != 201 && reply.status != 200)
		return refuse(errand, &request, &reply, err);
	if (!reply.subject_token)
		return cs_error_set(err, CS_E_PROTOCOL,
			"POST %s: no token in the answer; do identity_provider and "
			"protocol have the names that Keystone gives them?",
			url);
	return ask_v3(errand, reply.subject_token, ret, err);
}

/* OpenID Connect Discovery 1.0, 4. */
static int discover(const struct errand *errand, char **ret, struct cs_error *err)
{
	CS_CLEANUP(cs_http_reply_done) struct cs_http_reply reply = {0};
	CS_AUTO_JSON struct json_object *body = NULL;
	const struct cs_http_request request = {
		.method = "GET", .url = errand->who->discovery_endpoint};

	if (errand->who->token_endpoint) {
		*ret = cs_strdup(errand->who->token_endpoint);
		return 0;
	}
	if (cs_http_send(errand->http, &request, errand->deadline, &reply, err) < 0)
		return err->code;
	if (reply.status != 200)
		return cs_http_fail(&request, &reply, err);
	if (cs_json_parse(cs_strbuf_text(&reply.body), reply.body.len, request.url, &body,
		    err) < 0)
		return err->code;
	const char *url = cs_json_str(body, "token_endpoint");
	if (!url)
		return cs_error_set(err, CS_E_PROTOCOL,
			"GET %s: the answer has no token_endpoint; check "
			"discovery_endpoint",
			request.url);
	*ret = cs_strdup(url);
	return 0;
}

static struct cs_secret *find_access_token(const struct cs_http_reply *reply)
{
	AUTO_WIPE struct json_object *body = NULL;
	struct cs_error ignored;

	if (cs_json_parse(cs_strbuf_text(&reply->body), reply->body.len, "token", &body,
		    &ignored) < 0)
		return NULL;
	const char *token = cs_json_str(body, "access_token");
	return token && *token ? cs_secret_new(token) : NULL;
}

/* RFC 6749 4.4; who the client is goes into Basic, form-encoded first (2.3.1). */
static int ask_provider(
	const struct errand *errand, struct cs_secret **ret, struct cs_error *err)
{
	const struct cs_credentials *who = errand->who;
	AUTO_REPLY struct cs_http_reply reply = {0};
	CS_AUTO_FREE char *url = NULL;
	CS_AUTO_FREE char *scope =
		cs_http_escape(who->client_scope ? who->client_scope : "openid profile");
	CS_AUTO_FREE char *body =
		cs_asprintf("grant_type=client_credentials&scope=%s", scope);
	CS_AUTO_FREE char *client = cs_http_escape(who->client_id);
	char *escaped = cs_http_escape(cs_secret_expose(who->secret));
	CS_CLEANUP(cs_secret_freep) struct cs_secret *password = cs_secret_new(escaped);
	CS_CLEANUP(cs_secret_freep)
	struct cs_secret *basic = cs_http_basic(client, password);

	explicit_bzero(escaped, strlen(escaped));
	free(escaped);
	if (discover(errand, &url, err) < 0)
		return err->code;
	const struct cs_http_request request = {.method = "POST",
		.url = url,
		.body = body,
		.content_type = "application/x-www-form-urlencoded",
		.authorization = basic};
	if (cs_http_send(errand->http, &request, errand->deadline, &reply, err) < 0)
		return err->code;
	if (reply.status != 200) {
		cs_http_fail(&request, &reply, err);
		if (reply.status == 400 || reply.status == 401)
			err->code = CS_E_AUTH;
		return cs_error_advise(err, "check client_id and client_secret");
	}
	*ret = find_access_token(&reply);
	if (!*ret)
		return cs_error_set(err, CS_E_PROTOCOL,
			"POST %s: the answer has no access_token; check "
			"access_token_endpoint",
			url);
	return 0;
}

static int ask_with_client(
	const struct errand *errand, struct cs_grant *ret, struct cs_error *err)
{
	CS_CLEANUP(cs_secret_freep) struct cs_secret *access = NULL;

	if (ask_provider(errand, &access, err) < 0)
		return cs_error_prefix(err, "the identity provider");
	return federate(errand, access, ret, err);
}

/* Nobody is asked: the services are where the configuration says. */
static int make_do(
	const struct cs_credentials *who, struct cs_grant *ret, struct cs_error *err)
{
	AUTO_WIPE struct json_object *body = json_object_new_object();
	struct json_object *token = add_object(body, "token");

	cs_json_add_str(add_object(token, "project"), "id",
		who->project_id	    ? who->project_id
		: who->project_name ? who->project_name
				    : "none");
	json_object_object_add(token, "catalog", json_object_new_array());
	const char *text = cs_json_text(body);
	return cs_keystone_parse_token(text, strlen(text), &ret->token, err);
}

static int dispatch(
	const struct errand *errand, struct cs_grant *ret, struct cs_error *err)
{
	switch (errand->who->type) {
	case CS_AUTH_V2_PASSWORD:
		return ask_v2(errand, ret, err);
	case CS_AUTH_OIDC_ACCESS_TOKEN:
		return federate(errand, errand->who->secret, ret, err);
	case CS_AUTH_OIDC_CLIENT_CREDENTIALS:
		return ask_with_client(errand, ret, err);
	case CS_AUTH_HTTP_BASIC:
	case CS_AUTH_NONE:
		return make_do(errand->who, ret, err);
	default:
		return ask_v3(errand, errand->who->secret, ret, err);
	}
}

int cs_keystone_authenticate(struct cs_http *http, const struct cs_credentials *who,
	const char *base, struct cs_deadline deadline, struct cs_grant *ret,
	struct cs_error *err)
{
	const struct errand errand = {http, who, base, deadline};
	struct cs_grant grant = {0};

	if (dispatch(&errand, &grant, err) < 0)
		return cs_error_prefix(err, "%s", who->source);
	*ret = grant;
	return 0;
}
