/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One libcurl handle with a deadline; see http.h. */
#include <config.h>
#include "client/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/stamp.h"

#define REPLY_MAX ((size_t)64 << 20)
#define CONNECT_MS 5000
#define TIMES_MAX 3
#define PAUSE_MS 200 /* before the second time, and twice that before the third */

struct cs_http {
	CURL *curl;
	bool verify;
	char *ca_file, *cert_file, *key_file; /* or NULL */
	char id[CS_HTTP_ID_SIZE];	      /* "req-UUID", of every request */
};

struct cs_http *cs_http_new(const struct cs_http_tls *tls)
{
	struct cs_http *http = cs_calloc(1, sizeof *http);
	char uuid[CS_UUID_SIZE];

	/* Not thread-safe, which is fine: these programs have one thread. */
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
		!(http->curl = curl_easy_init()))
		cs_out_of_memory();
	http->verify = tls->verify;
	cs_strset(&http->ca_file, tls->ca_file);
	cs_strset(&http->cert_file, tls->cert_file);
	cs_strset(&http->key_file, tls->key_file);
	cs_uuid_make(uuid);
	snprintf(http->id, sizeof http->id, "req-%s", uuid);
	return http;
}

void cs_http_free(struct cs_http *http)
{
	if (!http)
		return;
	curl_easy_cleanup(http->curl);
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
	if (http->cert_file) {
		curl_easy_setopt(curl, CURLOPT_SSLCERT, http->cert_file);
		curl_easy_setopt(curl, CURLOPT_SSLKEY,
			http->key_file ? http->key_file : http->cert_file);
	}
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

static int fail_certificate(const struct cs_http *http,
	const struct cs_http_request *request, CURLcode code, const char *detail,
	struct cs_error *err)
{
	const char *why = explain(http->curl, code, detail);

	if (is_own_certificate(http, code))
		return cs_error_set(err, CS_E_CONNECT,
			"%s %s: no connection: %s; check 'cert' and 'key' of the cloud "
			"(%s%s%s)",
			request->method, request->url, why, http->cert_file,
			http->key_file ? ", " : "", http->key_file ? http->key_file : "");
	return cs_error_set(err, CS_E_CONNECT,
		"%s %s: no connection: %s; check 'cacert' of the cloud (%s)",
		request->method, request->url, why,
		http->ca_file ? http->ca_file : "the system's authorities");
}

/* What libcurl makes of another protocol, and of a line longer than it takes. */
static bool is_no_http(CURLcode code)
{
	return code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY ||
	       code == CURLE_OUT_OF_MEMORY;
}

static int fail(const struct cs_http *http, const struct cs_http_request *request,
	const struct cs_http_reply *reply, CURLcode code, const char *detail,
	struct cs_error *err)
{
	const char *method = request->method, *url = request->url;
	const char *advice = request->changes ? "; it may have been carried out" : "";

	if (is_certificate(http, code))
		return fail_certificate(http, request, code, detail, err);
	if (is_unsent(http->curl))
		return cs_error_set(err, CS_E_CONNECT,
			"%s %s: no connection: %s; is the URL right, and the cloud up?",
			method, url, explain(http->curl, code, detail));
	if (reply->body.overflow)
		return cs_error_set(err, request->changes ? CS_E_LOST : CS_E_LIMIT,
			"%s %s: the answer is larger than %zu MiB (ours %s)%s", method,
			url, REPLY_MAX >> 20, http->id, advice);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return cs_error_set(err, request->changes ? CS_E_LOST : CS_E_TIMEOUT,
			"%s %s: no whole answer within the time allowed (ours %s)%s",
			method, url, http->id, advice);
	if (is_no_http(code))
		return cs_error_set(err, request->changes ? CS_E_LOST : CS_E_PROTOCOL,
			"%s %s: the answer is not HTTP, or its head is too long; is it "
			"the service's port? (%s; ours %s)%s",
			method, url, curl_easy_strerror(code), http->id, advice);
	return cs_error_set(err, request->changes ? CS_E_LOST : CS_E_REMOTE,
		"%s %s: the connection broke before the answer was whole (%s; ours %s)%s",
		method, url, curl_easy_strerror(code), http->id, advice);
}

static bool is_broken(CURLcode code)
{
	return code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR ||
	       code == CURLE_SEND_ERROR || code == CURLE_PARTIAL_FILE;
}

/* Where a second time can help and do no harm; see http.h. */
static bool is_worth_repeating(const struct cs_http *http,
	const struct cs_http_request *request, const struct cs_http_reply *reply,
	CURLcode code)
{
	if (code != CURLE_OK && is_certificate(http, code))
		return false;
	if (code != CURLE_OK && is_unsent(http->curl))
		return true;
	if (code != CURLE_OK)
		return is_broken(code) && !request->changes;
	if (reply->status == 413 || reply->status == 429)
		return reply->retry_after_ms >= 0;
	return !request->changes && (reply->status == 500 || reply->status == 502 ||
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

static CURLcode perform(const struct cs_http *http, const struct cs_http_request *request,
	bool loopback, struct cs_deadline deadline, struct cs_http_reply *reply,
	char detail[CURL_ERROR_SIZE])
{
	struct curl_slist *headers = make_headers(http, request);
	CURL *curl = http->curl;
	long status = 0;

	cs_http_reply_done(reply);
	reply->body = CS_STRBUF(REPLY_MAX);
	memcpy(reply->sent_id, http->id, sizeof reply->sent_id);
	*detail = '\0';
	curl_easy_reset(curl); /* keeps the connection */
	set_request(curl, request);
	set_connection(http, loopback, deadline);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, reply);
	curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	CURLcode code = curl_easy_perform(curl);
	free_headers(headers);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	reply->status = (int)status;
	return code;
}

int cs_http_send(struct cs_http *http, const struct cs_http_request *request,
	struct cs_deadline deadline, struct cs_http_reply *reply, struct cs_error *err)
{
	char detail[CURL_ERROR_SIZE] = "";
	bool loopback = false;

	if (check_url(request->url, &loopback, err) < 0)
		return err->code;
	if (cs_deadline_left_ms(deadline) == 0)
		return cs_error_set(err, CS_E_TIMEOUT, "%s %s: no time left, not sent",
			request->method, request->url);
	for (int times = 1;; times++) {
		int64_t left_ms = cs_deadline_left_ms(deadline);
		CURLcode code = perform(http, request, loopback, deadline, reply, detail);
		int64_t took_ms = left_ms - cs_deadline_left_ms(deadline);
		int64_t wait_ms = pause_ms(reply, times);

		/* What is known already says more than a deadline that has passed. */
		if (times < TIMES_MAX && is_worth_repeating(http, request, reply, code) &&
			cs_deadline_left_ms(deadline) > wait_ms + took_ms) {
			cs_deadline_sleep(deadline, wait_ms);
			continue;
		}
		return code == CURLE_OK ? 0
					: fail(http, request, reply, code, detail, err);
	}
}
