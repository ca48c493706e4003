/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking many agents at once; see snmp.h. The library encodes and decodes; sockets,
 * matching and retransmission are ours. */
#include <config.h>
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

struct exchange {
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
	switch (target->address.family) {
	case AF_INET:
		return IPV4;
	case AF_INET6:
		return IPV6;
	}
	return -1;
}

static socklen_t address_size(const union cs_snmp_address *address)
{
	return address->family == AF_INET ? sizeof address->v4 : sizeof address->v6;
}

static bool same_address(
	const union cs_snmp_address *one, const union cs_snmp_address *two)
{
	const struct sockaddr_in6 *a = &one->v6, *b = &two->v6;

	if (one->family != two->family)
		return false;
	if (one->family == AF_INET)
		return one->v4.sin_port == two->v4.sin_port &&
		       one->v4.sin_addr.s_addr == two->v4.sin_addr.s_addr;
	return a->sin6_port == b->sin6_port &&
	       IN6_ARE_ADDR_EQUAL(&a->sin6_addr, &b->sin6_addr) &&
	       (!IN6_IS_ADDR_LINKLOCAL(&a->sin6_addr) ||
		       a->sin6_scope_id == b->sin6_scope_id);
}

static void settle(
	struct exchange *ex, size_t index, enum cs_snmp_outcome outcome, int detail)
{
	ex->targets[index].outcome = outcome;
	ex->targets[index].detail = detail;
	if (!ex->slots[index].done)
		ex->n_open--;
	ex->slots[index].done = true;
}

/* The target that a request id was sent to, or -1. */
static ssize_t find_target(const struct exchange *ex, uint32_t request_id)
{
	uint32_t index = request_id - ex->first_id;

	return index < ex->n ? (ssize_t)index : -1;
}

/* A reply that cannot be read has no id: its sender is all that is known. */
static void note_malformed(struct exchange *ex, const union cs_snmp_address *from)
{
	for (size_t i = 0; i < ex->n; i++) {
		if (!ex->slots[i].done && same_address(&ex->targets[i].address, from))
			ex->targets[i].outcome = CS_SNMP_MALFORMED;
	}
}

static void take_reply(struct exchange *ex, const uint8_t *bytes, size_t len,
	const union cs_snmp_address *from)
{
	struct cs_snmp_reply reply;
	struct cs_error ignored;

	if (cs_snmp_decode(bytes, len, ex->query, &reply, &ignored) < 0) {
		note_malformed(ex, from);
		return;
	}
	ssize_t index = find_target(ex, (uint32_t)reply.request_id);
	if (index < 0)
		return;
	struct cs_snmp_target *target = &ex->targets[index];
	bool closed = ex->slots[index].done && target->outcome != CS_SNMP_UNREACHABLE;
	if (closed)
		return;
	if (!same_address(&target->address, from)) {
		target->outcome = CS_SNMP_FOREIGN;
		return;
	}
	int64_t took_ms = cs_monotonic_ms() - ex->slots[index].sent_ms;
	if (ex->rounds <= 1 && took_ms > ex->slowest_ms)
		ex->slowest_ms = took_ms;
	ex->fruitless = 1;
	if (reply.error_status) {
		settle(ex, (size_t)index, CS_SNMP_ERROR_STATUS, reply.error_status);
	} else if (!reply.matches) {
		target->outcome = CS_SNMP_MALFORMED;
	} else {
		memcpy(target->values, reply.values, sizeof target->values);
		target->present = reply.present;
		target->rows = reply.rows;
		settle(ex, (size_t)index, CS_SNMP_ANSWERED, 0);
	}
}

/* One entry of the error queue: what ICMP said about a request of ours, whose start it
 * carries. False when the queue is empty. */
static bool take_error(struct exchange *ex, int fd)
{
	uint8_t request[DATAGRAM_MAX], control[512];
	union cs_snmp_address asked;
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
	if ((size_t)len < ex->packet.id_offset + sizeof id)
		return true;
	memcpy(&id, request + ex->packet.id_offset, sizeof id);
	ssize_t index = find_target(ex, ntohl(id));
	if (index < 0 || ex->slots[index].done ||
		!same_address(&ex->targets[index].address, &asked))
		return true;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c;
		c = CMSG_NXTHDR(&message, c)) {
		struct sock_extended_err what;
		if (c->cmsg_type != IP_RECVERR && c->cmsg_type != IPV6_RECVERR)
			continue;
		memcpy(&what, CMSG_DATA(c), sizeof what);
		settle(ex, (size_t)index, CS_SNMP_UNREACHABLE, (int)what.ee_errno);
	}
	return true;
}

/* Reads whatever has arrived. */
static void drain(struct exchange *ex, int fd)
{
	static uint8_t bytes[BATCH][DATAGRAM_MAX];
	union cs_snmp_address from[BATCH];
	struct iovec parts[BATCH];
	struct mmsghdr messages[BATCH];

	if (fd < 0)
		return;
	for (size_t i = 0; i < BATCH; i++)
		parts[i] = (struct iovec){bytes[i], sizeof bytes[i]};
	while (cs_deadline_left_ms(ex->deadline) > 0) {
		for (size_t i = 0; i < BATCH; i++)
			messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
				.msg_namelen = sizeof from[i],
				.msg_iov = &parts[i],
				.msg_iovlen = 1};
		while (take_error(ex, fd))
			;
		int n = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
		/* Anything else is the echo of an entry in the error queue. */
		if (n < 0 && (errno == EAGAIN || errno == EBADF))
			return;
		for (int i = 0; i < n; i++)
			take_reply(ex, bytes[i], messages[i].msg_len, &from[i]);
		if (n >= 0 && n < BATCH)
			return;
	}
}

/* After a failed sendmmsg(): true when the same message should be tried again. An error
 * of the socket may echo an ICMP message about an earlier request. */
static bool send_again(struct exchange *ex, int fd, int errnum, int errors)
{
	if (errnum == EAGAIN || errnum == ENOBUFS) {
		struct pollfd ready = {.fd = fd, .events = POLLOUT | POLLIN};
		poll(&ready, 1, 1);
		drain(ex, fd);
		return true;
	}
	drain(ex, fd);
	return errnum == EINTR || errnum == ECONNREFUSED || errors < SEND_ERRORS_MAX;
}

static void send_batch(struct exchange *ex, int fd, const size_t *indexes, size_t n)
{
	struct cs_snmp_packet *packet = &ex->packet;
	size_t tail = packet->id_offset + sizeof(uint32_t);
	struct mmsghdr messages[BATCH] = {0};
	struct iovec parts[BATCH][3];
	uint32_t ids[BATCH];

	for (size_t i = 0; i < n; i++) {
		union cs_snmp_address *to = &ex->targets[indexes[i]].address;
		ids[i] = htonl(ex->first_id + (uint32_t)indexes[i]);
		parts[i][0] = (struct iovec){packet->bytes, packet->id_offset};
		parts[i][1] = (struct iovec){&ids[i], sizeof ids[i]};
		parts[i][2] = (struct iovec){packet->bytes + tail, packet->len - tail};
		messages[i].msg_hdr = (struct msghdr){.msg_name = to,
			.msg_namelen = address_size(to),
			.msg_iov = parts[i],
			.msg_iovlen = 3};
		if (!ex->slots[indexes[i]].sent_ms)
			ex->slots[indexes[i]].sent_ms = cs_monotonic_ms();
	}
	int errors = 0;
	for (size_t sent = 0; sent < n && cs_deadline_left_ms(ex->deadline) > 0;) {
		int done = sendmmsg(fd, messages + sent, (unsigned)(n - sent), 0);
		if (done > 0) {
			sent += (size_t)done;
			errors = 0;
			continue;
		}
		int errnum = errno;
		if (!send_again(ex, fd, errnum, ++errors)) {
			settle(ex, indexes[sent++], CS_SNMP_UNREACHABLE, errnum);
			errors = 0;
		}
	}
	drain(ex, fd);
}

/* Sends to everyone who has not answered. */
static void send_round(struct exchange *ex)
{
	size_t batch[BATCH], n = 0;

	for (int family = IPV4; family < FAMILIES; family++) {
		for (size_t i = 0; i < ex->n; i++) {
			if (!ex->slots[i].done && family_of(&ex->targets[i]) == family)
				batch[n++] = i;
			if (n == BATCH || (n && i + 1 == ex->n)) {
				send_batch(ex, ex->fds[family], batch, n);
				n = 0;
			}
		}
	}
	ex->rounds++;
	ex->fruitless++;
}

static int64_t retry_after_ms(const struct exchange *ex)
{
	int64_t first = 2 * ex->slowest_ms + RETRY_SLACK_MS;

	if (ex->slowest_ms < 0)
		first = RETRY_UNKNOWN_MS;
	if (first < RETRY_FLOOR_MS)
		first = RETRY_FLOOR_MS;
	return first << (ex->fruitless - 1);
}

/* Until when to wait for answers: the next round, or the end. */
static int64_t wait_ms(const struct exchange *ex, int64_t sent_ms)
{
	int64_t left_ms = cs_deadline_left_ms(ex->deadline);
	int64_t due_ms = sent_ms + retry_after_ms(ex) - cs_monotonic_ms();

	if (ex->fruitless >= FRUITLESS_MAX || due_ms > left_ms)
		return left_ms;
	return due_ms > 0 ? due_ms : 0;
}

static void run(struct exchange *ex)
{
	struct pollfd ready[FAMILIES] = {{.fd = ex->fds[IPV4], .events = POLLIN},
		{.fd = ex->fds[IPV6], .events = POLLIN}};

	send_round(ex);
	int64_t sent_ms = cs_monotonic_ms();
	while (ex->n_open && cs_deadline_left_ms(ex->deadline) > 0) {
		/* Only with everything read can silence be told from a backlog. */
		if (poll(ready, FAMILIES, (int)wait_ms(ex, sent_ms)) == 0 &&
			ex->fruitless < FRUITLESS_MAX) {
			send_round(ex);
			sent_ms = cs_monotonic_ms();
		}
		drain(ex, ex->fds[IPV4]);
		drain(ex, ex->fds[IPV6]);
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
static int open_sockets(struct exchange *ex, struct cs_error *err)
{
	int opened = 0, failed = 0;

	for (size_t i = 0; i < ex->n; i++) {
		int family = family_of(&ex->targets[i]);
		ex->slots[i].done = family < 0;
		ex->targets[i].outcome = CS_SNMP_SILENT;
		if (family < 0)
			continue;
		ex->n_open++;
		if (ex->fds[family] < 0)
			ex->fds[family] = open_socket(family, err);
		if (ex->fds[family] < 0) {
			settle(ex, i, CS_SNMP_UNREACHABLE, err->sys_errno);
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
	struct exchange ex = {.query = query,
		.targets = targets,
		.slots = slots,
		.n = n,
		.fds = {-1, -1},
		.first_id = random_id(n),
		.slowest_ms = -1,
		.deadline = deadline};

	const struct cs_snmp_credential *credential = NULL;
	for (size_t i = 0; i < n && !credential; i++)
		credential = targets[i].credential;
	if (!credential)
		return 0;
	int r = cs_snmp_packet_make(credential, query, &ex.packet, err);
	if (r == 0)
		r = open_sockets(&ex, err);
	if (r == 0)
		run(&ex);
	cs_closep(&ex.fds[IPV4]);
	cs_closep(&ex.fds[IPV6]);
	explicit_bzero(&ex.packet, sizeof ex.packet);
	return r;
}
