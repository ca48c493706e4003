/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Measuring a cluster; see measure.h. */
#include <config.h>
#include "domain/measure.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

/* snmpd reads the kernel's counters every 5 s by timer, not on demand. */
#define REFRESH_MS 5500
#define POLL_RESERVE_MS 500
#define LOCK_WAIT_MS 2000
#define LOCK_RETRY_MS 5

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

struct sampling {
	bool answered;
	struct cs_cpu_sample sample, base;
};

const char *cs_measured_state_text(enum cs_measured_state state)
{
	static const char *const texts[] = {"missing", "warming", "sampled"};

	return texts[state];
}

static void set_state(
	struct cs_measured *server, enum cs_measured_state state, const char *reason)
{
	server->state = state;
	snprintf(server->reason, sizeof server->reason, "%s", reason);
}

/* False, with the reason, when the answer is of no use. */
static bool read_sample(const struct cs_snmp_target *target, struct cs_measured *server,
	struct cs_cpu_sample *ret)
{
	char reason[CS_SNMP_REASON_SIZE];

	if (target->outcome != CS_SNMP_ANSWERED) {
		set_state(server, CS_SERVER_MISSING, cs_snmp_reason(target, reason));
		return false;
	}
	if ((target->present & NEEDED) != NEEDED) {
		set_state(server, CS_SERVER_MISSING,
			"the agent shows no ssCpuRaw counters (its view or access "
			"rule?)");
		return false;
	}
	memcpy(ret->ticks, target->values, sizeof ret->ticks);
	ret->cpus = target->values[OBJECT_CPUS];
	ret->uptime_cs = target->values[OBJECT_UPTIME];
	if (cs_cpu_sample_is_zero(ret)) {
		set_state(server, CS_SERVER_MISSING,
			"all counters are 0: snmpd has just started");
		return false;
	}
	return true;
}

/* Asks the servers that are in `wanted`; the others keep their sampling. */
static int take_samples(const struct cs_measure_setup *setup, struct cs_measured *servers,
	size_t n, enum cs_measured_state wanted, struct sampling *samplings,
	struct cs_error *err)
{
	CS_AUTO_FREE struct cs_snmp_target *targets = cs_calloc(n, sizeof *targets);
	struct cs_snmp_query query = {.objects = objects, .n_objects = OBJECT_COUNT};
	struct cs_stamp now;

	for (size_t i = 0; i < n; i++) {
		samplings[i].answered = false;
		if (servers[i].state != wanted)
			continue;
		targets[i].address = servers[i].address;
		targets[i].credential = servers[i].credential;
	}
	cs_stamp_now(&now);
	if (cs_snmp_poll(&query, targets, n,
		    cs_deadline_within(setup->deadline, setup->timeout_ms), err) < 0)
		return err->code;
	for (size_t i = 0; i < n; i++) {
		if (targets[i].address.family == AF_UNSPEC)
			continue;
		samplings[i].sample.at = now;
		samplings[i].answered =
			read_sample(&targets[i], &servers[i], &samplings[i].sample);
	}
	return 0;
}

/* What two samples of a server say about it. */
static void judge(struct cs_measured *server, const struct cs_cpu_sample *before,
	const struct cs_cpu_sample *after)
{
	enum cs_cpu_verdict verdict = cs_cpu_load_between(before, after, &server->load);

	if (verdict == CS_CPU_LOAD)
		set_state(server, CS_SERVER_SAMPLED, "");
	else
		set_state(server,
			verdict == CS_CPU_REBOOTED ? CS_SERVER_WARMING
						   : CS_SERVER_MISSING,
			cs_cpu_verdict_text(verdict));
}

static int wait_for_lock(
	const struct cs_measure_setup *setup, struct cs_lock *ret, struct cs_error *err)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/samples.lock", setup->state_dir);
	struct cs_deadline deadline = cs_deadline_within(setup->deadline, LOCK_WAIT_MS);
	struct cs_error held; /* of an attempt: in the end it may succeed */
	int r = cs_lock_take(path, "check", ret, &held);

	while (r == CS_E_LOCKED && cs_deadline_sleep(deadline, LOCK_RETRY_MS))
		r = cs_lock_take(path, "check", ret, &held);
	if (r < 0)
		*err = held;
	return r;
}

/* Judges every server that has a baseline, and keeps the new samples. Reading and
 * replacing the file happens under a lock, milliseconds long, so that runs at the same
 * time lose nothing of each other. */
static int use_baselines(const struct cs_measure_setup *setup,
	struct cs_measured *servers, size_t n, const struct sampling *samplings,
	struct cs_error *err)
{
	CS_CLEANUP(cs_lock_release) struct cs_lock lock = CS_LOCK_NONE;
	CS_CLEANUP(cs_samples_done) struct cs_samples samples = {0};
	struct cs_stamp now;

	if (wait_for_lock(setup, &lock, err) < 0)
		return err->code;
	cs_samples_load(setup->state_dir, &samples);
	for (size_t i = 0; i < n; i++) {
		struct cs_cpu_sample base;
		if (samplings[i].answered &&
			cs_samples_advance(&samples, servers[i].id, &samplings[i].sample,
				setup->spans, &base))
			judge(&servers[i], &base, &samplings[i].sample);
	}
	cs_stamp_now(&now);
	cs_samples_expire(&samples, &now, setup->spans);
	return cs_samples_save(setup->state_dir, &samples, err);
}

static int take_second_samples(const struct cs_measure_setup *setup,
	struct cs_measured *servers, size_t n, struct sampling *samplings,
	int64_t first_at_ms, struct cs_measure_result *ret, struct cs_error *err)
{
	int64_t wait_ms = first_at_ms + REFRESH_MS - cs_monotonic_ms();

	if (cs_deadline_left_ms(setup->deadline) < wait_ms + POLL_RESERVE_MS) {
		ret->no_time = true;
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		samplings[i].base = samplings[i].sample;
	cs_deadline_sleep(setup->deadline, wait_ms);
	ret->twice = true;
	cs_stamp_now(&ret->measurement.at);
	if (take_samples(setup, servers, n, CS_SERVER_WARMING, samplings, err) < 0)
		return err->code;
	for (size_t i = 0; i < n; i++) {
		if (samplings[i].answered)
			judge(&servers[i], &samplings[i].base, &samplings[i].sample);
	}
	return 0;
}

/* Under a quorum of half of the servers that could have a figure there is none. */
static void add_up(
	const struct cs_measured *servers, size_t n, struct cs_measurement *ret)
{
	struct cs_cpu_total total = {0};

	ret->servers = (int64_t)n;
	ret->sampled = ret->missing = ret->warming = 0;
	for (size_t i = 0; i < n; i++) {
		ret->sampled += servers[i].state == CS_SERVER_SAMPLED;
		ret->missing += servers[i].state == CS_SERVER_MISSING;
		ret->warming += servers[i].state == CS_SERVER_WARMING;
		if (servers[i].state == CS_SERVER_SAMPLED)
			cs_cpu_total_add(&total, &servers[i].load);
	}
	bool quorum = 2 * ret->sampled >= ret->servers - ret->warming;
	ret->load_permille = quorum ? cs_cpu_total_permille(&total) : -1;
}

int cs_measure(const struct cs_measure_setup *setup, struct cs_measured *servers,
	size_t n, struct cs_measure_result *ret, struct cs_error *err)
{
	CS_AUTO_FREE struct sampling *samplings = cs_calloc(n, sizeof *samplings);
	int64_t first_at_ms = cs_monotonic_ms();

	*ret = (struct cs_measure_result){0};
	cs_stamp_now(&ret->measurement.at);
	for (size_t i = 0; i < n; i++)
		servers[i].state = CS_SERVER_MISSING;
	if (take_samples(setup, servers, n, CS_SERVER_MISSING, samplings, err) < 0)
		return err->code;
	for (size_t i = 0; i < n; i++) {
		if (samplings[i].answered)
			set_state(&servers[i], CS_SERVER_WARMING, "first sample");
	}
	/* Without baselines the second sample still gives a figure. */
	if (setup->state_dir)
		(void)!use_baselines(setup, servers, n, samplings, &ret->state_error);
	add_up(servers, n, &ret->measurement);
	if (ret->measurement.sampled == 0 && ret->measurement.warming > 0 &&
		take_second_samples(setup, servers, n, samplings, first_at_ms, ret, err) <
			0)
		return err->code;
	add_up(servers, n, &ret->measurement);
	return 0;
}
