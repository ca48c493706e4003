/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What `haproxy -c` says, and what it does not see; see publish_check.h. */
#include <config.h>
#include "domain/publish_check.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/proc.h"
#include "client/haproxy_socket.h"
#include "domain/publish_pass.h"
#include "format/haproxy_needs.h"

#define VALIDATE_LIMIT_MS 10000
#define ASK_LIMIT_MS 5000
#define SMALL_MAX (1 << 20)
#define CAP_SYS_RESOURCE_BIT 24 /* capabilities(7) */

char *cs_publish_candidate_path(const struct cs_publish_world *world)
{
	return cs_asprintf("%s.clusterscale-candidate", world->site->config_path);
}

/* The alerts of `haproxy -c`, without their prefix "[ALERT] (pid) :". */
static char *alerts(const char *log)
{
	CS_AUTO_FREE char *text = cs_strdup(log);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf words = CS_STRBUF(400);
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		const char *words_of_it = strstr(line, ") : ");

		if (strncmp(line, "[ALERT]", 7) == 0 && words_of_it)
			cs_strbuf_addf(
				&words, "%s%s", words.len ? "; " : "", words_of_it + 4);
	}
	return cs_strbuf_take(&words);
}

/* Owned by the caller. */
static char *last_line(const char *text)
{
	size_t end = strlen(text);

	while (end > 0 && text[end - 1] == '\n')
		end--;
	const char *start = memrchr(text, '\n', end);
	start = start ? start + 1 : text;
	return cs_strndup(start, end - (size_t)(start - text));
}

/* A file without a listener is no alert to it, only its last word. */
static char *words_of(const struct cs_proc_result *result)
{
	CS_AUTO_FREE char *words = alerts(cs_strbuf_text(&result->err));

	return *words ? CS_TAKE(words) : last_line(cs_strbuf_text(&result->out));
}

/* HAProxy's own check of a candidate file, under way. */
struct trial {
	const char *program;
	char *path;
	struct cs_proc proc;
};

static void trial_done(struct trial *trial)
{
	free(trial->path);
}

/* Half of what a check costs are the pages of its heap, one by one; large ones are soon
 * there. Not for a HAProxy that is to serve. Source: GNU C Library manual, Memory
 * Allocation Tunables. */
static const char large_pages[] = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1";

static int begin_trial(const struct cs_publish_world *world, const struct cs_strbuf *text,
	struct trial *trial, struct cs_error *err)
{
	trial->program = world->site->clusters[world->site->asked]->haproxy.program;
	trial->path = cs_publish_candidate_path(world);
	char *argv[] = {
		(char *)trial->program, (char *)"-c", (char *)"-f", trial->path, NULL};

	if (cs_file_replace_lightly(trial->path, cs_strbuf_text(text), text->len,
		    CS_PUBLISH_CANDIDATE_MODE, err) < 0)
		return err->code;
	return cs_proc_start(argv, large_pages, &trial->proc, err);
}

void cs_publish_check_early(struct cs_publish_world *world)
{
	char *argv[] = {world->site->clusters[world->site->asked]->haproxy.program,
		(char *)"-c", (char *)"-f", (char *)"/dev/stdin", NULL};
	struct cs_error ignored; /* the check proper will say it */

	if (!world->early.name &&
		cs_proc_start(argv, large_pages, &world->early, &ignored) < 0)
		world->early = (struct cs_proc){.name = argv[0]};
}

/* Whether the one that waited accepts what it was given. Its no may be about where it
 * read that from, and the other's words are better. */
static bool accepts_early(struct cs_publish_world *world)
{
	CS_CLEANUP(cs_proc_result_done) struct cs_proc_result result = {0};
	struct cs_error ignored;

	return cs_proc_finish(&world->early,
		       cs_deadline_within(world->deadline, VALIDATE_LIMIT_MS), &result,
		       &ignored) == 0 &&
	       result.exit_status == 0;
}

static int end_trial(
	const struct cs_publish_world *world, struct trial *trial, struct cs_error *err)
{
	CS_CLEANUP(cs_proc_result_done) struct cs_proc_result result = {0};

	if (cs_proc_finish(&trial->proc,
		    cs_deadline_within(world->deadline, VALIDATE_LIMIT_MS), &result,
		    err) < 0)
		return err->code;
	if (result.exit_status == 0) {
		unlink(trial->path);
		return 0;
	}
	CS_AUTO_FREE char *words = words_of(&result);
	return cs_error_set(err, CS_E_CONFIG,
		"HAProxy does not accept the configuration (%s -c -f %s: exit status "
		"%d): %s",
		trial->program, trial->path, result.exit_status, words);
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Without its chroot the new worker dies after the fork, and takes the old one and the
 * master with it. */
static int check_folders(const struct cs_haproxy_needs *needs, struct cs_error *err)
{
	if (needs->chroot && !is_folder(needs->chroot))
		return cs_error_set(err, CS_E_CONFIG,
			"the configuration has 'chroot %s', which is no folder here; "
			"HAProxy would accept the file and die of it",
			needs->chroot);
	for (size_t i = 0; i < needs->sockets.n; i++) {
		CS_AUTO_FREE char *copy = cs_strdup(needs->sockets.items[i]);
		const char *folder = dirname(copy);

		if (!is_folder(folder))
			return cs_error_set(err, CS_E_CONFIG,
				"the configuration has the socket %s, but there is no "
				"folder %s here; HAProxy would accept the file and not "
				"start with it",
				needs->sockets.items[i], folder);
	}
	return 0;
}

/* A template that was cut off behind its backend: HAProxy takes its stats socket for a
 * listener that is enough, and an answer of 503 for one as well. */
static int check_ways(const struct cs_haproxy_needs *needs,
	const struct cs_haproxy_needs *installed, struct cs_error *err)
{
	if (installed->binds > 0 && needs->binds == 0)
		return cs_error_set(err, CS_E_CONFIG,
			"the configuration has no 'bind' in any frontend, and the one in "
			"place has; HAProxy would accept the file and take no requests; "
			"is the end of the template missing?");
	if (installed->routes > 0 && needs->routes == 0)
		return cs_error_set(err, CS_E_CONFIG,
			"the configuration has no 'default_backend', 'use_backend' or "
			"'listen', and the one in place has; HAProxy would accept the "
			"file and answer 503 to every request; is the end of the "
			"template missing?");
	return 0;
}

/* What is known of the running HAProxy. */
struct peer {
	int64_t maxsock, maxconn; /* `show info`; 0: unknown */
	int64_t parent;	   /* of the worker: the master, which starts the next one */
	int64_t files_max; /* which that one may have open, as far as it can raise it */
	bool same_user;	   /* as we, so that what it may bind, we may */
};

/* The number behind "KEY:" at the beginning of a line; 0 when there is none. */
static int64_t number_behind(const char *text, const char *key, int base)
{
	size_t len = strlen(key);

	for (; text; text = strchr(text, '\n'), text += text != NULL) {
		if (strncmp(text, key, len) == 0 && text[len] == ':')
			return strtoll(text + len + 1, NULL, base);
	}
	return 0;
}

/* "" when it cannot be read, as it may belong to another user. */
static char *read_proc(int64_t pid, const char *name)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(SMALL_MAX);
	CS_AUTO_FREE char *path = cs_asprintf("/proc/%d/%s", (int)pid, name);
	struct cs_error ignored;

	if (cs_file_read(path, &text, &ignored) < 0)
		return cs_strdup("");
	return cs_strbuf_take(&text);
}

static void look_at_parent(struct peer *peer)
{
	CS_AUTO_FREE char *status = read_proc(peer->parent, "status");
	CS_AUTO_FREE char *limits = read_proc(peer->parent, "limits");
	uint64_t capabilities = (uint64_t)number_behind(status, "CapEff", 16);
	const char *files = strstr(limits, "Max open files");
	long long hard;

	peer->same_user = *status && number_behind(status, "Uid", 10) == geteuid();
	peer->files_max = INT64_MAX;
	if (*status && !(capabilities >> CAP_SYS_RESOURCE_BIT & 1) && files &&
		sscanf(files, "Max open files %*d %lld", &hard) == 1)
		peer->files_max = hard;
}

static struct peer look_at_peer(const struct cs_publish_world *world)
{
	const struct cs_haproxy_spec *spec =
		&world->site->clusters[world->site->asked]->haproxy;
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf info = CS_STRBUF(SMALL_MAX);
	struct peer peer = {.files_max = INT64_MAX};
	struct cs_error ignored; /* a pass that needs it has asked before */

	if (cs_haproxy_ask(spec->stats_socket, "show info",
		    cs_deadline_within(world->deadline, ASK_LIMIT_MS), &info,
		    &ignored) < 0)
		return peer;
	const char *text = cs_strbuf_text(&info);
	CS_AUTO_FREE char *status = read_proc(number_behind(text, "Pid", 10), "status");
	peer.maxsock = number_behind(text, "Maxsock", 10);
	peer.maxconn = number_behind(text, "Maxconn", 10);
	peer.parent = number_behind(status, "PPid", 10);
	look_at_parent(&peer);
	return peer;
}

static bool has(const struct cs_strings *list, const char *text)
{
	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->items[i], text) == 0)
			return true;
	}
	return false;
}

/* The errno with which HAProxy could not listen there. */
static int try_address(const char *text)
{
	struct sockaddr_storage address;
	socklen_t len = cs_haproxy_address(text, &address);
	const int one = 1;
	CS_CLEANUP(cs_closep)
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* like HAProxy, which shares a port with its own older process by this */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0)
		return 0;
	return bind(fd, (struct sockaddr *)&address, len) < 0 ? errno : 0;
}

/* The addresses that the new configuration adds. A reload that cannot bind stops the
 * running worker from accepting for the two seconds that it takes to fail. */
static int check_addresses(const struct cs_haproxy_needs *needs,
	const struct cs_haproxy_needs *running, const struct peer *peer,
	struct cs_error *err)
{
	for (size_t i = 0; peer->same_user && i < needs->addresses.n; i++) {
		const char *address = needs->addresses.items[i];
		int errnum = has(&running->addresses, address) ? 0 : try_address(address);

		if (errnum == EADDRINUSE || errnum == EADDRNOTAVAIL)
			return cs_error_set(err, CS_E_CONFIG,
				"the configuration has HAProxy listen on %s, which is "
				"not possible here (%s); HAProxy would accept the file "
				"and not start with it",
				address, strerror(errnum));
	}
	return 0;
}

/* HAProxy takes two descriptors per connection and one per checked server, and does not
 * start when it may not have them (compute_ideal_maxsock() in its haproxy.c). Without
 * maxconn it takes as many as it may. */
static int check_limits(const struct cs_haproxy_needs *needs,
	const struct cs_haproxy_needs *running, const struct peer *peer,
	struct cs_error *err)
{
	int64_t wanted = needs->ulimit_n;

	if (!wanted && needs->maxconn && peer->maxsock)
		wanted = peer->maxsock + 2 * (needs->maxconn - peer->maxconn) +
			 (int64_t)needs->servers - (int64_t)running->servers;
	if (needs->lenient_limits || wanted <= peer->files_max)
		return 0;
	return cs_error_set(err, CS_E_CONFIG,
		"with '%s %lld' HAProxy needs %lld file descriptors and may have %lld "
		"(/proc/%lld/limits); it would accept the file and not start with it; "
		"raise LimitNOFILE of its unit, or set a smaller maxconn",
		needs->ulimit_n ? "ulimit-n" : "maxconn",
		(long long)(needs->ulimit_n ? needs->ulimit_n : needs->maxconn),
		(long long)wanted, (long long)peer->files_max, (long long)peer->parent);
}

int cs_publish_check(struct cs_publish_world *world, const struct cs_strbuf *text,
	const struct cs_publish_meanwhile *meanwhile, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done)
	struct cs_strbuf installed = CS_STRBUF(CS_PUBLISH_CONFIG_MAX);
	CS_CLEANUP(cs_haproxy_needs_done) struct cs_haproxy_needs needs = {0};
	CS_CLEANUP(cs_haproxy_needs_done) struct cs_haproxy_needs running = {0};
	CS_CLEANUP(trial_done) struct trial trial = {0};
	bool early = world->early.pid != 0;
	struct cs_error unread;

	if (early)
		cs_proc_feed(&world->early, cs_strbuf_text(text), text->len);
	else if (begin_trial(world, text, &trial, err) < 0)
		return err->code;
	int r = cs_file_read(world->site->config_path, &installed, &unread);
	cs_haproxy_needs_read(cs_strbuf_text(text), &needs);
	cs_haproxy_needs_read(cs_strbuf_text(&installed), &running);
	struct peer peer = look_at_peer(world);
	if (meanwhile)
		meanwhile->call(meanwhile->context);
	if (!(early && accepts_early(world)) &&
		((early && begin_trial(world, text, &trial, err) < 0) ||
			end_trial(world, &trial, err) < 0))
		return err->code;
	if (r < 0) {
		*err = unread;
		return r;
	}
	if (check_ways(&needs, &running, err) < 0 || check_folders(&needs, err) < 0 ||
		check_addresses(&needs, &running, &peer, err) < 0 ||
		check_limits(&needs, &running, &peer, err) < 0)
		return err->code;
	return 0;
}
