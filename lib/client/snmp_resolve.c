/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names and ports of agents to addresses; see snmp.h. */
#include <config.h>
#include "client/snmp.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

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

int cs_snmp_resolve(const char *text, int64_t default_port, union cs_snmp_address *ret,
	struct cs_error *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found;
	char host[HOST_SIZE], service[8];
	int64_t port = default_port;

	if (!split(text, host, &port))
		return cs_error_set(err, CS_E_USAGE,
			"'%s' is not a host: host, host:port, or [IPv6 address]:port",
			text);
	snprintf(service, sizeof service, "%d", (int)port);
	int r = getaddrinfo(host, service, &hints, &found);
	if (r != 0)
		return cs_error_set(err, CS_E_NOT_FOUND, "cannot resolve '%s': %s", host,
			gai_strerror(r));
	*ret = (union cs_snmp_address){0};
	memcpy(ret, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return 0;
}
