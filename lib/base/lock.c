/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Locks that name their holder; see file.h. The lock itself is the kernel's; the text in
 * the file only serves the message. */
#include <config.h>
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/stamp.h"

#ifndef F_OFD_SETLK
#error "open file description locks are needed (Linux 3.15)"
#endif

#define POLL_MS 10

static int say_who(const char *path, int fd, struct cs_error *err)
{
	char text[128] = "", purpose[32] = "?", boot_id[CS_BOOT_ID_SIZE] = "-";
	long pid = 0;
	struct cs_stamp since = {0}, now;
	long long wall_ms = 0, boot_ms = 0;

	if (pread(fd, text, sizeof text - 1, 0) <= 0 ||
		sscanf(text, "%ld %lld %lld %36s %31s", &pid, &wall_ms, &boot_ms, boot_id,
			purpose) != 5)
		return cs_error_set(
			err, CS_E_LOCKED, "another run holds the lock %s", path);
	since.wall_ms = wall_ms;
	since.boot_ms = boot_ms;
	memcpy(since.boot_id, boot_id, sizeof since.boot_id);
	cs_stamp_now(&now);
	return cs_error_set(err, CS_E_LOCKED,
		"another run (%s, pid %ld, since %lld s) holds the lock %s", purpose, pid,
		(long long)(cs_stamp_age_ms(&since, &now) / CS_MS_PER_S), path);
}

static void write_who(int fd, const char *purpose)
{
	struct cs_stamp now;
	char text[128];

	cs_stamp_now(&now);
	int len = snprintf(text, sizeof text, "%ld %lld %lld %s %s\n", (long)getpid(),
		(long long)now.wall_ms, (long long)now.boot_ms,
		now.boot_id[0] ? now.boot_id : "-", purpose);
	/* Only the first line counts, and to cut off the rest of an older one takes the
	 * file system a millisecond. */
	if (pwrite(fd, text, (size_t)len, 0) != len)
		return; /* the lock holds without its text */
}

static int open_lock(const char *path, struct cs_error *err)
{
	int fd = cs_file_open_own(path, O_RDWR | O_CREAT, err);

	return fd >= 0 ? fd : cs_error_prefix(err, "lock");
}

int cs_lock_take(
	const char *path, const char *purpose, struct cs_lock *ret, struct cs_error *err)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	CS_CLEANUP(cs_closep) int fd = open_lock(path, err);

	if (fd < 0)
		return err->code;
	if (fcntl(fd, F_OFD_SETLK, &whole) < 0) {
		if (errno == EAGAIN || errno == EACCES)
			return say_who(path, fd, err);
		return cs_error_set_errno(err, errno, "cannot lock %s", path);
	}
	write_who(fd, purpose);
	ret->fd = fd;
	fd = -1;
	return 0;
}

int cs_lock_wait(
	const char *path, int64_t limit_ms, struct cs_lock *ret, struct cs_error *err)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	CS_CLEANUP(cs_closep) int fd = open_lock(path, err);

	if (fd < 0)
		return err->code;
	for (int64_t waited = 0; fcntl(fd, F_OFD_SETLK, &whole) < 0; waited += POLL_MS) {
		if ((errno != EAGAIN && errno != EACCES) || waited >= limit_ms)
			return cs_error_set_errno(err, errno, "cannot lock %s", path);
		usleep(POLL_MS * 1000);
	}
	ret->fd = fd;
	fd = -1;
	return 0;
}

int cs_lock_peek(const char *path, struct cs_error *err)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	CS_CLEANUP(cs_closep) int fd = open_lock(path, err);

	if (fd < 0)
		return err->code;
	if (fcntl(fd, F_OFD_GETLK, &whole) < 0)
		return cs_error_set_errno(err, errno, "cannot look at the lock %s", path);
	return whole.l_type == F_UNLCK ? 0 : say_who(path, fd, err);
}

void cs_lock_release(struct cs_lock *lock)
{
	cs_closep(&lock->fd);
}
