/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is known of each member's load; see evidence.h. */
#include <config.h>
#include "domain/evidence.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "format/json.h"
#include "format/perfdata.h"

#define SECONDS(ms) (long long)((ms) / CS_MS_PER_S)

void cs_evidence_set_load(struct cs_evidence *evidence, const struct cs_cpu_load *load)
{
	evidence->source = load->source;
	evidence->load_permille = load->permille;
	evidence->cpus = load->cpus;
	evidence->span_ms = load->span_ms;
}

/* What its samples say. */
static void judge(const struct cs_baseline *baseline, const struct cs_cpu_spec *spec,
	int64_t created_wall_ms, struct cs_evidence *ret)
{
	int64_t age_ms = cs_cpu_age_ms(&baseline->newer, created_wall_ms);
	struct cs_cpu_load load;
	enum cs_cpu_verdict verdict = cs_samples_load_of(baseline, &load);

	if (verdict == CS_CPU_LOAD) {
		ret->state = "sampled";
		cs_evidence_set_load(ret, &load);
		if (age_ms >= spec->warm_up_ms)
			return;
		ret->state = "warming";
		snprintf(ret->why, sizeof ret->why, "up for %lld s, warm-up %lld s",
			SECONDS(age_ms), SECONDS(spec->warm_up_ms));
		return;
	}
	bool begins = verdict == CS_CPU_FIRST || verdict == CS_CPU_REBOOTED;
	ret->state = begins ? "warming" : "missing";
	snprintf(ret->why, sizeof ret->why, "%s", cs_cpu_verdict_text(verdict));
}

static void judge_silent(const struct cs_baseline *baseline,
	const struct cs_measurement *measurement, const struct cs_cpu_spec *spec,
	struct cs_evidence *ret)
{
	struct cs_cpu_load load;

	snprintf(ret->why, sizeof ret->why, "silent in the last measurement");
	if (cs_stamp_age_ms(&baseline->newer.at, &measurement->at) > spec->grace_ms ||
		cs_samples_load_of(baseline, &load) != CS_CPU_LOAD)
		return;
	ret->state = "stale";
	cs_evidence_set_load(ret, &load);
}

static void judge_active(const struct cs_baseline *baseline,
	const struct cs_measurement *measurement, const struct cs_cpu_spec *spec,
	int64_t created_wall_ms, const struct cs_stamp *now, struct cs_evidence *ret)
{
	ret->state = "missing";
	if (!baseline) {
		snprintf(ret->why, sizeof ret->why, "no sample within %lld s",
			SECONDS(spec->max_span_ms));
		return;
	}
	ret->age_ms = cs_stamp_age_ms(&baseline->newer.at, now);
	/* A run soon after another keeps the sample of the other. */
	if (measurement &&
		ret->age_ms > cs_stamp_age_ms(&measurement->at, now) + spec->min_span_ms)
		judge_silent(baseline, measurement, spec, ret);
	else
		judge(baseline, spec, created_wall_ms, ret);
}

void cs_evidence_collect(const struct cs_members *members,
	const struct cs_samples *samples, const struct cs_measurement *measurement,
	const struct cs_cpu_spec *spec, const struct cs_stamp *now,
	struct cs_evidence *ret)
{
	for (size_t i = 0; i < members->n; i++) {
		const struct cs_member *member = &members->items[i];
		const struct cs_server *server = member->server;

		ret[i] = (struct cs_evidence){.id = server->id,
			.name = server->name,
			.where = *member->address ? member->address : NULL,
			.state = "not counted",
			.age_ms = -1};
		if (member->state == CS_MEMBER_ACTIVE)
			judge_active(cs_samples_find(samples, server->id), measurement,
				spec, server->created_wall_ms, now, &ret[i]);
		else
			snprintf(ret[i].why, sizeof ret[i].why, "%s",
				cs_member_state_text(member->state));
	}
}

static void add_load(struct cs_strbuf *out, const struct cs_evidence *evidence)
{
	cs_strbuf_add(out, ": ");
	cs_strbuf_add_int(out, evidence->load_permille / 10);
	cs_strbuf_add(out, ".");
	cs_strbuf_add_int(out, evidence->load_permille % 10);
	cs_strbuf_add(out, " %, ");
	cs_strbuf_add_int(out, evidence->cpus);
	cs_strbuf_add(out, evidence->cpus == 1 ? " CPU, over " : " CPUs, over ");
	cs_strbuf_add_int(out, SECONDS(evidence->span_ms));
	cs_strbuf_add(
		out, evidence->source == CS_CPU_UCD ? " s" : " s, by host-resources");
}

/* Thousands of lines: by hand, as a format takes most of the time of a report. */
void cs_evidence_add(struct cs_strbuf *out, const struct cs_evidence *evidence)
{
	size_t start = out->len;

	cs_strbuf_add(out, evidence->name);
	if (evidence->where) {
		cs_strbuf_add(out, " (");
		cs_strbuf_add(out, evidence->where);
		cs_strbuf_add(out, ")");
	}
	if (*evidence->why) {
		cs_strbuf_add(out, ": ");
		cs_strbuf_add(out, evidence->state);
		cs_strbuf_add(out, ": ");
		cs_strbuf_add(out, evidence->why);
	}
	if (evidence->cpus > 0)
		add_load(out, evidence);
	if (evidence->age_ms >= 0) {
		bool missing = strcmp(evidence->state, "missing") == 0;
		cs_strbuf_add(out, missing ? ", last sample " : ", ");
		cs_strbuf_add_int(out, SECONDS(evidence->age_ms));
		cs_strbuf_add(out, " s ago");
	}
	cs_text_clean(out->data + start);
}

char *cs_evidence_text(const struct cs_evidence *evidence)
{
	struct cs_strbuf text = CS_STRBUF(1024);

	cs_evidence_add(&text, evidence);
	return cs_strbuf_take(&text);
}

struct json_object *cs_evidence_json(const struct cs_evidence *evidence)
{
	struct json_object *object = json_object_new_object();
	char load[CS_LOAD_TEXT_SIZE];

	cs_json_add_str(object, "id", evidence->id);
	cs_json_add_str(object, "name", evidence->name);
	if (evidence->where)
		cs_json_add_str(object, "address", evidence->where);
	cs_json_add_str(object, "state", evidence->state);
	if (*evidence->why)
		cs_json_add_str(object, "reason", evidence->why);
	if (evidence->cpus > 0) {
		json_object_object_add(object, "cpu",
			json_object_new_double_s((double)evidence->load_permille / 10,
				cs_load_text(evidence->load_permille, load)));
		cs_json_add_int(object, "cpus", evidence->cpus);
		cs_json_add_int(object, "span_ms", evidence->span_ms);
		cs_json_add_str(object, "source", cs_cpu_sources[evidence->source]);
	}
	if (evidence->age_ms >= 0)
		cs_json_add_int(object, "age_ms", evidence->age_ms);
	return object;
}

bool cs_evidence_parse(struct json_object *object, struct cs_evidence *ret)
{
	struct json_object *cpu = NULL;
	const char *why = cs_json_str(object, "reason");

	*ret = (struct cs_evidence){.id = cs_json_str(object, "id"),
		.name = cs_json_str(object, "name"),
		.where = cs_json_str(object, "address"),
		.state = cs_json_str(object, "state"),
		.age_ms = -1};
	cs_json_int(object, "age_ms", &ret->age_ms);
	snprintf(ret->why, sizeof ret->why, "%s", why ? why : "");
	if (!ret->id || !ret->name || !ret->state)
		return false;
	if (!json_object_object_get_ex(object, "cpu", &cpu))
		return why != NULL;
	const char *source = cs_json_str(object, "source");
	if (source && strcmp(source, cs_cpu_sources[CS_CPU_HOST_RESOURCES]) == 0)
		ret->source = CS_CPU_HOST_RESOURCES;
	ret->load_permille = (int64_t)(json_object_get_double(cpu) * 10 + 0.5);
	return cs_json_int(object, "cpus", &ret->cpus) &&
	       cs_json_int(object, "span_ms", &ret->span_ms);
}
