/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A session with an OpenStack cloud: authenticates with Keystone, keeps the token, finds
 * endpoints in the catalogue and sends requests with the token, which it renews before
 * it ends, and once when a service refuses it.
 * Source: https://docs.openstack.org/api-ref/identity/v3/ , .../identity/v2/ ; the ways
 * to authenticate and what they need: keystoneauth's plugins. */
#ifndef CS_CLIENT_KEYSTONE_H
#define CS_CLIENT_KEYSTONE_H

#include <stdbool.h>

#include "base/deadline.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/secret.h"
#include "client/http.h"

enum cs_auth_type {
	CS_AUTH_PASSWORD,
	CS_AUTH_APPLICATION_CREDENTIAL,
	CS_AUTH_TOKEN,		   /* exchanged for one of the project */
	CS_AUTH_OIDC_ACCESS_TOKEN, /* of an identity provider, likewise */
	CS_AUTH_OIDC_CLIENT_CREDENTIALS,
	CS_AUTH_V2_PASSWORD, /* Identity v2.0 */
	CS_AUTH_HTTP_BASIC,  /* without Keystone */
	CS_AUTH_NONE,
};

/* The services that a cloud can be told the URL of. */
enum cs_service {
	CS_SERVICE_COMPUTE,
	CS_SERVICE_IMAGE,
	CS_SERVICE_NETWORK,
	CS_SERVICE_VOLUME,
	CS_SERVICE_IDENTITY,
	CS_SERVICE_PLACEMENT,
	CS_SERVICES
};

/* What a catalogue may call a service, the official type first, NULL at the end. Source:
 * https://service-types.openstack.org/service-types.json */
const char *const *cs_service_types(enum cs_service service);

/* Who to be, where. Owns its members; NULL means not given. */
struct cs_credentials {
	char *source; /* for messages: "cloud 'web' of /etc/openstack/clouds.yaml" */
	enum cs_auth_type type;
	char *auth_url; /* with or without /v3 */
	char *endpoint; /* of the Compute service, without Keystone */
	char *user_id, *user_name, *user_domain_id, *user_domain_name;
	char *project_id, *project_name, *project_domain_id, *project_domain_name;
	char *credential_id, *credential_name; /* application credential */
	char *provider, *protocol; /* OpenID Connect, as Keystone names them */
	char *client_id, *client_scope;
	char *token_endpoint, *discovery_endpoint; /* of the provider */
	struct cs_secret *secret;     /* password, token, ...: what `type` calls for */
	char *region;		      /* NULL: the only one of the catalogue */
	char *interface;	      /* "public", "internal" or "admin" */
	char *overrides[CS_SERVICES]; /* URLs that count before the catalogue's */
	bool verify;		      /* the certificate of the services */
	char *ca_file;		      /* NULL: the system's authorities */
	char *cert_file, *key_file;   /* our own; see http.h */
};
void cs_credentials_done(struct cs_credentials *credentials) CS_NONNULL_ALL;

struct cs_keystone;

/* Authenticates, or takes the token that an earlier session left in the file `cache`
 * (NULL: none), see token_cache.c. Borrows the credentials. CS_E_AUTH: refused, or not
 * for a project (Nova answers an empty list to an unscoped token); otherwise as
 * cs_http_send(). */
int cs_keystone_open(const struct cs_credentials *credentials, const char *cache,
	struct cs_deadline deadline, struct cs_keystone **ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL(1, 4, 5);
void cs_keystone_close(struct cs_keystone *session);
CS_DEFINE_FREEP(struct cs_keystone, cs_keystone_close)

/* Bounds every later call of the session. */
void cs_keystone_set_deadline(
	struct cs_keystone *session, struct cs_deadline deadline) CS_NONNULL_ALL;

/* Borrowed. The auth URL without a trailing slash or version. */
const char *cs_keystone_auth_url(const struct cs_keystone *session) CS_NONNULL_ALL;
const char *cs_keystone_project_id(const struct cs_keystone *session) CS_NONNULL_ALL;
const char *cs_keystone_region(const struct cs_keystone *session) CS_NONNULL_ALL;

/* The configured URL or the catalogue's for a service type ("compute", "image",
 * "network") or one of its aliases, without a trailing slash, owned by the caller.
 * CS_E_NOT_FOUND lists what the catalogue offers instead; CS_E_CONFIG when several
 * regions offer it and none is configured. */
int cs_keystone_endpoint(struct cs_keystone *session, const char *type, char **ret_url,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Sends `request` (its token is set here), in two halves as those of cs_http_send(). 401
 * renews the token and sends it once more; a second one is CS_E_AUTH. A success under
 * another API version than the header OpenStack-API-Version of the request asks for is
 * CS_E_PROTOCOL. Other answers as cs_http_send(). */
struct cs_keystone_call;
struct cs_keystone_call *cs_keystone_begin(struct cs_keystone *session,
	const struct cs_http_request *request) CS_MUST_CHECK CS_NONNULL_ALL;
int cs_keystone_end(struct cs_keystone_call *take_call, struct cs_http_reply *reply,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* What a token answer holds; the members are borrowed from `body`. */
struct cs_token {
	struct json_object *body; /* {"project", "catalog", ...} of v3, owned */
	const char *project_id;
	struct json_object *catalog;
	int64_t life_ms; /* from its issue to its end; -1: it does not say */
};

/* Checks the body of a token answer; one of v2.0 is turned into the form of v3. For
 * cs_keystone_open() and its fuzz target. */
int cs_keystone_parse_token(const char *text, size_t len, struct cs_token *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_token_done(struct cs_token *token) CS_NONNULL_ALL;

/* Picks an endpoint of a parsed catalogue, by `type` or else by what else it is called;
 * errors as cs_keystone_endpoint(). `region` NULL: the only one. `ret` is borrowed from
 * the token. */
int cs_keystone_pick(const struct cs_token *token, const char *type,
	const char *interface, const char *region, const char **ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL(1, 2, 3, 5, 6);

#endif
