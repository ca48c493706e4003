/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Datagrams in batches; see snmp_io.h. */
#include <config.h>
#include "client/snmp_io.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/mem.h"

#define SEND_ERRORS_MAX 8
/* Larger than any reply that is taken: what is longer does not fit and is malformed. */
#define DATAGRAM_MAX 2048
/* ICMP returns less of a datagram: RFC 1812, 4.3.2.3. */
#define REQUEST_START 576
#define CONTROL_SIZE 256

int cs_snmp_family(const union cs_snmp_address *address)
{
	switch (address->family) {
	case AF_INET:
		return CS_SNMP_IPV4;
	case AF_INET6:
		return CS_SNMP_IPV6;
	}
	return -1;
}

static socklen_t address_size(const union cs_snmp_address *address)
{
	return address->family == AF_INET ? sizeof address->v4 : sizeof address->v6;
}

bool cs_snmp_same_address(
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

uint32_t cs_snmp_host_hash(const union cs_snmp_address *address)
{
	const uint8_t *bytes = (const void *)&address->v6.sin6_addr;
	uint32_t hash = address->v4.sin_addr.s_addr * UINT32_C(2654435761);

	if (address->family == AF_INET6) {
		hash = 2166136261U;
		for (size_t i = 0; i < sizeof(struct in6_addr); i++)
			hash = (hash ^ bytes[i]) * 16777619U;
	}
	return hash ^ hash >> 15;
}

bool cs_snmp_same_host(const union cs_snmp_address *one, const union cs_snmp_address *two)
{
	union cs_snmp_address other = *two;

	if (one->family == AF_INET)
		other.v4.sin_port = one->v4.sin_port;
	else
		other.v6.sin6_port = one->v6.sin6_port;
	return cs_snmp_same_address(one, &other);
}

int cs_snmp_socket(int family, struct cs_error *err)
{
	int domain = family == CS_SNMP_IPV4 ? AF_INET : AF_INET6, on = 1, size;
	int fd = socket(domain, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof size;

	if (fd < 0)
		return cs_error_set_errno(err, errno, "cannot open a UDP socket for %s",
			family == CS_SNMP_IPV4 ? "IPv4" : "IPv6");
	/* A closed port is then known at once, not after the whole time-out. */
	if (family == CS_SNMP_IPV4)
		setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
	else
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
	/* The system doubles what is asked for, and the default is what anybody may ask
	 * for: room for twice as many replies while the system runs somebody else. */
	if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &len) == 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	return fd;
}

uint64_t cs_snmp_overflowed(int fd)
{
	uint32_t memory[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof memory;

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &len) < 0)
		return 0;
	return memory[SK_MEMINFO_DROPS];
}

/* What ICMP said about a request of ours, whose start it carries. */
static void take_error(struct mmsghdr *message, const struct cs_snmp_events *events)
{
	struct msghdr *header = &message->msg_hdr;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		struct sock_extended_err what;
		if (c->cmsg_type != IP_RECVERR && c->cmsg_type != IPV6_RECVERR)
			continue;
		memcpy(&what, CMSG_DATA(c), sizeof what);
		events->bounced(events->context, header->msg_iov->iov_base,
			message->msg_len, header->msg_name, (int)what.ee_errno);
	}
}

/* Empties the error queue. */
static void take_errors(int fd, const struct cs_snmp_events *events)
{
	static uint8_t requests[CS_SNMP_BATCH][REQUEST_START];
	uint8_t control[CS_SNMP_BATCH][CONTROL_SIZE];
	union cs_snmp_address asked[CS_SNMP_BATCH];
	struct iovec parts[CS_SNMP_BATCH];
	struct mmsghdr messages[CS_SNMP_BATCH];
	int n;

	do {
		for (size_t i = 0; i < CS_SNMP_BATCH; i++) {
			parts[i] = (struct iovec){requests[i], sizeof requests[i]};
			messages[i].msg_hdr = (struct msghdr){.msg_name = &asked[i],
				.msg_namelen = sizeof asked[i],
				.msg_iov = &parts[i],
				.msg_iovlen = 1,
				.msg_control = control[i],
				.msg_controllen = sizeof control[i]};
		}
		n = recvmmsg(
			fd, messages, CS_SNMP_BATCH, MSG_ERRQUEUE | MSG_DONTWAIT, NULL);
		for (int i = 0; i < n; i++)
			take_error(&messages[i], events);
	} while (n == CS_SNMP_BATCH);
}

void cs_snmp_drain(int fd, bool errors, struct cs_deadline deadline,
	const struct cs_snmp_events *events)
{
	static uint8_t(*bytes)[DATAGRAM_MAX]; /* kept */
	union cs_snmp_address from[CS_SNMP_BATCH];
	struct iovec parts[CS_SNMP_BATCH];
	struct mmsghdr messages[CS_SNMP_BATCH];

	if (!bytes)
		bytes = cs_calloc(CS_SNMP_BATCH, DATAGRAM_MAX);
	for (size_t i = 0; i < CS_SNMP_BATCH; i++) {
		parts[i] = (struct iovec){bytes[i], sizeof bytes[i]};
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &from[i], .msg_iov = &parts[i], .msg_iovlen = 1};
	}
	do {
		for (size_t i = 0; i < CS_SNMP_BATCH; i++)
			messages[i].msg_hdr.msg_namelen = sizeof from[i];
		int n = recvmmsg(fd, messages, CS_SNMP_BATCH, MSG_DONTWAIT, NULL);
		int errnum = errno;
		for (int i = 0; i < n; i++)
			events->received(
				events->context, bytes[i], messages[i].msg_len, &from[i]);
		if (n == CS_SNMP_BATCH)
			continue;
		/* Any other error is the echo of an entry in the error queue; behind it
		 * there may be datagrams. */
		bool echo = n < 0 && errnum != EAGAIN && errnum != EBADF;
		if (errors || echo)
			take_errors(fd, events);
		if (!echo)
			return;
		errors = false;
	} while (cs_deadline_left_ms(deadline) > 0);
}

/* After a failed sendmmsg(): true when the same message should be tried again. An error
 * of the socket may echo an ICMP message about an earlier request. */
static bool send_again(int fd, int errnum, int errors, struct cs_deadline deadline,
	const struct cs_snmp_events *events)
{
	if (errnum == EAGAIN || errnum == ENOBUFS) {
		struct pollfd ready = {.fd = fd, .events = POLLOUT | POLLIN};
		poll(&ready, 1, 1);
		cs_snmp_drain(fd, true, deadline, events);
		return true;
	}
	cs_snmp_drain(fd, true, deadline, events);
	return errnum == EINTR || errnum == ECONNREFUSED || errors < SEND_ERRORS_MAX;
}

bool cs_snmp_send(int fd, struct cs_snmp_batch *batch, struct cs_deadline deadline,
	const struct cs_snmp_events *events)
{
	struct mmsghdr messages[CS_SNMP_BATCH];
	struct iovec parts[CS_SNMP_BATCH];
	int errors = 0;
	bool any = false;

	for (size_t i = 0; i < batch->n; i++) {
		parts[i] = (struct iovec){batch->bytes[i], batch->lens[i]};
		messages[i].msg_hdr = (struct msghdr){.msg_name = (void *)batch->to[i],
			.msg_namelen = address_size(batch->to[i]),
			.msg_iov = &parts[i],
			.msg_iovlen = 1};
	}
	for (size_t sent = 0; sent < batch->n && cs_deadline_left_ms(deadline) > 0;) {
		int done = sendmmsg(fd, messages + sent, (unsigned)(batch->n - sent), 0);
		if (done > 0) {
			sent += (size_t)done;
			errors = 0;
			/* What stopped it is told to nobody. */
			any |= sent < batch->n;
			continue;
		}
		int errnum = errno;
		if (!send_again(fd, errnum, ++errors, deadline, events)) {
			events->refused(events->context, batch->labels[sent++], errnum);
			errors = 0;
		}
	}
	batch->n = 0;
	return any;
}
