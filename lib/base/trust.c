/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The walk from / to a file, one component after the other; see trust.h. */
#include <config.h>
#include "base/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/user.h"

#define LINKS_MAX 40 /* as the kernel */

struct walk {
	const char *path; /* asked for */
	char *here;	  /* how far we are, "" for the root */
	char *rest;	  /* what is still to be walked */
	int fd;		  /* of `here` */
	int links;
	bool to_socket; /* where the way ends, a daemon may put its sockets */
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

/* The last folder before a socket. */
static bool is_for_sockets(const struct walk *walk, const struct stat *st)
{
	return walk->to_socket && S_ISDIR(st->st_mode) &&
	       walk->rest[strspn(walk->rest, "/")] == '\0';
}

static int check_owner(const struct walk *walk, const char *here, const struct stat *st,
	struct cs_error *err)
{
	if (st->st_uid == 0 || is_for_sockets(walk, st))
		return 0;
	CS_AUTO_FREE char *owner = cs_user_name(st->st_uid);
	CS_AUTO_FREE char *why = cs_asprintf("belongs to user %s", owner);
	CS_AUTO_FREE char *remedy = cs_asprintf("type: chown -h root %s", here);
	return refuse(walk, here, why, remedy, err);
}

static int check_mode(const struct walk *walk, const char *here, const struct stat *st,
	struct cs_error *err)
{
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
		return refuse(walk, here, "is neither a file nor a folder",
			"remove what is there", err);
	bool for_sockets = is_for_sockets(walk, st);
	if ((st->st_mode & (for_sockets ? S_IWOTH : S_IWGRP | S_IWOTH)) == 0)
		return 0;
	CS_AUTO_FREE char *why = cs_asprintf(
		for_sockets ? "can be written by everybody (mode %04o)"
			    : "can be written by others than root (mode %04o)",
		(unsigned)st->st_mode & 07777);
	CS_AUTO_FREE char *remedy =
		cs_asprintf("type: chmod %s %s", for_sockets ? "o-w" : "go-w", here);
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

/* To the end of the way, or to where it ends before; CS_E_NOT_FOUND then. */
static int walk_on(struct walk *walk, struct cs_error *err)
{
	int r = at_root(walk, err);

	while (r == 0) {
		CS_AUTO_FREE char *name = next_name(walk);

		if (!name)
			return 0;
		r = step(walk, name, err);
	}
	return r;
}

int cs_trust_check(const char *path, struct cs_error *err)
{
	CS_CLEANUP(walk_done)
	struct walk walk = {.path = path, .rest = cs_strdup(path), .fd = -1};
	struct cs_error why;
	int r = walk_on(&walk, &why);

	if (r == 0 || r == CS_E_NOT_FOUND)
		return 0;
	*err = why;
	return r;
}

int cs_trust_check_socket(const char *path, struct cs_error *err)
{
	CS_AUTO_FREE char *folder = cs_strdup(path);
	CS_CLEANUP(walk_done)
	struct walk walk = {.path = path,
		.rest = cs_strdup(dirname(folder)),
		.fd = -1,
		.to_socket = true};
	const char *name = strrchr(path, '/');
	struct cs_error why;
	struct stat st;
	int r = walk_on(&walk, &why);

	if (r == CS_E_NOT_FOUND)
		return 0;
	if (r < 0) {
		*err = why;
		return r;
	}
	if (fstatat(walk.fd, name ? name + 1 : path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		S_ISSOCK(st.st_mode))
		return 0; /* who cannot be found cannot be believed */
	return refuse(&walk, path, "is no socket",
		S_ISLNK(st.st_mode) ? "name the socket itself" : "remove what is there",
		err);
}

int cs_trust_check_peer(int fd, const char *path, struct cs_error *err)
{
	CS_AUTO_FREE char *folder = cs_strdup(path);
	struct ucred peer;
	socklen_t len = sizeof peer;
	struct stat st;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return cs_error_set_errno(err, errno, "who listens on %s?", path);
	if (peer.uid == 0 || (stat(dirname(folder), &st) == 0 && st.st_uid == peer.uid))
		return 0;
	CS_AUTO_FREE char *user = cs_user_name(peer.uid);
	return cs_error_set(err, CS_E_REFUSED,
		"it is user %s (process %d) who listens on %s, and this runs as root, "
		"which believes only root there and the owner of the folder; find out "
		"what that process is, and start HAProxy as root",
		user, (int)peer.pid, path);
}
