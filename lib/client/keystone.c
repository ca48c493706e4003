/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sessions; see keystone.h. Tokens are asked for in keystone_auth.c and kept in
 * token_cache.c, the catalogue is read in catalog.c. */
#include <config.h>
#include "client/keystone_internal.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "format/json.h"

#define FRESH_MARGIN_MS (120 * CS_MS_PER_S)
#define VERSION_HEADER "OpenStack-API-Version:"

struct cs_keystone {
	const struct cs_credentials *credentials;
	struct cs_http *http;
	struct cs_deadline deadline;
	char *base;  /* the auth URL without version and trailing slash */
	char *cache; /* or NULL */
	struct cs_grant grant;
	struct cs_secret *basic; /* Authorization, or NULL */
	unsigned renewals;	 /* of `grant` */
};

void cs_credentials_done(struct cs_credentials *credentials)
{
	char **texts[] = {&credentials->source, &credentials->auth_url,
		&credentials->endpoint, &credentials->user_id, &credentials->user_name,
		&credentials->user_domain_id, &credentials->user_domain_name,
		&credentials->project_id, &credentials->project_name,
		&credentials->project_domain_id, &credentials->project_domain_name,
		&credentials->credential_id, &credentials->credential_name,
		&credentials->provider, &credentials->protocol, &credentials->client_id,
		&credentials->client_scope, &credentials->token_endpoint,
		&credentials->discovery_endpoint, &credentials->region,
		&credentials->interface, &credentials->ca_file, &credentials->cert_file,
		&credentials->key_file};

	for (size_t i = 0; i < CS_ARRAY_SIZE(texts); i++)
		free(*texts[i]);
	for (size_t i = 0; i < CS_SERVICES; i++)
		free(credentials->overrides[i]);
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

void cs_grant_done(struct cs_grant *grant)
{
	cs_secret_free(grant->secret);
	cs_token_done(&grant->token);
	*grant = (struct cs_grant){0};
}

/* Counted from when we heard of it, in our own time: the clocks of the cloud may differ
 * from ours. */
int64_t cs_grant_left_ms(const struct cs_grant *grant)
{
	struct cs_stamp now;

	if (grant->token.life_ms < 0)
		return INT64_MAX;
	cs_stamp_now(&now);
	int64_t age_ms = cs_stamp_age_ms(&grant->since, &now);
	return age_ms < 0 ? 0 : grant->token.life_ms - age_ms;
}

int64_t cs_grant_fresh_ms(const struct cs_grant *grant)
{
	int64_t left_ms = cs_grant_left_ms(grant), margin_ms = grant->token.life_ms / 4;

	if (left_ms == INT64_MAX)
		return left_ms;
	return left_ms - (margin_ms < FRESH_MARGIN_MS ? margin_ms : FRESH_MARGIN_MS);
}

static void take_grant(struct cs_keystone *session, const struct cs_grant *grant)
{
	cs_grant_done(&session->grant);
	session->grant = *grant;
	session->renewals++;
}

static int renew(struct cs_keystone *session, struct cs_error *err)
{
	struct cs_grant grant;

	if (cs_keystone_authenticate(session->http, session->credentials, session->base,
		    session->deadline, &grant, err) < 0)
		return err->code;
	take_grant(session, &grant);
	if (session->cache)
		cs_token_cache_save(session->cache, session->credentials, &grant);
	return 0;
}

/* Another program may have renewed it already. While the old one lives, a Keystone that
 * is away for a moment does no harm. */
static int keep_fresh(struct cs_keystone *session, struct cs_error *err)
{
	struct cs_grant grant;

	if (cs_grant_fresh_ms(&session->grant) > 0)
		return 0;
	if (session->cache &&
		cs_token_cache_load(session->cache, session->credentials, &grant)) {
		take_grant(session, &grant);
		return 0;
	}
	if (renew(session, err) == 0 || cs_grant_left_ms(&session->grant) > 0)
		return 0;
	return err->code;
}

int cs_keystone_open(const struct cs_credentials *credentials, const char *cache,
	struct cs_deadline deadline, struct cs_keystone **ret, struct cs_error *err)
{
	const struct cs_http_tls tls = {.verify = credentials->verify,
		.ca_file = credentials->ca_file,
		.cert_file = credentials->cert_file,
		.key_file = credentials->key_file};
	CS_CLEANUP(cs_keystone_closep)
	struct cs_keystone *session = cs_calloc(1, sizeof *session);

	session->credentials = credentials;
	session->deadline = deadline;
	if (cs_http_new(&tls, &session->http, err) < 0)
		return err->code;
	session->base = strip_version(
		credentials->auth_url ? credentials->auth_url : credentials->endpoint);
	cs_strset(&session->cache, cache);
	if (credentials->type == CS_AUTH_HTTP_BASIC)
		session->basic =
			cs_http_basic(credentials->user_name, credentials->secret);
	if (!(cache && cs_token_cache_load(cache, credentials, &session->grant)) &&
		renew(session, err) < 0)
		return err->code;
	*ret = CS_TAKE(session);
	return 0;
}

void cs_keystone_close(struct cs_keystone *session)
{
	if (!session)
		return;
	cs_http_free(session->http);
	cs_grant_done(&session->grant);
	cs_secret_free(session->basic);
	free(session->base);
	free(session->cache);
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
	return session->grant.token.project_id;
}

const char *cs_keystone_region(const struct cs_keystone *session)
{
	return session->credentials->region ? session->credentials->region : "";
}

/* The URL that the configuration has for a service, or NULL. */
static const char *override_of(const struct cs_credentials *who, const char *type)
{
	bool keystone = who->type != CS_AUTH_HTTP_BASIC && who->type != CS_AUTH_NONE;

	for (size_t i = 0; i < CS_SERVICES; i++) {
		const char *const *types = cs_service_types(i);

		for (size_t j = 0; types[j]; j++) {
			if (strcmp(types[j], type) != 0)
				continue;
			if (!who->overrides[i] && i == CS_SERVICE_COMPUTE && !keystone)
				return who->endpoint;
			return who->overrides[i];
		}
	}
	return NULL;
}

int cs_keystone_endpoint(struct cs_keystone *session, const char *type, char **ret_url,
	struct cs_error *err)
{
	const struct cs_credentials *who = session->credentials;
	const char *url = override_of(who, type);

	if (!url && cs_keystone_pick(&session->grant.token, type, who->interface,
			    who->region, &url, err) < 0)
		return cs_error_prefix(err, "%s", who->source);
	size_t len = strlen(url);
	while (len > 0 && url[len - 1] == '/')
		len--;
	*ret_url = cs_strndup(url, len);
	return 0;
}

/* Is it for the service that the first word of the header's value names? Requests to
 * others may carry the header, too. */
static bool is_for(struct cs_keystone *session, const char *url, const char *version)
{
	CS_AUTO_FREE char *type = cs_strndup(version, strcspn(version, " "));
	CS_AUTO_FREE char *endpoint = NULL;
	struct cs_error ignored;

	return cs_keystone_endpoint(session, type, &endpoint, &ignored) == 0 &&
	       strncmp(url, endpoint, strlen(endpoint)) == 0;
}

/* A service or a proxy that passes over the version answers as version 2.1, in which
 * other things are missing or mean something else. */
static int check_version(struct cs_keystone *session,
	const struct cs_http_request *request, const struct cs_http_reply *reply,
	struct cs_error *err)
{
	size_t len = strlen(VERSION_HEADER);
	const char *wanted = NULL;

	for (size_t i = 0; request->headers && request->headers[i]; i++) {
		if (strncasecmp(request->headers[i], VERSION_HEADER, len) == 0)
			wanted = request->headers[i] + len;
	}
	if (!wanted || reply->status < 200 || reply->status > 299)
		return 0;
	wanted += strspn(wanted, " ");
	if (strcasecmp(reply->api_version, wanted) == 0 ||
		!is_for(session, request->url, wanted))
		return 0;
	return cs_error_set(err, request->changes ? CS_E_LOST : CS_E_PROTOCOL,
		"%s %s: asked for API version '%s', answered with '%s'; does a proxy in "
		"between drop the header OpenStack-API-Version? (ours %s)",
		request->method, request->url, wanted,
		*reply->api_version ? reply->api_version : "none", reply->sent_id);
}

struct cs_keystone_call {
	struct cs_keystone *session;
	struct cs_http_request request;
	struct cs_http_call *sent; /* NULL: it was not, */
	struct cs_error refused;   /* and why */
	unsigned renewals;	   /* before it was */
};

static struct cs_http_call *begin(const struct cs_keystone_call *call)
{
	struct cs_keystone *session = call->session;
	struct cs_http_request with_token = call->request;

	with_token.token = session->grant.secret;
	with_token.authorization = session->basic;
	return cs_http_begin(session->http, &with_token, session->deadline);
}

struct cs_keystone_call *cs_keystone_begin(
	struct cs_keystone *session, const struct cs_http_request *request)
{
	struct cs_keystone_call *call = cs_calloc(1, sizeof *call);

	call->session = session;
	call->request = *request;
	if (keep_fresh(session, &call->refused) < 0)
		return call;
	call->renewals = session->renewals;
	call->sent = begin(call);
	return call;
}

/* Requests that were refused together need one new token. */
static int send_again(const struct cs_keystone_call *call, struct cs_http_reply *reply,
	struct cs_error *err)
{
	struct cs_keystone *session = call->session;

	if (call->renewals == session->renewals && renew(session, err) < 0)
		return err->code;
	return cs_http_end(begin(call), reply, err);
}

int cs_keystone_end(struct cs_keystone_call *take_call, struct cs_http_reply *reply,
	struct cs_error *err)
{
	CS_AUTO_FREE struct cs_keystone_call *call = take_call;
	struct cs_keystone *session = call->session;

	if (!call->sent) {
		*err = call->refused;
		return err->code;
	}
	if (cs_http_end(call->sent, reply, err) < 0 ||
		(reply->status == 401 && session->grant.secret &&
			send_again(call, reply, err) < 0))
		return err->code;
	if (reply->status != 401)
		return check_version(session, &call->request, reply, err);
	cs_http_fail(&call->request, reply, err);
	if (!session->grant.secret)
		return cs_error_prefix(err, "%s: refused; check username and password",
			session->credentials->source);
	return cs_error_prefix(err,
		"%s: a fresh token of %s was refused; does the service trust this "
		"Keystone?",
		session->credentials->source, session->base);
}
