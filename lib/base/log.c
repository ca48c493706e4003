/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One line, up to three places; see log.h. */
#include <config.h>
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/stamp.h"
#include "base/strbuf.h"

#define LOG_FILE_MAX (1 << 20)

/* A log is the one thing that a whole process shares. */
static struct {
	char *program, *cluster, *path;
	char run_id[9];
	bool to_stderr;
} state;

void cs_log_open(const char *program, const char *cluster, bool to_stderr)
{
	char uuid[CS_UUID_SIZE];

	cs_strset(&state.program, program);
	cs_strset(&state.cluster, cluster);
	cs_uuid_make(uuid);
	snprintf(state.run_id, sizeof state.run_id, "%.8s", uuid);
	state.to_stderr = to_stderr;
	openlog(state.program, LOG_PID, LOG_DAEMON);
}

static int open_file(const char *path)
{
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
}

int cs_log_to_file(const char *path, struct cs_error *err)
{
	int fd = open_file(path);

	if (fd < 0) {
		cs_error_set_errno(err, errno, "log file %s: cannot open it", path);
		return cs_error_advise(err,
			"correct log-file, or make a folder for it that this user may "
			"write");
	}
	close(fd);
	cs_strset(&state.path, path);
	return 0;
}

void cs_log_stderr(bool on)
{
	state.to_stderr = on;
}

const char *cs_log_run_id(void)
{
	return state.run_id;
}

/* Opened per line: a detached handler closes all descriptors, and lines are rare. */
static void append_to_file(const char *line)
{
	struct stat st;
	char when[CS_WALL_TEXT_SIZE];
	struct cs_stamp now;
	int fd = open_file(state.path);

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > LOG_FILE_MAX) {
		CS_AUTO_FREE char *old = cs_asprintf("%s.1", state.path);

		close(fd);
		fd = rename(state.path, old) < 0 ? -1 : open_file(state.path);
	}
	if (fd < 0)
		return; /* syslog has the line */
	cs_stamp_now(&now);
	cs_wall_format(now.wall_ms, when);
	dprintf(fd, "%s %s[%d]: %s\n", when, state.program, (int)getpid(), line);
	close(fd);
}

void cs_log(int priority, const char *format, ...)
{
	va_list args;
	char text[2048], line[2200];

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	cs_text_clean(text);
	if (state.cluster)
		snprintf(line, sizeof line, "cluster=%s run=%s: %s", state.cluster,
			state.run_id, text);
	else
		snprintf(line, sizeof line, "%s", text);
	syslog(priority, "%s", line);
	if (state.to_stderr && priority < LOG_DEBUG)
		dprintf(STDERR_FILENO, "%s\n", text);
	if (state.path)
		append_to_file(line);
}
