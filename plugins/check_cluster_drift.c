/* SPDX-License-Identifier: GPL-3.0-or-later */
/* check_cluster_drift: Nova, the load balancers, the journal and the history against each
 * other; see the manual. Changes nothing. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/options.h"
#include "cli/plugin_output.h"
#include "drift_report.h"
#include "domain/fleet.h"
#include "domain/lb_ask.h"
#include "domain/scale.h"

/* Kept back from -t for writing the result. */
#define RESERVE_SHARE 4
/* As nova_scale has it: a command that works there is found here. */
#define SEARCH_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct values {
	const char *cluster, *file, *output;
	int64_t open_age_ms, history_age_ms, timeout_ms;
	int verbose;
	bool check_config;
};

#define AT(member) .offset = offsetof(struct values, member)
static const struct cs_option options[] = {
	{"cluster", 'n', "NAME", CS_OPTION_STRING, AT(cluster),
		.help = "the cluster, as the configuration names it"},
	{"file", 'f', "FILE", CS_OPTION_STRING, AT(file),
		.help = "read FILE instead of clusterscale.yaml"},
	{"open-age", 0, "SECONDS", CS_OPTION_SECONDS, AT(open_age_ms), 1000, 864000000,
		"CRITICAL when work has been open for longer"},
	{"history-age", 0, "SECONDS", CS_OPTION_SECONDS, AT(history_age_ms), 1000,
		864000000, "CRITICAL when the newest measurement is older"},
	{"timeout", 't', "SECONDS", CS_OPTION_SECONDS, AT(timeout_ms), 500, 3600000,
		"give up after so long (10)"},
	{"output", 0, "FORMAT", CS_OPTION_STRING, AT(output),
		.help = "text, or json: one document"},
	{"verbose", 'v', NULL, CS_OPTION_COUNT, AT(verbose),
		.help = "say what the load balancers have"},
	{"check-config", 0, NULL, CS_OPTION_FLAG, AT(check_config),
		.help = "check the configuration and compare nothing"},
	CS_OPTIONS_COMMON, {0}};
#undef AT

static _Noreturn void fail(const struct cs_error *err)
{
	cs_plugin_fail(err->message);
}

/* Help and version exit 3 as for any plugin. */
static void parse_options(int argc, char **argv, struct values *values)
{
	struct cs_error err;
	int run = cs_options_parse(options, argc, argv, values, &err);

	if (run == CS_RUN_HELP) {
		cs_options_help(options, "check_cluster_drift", "-n NAME",
			"Do the cloud, the load balancers, the journal and the history "
			"agree?");
		exit(CS_UNKNOWN);
	}
	if (run == CS_RUN_VERSION) {
		cs_options_version("check_cluster_drift");
		exit(CS_UNKNOWN);
	}
	cs_plugin_use_output(values->output);
	if (run < 0)
		fail(&err);
	if (!values->cluster && !values->check_config)
		cs_plugin_fail("a cluster's name is needed (-n NAME); see --help");
}

/* What the look at a cluster needs; for the ports of cs_scale_see(). */
struct scope {
	const struct cs_config *config;
	const struct cs_cluster *cluster;
	struct cs_deadline deadline;
	struct cs_fleet *fleet;
	char *dir;
	struct cs_error journal_trouble, history_trouble; /* code 0: none */
};

/* What cannot be read is a finding, and the rest is compared all the same. */
static int port_load(void *context, const struct cs_stamp *now, struct cs_journal *ret,
	struct cs_error *err)
{
	struct scope *scope = context;

	if (cs_journal_load(scope->dir, now, ret, err) < 0) {
		scope->journal_trouble = *err;
		*ret = (struct cs_journal){0};
	}
	return 0;
}

static int port_history(void *context, struct cs_history *ret, struct cs_error *err)
{
	struct scope *scope = context;
	int r = cs_history_load(scope->dir, CS_POLICY_HISTORY_MAX, ret, err);

	if (r < 0 && r != CS_E_NOT_FOUND)
		scope->history_trouble = *err;
	return r < 0 ? cs_error_set(err, CS_E_NOT_FOUND, "no measurement") : 0;
}

/* Half of the time is left for the load balancers. */
static int port_look(void *context, struct cs_fleet_view *ret, struct cs_error *err)
{
	struct scope *scope = context;
	int64_t left_ms = cs_deadline_left_ms(scope->deadline);

	if (cs_fleet_open(scope->config, scope->cluster, scope->cluster->cloud,
		    cs_deadline_in(left_ms / 2), &scope->fleet, err) < 0 ||
		cs_fleet_look(scope->fleet, ret, err) < 0)
		return cs_error_prefix(err, "cluster '%s': no list of its servers",
			scope->cluster->name);
	return 0;
}

static void port_now(void *context, struct cs_stamp *ret)
{
	(void)context;
	cs_stamp_now(ret);
}

/* One that hangs takes no other one's time. */
static void ask_lbs(struct scope *scope, struct cs_drift_lb *lbs,
	struct cs_lb_status *statuses, struct cs_error *troubles)
{
	size_t n = scope->cluster->n_load_balancers;

	for (size_t i = 0; i < n; i++) {
		const struct cs_load_balancer *lb = &scope->cluster->load_balancers[i];
		int64_t share_ms =
			cs_deadline_left_ms(scope->deadline) / (int64_t)(n - i);

		lbs[i] =
			(struct cs_drift_lb){.name = lb->name, .asked = lb->status.n > 0};
		if (!lbs[i].asked)
			continue;
		if (cs_lb_ask(lb, cs_deadline_in(share_ms), &statuses[i], &troubles[i]) <
			0)
			lbs[i].trouble = troubles[i].message;
		else
			lbs[i].status = &statuses[i];
	}
}

static const char *trouble_text(const struct cs_error *trouble)
{
	return trouble->code ? trouble->message : NULL;
}

static _Noreturn void compare(struct scope *scope, const struct values *values)
{
	const struct cs_scale_ports ports = {.context = scope,
		.load_journal = port_load,
		.history = port_history,
		.look = port_look,
		.now = port_now};
	const struct cs_scale scale = {.cluster = scope->cluster, .ports = &ports};
	size_t n = scope->cluster->n_load_balancers;
	struct cs_drift_lb *lbs = cs_calloc(n + 1, sizeof *lbs);
	struct cs_lb_status *statuses = cs_calloc(n + 1, sizeof *statuses);
	struct cs_error *troubles = cs_calloc(n + 1, sizeof *troubles);
	struct cs_sight sight;
	struct cs_drift drift;
	struct cs_error err;

	if (cs_scale_see(&scale, &sight, &err) < 0)
		fail(&err);
	ask_lbs(scope, lbs, statuses, troubles);
	const struct cs_drift_input in = {.cluster = scope->cluster,
		.view = &sight.view,
		.journal = &sight.journal,
		.history = &sight.history,
		.journal_trouble = trouble_text(&scope->journal_trouble),
		.history_trouble = trouble_text(&scope->history_trouble),
		.auth_url = cs_fleet_auth_url(scope->fleet),
		.project = cs_fleet_project_id(scope->fleet),
		.region = cs_fleet_region(scope->fleet),
		.census = &sight.policy_input.census,
		.decision = &sight.decision,
		.lbs = lbs,
		.n_lbs = n,
		.open_age_ms = values->open_age_ms,
		.history_age_ms = values->history_age_ms,
		.now = sight.now};
	cs_drift_find(&in, &drift);
	if (strcmp(values->output, "json") == 0)
		drift_report_json(&in, &drift);
	drift_report_text(&in, &drift, values->verbose);
}

int main(int argc, char **argv)
{
	struct values values = {.output = "text", .timeout_ms = 10 * CS_MS_PER_S};
	struct cs_config *config;
	struct scope scope = {0};
	struct cs_error err;

	cs_plugin_begin("CLUSTER DRIFT");
	parse_options(argc, argv, &values);
	cs_plugin_watchdog(values.timeout_ms);
	setenv("PATH", SEARCH_PATH, 1);
	if (cs_config_load(values.file, &config, &err) < 0 ||
		(values.cluster && cs_config_cluster(config, values.cluster,
					   &scope.cluster, &err) < 0))
		fail(&err);
	if (values.check_config) {
		CS_AUTO_FREE char *summary = cs_asprintf("%s is valid", config->path);
		cs_plugin_end(CS_OK, summary, "", "");
	}
	scope.config = config;
	scope.dir = cs_config_cluster_dir(config, scope.cluster);
	scope.deadline =
		cs_deadline_in(values.timeout_ms - values.timeout_ms / RESERVE_SHARE);
	compare(&scope, &values);
}
