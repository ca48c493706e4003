/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files that survive a crash, and locks that name their holder. */
#ifndef CS_BASE_FILE_H
#define CS_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/strbuf.h"

/* Closes *fd if it is open; the clean-up for `CS_CLEANUP(cs_closep) int fd = -1;`. */
void cs_closep(int *fd) CS_NONNULL_ALL;

/* Appends the whole file to `ret`; larger than its ceiling: CS_E_LIMIT. A missing file is
 * CS_E_NOT_FOUND, everything else CS_E_IO. Regular files and pipes only. */
int cs_file_read(const char *path, struct cs_strbuf *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Reads a file that holds a secret into `buffer` (size_bytes, NUL-terminated; larger is
 * CS_E_LIMIT). CS_E_REFUSED when others than owner and group may read or write it. */
int cs_file_read_private(const char *path, char *buffer, size_t size_bytes,
	size_t *ret_len, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Replaces `path` in one step: PATH.new, fsync, rename, fsync of the folder. A symbolic
 * link is followed, so the link stays. Owner and mode of an existing file are kept; a new
 * one gets `mode`. A PATH.new that a killed run left behind is written over; concurrent
 * writers wait for each other, and the last one wins. */
int cs_file_replace(const char *path, const void *bytes, size_t len, mode_t mode,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL(1, 5);

/* The same without the two fsyncs, for what is of no use after a power failure: it may be
 * the old one then, or empty. */
int cs_file_replace_lightly(const char *path, const void *bytes, size_t len, mode_t mode,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL(1, 5);

/* As cs_file_replace_lightly() in pieces, for what is too large to hold: write to
 * `stream`, then commit. What is not committed changes nothing. Errors of the stream are
 * seen by the commit. */
#define CS_FILE_BUFFER 65536
struct cs_file_new {
	FILE *stream;
	char *temporary, *target, *buffer; /* owned */
};
int cs_file_new_open(const char *path, mode_t mode, struct cs_file_new *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
/* Waits until what was written is on disk, so that the commit, then only a rename, leaves
 * the old file or the new one after a power failure. */
int cs_file_new_sync(
	struct cs_file_new *new, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
int cs_file_new_commit(
	struct cs_file_new *new, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_file_new_done(struct cs_file_new *new) CS_NONNULL_ALL;

/* Appends `lines`, each with its "\n", in one write and fsyncs; creates the file 0640. A
 * crash can leave an incomplete last line and nothing else: readers drop a line without
 * its end, and the next append ends it first. */
int cs_file_append(const char *path, const char *lines,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* What a program keeps for itself: never through a link, and only a plain file with one
 * name that belongs to the effective user and that nobody else can write, looked at after
 * the open. CS_E_REFUSED otherwise, CS_E_NOT_FOUND when it is missing. The first returns
 * a descriptor; with O_CREAT in `flags` a new file is 0640. */
int cs_file_open_own(
	const char *path, int flags, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
int cs_file_read_own(const char *path, struct cs_strbuf *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* As cs_file_replace(), but whatever has the name `path` is replaced itself, a link too,
 * and nothing is kept of it; without the fsync of the folder, so that a power failure may
 * bring the old one back. */
int cs_file_replace_own(const char *path, const void *bytes, size_t len, mode_t mode,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL(1, 5);

/* Makes the folder (and its parents) with `mode` when missing. Refuses NFS and FUSE,
 * where locks and fsync do not hold what they promise, and a folder that belongs to
 * another user than the effective one (the message says the `sudo -u` to type). */
int cs_state_dir_open(
	const char *path, mode_t mode, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Looks only: could cs_state_dir_open() be used? What is missing is fine where it could
 * be made; the errors are the same. */
int cs_state_dir_look(
	const char *path, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* An exclusive lock on a file, held until released or the process ends. */
struct cs_lock {
	int fd; /* -1: not held */
};
#define CS_LOCK_NONE     \
	(struct cs_lock) \
	{                \
		.fd = -1 \
	}

/* Does not wait: CS_E_LOCKED names holder, purpose and age. `purpose` is one word or two
 * ("scale", "sync"). Open file description locks: fcntl_locking(2). */
int cs_lock_take(const char *path, const char *purpose, struct cs_lock *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* 0 when nobody holds it (at this moment), CS_E_LOCKED as above; takes nothing. */
int cs_lock_peek(const char *path, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* As cs_lock_take() without a purpose, for moments: waits for up to `limit_ms`. */
int cs_lock_wait(const char *path, int64_t limit_ms, struct cs_lock *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

void cs_lock_release(struct cs_lock *lock) CS_NONNULL_ALL;

#endif
