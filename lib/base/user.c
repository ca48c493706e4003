/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See user.h. */
#include <config.h>
#include "base/user.h"

#include <grp.h>
#include <pwd.h>

#include "base/mem.h"

char *cs_user_name(uid_t uid)
{
	const struct passwd *user = getpwuid(uid);

	return user ? cs_strdup(user->pw_name) : cs_asprintf("#%u", (unsigned)uid);
}

char *cs_group_name(gid_t gid)
{
	const struct group *group = getgrgid(gid);

	return group ? cs_strdup(group->gr_name) : cs_asprintf("#%u", (unsigned)gid);
}
