/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading, replacing and appending files; see file.h. */
#include <config.h>
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/user.h"

void cs_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Hands the descriptor on and disarms its clean-up. */
static int take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

static int open_for_read(const char *path, struct cs_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd >= 0)
		return fd;
	cs_error_set_errno(err, errno, "cannot read %s", path);
	if (err->sys_errno == ENOENT)
		err->code = CS_E_NOT_FOUND;
	if (err->sys_errno == EACCES) {
		CS_AUTO_FREE char *user = cs_user_name(geteuid());

		cs_error_advise(err,
			"run this as a user who may read it (sudo -u USER ...), or give "
			"user %s the right to (chgrp, chmod g+r)",
			user);
	}
	return err->code;
}

static int read_all(int fd, const char *path, struct cs_strbuf *ret, struct cs_error *err)
{
	char chunk[16384];
	ssize_t len;

	while ((len = read(fd, chunk, sizeof chunk)) != 0) {
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return cs_error_set_errno(err, errno, "cannot read %s", path);
		cs_strbuf_add_bytes(ret, chunk, (size_t)len);
		if (cs_strbuf_check(ret, path, err) < 0)
			return err->code;
	}
	return 0;
}

int cs_file_read(const char *path, struct cs_strbuf *ret, struct cs_error *err)
{
	CS_CLEANUP(cs_closep) int fd = open_for_read(path, err);

	return fd < 0 ? (int)err->code : read_all(fd, path, ret, err);
}

int cs_file_open_own(const char *path, int flags, struct cs_error *err)
{
	CS_CLEANUP(cs_closep)
	int fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);
	struct stat st;

	if (fd < 0 && errno == ENOENT) {
		cs_error_set_errno(err, errno, "cannot open %s", path);
		return err->code = CS_E_NOT_FOUND;
	}
	if (fd < 0 && errno != ELOOP && errno != EISDIR && errno != ENXIO)
		return cs_error_set_errno(err, errno, "cannot open %s", path);
	if (fd >= 0 && fstat(fd, &st) < 0)
		return cs_error_set_errno(err, errno, "cannot look at %s", path);
	if (fd < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
		st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH))
		return cs_error_set(err, CS_E_REFUSED,
			"%s is not a plain file of our own that nobody else can write; "
			"find out who put it there, and remove it",
			path);
	return take(&fd);
}

int cs_file_read_own(const char *path, struct cs_strbuf *ret, struct cs_error *err)
{
	CS_CLEANUP(cs_closep) int fd = cs_file_open_own(path, O_RDONLY, err);

	return fd < 0 ? (int)err->code : read_all(fd, path, ret, err);
}

int cs_file_read_private(const char *path, char *buffer, size_t size_bytes,
	size_t *ret_len, struct cs_error *err)
{
	CS_CLEANUP(cs_closep) int fd = open_for_read(path, err);
	struct stat st;
	size_t len = 0;

	if (fd < 0)
		return err->code;
	if (fstat(fd, &st) < 0)
		return cs_error_set_errno(err, errno, "cannot look at %s", path);
	if (S_ISREG(st.st_mode) && st.st_mode & 07)
		return cs_error_set(err, CS_E_REFUSED,
			"%s holds a secret and others can read or write it (mode %04o); "
			"type: chmod o= %s",
			path, (unsigned)st.st_mode & 07777, path);
	while (len < size_bytes) {
		ssize_t got = read(fd, buffer + len, size_bytes - len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return cs_error_set_errno(err, errno, "cannot read %s", path);
		if (got == 0)
			break;
		len += (size_t)got;
	}
	if (len == size_bytes)
		return cs_error_set(err, CS_E_LIMIT,
			"%s is larger than the limit of %zu bytes", path, size_bytes - 1);
	buffer[len] = '\0';
	*ret_len = len;
	return 0;
}

static int write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t done = write(fd, bytes, len);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -1;
		bytes += done;
		len -= (size_t)done;
	}
	return 0;
}

/* Without this a rename can be lost in a power failure although the file is there. */
static int sync_folder_of(const char *path)
{
	CS_AUTO_FREE char *copy = cs_strdup(path);
	CS_CLEANUP(cs_closep)
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -1 : fsync(fd);
}

/* What a power failure leaves of a file that was replaced. */
enum lasting {
	ANYTHING,   /* old, new or empty */
	OLD_OR_NEW, /* and the new one a moment later */
	SURELY_NEW,
};

/* How a file is replaced: like `old`, if there is one. */
struct manner {
	const struct stat *old;
	mode_t mode;
	enum lasting lasting;
};

static int take_owner_and_mode(int fd, const struct manner *manner)
{
	const struct stat *old = manner->old;

	if (old && fchown(fd, old->st_uid, old->st_gid) < 0 &&
		(old->st_uid != geteuid() || old->st_gid != getegid()))
		return -1;
	return fchmod(fd, old ? old->st_mode & 07777 : manner->mode);
}

static int sync_and_rename(
	int fd, const char *temporary, const char *target, enum lasting lasting)
{
	if ((lasting != ANYTHING && fsync(fd) < 0) || rename(temporary, target) < 0)
		return -1;
	return lasting == SURELY_NEW ? sync_folder_of(target) : 0;
}

static bool is_there(const char *path, const struct stat *st)
{
	struct stat there;

	return lstat(path, &there) == 0 && there.st_ino == st->st_ino &&
	       there.st_dev == st->st_dev;
}

/* What becomes the target. Its name is fixed, so that the next run takes up what a killed
 * one left behind; a lock keeps two writers apart. One that was already given away, or
 * that somebody put there, is not written to. */
static int open_new(const char *path)
{
	for (;;) {
		CS_CLEANUP(cs_closep)
		int fd = open(path,
			O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
		struct stat st;

		if (fd < 0 || flock(fd, LOCK_EX) < 0 || fstat(fd, &st) < 0)
			return -1;
		if (!is_there(path, &st))
			continue; /* another writer has just renamed it */
		bool ours =
			S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_nlink == 1;
		if (ours ? ftruncate(fd, 0) < 0 : unlink(path) < 0)
			return -1;
		if (!ours)
			continue;
		int result = fd;
		fd = -1;
		return result;
	}
}

static int replace(const char *target, const struct cs_strbuf *content,
	const struct manner *manner, struct cs_error *err)
{
	CS_AUTO_FREE char *temporary = cs_asprintf("%s.new", target);
	CS_CLEANUP(cs_closep) int fd = open_new(temporary);

	if (fd < 0)
		return cs_error_set_errno(
			err, errno, "cannot create a file beside %s", target);
	if (take_owner_and_mode(fd, manner) < 0 ||
		write_all(fd, cs_strbuf_text(content), content->len) < 0 ||
		sync_and_rename(fd, temporary, target, manner->lasting) < 0) {
		int errnum = errno;

		unlink(temporary);
		return cs_error_set_errno(err, errnum, "cannot replace %s", target);
	}
	return 0;
}

static int replace_behind_links(const char *path, const struct cs_strbuf *content,
	mode_t mode, enum lasting lasting, struct cs_error *err)
{
	CS_AUTO_FREE char *resolved = realpath(path, NULL);
	const char *target = resolved ? resolved : path;
	struct manner manner = {.mode = mode, .lasting = lasting};
	struct stat st;

	if (stat(target, &st) == 0)
		manner.old = &st;
	return replace(target, content, &manner, err);
}

int cs_file_replace(const char *path, const void *bytes, size_t len, mode_t mode,
	struct cs_error *err)
{
	const struct cs_strbuf content = {.data = (char *)bytes, .len = len};

	return replace_behind_links(path, &content, mode, SURELY_NEW, err);
}

int cs_file_replace_lightly(const char *path, const void *bytes, size_t len, mode_t mode,
	struct cs_error *err)
{
	const struct cs_strbuf content = {.data = (char *)bytes, .len = len};

	return replace_behind_links(path, &content, mode, ANYTHING, err);
}

int cs_file_replace_own(const char *path, const void *bytes, size_t len, mode_t mode,
	struct cs_error *err)
{
	const struct cs_strbuf content = {.data = (char *)bytes, .len = len};
	const struct manner manner = {.mode = mode, .lasting = OLD_OR_NEW};

	return replace(path, &content, &manner, err);
}

int cs_file_new_open(
	const char *path, mode_t mode, struct cs_file_new *ret, struct cs_error *err)
{
	CS_AUTO_FREE char *resolved = realpath(path, NULL);
	struct cs_file_new new = {.target = cs_strdup(resolved ? resolved : path)};
	struct stat st;
	const struct manner manner = {
		.old = stat(new.target, &st) == 0 ? &st : NULL, .mode = mode};

	new.temporary = cs_asprintf("%s.new", new.target);
	int fd = open_new(new.temporary);
	if (fd >= 0)
		new.stream = fdopen(fd, "w");
	/* Without one of ours glibc takes 4 KiB, whatever size is asked for. */
	if (new.stream) {
		new.buffer = cs_calloc(1, CS_FILE_BUFFER);
		setvbuf(new.stream, new.buffer, _IOFBF, CS_FILE_BUFFER);
	}
	if (!new.stream || take_owner_and_mode(fd, &manner) < 0) {
		int errnum = errno;

		if (fd >= 0 && !new.stream)
			close(fd);
		cs_file_new_done(&new);
		return cs_error_set_errno(
			err, errnum, "cannot create a file beside %s", path);
	}
	*ret = new;
	return 0;
}

int cs_file_new_sync(struct cs_file_new *new, struct cs_error *err)
{
	if (fflush(new->stream) != 0 || ferror(new->stream) ||
		fsync(fileno(new->stream)) < 0)
		return cs_error_set_errno(err, errno, "cannot replace %s", new->target);
	return 0;
}

int cs_file_new_commit(struct cs_file_new *new, struct cs_error *err)
{
	if (fflush(new->stream) != 0 || ferror(new->stream) ||
		sync_and_rename(
			fileno(new->stream), new->temporary, new->target, ANYTHING) < 0)
		return cs_error_set_errno(err, errno, "cannot replace %s", new->target);
	fclose(new->stream);
	new->stream = NULL;
	return 0;
}

void cs_file_new_done(struct cs_file_new *new)
{
	if (new->stream) {
		unlink(new->temporary);
		fclose(new->stream);
	}
	free(new->temporary);
	free(new->target);
	free(new->buffer);
	*new = (struct cs_file_new){0};
}

/* A torn last line of a crash must not swallow ours. */
static bool ends_in_newline(int fd)
{
	off_t end = lseek(fd, 0, SEEK_END);
	char last;

	return end <= 0 || pread(fd, &last, 1, end - 1) != 1 || last == '\n';
}

int cs_file_append(const char *path, const char *lines, struct cs_error *err)
{
	CS_CLEANUP(cs_closep)
	int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);

	if (fd < 0)
		return cs_error_set_errno(
			err, errno, "cannot open %s for appending", path);
	CS_AUTO_FREE char *whole =
		cs_asprintf("%s%s", ends_in_newline(fd) ? "" : "\n", lines);
	off_t start = lseek(fd, 0, SEEK_END);
	if (write_all(fd, whole, strlen(whole)) < 0 || fsync(fd) < 0 ||
		(start == 0 && sync_folder_of(path) < 0))
		return cs_error_set_errno(err, errno, "cannot append to %s", path);
	return 0;
}

/* Another user's state is that user's; a folder in the way is to be handed over, and what
 * is missing in an open one to be made. */
static int advise_on_folder(const char *path, int errnum, struct cs_error *err)
{
	CS_AUTO_FREE char *user = cs_user_name(geteuid());
	const char *to_chown = user + (*user == '#'); /* which is for sudo alone */
	CS_AUTO_FREE char *parent = cs_strdup(path);
	char *slash = strrchr(parent, '/');
	struct stat st;

	cs_error_set_errno(err, errnum, "cannot make the folder %s", path);
	if (!slash || (errnum != EACCES && errnum != EPERM))
		return err->code;
	slash[slash == parent] = '\0';
	if (stat(parent, &st) == 0 && st.st_uid != 0 && st.st_uid != geteuid()) {
		CS_AUTO_FREE char *owner = cs_user_name(st.st_uid);

		return cs_error_advise(err,
			"%s belongs to user %s; run this as: sudo -u %s ...", parent,
			owner, owner);
	}
	if (faccessat(AT_FDCWD, parent, X_OK, AT_EACCESS) < 0)
		return cs_error_advise(err,
			"%s is closed to user %s; if it is for clusterscale alone, as "
			"root type: chown %s %s; else choose another state-dir",
			parent, user, to_chown, parent);
	return cs_error_advise(
		err, "as root type: install -d -o %s -m 750 %s", to_chown, path);
}

static int make_folders(const char *path, mode_t mode, struct cs_error *err)
{
	CS_AUTO_FREE char *partial = cs_strdup(path);

	for (char *slash = partial; slash; *slash = '/') {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = '\0';
		if (mkdir(partial, mode) < 0 && errno != EEXIST)
			return advise_on_folder(partial, errno, err);
		if (!slash)
			break;
	}
	return 0;
}

static int check_owner(const char *path, const struct stat *st, struct cs_error *err)
{
	if (st->st_uid == geteuid())
		return 0;
	CS_AUTO_FREE char *owner = cs_user_name(st->st_uid);
	return cs_error_set(err, CS_E_REFUSED,
		"the state folder %s belongs to user %s; run this as: sudo -u %s ...",
		path, owner, owner);
}

/* A folder that root makes within another user's state would lock that user out. */
static int check_parent(const char *path, struct cs_error *err)
{
	CS_AUTO_FREE char *parent = cs_strdup(path);
	char *slash = strrchr(parent, '/');
	struct stat st;

	if (geteuid() != 0 || !slash || access(path, F_OK) == 0)
		return 0;
	*slash = '\0';
	if (stat(parent, &st) < 0 || st.st_uid == 0)
		return 0;
	return check_owner(parent, &st, err);
}

/* Writable for us, on a file system where locks hold. */
static int check_folder(const char *path, struct cs_error *err)
{
	struct statfs fs;
	struct stat st;

	if (stat(path, &st) < 0 || statfs(path, &fs) < 0)
		return cs_error_set_errno(
			err, errno, "cannot look at the state folder %s", path);
	if (!S_ISDIR(st.st_mode))
		return cs_error_set(
			err, CS_E_CONFIG, "the state folder %s is not a folder", path);
	if (fs.f_type == NFS_SUPER_MAGIC || fs.f_type == FUSE_SUPER_MAGIC)
		return cs_error_set(err, CS_E_REFUSED,
			"the state folder %s is on NFS or FUSE, where locks and fsync "
			"cannot be "
			"relied on; set state-dir to a local disk",
			path);
	if (check_owner(path, &st, err) < 0)
		return err->code;
	if (access(path, R_OK | W_OK | X_OK) < 0 && errno == EACCES) {
		cs_error_set_errno(err, EACCES, "the state folder %s", path);
		return cs_error_advise(err, "type: chmod u+rwx %s", path);
	}
	return 0;
}

int cs_state_dir_open(const char *path, mode_t mode, struct cs_error *err)
{
	if (check_parent(path, err) < 0 || make_folders(path, mode, err) < 0)
		return err->code;
	return check_folder(path, err);
}

/* The nearest folder that exists would be written to. */
static int check_could_make(const char *path, struct cs_error *err)
{
	CS_AUTO_FREE char *near = cs_strdup(path);

	do {
		char *slash = strrchr(near, '/');
		if (!slash || slash == near)
			return advise_on_folder(path, EACCES, err);
		*slash = '\0';
	} while (access(near, F_OK) < 0);
	return access(near, W_OK | X_OK) == 0 ? 0 : advise_on_folder(path, errno, err);
}

int cs_state_dir_look(const char *path, struct cs_error *err)
{
	if (check_parent(path, err) < 0)
		return err->code;
	return access(path, F_OK) == 0 ? check_folder(path, err)
				       : check_could_make(path, err);
}
