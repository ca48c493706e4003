/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What nova_scale's own function says about a measurement; see cpu_report.h. */
#include <config.h>
#include "cpu_report.h"

/* The state wakes the handler at every check while something is wanted. So it is asked of
 * the servers in service alone, as if nothing were under way and nothing had just been
 * done: cool-downs, budgets and open work delay an action, and do not end its reason. */
int64_t cpu_wanted(
	const struct cpu_cluster *cluster, const struct cs_measurement *measurement)
{
	struct cs_journal nothing = {0};
	int64_t servers = measurement->servers;
	/* An old list proves no shortage: only the load may ask for more. */
	bool whole = !cluster->list_trouble || servers >= cluster->min || servers == 0;
	struct cs_policy_input in = {.spec = cluster->policy,
		.min = whole ? cluster->min : servers,
		.max = cluster->max,
		.census = {.active = servers, .exists = servers, .deletable = servers},
		.journal = &nothing,
		.measurement = measurement,
		.history = cluster->history.items,
		.n_history = cluster->history.n,
		.boot_ms = cluster->boot_ms,
		.now = measurement->at,
		.wordless = true};
	struct cs_decision decision;

	cs_policy_decide(&in, &decision);
	cs_decision_done(&decision);
	/* Fewer only where min and the proof allow it: that is no wish, but a reason. */
	if (decision.direction == CS_DIRECTION_DOWN)
		return decision.desired;
	return decision.wanted > servers ? decision.wanted : servers;
}

void cpu_decide(const struct cpu_cluster *cluster,
	const struct cs_measurement *measurement, struct cs_policy_input *ret_in,
	struct cs_decision *ret)
{
	*ret_in = (struct cs_policy_input){.spec = cluster->policy,
		.servers = cluster->servers,
		.min = cluster->min,
		.max = cluster->max,
		.census = cluster->census,
		.journal = &cluster->journal,
		.measurement = measurement,
		.history = cluster->history.items,
		.n_history = cluster->history.n,
		.boot_ms = cluster->boot_ms,
		.now = measurement->at};
	cs_policy_decide(ret_in, ret);
}
