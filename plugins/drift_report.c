/* SPDX-License-Identifier: GPL-3.0-or-later */
/* State, text and JSON of check_cluster_drift; see drift_report.h. */
#include <config.h>
#include "drift_report.h"

#include <inttypes.h>

#include "base/deadline.h"
#include "base/strbuf.h"
#include "cli/plugin_output.h"
#include "format/json.h"
#include "format/perfdata.h"

#define TEXT_MAX (8 << 20)

static enum cs_plugin_state state_of(enum cs_severity severity)
{
	static const enum cs_plugin_state states[] = {
		[CS_SEVERITY_OK] = CS_OK,
		[CS_SEVERITY_UNKNOWN] = CS_UNKNOWN,
		[CS_SEVERITY_WARNING] = CS_WARNING,
		[CS_SEVERITY_CRITICAL] = CS_CRITICAL,
	};

	return states[severity];
}

static size_t count_drift(const struct cs_drift *drift)
{
	return drift->n - drift->by_severity[CS_SEVERITY_OK];
}

/* "web: 4 servers of 2 to 20, all agree", "web: 3 findings, first: ..." */
static void add_summary(struct cs_strbuf *out, const struct cs_drift_input *in,
	const struct cs_drift *drift)
{
	size_t n = count_drift(drift);

	cs_strbuf_addf(out, "%s: ", in->cluster->name);
	if (n > 1)
		cs_strbuf_addf(out, "%zu findings, first: ", n);
	if (n > 0)
		cs_strbuf_add(out, drift->findings[0].text);
	else
		cs_strbuf_addf(out,
			"%" PRId64 " server%s of %" PRId64 " to %" PRId64 ", all agree",
			drift->servers, drift->servers == 1 ? "" : "s", in->cluster->min,
			in->cluster->max);
}

static void add_perfdata(struct cs_strbuf *out, const struct cs_drift_input *in,
	const struct cs_drift *drift)
{
	cs_perfdata_add_count(out, "servers", drift->servers);
	cs_perfdata_add_count(out, "wanted", drift->wanted);
	cs_perfdata_add_count(out, "min", in->cluster->min);
	cs_perfdata_add_count(out, "max", in->cluster->max);
	cs_perfdata_add_count(out, "drift", (int64_t)count_drift(drift));
	cs_perfdata_add_count(out, "open", (int64_t)in->journal->n_open);
	cs_perfdata_add_seconds(out, "oldest_open", drift->oldest_open_ms, 0);
	if (drift->history_age_ms >= 0)
		cs_perfdata_add_seconds(out, "history_age", drift->history_age_ms,
			drift->history_limit_ms);
}

static void add_findings(struct cs_strbuf *out, const struct cs_drift *drift)
{
	for (size_t i = 0; i < drift->n; i++) {
		const struct cs_finding *finding = &drift->findings[i];

		cs_strbuf_addf(out, "%s: %s%s%s\n",
			cs_plugin_state_text(state_of(finding->severity)), finding->text,
			*finding->advice ? "; " : "", finding->advice);
	}
}

static void add_lbs(struct cs_strbuf *out, const struct cs_drift_input *in)
{
	for (size_t i = 0; i < in->n_lbs; i++) {
		const struct cs_lb_status *status = in->lbs[i].status;

		for (size_t k = 0; status && k < status->n; k++) {
			const struct cs_lb_server *server = &status->servers[k];

			cs_strbuf_addf(out,
				"%s: %s: file %s, running %s %s, sessions %" PRId64 "\n",
				in->lbs[i].name, server->name,
				server->file ? server->file : "-",
				server->running ? server->running : "-",
				server->status ? server->status : "-", server->sessions);
		}
	}
}

void drift_report_text(
	const struct cs_drift_input *in, const struct cs_drift *drift, int verbose)
{
	struct cs_strbuf summary = CS_STRBUF(TEXT_MAX), perfdata = CS_STRBUF(TEXT_MAX),
			 long_text = CS_STRBUF(TEXT_MAX);

	add_summary(&summary, in, drift);
	add_perfdata(&perfdata, in, drift);
	add_findings(&long_text, drift);
	if (verbose)
		add_lbs(&long_text, in);
	cs_plugin_end(state_of(drift->worst), cs_strbuf_text(&summary),
		cs_strbuf_text(&perfdata), cs_strbuf_text(&long_text));
}

static struct json_object *finding_object(const struct cs_finding *finding)
{
	struct json_object *object = json_object_new_object();

	cs_json_add_str(
		object, "state", cs_plugin_state_text(state_of(finding->severity)));
	cs_json_add_str(object, "kind", finding->kind);
	cs_json_add_str(object, "text", finding->text);
	cs_json_add_str(object, "advice", finding->advice);
	return object;
}

void drift_report_json(const struct cs_drift_input *in, const struct cs_drift *drift)
{
	enum cs_plugin_state state = state_of(drift->worst);
	struct json_object *document = json_object_new_object();
	struct json_object *findings = json_object_new_array();
	struct cs_strbuf summary = CS_STRBUF(TEXT_MAX);

	add_summary(&summary, in, drift);
	cs_json_add_str(document, "state", cs_plugin_state_text(state));
	cs_json_add_int(document, "exit", state);
	cs_json_add_str(document, "summary", cs_strbuf_text(&summary));
	cs_json_add_str(document, "cluster", in->cluster->name);
	cs_json_add_int(document, "servers", drift->servers);
	cs_json_add_int(document, "wanted", drift->wanted);
	cs_json_add_int(document, "min", in->cluster->min);
	cs_json_add_int(document, "max", in->cluster->max);
	cs_json_add_int(document, "drift", (int64_t)count_drift(drift));
	cs_json_add_int(document, "open", (int64_t)in->journal->n_open);
	cs_json_add_int(document, "oldest_open_ms", drift->oldest_open_ms);
	/* Absent when there is none: JSONPath then finds nothing. */
	if (drift->history_age_ms >= 0)
		cs_json_add_int(document, "history_age_ms", drift->history_age_ms);
	for (size_t i = 0; i < drift->n; i++)
		json_object_array_add(findings, finding_object(&drift->findings[i]));
	json_object_object_add(document, "findings", findings);
	cs_plugin_end_json(state, cs_json_text(document));
}
