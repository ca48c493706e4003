/* SPDX-License-Identifier: GPL-3.0-or-later */
/* haproxy_sync: the load-balancer handler. Options and rights, one pass of
 * domain/publish, one line of JSON. */
#include <config.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/trust.h"
#include "cli/options.h"
#include "domain/clouds.h"
#include "domain/publish.h"

#define PROGRAM "haproxy_sync"
/* nova_scale gives it 60 s, the wait for other runs included. */
#define RUN_LIMIT_MS 55000

/* Where root looks for haproxy and diff, whatever PATH says. */
#define ROOT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
/* Event handlers are often started without the folders of haproxy. */
#define MORE_PATH ":/usr/local/sbin:/usr/sbin:/sbin"

enum exit_status { EXIT_CONVERGED, EXIT_OPEN, EXIT_FAILED, EXIT_REFUSED };

struct values {
	const char *cluster, *file;
	bool dry_run, allow_empty, status, verbose, check_config;
};

#define AT(member) .offset = offsetof(struct values, member)
static const struct cs_option options[] = {
	{"cluster", 'n', "NAME", CS_OPTION_STRING, AT(cluster),
		.help = "the cluster, as the configuration names it"},
	{"file", 'f', "FILE", CS_OPTION_STRING, AT(file),
		.help = "another configuration (not as root)"},
	{"dry-run", 0, NULL, CS_OPTION_FLAG, AT(dry_run),
		.help = "show what would change in HAProxy's file"},
	{"allow-empty", 0, NULL, CS_OPTION_FLAG, AT(allow_empty),
		.help = "the backend may be left without any server"},
	{"status", 0, NULL, CS_OPTION_FLAG, AT(status),
		.help = "show what HAProxy and its file have, change nothing"},
	{"verbose", 'v', NULL, CS_OPTION_FLAG, AT(verbose),
		.help = "say what is done, as on a terminal"},
	{"check-config", 0, NULL, CS_OPTION_FLAG, AT(check_config),
		.help = "read the configuration, say what is wrong with it"},
	CS_OPTIONS_COMMON, {0}};
#undef AT

static bool verbose;

static void say(int priority, const char *text)
{
	if (priority < LOG_DEBUG) /* one line per server and run is not for a log */
		cs_log(priority, "%s", text);
	if (priority <= LOG_WARNING)
		fprintf(stderr, PROGRAM ": %s\n", text);
	else if (verbose)
		printf("%s\n", text);
}

static enum exit_status fail(const struct cs_error *err)
{
	say(LOG_ERR, err->message);
	switch (err->code) {
	case CS_E_LOCKED:
		return EXIT_OPEN;
	case CS_E_USAGE:
	case CS_E_CONFIG:
	case CS_E_REFUSED:
		return EXIT_REFUSED;
	default:
		return EXIT_FAILED;
	}
}

/* Root does what a file says, and runs it, only when nobody else can have written it. The
 * state folder is looked at where it is opened. */
static int check_root_files(const struct cs_config *config,
	const struct cs_cluster *cluster, struct cs_error *err)
{
	const struct cs_haproxy_spec *haproxy = &cluster->haproxy;
	const char *const paths[] = {
		config->clouds_file ? config->clouds_file : CS_CLOUDS_SITE_FILE,
		haproxy->template_path, haproxy->config_path, haproxy->state_file,
		haproxy->program,
		haproxy->reload.n > 0 ? haproxy->reload.items[0] : NULL};

	if (strcmp(haproxy->cloud, CS_CLOUDS_ENVIRONMENT) == 0)
		return cs_error_set(err, CS_E_REFUSED,
			"haproxy.cloud is '%s', and this runs as root, which believes no "
			"environment; name a cloud of %s",
			haproxy->cloud, paths[0]);
	for (size_t i = 0; i < CS_ARRAY_SIZE(paths); i++) {
		/* a program without a path is searched in root's own folders */
		if (paths[i] && *paths[i] == '/' && cs_trust_check(paths[i], err) < 0)
			return err->code;
	}
	if (cs_trust_check_socket(haproxy->stats_socket, err) < 0 ||
		(haproxy->master_socket &&
			cs_trust_check_socket(haproxy->master_socket, err) < 0))
		return err->code;
	return 0;
}

/* Before anything is read. */
static int check_root_start(const struct values *values, struct cs_error *err)
{
	if (values->file)
		return cs_error_set(err, CS_E_REFUSED,
			"-f is not taken from root's hands: a sudo rule for this program "
			"would be one for every file; use " CS_CONFIG_PATH);
	return cs_trust_check(CS_CONFIG_PATH, err);
}

/* Nothing of root's environment counts: it may be that of whoever called sudo. */
static void set_environment(bool root)
{
	const char *old = root ? NULL : getenv("PATH");
	CS_AUTO_FREE char *path =
		root ? cs_strdup(ROOT_PATH)
		     : cs_asprintf("%s" MORE_PATH, old ? old : "/usr/bin:/bin");

	if (root)
		clearenv();
	setenv("PATH", path, 1);
}

static int publish(const struct cs_config *config, const struct cs_cluster *cluster,
	const struct values *values, struct cs_publish_report *ret, struct cs_error *err)
{
	CS_CLEANUP(cs_publish_site_close)
	struct cs_publish_site site = {.lock = CS_LOCK_NONE};
	struct cs_deadline deadline = cs_deadline_in(RUN_LIMIT_MS);

	if (cs_publish_site_open(config, cluster, &site, err) < 0)
		return err->code;
	site.allow_empty = values->allow_empty;
	CS_CLEANUP(cs_publish_world_done)
	struct cs_publish_world world = {
		.config = config, .site = &site, .deadline = deadline, .say = say};
	struct cs_publish_ports ports = cs_publish_world_ports(&world);
	return cs_publish_run(&site, &ports, values->dry_run, ret, err);
}

static enum exit_status say_good(const struct cs_config *config)
{
	printf("%s: good\n", config->path);
	return EXIT_CONVERGED;
}

static const char *own_name(char ret[HOST_NAME_MAX + 1])
{
	snprintf(ret, HOST_NAME_MAX + 1, "localhost");
	gethostname(ret, HOST_NAME_MAX);
	return ret;
}

/* Changes nothing, asks no cloud and waits for nobody. */
static enum exit_status show(const struct cs_config *config,
	const struct cs_cluster *cluster, const struct values *values)
{
	CS_CLEANUP(cs_publish_site_close)
	struct cs_publish_site site = {.lock = CS_LOCK_NONE};
	CS_CLEANUP(cs_lb_status_done) struct cs_lb_status status = {0};
	char lb[HOST_NAME_MAX + 1];
	struct cs_error err;

	if (cs_publish_site_look(config, cluster, &site, &err) < 0)
		return fail(&err);
	struct cs_publish_world world = {.config = config,
		.site = &site,
		.deadline = cs_deadline_in(RUN_LIMIT_MS),
		.say = say};
	struct cs_publish_ports ports = cs_publish_world_ports(&world);
	if (values->check_config)
		return cs_publish_check_template(&site, &ports, &err) < 0
			       ? fail(&err)
			       : say_good(config);
	if (cs_publish_status(&site, &ports, &status, &err) < 0)
		return fail(&err);
	CS_AUTO_FREE char *text = cs_lb_status_text(&status, own_name(lb));
	printf("%s\n", text);
	return fflush(stdout) != 0 ? EXIT_FAILED : EXIT_CONVERGED;
}

static enum exit_status finish(const struct cs_publish_report *report)
{
	char lb[HOST_NAME_MAX + 1];

	if (report->diff)
		fputs(report->diff, stdout);
	CS_AUTO_FREE char *text = cs_publish_report_text(report, own_name(lb));
	printf("%s\n", text);
	if (fflush(stdout) != 0)
		return EXIT_FAILED;
	return report->open || (report->diff && *report->diff) ? EXIT_OPEN
							       : EXIT_CONVERGED;
}

static enum exit_status run(const struct values *values)
{
	/* Never released: the program ends, and is waited for. */
	static struct cs_config *config;
	static struct cs_publish_report report;
	const struct cs_cluster *cluster = NULL;
	bool root = geteuid() == 0;
	struct cs_error err;

	set_environment(root);
	if ((root && check_root_start(values, &err) < 0) ||
		cs_config_load(values->file, &config, &err) < 0 ||
		(values->cluster &&
			cs_config_cluster(config, values->cluster, &cluster, &err) < 0))
		return fail(&err);
	if (root && cluster && check_root_files(config, cluster, &err) < 0)
		return fail(&err);
	if (values->check_config && !cluster)
		return say_good(config);
	if (values->check_config || values->status)
		return show(config, cluster, values);
	if (publish(config, cluster, values, &report, &err) < 0)
		return fail(&err);
	return finish(&report);
}

int main(int argc, char **argv)
{
	struct values values = {0};
	struct cs_error err;
	int r = cs_options_parse(options, argc, argv, &values, &err);

	if (r == CS_RUN_HELP) {
		cs_options_help(options, PROGRAM, "-n NAME [--dry-run] [-v]",
			"Brings HAProxy's configuration and servers in line with a "
			"cluster.");
		return EXIT_CONVERGED;
	}
	if (r == CS_RUN_VERSION) {
		cs_options_version(PROGRAM);
		return EXIT_CONVERGED;
	}
	if (r == 0 && !values.cluster && !values.check_config)
		r = cs_error_set(&err, CS_E_USAGE,
			"a cluster's name is needed (-n NAME); see --help");
	cs_proc_clean_inheritance();
	verbose = values.verbose || isatty(STDOUT_FILENO);
	cs_log_open(PROGRAM, values.cluster ? values.cluster : "-", false);
	r = r < 0 ? (int)fail(&err) : (int)run(&values);
	if (fflush(stdout) != 0)
		r = EXIT_FAILED;
#ifndef CS_SANITIZERS /* whose word on leaks comes at the very end */
	_exit(r);     /* the farewells of a dozen libraries take two milliseconds */
#endif
	return r;
}
