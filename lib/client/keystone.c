/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tokens; see keystone.h. The catalogue is read in catalog.c. */
#include <config.h>
#include "client/keystone.h"

#include <string.h>

#include "base/mem.h"
#include "format/json.h"

struct cs_keystone {
	const struct cs_credentials *credentials;
	struct cs_http *http;
	struct cs_deadline deadline;
	char *base; /* the auth URL without version and trailing slash */
	struct cs_secret *secret;
	struct cs_token token;
};

void cs_credentials_done(struct cs_credentials *credentials)
{
	char **texts[] = {&credentials->source, &credentials->auth_url,
		&credentials->user_id, &credentials->user_name,
		&credentials->user_domain_id, &credentials->user_domain_name,
		&credentials->project_id, &credentials->project_name,
		&credentials->project_domain_id, &credentials->project_domain_name,
		&credentials->credential_id, &credentials->credential_name,
		&credentials->region, &credentials->interface, &credentials->ca_file};

	for (size_t i = 0; i < CS_ARRAY_SIZE(texts); i++)
		free(*texts[i]);
	cs_secret_free(credentials->secret);
	*credentials = (struct cs_credentials){0};
}

static char *strip_version(const char *auth_url)
{
	static const char *const versions[] = {"/v3", "/v2.0"};
	char *base = cs_strdup(auth_url);
	size_t len = strlen(base);

	while (len > 0 && base[len - 1] == '/')
		base[--len] = '\0';
	for (size_t i = 0; i < CS_ARRAY_SIZE(versions); i++) {
		size_t n = strlen(versions[i]);
		if (len > n && strcmp(base + len - n, versions[i]) == 0) {
			base[len - n] = '\0';
			break;
		}
	}
	return base;
}

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
static void add_named(struct json_object *parent, const char *key, const char *id,
	const char *name, const char *domain_id, const char *domain_name)
{
	struct json_object *object = add_object(parent, key);

	add_if(object, "id", id);
	if (id)
		return;
	add_if(object, "name", name);
	struct json_object *domain = add_object(object, "domain");
	add_if(domain, domain_id ? "id" : "name", domain_id ? domain_id : domain_name);
}

static void add_identity(struct json_object *auth, const struct cs_credentials *who)
{
	bool password = who->type == CS_AUTH_PASSWORD;
	const char *method = password ? "password" : "application_credential";
	struct json_object *identity = add_object(auth, "identity");
	struct json_object *methods = json_object_new_array();

	json_object_array_add(methods, json_object_new_string(method));
	json_object_object_add(identity, "methods", methods);
	struct json_object *details = add_object(identity, method);
	if (password || !who->credential_id)
		add_named(details, "user", who->user_id, who->user_name,
			who->user_domain_id, who->user_domain_name);
	if (!password) {
		add_if(details, who->credential_id ? "id" : "name",
			who->credential_id ? who->credential_id : who->credential_name);
		cs_json_add_str(details, "secret", cs_secret_expose(who->secret));
		return; /* it has its own scope, and another one is an error */
	}
	cs_json_add_str(
		cs_json_obj(details, "user"), "password", cs_secret_expose(who->secret));
	add_named(add_object(auth, "scope"), "project", who->project_id,
		who->project_name, who->project_domain_id, who->project_domain_name);
}

/* json-c knows no secrets: the one value that is one, and the text made of it. */
static void wipe(struct json_object *request)
{
	struct json_object *identity =
		cs_json_obj(cs_json_obj(request, "auth"), "identity");
	struct json_object *user = cs_json_obj(cs_json_obj(identity, "password"), "user");
	struct json_object *details = cs_json_obj(identity, "application_credential");
	const char *texts[] = {cs_json_str(user, "password"),
		cs_json_str(details, "secret"), cs_json_text(request)};

	for (size_t i = 0; i < CS_ARRAY_SIZE(texts); i++) {
		if (texts[i])
			explicit_bzero((char *)texts[i], strlen(texts[i]));
	}
}

/* Names the likely reason when there is no v3 at all behind the auth URL. */
static int explain_missing(struct cs_keystone *session, struct cs_error *err)
{
	CS_CLEANUP(cs_http_reply_done) struct cs_http_reply reply = {0};
	CS_AUTO_FREE char *url = cs_asprintf("%s/", session->base);
	const struct cs_http_request request = {.method = "GET", .url = url};
	struct cs_error ignored;

	if (cs_http_send(session->http, &request, session->deadline, &reply, &ignored) ==
			0 &&
		strstr(cs_strbuf_text(&reply.body), "\"v2.0\"") &&
		!strstr(cs_strbuf_text(&reply.body), "\"v3"))
		return cs_error_set(err, CS_E_NOT_FOUND,
			"%s offers Identity v2.0 only; v3 is needed", session->base);
	return cs_error_set(err, CS_E_NOT_FOUND,
		"%s/v3/auth/tokens does not exist; check auth_url: it is Keystone's URL, "
		"such as https://cloud.example.org:5000/v3",
		session->base);
}

static int refuse(struct cs_keystone *session, const struct cs_http_request *request,
	const struct cs_http_reply *reply, struct cs_error *err)
{
	const struct cs_credentials *who = session->credentials;
	bool own_words = *cs_strbuf_text(&reply->body) == '{';

	cs_http_fail(request, reply, err);
	if (reply->status == 404 && !own_words)
		explain_missing(session, err);
	else if (reply->status == 401 || reply->status == 404) /* unknown credential */
		cs_error_set(err, CS_E_AUTH,
			"%s refused to authenticate; check %s (status %d, %s)",
			session->base,
			who->type == CS_AUTH_PASSWORD
				? "username, password, project_name and their domains"
				: "id and secret of the application credential, and "
				  "whether it has expired",
			reply->status,
			*reply->request_id ? reply->request_id : "no request id");
	err->remote_status = reply->status;
	return cs_error_prefix(err, "%s", who->source);
}

static int take_token(
	struct cs_keystone *session, struct cs_http_reply *reply, struct cs_error *err)
{
	struct cs_token token;

	if (!reply->subject_token)
		return cs_error_set(err, CS_E_PROTOCOL,
			"%s answered without a token; is it Keystone?", session->base);
	if (cs_keystone_parse_token(
		    cs_strbuf_text(&reply->body), reply->body.len, &token, err) < 0)
		return cs_error_prefix(err, "%s", session->credentials->source);
	cs_token_done(&session->token);
	session->token = token;
	cs_secret_free(session->secret);
	session->secret = CS_TAKE(reply->subject_token);
	return 0;
}

static int authenticate(struct cs_keystone *session, struct cs_error *err)
{
	CS_CLEANUP(cs_http_reply_done) struct cs_http_reply reply = {0};
	CS_AUTO_JSON struct json_object *body = json_object_new_object();
	CS_AUTO_FREE char *url = cs_asprintf("%s/v3/auth/tokens", session->base);

	add_identity(add_object(body, "auth"), session->credentials);
	const struct cs_http_request request = {
		.method = "POST", .url = url, .body = cs_json_text(body)};
	int r = cs_http_send(session->http, &request, session->deadline, &reply, err);
	wipe(body);
	if (r < 0)
		return cs_error_prefix(err, "%s", session->credentials->source);
	if (reply.status != 201)
		return refuse(session, &request, &reply, err);
	return take_token(session, &reply, err);
}

int cs_keystone_open(const struct cs_credentials *credentials,
	struct cs_deadline deadline, struct cs_keystone **ret, struct cs_error *err)
{
	CS_CLEANUP(cs_keystone_closep)
	struct cs_keystone *session = cs_calloc(1, sizeof *session);

	session->credentials = credentials;
	session->deadline = deadline;
	session->http = cs_http_new(credentials->verify, credentials->ca_file);
	session->base = strip_version(credentials->auth_url);
	if (authenticate(session, err) < 0)
		return err->code;
	*ret = CS_TAKE(session);
	return 0;
}

void cs_keystone_close(struct cs_keystone *session)
{
	if (!session)
		return;
	cs_http_free(session->http);
	cs_secret_free(session->secret);
	cs_token_done(&session->token);
	free(session->base);
	free(session);
}

void cs_keystone_set_deadline(struct cs_keystone *session, struct cs_deadline deadline)
{
	session->deadline = deadline;
}

const char *cs_keystone_auth_url(const struct cs_keystone *session)
{
	return session->base;
}

const char *cs_keystone_project_id(const struct cs_keystone *session)
{
	return session->token.project_id;
}

const char *cs_keystone_region(const struct cs_keystone *session)
{
	return session->credentials->region ? session->credentials->region : "";
}

int cs_keystone_endpoint(struct cs_keystone *session, const char *type, char **ret_url,
	struct cs_error *err)
{
	const struct cs_credentials *who = session->credentials;
	const char *url;

	if (cs_keystone_pick(
		    &session->token, type, who->interface, who->region, &url, err) < 0)
		return cs_error_prefix(err, "%s", who->source);
	size_t len = strlen(url);
	while (len > 0 && url[len - 1] == '/')
		len--;
	*ret_url = cs_strndup(url, len);
	return 0;
}

int cs_keystone_send(struct cs_keystone *session, const struct cs_http_request *request,
	struct cs_http_reply *reply, struct cs_error *err)
{
	struct cs_http_request with_token = *request;

	for (int attempt = 0; attempt < 2; attempt++) {
		if (attempt > 0 && authenticate(session, err) < 0)
			return err->code;
		with_token.token = session->secret;
		if (cs_http_send(session->http, &with_token, session->deadline, reply,
			    err) < 0)
			return err->code;
		if (reply->status != 401)
			return 0;
	}
	cs_http_fail(request, reply, err);
	return cs_error_prefix(err,
		"%s: a fresh token of %s was refused; does the service trust this "
		"Keystone?",
		session->credentials->source, session->base);
}
