/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From ticks to load; see cpuload.h. */
#include <config.h>
#include "domain/cpuload.h"

#include <stddef.h>
#include <stdlib.h>

#define TICKS_PER_S 100
#define MS_PER_CS 10
/* snmpd refreshes every 5 s, so each end of a span may be that much off. */
#define SLACK_MS 10000
#define SPAN_MAX_MS (INT64_C(7) * 86400 * CS_MS_PER_S)
#define BACKWARDS 0x80000000U
#define CPUS_MAX 65536 /* an agent that claims more is not believed */

const char *cs_cpu_verdict_text(enum cs_cpu_verdict verdict)
{
	static const char *const texts[] = {
		[CS_CPU_LOAD] = "measured",
		[CS_CPU_NO_TICKS] = "no new data from the agent",
		[CS_CPU_REBOOTED] = "rebooted since the last sample",
		[CS_CPU_IMPLAUSIBLE] = "implausible counters",
	};

	return texts[verdict];
}

bool cs_cpu_sample_is_zero(const struct cs_cpu_sample *sample)
{
	for (size_t i = 0; i < CS_CPU_COUNTER_COUNT; i++) {
		if (sample->ticks[i])
			return false;
	}
	return true;
}

/* Modulo 2^32; more than half of that is a step backwards, which iowait does. */
static uint32_t advance(uint32_t before, uint32_t after)
{
	uint32_t delta = after - before;

	return delta > BACKWARDS ? 0 : delta;
}

/* The host's uptime must have grown like our clock. */
static bool rebooted(const struct cs_cpu_sample *before,
	const struct cs_cpu_sample *after, int64_t span_ms)
{
	if (!before->uptime_cs || !after->uptime_cs)
		return false;
	int64_t grown_ms = (int64_t)(after->uptime_cs - before->uptime_cs) * MS_PER_CS;
	return llabs(grown_ms - span_ms) > SLACK_MS + span_ms / 10;
}

/* Within a factor of two, because not every system ticks at 100 Hz. */
static bool plausible(uint64_t total, int64_t cpus, int64_t span_ms)
{
	int64_t per_ms_x1000 = TICKS_PER_S * cpus;
	int64_t least = span_ms > SLACK_MS ? (span_ms - SLACK_MS) * per_ms_x1000 / 2 : 0;
	int64_t most = (span_ms + SLACK_MS) * per_ms_x1000 * 2;

	return total * CS_MS_PER_S >= (uint64_t)least &&
	       total * CS_MS_PER_S <= (uint64_t)most;
}

static int64_t estimate_cpus(uint64_t total, int64_t span_ms)
{
	int64_t per_cpu = span_ms * TICKS_PER_S / CS_MS_PER_S;
	int64_t cpus = per_cpu > 0 ? ((int64_t)total + per_cpu / 2) / per_cpu : 1;

	return cpus > 0 ? cpus : 1;
}

enum cs_cpu_verdict cs_cpu_load_between(const struct cs_cpu_sample *before,
	const struct cs_cpu_sample *after, struct cs_cpu_load *ret)
{
	struct cs_cpu_load load = {.span_ms = cs_stamp_age_ms(&before->at, &after->at)};

	if (load.span_ms <= 0 || load.span_ms > SPAN_MAX_MS)
		return CS_CPU_IMPLAUSIBLE;
	if (rebooted(before, after, load.span_ms))
		return CS_CPU_REBOOTED;
	for (size_t i = 0; i < CS_CPU_COUNTER_COUNT; i++)
		load.ticks[i] = advance(before->ticks[i], after->ticks[i]);
	load.ticks[after->ticks[CS_CPU_KERNEL] ? CS_CPU_SYSTEM : CS_CPU_KERNEL] = 0;
	for (size_t i = 0; i < CS_CPU_COUNTER_COUNT; i++)
		load.total_ticks += load.ticks[i];
	if (load.total_ticks == 0)
		return CS_CPU_NO_TICKS;
	bool told = after->cpus > 0 && after->cpus <= CPUS_MAX;
	load.cpus = told ? after->cpus : estimate_cpus(load.total_ticks, load.span_ms);
	if (!plausible(load.total_ticks, load.cpus, load.span_ms))
		return CS_CPU_IMPLAUSIBLE;
	uint64_t busy =
		load.total_ticks - load.ticks[CS_CPU_IDLE] - load.ticks[CS_CPU_WAIT];
	load.permille =
		(int64_t)((busy * 1000 + load.total_ticks / 2) / load.total_ticks);
	*ret = load;
	return CS_CPU_LOAD;
}

void cs_cpu_total_add(struct cs_cpu_total *total, const struct cs_cpu_load *load)
{
	total->weighted_permille += load->permille * load->cpus;
	total->cpus += load->cpus;
}

int64_t cs_cpu_total_permille(const struct cs_cpu_total *total)
{
	if (total->cpus == 0)
		return -1;
	return (total->weighted_permille + total->cpus / 2) / total->cpus;
}
