/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libcurl's multi interface with a deadline for each request; see http.h. Everything in
 * flight goes on whenever the program waits for one of them. */
#include <config.h>
#include "client/http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/stamp.h"
#include "client/curl.h"

#define REPLY_MAX ((size_t)64 << 20)
#define BUFFER_BYTES 131072L /* a page of a thousand servers has 1.6 MB */
#define CONNECT_MS 5000
#define TIMES_MAX 3
#define PAUSE_MS 200 /* before the second time, and twice that before the third */

struct cs_http {
	CURLM *multi; /* has the kept connections */
	CURL *spare;  /* of the last request, for the next one; or NULL */
	bool verify;
	char *ca_file, *cert_file, *key_file; /* or NULL */
	char id[CS_HTTP_ID_SIZE];	      /* "req-UUID", of every request */
};

struct cs_http_call {
	struct cs_http *http;
	struct cs_http_request request; /* without its secrets: `headers` has them */
	struct cs_deadline deadline;
	struct cs_error refused; /* when it was never sent */
	struct curl_slist *headers;
	bool loopback;
	CURL *curl; /* NULL: never sent */
	/* of the present time that it is sent */
	int64_t left_ms; /* when it began */
	bool over;
	CURLcode code;
	char detail[CURL_ERROR_SIZE];
	struct cs_http_reply reply;
};

int cs_http_new(const struct cs_http_tls *tls, struct cs_http **ret, struct cs_error *err)
{
	char uuid[CS_UUID_SIZE];

	if (cs_curl_load(err) < 0)
		return err->code;
	struct cs_http *http = cs_calloc(1, sizeof *http);

	/* Not thread-safe, which is fine: these programs have one thread. */
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
		!(http->multi = curl_multi_init()))
		cs_out_of_memory();
	http->verify = tls->verify;
	cs_strset(&http->ca_file, tls->ca_file);
	cs_strset(&http->cert_file, tls->cert_file);
	cs_strset(&http->key_file, tls->key_file);
	cs_uuid_make(uuid);
	snprintf(http->id, sizeof http->id, "req-%s", uuid);
	*ret = http;
	return 0;
}

void cs_http_free(struct cs_http *http)
{
	if (!http)
		return;
	curl_easy_cleanup(http->spare);
	curl_multi_cleanup(http->multi);
	free(http->ca_file);
	free(http->cert_file);
	free(http->key_file);
	free(http);
}

static int64_t wall_ms(void)
{
	struct cs_stamp now;

	cs_stamp_now(&now);
	return now.wall_ms;
}

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
	struct cs_http_reply *reply = user;

	cs_strbuf_add_bytes(&reply->body, data, size * n);
	return reply->body.overflow ? 0 : size * n;
}

static size_t on_header(char *data, size_t size, size_t n, void *user)
{
	cs_http_take_header(user, data, size * n, wall_ms());
	return size * n;
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

static struct curl_slist *add_secret(
	struct curl_slist *list, const char *name, const struct cs_secret *value)
{
	if (!value)
		return list;
	CS_AUTO_FREE char *line = cs_asprintf("%s: %s", name, cs_secret_expose(value));
	list = add_line(list, line);
	explicit_bzero(line, strlen(line));
	return list;
}

static struct curl_slist *make_headers(
	const struct cs_http *http, const struct cs_http_request *request)
{
	struct curl_slist *list = add_line(NULL, "Accept: application/json");
	CS_AUTO_FREE char *type = cs_asprintf("Content-Type: %s",
		request->content_type ? request->content_type : "application/json");
	/* Every service writes it into its log beside its own. */
	CS_AUTO_FREE char *id = cs_asprintf("X-Openstack-Request-Id: %s", http->id);

	list = add_line(list, "Expect:"); /* no waiting for 100-continue */
	list = add_line(list, type);
	list = add_line(list, id);
	for (const char *const *line = request->headers; line && *line; line++)
		list = add_line(list, *line);
	list = add_secret(list, "Authorization", request->authorization);
	return add_secret(list, "X-Auth-Token", request->token);
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

static void set_connection(const struct cs_http_call *call)
{
	const struct cs_http *http = call->http;
	int64_t left_ms = call->left_ms;
	CURL *curl = call->curl;

	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, PACKAGE_NAME "/" PACKAGE_VERSION);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)left_ms);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
		(long)(left_ms < CONNECT_MS ? left_ms : CONNECT_MS));
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, http->verify ? 1L : 0L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, http->verify ? 2L : 0L);
	if (http->ca_file)
		curl_easy_setopt(curl, CURLOPT_CAINFO, http->ca_file);
	if (http->cert_file) {
		curl_easy_setopt(curl, CURLOPT_SSLCERT, http->cert_file);
		curl_easy_setopt(curl, CURLOPT_SSLKEY,
			http->key_file ? http->key_file : http->cert_file);
	}
	if (call->loopback)
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
}

/* Nothing of the request has left this host. */
static bool is_unsent(CURL *curl)
{
	long sent_bytes = 0;

	curl_easy_getinfo(curl, CURLINFO_REQUEST_SIZE, &sent_bytes);
	return sent_bytes == 0;
}

static const char *explain(const struct cs_http_call *call)
{
	long errnum = 0;

	curl_easy_getinfo(call->curl, CURLINFO_OS_ERRNO, &errnum);
	if (call->code == CURLE_COULDNT_CONNECT && errnum)
		return strerror((int)errnum);
	return *call->detail ? call->detail : curl_easy_strerror(call->code);
}

/* GnuTLS has no code of its own for a certificate of ours that is missing or that the
 * service does not take. */
static bool is_own_certificate(const struct cs_http *http, CURLcode code)
{
	return http->cert_file &&
	       (code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CONNECT_ERROR);
}

static bool is_certificate(const struct cs_http *http, CURLcode code)
{
	return code == CURLE_PEER_FAILED_VERIFICATION ||
	       code == CURLE_SSL_CACERT_BADFILE || is_own_certificate(http, code);
}

static int fail_certificate(const struct cs_http_call *call, struct cs_error *err)
{
	const struct cs_http *http = call->http;
	const char *method = call->request.method, *url = call->request.url;
	const char *why = explain(call);

	if (is_own_certificate(http, call->code))
		return cs_error_set(err, CS_E_CONNECT,
			"%s %s: no connection: %s; check 'cert' and 'key' of the cloud "
			"(%s%s%s)",
			method, url, why, http->cert_file, http->key_file ? ", " : "",
			http->key_file ? http->key_file : "");
	return cs_error_set(err, CS_E_CONNECT,
		"%s %s: no connection: %s; check 'cacert' of the cloud (%s)", method, url,
		why, http->ca_file ? http->ca_file : "the system's authorities");
}

/* What libcurl makes of another protocol, and of a line longer than it takes. */
static bool is_no_http(CURLcode code)
{
	return code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY ||
	       code == CURLE_OUT_OF_MEMORY;
}

static int fail(const struct cs_http_call *call, struct cs_error *err)
{
	const struct cs_http_request *request = &call->request;
	const char *method = request->method, *url = request->url, *id = call->http->id;
	CURLcode code = call->code;
	const char *advice = request->changes ? "; it may have been carried out" : "";

	if (is_certificate(call->http, code))
		return fail_certificate(call, err);
	if (is_unsent(call->curl))
		return cs_error_set(err, CS_E_CONNECT,
			"%s %s: no connection: %s; is the URL right, and the cloud up?",
			method, url, explain(call));
	if (call->reply.body.overflow)
		return cs_error_set(err, request->changes ? CS_E_LOST : CS_E_LIMIT,
			"%s %s: the answer is larger than %zu MiB (ours %s)%s", method,
			url, REPLY_MAX >> 20, id, advice);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return cs_error_set(err, request->changes ? CS_E_LOST : CS_E_TIMEOUT,
			"%s %s: no whole answer within the time allowed (ours %s)%s",
			method, url, id, advice);
	if (is_no_http(code))
		return cs_error_set(err, request->changes ? CS_E_LOST : CS_E_PROTOCOL,
			"%s %s: the answer is not HTTP, or its head is too long; is it "
			"the service's port? (%s; ours %s)%s",
			method, url, curl_easy_strerror(code), id, advice);
	return cs_error_set(err, request->changes ? CS_E_LOST : CS_E_REMOTE,
		"%s %s: the connection broke before the answer was whole (%s; ours %s)%s",
		method, url, curl_easy_strerror(code), id, advice);
}

static bool is_broken(CURLcode code)
{
	return code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR ||
	       code == CURLE_SEND_ERROR || code == CURLE_PARTIAL_FILE;
}

/* Where a second time can help and do no harm; see http.h. */
static bool is_worth_repeating(const struct cs_http_call *call)
{
	const struct cs_http_reply *reply = &call->reply;
	bool changes = call->request.changes;

	if (call->code != CURLE_OK && is_certificate(call->http, call->code))
		return false;
	if (call->code != CURLE_OK && is_unsent(call->curl))
		return true;
	if (call->code != CURLE_OK)
		return is_broken(call->code) && !changes;
	if (reply->status == 413 || reply->status == 429)
		return reply->retry_after_ms >= 0;
	return !changes && (reply->status == 500 || reply->status == 502 ||
				   reply->status == 503 || reply->status == 504);
}

/* Not together with all the others who were refused at the same moment. */
static int64_t pause_ms(const struct cs_http_reply *reply, int times)
{
	uint16_t random = 0;
	int64_t wait_ms = (int64_t)PAUSE_MS << (times - 1);

	if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
		random = (uint16_t)getpid();
	wait_ms = wait_ms / 2 + wait_ms * random / UINT16_MAX;
	return wait_ms + (reply->retry_after_ms > 0 ? reply->retry_after_ms : 0);
}

/* As far as all requests in flight get without waiting. */
static void go_on(struct cs_http *http)
{
	CURLMsg *message;
	int n = 0;

	if (curl_multi_perform(http->multi, &n) != CURLM_OK)
		cs_out_of_memory(); /* what else can be wrong is how it is called */
	while ((message = curl_multi_info_read(http->multi, &n))) {
		struct cs_http_call *call = NULL;

		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		call->over = true;
		call->code = message->data.result;
	}
}

static void wait_ms(struct cs_http *http, int64_t ms)
{
	int n = 0;

	if (curl_multi_poll(http->multi, NULL, 0, (int)ms, &n) != CURLM_OK)
		cs_out_of_memory();
	go_on(http);
}

static void start(struct cs_http_call *call)
{
	CURL *curl = call->curl;

	cs_http_reply_done(&call->reply);
	call->reply.body = CS_STRBUF(REPLY_MAX);
	memcpy(call->reply.sent_id, call->http->id, sizeof call->reply.sent_id);
	call->detail[0] = '\0';
	call->over = false;
	call->left_ms = cs_deadline_left_ms(call->deadline);
	curl_easy_reset(curl);
	set_request(curl, &call->request);
	set_connection(call);
	curl_easy_setopt(curl, CURLOPT_PRIVATE, call);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, call->headers);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, call->detail);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &call->reply);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, &call->reply);
	curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	if (curl_multi_add_handle(call->http->multi, curl) != CURLM_OK)
		cs_out_of_memory();
	go_on(call->http);
}

static void finish(struct cs_http_call *call)
{
	long status = 0;

	while (!call->over)
		wait_ms(call->http, CONNECT_MS); /* libcurl knows its own time-outs */
	curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &status);
	call->reply.status = (int)status;
	curl_multi_remove_handle(call->http->multi, call->curl);
}

static void pause_for(struct cs_http *http, int64_t ms)
{
	int64_t end_ms = cs_monotonic_ms() + ms;

	while (ms > 0) {
		wait_ms(http, ms);
		ms = end_ms - cs_monotonic_ms();
	}
}

static void free_call(struct cs_http_call *call)
{
	struct cs_http *http = call->http;

	cs_http_reply_done(&call->reply);
	free_headers(call->headers);
	if (http->spare)
		curl_easy_cleanup(call->curl);
	else
		http->spare = call->curl;
	free(call);
}

struct cs_http_call *cs_http_begin(struct cs_http *http,
	const struct cs_http_request *request, struct cs_deadline deadline)
{
	struct cs_http_call *call = cs_calloc(1, sizeof *call);

	call->http = http;
	call->request = *request;
	call->request.token = call->request.authorization = NULL;
	call->deadline = deadline;
	if (check_url(request->url, &call->loopback, &call->refused) < 0)
		return call;
	if (cs_deadline_left_ms(deadline) == 0) {
		cs_error_set(&call->refused, CS_E_TIMEOUT,
			"%s %s: no time left, not sent", request->method, request->url);
		return call;
	}
	call->curl = http->spare ? CS_TAKE(http->spare) : curl_easy_init();
	if (!call->curl)
		cs_out_of_memory();
	call->headers = make_headers(http, request);
	start(call);
	return call;
}

int cs_http_end(
	struct cs_http_call *call, struct cs_http_reply *reply, struct cs_error *err)
{
	int rc = 0;

	cs_http_reply_done(reply);
	if (!call->curl) {
		*err = call->refused;
		free(call);
		return err->code;
	}
	for (int times = 1;; times++) {
		finish(call);
		int64_t left_ms = cs_deadline_left_ms(call->deadline);
		int64_t took_ms = call->left_ms - left_ms;
		int64_t rest_ms = pause_ms(&call->reply, times);

		/* What is known already says more than a deadline that has passed. */
		if (times == TIMES_MAX || !is_worth_repeating(call) ||
			left_ms <= rest_ms + took_ms)
			break;
		pause_for(call->http, rest_ms);
		start(call);
	}
	if (call->code != CURLE_OK)
		rc = fail(call, err);
	*reply = call->reply;
	call->reply = (struct cs_http_reply){0};
	free_call(call);
	return rc;
}

int cs_http_send(struct cs_http *http, const struct cs_http_request *request,
	struct cs_deadline deadline, struct cs_http_reply *reply, struct cs_error *err)
{
	return cs_http_end(cs_http_begin(http, request, deadline), reply, err);
}
