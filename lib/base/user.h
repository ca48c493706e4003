/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Users and groups in messages. */
#ifndef CS_BASE_USER_H
#define CS_BASE_USER_H

#include <sys/types.h>

#include "base/macros.h"

/* The name, or "#NUMBER" as sudo(8) takes it where there is none. Owned by the caller. */
char *cs_user_name(uid_t uid) CS_MUST_CHECK;
char *cs_group_name(gid_t gid) CS_MUST_CHECK;

#endif
