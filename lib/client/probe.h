/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Does a server do its service? It must not be balanced before: HAProxy calls a new one
 * UP before its first check. */
#ifndef CS_CLIENT_PROBE_H
#define CS_CLIENT_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"

/* What has to be answered. */
struct cs_probe_spec {
	char *path; /* of an HTTP GET; NULL: a connection that is accepted will do */
	char *host; /* its Host header; NULL: the endpoint */
	int64_t status_min, status_max; /* of the answer, both included */
};

struct cs_probe {
	const char *endpoint;		  /* cs_haproxy_endpoint(); borrowed */
	const struct cs_probe_spec *spec; /* borrowed */
	bool good;			  /* result: it was answered as it has to be */
	char why[256];			  /* result: why not, "" when good */
};

/* What the first cs_probe() of a process does anyway, a few ms of it: for those who have
 * nothing else to do now, and are in a hurry later. CS_E_CONFIG: libcurl is missing. */
int cs_probe_prepare(struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Tries them side by side, a few hundred at a time, each for at most `timeout_ms`; so one
 * whose packets are dropped holds nobody up. Redirects are an answer and not followed. */
void cs_probe(struct cs_probe *probes, size_t n, int64_t timeout_ms) CS_NONNULL(1);

#endif
