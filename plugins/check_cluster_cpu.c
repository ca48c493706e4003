/* SPDX-License-Identifier: GPL-3.0-or-later */
/* check_cluster_cpu: one CPU figure for a cluster, measured over SNMP; see the manual. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/options.h"
#include "cli/plugin_output.h"
#include "cpu_report.h"
#include "cpu_scope.h"
#include "domain/measure.h"

/* Kept back from -t for writing the result: a disk can be slow when it matters. */
#define RESERVE_SHARE 4

struct values {
	struct cpu_source source;
	const char *warn, *crit, *output;
	int64_t timeout_ms;
	int verbose;
	bool per_instance, check_config;
};

static const struct cs_option options[] = {
	{"cluster", 'n', "NAME", CS_OPTION_STRING,
		offsetof(struct values, source.cluster),
		.help = "measure this cluster of the configuration"},
	{"file", 'f', "FILE", CS_OPTION_STRING,
		offsetof(struct values, source.config_file),
		.help = "read FILE instead of clusterscale.yaml"},
	{"host", 'H', "HOST", CS_OPTION_STRINGS, offsetof(struct values, source.hosts),
		.help = "measure HOST, HOST:PORT or [IPV6]:PORT; repeatable"},
	{"hosts", 0, "FILE", CS_OPTION_STRING, offsetof(struct values, source.hosts_file),
		.help = "measure the hosts in FILE, one a line"},
	{"community", 'C', "COMMUNITY", CS_OPTION_SECRET,
		offsetof(struct values, source.community),
		.help = "SNMP v1 or v2c community"},
	{"community-file", 0, "FILE", CS_OPTION_STRING,
		offsetof(struct values, source.community_file),
		.help = "read the community from FILE"},
	{"protocol", 'P', "VERSION", CS_OPTION_STRING,
		offsetof(struct values, source.version), .help = "SNMP 1, 2c or 3 (2c)"},
	{"secname", 'U', "USER", CS_OPTION_STRING, offsetof(struct values, source.user),
		.help = "SNMPv3 user"},
	{"seclevel", 'L', "LEVEL", CS_OPTION_STRING,
		offsetof(struct values, source.level),
		.help = "noAuthNoPriv, authNoPriv or authPriv (authPriv)"},
	{"authproto", 'a', "PROTOCOL", CS_OPTION_STRING,
		offsetof(struct values, source.auth_protocol),
		.help = "MD5, SHA, SHA-224 ... SHA-512 (SHA)"},
	{"authpass-file", 0, "FILE", CS_OPTION_STRING,
		offsetof(struct values, source.auth_password_file),
		.help = "read the authentication password from FILE"},
	{"privproto", 'x', "PROTOCOL", CS_OPTION_STRING,
		offsetof(struct values, source.priv_protocol),
		.help = "DES, AES, AES-192 or AES-256 (AES)"},
	{"privpass-file", 0, "FILE", CS_OPTION_STRING,
		offsetof(struct values, source.priv_password_file),
		.help = "read the privacy password from FILE"},
	{"context", 'N', "NAME", CS_OPTION_STRING,
		offsetof(struct values, source.context), .help = "SNMPv3 context"},
	{"source", 0, "SOURCE", CS_OPTION_STRING, offsetof(struct values, source.source),
		.help = "ucd, host-resources or auto (auto)"},
	{"aggregate", 0, "WAY", CS_OPTION_STRING,
		offsetof(struct values, source.aggregate),
		.help = "mean, max, median, p90 or p95 (mean)"},
	{"warning", 'w', "RANGE", CS_OPTION_STRING, offsetof(struct values, warn),
		.help = "WARNING by the load in percent"},
	{"critical", 'c', "RANGE", CS_OPTION_STRING, offsetof(struct values, crit),
		.help = "CRITICAL by the load in percent"},
	{"timeout", 't', "SECONDS", CS_OPTION_SECONDS,
		offsetof(struct values, timeout_ms), 500, 3600000,
		"give up after so long (10)"},
	{"retries", 'e', "NUMBER", CS_OPTION_INT, offsetof(struct values, source.retries),
		0, CS_SNMP_RETRIES_MAX, "ask a silent host again so often (10)"},
	{"output", 0, "FORMAT", CS_OPTION_STRING, offsetof(struct values, output),
		.help = "text, or json: one document"},
	{"perfdata-per-instance", 0, NULL, CS_OPTION_FLAG,
		offsetof(struct values, per_instance),
		.help = "performance data for each server"},
	{"verbose", 'v', NULL, CS_OPTION_COUNT, offsetof(struct values, verbose),
		.help = "say where the ticks went"},
	{"dry-run", 0, NULL, CS_OPTION_FLAG, offsetof(struct values, source.dry_run),
		.help = "ask the members of the cluster once, keep nothing"},
	{"check-config", 0, NULL, CS_OPTION_FLAG, offsetof(struct values, check_config),
		.help = "check the configuration and measure nothing"},
	CS_OPTIONS_COMMON, {0}};

static _Noreturn void fail(const struct cs_error *err)
{
	cs_plugin_fail(err->message);
}

static _Noreturn void print_help(void)
{
	cs_options_help(options, "check_cluster_cpu",
		"-n NAME | -H HOST ... --community-file FILE",
		"One CPU figure for all servers of a cluster, measured over SNMP.");
	exit(CS_UNKNOWN);
}

/* Help and version exit 3 as for any plugin. */
static void parse_options(int argc, char **argv, struct values *values)
{
	struct cs_error err;
	int run = cs_options_parse(options, argc, argv, values, &err);

	if (run == CS_RUN_HELP)
		print_help();
	if (run == CS_RUN_VERSION) {
		cs_options_version("check_cluster_cpu");
		exit(CS_UNKNOWN);
	}
	cs_plugin_use_output(values->output);
	if (run < 0)
		fail(&err);
}

static void parse_range(const char *option, const char *text, struct cs_threshold *ret)
{
	struct cs_error err;

	if (!text || cs_threshold_parse(text, ret, &err) == 0)
		return;
	cs_error_prefix(&err, "option --%s", option);
	fail(&err);
}

static _Noreturn void check_config(const struct cpu_source *source)
{
	struct cs_error err;
	char *summary;

	if (cpu_config_check(source, &summary, &err) < 0)
		fail(&err);
	cs_plugin_end(CS_OK, summary, "", "");
}

/* The very first figure of a cluster rests on a few seconds of a system that is just
 * being set up: people see it, nova_scale is told what the samples were, a beginning. */
static struct cs_measurement what_counts(
	const struct cpu_scope *scope, const struct cs_measure_result *result)
{
	struct cs_measurement counts = result->measurement, before;
	struct cs_error err;

	if (result->twice &&
		cs_history_last(scope->state_dir, &before, &err) == CS_E_NOT_FOUND) {
		counts.warming += counts.sampled;
		counts.sampled = 0;
		counts.load_permille = -1;
		counts.above_mean_permille = 0;
	}
	return counts;
}

/* What nova_scale decides from. Without it the figure is of no use, so it is no figure.
 * That of an old list is for people only. */
static struct cs_measurement record(
	const struct cpu_scope *scope, const struct cs_measure_result *result)
{
	const struct cs_measurement counts = what_counts(scope, result);
	struct cs_error err = result->state_error;

	if (scope->cluster.list_trouble)
		return counts;
	if (err.code || cs_history_append(scope->state_dir, &counts, &err) < 0) {
		cs_error_prefix(
			&err, "%s: cannot record the measurement", scope->cluster.name);
		fail(&err);
	}
	return counts;
}

int main(int argc, char **argv)
{
	struct values values = {.output = "text",
		.timeout_ms = 10 * CS_MS_PER_S,
		.source = {
			.auth_protocol = "SHA", .priv_protocol = "AES", .retries = -1}};
	struct cpu_scope scope = {0};
	struct cs_measure_result result;
	struct cs_snmp_counts counts = {0};
	struct cpu_report report = {.result = &result, .counts = &counts};
	struct cs_error err;

	cs_plugin_begin("CLUSTER CPU");
	parse_options(argc, argv, &values);
	parse_range("warning", values.warn, &report.warn);
	parse_range("critical", values.crit, &report.crit);
	cs_plugin_watchdog(values.timeout_ms);
	if (values.check_config)
		check_config(&values.source);
	if (cpu_scope_open(&values.source,
		    cs_deadline_in(values.timeout_ms - values.timeout_ms / RESERVE_SHARE),
		    &scope, &err) < 0)
		fail(&err);
	scope.setup.counts = &counts;
	if (cs_measure(&scope.setup, scope.servers, scope.n, &result, &err) < 0)
		fail(&err);
	if (scope.state_error.code)
		result.state_error = scope.state_error;
	if (scope.cluster.name)
		report.recorded = values.source.dry_run ? what_counts(&scope, &result)
							: record(&scope, &result);
	report.cluster = scope.cluster.name ? &scope.cluster : NULL;
	report.aggregate = scope.setup.aggregate;
	report.servers = scope.servers;
	report.n = scope.n;
	report.verbose = values.verbose;
	report.per_instance = values.per_instance;
	if (strcmp(values.output, "json") == 0)
		cpu_report_json(&report);
	cpu_report_text(&report);
}
