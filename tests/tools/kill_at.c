/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kill -9 of a program exactly before or after the N-th of its calls that leave a trace
 * outside the process: what creates, writes, syncs, renames or removes a file, takes a
 * lock, connects or sends, starts a process or ends one (calls.c).
 *
 *     kill_at --list FILE [--all] [--user UID] -- COMMAND...
 *     kill_at --point N --when before|after [--match REGEX] [--all] [--alone]
 *             -- COMMAND...
 *     kill_at --point N --fail ERROR [--when before|after] [--once] [--match REGEX]
 *             -- COMMAND...
 *
 * Counted are the calls of COMMAND itself, of its threads and of processes that it forks,
 * until these run another program; with --all those of the other programs too; with
 * --match only those whose line in the list matches, so that a point stays the same call
 * when COMMAND polls more often in one run than in another; with --every all system
 * calls, whatever they do. The kill ends the whole tree, with --alone only the process
 * that made the call: a kill -9 by hand leaves the children alive. --user UID: root
 * traces, COMMAND runs as that user and group; only root sees the paths of a program that
 * keeps its memory from others.
 *
 * With --fail nothing is killed: from that call on all of them that match fail with ERROR
 * (ENOSPC, EROFS, EIO, ECONNRESET), with --once that call alone. `before`: it is not
 * made; `after`: it is made and said to have failed. In the list " -> ERROR" stands
 * behind them. A lost answer is --every --match '^recvfrom socket' --fail ECONNRESET
 * --once.
 *
 * Exit status: 137 when it killed, else that of COMMAND; 99 when tracing is not possible
 * (a sandbox that forbids ptrace), 98 for a usage error. */
#include <config.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <regex.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"

#define EXIT_KILLED 137
#define EXIT_NO_TRACE 99
#define EXIT_USAGE 98
#define NO_CALL (-1L) /* a number that no call has */
#define TRACEES_MAX 256
#define SYSCALL_STOP (SIGTRAP | 0x80)
#define OPTIONS                                                             \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | \
		PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL)

/* A thread that is traced. */
struct tracee {
	pid_t tid;
	bool foreign;	/* runs another program than COMMAND */
	bool announced; /* by its parent, so that the above is known */
	bool waiting;	/* stopped until then */
	bool struck;	/* it is in the call that was waited for: --when after, --fail */
};

static struct {
	FILE *list;
	long point;
	regex_t pattern;
	bool match, after, all, alone, every, once;
	int fail;      /* an errno; 0: kill */
	unsigned user; /* who runs COMMAND; 0: who runs this */
} wish;

static const struct error {
	const char *name;
	int number;
} errors[] = {
	{"ENOSPC", ENOSPC}, {"EROFS", EROFS}, {"EIO", EIO}, {"ECONNRESET", ECONNRESET}};

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

/* Another call in place of the one that is entered, or another result of the one that is
 * left. */
static void put(pid_t tid, bool entry, long value)
{
#if defined __x86_64__
	size_t where = entry ? offsetof(struct user, regs.orig_rax)
			     : offsetof(struct user, regs.rax);

	if (ptrace(PTRACE_POKEUSER, tid, where, value) < 0)
		fail("cannot change a call");
#elif defined __aarch64__
	struct user_regs_struct registers;
	int number = (int)value;
	struct iovec part = {&registers, sizeof registers};
	struct iovec call = {&number, sizeof number};
	bool done = entry ? ptrace(PTRACE_SETREGSET, tid, NT_ARM_SYSTEM_CALL, &call) == 0
			  : ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &part) == 0;

	registers.regs[0] = (unsigned long long)value;
	if (!done || (!entry && ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &part) < 0))
		fail("cannot change a call");
#else
	errno = ENOSYS;
	fail("--fail on this machine");
#endif
}

/* Is it the call, or one behind it that fails as well? */
static bool is_waited_for(const char *line)
{
	if (wish.match && regexec(&wish.pattern, line, 0, NULL, 0) != 0)
		return false;
	matched++;
	if (wish.point == 0)
		return false;
	return wish.fail && !wish.once ? matched >= wish.point : matched == wish.point;
}

/* True at the moment to kill. */
static bool on_entry(struct tracee *tracee, uint64_t number, const uint64_t *args)
{
	const struct call *call = call_find(number);
	bool counts = call && call_leaves_a_trace(tracee->tid, call, args);

	tracee->struck = false;
	if (!started || (tracee->foreign && !wish.all) || !(counts || wish.every))
		return false;
	char *line = call_text(tracee->tid, number, call, args);
	if (!line)
		fail("a line of the list");
	counted++;
	tracee->struck = is_waited_for(line);
	if (wish.list) {
		fprintf(wish.list, "%ld %s%s%s\n", counted, line,
			tracee->struck && wish.fail ? " -> " : "",
			tracee->struck && wish.fail ? strerrorname_np(wish.fail) : "");
		fflush(wish.list);
	}
	free(line);
	if (tracee->struck && wish.fail && !wish.after)
		put(tracee->tid, true, NO_CALL);
	return tracee->struck && !wish.fail && !wish.after;
}

/* True at the moment to kill. */
static bool on_exit_of(struct tracee *tracee)
{
	bool struck = tracee->struck;

	tracee->struck = false;
	if (struck && wish.fail)
		put(tracee->tid, false, -(long)wish.fail);
	return struck && !wish.fail;
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
	return info.op == PTRACE_SYSCALL_INFO_EXIT && on_exit_of(tracee);
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
		if (WIFSIGNALED(status) && !find(tid)->foreign)
			fprintf(stderr, "kill_at: process %d died of signal %d (%s)\n",
				(int)tid, WTERMSIG(status), strsignal(WTERMSIG(status)));
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
	fputs("usage: kill_at --list FILE [--all] [--every] [--user UID] -- COMMAND...\n"
	      "       kill_at --point N --when before|after [--match REGEX] [--all] "
	      "[--every] [--alone] [--user UID] -- COMMAND...\n"
	      "       kill_at --point N --fail ERROR [--when before|after] [--once] "
	      "[--match REGEX] [--user UID] -- COMMAND...\n",
		stderr);
	exit(EXIT_USAGE);
}

static int find_error(const char *name)
{
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		if (strcmp(errors[i].name, name) == 0)
			return errors[i].number;
	}
	usage();
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {{"list", required_argument, NULL, 'l'},
		{"point", required_argument, NULL, 'p'},
		{"when", required_argument, NULL, 'w'},
		{"match", required_argument, NULL, 'm'}, {"all", no_argument, NULL, 'A'},
		{"alone", no_argument, NULL, 'a'}, {"user", required_argument, NULL, 'u'},
		{"every", no_argument, NULL, 'e'}, {"once", no_argument, NULL, 'o'},
		{"fail", required_argument, NULL, 'f'}, {0}};
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
		else if (option == 'f')
			wish.fail = find_error(optarg);
		else if (option == 'e')
			wish.every = true;
		else if (option == 'o')
			wish.once = true;
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
