/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking servers for samples; see measure_poll.h. */
#include <config.h>
#include "domain/measure_poll.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* What is asked of every agent: the counters in the order of enum cs_cpu_counter, then
 * ssCpuNumCpus and hrSystemUptime (sysUpTime is that of snmpd, not of the host). */
#define SS_CPU(number)                                        \
	{                                                     \
		10,                                           \
		{                                             \
			1, 3, 6, 1, 4, 1, 2021, 11, number, 0 \
		}                                             \
	}
enum { OBJECT_CPUS = CS_CPU_COUNTER_COUNT, OBJECT_UPTIME, OBJECT_COUNT };
static const struct cs_snmp_object objects[OBJECT_COUNT] = {
	[CS_CPU_USER] = SS_CPU(50),
	[CS_CPU_NICE] = SS_CPU(51),
	[CS_CPU_SYSTEM] = SS_CPU(52),
	[CS_CPU_IDLE] = SS_CPU(53),
	[CS_CPU_WAIT] = SS_CPU(54),
	[CS_CPU_KERNEL] = SS_CPU(55),
	[CS_CPU_INTERRUPT] = SS_CPU(56),
	[CS_CPU_SOFTIRQ] = SS_CPU(61),
	[CS_CPU_STEAL] = SS_CPU(64),
	[OBJECT_CPUS] = SS_CPU(67),
	[OBJECT_UPTIME] = {10, {1, 3, 6, 1, 2, 1, 25, 1, 1, 0}},
};
#define NEEDED (1U << CS_CPU_USER | 1U << CS_CPU_SYSTEM | 1U << CS_CPU_IDLE)

/* hrProcessorLoad (RFC 2790): a row for each CPU, by indexes of the agent's choice. */
#define ROWS_MAX 4096
#define PERCENT_MAX 100
#define NO_SUCH_NAME 2 /* error-status of v1, RFC 1157 */
static const struct cs_snmp_object column = {11, {1, 3, 6, 1, 2, 1, 25, 3, 3, 1, 2}};

static void set_missing(struct cs_measured *server, const char *reason)
{
	server->state = CS_SERVER_MISSING;
	cs_measured_set_reason(server, reason);
}

/* A cluster's servers while they are asked. */
struct round {
	const struct cs_measure_setup *setup;
	struct cs_measured *servers;
	struct cs_sampling *samplings;
	struct cs_snmp_target *targets;
	size_t n;
	struct cs_stamp at;
};

static bool is_asked(const struct round *round, size_t i)
{
	return round->targets[i].address.family != AF_UNSPEC;
}

static void ask(struct round *round, size_t i)
{
	round->targets[i].address = round->servers[i].address;
	round->targets[i].credential = round->servers[i].credential;
}

static void forget_targets(struct round *round)
{
	for (size_t i = 0; i < round->n; i++)
		round->targets[i] = (struct cs_snmp_target){0};
}

/* False when there is none, or with the reason. v1 refuses a request whole for one object
 * that the agent lacks. */
static bool has_values(const struct round *round, size_t i)
{
	const struct cs_snmp_target *target = &round->targets[i];
	char reason[CS_SNMP_REASON_SIZE];

	round->samplings[i].lacks =
		target->outcome == CS_SNMP_ERROR_STATUS && target->detail == NO_SUCH_NAME;
	if (target->outcome != CS_SNMP_ANSWERED)
		set_missing(&round->servers[i], cs_snmp_reason(target, reason));
	return target->outcome == CS_SNMP_ANSWERED;
}

/* Without a reason when the agent lacks the counters. */
static void read_counters(struct round *round, size_t i)
{
	const struct cs_snmp_target *target = &round->targets[i];
	struct cs_sampling *sampling = &round->samplings[i];
	struct cs_cpu_sample sample = {.at = round->at};

	if (!has_values(round, i))
		return;
	sampling->lacks = (target->present & NEEDED) != NEEDED;
	if (sampling->lacks) {
		set_missing(&round->servers[i],
			"the agent shows no ssCpuRaw counters (its view or access "
			"rule?)");
		return;
	}
	memcpy(sample.ticks, target->values, sizeof sample.ticks);
	sample.cpus = target->values[OBJECT_CPUS];
	sample.uptime_cs = target->values[OBJECT_UPTIME];
	if (cs_cpu_sample_is_zero(&sample)) {
		set_missing(
			&round->servers[i], "all counters are 0: snmpd has just started");
		return;
	}
	sampling->sample = sample;
	sampling->answered = true;
}

static bool waits_for(const struct cs_sampling *sampling, enum cs_cpu_source source)
{
	return sampling->wanted && !sampling->answered && sampling->source == source;
}

static int poll_counters(struct round *round, struct cs_error *err)
{
	const struct cs_measure_setup *setup = round->setup;
	struct cs_snmp_query query = {.objects = objects,
		.n_objects = OBJECT_COUNT,
		.retries = setup->retries,
		.engines_dir = setup->state_dir,
		.counts = setup->counts};
	bool any = false;

	forget_targets(round);
	for (size_t i = 0; i < round->n; i++) {
		if (!waits_for(&round->samplings[i], CS_CPU_UCD))
			continue;
		ask(round, i);
		any = true;
	}
	if (!any)
		return 0;
	cs_stamp_now(&round->at);
	if (cs_snmp_poll(&query, round->targets, round->n,
		    cs_deadline_within(setup->deadline, setup->timeout_ms), err) < 0)
		return err->code;
	for (size_t i = 0; i < round->n; i++) {
		if (is_asked(round, i))
			read_counters(round, i);
	}
	return 0;
}

static void add_rows(struct cs_sampling *sampling, const struct cs_snmp_target *target)
{
	for (size_t row = 0; row < target->rows.n; row++) {
		bool present = target->present >> row & 1;

		if (!present || target->values[row] > PERCENT_MAX)
			sampling->spoiled = true;
		else
			sampling->sum += target->values[row];
	}
	sampling->rows += target->rows.n;
	sampling->next = target->rows.last;
	sampling->more = !target->rows.ended && sampling->rows < ROWS_MAX;
}

/* Asks those that have come as far as index `next` for the rows behind it. */
static int poll_rows_behind(struct round *round, uint32_t next, struct cs_error *err)
{
	const struct cs_measure_setup *setup = round->setup;
	struct cs_snmp_object from = column;
	struct cs_snmp_query query = {.objects = &from,
		.n_objects = 1,
		.column_arcs = column.n_arcs,
		.retries = setup->retries,
		.engines_dir = setup->state_dir,
		.counts = setup->counts};

	if (next > 0)
		from.arcs[from.n_arcs++] = next;
	forget_targets(round);
	for (size_t i = 0; i < round->n; i++) {
		if (round->samplings[i].more && round->samplings[i].next == next)
			ask(round, i);
	}
	if (cs_snmp_poll(&query, round->targets, round->n,
		    cs_deadline_within(setup->deadline, setup->timeout_ms), err) < 0)
		return err->code;
	for (size_t i = 0; i < round->n; i++) {
		struct cs_sampling *sampling = &round->samplings[i];

		if (!is_asked(round, i))
			continue;
		sampling->more = false;
		if (has_values(round, i))
			add_rows(sampling, &round->targets[i]);
		else
			sampling->spoiled = !sampling->lacks;
	}
	return 0;
}

/* The lowest index that somebody has come to; false when all are through. */
static bool find_next(const struct round *round, uint32_t *ret)
{
	bool found = false;

	for (size_t i = 0; i < round->n; i++) {
		const struct cs_sampling *sampling = &round->samplings[i];

		if (!sampling->more || (found && sampling->next >= *ret))
			continue;
		*ret = sampling->next;
		found = true;
	}
	return found;
}

static void read_rows(struct round *round, size_t i)
{
	struct cs_sampling *sampling = &round->samplings[i];
	struct cs_measured *server = &round->servers[i];

	if (round->samplings[i].spoiled) {
		if (!server->reason)
			set_missing(server, "hrProcessorLoad is no percentage");
		return;
	}
	sampling->lacks = sampling->rows == 0;
	if (sampling->lacks) {
		set_missing(server, "the agent shows no hrProcessorLoad (its view, or "
				    "snmpd not up for 60 s yet?)");
		return;
	}
	sampling->sample =
		cs_cpu_sample_of_rows(&round->at, sampling->sum, sampling->rows);
	sampling->answered = true;
}

/* How many rows there are is not known before: all are asked for the first ones, and
 * those that go on from the same index together for more. */
static int poll_rows(struct round *round, struct cs_error *err)
{
	uint32_t next = 0;

	for (size_t i = 0; i < round->n; i++) {
		struct cs_sampling *sampling = &round->samplings[i];

		sampling->more = waits_for(sampling, CS_CPU_HOST_RESOURCES) &&
				 round->servers[i].address.family != AF_UNSPEC;
		if (sampling->more)
			cs_measured_set_reason(&round->servers[i], NULL);
	}
	cs_stamp_now(&round->at);
	while (find_next(round, &next)) {
		if (poll_rows_behind(round, next, err) < 0)
			return err->code;
	}
	for (size_t i = 0; i < round->n; i++) {
		if (waits_for(&round->samplings[i], CS_CPU_HOST_RESOURCES) &&
			round->servers[i].address.family != AF_UNSPEC)
			read_rows(round, i);
	}
	return 0;
}

/* Those that lack `source` are to be asked for the other one, once; those that were
 * silent are not to be waited for again. */
static void turn_from(struct round *round, enum cs_cpu_source source, bool *turned)
{
	for (size_t i = 0; i < round->n; i++) {
		struct cs_sampling *sampling = &round->samplings[i];

		if (!waits_for(sampling, source))
			continue;
		sampling->wanted = sampling->lacks;
		if (!sampling->lacks)
			continue;
		if (turned[i]) {
			set_missing(&round->servers[i],
				"the agent shows neither ssCpuRaw counters nor "
				"hrProcessorLoad (its view or access rule?)");
			sampling->wanted = false;
			continue;
		}
		turned[i] = true;
		sampling->lacks = false;
		sampling->source =
			source == CS_CPU_UCD ? CS_CPU_HOST_RESOURCES : CS_CPU_UCD;
	}
}

int cs_measure_poll(const struct cs_measure_setup *setup, struct cs_measured *servers,
	size_t n, struct cs_sampling *samplings, struct cs_error *err)
{
	CS_AUTO_FREE struct cs_snmp_target *targets = cs_calloc(n, sizeof *targets);
	CS_AUTO_FREE bool *turned = cs_calloc(n, sizeof *turned);
	struct round round = {.setup = setup,
		.servers = servers,
		.samplings = samplings,
		.targets = targets,
		.n = n};
	bool choose = setup->source == CS_CPU_AUTO;

	for (size_t i = 0; i < n; i++)
		samplings[i].answered = samplings[i].lacks = false;
	if (poll_counters(&round, err) < 0)
		return err->code;
	if (choose)
		turn_from(&round, CS_CPU_UCD, turned);
	if (poll_rows(&round, err) < 0)
		return err->code;
	if (choose) {
		turn_from(&round, CS_CPU_HOST_RESOURCES, turned);
		if (poll_counters(&round, err) < 0)
			return err->code;
		turn_from(&round, CS_CPU_UCD, turned);
	}
	return 0;
}
