/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What answers say: headers, errors; and what requests say of who we are. See http.h. */
#include <config.h>
#include "client/http.h"

#include <nettle/base64.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/parse.h"
#include "client/curl.h"
#include "format/json.h"

#define ERROR_TEXT_MAX 300
#define RETRY_AFTER_MAX_S 86400

/* The value of header line `name` ("x-...:"), or NULL. */
static const char *value_of(const char *line, const char *name)
{
	size_t len = strlen(name);

	if (strncasecmp(line, name, len) != 0)
		return NULL;
	return line + len + strspn(line + len, " \t");
}

static void keep(char *slot, size_t size_bytes, const char *value)
{
	size_t len = strlen(value);

	memcpy(slot, value, len < size_bytes ? len + 1 : size_bytes);
	slot[size_bytes - 1] = '\0';
	cs_text_clean(slot);
}

int64_t cs_http_retry_after(const char *value, int64_t now_wall_ms)
{
	int64_t seconds;

	if (!cs_parse_int(value, 0, INT64_MAX, &seconds)) {
		time_t date = curl_getdate(value, NULL);

		if (date < 0)
			return -1;
		seconds = (int64_t)date - now_wall_ms / CS_MS_PER_S;
	}
	if (seconds < 0)
		seconds = 0;
	return (seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * CS_MS_PER_S;
}

void cs_http_take_header(
	struct cs_http_reply *reply, const char *data, size_t len, int64_t now_wall_ms)
{
	CS_AUTO_FREE char *line = cs_strndup(data, len);
	const char *value;

	line[strcspn(line, "\r\n")] = '\0';
	if ((value = value_of(line, "x-openstack-request-id:")) ||
		(value = value_of(line, "x-compute-request-id:")))
		keep(reply->request_id, sizeof reply->request_id, value);
	if ((value = value_of(line, "location:")))
		keep(reply->location, sizeof reply->location, value);
	if ((value = value_of(line, "openstack-api-version:")))
		keep(reply->api_version, sizeof reply->api_version, value);
	if ((value = value_of(line, "retry-after:")))
		reply->retry_after_ms = cs_http_retry_after(value, now_wall_ms);
	if ((value = value_of(line, "x-subject-token:"))) {
		cs_secret_free(reply->subject_token);
		reply->subject_token = cs_secret_new(value);
		explicit_bzero(line, strlen(line));
	}
}

void cs_http_reply_done(struct cs_http_reply *reply)
{
	cs_strbuf_done(&reply->body);
	cs_secret_free(reply->subject_token);
	*reply = (struct cs_http_reply){.retry_after_ms = -1};
}

/* Nova: {"itemNotFound": {"message"}}; Keystone: {"error": {"message"}}; Neutron:
 * {"NeutronError": {"message"}}; others: {"message"}, {"faultstring"} or, of OAuth 2.0,
 * {"error_description"} or {"error"} (RFC 6749 5.2). */
bool cs_http_error_text(const char *text, size_t len, struct cs_strbuf *ret)
{
	static const char *const keys[] = {
		"message", "faultstring", "error_description", "error"};
	struct cs_error ignored;
	CS_AUTO_JSON struct json_object *body = NULL;
	const char *message = NULL;

	if (cs_json_parse(text, len, "error", &body, &ignored) < 0 ||
		!json_object_is_type(body, json_type_object))
		return false;
	for (size_t i = 0; !message && i < CS_ARRAY_SIZE(keys); i++)
		message = cs_json_str(body, keys[i]);
	json_object_object_foreach(body, key, value)
	{
		(void)key;
		if (!message)
			message = cs_json_str(value, "message");
	}
	if (message)
		cs_strbuf_add(ret, message);
	return message != NULL;
}

static enum cs_errc code_of(int status, const char *text)
{
	switch (status) {
	case 401:
		return CS_E_AUTH;
	case 403: /* Nova has no status of its own for it */
		return strncasecmp(text, "Quota exceeded", 14) == 0 ? CS_E_QUOTA
								    : CS_E_FORBIDDEN;
	case 404:
		return CS_E_NOT_FOUND;
	case 409:
		return CS_E_CONFLICT;
	case 413:
	case 429:
		return CS_E_QUOTA;
	default:
		return CS_E_REMOTE;
	}
}

/* " (req-THEIRS, ours req-OURS)" */
static void add_ids(struct cs_strbuf *text, const struct cs_http_reply *reply)
{
	const char *theirs = reply->request_id, *ours = reply->sent_id;

	if (*theirs || *ours)
		cs_strbuf_addf(text, " (%s%s%s%s)", theirs, *theirs && *ours ? ", " : "",
			*ours ? "ours " : "", ours);
}

int cs_http_fail(const struct cs_http_request *request, const struct cs_http_reply *reply,
	struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(ERROR_TEXT_MAX);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf rest = CS_STRBUF(ERROR_TEXT_MAX);
	const char *body = cs_strbuf_text(&reply->body);

	if (reply->status >= 300 && reply->status < 400)
		cs_strbuf_addf(&text, "a redirect to '%s', which is not followed",
			reply->location);
	else if (!cs_http_error_text(body, reply->body.len, &text))
		cs_strbuf_addf(&text, "%s",
			strchr(body, '<') ? "a web page, not the service's own answer"
			: *body		  ? "no message in its answer"
					  : "an empty answer");
	if (reply->status >= 400 && reply->retry_after_ms > 0)
		cs_strbuf_addf(&rest, "; it asks to come back after %lld s",
			(long long)(reply->retry_after_ms / CS_MS_PER_S));
	add_ids(&rest, reply);
	cs_error_set(err, code_of(reply->status, cs_strbuf_text(&text)),
		"%s %s: status %d: %s%s", request->method, request->url, reply->status,
		cs_strbuf_text(&text), cs_strbuf_text(&rest));
	err->remote_status = reply->status;
	return err->code;
}

char *cs_http_escape(const char *text)
{
	char *escaped = curl_easy_escape(NULL, text, 0);

	if (!escaped)
		cs_out_of_memory();
	char *ret = cs_strdup(escaped);
	curl_free(escaped);
	return ret;
}

static struct cs_secret *take_line(char *line)
{
	struct cs_secret *secret = cs_secret_new(line);

	explicit_bzero(line, strlen(line));
	free(line);
	return secret;
}

struct cs_secret *cs_http_bearer(const struct cs_secret *token)
{
	return take_line(cs_asprintf("Bearer %s", cs_secret_expose(token)));
}

struct cs_secret *cs_http_basic(const char *user, const struct cs_secret *password)
{
	char *pair = cs_asprintf("%s:%s", user, cs_secret_expose(password));
	size_t len = strlen(pair);
	char *line = cs_calloc(BASE64_ENCODE_RAW_LENGTH(len) + sizeof "Basic ", 1);

	memcpy(line, "Basic ", strlen("Basic "));
	base64_encode_raw(line + strlen("Basic "), len, (const uint8_t *)pair);
	explicit_bzero(pair, len);
	free(pair);
	return take_line(line);
}
