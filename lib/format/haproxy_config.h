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
 * or behind a marker that becomes the whole section, for which `defaults` has the rest:
 *
 *     # clusterscale: backend web
 *     backend web
 *         server web1 10.0.0.5:80 maxconn 512 check
 *
 * The name of the cluster may be missing in a file of one cluster. Without a marker the
 * lines are appended, so the template must end in the backend. All other bytes of the
 * template are kept; a missing last newline is added. */
#ifndef CS_FORMAT_HAPROXY_CONFIG_H
#define CS_FORMAT_HAPROXY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/strbuf.h"
#include "format/haproxy_line.h"

/* The server lines of one cluster. Borrows everything. */
struct cs_haproxy_group {
	const char *cluster;
	const char *backend; /* the section in which they must stand */
	const struct cs_haproxy_row *rows;
	size_t n;
};

/* The first word of a line begins a section of the configuration. */
bool cs_haproxy_is_section(const char *word) CS_NONNULL_ALL;

/* Appends the whole configuration to `ret`. `path` names the template in messages.
 * CS_E_CONFIG "PATH:LINE: ..." for a marker that is misspelt, unknown, doubled or in
 * another section, for a line of the template that has the address of one of the rows,
 * for NUL bytes, a byte order mark and ${VARIABLES} that the file itself does not set
 * (whoever validates does not know the environment of the running HAProxy, and an unset
 * one is an empty text to it). CS_E_REFUSED for a row that is not safe to write, or has
 * the name or endpoint of another one in its backend. */
int cs_haproxy_render(const char *template, size_t len, const char *path,
	const struct cs_haproxy_group *groups, size_t n_groups, struct cs_strbuf *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Adds the names on all lines of a template that begin with "server". */
void cs_haproxy_server_names(
	const char *template, size_t len, struct cs_haproxy_names *ret) CS_NONNULL_ALL;

#endif
