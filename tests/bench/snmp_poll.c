/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The poll of check_cluster_cpu alone, for ./dev bench snmp: without the process around
 * it, so that it can be compared with snmp_limit.
 *
 *     snmp_poll COUNT PORT BUDGET_MS
 *
 * Asks the same addresses for the same objects. Prints how many answered, the CPU time of
 * that in us, and how many were called silent. */
#include <config.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "client/snmp.h"

#define OBJECT_COUNT 11

static int64_t cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) +
	       usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static void make_objects(struct cs_snmp_object *ret)
{
	static const unsigned long numbers[] = {50, 51, 52, 53, 54, 55, 56, 61, 64, 67};

	for (size_t i = 0; i < CS_ARRAY_SIZE(numbers); i++)
		ret[i] = (struct cs_snmp_object){
			10, {1, 3, 6, 1, 4, 1, 2021, 11, numbers[i], 0}};
	ret[CS_ARRAY_SIZE(numbers)] =
		(struct cs_snmp_object){10, {1, 3, 6, 1, 2, 1, 25, 1, 1, 0}};
}

int main(int argc, char **argv)
{
	size_t count = argc == 4 ? (size_t)atol(argv[1]) : 0, by_outcome[16] = {0};
	struct cs_snmp_object objects[OBJECT_COUNT];
	struct cs_error err;

	if (count < 1 || count > 1000000) {
		fputs("usage: snmp_poll COUNT PORT BUDGET_MS\n", stderr);
		return 1;
	}
	make_objects(objects);
	struct cs_secret *community = cs_secret_new("public");
	struct cs_snmp_credential credential = {.community = community};
	struct cs_snmp_query query = {.objects = objects,
		.n_objects = OBJECT_COUNT,
		.retries = CS_SNMP_RETRIES};
	struct cs_snmp_target *targets = cs_calloc(count, sizeof *targets);
	uint32_t step = 0xfffff0U / (uint32_t)count;
	for (size_t i = 0; i < count; i++) {
		targets[i].address.v4 = (struct sockaddr_in){.sin_family = AF_INET,
			.sin_port = htons((uint16_t)atoi(argv[2])),
			.sin_addr.s_addr = htonl(0x7f000001U + (uint32_t)i * step)};
		targets[i].credential = &credential;
	}
	int64_t start_us = cpu_us();
	if (cs_snmp_poll(&query, targets, count, cs_deadline_in(atol(argv[3])), &err) <
		0) {
		fprintf(stderr, "snmp_poll: %s\n", err.message);
		return 1;
	}
	int64_t took_us = cpu_us() - start_us;
	for (size_t i = 0; i < count; i++)
		by_outcome[targets[i].outcome]++;
	printf("%zu %lld %zu\n", by_outcome[CS_SNMP_ANSWERED], (long long)took_us,
		by_outcome[CS_SNMP_SILENT]);
	cs_secret_free(community);
	free(targets);
	return by_outcome[CS_SNMP_ANSWERED] == count ? 0 : 2;
}
