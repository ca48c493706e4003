/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CPU load from two samples of an agent's tick counters. Pure.
 *
 *     busy = total - idle - wait
 *     total = user + nice + system + idle + wait + interrupt + softirq + steal
 *
 * Steal is busy: the server wanted to run. Waiting for a disk is not: another server
 * would not help a stalled database. Guest time is already in user and nice. Source:
 * UCD-SNMP-MIB, ssCpuRaw*; proc(5). */
#ifndef CS_DOMAIN_CPULOAD_H
#define CS_DOMAIN_CPULOAD_H

#include <stdbool.h>
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

struct cs_cpu_sample {
	struct cs_stamp at;
	uint32_t ticks[CS_CPU_COUNTER_COUNT];
	uint32_t cpus;	    /* 0: the agent does not say */
	uint32_t uptime_cs; /* of the host, 1/100 s; 0: the agent does not say */
};

struct cs_cpu_load {
	int64_t permille;
	int64_t cpus; /* the weight; estimated from the ticks when the agent is silent */
	int64_t span_ms;
	uint64_t ticks[CS_CPU_COUNTER_COUNT]; /* of this span; system or kernel is 0 */
	uint64_t total_ticks;
};

enum cs_cpu_verdict {
	CS_CPU_LOAD,	    /* there is one */
	CS_CPU_NO_TICKS,    /* the agent has not refreshed its counters */
	CS_CPU_REBOOTED,    /* the samples are from two lives of the host */
	CS_CPU_IMPLAUSIBLE, /* the total is not about 100 ticks a second and CPU */
};
const char *cs_cpu_verdict_text(enum cs_cpu_verdict verdict);

/* A restarted snmpd reports zeros for its first seconds: no data, and no baseline. */
bool cs_cpu_sample_is_zero(const struct cs_cpu_sample *sample) CS_NONNULL_ALL;

/* `ret` is filled for CS_CPU_LOAD only. */
enum cs_cpu_verdict cs_cpu_load_between(const struct cs_cpu_sample *before,
	const struct cs_cpu_sample *after, struct cs_cpu_load *ret) CS_NONNULL_ALL;

/* Collects loads, each weighted by its CPUs. */
struct cs_cpu_total {
	int64_t weighted_permille, cpus;
};
void cs_cpu_total_add(
	struct cs_cpu_total *total, const struct cs_cpu_load *load) CS_NONNULL_ALL;
/* -1 when there is nothing in it. */
int64_t cs_cpu_total_permille(const struct cs_cpu_total *total) CS_NONNULL_ALL;

#endif
