/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Plugin output; see plugin_output.h. */
#include <config.h>
#include "cli/plugin_output.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "format/json.h"

#define OUTPUT_MAX (16 << 20)
#define DRAIN_MS 200

static const char *service = "PLUGIN";
static bool json;
static volatile sig_atomic_t writing;
/* Made in advance: neither a signal handler nor an empty heap can format. */
static char *time_out_text, *out_of_memory_text;

const char *cs_plugin_state_text(enum cs_plugin_state state)
{
	static const char *const texts[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

	return texts[state];
}

static void write_all(const char *text, size_t len)
{
	while (len > 0) {
		ssize_t done = write(STDOUT_FILENO, text, len);
		if (done < 0 && errno != EINTR)
			return; /* nobody reads; there is nobody to tell either */
		if (done > 0) {
			text += done;
			len -= (size_t)done;
		}
	}
}

/* Nagios reads only one more chunk of 4096 bytes after the plugin has exited. */
static void wait_until_read(void)
{
	struct cs_deadline deadline = cs_deadline_in(DRAIN_MS);
	int unread = 0;

	while (ioctl(STDOUT_FILENO, FIONREAD, &unread) == 0 && unread > 0) {
		if (!cs_deadline_sleep(deadline, 1))
			return;
	}
}

static void emit(const char *text)
{
	writing = 1;
	write_all(text, strlen(text));
	wait_until_read();
}

static void add_without_pipes(struct cs_strbuf *out, const char *text)
{
	size_t start = out->len;

	cs_strbuf_add(out, text);
	for (char *p = out->data + start; (p = strchr(p, '|'));)
		*p = '/';
}

/* The same without a copy of what may be megabytes. */
static void write_without_pipes(const char *text)
{
	for (const char *pipe; (pipe = strchr(text, '|')); text = pipe + 1) {
		write_all(text, (size_t)(pipe - text));
		write_all("/", 1);
	}
	write_all(text, strlen(text));
}

static void render(struct cs_strbuf *out, enum cs_plugin_state state, const char *summary,
	const char *perfdata)
{
	cs_strbuf_addf(out, "%s %s - ", service, cs_plugin_state_text(state));
	add_without_pipes(out, summary);
	if (perfdata[0])
		cs_strbuf_addf(out, " | %s", perfdata);
	cs_strbuf_add(out, "\n");
}

static char *failure_text(const char *reason)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf out = CS_STRBUF(OUTPUT_MAX);

	if (json) {
		CS_AUTO_JSON struct json_object *document = json_object_new_object();
		cs_json_add_str(document, "state", cs_plugin_state_text(CS_UNKNOWN));
		cs_json_add_int(document, "exit", CS_UNKNOWN);
		cs_json_add_str(document, "summary", reason);
		cs_strbuf_addf(&out, "%s\n", cs_json_text(document));
	} else {
		render(&out, CS_UNKNOWN, reason, "");
	}
	return cs_strbuf_take(&out);
}

static void end_out_of_memory(void)
{
	emit(out_of_memory_text);
	_exit(CS_UNKNOWN);
}

static void end_out_of_time(int signal_number)
{
	(void)signal_number;
	if (!writing)
		write_all(time_out_text, strlen(time_out_text));
	_exit(CS_UNKNOWN);
}

void cs_plugin_begin(const char *name)
{
	service = name;
	out_of_memory_text = failure_text("out of memory");
	cs_out_of_memory = end_out_of_memory;
}

void cs_plugin_use_output(const char *name)
{
	if (strcmp(name, "text") == 0)
		return;
	if (strcmp(name, "json") != 0)
		cs_plugin_fail("option --output: give text or json");
	json = true;
	free(out_of_memory_text);
	out_of_memory_text = failure_text("out of memory");
}

void cs_plugin_watchdog(int64_t timeout_ms)
{
	struct sigaction action = {.sa_handler = end_out_of_time};
	struct itimerval timer = {.it_value = {.tv_sec = timeout_ms / CS_MS_PER_S,
					  .tv_usec = timeout_ms % CS_MS_PER_S * 1000}};
	CS_AUTO_FREE char *reason = cs_asprintf(
		"no result within %g s (-t)", (double)timeout_ms / CS_MS_PER_S);
	sigset_t alarm_only;

	free(time_out_text);
	time_out_text = failure_text(reason);
	sigemptyset(&action.sa_mask);
	sigaction(SIGALRM, &action, NULL);
	/* A core may have started us with it blocked. */
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

void cs_plugin_end(enum cs_plugin_state state, const char *summary, const char *perfdata,
	const char *long_text)
{
	struct cs_strbuf out = CS_STRBUF(OUTPUT_MAX);

	render(&out, state, summary, perfdata);
	writing = 1;
	write_all(out.data, out.len);
	write_without_pipes(long_text);
	wait_until_read();
	cs_strbuf_done(&out);
	_exit(state);
}

void cs_plugin_end_json(enum cs_plugin_state state, const char *document)
{
	struct cs_strbuf out = CS_STRBUF(OUTPUT_MAX);

	cs_strbuf_addf(&out, "%s\n", document);
	emit(cs_strbuf_text(&out));
	cs_strbuf_done(&out);
	_exit(state);
}

void cs_plugin_fail(const char *reason)
{
	char *text = failure_text(reason);

	emit(text);
	free(text);
	_exit(CS_UNKNOWN);
}
