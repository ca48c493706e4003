/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scale_replay: what a policy would have done with a load; see the manual. No network. */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/parse.h"
#include "cli/options.h"
#include "format/json.h"
#include "scale_replay.h"

#define EXIT_USAGE 3
#define COMPARE_MAX 16
#define SERVERS_MAX 10000
#define PEAK_SERVERS 60

/* Without --policy: the defaults of every key, between two and 150 servers. */
static const char defaults[] = "clusters:\n"
			       "  default:\n"
			       "    cloud: none\n"
			       "    servers: {image: none, flavor: none, name: none}\n"
			       "    size: {min: 2, max: 150}\n";

struct values {
	const char *trace, *policy, *from, *to, *compare, *ticks, *plot;
	int64_t boot_ms, peak_servers, seed;
	bool json, faults, check_config;
};

static const struct cs_option options[] = {
	{"trace", 0, "FILE", CS_OPTION_STRING, offsetof(struct values, trace),
		.help = "the load: CSV, a history, or performance data"},
	{"policy", 0, "FILE:NAME", CS_OPTION_STRING, offsetof(struct values, policy),
		.help = "cluster NAME of a configuration (the defaults)"},
	{"boot", 0, "SECONDS", CS_OPTION_SECONDS, offsetof(struct values, boot_ms), 0,
		86400000, "what a new server takes to bear load (240)"},
	{"peak-servers", 0, "N", CS_OPTION_INT, offsetof(struct values, peak_servers), 1,
		SERVERS_MAX, "servers that the highest load needs (CSV: 60)"},
	{"from", 0, "WHEN", CS_OPTION_STRING, offsetof(struct values, from),
		.help = "first minute: YYYY-MM-DD [HH:MM]"},
	{"to", 0, "WHEN", CS_OPTION_STRING, offsetof(struct values, to),
		.help = "first minute that no longer counts"},
	{"compare", 0, "NAMES", CS_OPTION_STRING, offsetof(struct values, compare),
		.help = "peers: article,heat,asg,hpa"},
	{"faults", 0, NULL, CS_OPTION_FLAG, offsetof(struct values, faults),
		.help = "lose samples, above all of busy servers"},
	{"seed", 0, "N", CS_OPTION_INT, offsetof(struct values, seed), 1, INT64_MAX,
		"which samples --faults loses (1)"},
	{"ticks", 0, "FILE", CS_OPTION_STRING, offsetof(struct values, ticks),
		.help = "write each minute of the policy as CSV"},
	{"plot", 0, "FILE", CS_OPTION_STRING, offsetof(struct values, plot),
		.help = "draw demand, servers and actions as SVG"},
	{"json", 0, NULL, CS_OPTION_FLAG, offsetof(struct values, json),
		.help = "print one JSON document"},
	{"check-config", 0, NULL, CS_OPTION_FLAG, offsetof(struct values, check_config),
		.help = "check the configuration of --policy and stop"},
	CS_OPTIONS_COMMON, {0}};

struct outcome {
	const char *name;
	struct replay_result result;
	int64_t explained, unexplained;
	bool explains;
};

/* Everything of one call. */
struct program {
	struct values values;
	struct cs_config *config;
	const struct cs_cluster *cluster;
	struct cs_trace trace;
	struct replay_setup setup;
	double peak;
	struct cs_strings names; /* of the peers */
	struct outcome outcomes[1 + COMPARE_MAX];
	size_t n;
	struct replay_row *rows; /* of the first policy */
};

static void program_done(struct program *program)
{
	cs_config_free(program->config);
	cs_trace_done(&program->trace);
	cs_strings_done(&program->names);
	free(program->rows);
}

/* "FILE:NAME" */
static int load_policy(struct program *program, struct cs_error *err)
{
	const char *policy = program->values.policy;
	const char *colon = policy ? strrchr(policy, ':') : NULL;

	if (!policy)
		return cs_config_parse(defaults, sizeof defaults - 1, "defaults",
			       &program->config, err) < 0 ||
				       cs_config_cluster(program->config, "default",
					       &program->cluster, err) < 0
			       ? err->code
			       : 0;
	if (!colon || colon == policy || !colon[1])
		return cs_error_set(err, CS_E_USAGE,
			"--policy %s: give FILE:NAME, such as clusterscale.yaml:web",
			policy);
	CS_AUTO_FREE char *path = cs_strndup(policy, (size_t)(colon - policy));
	if (cs_config_load(path, &program->config, err) < 0 ||
		cs_config_cluster(program->config, colon + 1, &program->cluster, err) < 0)
		return err->code;
	return 0;
}

static int check_config(struct program *program, struct cs_error *err)
{
	if (!program->values.policy)
		return cs_error_set(
			err, CS_E_USAGE, "which configuration? say --policy FILE:NAME");
	if (load_policy(program, err) < 0)
		return err->code;
	printf("%s: good\n", program->config->path);
	return 0;
}

static int parse_when(const char *option, const char *text, int64_t fallback,
	int64_t *ret, struct cs_error *err)
{
	*ret = fallback;
	if (text && !cs_trace_minute(text, ret))
		return cs_error_set(err, CS_E_USAGE,
			"--%s %s: give YYYY-MM-DD or \"YYYY-MM-DD HH:MM\"", option, text);
	return 0;
}

static int load_trace(struct program *program, struct cs_error *err)
{
	const struct values *values = &program->values;
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(CS_TRACE_SIZE_MAX);
	int64_t from, to;

	if (parse_when("from", values->from, INT64_MIN, &from, err) < 0 ||
		parse_when("to", values->to, INT64_MAX, &to, err) < 0 ||
		cs_file_read(values->trace, &text, err) < 0 ||
		cs_trace_parse(cs_strbuf_text(&text), text.len, values->trace,
			&program->trace, err) < 0)
		return err->code;
	cs_trace_cut(&program->trace, from, to);
	if (program->trace.n == 0)
		return cs_error_set(err, CS_E_USAGE,
			"%s has nothing between --from and --to", values->trace);
	for (size_t i = 0; i < program->trace.n; i++) {
		if (program->trace.points[i].count > program->peak)
			program->peak = program->trace.points[i].count;
	}
	if (program->peak <= 0)
		return cs_error_set(
			err, CS_E_USAGE, "%s has no load at all", values->trace);
	return 0;
}

/* In a history the load is in busy servers, unless they are scaled. */
static double cap_of(const struct program *program)
{
	int64_t servers = program->values.peak_servers;

	if (program->trace.busy_servers && servers == 0)
		return 1;
	return program->peak /
	       ((double)(servers ? servers : PEAK_SERVERS) * REPLAY_TARGET);
}

static int open_program(struct program *program, struct cs_error *err)
{
	const struct values *values = &program->values;

	if (!values->trace)
		return cs_error_set(err, CS_E_USAGE, "which load? say --trace FILE");
	if (load_policy(program, err) < 0 || load_trace(program, err) < 0)
		return err->code;
	program->setup = (struct replay_setup){.trace = &program->trace,
		.cap = cap_of(program),
		.boot_minutes = (values->boot_ms + 59999) / 60000,
		.min = program->cluster->min,
		.max = program->cluster->max,
		.faults = values->faults,
		.seed = (uint64_t)values->seed};
	return 0;
}

static void run_shipped(struct program *program)
{
	struct outcome *outcome = &program->outcomes[program->n++];
	struct replay_policy *policy = replay_shipped_new(
		"clusterscale", &program->cluster->policy, &program->setup);

	program->rows = cs_calloc(program->trace.n, sizeof *program->rows);
	outcome->name = policy->name;
	outcome->explains = true;
	replay_run(&program->setup, policy, &outcome->result, program->rows);
	replay_shipped_count(policy, &outcome->explained, &outcome->unexplained);
	outcome->explained -= outcome->unexplained;
	replay_shipped_free(policy);
}

static int run_peer(struct program *program, const char *name, struct cs_error *err)
{
	struct outcome *outcome = &program->outcomes[program->n];
	CS_AUTO_FREE struct replay_policy *policy = replay_peer_new(name);

	if (!policy)
		return cs_error_set(err, CS_E_USAGE,
			"--compare: there is no peer '%.40s'; there are: %s", name,
			replay_peer_names());
	if (program->n == CS_ARRAY_SIZE(program->outcomes))
		return cs_error_set(
			err, CS_E_USAGE, "--compare: at most %d peers", COMPARE_MAX);
	program->n++;
	outcome->name = policy->name;
	replay_run(&program->setup, policy, &outcome->result, NULL);
	return 0;
}

static int run_peers(struct program *program, struct cs_error *err)
{
	for (const char *at = program->values.compare; at && *at;) {
		size_t len = strcspn(at, ",");
		CS_AUTO_FREE char *name = cs_strndup(at, len);

		if (run_peer(program, name, err) < 0)
			return err->code;
		at += len + (at[len] == ',');
	}
	return 0;
}

/* Output. */

static const char *minute_text(int64_t minute, char ret[CS_WALL_TEXT_SIZE])
{
	cs_wall_format(minute * 60 * CS_MS_PER_S, ret);
	ret[10] = ' ';
	ret[19] = '\0';
	return ret;
}

static void print_head(const struct program *program)
{
	const struct cs_trace *trace = &program->trace;
	char from[CS_WALL_TEXT_SIZE], to[CS_WALL_TEXT_SIZE];

	printf("%s: %zu minutes, %s to %s; at most %.1f, for %.1f"
	       " servers at %.0f %%; boot %" PRId64 " min; %" PRId64 " to %" PRId64
	       " servers\n",
		program->values.trace, trace->n,
		minute_text(trace->points[0].minute, from),
		minute_text(trace->points[trace->n - 1].minute, to), program->peak,
		program->peak / (program->setup.cap * REPLAY_TARGET), REPLAY_TARGET * 100,
		program->setup.boot_minutes, program->setup.min, program->setup.max);
	if (program->values.faults)
		printf("samples are lost, seed %" PRId64 "\n", program->values.seed);
}

static void print_table(const struct program *program)
{
	print_head(program);
	printf("%-14s %8s %8s %7s %7s %7s %6s %7s %9s %8s %8s %6s %6s %6s\n", "policy",
		"thetaU %", "thetaO %", "tauU %", "tauO %", "instab%", "cost", "satur.%",
		"lost %", "actions", "creates", "flips", "wrong", "peak");
	for (size_t i = 0; i < program->n; i++) {
		const struct replay_result *r = &program->outcomes[i].result;

		printf("%-14s %8.3f %8.2f %7.2f %7.2f %7.2f %6.3f %7.3f %9.5f %8" PRId64
		       " %8" PRId64 " %6" PRId64 " %6" PRId64 " %6" PRId64 "\n",
			program->outcomes[i].name, r->theta_u, r->theta_o, r->tau_u,
			r->tau_o, r->instability, r->cost, r->saturated, r->lost,
			r->actions, r->creates, r->flips, r->wrong_scale_ins, r->largest);
	}
	printf("explained: %" PRId64 " of %" PRId64 " actions\n",
		program->outcomes[0].explained,
		program->outcomes[0].explained + program->outcomes[0].unexplained);
}

static struct json_object *outcome_object(const struct outcome *outcome)
{
	const struct replay_result *r = &outcome->result;
	const struct {
		const char *key;
		double value;
	} shares[] = {{"theta_u", r->theta_u}, {"theta_o", r->theta_o},
		{"tau_u", r->tau_u}, {"tau_o", r->tau_o}, {"instability", r->instability},
		{"cost", r->cost}, {"saturated", r->saturated}, {"lost", r->lost}};
	struct json_object *object = json_object_new_object();

	cs_json_add_str(object, "policy", outcome->name);
	for (size_t i = 0; i < CS_ARRAY_SIZE(shares); i++)
		json_object_object_add(
			object, shares[i].key, json_object_new_double(shares[i].value));
	cs_json_add_int(object, "actions", r->actions);
	cs_json_add_int(object, "creates", r->creates);
	cs_json_add_int(object, "deletes", r->deletes);
	cs_json_add_int(object, "flips", r->flips);
	cs_json_add_int(object, "wrong_scale_ins", r->wrong_scale_ins);
	cs_json_add_int(object, "largest", r->largest);
	if (outcome->explains) {
		cs_json_add_int(object, "explained", outcome->explained);
		cs_json_add_int(object, "unexplained", outcome->unexplained);
	}
	return object;
}

static void print_json(const struct program *program)
{
	CS_AUTO_JSON struct json_object *document = json_object_new_object();
	struct json_object *policies = json_object_new_array();

	cs_json_add_str(document, "trace", program->values.trace);
	cs_json_add_int(document, "minutes", (int64_t)program->trace.n);
	cs_json_add_int(document, "boot_minutes", program->setup.boot_minutes);
	json_object_object_add(document, "peak_servers",
		json_object_new_double(
			program->peak / (program->setup.cap * REPLAY_TARGET)));
	cs_json_add_int(document, "min", program->setup.min);
	cs_json_add_int(document, "max", program->setup.max);
	if (program->values.faults)
		cs_json_add_int(document, "seed", program->values.seed);
	for (size_t i = 0; i < program->n; i++)
		json_object_array_add(policies, outcome_object(&program->outcomes[i]));
	json_object_object_add(document, "policies", policies);
	puts(cs_json_text(document));
}

static int write_ticks(const struct program *program, struct cs_error *err)
{
	const char *path = program->values.ticks;
	FILE *file = fopen(path, "we");
	char when[CS_WALL_TEXT_SIZE];

	if (!file)
		return cs_error_set_errno(err, errno, "cannot write %s", path);
	fputs("minute,load,ready,total,desired\n", file);
	for (size_t i = 0; i < program->trace.n; i++) {
		const struct replay_row *row = &program->rows[i];

		fprintf(file, "%s,%.15g,%" PRId64 ",%" PRId64 ",%" PRId64 "\n",
			minute_text(row->minute, when), row->load, row->ready, row->total,
			row->desired);
	}
	bool failed = ferror(file);
	if (fclose(file) != 0 || failed)
		return cs_error_set_errno(err, errno, "cannot write %s", path);
	return 0;
}

static int report(const struct program *program, struct cs_error *err)
{
	const struct values *values = &program->values;

	if (values->ticks && write_ticks(program, err) < 0)
		return err->code;
	if (values->plot &&
		replay_plot(values->plot, program->rows, program->trace.n, err) < 0)
		return err->code;
	if (values->json)
		print_json(program);
	else
		print_table(program);
	return 0;
}

static int run(struct program *program, struct cs_error *err)
{
	if (program->values.check_config)
		return check_config(program, err);
	if (open_program(program, err) < 0)
		return err->code;
	run_shipped(program);
	if (run_peers(program, err) < 0)
		return err->code;
	return report(program, err);
}

int main(int argc, char **argv)
{
	CS_CLEANUP(program_done)
	struct program program = {.values = {.boot_ms = 240000, .seed = 1}};
	struct cs_error err;
	int ran = cs_options_parse(options, argc, argv, &program.values, &err);

	if (ran == CS_RUN_HELP) {
		cs_options_help(options, "scale_replay",
			"--trace FILE [--policy FILE:NAME] [--compare NAMES]",
			"Replays a load through the decision of nova_scale.");
		return 0;
	}
	if (ran == CS_RUN_VERSION) {
		cs_options_version("scale_replay");
		return 0;
	}
	if (ran < 0 || run(&program, &err) < 0) {
		fprintf(stderr, "scale_replay: %s\n", err.message);
		return err.code == CS_E_USAGE || err.code == CS_E_CONFIG ||
				       err.code == CS_E_NOT_FOUND
			       ? EXIT_USAGE
			       : 2;
	}
	return 0;
}
