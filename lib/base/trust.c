/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The walk from / to a file, one component after the other; see trust.h. */
#include <config.h>
#include "base/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define LINKS_MAX 40 /* as the kernel */

struct walk {
	const char *path; /* asked for */
	char *here;	  /* how far we are, "" for the root */
	char *rest;	  /* what is still to be walked */
	int fd;		  /* of `here` */
	int links;
};

static void walk_done(struct walk *walk)
{
	free(walk->here);
	free(walk->rest);
	cs_closep(&walk->fd);
}

static int refuse(const struct walk *walk, const char *here, const char *why,
	const char *remedy, struct cs_error *err)
{
	bool other = strcmp(here, walk->path) != 0;

	return cs_error_set(err, CS_E_REFUSED, "%s%s%s%s %s, and this runs as root; %s",
		here, other ? " (on the way to " : "", other ? walk->path : "",
		other ? ")" : "", why, remedy);
}

static int check_owner(const struct walk *walk, const char *here, const struct stat *st,
	struct cs_error *err)
{
	if (st->st_uid == 0)
		return 0;
	const struct passwd *owner = getpwuid(st->st_uid);
	CS_AUTO_FREE char *number = cs_asprintf("#%u", (unsigned)st->st_uid);
	CS_AUTO_FREE char *why =
		cs_asprintf("belongs to user %s", owner ? owner->pw_name : number);
	CS_AUTO_FREE char *remedy = cs_asprintf("type: chown -h root %s", here);
	return refuse(walk, here, why, remedy, err);
}

static int check_mode(const struct walk *walk, const char *here, const struct stat *st,
	struct cs_error *err)
{
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
		return refuse(walk, here, "is neither a file nor a folder",
			"remove what is there", err);
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) == 0)
		return 0;
	CS_AUTO_FREE char *why =
		cs_asprintf("can be written by others than root (mode %04o)",
			(unsigned)st->st_mode & 07777);
	CS_AUTO_FREE char *remedy = cs_asprintf("type: chmod go-w %s", here);
	return refuse(walk, here, why,
		st->st_mode & S_ISVTX ? "use a folder that only root can write" : remedy,
		err);
}

static int at_root(struct walk *walk, struct cs_error *err)
{
	struct stat st;

	cs_closep(&walk->fd);
	cs_strset(&walk->here, "");
	walk->fd = open("/", O_PATH | O_CLOEXEC);
	if (walk->fd < 0 || fstat(walk->fd, &st) < 0)
		return cs_error_set_errno(err, errno, "cannot look at /");
	return check_owner(walk, "/", &st, err) < 0 ? (int)err->code
						    : check_mode(walk, "/", &st, err);
}

/* What a link says takes its place in the way. */
static int follow(struct walk *walk, int link, const char *here, struct cs_error *err)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(link, "", target, sizeof target - 1);

	if (len < 0)
		return cs_error_set_errno(err, errno, "cannot read the link %s", here);
	if (++walk->links > LINKS_MAX)
		return cs_error_set_errno(err, ELOOP, "cannot find %s", walk->path);
	target[len] = '\0';
	CS_AUTO_FREE char *rest = cs_asprintf("%s/%s", target, walk->rest);
	cs_strset(&walk->rest, rest);
	return *target == '/' ? at_root(walk, err) : 0;
}

/* Takes the next name off `rest`; NULL at the end. Owned by the caller. */
static char *next_name(struct walk *walk)
{
	size_t slashes = strspn(walk->rest, "/");
	size_t len = strcspn(walk->rest + slashes, "/");
	char *name = len ? cs_strndup(walk->rest + slashes, len) : NULL;

	memmove(walk->rest, walk->rest + slashes + len,
		strlen(walk->rest + slashes + len) + 1);
	return name;
}

static int step(struct walk *walk, const char *name, struct cs_error *err)
{
	CS_AUTO_FREE char *here = cs_asprintf("%s/%s", walk->here, name);
	CS_CLEANUP(cs_closep)
	int fd = openat(walk->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		cs_error_set_errno(err, errno, "cannot look at %s", here);
		if (err->sys_errno == ENOENT)
			err->code = CS_E_NOT_FOUND;
		return err->code;
	}
	if (check_owner(walk, here, &st, err) < 0)
		return err->code;
	if (S_ISLNK(st.st_mode))
		return follow(walk, fd, here, err);
	if (check_mode(walk, here, &st, err) < 0)
		return err->code;
	cs_closep(&walk->fd);
	walk->fd = fd;
	fd = -1;
	free(walk->here);
	walk->here = CS_TAKE(here);
	return 0;
}

int cs_trust_check(const char *path, struct cs_error *err)
{
	CS_CLEANUP(walk_done)
	struct walk walk = {.path = path, .rest = cs_strdup(path), .fd = -1};
	struct cs_error why;

	int r = at_root(&walk, &why);
	while (r == 0) {
		CS_AUTO_FREE char *name = next_name(&walk);

		if (!name)
			return 0;
		r = step(&walk, name, &why);
	}
	if (r == CS_E_NOT_FOUND)
		return 0;
	*err = why;
	return r;
}
