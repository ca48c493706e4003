/* SPDX-License-Identifier: GPL-3.0-or-later */
/* HAProxy's configuration as text: server lines put into a template, and the checks that
 * `haproxy -c` does not make. Pure.
 *
 * The lines of a cluster stand behind its marker, with the marker's indentation:
 *
 *     backend web
 *         # clusterscale: servers web
 *         server web1 10.0.0.5:80 maxconn 512 check
 *
 * A bare "# clusterscale: servers" is enough for a file of one cluster; without a marker
 * the lines are appended, so the template must end in the backend. All other bytes of the
 * template are kept; a missing last newline is added. */
#ifndef CS_FORMAT_HAPROXY_CONFIG_H
#define CS_FORMAT_HAPROXY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/mem.h"
#include "base/strbuf.h"

/* One server line; both texts are borrowed. */
struct cs_haproxy_row {
	const char *name;     /* cs_haproxy_name_ok() */
	const char *endpoint; /* cs_haproxy_endpoint() */
};

/* The server lines of one cluster. Borrows everything. */
struct cs_haproxy_group {
	const char *cluster;
	const char *backend; /* the section in which they must stand */
	const char *options; /* behind the endpoint of every line, "" for none */
	const struct cs_haproxy_row *rows;
	size_t n;
};

/* Names that HAProxy, its sockets and its state file take without any quoting:
 * [A-Za-z0-9._-]{1,80}. */
bool cs_haproxy_name_ok(const char *name) CS_MUST_CHECK CS_NONNULL_ALL;

/* `wanted` as such a name: other bytes become '_'. When that is in `taken`, or was cut,
 * '-' and the first 8 characters of `id` (more while it is still taken) follow. Owned by
 * the caller, not added to `taken`. */
char *cs_haproxy_name_make(const char *wanted, const char *id,
	const struct cs_strings *taken) CS_MUST_CHECK CS_NONNULL_ALL;

/* "10.0.0.5:80", "[2001:db8::5]:80": the spelling of `show stat`. NULL unless address is
 * one that inet_pton(3) takes, is not the unspecified one, and port is in 1-65535. Owned
 * by the caller. */
char *cs_haproxy_endpoint(const char *address, int64_t port) CS_MUST_CHECK CS_NONNULL_ALL;

/* The first word of a line begins a section of the configuration. */
bool cs_haproxy_is_section(const char *word) CS_NONNULL_ALL;

/* Appends the whole configuration to `ret`. `path` names the template in messages.
 * CS_E_CONFIG "PATH:LINE: ..." for a marker that is unknown, doubled or in another
 * section, for options that HAProxy would misread in silence, for NUL bytes and for
 * ${VARIABLES} that the file itself does not set (whoever validates does not know the
 * environment of the running HAProxy, and an unset one is an empty text to it).
 * CS_E_REFUSED for a row that is not safe to write or has the name of another. */
int cs_haproxy_render(const char *template, size_t len, const char *path,
	const struct cs_haproxy_group *groups, size_t n_groups, struct cs_strbuf *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Adds the names on all lines of a template that begin with "server". */
void cs_haproxy_server_names(
	const char *template, size_t len, struct cs_strings *ret) CS_NONNULL_ALL;

/* The first argument of the first line that begins with `keyword` ("chroot"); NULL when
 * there is none. Owned by the caller. */
char *cs_haproxy_directive(
	const char *text, const char *keyword) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
