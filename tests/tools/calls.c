/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The calls that leave a trace; see calls.h. */
#include <config.h>
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* Where a call says what it acts on, and when it counts. */
enum shape {
	OPEN,	/* path, flags: counts when it creates or empties */
	OPENAT, /* folder, path, flags: the same */
	PATH,	/* path */
	PATHAT, /* folder, path */
	FD,
	BYTES,	 /* fd, bytes, length */
	ADDRESS, /* fd, address */
	LOCK,	 /* fd, command: counts when it locks or unlocks */
	CLONE,	 /* flags: counts when it makes a process */
	CLONE3,
	PLAIN,
	TRACELESS, /* fd; has a name for those who look for it among all calls */
};

static const struct call {
	long number;
	enum shape shape;
	const char *name;
} calls[] = {
#define CALL(name, shape)                \
	{                                \
		SYS_##name, shape, #name \
	}
#ifdef SYS_open /* the older half; newer machines (arm64) have only the rest */
	CALL(open, OPEN),
	CALL(creat, PATH),
	CALL(mkdir, PATH),
	CALL(rmdir, PATH),
	CALL(rename, PATH),
	CALL(unlink, PATH),
	CALL(link, PATH),
	CALL(symlink, PATH),
	CALL(chmod, PATH),
	CALL(chown, PATH),
	CALL(lchown, PATH),
	CALL(mknod, PATH),
	CALL(fork, PLAIN),
	CALL(vfork, PLAIN),
#endif
#ifdef SYS_renameat
	CALL(renameat, PATHAT),
#endif
	CALL(openat, OPENAT),
	CALL(mkdirat, PATHAT),
	CALL(renameat2, PATHAT),
	CALL(unlinkat, PATHAT),
	CALL(linkat, PATHAT),
	CALL(symlinkat, PATH),
	CALL(fchmodat, PATHAT),
	CALL(fchownat, PATHAT),
	CALL(mknodat, PATHAT),
	CALL(truncate, PATH),
	CALL(fchmod, FD),
	CALL(fchown, FD),
	CALL(ftruncate, FD),
	CALL(fallocate, FD),
	CALL(fsync, FD),
	CALL(fdatasync, FD),
	CALL(write, BYTES),
	CALL(pwrite64, BYTES),
	CALL(writev, FD),
	CALL(pwritev, FD),
	CALL(sendfile, FD),
	CALL(sendto, BYTES),
	CALL(sendmsg, FD),
	CALL(sendmmsg, FD),
	CALL(connect, ADDRESS),
	CALL(bind, ADDRESS),
	CALL(flock, FD),
	CALL(fcntl, LOCK),
	CALL(clone, CLONE),
	CALL(clone3, CLONE3),
	CALL(execve, PATH),
	CALL(execveat, PATHAT),
	CALL(kill, PLAIN),
	CALL(tgkill, PLAIN),
	CALL(tkill, PLAIN),
	CALL(recvfrom, TRACELESS),
#undef CALL
};

/* Up to `size` bytes of the tracee's memory; fewer at the end of a mapping, and none of a
 * process that has made itself undumpable, unless we are root. */
static size_t peek(pid_t tid, uint64_t address, void *to, size_t size)
{
	size_t done = 0;

	while (done < size) {
		errno = 0;
		long word = ptrace(
			PTRACE_PEEKDATA, tid, (void *)(uintptr_t)(address + done), 0);
		size_t n = size - done < sizeof word ? size - done : sizeof word;

		if (errno)
			break;
		memcpy((char *)to + done, &word, n);
		done += n;
	}
	return done;
}

static void print_bytes(FILE *to, pid_t tid, uint64_t address, size_t len)
{
	char bytes[60];
	size_t n = peek(tid, address, bytes, len < sizeof bytes ? len : sizeof bytes);

	for (size_t i = 0; i < n; i++) {
		if (bytes[i] >= ' ' && bytes[i] <= '~')
			fputc(bytes[i], to);
		else
			fputc(bytes[i] == '\n' ? '$' : '.', to);
	}
}

static void print_path(FILE *to, pid_t tid, uint64_t address)
{
	char path[256];
	size_t n = peek(tid, address, path, sizeof path - 1);

	path[n] = '\0';
	fputs(path, to);
}

static void print_fd(FILE *to, pid_t tid, uint64_t fd)
{
	char link[64], target[256];

	snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)tid, (int)fd);
	ssize_t n = readlink(link, target, sizeof target);
	if (n < 0)
		fprintf(to, "fd %d", (int)fd);
	else
		fprintf(to, "%.*s", (int)n, target);
}

static void print_address(FILE *to, pid_t tid, uint64_t address)
{
	struct sockaddr_un un = {0};
	struct sockaddr_in in;

	peek(tid, address, &un, sizeof un - 1);
	memcpy(&in, &un, sizeof in);
	if (un.sun_family == AF_UNIX)
		fputs(un.sun_path, to);
	else
		fprintf(to, "port %d", ntohs(in.sin_port));
}

static void print_call(FILE *to, pid_t tid, const struct call *call, const uint64_t *args)
{
	fprintf(to, "%s ", call->name);
	switch (call->shape) {
	case OPEN:
	case PATH:
		print_path(to, tid, args[0]);
		break;
	case OPENAT:
	case PATHAT:
		print_path(to, tid, args[1]);
		break;
	case FD:
	case TRACELESS:
	case LOCK:
		print_fd(to, tid, args[0]);
		break;
	case BYTES:
		print_fd(to, tid, args[0]);
		fputs(" ", to);
		print_bytes(to, tid, args[1], args[2]);
		break;
	case ADDRESS:
		print_address(to, tid, args[1]);
		break;
	case CLONE:
	case CLONE3:
	case PLAIN:
		break;
	}
}

char *call_text(pid_t tid, uint64_t number, const struct call *call, const uint64_t *args)
{
	char *line = NULL;
	size_t size;
	FILE *to = open_memstream(&line, &size);

	if (to && call)
		print_call(to, tid, call, args);
	else if (to)
		fprintf(to, "call %llu", (unsigned long long)number);
	return to && fclose(to) == 0 ? line : NULL;
}

static bool makes_file(uint64_t flags)
{
	return flags & (O_CREAT | O_TRUNC);
}

static bool locks(uint64_t command)
{
	return command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK ||
	       command == F_OFD_SETLKW;
}

bool call_leaves_a_trace(pid_t tid, const struct call *call, const uint64_t *args)
{
	uint64_t flags = 0;

	switch (call->shape) {
	case OPEN:
		return makes_file(args[1]);
	case OPENAT:
		return makes_file(args[2]);
	case LOCK:
		return locks(args[1]);
	case CLONE:
		return !(args[0] & CLONE_THREAD);
	case CLONE3:
		peek(tid, args[0], &flags, sizeof flags);
		return !(flags & CLONE_THREAD);
	case TRACELESS:
		return false;
	default:
		return true;
	}
}

const struct call *call_find(uint64_t number)
{
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		if (calls[i].number == (long)number)
			return &calls[i];
	}
	return NULL;
}
