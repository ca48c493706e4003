/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether root may believe a file. */
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

#endif
