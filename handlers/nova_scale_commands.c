/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Could each load balancer's command be started? Asked before a server is created that
 * nobody would serve. */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/user.h"
#include "nova_scale.h"

/* 0 or the errno that execve(2) would give for the program. */
static int why_not_executable(const char *path)
{
	struct stat st;

	if (access(path, X_OK) < 0 || stat(path, &st) < 0)
		return errno;
	return S_ISREG(st.st_mode) ? 0 : EACCES;
}

/* As execvp(3) looks for a name without a slash. */
static bool is_in_search_path(const char *name)
{
	CS_AUTO_FREE char *folders = cs_strdup(SCALE_SEARCH_PATH);
	char *rest = NULL;

	for (char *folder = strtok_r(folders, ":", &rest); folder;
		folder = strtok_r(NULL, ":", &rest)) {
		CS_AUTO_FREE char *path = cs_asprintf("%s/%s", folder, name);
		if (why_not_executable(path) == 0)
			return true;
	}
	return false;
}

int scale_check_command(const struct scale_program *program,
	const struct cs_load_balancer *lb, struct cs_error *err)
{
	const char *name = lb->sync.items[0];

	if (!strchr(name, '/')) {
		if (is_in_search_path(name))
			return 0;
		return cs_error_set(err, CS_E_CONFIG,
			"%s: load-balancers.%s.sync: no program '%s' "
			"in " SCALE_SEARCH_PATH "; install it, or give its absolute path",
			program->path, lb->name, name);
	}
	if (*name != '/')
		return cs_error_set(err, CS_E_CONFIG,
			"%s: load-balancers.%s.sync: '%s' is no absolute path, and the "
			"handler starts in /; give the absolute path",
			program->path, lb->name, name);
	int errnum = why_not_executable(name);
	if (errnum == 0)
		return 0;
	CS_AUTO_FREE char *user = cs_user_name(geteuid());
	return cs_error_set(err, CS_E_CONFIG,
		"%s: load-balancers.%s.sync: user %s cannot run %s: %s; correct the "
		"path, install the program, or let this user execute it",
		program->path, lb->name, user, name, strerror(errnum));
}

int scale_check_commands(const struct scale_program *program, struct cs_error *err)
{
	const struct cs_cluster *cluster = program->cluster;

	for (size_t i = 0; i < cluster->n_load_balancers; i++) {
		if (scale_check_command(program, &cluster->load_balancers[i], err) < 0)
			return err->code;
	}
	return 0;
}
