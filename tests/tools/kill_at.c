/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kill -9 of a program exactly before or after the N-th of its calls that leave a trace
 * outside the process: what creates, writes, syncs, renames or removes a file, takes a
 * lock, connects or sends, starts a process or ends one (the table below).
 *
 *     kill_at --list FILE [--all] [--user UID] -- COMMAND...
 *     kill_at --point N --when before|after [--match REGEX] [--all] [--alone]
 *             -- COMMAND...
 *
 * Counted are the calls of COMMAND itself, of its threads and of processes that it forks,
 * until these run another program; with --all those of the other programs too; with
 * --match only those whose line in the list matches, so that a point stays the same call
 * when COMMAND polls more often in one run than in another. The kill
 * ends the whole tree, with --alone only the process that made the call: a kill -9 by
 * hand leaves the children alive. --user UID: root traces, COMMAND runs as that user and
 * group; only root sees the paths of a program that keeps its memory from others.
 *
 * Exit status: 137 when it killed, else that of COMMAND; 99 when tracing is not possible
 * (a sandbox that forbids ptrace), 98 for a usage error. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <linux/sched.h>
#include <regex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_KILLED 137
#define EXIT_NO_TRACE 99
#define EXIT_USAGE 98
#define TRACEES_MAX 256
#define SYSCALL_STOP (SIGTRAP | 0x80)
#define OPTIONS                                                             \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | \
		PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL)

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
#undef CALL
};

/* A thread that is traced. */
struct tracee {
	pid_t tid;
	bool foreign;	    /* runs another program than COMMAND */
	bool announced;	    /* by its parent, so that the above is known */
	bool waiting;	    /* stopped until then */
	const char *inside; /* the counted call that it is in, for --when after */
};

static struct {
	FILE *list;
	long point;
	regex_t pattern;
	bool match, after, all, alone;
	unsigned user; /* who runs COMMAND; 0: who runs this */
} wish;

static struct tracee tracees[TRACEES_MAX];
static size_t n_tracees;
static long counted, matched;
static bool started; /* COMMAND's own execve is done */

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "kill_at: %s: %s\n", what, strerror(errno));
	exit(EXIT_NO_TRACE);
}

static struct tracee *find(pid_t tid)
{
	for (size_t i = 0; i < n_tracees; i++) {
		if (tracees[i].tid == tid)
			return &tracees[i];
	}
	if (n_tracees == TRACEES_MAX) {
		errno = EMFILE;
		fail("too many threads");
	}
	tracees[n_tracees] = (struct tracee){.tid = tid};
	return &tracees[n_tracees++];
}

static void forget(pid_t tid)
{
	*find(tid) = tracees[n_tracees - 1];
	n_tracees--;
}

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

/* Its line in the list, without the number. Owned by the caller. */
static char *describe(pid_t tid, const struct call *call, const uint64_t *args)
{
	char *line = NULL;
	size_t size;
	FILE *to = open_memstream(&line, &size);

	if (!to)
		fail("a line of the list");
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
	if (fclose(to) != 0)
		fail("a line of the list");
	return line;
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

static bool leaves_a_trace(pid_t tid, const struct call *call, const uint64_t *args)
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
	default:
		return true;
	}
}

static const struct call *find_call(uint64_t number)
{
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		if (calls[i].number == (long)number)
			return &calls[i];
	}
	return NULL;
}

/* True at the moment to kill. */
static bool on_entry(struct tracee *tracee, uint64_t number, const uint64_t *args)
{
	const struct call *call = find_call(number);

	tracee->inside = NULL;
	if (!started || (tracee->foreign && !wish.all) || !call ||
		!leaves_a_trace(tracee->tid, call, args))
		return false;
	char *line = describe(tracee->tid, call, args);
	counted++;
	if (wish.list) {
		fprintf(wish.list, "%ld %s\n", counted, line);
		fflush(wish.list);
	}
	bool matches = !wish.match || regexec(&wish.pattern, line, 0, NULL, 0) == 0;
	matched += matches;
	free(line);
	if (!matches || matched != wish.point)
		return false;
	tracee->inside = call->name;
	return !wish.after;
}

static bool on_syscall_stop(struct tracee *tracee)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tracee->tid, sizeof info, &info) < 0)
		return false; /* it has just been killed */
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
		uint64_t args[6];

		for (size_t i = 0; i < 6; i++)
			args[i] = info.entry.args[i];
		return on_entry(tracee, info.entry.nr, args);
	}
	return info.op == PTRACE_SYSCALL_INFO_EXIT && tracee->inside;
}

/* A new thread or process inherits whose program it runs. An exec makes it another one's,
 * but for the very first. */
static void on_event(struct tracee *tracee, int event)
{
	unsigned long message = 0;

	ptrace(PTRACE_GETEVENTMSG, tracee->tid, 0, &message);
	if (event == PTRACE_EVENT_EXEC) {
		if ((pid_t)message != tracee->tid)
			forget((pid_t)message);
		tracee = find(tracee->tid);
		tracee->foreign = started;
		started = true;
	} else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK ||
		   event == PTRACE_EVENT_CLONE) {
		bool foreign = tracee->foreign;
		struct tracee *child = find((pid_t)message);

		child->foreign = foreign;
		child->announced = true;
		if (child->waiting)
			ptrace(PTRACE_SYSCALL, child->tid, 0, 0);
	}
}

static pid_t process_of(pid_t tid)
{
	char path[64], line[128];
	int pid = (int)tid;

	snprintf(path, sizeof path, "/proc/%d/status", (int)tid);
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof line, file)) {
		if (sscanf(line, "Tgid: %d", &pid) == 1)
			break;
	}
	if (file)
		fclose(file);
	return (pid_t)pid;
}

/* Ends them, and waits until they have ended. Who is not to die is let go as soon as it
 * stands still; it runs on unseen. */
static _Noreturn void strike(pid_t tid)
{
	pid_t victim = process_of(tid);
	int status;
	pid_t who;

	for (size_t i = 0; i < n_tracees; i++) {
		if (!wish.alone || process_of(tracees[i].tid) == victim)
			kill(process_of(tracees[i].tid), SIGKILL);
		else if (ptrace(PTRACE_DETACH, tracees[i].tid, 0, 0) < 0)
			ptrace(PTRACE_INTERRUPT, tracees[i].tid, 0, 0);
	}
	while ((who = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		if (who > 0 && WIFSTOPPED(status))
			ptrace(PTRACE_DETACH, who, 0, 0);
	}
	exit(EXIT_KILLED);
}

/* Lets a stopped tracee run on, or kills it. */
static void on_stop(pid_t tid, int status)
{
	struct tracee *tracee = find(tid);
	int event = status >> 16, signal = WSTOPSIG(status);

	if (event == PTRACE_EVENT_STOP) {
		bool group_stop = signal == SIGSTOP || signal == SIGTSTP ||
				  signal == SIGTTIN || signal == SIGTTOU;

		tracee->waiting = !tracee->announced;
		if (tracee->waiting)
			return;
		ptrace(group_stop ? PTRACE_LISTEN : PTRACE_SYSCALL, tid, 0, 0);
		return;
	}
	if (signal == SYSCALL_STOP) {
		if (on_syscall_stop(tracee))
			strike(tid);
		signal = 0;
	} else if (event) {
		on_event(tracee, event);
		signal = 0;
	}
	ptrace(PTRACE_SYSCALL, tid, 0, signal);
}

/* Until the last of them has ended; the exit status of the first. */
static int trace(pid_t command)
{
	int status, result = 0;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		if (tid < 0)
			continue;
		if (WIFSTOPPED(status)) {
			on_stop(tid, status);
			continue;
		}
		if (tid == command)
			result = WIFSIGNALED(status) ? 128 + WTERMSIG(status)
						     : WEXITSTATUS(status);
		forget(tid);
	}
	return result;
}

static int become(unsigned user)
{
	if (user == 0)
		return 0;
	return setgroups(0, NULL) < 0 || setgid(user) < 0 ? -1 : setuid(user);
}

/* COMMAND starts only when it is traced. */
static pid_t start(char **command)
{
	int gate[2], status;
	char open = 0;

	if (pipe2(gate, O_CLOEXEC) < 0)
		fail("pipe");
	pid_t pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		if (read(gate[0], &open, 1) == 1 && become(wish.user) == 0)
			execvp(command[0], command);
		fprintf(stderr, "kill_at: %s: %s\n", command[0], strerror(errno));
		_exit(127);
	}
	if (ptrace(PTRACE_SEIZE, pid, 0, OPTIONS) < 0 ||
		ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0 ||
		waitpid(pid, &status, __WALL) != pid ||
		ptrace(PTRACE_SYSCALL, pid, 0, 0) < 0) {
		int errnum = errno;

		kill(pid, SIGKILL);
		errno = errnum;
		fail("cannot trace");
	}
	find(pid)->announced = true;
	if (write(gate[1], &open, 1) != 1)
		fail("pipe");
	close(gate[0]);
	close(gate[1]);
	return pid;
}

static _Noreturn void usage(void)
{
	fputs("usage: kill_at --list FILE [--all] [--user UID] -- COMMAND...\n"
	      "       kill_at --point N --when before|after [--match REGEX] [--all] "
	      "[--alone] [--user UID] -- COMMAND...\n",
		stderr);
	exit(EXIT_USAGE);
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {{"list", required_argument, NULL, 'l'},
		{"point", required_argument, NULL, 'p'},
		{"when", required_argument, NULL, 'w'},
		{"match", required_argument, NULL, 'm'}, {"all", no_argument, NULL, 'A'},
		{"alone", no_argument, NULL, 'a'}, {"user", required_argument, NULL, 'u'},
		{0}};
	int option;

	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (option == 'l' && !(wish.list = fopen(optarg, "we")))
			fail(optarg);
		else if (option == 'p')
			wish.point = strtol(optarg, NULL, 10);
		else if (option == 'w')
			wish.after = strcmp(optarg, "after") == 0;
		else if (option == 'm' &&
			 regcomp(&wish.pattern, optarg, REG_EXTENDED | REG_NOSUB) != 0)
			usage();
		else if (option == 'm')
			wish.match = true;
		else if (option == 'u')
			wish.user = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 'A')
			wish.all = true;
		else if (option == 'a')
			wish.alone = true;
		else if (option == '?')
			usage();
	}
	if (optind == argc || (!wish.list && wish.point < 1))
		usage();
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	return trace(start(argv + optind));
}
