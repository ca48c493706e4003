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
#define TOLD_SPAN_MS (60 * CS_MS_PER_S)

const char *const cs_cpu_aggregates[] = {[CS_CPU_MEAN] = "mean",
	[CS_CPU_MAX] = "max",
	[CS_CPU_MEDIAN] = "median",
	[CS_CPU_P90] = "p90",
	[CS_CPU_P95] = "p95",
	NULL};

const char *const cs_cpu_sources[] = {[CS_CPU_UCD] = "ucd",
	[CS_CPU_HOST_RESOURCES] = "host-resources",
	[CS_CPU_AUTO] = "auto",
	NULL};

const char *cs_cpu_verdict_text(enum cs_cpu_verdict verdict)
{
	static const char *const texts[] = {
		[CS_CPU_LOAD] = "measured",
		[CS_CPU_FIRST] = "first sample",
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

/* Within a factor of two, because not every system ticks at 100 Hz. CPUs may have been
 * added or taken away meanwhile, at any time. */
static bool plausible(uint64_t total, int64_t cpus_before, int64_t cpus, int64_t span_ms)
{
	int64_t fewest = cpus_before > 0 && cpus_before < cpus ? cpus_before : cpus;
	int64_t largest = cpus_before > cpus ? cpus_before : cpus;
	int64_t least =
		span_ms > SLACK_MS ? (span_ms - SLACK_MS) * TICKS_PER_S * fewest / 2 : 0;
	int64_t most = (span_ms + SLACK_MS) * TICKS_PER_S * largest * 2;

	return total * CS_MS_PER_S >= (uint64_t)least &&
	       total * CS_MS_PER_S <= (uint64_t)most;
}

static int64_t estimate_cpus(uint64_t total, int64_t span_ms)
{
	int64_t per_cpu = span_ms * TICKS_PER_S / CS_MS_PER_S;
	int64_t cpus = per_cpu > 0 ? ((int64_t)total + per_cpu / 2) / per_cpu : 1;

	return cpus > 0 ? cpus : 1;
}

static bool believed(const struct cs_cpu_sample *sample)
{
	return sample->cpus > 0 && sample->cpus <= CPUS_MAX;
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
	load.cpus = after->cpus;
	if (!believed(after))
		load.cpus = estimate_cpus(load.total_ticks, load.span_ms);
	if (!plausible(load.total_ticks, believed(before) ? before->cpus : 0, load.cpus,
		    load.span_ms))
		return CS_CPU_IMPLAUSIBLE;
	uint64_t busy =
		load.total_ticks - load.ticks[CS_CPU_IDLE] - load.ticks[CS_CPU_WAIT];
	load.permille =
		(int64_t)((busy * 1000 + load.total_ticks / 2) / load.total_ticks);
	*ret = load;
	return CS_CPU_LOAD;
}

struct cs_cpu_sample cs_cpu_sample_of_rows(
	const struct cs_stamp *at, uint64_t sum, uint32_t n)
{
	return (struct cs_cpu_sample){.at = *at,
		.source = CS_CPU_HOST_RESOURCES,
		.permille = (uint32_t)((sum * 10 + n / 2) / n),
		.cpus = n};
}

struct cs_cpu_load cs_cpu_load_told(const struct cs_cpu_sample *sample)
{
	return (struct cs_cpu_load){.source = sample->source,
		.permille = sample->permille,
		.cpus = sample->cpus,
		.span_ms = TOLD_SPAN_MS};
}

int64_t cs_cpu_age_ms(const struct cs_cpu_sample *sample, int64_t created_wall_ms)
{
	int64_t age_ms = INT64_MAX;

	if (created_wall_ms > 0) /* its clock may be a little ahead of ours */
		age_ms = sample->at.wall_ms > created_wall_ms
				 ? sample->at.wall_ms - created_wall_ms
				 : 0;
	if (sample->uptime_cs > 0 && (int64_t)sample->uptime_cs * MS_PER_CS < age_ms)
		age_ms = (int64_t)sample->uptime_cs * MS_PER_CS;
	return age_ms;
}

static int by_load(const void *one, const void *two)
{
	const struct cs_cpu_share *a = one, *b = two;

	return (a->permille > b->permille) - (a->permille < b->permille);
}

static int64_t mean_of(const struct cs_cpu_share *shares, size_t n)
{
	int64_t weighted = 0, cpus = 0;

	for (size_t i = 0; i < n; i++) {
		weighted += shares[i].permille * shares[i].cpus;
		cpus += shares[i].cpus;
	}
	return (weighted + cpus / 2) / cpus;
}

/* Of shares in order. */
static int64_t percentile(const struct cs_cpu_share *shares, size_t n, int64_t percent)
{
	int64_t all = 0, below = 0;
	size_t i = 0;

	for (size_t j = 0; j < n; j++)
		all += shares[j].cpus;
	while (i + 1 < n && (below + shares[i].cpus) * 100 < all * percent)
		below += shares[i++].cpus;
	bool between = percent == 50 && i + 1 < n && (below + shares[i].cpus) * 2 == all;
	return between ? (shares[i].permille + shares[i + 1].permille + 1) / 2
		       : shares[i].permille;
}

int64_t cs_cpu_aggregate_of(
	enum cs_cpu_aggregate aggregate, struct cs_cpu_share *shares, size_t n)
{
	static const int64_t percents[] = {[CS_CPU_MAX] = 100,
		[CS_CPU_MEDIAN] = 50,
		[CS_CPU_P90] = 90,
		[CS_CPU_P95] = 95};

	if (n == 0)
		return -1;
	if (aggregate == CS_CPU_MEAN)
		return mean_of(shares, n);
	qsort(shares, n, sizeof *shares, by_load);
	return percentile(shares, n, percents[aggregate]);
}
