/* SPDX-License-Identifier: GPL-3.0-or-later */
/* nova_scale: the scaling handler; see the manual. Fired by a monitoring core it answers
 * at once and works in the background; started by a person it works in the foreground. */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/proc.h"
#include "base/strbuf.h"
#include "cli/options.h"
#include "domain/clouds.h"
#include "nova_scale.h"

#define MARGIN_MS (120 * CS_MS_PER_S)
/* A person who waits can mend what is broken; a firing tries on until its end. */
#define PATIENCE_MS (30 * CS_MS_PER_S)
#define SERVERS_MAX 10000
#define DAY_MS (86400 * CS_MS_PER_S)

static const struct cs_option options[] = {
	{"cluster", 'n', "NAME", CS_OPTION_STRING, offsetof(struct scale_values, cluster),
		.help = "the cluster"},
	{"file", 'f', "FILE", CS_OPTION_STRING, offsetof(struct scale_values, file),
		.help = "configuration (see FILES in the manual)"},
	{"create", 0, "N", CS_OPTION_INT, offsetof(struct scale_values, create), 1,
		SERVERS_MAX, "create N servers"},
	{"delete", 0, "WHAT", CS_OPTION_STRING, offsetof(struct scale_values, remove),
		.help = "drain and delete WHAT: a number, a name or an id"},
	{"to", 0, "N", CS_OPTION_INT, offsetof(struct scale_values, to), 1, SERVERS_MAX,
		"create or delete until there are N servers"},
	{"reap", 0, NULL, CS_OPTION_FLAG, offsetof(struct scale_values, reap),
		.help = "delete orphans: ours, out of service, unknown here"},
	{"age", 0, "TIME", CS_OPTION_SECONDS, offsetof(struct scale_values, age_ms), 1000,
		INT64_C(1000) * DAY_MS, "with --reap: how old at least (1h)"},
	{"adopt", 0, "WHICH", CS_OPTION_STRING, offsetof(struct scale_values, adopt),
		.help = "make the server WHICH (name or id) a member"},
	{"snapshot", 0, "NAME", CS_OPTION_STRING, offsetof(struct scale_values, snapshot),
		.help = "make the image NAME of a server, and wait for it"},
	{"from", 0, "WHICH", CS_OPTION_STRING, offsetof(struct scale_values, from),
		.help = "with --snapshot: the server (name or id)"},
	{"status", 0, NULL, CS_OPTION_FLAG, offsetof(struct scale_values, status),
		.help = "show servers, open work and the last actions"},
	{"explain", 0, NULL, CS_OPTION_FLAG, offsetof(struct scale_values, explain),
		.help = "show the decision and every reason for it"},
	{"audit", 0, NULL, CS_OPTION_FLAG, offsetof(struct scale_values, audit),
		.help = "verify the journal and tell its story"},
	{"at", 0, "WHICH", CS_OPTION_STRING, offsetof(struct scale_values, at),
		.help = "with --explain: an action by op, server or time"},
	{"output", 0, "FORMAT", CS_OPTION_STRING, offsetof(struct scale_values, output),
		.help = "with --explain: text, or json: one document"},
	{"dry-run", 0, NULL, CS_OPTION_FLAG, offsetof(struct scale_values, dry_run),
		.help = "show what would be done"},
	{"pause", 0, NULL, CS_OPTION_FLAG, offsetof(struct scale_values, pause),
		.help = "until --resume, firings only finish open work"},
	{"resume", 0, NULL, CS_OPTION_FLAG, offsetof(struct scale_values, resume),
		.help = "end --pause; forgive failed creates"},
	{"force", 0, NULL, CS_OPTION_FLAG, offsetof(struct scale_values, force),
		.help = "let --delete and --to go below min"},
	{"rebind", 0, NULL, CS_OPTION_FLAG, offsetof(struct scale_values, rebind),
		.help = "accept that the cluster moved to another cloud"},
	{"check-config", 0, NULL, CS_OPTION_FLAG,
		offsetof(struct scale_values, check_config),
		.help = "check the configuration and stop"},
	{"show-config", 0, NULL, CS_OPTION_FLAG,
		offsetof(struct scale_values, show_config),
		.help = "show every key, its value and where that is from"},
	{"doctor", 0, NULL, CS_OPTION_FLAG, offsetof(struct scale_values, doctor),
		.help = "look at all that scaling needs, say what to do"},
	{"state", 0, "STATE", CS_OPTION_STRING, offsetof(struct scale_values, state),
		.help = "fired by a core: the service's state"},
	{"state-type", 0, "TYPE", CS_OPTION_STRING,
		offsetof(struct scale_values, state_type),
		.help = "SOFT or HARD; logged"},
	{"attempt", 0, "N", CS_OPTION_STRING, offsetof(struct scale_values, attempt),
		.help = "the check's attempt; logged"},
	{"verbose", 'v', NULL, CS_OPTION_COUNT, offsetof(struct scale_values, verbose),
		.help = "with --status: the decision as well"},
	CS_OPTIONS_COMMON, {0}};

void scale_program_done(struct scale_program *program)
{
	cs_fleet_close(program->fleet);
	cs_lock_release(&program->lock);
	cs_strings_done(&program->shown);
	cs_floating_list_done(&program->floating);
	free(program->user_data);
	free(program->image_id);
	free(program->dir);
	free(program->path);
	cs_config_free(program->config);
}

/* Nothing is open or logged yet: a line on stderr and exit status 3. */
static int refuse(const struct cs_error *err)
{
	fprintf(stderr, "nova_scale: %s\n", err->message);
	return CS_SCALE_REFUSED;
}

/* Changes the number of servers by hand. */
static bool is_ordered(const struct scale_values *values)
{
	return values->create > 0 || values->remove || values->to > 0 || values->reap;
}

static int check_values(const struct scale_values *values, struct cs_error *err)
{
	/* --dry-run is an order of its own, or tries one of these; --explain changes
	 * nothing anyhow. */
	const struct {
		const char *name;
		bool given;
	} orders[] = {{"--create", values->create > 0}, {"--delete", values->remove},
		{"--to", values->to > 0}, {"--reap", values->reap},
		{"--adopt", values->adopt}, {"--snapshot", values->snapshot},
		{"--status", values->status}, {"--explain", values->explain},
		{"--audit", values->audit}, {"--pause", values->pause},
		{"--resume", values->resume}, {"--rebind", values->rebind},
		{"--check-config", values->check_config},
		{"--show-config", values->show_config}, {"--doctor", values->doctor},
		{"--dry-run",
			values->dry_run && !values->explain && !is_ordered(values)}};
	const char *first = NULL;

	if (!values->cluster)
		return cs_error_set(err, CS_E_USAGE, "which cluster? say -n NAME");
	for (size_t i = 0; i < CS_ARRAY_SIZE(orders); i++) {
		if (orders[i].given && first)
			return cs_error_set(err, CS_E_USAGE,
				"%s and %s do not go together: give one of them", first,
				orders[i].name);
		if (orders[i].given)
			first = orders[i].name;
	}
	if (values->state && (first || values->force))
		return cs_error_set(err, CS_E_USAGE,
			"--state says that a core fired this: it goes with no order");
	if (values->from && !values->snapshot)
		return cs_error_set(err, CS_E_USAGE, "--from goes with --snapshot");
	if (values->at && !values->explain)
		return cs_error_set(err, CS_E_USAGE, "--at goes with --explain");
	if (values->output &&
		(!values->explain || (strcmp(values->output, "json") != 0 &&
					     strcmp(values->output, "text") != 0)))
		return cs_error_set(err, CS_E_USAGE,
			"--output goes with --explain and is text or json");
	if (values->force && !values->remove && !values->to && !values->reap)
		return cs_error_set(err, CS_E_USAGE,
			"--force only goes with --delete, --to and --reap");
	if (values->age_ms && !values->reap)
		return cs_error_set(err, CS_E_USAGE, "--age only goes with --reap");
	return 0;
}

int scale_load(struct scale_program *program, struct cs_error *err)
{
	const struct scale_values *values = &program->values;

	if (cs_config_load(values->file, &program->config, err) < 0 ||
		cs_config_cluster(
			program->config, values->cluster, &program->cluster, err) < 0)
		return err->code;
	program->path = realpath(program->config->path, NULL);
	if (!program->path)
		return cs_error_set_errno(
			err, errno, "cannot resolve %s", program->config->path);
	program->dir = cs_config_cluster_dir(program->config, program->cluster);
	return 0;
}

/* The log: syslog, and the configured file. */
static int open_program(struct scale_program *program, struct cs_error *err)
{
	const struct scale_values *values = &program->values;

	if (scale_load(program, err) < 0)
		return err->code;
	cs_log_open("nova_scale", program->cluster->name, false);
	if (values->check_config || values->show_config)
		return 0;
	if (cs_state_dir_open(program->dir, 0750, err) < 0)
		return err->code == CS_E_IO
			       ? cs_error_advise(
					 err, "state-dir is set in %s", program->path)
			       : err->code;
	if (program->config->log_file &&
		cs_log_to_file(program->config->log_file, err) < 0)
		return err->code;
	return 0;
}

/* What is asked of the loop. `--delete 3` is a number, everything else names a server. */
static void make_scale(struct scale_program *program, const struct cs_scale_ports *ports,
	struct cs_scale *ret)
{
	const struct scale_values *values = &program->values;
	const struct cs_cluster *cluster = program->cluster;
	bool counts =
		values->remove && cs_parse_int(values->remove, 1, SERVERS_MAX, &ret->n);

	ret->cluster = cluster;
	ret->ports = ports;
	ret->force = values->force;
	ret->limit_ms = cluster->servers.build_timeout_ms +
			cluster->haproxy.drain_timeout_ms + MARGIN_MS;
	ret->trouble_ms = values->state ? ret->limit_ms : PATIENCE_MS;
	if (values->create > 0) {
		ret->verb = CS_SCALE_CREATE;
		ret->n = values->create;
	} else if (values->to > 0) {
		ret->verb = CS_SCALE_TO;
		ret->n = values->to;
	} else if (values->remove) {
		ret->verb = CS_SCALE_DELETE;
		ret->target = counts ? NULL : values->remove;
	} else if (values->reap) {
		ret->verb = CS_SCALE_REAP;
		ret->age_ms = values->age_ms ? values->age_ms : CS_PLAN_ORPHAN_MS;
	}
	/* The state word only wakes: a WARNING or CRITICAL is reason enough to look. */
	if (values->state)
		ret->finish_only = strcmp(values->state, "WARNING") != 0 &&
				   strcmp(values->state, "CRITICAL") != 0;
}

/* The lock is held. */
static int reconcile(struct scale_program *program)
{
	struct cs_scale_ports ports;
	struct cs_scale scale = {0};
	struct cs_error err;

	scale_ports(program, &ports);
	make_scale(program, &ports, &scale);
	if (program->cluster->mode == CS_MODE_OBSERVE)
		return scale_show_decision(program, &scale);
	program->acts = true;
	program->measured = scale.finish_only || scale.verb != CS_SCALE_DECIDE;
	if (cs_journal_rotate(program->dir, cs_log_run_id(), &err) < 0)
		return scale_failed(program, &err);
	return cs_scale_run(&scale);
}

/* Fired. */

static bool is_state(const char *word)
{
	static const char *const states[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

	for (size_t i = 0; i < CS_ARRAY_SIZE(states); i++) {
		if (strcmp(word, states[i]) == 0)
			return true;
	}
	return false;
}

static int fired_child(struct scale_program *program)
{
	const struct scale_values *values = &program->values;
	struct cs_error err;

	if (scale_lock(program, &err) < 0) {
		scale_say(program, LOG_INFO, "%s: nothing is done here", err.message);
		return CS_SCALE_CONVERGED;
	}
	scale_say(program, LOG_INFO, "fired: state '%s', type '%s', attempt '%s'",
		values->state, values->state_type ? values->state_type : "",
		values->attempt ? values->attempt : "");
	if (!is_state(values->state))
		scale_say(program, LOG_WARNING,
			"state '%s' is none of OK, WARNING, CRITICAL and UNKNOWN, so "
			"that nothing is scaled; is the core's macro for the state of "
			"the service right?",
			values->state);
	int outcome = reconcile(program);
	scale_say(program, LOG_INFO, "ended with exit status %d", outcome);
	return outcome;
}

/* A core waits for its handler and kills it: one line, and away. */
static int fired(struct scale_program *program)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/lock", program->dir);
	const char *name = program->cluster->name;
	struct cs_error err;

	if (cs_lock_peek(path, &err) == CS_E_LOCKED) {
		scale_say(program, LOG_INFO, "cluster '%s': %s; nothing to do", name,
			err.message);
		return CS_SCALE_CONVERGED;
	}
	CS_AUTO_FREE char *line =
		cs_asprintf("cluster '%s': state '%s', run %s works in the background",
			name, program->values.state, cs_log_run_id());
	cs_text_clean(line);
	puts(line);
	fflush(stdout);
	switch (cs_proc_detach(&err)) {
	case 0:
		return fired_child(program);
	case 1:
		return CS_SCALE_CONVERGED;
	default:
		return scale_failed(program, &err);
	}
}

/* By hand. */

static int refuse_to_observe(struct scale_program *program)
{
	struct cs_error err;

	cs_error_set(&err, CS_E_REFUSED,
		"cluster '%s' is in mode observe: nothing is changed; set mode: act in "
		"%s",
		program->cluster->name, program->path);
	return scale_failed(program, &err);
}

static bool is_paused(struct scale_program *program)
{
	CS_CLEANUP(cs_journal_done) struct cs_journal journal = {0};
	struct cs_error err;

	return scale_load_journal(program, &journal, &err) == 0 && journal.paused;
}

static void say_how_it_ended(
	struct scale_program *program, enum cs_scale_outcome outcome, bool ordered)
{
	if (program->terminal)
		fputs("\r\033[K", stdout);
	if (ordered && program->began && !is_paused(program))
		printf("The next firing may undo this; to keep it: nova_scale -n %s "
		       "--pause\n",
			program->cluster->name);
	if (outcome == CS_SCALE_CONVERGED)
		puts("Done");
}

static int by_hand(struct scale_program *program)
{
	const struct scale_values *values = &program->values;
	bool ordered = is_ordered(values);
	struct cs_error err;

	if (ordered && program->cluster->mode == CS_MODE_OBSERVE)
		return refuse_to_observe(program);
	if (scale_lock(program, &err) < 0) {
		if (ordered && err.code == CS_E_LOCKED)
			cs_error_advise(&err, "--status shows what it does; try again "
					      "when it has ended");
		if (ordered || err.code != CS_E_LOCKED)
			return scale_failed(program, &err);
		/* The holder does what was wanted here. */
		scale_say(program, LOG_INFO, "%s: nothing is done here", err.message);
		return CS_SCALE_OPEN;
	}
	program->terminal = isatty(STDOUT_FILENO);
	int outcome = reconcile(program);
	if (program->cluster->mode == CS_MODE_ACT)
		say_how_it_ended(program, outcome, ordered);
	return outcome;
}

static int dry_run(struct scale_program *program)
{
	struct cs_scale_ports ports;
	struct cs_scale scale = {0};

	scale_ports(program, &ports);
	make_scale(program, &ports, &scale);
	return scale_show_decision(program, &scale);
}

static int show_status(struct scale_program *program)
{
	int outcome = scale_show_status(program);

	if (program->values.verbose && outcome <= CS_SCALE_OPEN) {
		program->values.explain = true;
		dry_run(program);
	}
	return outcome;
}

static int check_config(const struct scale_program *program)
{
	CS_CLEANUP(cs_credentials_done) struct cs_credentials credentials = {0};
	struct cs_error err;

	if (cs_clouds_find(program->config->clouds_file, program->cluster->cloud,
		    &credentials, &err) < 0 ||
		scale_check_commands(program, &err) < 0)
		return refuse(&err);
	printf("%s: good\n", program->path);
	return CS_SCALE_CONVERGED;
}

/* The configuration as it is understood, and who it is in the cloud. */
static int show_config(const struct scale_program *program)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(CS_YAML_SIZE_MAX);
	CS_CLEANUP(cs_credentials_done) struct cs_credentials credentials = {0};
	struct cs_error err;

	if (cs_config_show(program->path, &text, &err) < 0)
		return refuse(&err);
	fputs(cs_strbuf_text(&text), stdout);
	if (cs_clouds_find(program->config->clouds_file, program->cluster->cloud,
		    &credentials, &err) < 0) {
		printf("# cluster %s: %s\n", program->cluster->name, err.message);
		return CS_SCALE_REFUSED;
	}
	printf("# cluster %s: %s: auth_url %s, secret hidden\n", program->cluster->name,
		credentials.source, credentials.auth_url ? credentials.auth_url : "none");
	return CS_SCALE_CONVERGED;
}

static int dispatch(struct scale_program *program)
{
	const struct scale_values *values = &program->values;
	bool observes = program->cluster->mode == CS_MODE_OBSERVE;

	if (values->check_config)
		return check_config(program);
	if (values->show_config)
		return show_config(program);
	if (values->state)
		return fired(program);
	if (values->status)
		return show_status(program);
	if (values->audit)
		return scale_audit(program);
	if (values->at)
		return scale_show_story(program);
	if (values->explain || values->dry_run)
		return dry_run(program);
	if (values->pause || values->resume)
		return scale_pause(program, values->pause);
	if (observes && (values->adopt || values->rebind || values->snapshot))
		return refuse_to_observe(program);
	program->acts = values->adopt || values->rebind || values->snapshot;
	if (values->snapshot)
		return scale_snapshot(program);
	if (values->adopt)
		return scale_adopt(program);
	return values->rebind ? scale_rebind(program) : by_hand(program);
}

int main(int argc, char **argv)
{
	CS_CLEANUP(scale_program_done)
	struct scale_program program = {.lock = CS_LOCK_NONE};
	struct cs_error err;
	int run = cs_options_parse(options, argc, argv, &program.values, &err);

	if (run == CS_RUN_HELP) {
		cs_options_help(options, "nova_scale", "-n NAME [-f FILE] [ORDER]",
			"Brings a cluster's servers in line with its load.");
		return 0;
	}
	if (run == CS_RUN_VERSION) {
		cs_options_version("nova_scale");
		return 0;
	}
	if (run < 0 || check_values(&program.values, &err) < 0)
		return refuse(&err);
	if (program.values.state)
		cs_proc_clean_inheritance();
	setenv("PATH", SCALE_SEARCH_PATH, 1);
	if (program.values.doctor)
		return scale_doctor(&program);
	if (open_program(&program, &err) < 0)
		return refuse(&err);
	return dispatch(&program);
}
