/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names and ports of agents to addresses; see snmp.h. */
#include <config.h>
#include "client/snmp.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"

#define PORT_MAX 65535
#define HOST_SIZE 256

/* "host", "host:port", "[v6]", "[v6]:port"; a bare IPv6 address has no port. */
static bool split(const char *text, char host[HOST_SIZE], int64_t *port)
{
	bool bracket = text[0] == '[';
	const char *first = strchr(text, ':'), *end = text + strlen(text);
	const char *colon = first && !strchr(first + 1, ':') ? first : NULL;

	if (bracket) {
		end = strchr(++text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return false;
		colon = end[1] ? end + 1 : NULL;
	} else if (colon) {
		end = colon;
	}
	if (end == text || end - text >= HOST_SIZE)
		return false;
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = '\0';
	return !colon || cs_parse_int(colon + 1, 1, PORT_MAX, port);
}

static void set_port(union cs_snmp_address *address, int64_t port)
{
	if (address->family == AF_INET)
		address->v4.sin_port = htons((uint16_t)port);
	else
		address->v6.sin6_port = htons((uint16_t)port);
}

/* An address needs no name service, which takes longer than to ask an agent. */
static bool read_address(const char *host, union cs_snmp_address *ret)
{
	*ret = (union cs_snmp_address){0};
	if (inet_pton(AF_INET, host, &ret->v4.sin_addr) == 1)
		ret->family = AF_INET;
	else if (inet_pton(AF_INET6, host, &ret->v6.sin6_addr) == 1)
		ret->family = AF_INET6;
	return ret->family != AF_UNSPEC;
}

static int read_host(
	const char *text, char host[HOST_SIZE], int64_t *port, struct cs_error *err)
{
	if (split(text, host, port))
		return 0;
	return cs_error_set(err, CS_E_USAGE,
		"'%s' is not a host: host, host:port, or [IPv6 address]:port", text);
}

/* Agents listen on IPv4 unless told otherwise, and net-snmp's own tools ask there. */
static const struct addrinfo *choose(const struct addrinfo *found)
{
	const struct addrinfo *at = found;

	while (at && at->ai_family != AF_INET)
		at = at->ai_next;
	return at ? at : found;
}

/* Of a look-up that has ended with `status`; frees what it found. */
static int take_found(const char *host, int status, struct addrinfo *found, int64_t port,
	union cs_snmp_address *ret, struct cs_error *err)
{
	if (status != 0)
		return cs_error_set(err, CS_E_NOT_FOUND, "cannot resolve '%s': %s", host,
			status == EAI_INPROGRESS ? "no answer in time"
						 : gai_strerror(status));
	const struct addrinfo *chosen = choose(found);
	*ret = (union cs_snmp_address){0};
	memcpy(ret, chosen->ai_addr, chosen->ai_addrlen);
	set_port(ret, port);
	freeaddrinfo(found);
	return 0;
}

static const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};

int cs_snmp_resolve(const char *text, int64_t default_port, union cs_snmp_address *ret,
	struct cs_error *err)
{
	struct addrinfo *found = NULL;
	char host[HOST_SIZE];
	int64_t port = default_port;

	if (read_host(text, host, &port, err) < 0)
		return err->code;
	if (read_address(host, ret)) {
		set_port(ret, port);
		return 0;
	}
	int status = getaddrinfo(host, NULL, &hints, &found);
	return take_found(host, status, found, port, ret, err);
}

/* A name that is being looked up. */
struct look_up {
	struct gaicb request; /* ar_name is `host` */
	char host[HOST_SIZE];
	int64_t port;
	size_t index;
};

/* Waits until the look-up has ended or the deadline has passed. */
static void await(const struct gaicb *request, struct cs_deadline deadline)
{
	int64_t left_ms = cs_deadline_left_ms(deadline);

	while (gai_error((struct gaicb *)request) == EAI_INPROGRESS && left_ms > 0) {
		struct timespec wait = {
			left_ms / CS_MS_PER_S, left_ms % CS_MS_PER_S * 1000000};
		gai_suspend(&request, 1, &wait);
		left_ms = cs_deadline_left_ms(deadline);
	}
}

/* The C library runs 20 look-ups at a time and queues the others. What has not ended in
 * time is left to it, with its memory. */
static void look_up(struct look_up *names, size_t n, struct cs_deadline deadline,
	union cs_snmp_address *ret, char **ret_whys)
{
	struct gaicb **requests = cs_calloc(n, sizeof *requests);
	bool all_ended = true;

	for (size_t i = 0; i < n; i++) {
		names[i].request =
			(struct gaicb){.ar_name = names[i].host, .ar_request = &hints};
		requests[i] = &names[i].request;
	}
	int started = getaddrinfo_a(GAI_NOWAIT, requests, (int)n, NULL);
	for (size_t i = 0; i < n; i++) {
		struct cs_error why;
		if (started == 0)
			await(requests[i], deadline);
		int status = started ? started : gai_error(requests[i]);
		all_ended &= status != EAI_INPROGRESS;
		if (take_found(names[i].host, status, requests[i]->ar_result,
			    names[i].port, &ret[names[i].index], &why) < 0)
			ret_whys[names[i].index] = cs_strdup(why.message);
	}
	if (!all_ended)
		return;
	free(requests);
	free(names);
}

int cs_snmp_resolve_all(char *const *texts, size_t n, int64_t default_port,
	struct cs_deadline deadline, union cs_snmp_address *ret, char **ret_whys,
	struct cs_error *err)
{
	struct look_up *names = NULL;
	char host[HOST_SIZE];
	size_t n_names = 0;

	for (size_t i = 0; i < n; i++) {
		int64_t port = default_port;
		ret_whys[i] = NULL;
		if (read_host(texts[i], host, &port, err) < 0) {
			free(names);
			return err->code;
		}
		if (read_address(host, &ret[i])) {
			set_port(&ret[i], port);
			continue;
		}
		if (n_names % 64 == 0)
			names = cs_reallocarray(names, n_names + 64, sizeof *names);
		names[n_names].port = port;
		names[n_names].index = i;
		memcpy(names[n_names++].host, host, sizeof host);
	}
	if (n_names)
		look_up(names, n_names, deadline, ret, ret_whys);
	return 0;
}
