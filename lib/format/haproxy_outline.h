/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a whole HAProxy configuration says about its servers: enough to tell whether two
 * texts differ in nothing but server lines, and whether such a line can be given to a
 * running HAProxy instead of reloading it. Pure. Source: configuration manual, sections 4
 * and 5; management guide, "add server" (9.3). */
#ifndef CS_FORMAT_HAPROXY_OUTLINE_H
#define CS_FORMAT_HAPROXY_OUTLINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/map.h"
#include "base/strbuf.h"

/* A backend or listen section, with what it has from the last defaults section. */
struct cs_haproxy_backend {
	const char *name;
	const char *balance; /* "roundrobin", "source", ... */
	bool consistent;     /* hash-type consistent */
	bool sticky; /* a cookie, stick table or rule leads clients to one server */
	bool named;  /* takes its defaults by name ("from"), which is not followed */
};

/* A server line. */
struct cs_haproxy_line {
	const struct cs_haproxy_backend *backend;
	const char *name, *endpoint;
	char *options; /* those of default-server first, as HAProxy applies them */
};

/* Owned by the caller; what is in it borrows from it. */
struct cs_haproxy_outline {
	struct cs_haproxy_line *lines;
	size_t n;
	struct cs_map by_name;	 /* (backend, server): its line */
	struct cs_map backends;	 /* (backend, ""): struct cs_haproxy_backend */
	struct cs_strbuf others; /* all lines that are not of a server */
	bool sticky_defaults;	 /* of some defaults section */
	char *text;
};

void cs_haproxy_outline_read(
	const char *text, size_t len, struct cs_haproxy_outline *ret) CS_NONNULL_ALL;
void cs_haproxy_outline_done(struct cs_haproxy_outline *outline) CS_NONNULL_ALL;

/* NULL when there is none. Borrowed. */
const struct cs_haproxy_line *cs_haproxy_outline_find(
	const struct cs_haproxy_outline *outline, const char *backend,
	const char *name) CS_NONNULL_ALL;

/* Clients may be led to a server of the backend although it is drained. Where the text
 * has no such section (yet), or a named one has the defaults: some defaults do so. */
bool cs_haproxy_outline_is_sticky(
	const struct cs_haproxy_outline *outline, const char *backend) CS_NONNULL_ALL;

/* They differ in nothing but lines that only one of them has. */
bool cs_haproxy_outline_same(const struct cs_haproxy_outline *one,
	const struct cs_haproxy_outline *other) CS_NONNULL_ALL;

/* Why a HAProxy of `version` (CS_HAPROXY_VERSION) does not take the line by `add server`,
 * NULL when it does. What is not known to be taken is not. Owned by the caller. */
char *cs_haproxy_add_refusal(
	const struct cs_haproxy_line *line, int version) CS_MUST_CHECK CS_NONNULL_ALL;

/* HAProxy checks the health of the server. */
bool cs_haproxy_line_checks(const struct cs_haproxy_line *line) CS_NONNULL_ALL;

/* Copies a `show servers state` dump for the reload that replaces `before` by `after`.
 * Kept are servers whose line stays and is what runs (a later server of the same name
 * would begin with the drain or maintenance of an old one, and a state file overrides the
 * address of the configuration). Servers that are checked and new get a row that has them
 * DOWN until their first check, as HAProxy calls a server UP before it; but not in a
 * backend where nothing else serves. CS_E_PROTOCOL when it is no such dump. */
int cs_haproxy_state_copy(const char *dump, size_t len,
	const struct cs_haproxy_outline *before, const struct cs_haproxy_outline *after,
	struct cs_strbuf *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
