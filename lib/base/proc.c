/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Running programs and detaching; see proc.h. */
#include <config.h>
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define OUTPUT_MAX (1 << 20)
#define NO_PIDFD_POLL_MS 10 /* where descriptors have run out, or before Linux 5.3 */

#define CHILD_USER "nobody"
#ifdef CS_SANITIZERS
#define CHILD_MEMORY_MAX RLIM_INFINITY
#else
#define CHILD_MEMORY_MAX (1 << 30)
#endif

static void null_to(int fd)
{
	int null = open("/dev/null", O_RDWR);

	if (null >= 0 && null != fd) {
		dup2(null, fd);
		close(null);
	}
}

static void default_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++) {
		if (number != SIGKILL && number != SIGSTOP)
			signal(number, SIG_DFL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* One pipe's pending bytes; false at its end. */
static bool drain(int fd, struct cs_strbuf *into)
{
	char chunk[8192];
	ssize_t len = read(fd, chunk, sizeof chunk);

	if (len < 0)
		return errno == EINTR || errno == EAGAIN;
	cs_strbuf_add_bytes(into, chunk, (size_t)len);
	return len > 0;
}

/* As much as the pipe takes; closes it behind the last byte. */
static void feed(struct cs_proc *proc)
{
	while (proc->input_len > 0) {
		ssize_t len = write(proc->in, proc->input, proc->input_len);

		if (len < 0 && errno == EAGAIN)
			return;
		if (len < 0 && errno != EINTR)
			break;
		proc->input += len > 0 ? len : 0;
		proc->input_len -= len > 0 ? (size_t)len : 0;
	}
	cs_closep(&proc->in);
}

/* False when the deadline passed before both outputs were closed. */
static bool collect(
	struct cs_proc *proc, struct cs_deadline deadline, struct cs_proc_result *result)
{
	struct pollfd fds[3] = {{.fd = proc->out, .events = POLLIN},
		{.fd = proc->err, .events = POLLIN}, {.fd = proc->in, .events = POLLOUT}};

	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		int64_t left = cs_deadline_left_ms(deadline);

		if (left == 0)
			return false;
		if (poll(fds, 3, (int)(left < 60000 ? left : 60000)) < 0 &&
			errno != EINTR)
			return false;
		if (fds[2].revents) {
			feed(proc);
			fds[2].fd = proc->in;
		}
		if (fds[0].revents && !drain(proc->out, &result->out))
			fds[0].fd = -1;
		if (fds[1].revents && !drain(proc->err, &result->err))
			fds[1].fd = -1;
		fds[0].revents = fds[1].revents = fds[2].revents = 0;
	}
	return true;
}

/* A program may close its outputs and run on, so the wait has the deadline too. It is a
 * wait for its end and no sleep: all who wait for us wait for it, too. */
static bool reap(pid_t pid, struct cs_deadline deadline, int *ret_status)
{
	CS_CLEANUP(cs_closep) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd end = {.fd = fd, .events = POLLIN};

	for (;;) {
		pid_t got = waitpid(pid, ret_status, WNOHANG);
		int64_t left = cs_deadline_left_ms(deadline);
		int64_t most = fd < 0 ? NO_PIDFD_POLL_MS : 60000;

		if (got == pid || (got < 0 && errno != EINTR))
			return true;
		if (left == 0)
			return false;
		poll(&end, 1, (int)(left < most ? left : most));
	}
}

struct pipe_pair {
	int read, write;
};

static void pipe_done(struct pipe_pair *pair)
{
	cs_closep(&pair->read);
	cs_closep(&pair->write);
}

static int pipe_open(struct pipe_pair *ret, struct cs_error *err)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return cs_error_set_errno(err, errno, "cannot make a pipe");
	*ret = (struct pipe_pair){.read = fds[0], .write = fds[1]};
	return 0;
}

#define PIPE_NONE          \
	(struct pipe_pair) \
	{                  \
		-1, -1     \
	}

/* Ours, and `setting` in front of it. */
static char **environment_with(const char *setting)
{
	size_t n = 0, at = 0;

	while (environ[n])
		n++;
	char **ret = cs_calloc(n + 2, sizeof *ret);
	if (setting)
		ret[at++] = (char *)setting;
	memcpy(ret + at, environ, n * sizeof *ret);
	return ret;
}

/* What its child is to be like. Nothing of ours is copied for it (vfork), which counts
 * for a process of some size. */
static int spawn(
	char *const argv[], const char *setting, int in, int out, int err, pid_t *ret_pid)
{
	CS_AUTO_FREE char **environment = environment_with(setting);
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t all, none;

	sigfillset(&all);
	sigemptyset(&none);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes,
		POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawn_file_actions_init(&files);
	/* Fired or by hand it is the same folder; and one that its user may enter. */
	posix_spawn_file_actions_addchdir_np(&files, "/");
	posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, err, STDERR_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&files, 3);
	int errnum =
		posix_spawnp(ret_pid, argv[0], &files, &attributes, argv, environment);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return errnum;
}

int cs_proc_start(char *const argv[], const char *setting, struct cs_proc *ret,
	struct cs_error *err)
{
	CS_CLEANUP(pipe_done) struct pipe_pair in = PIPE_NONE;
	CS_CLEANUP(pipe_done) struct pipe_pair out = PIPE_NONE;
	CS_CLEANUP(pipe_done) struct pipe_pair errors = PIPE_NONE;
	pid_t pid;

	if (pipe_open(&in, err) < 0 || pipe_open(&out, err) < 0 ||
		pipe_open(&errors, err) < 0)
		return err->code;
	if (fcntl(in.write, F_SETFL, O_NONBLOCK) < 0)
		return cs_error_set_errno(err, errno, "cannot make a pipe");
	int errnum = spawn(argv, setting, in.read, out.write, errors.write, &pid);
	if (errnum != 0) {
		cs_error_set_errno(err, errnum, "cannot start %s", argv[0]);
		err->code = CS_E_NOT_FOUND;
		return err->code;
	}
	*ret = (struct cs_proc){.name = argv[0],
		.pid = pid,
		.out = out.read,
		.err = errors.read,
		.in = in.write};
	out.read = errors.read = in.write = -1;
	return 0;
}

void cs_proc_feed(struct cs_proc *proc, const char *text, size_t len)
{
	proc->input = text;
	proc->input_len = len;
	feed(proc);
}

void cs_proc_end(struct cs_proc *proc)
{
	if (proc->pid == 0)
		return;
	cs_closep(&proc->in);
	cs_closep(&proc->out);
	cs_closep(&proc->err);
	kill(-proc->pid, SIGKILL);
	while (waitpid(proc->pid, NULL, 0) < 0 && errno == EINTR)
		;
	proc->pid = 0;
}

int cs_proc_finish(struct cs_proc *proc, struct cs_deadline deadline,
	struct cs_proc_result *ret, struct cs_error *err)
{
	int status = 0;

	*ret = (struct cs_proc_result){
		.out = CS_STRBUF(OUTPUT_MAX), .err = CS_STRBUF(OUTPUT_MAX)};
	if (proc->input_len == 0)
		cs_closep(&proc->in);
	if (!collect(proc, deadline, ret) || !reap(proc->pid, deadline, &status)) {
		cs_proc_end(proc);
		return cs_error_set(err, CS_E_TIMEOUT,
			"%s did not end in time and was killed", proc->name);
	}
	proc->pid = 0;
	cs_closep(&proc->in);
	cs_closep(&proc->out);
	cs_closep(&proc->err);
	ret->exit_status =
		WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	return 0;
}

int cs_proc_run(char *const argv[], struct cs_deadline deadline,
	struct cs_proc_result *ret, struct cs_error *err)
{
	struct cs_proc proc;

	*ret = (struct cs_proc_result){0};
	if (cs_proc_start(argv, NULL, &proc, err) < 0)
		return err->code;
	return cs_proc_finish(&proc, deadline, ret, err);
}

void cs_proc_result_done(struct cs_proc_result *result)
{
	cs_strbuf_done(&result->out);
	cs_strbuf_done(&result->err);
}

/* Whom a child becomes. */
struct user {
	uid_t uid;
	gid_t gid;
};

static int find_user(struct user *ret, struct cs_error *err)
{
	const struct passwd *nobody = geteuid() == 0 ? getpwnam(CHILD_USER) : NULL;

	*ret = (struct user){.uid = geteuid(), .gid = getegid()};
	if (geteuid() != 0)
		return 0;
	if (!nobody || nobody->pw_uid == 0)
		return cs_error_set(err, CS_E_CONFIG,
			"there is no user " CHILD_USER
			", as whom the cloud is asked; make one");
	*ret = (struct user){.uid = nobody->pw_uid, .gid = nobody->pw_gid};
	return 0;
}

static bool limit(int resource, rlim_t most)
{
	const struct rlimit both = {most, most};

	return setrlimit(resource, &both) == 0;
}

/* In the child. NULL, or what failed. The marks of the process come last, because a
 * change of user takes them away. */
static const char *give_up_rights(const struct user *user, int fd, pid_t parent)
{
	for (int standard = 0; standard <= 2; standard++)
		null_to(standard);
	if (dup2(fd, 3) < 0 || close_range(4, ~0U, 0) < 0)
		return "close_range";
	if (chdir("/") < 0)
		return "chdir";
	if (!limit(RLIMIT_CORE, 0) || !limit(RLIMIT_FSIZE, 0) ||
		!limit(RLIMIT_AS, CHILD_MEMORY_MAX))
		return "setrlimit";
	if (geteuid() == 0 && setgroups(0, NULL) < 0)
		return "setgroups";
	if (setresgid(user->gid, user->gid, user->gid) < 0)
		return "setresgid";
	if (setresuid(user->uid, user->uid, user->uid) < 0)
		return "setresuid";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 ||
		prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return "prctl";
	return getppid() == parent ? NULL : "getppid";
}

static _Noreturn void live(const struct user *user, int fd, pid_t parent,
	void (*work)(void *context, struct cs_strbuf *ret), void *context)
{
	struct cs_strbuf text = CS_STRBUF(CS_PROC_CHILD_MAX);
	const char *failed = give_up_rights(user, fd, parent);
	size_t sent = 0;

	if (failed)
		cs_strbuf_addf(&text, "%s: %s", failed, strerror(errno));
	else
		work(context, &text);
	while (sent < text.len) {
		ssize_t len = write(3, text.data + sent, text.len - sent);

		if (len < 0 && errno != EINTR)
			_exit(1);
		sent += len > 0 ? (size_t)len : 0;
	}
	close(3); /* before its memory is taken down, which takes longer */
	_exit(failed || text.overflow);
}

int cs_proc_confine(void (*work)(void *context, struct cs_strbuf *ret), void *context,
	struct cs_proc_child *ret, struct cs_error *err)
{
	CS_CLEANUP(pipe_done) struct pipe_pair out = PIPE_NONE;
	pid_t parent = getpid();
	struct user user;

	if (find_user(&user, err) < 0 || pipe_open(&out, err) < 0)
		return err->code;
	pid_t pid = fork();
	if (pid < 0)
		return cs_error_set_errno(err, errno, "cannot fork");
	if (pid == 0)
		live(&user, out.write, parent, work, context);
	*ret = (struct cs_proc_child){.pid = pid, .fd = out.read};
	out.read = -1;
	return 0;
}

/* False when the deadline passed, or too much came, before its end. */
static bool read_child(int fd, struct cs_deadline deadline, struct cs_strbuf *ret)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};

	while (cs_deadline_left_ms(deadline) > 0 && !ret->overflow) {
		if (poll(&readable, 1, (int)cs_deadline_left_ms(deadline)) > 0 &&
			!drain(fd, ret))
			return true;
	}
	return false;
}

static void abandon(const struct cs_proc_child *child)
{
	kill(child->pid, SIGKILL);
	while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int cs_proc_hear(struct cs_proc_child *child, const char *what,
	struct cs_deadline deadline, struct cs_strbuf *ret, struct cs_error *err)
{
	bool whole = read_child(child->fd, deadline, ret);

	cs_closep(&child->fd);
	if (whole)
		return 0;
	abandon(child);
	if (ret->overflow)
		return cs_error_set(err, CS_E_LIMIT,
			"%s sent more than %zu bytes and was killed", what, ret->ceiling);
	return cs_error_set(
		err, CS_E_TIMEOUT, "%s did not end in time and was killed", what);
}

int cs_proc_await(struct cs_proc_child *child, const char *what,
	struct cs_deadline deadline, const struct cs_strbuf *heard, struct cs_error *err)
{
	int status = 0;

	if (!reap(child->pid, deadline, &status)) {
		abandon(child);
		return cs_error_set(
			err, CS_E_TIMEOUT, "%s did not end in time and was killed", what);
	}
	if (WIFSIGNALED(status))
		return cs_error_set(err, CS_E_IO, "%s died of signal %d (%s)", what,
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	if (status != 0)
		return cs_error_set(err, CS_E_IO, "%s ended with status %d: %.200s", what,
			WEXITSTATUS(status), cs_strbuf_text(heard));
	return 0;
}

void cs_proc_clean_inheritance(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			null_to(fd);
	}
	close_range(3, ~0U, 0);
	default_signals();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ,
		SIG_IGN); /* a limit on files is an error of write, with a message */
	umask(027);
}

int cs_proc_detach(struct cs_error *err)
{
	pid_t pid = fork();

	if (pid < 0)
		return cs_error_set_errno(err, errno, "cannot detach");
	if (pid > 0) {
		int status = 0;

		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (status != 0)
			return cs_error_set(
				err, CS_E_IO, "cannot detach: the second fork failed");
		return 1;
	}
	setsid();
	pid = fork();
	if (pid != 0)
		_exit(pid < 0);
	if (chdir("/") < 0)
		_exit(1);
	null_to(STDIN_FILENO);
	null_to(STDOUT_FILENO);
	null_to(STDERR_FILENO);
	close_range(3, ~0U, 0);
	return 0;
}
