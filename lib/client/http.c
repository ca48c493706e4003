/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One libcurl handle with a deadline; see http.h. */
#include <config.h>
#include "client/http.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "format/json.h"

#define REPLY_MAX ((size_t)64 << 20)
#define CONNECT_MS 5000
#define ERROR_TEXT_MAX 300

struct cs_http {
	CURL *curl;
	bool verify;
	char *ca_file; /* or NULL */
};

struct cs_http *cs_http_new(bool verify, const char *ca_file)
{
	struct cs_http *http = cs_calloc(1, sizeof *http);

	/* Not thread-safe, which is fine: these programs have one thread. */
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
		!(http->curl = curl_easy_init()))
		cs_out_of_memory();
	http->verify = verify;
	cs_strset(&http->ca_file, ca_file);
	return http;
}

void cs_http_free(struct cs_http *http)
{
	if (!http)
		return;
	curl_easy_cleanup(http->curl);
	free(http->ca_file);
	free(http);
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

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
	struct cs_http_reply *reply = user;

	cs_strbuf_add_bytes(&reply->body, data, size * n);
	return reply->body.overflow ? 0 : size * n;
}

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

static size_t on_header(char *data, size_t size, size_t n, void *user)
{
	struct cs_http_reply *reply = user;
	CS_AUTO_FREE char *line = cs_strndup(data, size * n);
	const char *value;

	line[strcspn(line, "\r\n")] = '\0';
	if ((value = value_of(line, "x-openstack-request-id:")) ||
		(value = value_of(line, "x-compute-request-id:")))
		keep(reply->request_id, sizeof reply->request_id, value);
	if ((value = value_of(line, "location:")))
		keep(reply->location, sizeof reply->location, value);
	if ((value = value_of(line, "x-subject-token:"))) {
		cs_secret_free(reply->subject_token);
		reply->subject_token = cs_secret_new(value);
		explicit_bzero(line, strlen(line));
	}
	return size * n;
}

void cs_http_reply_done(struct cs_http_reply *reply)
{
	cs_strbuf_done(&reply->body);
	cs_secret_free(reply->subject_token);
	*reply = (struct cs_http_reply){0};
}

static bool is_loopback(const char *host)
{
	return strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
	       strcmp(host, "[::1]") == 0;
}

/* Also keeps other protocols of libcurl (file:, ...) out of reach of a catalogue. */
static int check_url(const char *url, bool *ret_loopback, struct cs_error *err)
{
	CURLU *parts = curl_url();
	char *scheme = NULL, *host = NULL, *user = NULL;
	bool good = false;

	if (!parts)
		cs_out_of_memory();
	if (curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
		curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
		curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
		good = strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0;
		good &= curl_url_get(parts, CURLUPART_USER, &user, 0) != CURLUE_OK;
		*ret_loopback = is_loopback(host);
	}
	curl_free(scheme);
	curl_free(host);
	bool has_user = user != NULL;
	curl_free(user);
	curl_url_cleanup(parts);
	if (good)
		return 0;
	if (has_user) /* not quoted: it may hold a password */
		return cs_error_set(err, CS_E_CONFIG,
			"a URL of the cloud has a user in it; write it without");
	return cs_error_set(
		err, CS_E_CONFIG, "'%.200s' is not an http or https URL", url);
}

static struct curl_slist *add_line(struct curl_slist *list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(list, line);

	if (!longer)
		cs_out_of_memory();
	return longer;
}

static struct curl_slist *make_headers(const struct cs_http_request *request)
{
	struct curl_slist *list = add_line(NULL, "Accept: application/json");

	list = add_line(list, "Expect:"); /* no waiting for 100-continue */
	list = add_line(list, "Content-Type: application/json");
	for (const char *const *line = request->headers; line && *line; line++)
		list = add_line(list, *line);
	if (request->token) {
		CS_AUTO_FREE char *line =
			cs_asprintf("X-Auth-Token: %s", cs_secret_expose(request->token));
		list = add_line(list, line);
		explicit_bzero(line, strlen(line));
	}
	return list;
}

static void free_headers(struct curl_slist *list)
{
	for (struct curl_slist *line = list; line; line = line->next)
		explicit_bzero(line->data, strlen(line->data));
	curl_slist_free_all(list);
}

static void set_request(CURL *curl, const struct cs_http_request *request)
{
	bool is_get = strcmp(request->method, "GET") == 0;

	curl_easy_setopt(curl, CURLOPT_URL, request->url);
	if (request->body) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
		curl_easy_setopt(
			curl, CURLOPT_POSTFIELDSIZE, (long)strlen(request->body));
	} else {
		curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	/* libcurl silently repeats any request, a POST too, when a kept connection turns
	 * out dead; on a new connection it never does. */
	curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, is_get ? 0L : 1L);
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
}

static void set_connection(
	const struct cs_http *http, bool loopback, struct cs_deadline deadline)
{
	int64_t left_ms = cs_deadline_left_ms(deadline);
	CURL *curl = http->curl;

	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, PACKAGE_NAME "/" PACKAGE_VERSION);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)left_ms);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
		(long)(left_ms < CONNECT_MS ? left_ms : CONNECT_MS));
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, http->verify ? 1L : 0L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, http->verify ? 2L : 0L);
	if (http->ca_file)
		curl_easy_setopt(curl, CURLOPT_CAINFO, http->ca_file);
	if (loopback)
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
}

/* Nothing of the request has left this host. */
static bool is_unsent(CURL *curl)
{
	long sent_bytes = 0;

	curl_easy_getinfo(curl, CURLINFO_REQUEST_SIZE, &sent_bytes);
	return sent_bytes == 0;
}

static const char *explain(CURL *curl, CURLcode code, const char *detail)
{
	long errnum = 0;

	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &errnum);
	if (code == CURLE_COULDNT_CONNECT && errnum)
		return strerror((int)errnum);
	return *detail ? detail : curl_easy_strerror(code);
}

static int fail(const struct cs_http *http, const struct cs_http_request *request,
	const struct cs_http_reply *reply, CURLcode code, const char *detail,
	struct cs_error *err)
{
	const char *method = request->method, *url = request->url;

	if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
		return cs_error_set(err, CS_E_CONNECT,
			"%s %s: no connection: %s; check 'cacert' of the cloud (%s)",
			method, url, explain(http->curl, code, detail),
			http->ca_file ? http->ca_file : "the system's authorities");
	if (is_unsent(http->curl))
		return cs_error_set(err, CS_E_CONNECT,
			"%s %s: no connection: %s; is the URL right, and the cloud up?",
			method, url, explain(http->curl, code, detail));
	if (reply->body.overflow)
		return cs_error_set(err, request->changes ? CS_E_LOST : CS_E_LIMIT,
			"%s %s: the answer is larger than %zu MiB", method, url,
			REPLY_MAX >> 20);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return cs_error_set(err, request->changes ? CS_E_LOST : CS_E_TIMEOUT,
			"%s %s: no whole answer within the time allowed%s", method, url,
			request->changes ? "; it may have been carried out" : "");
	return cs_error_set(err, request->changes ? CS_E_LOST : CS_E_REMOTE,
		"%s %s: the connection broke before the answer was whole (%s)%s", method,
		url, curl_easy_strerror(code),
		request->changes ? "; it may have been carried out" : "");
}

static bool is_broken(CURLcode code)
{
	return code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR ||
	       code == CURLE_SEND_ERROR || code == CURLE_PARTIAL_FILE;
}

static CURLcode perform(const struct cs_http *http, struct cs_http_reply *reply)
{
	cs_http_reply_done(reply);
	reply->body = CS_STRBUF(REPLY_MAX);
	curl_easy_setopt(http->curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(http->curl, CURLOPT_WRITEDATA, reply);
	curl_easy_setopt(http->curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(http->curl, CURLOPT_HEADERDATA, reply);
	return curl_easy_perform(http->curl);
}

int cs_http_send(struct cs_http *http, const struct cs_http_request *request,
	struct cs_deadline deadline, struct cs_http_reply *reply, struct cs_error *err)
{
	char detail[CURL_ERROR_SIZE] = "";
	bool loopback = false;
	long status = 0;

	if (check_url(request->url, &loopback, err) < 0)
		return err->code;
	if (cs_deadline_left_ms(deadline) == 0)
		return cs_error_set(err, CS_E_TIMEOUT, "%s %s: no time left, not sent",
			request->method, request->url);
	struct curl_slist *headers = make_headers(request);
	curl_easy_reset(http->curl); /* keeps the connection */
	set_request(http->curl, request);
	set_connection(http, loopback, deadline);
	curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(http->curl, CURLOPT_ERRORBUFFER, detail);
	CURLcode code = perform(http, reply);
	/* A kept connection has had its repetition by libcurl already, a new one not. */
	if (is_broken(code) && strcmp(request->method, "GET") == 0 &&
		cs_deadline_left_ms(deadline) > 0) {
		set_connection(http, loopback, deadline);
		code = perform(http, reply);
	}
	free_headers(headers);
	if (code != CURLE_OK)
		return fail(http, request, reply, code, detail, err);
	curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
	reply->status = (int)status;
	return 0;
}

/* Nova: {"itemNotFound": {"message"}}; Keystone: {"error": {"message"}}; Neutron:
 * {"NeutronError": {"message"}}; others: {"message"} or {"faultstring"}. */
bool cs_http_error_text(const char *text, size_t len, struct cs_strbuf *ret)
{
	struct cs_error ignored;
	CS_AUTO_JSON struct json_object *body = NULL;
	const char *message;

	if (cs_json_parse(text, len, "error", &body, &ignored) < 0 ||
		!json_object_is_type(body, json_type_object))
		return false;
	message = cs_json_str(body, "message");
	if (!message)
		message = cs_json_str(body, "faultstring");
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

int cs_http_fail(const struct cs_http_request *request, const struct cs_http_reply *reply,
	struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(ERROR_TEXT_MAX);
	const char *body = cs_strbuf_text(&reply->body);

	if (reply->status >= 300 && reply->status < 400)
		cs_strbuf_addf(&text, "a redirect to '%s', which is not followed",
			reply->location);
	else if (!cs_http_error_text(body, reply->body.len, &text))
		cs_strbuf_addf(&text, "%s",
			strchr(body, '<') ? "a web page, not the service's own answer"
			: *body		  ? "no message in its answer"
					  : "an empty answer");
	cs_error_set(err, code_of(reply->status, cs_strbuf_text(&text)),
		"%s %s: status %d: %s%s%s%s", request->method, request->url,
		reply->status, cs_strbuf_text(&text), *reply->request_id ? " (" : "",
		reply->request_id, *reply->request_id ? ")" : "");
	err->remote_status = reply->status;
	return err->code;
}
