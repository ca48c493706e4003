/* SPDX-License-Identifier: GPL-3.0-or-later */
/* State, text and JSON of check_cluster_cpu; see cpu_report.h. */
#include <config.h>
#include "cpu_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "format/json.h"
#include "format/perfdata.h"

#define TEXT_MAX (8 << 20)
#define NAMES_SHOWN 3
#define MILLI_PER_PERMILLE 100

static const char *plural(int64_t n)
{
	return n == 1 ? "" : "s";
}

/* "70" or "70.5" */
static const char *bound_text(int64_t permille, char ret[CS_LOAD_TEXT_SIZE])
{
	cs_load_text(permille, ret);
	if (permille % 10 == 0)
		*strchr(ret, '.') = '\0';
	return ret;
}

static const struct cs_measurement *measurement_of(const struct cpu_report *report)
{
	return &report->result->measurement;
}

/* ", 2 missing: web3, web4"; nothing when there are none. */
static void add_names(struct cs_strbuf *out, const struct cpu_report *report,
	enum cs_measured_state state, int64_t count)
{
	int64_t shown = 0;

	if (count == 0)
		return;
	cs_strbuf_addf(out, ", %" PRId64 " %s: ", count, cs_measured_state_text(state));
	for (size_t i = 0; i < report->n && shown < NAMES_SHOWN; i++) {
		if (report->servers[i].state != state)
			continue;
		cs_strbuf_addf(out, "%s%s", shown ? ", " : "", report->servers[i].name);
		shown++;
	}
	if (count > shown)
		cs_strbuf_addf(out, " and %" PRId64 " more", count - shown);
}

/* "web: load 83.2 % of 4 servers (3 sampled, 1 missing: web4)" */
static void add_figures(struct cs_strbuf *out, const struct cpu_report *report)
{
	const struct cs_measurement *m = measurement_of(report);
	char load[CS_LOAD_TEXT_SIZE];

	if (report->cluster)
		cs_strbuf_addf(out, "%s: ", report->cluster->name);
	if (m->servers == 0) {
		cs_strbuf_add(out, "no servers");
		return;
	}
	if (m->load_permille >= 0 && report->aggregate != CS_CPU_MEAN)
		cs_strbuf_addf(out, "%s ", cs_cpu_aggregates[report->aggregate]);
	if (m->load_permille < 0)
		cs_strbuf_add(out, "no load figure for");
	else
		cs_strbuf_addf(
			out, "load %s %% of", cs_load_text(m->load_permille, load));
	cs_strbuf_addf(out, " %" PRId64 " server%s (%" PRId64 " sampled", m->servers,
		plural(m->servers), m->sampled);
	if (report->result->twice)
		cs_strbuf_add(out, " by two polls just now");
	add_names(out, report, CS_SERVER_MISSING, m->missing);
	add_names(out, report, CS_SERVER_STALE, m->stale);
	add_names(out, report, CS_SERVER_WARMING, m->warming);
	cs_strbuf_add(out, ")");
}

/* ", by the list of 40 s ago; now cluster ..." */
static void add_list_age(struct cs_strbuf *out, const struct cpu_report *report)
{
	const struct cpu_cluster *cluster = report->cluster;

	if (cluster && cluster->list_trouble)
		cs_strbuf_addf(out, ", by the list of %" PRId64 " s ago; now %s",
			cluster->list_age_ms / CS_MS_PER_S, cluster->list_trouble);
}

static enum cs_plugin_state no_figure(
	struct cs_strbuf *why, const struct cpu_report *report)
{
	const struct cs_measurement *m = measurement_of(report);

	if (report->result->no_time)
		cs_strbuf_add(why, ", first samples taken but no time for second ones "
				   "(-t): run again in 10 s");
	else if (m->servers > 0)
		cs_strbuf_add(why, ", under the quorum of 50 %");
	return CS_UNKNOWN;
}

static enum cs_plugin_state judge_ranges(
	struct cs_strbuf *why, const struct cpu_report *report)
{
	const struct cs_measurement *m = measurement_of(report);
	int64_t load_milli = m->load_permille * MILLI_PER_PERMILLE;

	if (m->load_permille < 0)
		return no_figure(why, report);
	if (cs_threshold_alerts(&report->crit, load_milli)) {
		cs_strbuf_addf(why, ", critical by -c %s", report->crit.text);
		return CS_CRITICAL;
	}
	if (cs_threshold_alerts(&report->warn, load_milli)) {
		cs_strbuf_addf(why, ", warning by -w %s", report->warn.text);
		return CS_WARNING;
	}
	return CS_OK;
}

/* Whatever the policy; `less`: it wants fewer servers. */
static enum cs_plugin_state judge_warnings(
	struct cs_strbuf *why, const struct cpu_report *report, bool less)
{
	const struct cpu_cluster *cluster = report->cluster;
	bool too_many = measurement_of(report)->servers > cluster->max;
	bool open = cluster->open_requests || cluster->draining || cluster->unpublished;

	if (open)
		cs_strbuf_addf(why,
			", work is open: %" PRId64 " request%s without result, %" PRId64
			" draining, %" PRId64 " not published",
			cluster->open_requests, plural(cluster->open_requests),
			cluster->draining, cluster->unpublished);
	return too_many || less || open ? CS_WARNING : CS_OK;
}

static void add_too_many(struct cs_strbuf *why, const struct cpu_report *report)
{
	if (measurement_of(report)->servers > report->cluster->max)
		cs_strbuf_addf(why, ", more than max %" PRId64, report->cluster->max);
}

static const char *up_text(const struct cpu_report *report)
{
	if (report->cluster->list_trouble)
		return "but nothing is done without a new list";
	return measurement_of(report)->servers < report->cluster->max
		       ? "scale up"
		       : "but max is reached";
}

static enum cs_plugin_state judge_demand(
	struct cs_strbuf *why, const struct cpu_report *report)
{
	int64_t servers = measurement_of(report)->servers;
	int64_t wanted = cpu_wanted(report->cluster, measurement_of(report));

	if (wanted > servers) {
		cs_strbuf_addf(why, ", %" PRId64 " wanted: %s", wanted, up_text(report));
		return CS_CRITICAL;
	}
	/* A floor of the schedule needs no figure, like min itself. */
	if (measurement_of(report)->load_permille < 0)
		return no_figure(why, report);
	if (report->cluster->list_trouble)
		return CS_OK;
	add_too_many(why, report);
	if (wanted < servers)
		cs_strbuf_addf(why, ", %" PRId64 " wanted: scale down", wanted);
	return judge_warnings(why, report, wanted < servers);
}

static enum cs_plugin_state judge_cluster(
	struct cs_strbuf *why, const struct cpu_report *report)
{
	const struct cpu_cluster *cluster = report->cluster;
	const struct cs_measurement *m = measurement_of(report);

	/* Filling up needs no measurement, only the list, and that is complete. */
	if (m->servers < cluster->min && !cluster->list_trouble) {
		cs_strbuf_addf(
			why, ", fewer than min %" PRId64 ": scale up", cluster->min);
		return CS_CRITICAL;
	}
	return judge_demand(why, report);
}

/* Appends the reason to `why`. */
static enum cs_plugin_state judge(struct cs_strbuf *why, const struct cpu_report *report)
{
	bool ranges = report->warn.text[0] || report->crit.text[0];

	return report->cluster && !ranges ? judge_cluster(why, report)
					  : judge_ranges(why, report);
}

static void add_summary(struct cs_strbuf *out, const struct cpu_report *report,
	enum cs_plugin_state *ret_state)
{
	add_figures(out, report);
	*ret_state = judge(out, report);
	add_list_age(out, report);
}

static void add_perfdata(struct cs_strbuf *out, const struct cpu_report *report)
{
	const struct cs_measurement *m = measurement_of(report);
	const char *warn = cs_threshold_plain(&report->warn);
	const char *crit = cs_threshold_plain(&report->crit);
	char bound[CS_LOAD_TEXT_SIZE];

	if (report->cluster && report->cluster->policy->follow != CS_FOLLOW_TARGET &&
		!report->warn.text[0] && !report->crit.text[0])
		crit = bound_text(report->cluster->up_at, bound);
	if (m->load_permille >= 0)
		cs_perfdata_add_load(out, "load", m->load_permille, warn, crit);
	cs_perfdata_add_count(out, "servers", m->servers);
	cs_perfdata_add_count(out, "sampled", m->sampled);
	cs_perfdata_add_count(out, "missing", m->missing);
	cs_perfdata_add_count(out, "stale", m->stale);
	cs_perfdata_add_count(out, "warming", m->warming);
	if (report->cluster) {
		cs_perfdata_add_count(out, "min", report->cluster->min);
		cs_perfdata_add_count(out, "max", report->cluster->max);
	}
	/* By id: names may be longer than a label keeps, or used twice. A load of before
	 * would be drawn as one of now. */
	for (size_t i = 0; report->per_instance && i < report->n; i++) {
		if (report->servers[i].has_load &&
			report->servers[i].state != CS_SERVER_STALE)
			cs_perfdata_add_load(out, report->servers[i].id,
				report->servers[i].load.permille, "", "");
	}
}

static void add_breakdown(struct cs_strbuf *out, const struct cs_cpu_load *load)
{
	static const char *const names[] = {"user", "nice", "system", "idle", "wait",
		"kernel", "interrupt", "softirq", "steal"};
	char text[CS_LOAD_TEXT_SIZE];

	cs_strbuf_add(out, "   ");
	for (size_t i = 0; i < CS_CPU_COUNTER_COUNT; i++) {
		int64_t permille = (int64_t)((load->ticks[i] * UINT64_C(1000) +
						     load->total_ticks / 2) /
					     load->total_ticks);
		cs_strbuf_addf(out, " %s %s", names[i], cs_load_text(permille, text));
	}
	cs_strbuf_addf(out, " %% of %" PRIu64 " ticks\n", load->total_ticks);
}

static struct cs_evidence evidence_of(const struct cs_measured *server)
{
	struct cs_evidence evidence = {.id = server->id,
		.name = server->name,
		.where = server->where,
		.state = cs_measured_state_text(server->state),
		.age_ms = -1};

	if (server->has_load)
		cs_evidence_set_load(&evidence, &server->load);
	if (server->state == CS_SERVER_STALE)
		evidence.age_ms = server->stale_ms;
	if (server->reason)
		snprintf(evidence.why, sizeof evidence.why, "%s", server->reason);
	return evidence;
}

static void add_server(
	struct cs_strbuf *out, const struct cs_measured *server, int verbose)
{
	const struct cs_evidence evidence = evidence_of(server);

	cs_evidence_add(out, &evidence);
	cs_strbuf_add(out, "\n");
	if (verbose && server->has_load && server->load.total_ticks > 0)
		add_breakdown(out, &server->load);
}

static void add_datagrams(struct cs_strbuf *out, const struct cs_snmp_counts *counts)
{
	cs_strbuf_addf(out,
		"datagrams: %" PRIu64 " sent, %" PRIu64 " duplicates and %" PRIu64
		" others dropped, %" PRIu64 " without room in the receive buffer\n",
		counts->sent, counts->duplicates, counts->dropped, counts->overflowed);
}

static struct json_object *datagrams_object(const struct cs_snmp_counts *counts)
{
	struct json_object *object = json_object_new_object();

	cs_json_add_int(object, "sent", (int64_t)counts->sent);
	cs_json_add_int(object, "duplicates", (int64_t)counts->duplicates);
	cs_json_add_int(object, "dropped", (int64_t)counts->dropped);
	cs_json_add_int(object, "overflowed", (int64_t)counts->overflowed);
	return object;
}

/* What nova_scale makes of it, in its words. */
static void add_decision(struct cs_strbuf *out, const struct cpu_report *report)
{
	struct cs_policy_input in;
	struct cs_decision decision;

	if (report->cluster->list_trouble) {
		cs_strbuf_add(out, "no decision: that needs a new list of the servers\n");
		return;
	}
	cpu_decide(report->cluster, &report->recorded, &in, &decision);
	cs_decision_text(&in, &decision, out);
	cs_decision_done(&decision);
}

void cpu_report_text(const struct cpu_report *report)
{
	struct cs_strbuf summary = CS_STRBUF(TEXT_MAX), perfdata = CS_STRBUF(TEXT_MAX),
			 long_text = CS_STRBUF(TEXT_MAX);
	enum cs_plugin_state state;

	add_summary(&summary, report, &state);
	add_perfdata(&perfdata, report);
	for (size_t i = 0; i < report->n; i++)
		add_server(&long_text, &report->servers[i], report->verbose);
	if (report->verbose)
		add_datagrams(&long_text, report->counts);
	if (report->cluster) {
		cs_strbuf_add(&long_text, report->cluster->not_counted);
		add_decision(&long_text, report);
	}
	if (report->result->state_error.code)
		cs_strbuf_addf(&long_text, "no samples kept for the next run: %s\n",
			report->result->state_error.message);
	cs_plugin_end(state, cs_strbuf_text(&summary), cs_strbuf_text(&perfdata),
		cs_strbuf_text(&long_text));
}

/* Percent with one decimal, as it is printed everywhere. */
static void add_load(struct json_object *object, const char *key, int64_t permille)
{
	char text[CS_LOAD_TEXT_SIZE];

	json_object_object_add(object, key,
		json_object_new_double_s(
			(double)permille / 10, cs_load_text(permille, text)));
}

static struct json_object *server_object(const struct cs_measured *server)
{
	const struct cs_evidence evidence = evidence_of(server);

	return cs_evidence_json(&evidence);
}

static struct json_object *decision_object(const struct cpu_report *report)
{
	struct cs_policy_input in;
	struct cs_decision decision;

	cpu_decide(report->cluster, &report->recorded, &in, &decision);
	struct json_object *object = cs_decision_json(&in, &decision, 0);
	cs_decision_done(&decision);
	return object;
}

static void add_cluster(struct json_object *document, const struct cpu_cluster *cluster)
{
	struct json_object *open = json_object_new_object();

	cs_json_add_str(document, "cluster", cluster->name);
	cs_json_add_int(document, "min", cluster->min);
	cs_json_add_int(document, "max", cluster->max);
	cs_json_add_int(open, "requests", cluster->open_requests);
	cs_json_add_int(open, "draining", cluster->draining);
	cs_json_add_int(open, "unpublished", cluster->unpublished);
	json_object_object_add(document, "open", open);
	if (cluster->list_trouble) {
		struct json_object *list = json_object_new_object();
		cs_json_add_int(list, "age", cluster->list_age_ms / CS_MS_PER_S);
		cs_json_add_str(list, "why", cluster->list_trouble);
		json_object_object_add(document, "old_list", list);
	}
}

void cpu_report_json(const struct cpu_report *report)
{
	const struct cs_measurement *m = measurement_of(report);
	struct json_object *document = json_object_new_object();
	struct json_object *members = json_object_new_array();
	struct cs_strbuf summary = CS_STRBUF(TEXT_MAX);
	enum cs_plugin_state state;

	add_summary(&summary, report, &state);
	cs_json_add_str(document, "state", cs_plugin_state_text(state));
	cs_json_add_int(document, "exit", state);
	cs_json_add_str(document, "summary", cs_strbuf_text(&summary));
	if (report->cluster)
		add_cluster(document, report->cluster);
	cs_json_add_str(document, "aggregate", cs_cpu_aggregates[report->aggregate]);
	if (m->load_permille >= 0) {
		add_load(document, "load", m->load_permille);
		add_load(document, "mean", m->load_permille - m->above_mean_permille);
	}
	cs_json_add_int(document, "servers", m->servers);
	cs_json_add_int(document, "sampled", m->sampled);
	cs_json_add_int(document, "missing", m->missing);
	cs_json_add_int(document, "stale", m->stale);
	cs_json_add_int(document, "warming", m->warming);
	for (size_t i = 0; i < report->n; i++)
		json_object_array_add(members, server_object(&report->servers[i]));
	json_object_object_add(document, "members", members);
	json_object_object_add(document, "datagrams", datagrams_object(report->counts));
	if (report->cluster && !report->cluster->list_trouble)
		json_object_object_add(document, "decision", decision_object(report));
	cs_plugin_end_json(state, cs_json_text(document));
}
