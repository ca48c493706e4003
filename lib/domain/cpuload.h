/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CPU load from two samples of an agent's tick counters. Pure.
 *
 *     busy = total - idle - wait
 *     total = user + nice + system + idle + wait + interrupt + softirq + steal
 *
 * Steal is busy: the server wanted to run. Waiting for a disk is not: another server
 * would not help a stalled database. Guest time is already in user and nice. Source:
 * UCD-SNMP-MIB, ssCpuRaw*; proc(5).
 *
 * Or, from agents without those counters, the mean of hrProcessorLoad (RFC 2790): the
 * share of the minute before that each CPU was not idle. Waiting for a disk is busy in
 * it. */
#ifndef CS_DOMAIN_CPULOAD_H
#define CS_DOMAIN_CPULOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/stamp.h"

/* Counter32 in ticks, usually of 1/100 s per CPU. */
enum cs_cpu_counter {
	CS_CPU_USER,
	CS_CPU_NICE,
	CS_CPU_SYSTEM,
	CS_CPU_IDLE,
	CS_CPU_WAIT,
	CS_CPU_KERNEL, /* 0 on Linux; where it counts, it stands for system */
	CS_CPU_INTERRUPT,
	CS_CPU_SOFTIRQ,
	CS_CPU_STEAL,
	CS_CPU_COUNTER_COUNT,
};

/* Where samples are from. */
enum cs_cpu_source {
	CS_CPU_UCD,
	CS_CPU_HOST_RESOURCES,
	CS_CPU_AUTO, /* of no sample: whichever of them an agent has, ucd first */
};
extern const char *const cs_cpu_sources[]; /* the words, up to a NULL */

struct cs_cpu_sample {
	struct cs_stamp at;
	enum cs_cpu_source source;
	uint32_t permille; /* of host-resources alone, which has no counters */
	uint32_t ticks[CS_CPU_COUNTER_COUNT];
	uint32_t cpus;	    /* 0: the agent does not say */
	uint32_t uptime_cs; /* of the host, 1/100 s; 0: the agent does not say */
};

struct cs_cpu_load {
	enum cs_cpu_source source;
	int64_t permille;
	int64_t cpus; /* the weight; estimated from the ticks when the agent is silent */
	int64_t span_ms;
	/* of this span; system or kernel is 0, and all are with host-resources */
	uint32_t ticks[CS_CPU_COUNTER_COUNT];
	uint64_t total_ticks;
};

enum cs_cpu_verdict {
	CS_CPU_LOAD,	    /* there is one */
	CS_CPU_FIRST,	    /* there is one sample only */
	CS_CPU_NO_TICKS,    /* the agent has not refreshed its counters */
	CS_CPU_REBOOTED,    /* the samples are from two lives of the host */
	CS_CPU_IMPLAUSIBLE, /* the total is not about 100 ticks a second and CPU */
};
const char *cs_cpu_verdict_text(enum cs_cpu_verdict verdict);

/* A restarted snmpd reports zeros for its first seconds: no data, and no baseline. */
bool cs_cpu_sample_is_zero(const struct cs_cpu_sample *sample) CS_NONNULL_ALL;

/* The mean of n rows of hrProcessorLoad, whose per cents are `sum` together. */
struct cs_cpu_sample cs_cpu_sample_of_rows(
	const struct cs_stamp *at, uint64_t sum, uint32_t n) CS_NONNULL_ALL;

/* Of a sample of host-resources, which needs no other. */
struct cs_cpu_load cs_cpu_load_told(const struct cs_cpu_sample *sample) CS_NONNULL_ALL;

/* How long a server has been up: the less of what its creation says (not above 0:
 * unknown) and its own uptime (0: unknown); INT64_MAX when neither is known. */
int64_t cs_cpu_age_ms(
	const struct cs_cpu_sample *sample, int64_t created_wall_ms) CS_NONNULL_ALL;

/* Of two samples of ucd; `ret` is filled for CS_CPU_LOAD only. */
enum cs_cpu_verdict cs_cpu_load_between(const struct cs_cpu_sample *before,
	const struct cs_cpu_sample *after, struct cs_cpu_load *ret) CS_NONNULL_ALL;

/* How the loads of many become one figure. A percentile is the lowest load that so many
 * per cent of all CPUs do not exceed; a median that lies between two is their mean. */
enum cs_cpu_aggregate {
	CS_CPU_MEAN, /* by CPUs */
	CS_CPU_MAX,
	CS_CPU_MEDIAN,
	CS_CPU_P90,
	CS_CPU_P95,
};
extern const char *const cs_cpu_aggregates[]; /* the words, up to a NULL */

struct cs_cpu_share {
	int64_t permille, cpus;
};
/* Orders the shares; -1 when there are none. */
int64_t cs_cpu_aggregate_of(enum cs_cpu_aggregate aggregate, struct cs_cpu_share *shares,
	size_t n) CS_NONNULL(2);

#endif
