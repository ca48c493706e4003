/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The words of one server line: "server NAME ENDPOINT OPTIONS". HAProxy reads the file as
 * root, and much of a line comes out of the cloud's answers: nothing gets into it that
 * was not made by these functions. Pure. Source: HAProxy's configuration manual,
 * sections 2.2 and 5.2; what `haproxy -c` lets pass was tried with 2.6. */
#ifndef CS_FORMAT_HAPROXY_LINE_H
#define CS_FORMAT_HAPROXY_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"

/* Names that are in use. Zeroed it has none. */
struct cs_haproxy_names {
	void *tree; /* of tsearch(3) */
};
void cs_haproxy_names_add(
	struct cs_haproxy_names *names, const char *name) CS_NONNULL_ALL;
bool cs_haproxy_names_have(
	const struct cs_haproxy_names *names, const char *name) CS_NONNULL_ALL;
void cs_haproxy_names_done(struct cs_haproxy_names *names) CS_NONNULL_ALL;

/* Names that HAProxy, its sockets and its state file take without any quoting:
 * [A-Za-z0-9._-]{1,80}. */
bool cs_haproxy_name_ok(const char *name) CS_MUST_CHECK CS_NONNULL_ALL;

/* `wanted` as such a name: other bytes become '_'. When that is in `taken`, or was cut,
 * '-' and the first 8 characters of `id` (more while it is still taken) follow. Owned by
 * the caller, and taken from now on. */
char *cs_haproxy_name_make(const char *wanted, const char *id,
	struct cs_haproxy_names *taken) CS_MUST_CHECK CS_NONNULL_ALL;

/* "10.0.0.5:80", "[2001:db8::5]:80": the spelling of `show stat`. NULL unless address is
 * one that inet_pton(3) takes, is not the unspecified one, and port is in 1-65535. Owned
 * by the caller. */
char *cs_haproxy_endpoint(const char *address, int64_t port) CS_MUST_CHECK CS_NONNULL_ALL;

/* What the placeholders of options stand for. */
struct cs_haproxy_values {
	const char *name;     /* {name}, as on the line */
	const char *id;	      /* {id}, a uuid */
	const char *endpoint; /* {address} is what stands before its port */
	const char *zone;     /* {zone}, with '_' for what is not in a name; NULL or "":
				 "unknown" */
	int64_t vcpus; /* {weight}: as many, 256 at most, 1 when it is not known (0) */
};

/* `options` with its placeholders replaced. It must have passed
 * cs_haproxy_options_check(). Owned by the caller. */
char *cs_haproxy_options(const char *options,
	const struct cs_haproxy_values *values) CS_MUST_CHECK CS_NONNULL_ALL;

/* CS_E_CONFIG "expected ..., found ..." for options that could become more than the rest
 * of one line, that have an unknown placeholder, or that HAProxy accepts and misreads:
 * numbers that are none, addresses of nobody, one cookie for all servers, words beyond
 * the 64th of the line. */
int cs_haproxy_options_check(
	const char *options, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* One server line; the texts are borrowed. */
struct cs_haproxy_row {
	const char *name;     /* cs_haproxy_name_ok() */
	const char *endpoint; /* cs_haproxy_endpoint() */
	const char *options;  /* cs_haproxy_options(), "" for none */
};

/* True when all of it may be written. */
bool cs_haproxy_row_ok(const struct cs_haproxy_row *row) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
