/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether root may believe a file, or who listens on a socket. */
#ifndef CS_BASE_TRUST_H
#define CS_BASE_TRUST_H

#include "base/error.h"
#include "base/macros.h"

/* CS_E_REFUSED when anybody but root can write the file or folder `path`, replace it, or
 * lead the way to it elsewhere: every folder on the way, behind every link, must be
 * root's and closed to the writing of others (a sticky one like /tmp is not), and so must
 * every link be root's. Rights that an ACL gives count too: they show in the mode of the
 * group, acl(5). As nobody else can change what was looked at, it holds until it is used.
 * What does not exist is fine. */
int cs_trust_check(const char *path, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* The same for a Unix socket, but that the folder it is in may belong to a daemon and be
 * open to its group, as Debian's /run/haproxy is (haproxy:haproxy 2775). Who listens
 * there is then still to be looked at, by the next. */
int cs_trust_check_socket(
	const char *path, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* CS_E_REFUSED unless the process that listens on the socket `path`, which `fd` is
 * connected to, was root's when it began to (SO_PEERCRED of unix(7)), or of the user who
 * owns the folder: a member of the folder's group could have put another one there. */
int cs_trust_check_peer(
	int fd, const char *path, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
