/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking many agents at once; see snmp.h. The library encodes and decodes; sockets,
 * matching and retransmission are ours. */
#include "config.h"
#include "client/snmp.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "client/snmp_codec.h"

/* Measured: batches of 64 with a drain between lose nothing on a default receive buffer
 * with 20,000 requests under way; batches of 1024 lose thousands. */
#define BATCH 64
#define DATAGRAM_MAX 1472

/* Whoever is silent is asked again after twice the slowest round trip so far; rounds that
 * bring no answer at all double the distance, and end. */
#define FRUITLESS_MAX 6
#define RETRY_FLOOR_MS 20
#define RETRY_SLACK_MS 5
#define RETRY_UNKNOWN_MS 250 /* nobody has answered yet */
#define SEND_ERRORS_MAX 8

enum { IPV4, IPV6, FAMILIES };

struct slot {
	int64_t sent_ms; /* first time */
	bool done;
};

struct poll {
	const struct cs_snmp_query *query;
	struct cs_snmp_target *targets;
	struct slot *slots;
	size_t n, n_open;
	int fds[FAMILIES];
	struct cs_snmp_packet packet;
	uint32_t first_id;  /* of targets[0]; the others follow */
	int64_t slowest_ms; /* of the first round: later answers may belong to any */
	int rounds, fruitless;
	struct cs_deadline deadline;
};

static int family_of(const struct cs_snmp_target *target)
{
	switch (target->address.ss_family) {
	case AF_INET:
		return IPV4;
	case AF_INET6:
		return IPV6;
	}
	return -1;
}

static socklen_t address_size(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET ? sizeof(struct sockaddr_in)
					     : sizeof(struct sockaddr_in6);
}

static bool same_address(
	const struct sockaddr_storage *one, const struct sockaddr_storage *two)
{
	const struct sockaddr_in *a4 = (const void *)one, *b4 = (const void *)two;
	const struct sockaddr_in6 *a6 = (const void *)one, *b6 = (const void *)two;

	if (one->ss_family != two->ss_family)
		return false;
	if (one->ss_family == AF_INET)
		return a4->sin_port == b4->sin_port &&
		       a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return a6->sin6_port == b6->sin6_port &&
	       IN6_ARE_ADDR_EQUAL(&a6->sin6_addr, &b6->sin6_addr) &&
	       (!IN6_IS_ADDR_LINKLOCAL(&a6->sin6_addr) ||
		       a6->sin6_scope_id == b6->sin6_scope_id);
}

static void settle(
	struct poll *poll, size_t index, enum cs_snmp_outcome outcome, int detail)
{
	poll->targets[index].outcome = outcome;
	poll->targets[index].detail = detail;
	if (!poll->slots[index].done)
		poll->n_open--;
	poll->slots[index].done = true;
}

/* The target of a request id that came back from `from`, or -1. */
static ssize_t find_target(const struct poll *poll, uint32_t request_id)
{
	uint32_t index = request_id - poll->first_id;

	return index < poll->n ? (ssize_t)index : -1;
}

/* A reply that cannot be read has no id: its sender is all that is known. */
static void note_malformed(struct poll *poll, const struct sockaddr_storage *from)
{
	for (size_t i = 0; i < poll->n; i++) {
		if (!poll->slots[i].done && same_address(&poll->targets[i].address, from))
			poll->targets[i].outcome = CS_SNMP_MALFORMED;
	}
}

static void take_reply(struct poll *poll, const uint8_t *bytes, size_t len,
	const struct sockaddr_storage *from)
{
	struct cs_snmp_reply reply;
	struct cs_error ignored;

	if (cs_snmp_decode(bytes, len, poll->query->objects, poll->query->n_objects,
		    &reply, &ignored) < 0) {
		note_malformed(poll, from);
		return;
	}
	ssize_t index = find_target(poll, (uint32_t)reply.request_id);
	if (index < 0)
		return;
	struct cs_snmp_target *target = &poll->targets[index];
	bool closed = poll->slots[index].done && target->outcome != CS_SNMP_UNREACHABLE;
	if (closed)
		return;
	if (!same_address(&target->address, from)) {
		target->outcome = CS_SNMP_FOREIGN;
		return;
	}
	int64_t took_ms = cs_monotonic_ms() - poll->slots[index].sent_ms;
	if (poll->rounds <= 1 && took_ms > poll->slowest_ms)
		poll->slowest_ms = took_ms;
	poll->fruitless = 1;
	if (reply.error_status) {
		settle(poll, (size_t)index, CS_SNMP_ERROR_STATUS, reply.error_status);
	} else if (!reply.matches) {
		target->outcome = CS_SNMP_MALFORMED;
	} else {
		memcpy(target->values, reply.values, sizeof target->values);
		target->present = reply.present;
		settle(poll, (size_t)index, CS_SNMP_ANSWERED, 0);
	}
}

/* One entry of the error queue: what ICMP said about a request of ours, whose start it
 * carries. False when the queue is empty. */
static bool take_error(struct poll *poll, int fd)
{
	uint8_t request[DATAGRAM_MAX], control[512];
	struct sockaddr_storage asked;
	struct iovec part = {request, sizeof request};
	struct msghdr message = {.msg_name = &asked,
		.msg_namelen = sizeof asked,
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	ssize_t len = recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
	uint32_t id;

	if (len < 0)
		return false;
	if ((size_t)len < poll->packet.id_offset + sizeof id)
		return true;
	memcpy(&id, request + poll->packet.id_offset, sizeof id);
	ssize_t index = find_target(poll, ntohl(id));
	if (index < 0 || poll->slots[index].done ||
		!same_address(&poll->targets[index].address, &asked))
		return true;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c;
		c = CMSG_NXTHDR(&message, c)) {
		struct sock_extended_err what;
		if (c->cmsg_type != IP_RECVERR && c->cmsg_type != IPV6_RECVERR)
			continue;
		memcpy(&what, CMSG_DATA(c), sizeof what);
		settle(poll, (size_t)index, CS_SNMP_UNREACHABLE, (int)what.ee_errno);
	}
	return true;
}

/* Reads whatever has arrived. */
static void drain(struct poll *poll, int fd)
{
	static uint8_t bytes[BATCH][DATAGRAM_MAX];
	struct sockaddr_storage from[BATCH];
	struct iovec parts[BATCH];
	struct mmsghdr messages[BATCH];

	if (fd < 0)
		return;
	for (size_t i = 0; i < BATCH; i++)
		parts[i] = (struct iovec){bytes[i], sizeof bytes[i]};
	while (cs_deadline_left_ms(poll->deadline) > 0) {
		for (size_t i = 0; i < BATCH; i++)
			messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
				.msg_namelen = sizeof from[i],
				.msg_iov = &parts[i],
				.msg_iovlen = 1};
		while (take_error(poll, fd))
			;
		int n = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
		/* Anything else is the echo of an entry in the error queue. */
		if (n < 0 && (errno == EAGAIN || errno == EBADF))
			return;
		for (int i = 0; i < n; i++)
			take_reply(poll, bytes[i], messages[i].msg_len, &from[i]);
		if (n >= 0 && n < BATCH)
			return;
	}
}

/* After a failed sendmmsg(): true when the same message should be tried again. An error
 * of the socket may echo an ICMP message about an earlier request. */
static bool send_again(struct poll *poll, int fd, int errnum, int errors)
{
	if (errnum == EAGAIN || errnum == ENOBUFS) {
		struct pollfd ready = {.fd = fd, .events = POLLOUT | POLLIN};
		struct timespec a_little = {.tv_nsec = 1000000};
		ppoll(&ready, 1, &a_little, NULL);
		drain(poll, fd);
		return true;
	}
	drain(poll, fd);
	return errnum == EINTR || errnum == ECONNREFUSED || errors < SEND_ERRORS_MAX;
}

static void send_batch(struct poll *poll, int fd, const size_t *indexes, size_t n)
{
	struct cs_snmp_packet *packet = &poll->packet;
	size_t tail = packet->id_offset + sizeof(uint32_t);
	struct mmsghdr messages[BATCH] = {0};
	struct iovec parts[BATCH][3];
	uint32_t ids[BATCH];

	for (size_t i = 0; i < n; i++) {
		struct sockaddr_storage *to = &poll->targets[indexes[i]].address;
		ids[i] = htonl(poll->first_id + (uint32_t)indexes[i]);
		parts[i][0] = (struct iovec){packet->bytes, packet->id_offset};
		parts[i][1] = (struct iovec){&ids[i], sizeof ids[i]};
		parts[i][2] = (struct iovec){packet->bytes + tail, packet->len - tail};
		messages[i].msg_hdr = (struct msghdr){.msg_name = to,
			.msg_namelen = address_size(to),
			.msg_iov = parts[i],
			.msg_iovlen = 3};
		if (!poll->slots[indexes[i]].sent_ms)
			poll->slots[indexes[i]].sent_ms = cs_monotonic_ms();
	}
	int errors = 0;
	for (size_t sent = 0; sent < n && cs_deadline_left_ms(poll->deadline) > 0;) {
		int done = sendmmsg(fd, messages + sent, (unsigned)(n - sent), 0);
		if (done > 0) {
			sent += (size_t)done;
			errors = 0;
			continue;
		}
		int errnum = errno;
		if (!send_again(poll, fd, errnum, ++errors)) {
			settle(poll, indexes[sent++], CS_SNMP_UNREACHABLE, errnum);
			errors = 0;
		}
	}
	drain(poll, fd);
}

/* Sends to everyone who has not answered. */
static void send_round(struct poll *poll)
{
	size_t batch[BATCH], n = 0;

	for (int family = IPV4; family < FAMILIES; family++) {
		for (size_t i = 0; i < poll->n; i++) {
			if (!poll->slots[i].done &&
				family_of(&poll->targets[i]) == family)
				batch[n++] = i;
			if (n == BATCH || (n && i + 1 == poll->n)) {
				send_batch(poll, poll->fds[family], batch, n);
				n = 0;
			}
		}
	}
	poll->rounds++;
	poll->fruitless++;
}

static int64_t retry_after_ms(const struct poll *poll)
{
	int64_t first = 2 * poll->slowest_ms + RETRY_SLACK_MS;

	if (poll->slowest_ms < 0)
		first = RETRY_UNKNOWN_MS;
	if (first < RETRY_FLOOR_MS)
		first = RETRY_FLOOR_MS;
	return first << (poll->fruitless - 1);
}

static void run(struct poll *poll)
{
	send_round(poll);
	int64_t sent_ms = cs_monotonic_ms();
	while (poll->n_open) {
		struct pollfd ready[FAMILIES] = {
			{.fd = poll->fds[IPV4], .events = POLLIN},
			{.fd = poll->fds[IPV6], .events = POLLIN}};
		int64_t left_ms = cs_deadline_left_ms(poll->deadline);
		int64_t wait_ms = left_ms;

		if (left_ms == 0)
			return;
		if (poll->fruitless < FRUITLESS_MAX) {
			int64_t due_ms =
				sent_ms + retry_after_ms(poll) - cs_monotonic_ms();
			wait_ms = due_ms < wait_ms ? due_ms : wait_ms;
		}
		int n = ppoll(ready, FAMILIES,
			&(struct timespec){
				.tv_sec = wait_ms > 0 ? wait_ms / CS_MS_PER_S : 0,
				.tv_nsec = wait_ms > 0 ? wait_ms % CS_MS_PER_S * 1000000
						       : 0},
			NULL);
		/* Only with everything read can silence be told from a backlog. */
		if (n == 0 && wait_ms < left_ms) {
			send_round(poll);
			sent_ms = cs_monotonic_ms();
		}
		drain(poll, poll->fds[IPV4]);
		drain(poll, poll->fds[IPV6]);
	}
}

static int open_socket(int family, struct cs_error *err)
{
	int domain = family == IPV4 ? AF_INET : AF_INET6, on = 1;
	int fd = socket(domain, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return cs_error_set_errno(err, errno, "cannot open a UDP socket for %s",
			family == IPV4 ? "IPv4" : "IPv6");
	/* A closed port is then known at once, not after the whole time-out. */
	if (family == IPV4)
		setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
	else
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
	return fd;
}

/* Opens what the targets need; a family that the system lacks makes only its targets
 * unreachable. */
static int open_sockets(struct poll *poll, struct cs_error *err)
{
	int opened = 0, failed = 0;

	for (size_t i = 0; i < poll->n; i++) {
		int family = family_of(&poll->targets[i]);
		poll->slots[i].done = family < 0;
		poll->targets[i].outcome = CS_SNMP_SILENT;
		if (family < 0)
			continue;
		poll->n_open++;
		if (poll->fds[family] < 0)
			poll->fds[family] = open_socket(family, err);
		if (poll->fds[family] < 0) {
			settle(poll, i, CS_SNMP_UNREACHABLE, err->sys_errno);
			failed++;
		} else {
			opened++;
		}
	}
	return failed && !opened ? err->code : 0;
}

static uint32_t random_id(size_t n)
{
	uint32_t random = 0;

	/* Ids of 31 bits take four bytes whatever their value. */
	if (getrandom(&random, sizeof random, 0) < 0)
		random = (uint32_t)cs_monotonic_ms();
	return 0x40000000U + random % (0x3fffffffU - (uint32_t)n);
}

int cs_snmp_poll(const struct cs_snmp_query *query, struct cs_snmp_target *targets,
	size_t n, struct cs_deadline deadline, struct cs_error *err)
{
	CS_AUTO_FREE struct slot *slots = cs_calloc(n, sizeof *slots);
	struct poll poll = {.query = query,
		.targets = targets,
		.slots = slots,
		.n = n,
		.fds = {-1, -1},
		.first_id = random_id(n),
		.slowest_ms = -1,
		.deadline = deadline};

	int r = cs_snmp_packet_make(query, &poll.packet, err);
	if (r == 0)
		r = open_sockets(&poll, err);
	if (r == 0)
		run(&poll);
	cs_closep(&poll.fds[IPV4]);
	cs_closep(&poll.fds[IPV6]);
	explicit_bzero(&poll.packet, sizeof poll.packet);
	return r;
}
