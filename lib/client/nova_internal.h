/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of nova.h share. */
#ifndef CS_CLIENT_NOVA_INTERNAL_H
#define CS_CLIENT_NOVA_INTERNAL_H

#include "client/keystone.h"
#include "client/nova.h"
#include "format/json.h"

#define CS_NOVA_AHEAD_MAX 8
#define CS_NOVA_HEADER_SIZE 48 /* "OpenStack-API-Version: compute 2.N" */

struct cs_nova {
	struct cs_keystone *session; /* borrowed */
	char *base;		     /* ".../v2.1" */
	int minor;		     /* of the microversion 2.N */
	int newest;		     /* likewise, that the cloud offers */
	char header[CS_NOVA_HEADER_SIZE];
	bool looks_ahead;
	struct cs_nova_call *ahead[CS_NOVA_AHEAD_MAX]; /* sent, and not yet asked for */
	size_t n_ahead;
};

/* Sends what changes something, with the microversion. Takes `url`, and `body` (or NULL).
 */
struct cs_nova_call *cs_nova_begin(struct cs_nova *nova, const char *method,
	char *take_url, struct json_object *take_body) CS_MUST_CHECK CS_NONNULL(1, 2, 3);

/* 0 only for a success (2xx), whose answer is in `reply`. */
int cs_nova_end(struct cs_nova_call *take_call, struct cs_http_reply *reply,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* The collection of images at the Image service; owned by the caller. */
int cs_nova_images_url(struct cs_nova *nova, char **ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* A path at the Network service, such as "/ports"; owned by the caller. */
int cs_nova_network_url(struct cs_nova *nova, const char *path, char **ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* GET `url` (whole). 0 only for status 200, whose body is in `reply`. */
int cs_nova_fetch(struct cs_nova *nova, const char *url, struct cs_http_reply *reply,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* The link to the next page among `links` (or NULL), and its query from the "?" on, NULL
 * on the last page; both borrowed. Only the query is of use: host and path are what the
 * service believes itself to be. False: there is such a link, and it is none. */
bool cs_nova_next_page(struct json_object *links, const char **ret_href,
	const char **ret_query) CS_MUST_CHECK CS_NONNULL(2, 3);

/* The same. 0 only for status 200 with a JSON body, which the caller puts. */
int cs_nova_get(struct cs_nova *nova, const char *url, struct json_object **ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
