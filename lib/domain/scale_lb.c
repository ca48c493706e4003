/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The load balancers, as one pass asks them: at most once each, and always after the
 * pass's list was taken; see scale_act.h. */
#include <config.h>
#include "domain/scale_act.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "base/mem.h"

/* haproxy_sync(8): failed; also what it says to an empty list */
#define SYNC_FAILED 2

void cs_act_forget_lbs(struct cs_act *act)
{
	for (size_t i = 0; act->lbs && i < act->scale->cluster->n_load_balancers; i++) {
		cs_sync_report_done(&act->lbs[i].report);
		free(act->lbs[i].trouble);
	}
	free(act->lbs);
	act->lbs = NULL;
}

static void sync_one(struct cs_act *act, size_t i)
{
	const struct cs_load_balancer *lb = &act->scale->cluster->load_balancers[i];
	const struct cs_scale_ports *ports = act->scale->ports;
	struct cs_error err;

	if (ports->sync(ports->context, lb, &act->lbs[i].report, &err) == 0)
		return;
	/* Nothing is published on the word of an empty list, which is no fault of the
	 * load balancer: somebody has to be the first server. */
	if (act->sight->view.members.n == 0 && err.remote_status == SYNC_FAILED) {
		cs_act_say_once(act, LOG_INFO,
			"load balancer '%s' cannot be tried before a server exists: %s",
			lb->name, err.message);
		return;
	}
	act->trouble = true;
	act->lbs[i].trouble =
		cs_asprintf("load balancer '%s': %s", lb->name, err.message);
	cs_act_say_once(act, LOG_WARNING, "%s", act->lbs[i].trouble);
}

void cs_act_sync(struct cs_act *act)
{
	size_t n = act->scale->cluster->n_load_balancers;

	if (act->lbs)
		return;
	act->lbs = cs_calloc(n + 1, sizeof *act->lbs);
	for (size_t i = 0; i < n; i++)
		sync_one(act, i);
}

int cs_act_can_publish(struct cs_act *act, struct cs_error *err)
{
	const struct cs_cluster *cluster = act->scale->cluster;

	if (act->unserved)
		return cs_error_set(err, CS_E_REFUSED,
			"held: no load balancer serves '%s', which answers, and it would "
			"not be otherwise with another server; mend that first",
			act->unserved);
	cs_act_sync(act);
	for (size_t i = 0; i < cluster->n_load_balancers; i++) {
		if (!act->lbs[i].trouble)
			return 0;
	}
	if (cluster->n_load_balancers == 0)
		return 0;
	return cs_error_set(err, CS_E_REMOTE,
		"held: no load balancer can be brought in line, so nobody would serve a "
		"new server; mend %s first",
		cluster->n_load_balancers > 1 ? "one of them" : "it");
}

bool cs_act_served(
	struct cs_act *act, const struct cs_step *step, struct cs_act_service *ret)
{
	const struct cs_cluster *cluster = act->scale->cluster;
	size_t n = cluster->n_load_balancers;

	*ret = (struct cs_act_service){0};
	cs_act_sync(act);
	for (size_t i = 0; i < n; i++) {
		const struct cs_act_lb *lb = &act->lbs[i];

		if (cs_sync_report_serves(&lb->report, step->server_id)) {
			ret->serving++;
			continue;
		}
		ret->failed += lb->trouble != NULL;
		ret->serving_others |= lb->report.serving.n > 0;
		if (*ret->why)
			continue;
		if (lb->trouble)
			snprintf(ret->why, sizeof ret->why, "%s", lb->trouble);
		else
			snprintf(ret->why, sizeof ret->why,
				"load balancer '%s' does not serve it",
				cluster->load_balancers[i].name);
	}
	return ret->serving == n;
}

static struct cs_act_drain *drain_of(struct cs_act *act, const char *server_id)
{
	for (size_t i = 0; i < act->n_drains; i++) {
		if (strcmp(act->drains[i].server_id, server_id) == 0)
			return &act->drains[i];
	}
	act->drains =
		cs_reallocarray(act->drains, act->n_drains + 1, sizeof *act->drains);
	act->drains[act->n_drains] =
		(struct cs_act_drain){.server_id = cs_strdup(server_id)};
	return &act->drains[act->n_drains++];
}

void cs_act_forget_drains(struct cs_act *act)
{
	for (size_t i = 0; i < act->n_drains; i++)
		free(act->drains[i].server_id);
	free(act->drains);
	act->drains = NULL;
	act->n_drains = 0;
}

/* Returns the sessions. */
static int64_t say_sessions(struct cs_act *act, const struct cs_step *step, size_t i)
{
	int64_t sessions = 0;

	const char *lb_name = act->scale->cluster->load_balancers[i].name;
	const struct cs_sync_report *report = &act->lbs[i].report;
	const char *name = cs_act_name_of(step);

	if (cs_sync_report_drained(report, step->server_id, 0))
		cs_act_say_once(act, LOG_WARNING,
			"load balancer '%s' says that '%s' is drained, by a list older "
			"than the mark: compare the clocks",
			lb_name, name);
	for (size_t k = 0; k < report->n_draining; k++) {
		if (strcmp(report->draining[k].id, step->server_id) != 0)
			continue;
		sessions = report->draining[k].sessions;
		cs_act_say_once(act, LOG_INFO,
			"load balancer '%s' drains '%s': %lld sessions", lb_name, name,
			(long long)sessions);
	}
	return sessions;
}

bool cs_act_drained(
	struct cs_act *act, const struct cs_step *step, struct cs_act_drain **ret_drain)
{
	const struct cs_cluster *cluster = act->scale->cluster;
	struct cs_act_drain *drain = drain_of(act, step->server_id);
	int64_t sessions = 0;
	size_t left = 0;

	cs_act_sync(act);
	for (size_t i = 0; i < cluster->n_load_balancers; i++) {
		const struct cs_act_lb *lb = &act->lbs[i];

		if (cs_sync_report_drained(&lb->report, step->server_id,
			    step->member->draining_since_wall_ms))
			continue;
		sessions += say_sessions(act, step, i);
		if (left++ > 0)
			continue;
		if (lb->trouble)
			cs_act_await(act, step, "%s", lb->trouble);
		else
			cs_act_await(act, step, "load balancer '%s' drains it",
				cluster->load_balancers[i].name);
	}
	if (sessions > drain->most_sessions)
		drain->most_sessions = sessions;
	*ret_drain = drain;
	return left == 0;
}
