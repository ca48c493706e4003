/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Many short transfers in one loop of libcurl; see probe.h. */
#include <config.h>
#include "client/probe.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "client/curl.h"

#define AT_ONCE 256 /* well below the 1024 descriptors that a process may have */
#define POLL_MS 1000
#define WHY_MAX 400

/* A probe under way. */
struct flight {
	struct cs_probe *probe;
	int64_t timeout_ms;
	CURL *curl;
	struct curl_slist *headers;
};

/* The status has been read by then, and that was all. */
static size_t on_body(char *data, size_t size, size_t n, void *user)
{
	(void)data, (void)size, (void)n, (void)user;
	return 0;
}

static void set_request(struct flight *flight)
{
	const struct cs_probe *probe = flight->probe;
	const char *path = probe->spec->path, *host = probe->spec->host;
	CS_AUTO_FREE char *url =
		cs_asprintf("http://%s%s", probe->endpoint, path ? path : "/");
	CS_AUTO_FREE char *line = host ? cs_asprintf("Host: %s", host) : NULL;
	CURL *curl = flight->curl;

	if (line && !(flight->headers = curl_slist_append(NULL, line)))
		cs_out_of_memory();
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, path ? 0L : 1L);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, flight->headers);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, PACKAGE_NAME "/" PACKAGE_VERSION);
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)flight->timeout_ms);
	curl_easy_setopt(curl, CURLOPT_PRIVATE, flight);
}

static void begin(CURLM *multi, struct cs_probe *probe, int64_t timeout_ms)
{
	struct flight *flight = cs_calloc(1, sizeof *flight);

	*flight = (struct flight){
		.probe = probe, .timeout_ms = timeout_ms, .curl = curl_easy_init()};
	if (!flight->curl)
		cs_out_of_memory();
	set_request(flight);
	if (curl_multi_add_handle(multi, flight->curl) != CURLM_OK)
		cs_out_of_memory();
}

static void explain(const struct flight *flight, CURLcode code, long status)
{
	const struct cs_probe_spec *spec = flight->probe->spec;
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf why = CS_STRBUF(WHY_MAX);
	long errnum = 0;

	if (code == CURLE_COULDNT_CONNECT)
		curl_easy_getinfo(flight->curl, CURLINFO_OS_ERRNO, &errnum);
	if (spec->path && code != CURLE_COULDNT_CONNECT)
		cs_strbuf_addf(&why, "GET %.200s: ", spec->path);
	if (code == CURLE_OPERATION_TIMEDOUT)
		cs_strbuf_addf(&why, "no answer within %d ms", (int)flight->timeout_ms);
	else if (code != CURLE_OK)
		cs_strbuf_add(
			&why, errnum ? strerror((int)errnum) : curl_easy_strerror(code));
	else if (spec->status_max > spec->status_min)
		cs_strbuf_addf(&why, "status %ld, expected %d-%d", status,
			(int)spec->status_min, (int)spec->status_max);
	else
		cs_strbuf_addf(
			&why, "status %ld, expected %d", status, (int)spec->status_min);
	snprintf(flight->probe->why, sizeof flight->probe->why, "%s",
		cs_strbuf_text(&why));
}

static void judge(const struct flight *flight, CURLcode code)
{
	const struct cs_probe_spec *spec = flight->probe->spec;
	long status = 0;

	curl_easy_getinfo(flight->curl, CURLINFO_RESPONSE_CODE, &status);
	if (code == CURLE_WRITE_ERROR) /* ours, see on_body() */
		code = CURLE_OK;
	flight->probe->good =
		code == CURLE_OK && (!spec->path || (status >= spec->status_min &&
							    status <= spec->status_max));
	flight->probe->why[0] = '\0';
	if (!flight->probe->good)
		explain(flight, code, status);
}

/* Ends what is over; how many that were. */
static size_t reap(CURLM *multi)
{
	CURLMsg *message;
	size_t n = 0;

	for (int left; (message = curl_multi_info_read(multi, &left)); n++) {
		CURL *curl = message->easy_handle;
		CURLcode code = message->data.result;
		struct flight *flight;

		curl_easy_getinfo(curl, CURLINFO_PRIVATE, (char **)&flight);
		judge(flight, code);
		curl_multi_remove_handle(multi, curl);
		curl_easy_cleanup(curl);
		curl_slist_free_all(flight->headers);
		free(flight);
	}
	return n;
}

/* Not thread-safe, which is fine: these programs have one thread. */
int cs_probe_prepare(struct cs_error *err)
{
	if (cs_curl_load(err) < 0)
		return err->code;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		cs_out_of_memory();
	return 0;
}

void cs_probe(struct cs_probe *probes, size_t n, int64_t timeout_ms)
{
	size_t next = 0, flying = 0;
	struct cs_error err; /* the list of the servers came by libcurl, too */
	int running;

	if (cs_probe_prepare(&err) < 0)
		cs_out_of_memory();
	CURLM *multi = curl_multi_init();
	if (!multi)
		cs_out_of_memory();
	while (next < n || flying > 0) {
		for (; next < n && flying < AT_ONCE; next++, flying++)
			begin(multi, &probes[next], timeout_ms);
		if (curl_multi_perform(multi, &running) != CURLM_OK)
			cs_out_of_memory();
		flying -= reap(multi);
		if (flying == AT_ONCE || (next == n && flying > 0))
			curl_multi_poll(multi, NULL, 0, POLL_MS, NULL);
	}
	curl_multi_cleanup(multi);
}
