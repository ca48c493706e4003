/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What no client of many agents can beat, for ./dev bench snmp: sends ready packets and
 * takes answers unread, as fast as the system does it.
 *
 *     snmp_limit COUNT PORT
 *
 * Asks COUNT addresses spread over 127.0.0.0/8 for what check_cluster_cpu asks, by SNMP
 * v2c and the community "public". Repeats nothing; ends when all have answered or 3 s
 * after the last answer. Prints how many answered and the CPU time of that in us. */
#include <config.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define BATCH 64
#define PACKET_MAX 1472
#define PATIENCE_MS 3000
#define ID_AT 17 /* behind version, community and the header of the PDU */

static uint8_t request[PACKET_MAX] = {0x30, 0x82, 0, 0, 2, 1, 1, 4, 6, 'p', 'u', 'b', 'l',
	'i', 'c', 0xa0, 0x82, 0, 0, 2, 4, 0x40, 0, 0, 0, 2, 1, 0, 2, 1, 0, 0x30, 0x82, 0,
	0};
static size_t request_len = 35;

static void set_length(size_t at)
{
	size_t len = request_len - at - 2;

	request[at] = (uint8_t)(len >> 8);
	request[at + 1] = (uint8_t)len;
}

static void make_request(void)
{
	static const uint8_t numbers[] = {50, 51, 52, 53, 54, 55, 56, 61, 64, 67};
	uint8_t ucd_cpu[] = {
		0x30, 14, 6, 10, 0x2b, 6, 1, 4, 1, 0x8f, 0x65, 11, 0, 0, 5, 0};
	static const uint8_t uptime[] = {
		0x30, 13, 6, 9, 0x2b, 6, 1, 2, 1, 25, 1, 1, 0, 5, 0};

	for (size_t i = 0; i < sizeof numbers; i++) {
		ucd_cpu[12] = numbers[i];
		memcpy(request + request_len, ucd_cpu, sizeof ucd_cpu);
		request_len += sizeof ucd_cpu;
	}
	memcpy(request + request_len, uptime, sizeof uptime);
	request_len += sizeof uptime;
	set_length(2);
	set_length(ID_AT);
	set_length(33);
}

static int64_t cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) +
	       usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static long drain(int fd)
{
	static uint8_t bytes[BATCH][PACKET_MAX];
	static struct sockaddr_in from[BATCH];
	static struct iovec parts[BATCH];
	static struct mmsghdr messages[BATCH];
	long taken = 0;
	int n;

	do {
		for (size_t i = 0; i < BATCH; i++) {
			parts[i] = (struct iovec){bytes[i], PACKET_MAX};
			messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
				.msg_namelen = sizeof from[i],
				.msg_iov = &parts[i],
				.msg_iovlen = 1};
		}
		n = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
		taken += n > 0 ? n : 0;
	} while (n == BATCH);
	return taken;
}

static long ask(int fd, const struct sockaddr_in *to, long count)
{
	static uint8_t bytes[BATCH][PACKET_MAX];
	struct iovec parts[BATCH];
	struct mmsghdr messages[BATCH] = {0};
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	long answered = 0;

	for (size_t i = 0; i < BATCH; i++)
		memcpy(bytes[i], request, request_len);
	for (long at = 0; at < count; at += BATCH) {
		long n = count - at < BATCH ? count - at : BATCH;
		for (long i = 0; i < n; i++) {
			uint32_t id = htonl(0x40000000U + (uint32_t)(at + i));
			memcpy(bytes[i] + 21, &id, sizeof id);
			parts[i] = (struct iovec){bytes[i], request_len};
			messages[i].msg_hdr =
				(struct msghdr){.msg_name = (void *)&to[at + i],
					.msg_namelen = sizeof to[0],
					.msg_iov = &parts[i],
					.msg_iovlen = 1};
		}
		for (long sent = 0; sent < n;) {
			int done = sendmmsg(fd, messages + sent, (unsigned)(n - sent), 0);
			sent += done > 0 ? done : 1;
		}
		answered += drain(fd);
	}
	while (answered < count && poll(&ready, 1, PATIENCE_MS) > 0)
		answered += drain(fd);
	return answered;
}

int main(int argc, char **argv)
{
	long count = argc == 3 ? atol(argv[1]) : 0;

	if (count < 1 || count > 1000000) {
		fputs("usage: snmp_limit COUNT PORT\n", stderr);
		return 1;
	}
	struct sockaddr_in *to = calloc((size_t)count, sizeof *to);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (!to || fd < 0)
		return 1;
	/* It does not wait for anybody, so it needs room for what comes back at once;
	 * where it may not have that, it loses answers, and only looks cheaper. */
	int size = 64 << 20;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	uint32_t step = 0xfffff0U / (uint32_t)count;
	for (long i = 0; i < count; i++)
		to[i] = (struct sockaddr_in){.sin_family = AF_INET,
			.sin_port = htons((uint16_t)atoi(argv[2])),
			.sin_addr.s_addr = htonl(0x7f000001U + (uint32_t)i * step)};
	make_request();
	int64_t start_us = cpu_us();
	long answered = ask(fd, to, count);
	printf("%ld %lld\n", answered, (long long)(cpu_us() - start_us));
	return answered == count ? 0 : 2;
}
