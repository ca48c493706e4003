/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A session with an OpenStack cloud: authenticates with Keystone v3, keeps the token,
 * finds endpoints in the catalogue and sends requests with the token, which it renews
 * once when a service refuses it.
 * Source: https://docs.openstack.org/api-ref/identity/v3/ . */
#ifndef CS_CLIENT_KEYSTONE_H
#define CS_CLIENT_KEYSTONE_H

#include <stdbool.h>

#include "base/deadline.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/secret.h"
#include "client/http.h"

enum cs_auth_type { CS_AUTH_PASSWORD, CS_AUTH_APPLICATION_CREDENTIAL };

/* Who to be, where. Owns its members; NULL means not given. */
struct cs_credentials {
	char *source; /* for messages: "cloud 'web' of /etc/openstack/clouds.yaml" */
	enum cs_auth_type type;
	char *auth_url; /* with or without /v3 */
	char *user_id, *user_name, *user_domain_id, *user_domain_name;
	char *project_id, *project_name, *project_domain_id, *project_domain_name;
	char *credential_id, *credential_name; /* application credential */
	struct cs_secret *secret;	       /* password or credential secret */
	char *region;			       /* NULL: the only one of the catalogue */
	char *interface;		       /* "public", "internal" or "admin" */
	bool verify;			       /* the certificate of the services */
	char *ca_file;			       /* NULL: the system's authorities */
};
void cs_credentials_done(struct cs_credentials *credentials) CS_NONNULL_ALL;

struct cs_keystone;

/* Authenticates. Borrows the credentials. CS_E_AUTH: refused, or not for a project (Nova
 * answers an empty list to an unscoped token); otherwise as cs_http_send(). */
int cs_keystone_open(const struct cs_credentials *credentials,
	struct cs_deadline deadline, struct cs_keystone **ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_keystone_close(struct cs_keystone *session);
CS_DEFINE_FREEP(struct cs_keystone, cs_keystone_close)

/* Bounds every later call of the session. */
void cs_keystone_set_deadline(
	struct cs_keystone *session, struct cs_deadline deadline) CS_NONNULL_ALL;

/* Borrowed. The auth URL without a trailing slash or version. */
const char *cs_keystone_auth_url(const struct cs_keystone *session) CS_NONNULL_ALL;
const char *cs_keystone_project_id(const struct cs_keystone *session) CS_NONNULL_ALL;
const char *cs_keystone_region(const struct cs_keystone *session) CS_NONNULL_ALL;

/* The catalogue's URL for a service type ("compute", "image", "network"), without a
 * trailing slash, owned by the caller. CS_E_NOT_FOUND lists what the catalogue offers
 * instead; CS_E_CONFIG when several regions offer it and none is configured. */
int cs_keystone_endpoint(struct cs_keystone *session, const char *type, char **ret_url,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Sends `request` (its token is set here). 401 renews the token and sends it once more;
 * a second one is CS_E_AUTH. Other answers as cs_http_send(). */
int cs_keystone_send(struct cs_keystone *session, const struct cs_http_request *request,
	struct cs_http_reply *reply, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* What a token answer holds; `catalog` is borrowed from `body`. */
struct cs_token {
	struct json_object *body; /* the "token" object, owned */
	const char *project_id;
	struct json_object *catalog;
};

/* Checks the body of a token answer. For cs_keystone_open() and its fuzz target. */
int cs_keystone_parse_token(const char *text, size_t len, struct cs_token *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_token_done(struct cs_token *token) CS_NONNULL_ALL;

/* Picks an endpoint of a parsed catalogue; errors as cs_keystone_endpoint(). `region`
 * NULL: the only one. `ret` is borrowed from the token. */
int cs_keystone_pick(const struct cs_token *token, const char *type,
	const char *interface, const char *region, const char **ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL(1, 2, 3, 5, 6);

#endif
