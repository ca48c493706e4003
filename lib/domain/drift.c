/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nova, the journal, the history and the size against each other; see drift.h. */
#include <config.h>
#include "domain/drift.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/deadline.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "domain/places.h"
#include "domain/plan.h"

/* The distances of so many measurements say how often the check runs. */
#define INTERVAL_SAMPLES 20
#define INTERVALS_MAX 3
/* A check that runs every few seconds may come late for once. */
#define HISTORY_LIMIT_MIN_MS (30 * CS_MS_PER_S)

#define S(ms) ((long long)((ms) / CS_MS_PER_S))

void cs_drift_add(struct cs_drift *drift, enum cs_severity severity, const char *kind,
	const char *advice, const char *format, ...)
{
	char text[600];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	cs_text_clean(text);
	if ((drift->n & (drift->n - 1)) == 0) /* grows at the powers of two */
		drift->findings = cs_reallocarray(drift->findings,
			drift->n ? drift->n * 2 : 1, sizeof *drift->findings);
	drift->findings[drift->n++] = (struct cs_finding){.severity = severity,
		.kind = kind,
		.text = cs_strdup(text),
		.advice = cs_strdup(advice)};
	drift->by_severity[severity]++;
	if (severity > drift->worst)
		drift->worst = severity;
}

/* The journal. */

static bool is_bound_elsewhere(const struct cs_drift_input *in)
{
	const struct cs_journal *journal = in->journal;

	return journal->auth_url && (strcmp(journal->auth_url, in->auth_url) != 0 ||
					    strcmp(journal->project, in->project) != 0 ||
					    strcmp(journal->region, in->region) != 0);
}

/* A create may take as long as a build, a delete as long as a drain, and Nova its own. */
static int64_t open_limit_ms(
	const struct cs_drift_input *in, const struct cs_journal_op *op)
{
	if (in->open_age_ms)
		return in->open_age_ms;
	return CS_PLAN_GRACE_MS +
	       (op->action == CS_ACTION_CREATE ? in->cluster->servers.build_timeout_ms
					       : in->cluster->haproxy.drain_timeout_ms);
}

static void compare_open(const struct cs_drift_input *in, struct cs_drift *ret)
{
	for (size_t i = 0; i < in->journal->n_open; i++) {
		const struct cs_journal_op *op = &in->journal->open[i];
		int64_t age_ms = cs_stamp_age_ms(&op->since, &in->now);

		if (age_ms > ret->oldest_open_ms)
			ret->oldest_open_ms = age_ms;
		if (age_ms > open_limit_ms(in, op))
			cs_drift_add(ret, CS_SEVERITY_CRITICAL, "open-work",
				"run nova_scale by hand, which goes on with it and says "
				"what it waits for",
				"the %s of '%s' (%s) is in the journal without a result "
				"for %lld s",
				cs_action_text(op->action), op->name ? op->name : "?",
				op->server_id ? op->server_id : op->op, S(age_ms));
	}
}

static void compare_breakers(const struct cs_drift_input *in, struct cs_drift *ret)
{
	const struct cs_server_spec *servers = &in->cluster->servers;

	for (size_t i = 0; i < cs_places_n(servers); i++) {
		const char *zone = cs_places_zone(servers, i);
		int64_t failures = cs_places_failures(servers, i, in->journal);

		if (failures >= CS_PLACES_FAILURES)
			cs_drift_add(ret, CS_SEVERITY_CRITICAL, "breaker",
				"mend what the log says of them, then nova_scale "
				"--resume",
				"the breaker is open: %lld creates failed in a row%s%s",
				(long long)failures, zone ? " in zone " : "",
				zone ? zone : "");
	}
}

static void compare_journal(const struct cs_drift_input *in, struct cs_drift *ret)
{
	const struct cs_journal *journal = in->journal;

	if (in->journal_trouble) {
		cs_drift_add(ret, CS_SEVERITY_CRITICAL, "journal",
			"nothing is scaled until a person has looked at it", "%s",
			in->journal_trouble);
		return;
	}
	if (is_bound_elsewhere(in)) {
		cs_drift_add(ret, CS_SEVERITY_CRITICAL, "cloud",
			"correct clouds.yaml, or accept the move with nova_scale "
			"--rebind",
			"the journal belongs to %s, project %s, region '%s', but the "
			"configured cloud is %s, project %s, region '%s'",
			journal->auth_url, journal->project, journal->region,
			in->auth_url, in->project, in->region);
		return;
	}
	compare_breakers(in, ret);
	if (journal->paused)
		cs_drift_add(ret, CS_SEVERITY_WARNING, "paused",
			"nova_scale --resume when scaling is to go on",
			"a person has paused scaling");
	compare_open(in, ret);
}

/* The history. */

static int compare_ms(const void *one, const void *two)
{
	int64_t a = *(const int64_t *)one, b = *(const int64_t *)two;

	return (a > b) - (a < b);
}

/* The check's interval is nowhere configured but in the core: the median of what it was
 * lately. 0: too few to tell. */
static int64_t interval_ms(const struct cs_history *history)
{
	int64_t distances[INTERVAL_SAMPLES];
	size_t n = 0;

	for (size_t i = history->n; i > 1 && n < INTERVAL_SAMPLES; i--)
		distances[n++] = cs_stamp_age_ms(
			&history->items[i - 2].at, &history->items[i - 1].at);
	if (n < 2)
		return 0;
	qsort(distances, n, sizeof *distances, compare_ms);
	return distances[n / 2];
}

static int64_t history_limit_ms(const struct cs_drift_input *in)
{
	int64_t interval = interval_ms(in->history);
	int64_t limit =
		interval > 0 ? INTERVALS_MAX * interval : in->cluster->policy.max_age_ms;

	if (in->history_age_ms)
		return in->history_age_ms;
	return limit > HISTORY_LIMIT_MIN_MS ? limit : HISTORY_LIMIT_MIN_MS;
}

static void compare_history(const struct cs_drift_input *in, struct cs_drift *ret)
{
	const char *advice = "see what check_cluster_cpu says, and whether the core runs "
			     "it";

	ret->history_age_ms = -1;
	ret->history_limit_ms = history_limit_ms(in);
	if (!cs_snmp_spec_is_given(&in->cluster->cpu.snmp))
		return; /* nobody measures it */
	if (in->history_trouble) {
		cs_drift_add(ret, CS_SEVERITY_CRITICAL, "history", advice, "%s",
			in->history_trouble);
		return;
	}
	if (in->history->n == 0) {
		cs_drift_add(ret, CS_SEVERITY_CRITICAL, "history", advice,
			"there is no measurement");
		return;
	}
	ret->history_age_ms =
		cs_stamp_age_ms(&in->history->items[in->history->n - 1].at, &in->now);
	if (ret->history_age_ms < 0)
		cs_drift_add(ret, CS_SEVERITY_CRITICAL, "history", "compare the clocks",
			"the newest measurement is %lld s in the future",
			S(-ret->history_age_ms));
	else if (ret->history_age_ms > ret->history_limit_ms)
		cs_drift_add(ret, CS_SEVERITY_CRITICAL, "history", advice,
			"the newest measurement is %lld s old, more than %lld s",
			S(ret->history_age_ms), S(ret->history_limit_ms));
}

/* The size. */

static bool is_limited_by_max(const struct cs_decision *decision)
{
	for (size_t i = 0; i < decision->n_limiters; i++) {
		if (strcmp(decision->limiters[i].name, "max") == 0)
			return true;
	}
	return false;
}

static void compare_size(const struct cs_drift_input *in, struct cs_drift *ret)
{
	const struct cs_cluster *cluster = in->cluster;
	long long min = (long long)cluster->min, max = (long long)cluster->max;
	int64_t exists = in->census->exists;

	if (exists > cluster->max)
		cs_drift_add(ret, CS_SEVERITY_WARNING, "above-max",
			"see nova_scale --status",
			"%lld servers exist or may exist, more than max %lld",
			(long long)exists, max);
	if (in->decision->wanted > cluster->max || is_limited_by_max(in->decision))
		cs_drift_add(ret, CS_SEVERITY_CRITICAL, "at-max",
			"raise size.max, or bear that the servers are busy",
			"%lld servers are wanted, and max %lld leaves no room: %lld "
			"exist",
			(long long)in->decision->wanted, max, (long long)exists);
	if (ret->servers < cluster->min)
		cs_drift_add(ret,
			in->census->active + in->census->building < cluster->min
				? CS_SEVERITY_CRITICAL
				: CS_SEVERITY_WARNING,
			"below-min", "see nova_scale --status and its log",
			"%lld servers are in service, fewer than min %lld",
			(long long)ret->servers, min);
}

/* Nova's servers. */

/* A mark that cannot be read lies in the future. */
static void compare_draining(const struct cs_drift_input *in,
	const struct cs_member *member, struct cs_drift *ret)
{
	int64_t age_ms = in->now.wall_ms - member->draining_since_wall_ms;
	int64_t limit_ms = in->cluster->haproxy.drain_timeout_ms + CS_PLAN_GRACE_MS;
	const char *advice = "run nova_scale by hand, which goes on with it and says "
			     "what it waits for";

	if (age_ms < 0)
		cs_drift_add(ret, CS_SEVERITY_WARNING, "draining", advice,
			"server '%s' (%s) is marked to be drained, but when cannot be "
			"read",
			member->server->name, member->server->id);
	else if (age_ms > limit_ms)
		cs_drift_add(ret, CS_SEVERITY_WARNING, "draining", advice,
			"server '%s' (%s) has been draining for %lld s",
			member->server->name, member->server->id, S(age_ms));
}

static void compare_member(const struct cs_drift_input *in,
	const struct cs_member *member, struct cs_drift *ret)
{
	const struct cs_server *server = member->server;
	int64_t age_ms = in->now.wall_ms - server->created_wall_ms;

	if (member->state == CS_MEMBER_DRAINING)
		compare_draining(in, member, ret);
	else if (member->state == CS_MEMBER_ERROR)
		cs_drift_add(ret, CS_SEVERITY_WARNING, "error",
			"look at it: openstack server show; then delete it",
			"server '%s' (%s) is in ERROR%s%s", server->name, server->id,
			server->fault ? ": " : "", server->fault ? server->fault : "");
	else if (member->state == CS_MEMBER_OTHER)
		cs_drift_add(ret, CS_SEVERITY_WARNING, "stopped",
			"start it or delete it: it counts against max",
			"server '%s' (%s) is %s", server->name, server->id,
			server->status);
	else if (member->state == CS_MEMBER_UNKNOWN)
		cs_drift_add(ret, CS_SEVERITY_WARNING, "unknown",
			"have the cloud's operator look at the cell; until then the "
			"server keeps its line in HAProxy, and counts against max even "
			"if it is somebody else's",
			"Nova says nothing of server %s, as if its cell were down",
			server->id);
	else if (member->state == CS_MEMBER_BUILDING &&
		 age_ms > in->cluster->servers.build_timeout_ms)
		cs_drift_add(ret, CS_SEVERITY_WARNING, "building",
			"look at it: openstack server show",
			"server '%s' (%s) has been building for %lld s", server->name,
			server->id, S(age_ms));
}

/* All. */

static int compare_findings(const void *one, const void *two)
{
	const struct cs_finding *a = one, *b = two;

	if (a->severity != b->severity)
		return (int)b->severity - (int)a->severity;
	return strcmp(a->text, b->text);
}

void cs_drift_find(const struct cs_drift_input *in, struct cs_drift *ret)
{
	const struct cs_members *members = &in->view->members;

	*ret = (struct cs_drift){.servers = (int64_t)members->by_state[CS_MEMBER_ACTIVE],
		.wanted = in->decision->wanted};
	compare_journal(in, ret);
	compare_history(in, ret);
	compare_size(in, ret);
	for (size_t i = 0; i < members->n; i++)
		compare_member(in, &members->items[i], ret);
	cs_drift_compare_lbs(in, ret);
	if (in->cluster->mode == CS_MODE_OBSERVE)
		cs_drift_add(ret, CS_SEVERITY_OK, "observe", "",
			"mode is observe: nothing is scaled");
	if (ret->n > 0)
		qsort(ret->findings, ret->n, sizeof *ret->findings, compare_findings);
}

void cs_drift_done(struct cs_drift *drift)
{
	for (size_t i = 0; i < drift->n; i++) {
		free(drift->findings[i].text);
		free(drift->findings[i].advice);
	}
	free(drift->findings);
	*drift = (struct cs_drift){0};
}
