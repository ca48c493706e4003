/* SPDX-License-Identifier: GPL-3.0-or-later */
/* HTTP as OpenStack's services speak it: JSON both ways, kept connections, a deadline
 * on every call, ceilings on every answer. Redirects are not followed (a token must not
 * travel to where an answer points).
 *
 * What is repeated, three times sent at most, with a growing pause of random length, and
 * only while the deadline leaves room for it:
 * - anything that could not be sent: no address, no connection;
 * - anything that was refused with 413 or 429 and a Retry-After: a limiter stands before
 *   the service, so nothing was carried out. RFC 6585, RFC 9110 10.2.3;
 * - what changes nothing, when the connection broke or 500, 502, 503 or 504 came back. A
 *   503 to what changes something is not repeated even with a Retry-After: a proxy says
 *   it also when it had passed the request on.
 * The caller hears of the last one.
 *
 * The proxy variables (https_proxy, no_proxy, ...) are libcurl's and are honoured, except
 * for loopback addresses. A message names method and URL, never a header or a body. */
#ifndef CS_CLIENT_HTTP_H
#define CS_CLIENT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/deadline.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/secret.h"
#include "base/strbuf.h"

struct cs_http;

/* Files in PEM; borrowed, NULL for none. */
struct cs_http_tls {
	bool verify;	       /* the certificate of the services */
	const char *ca_file;   /* NULL: the system's authorities */
	const char *cert_file; /* our own certificate */
	const char *key_file;  /* its key; NULL: it lies in cert_file too */
};

/* Owned by the caller. CS_E_CONFIG: libcurl is not installed. */
int cs_http_new(const struct cs_http_tls *tls, struct cs_http **ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_http_free(struct cs_http *http);
CS_DEFINE_FREEP(struct cs_http, cs_http_free)

#define CS_HTTP_ID_SIZE 80

struct cs_http_request {
	const char *method;
	const char *url;	       /* http or https, without user or password */
	const char *body;	       /* or NULL */
	const char *content_type;      /* NULL: JSON */
	const struct cs_secret *token; /* X-Auth-Token, or NULL */
	const struct cs_secret
		*authorization;	    /* Authorization: the whole value, or NULL */
	const char *const *headers; /* more lines, NULL-terminated, or NULL */
	bool changes; /* repeating it would do harm: a lost answer is CS_E_LOST */
};

struct cs_http_reply {
	int status;
	struct cs_strbuf body;		  /* at most 64 MiB */
	char request_id[CS_HTTP_ID_SIZE]; /* the service's, "" when there was none */
	char sent_id[CS_HTTP_ID_SIZE];	  /* ours, the same for every request */
	char location[256];		  /* of a redirect, "" when there was none */
	char api_version[32];		  /* "compute 2.73", "" when there was none */
	int64_t retry_after_ms;		  /* -1 when there was none */
	struct cs_secret *subject_token;  /* X-Subject-Token, or NULL */
};

/* 0 for every answer, whatever its status. CS_E_CONFIG: not a URL that we take.
 * CS_E_CONNECT: nothing was sent. CS_E_TIMEOUT, CS_E_REMOTE (the connection broke),
 * CS_E_LIMIT (the answer is too large): sent, no whole answer; CS_E_LOST instead of the
 * three when the request changes something. `reply` has to be zeroed or a former one, and
 * is to be released with cs_http_reply_done() in any case. */
int cs_http_send(struct cs_http *http, const struct cs_http_request *request,
	struct cs_deadline deadline, struct cs_http_reply *reply,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_http_reply_done(struct cs_http_reply *reply) CS_NONNULL_ALL;

/* The two halves of cs_http_send(), for several requests at once: sends, and waits for
 * the answer. In between, other requests may be begun, sent and ended in any order; all
 * go on while one is waited for. Every call that was begun has to be ended, before the
 * `http` is freed. What `request` points to must last until then, but for its secrets. */
struct cs_http_call;
struct cs_http_call *cs_http_begin(struct cs_http *http,
	const struct cs_http_request *request,
	struct cs_deadline deadline) CS_MUST_CHECK CS_NONNULL_ALL;
int cs_http_end(struct cs_http_call *call, struct cs_http_reply *reply,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Takes one header line, with or without its end, into `reply`. `now_wall_ms` is what a
 * date is measured against. For cs_http_send() and its fuzz target. */
void cs_http_take_header(struct cs_http_reply *reply, const char *data, size_t len,
	int64_t now_wall_ms) CS_NONNULL_ALL;

/* The value of a Retry-After header in ms, -1 when it is neither seconds nor a date; at
 * most a day. RFC 9110 10.2.3. */
int64_t cs_http_retry_after(const char *value, int64_t now_wall_ms) CS_NONNULL_ALL;

/* Turns an answer that is not a success into an error: 401 CS_E_AUTH, 403 CS_E_QUOTA or
 * CS_E_FORBIDDEN, 404 CS_E_NOT_FOUND, 409 CS_E_CONFLICT, 413 and 429 CS_E_QUOTA, the rest
 * CS_E_REMOTE. The message has the service's own words, out of
 * whichever envelope it uses, and the request ids of both sides; `remote_status` is the
 * status. */
int cs_http_fail(const struct cs_http_request *request, const struct cs_http_reply *reply,
	struct cs_error *err) CS_NONNULL_ALL;

/* The "message" of an error body: {"NAME": {"message": ...}}, {"message": ...} or the
 * like of Neutron; borrowed words of `text` are copied to `ret`. false when there is
 * none, as in HTML. For cs_http_fail() and its fuzz target. */
bool cs_http_error_text(
	const char *text, size_t len, struct cs_strbuf *ret) CS_NONNULL_ALL;

/* `text` for use inside a query or path; owned by the caller. */
char *cs_http_escape(const char *text) CS_MUST_CHECK CS_NONNULL_ALL;

/* "Bearer TOKEN" and "Basic BASE64(user:password)" (RFC 6750, RFC 7617). */
struct cs_secret *cs_http_bearer(
	const struct cs_secret *token) CS_MUST_CHECK CS_NONNULL_ALL;
struct cs_secret *cs_http_basic(
	const char *user, const struct cs_secret *password) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
