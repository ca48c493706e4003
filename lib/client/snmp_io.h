/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sockets of a poll: one per address family, datagrams in batches, and what ICMP says
 * about them. Inside client/ only. */
#ifndef CS_CLIENT_SNMP_IO_H
#define CS_CLIENT_SNMP_IO_H

#include "client/snmp_codec.h"

/* Measured: batches of 64 with a drain between lose nothing on a default receive buffer
 * with 20,000 requests under way; batches of 1024 lose thousands. */
#define CS_SNMP_BATCH 64

enum { CS_SNMP_IPV4, CS_SNMP_IPV6, CS_SNMP_FAMILIES };

/* -1 for what is neither. */
int cs_snmp_family(const union cs_snmp_address *address) CS_NONNULL_ALL;
bool cs_snmp_same_address(const union cs_snmp_address *one,
	const union cs_snmp_address *two) CS_NONNULL_ALL;
/* The same without the port. */
bool cs_snmp_same_host(const union cs_snmp_address *one,
	const union cs_snmp_address *two) CS_NONNULL_ALL;
uint32_t cs_snmp_host_hash(const union cs_snmp_address *address) CS_NONNULL_ALL;

/* A socket for CS_SNMP_IPV4 or CS_SNMP_IPV6, or a negative code. */
int cs_snmp_socket(int family, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

struct cs_snmp_batch {
	uint8_t bytes[CS_SNMP_BATCH][CS_SNMP_PACKET_MAX];
	size_t lens[CS_SNMP_BATCH];
	const union cs_snmp_address *to[CS_SNMP_BATCH];
	uint32_t labels[CS_SNMP_BATCH]; /* the caller's */
	size_t n;
};

struct cs_snmp_events {
	void *context;
	/* a datagram */
	void (*received)(void *context, const uint8_t *bytes, size_t len,
		const union cs_snmp_address *from);
	/* a request of ours, or its beginning, that did not arrive there */
	void (*bounced)(void *context, const uint8_t *request, size_t len,
		const union cs_snmp_address *to, int errnum);
	/* of a batch: the system does not send it */
	void (*refused)(void *context, uint32_t label, int errnum);
};

/* Sends the batch and empties it. True: there may be something in the error queue. */
bool cs_snmp_send(int fd, struct cs_snmp_batch *batch, struct cs_deadline deadline,
	const struct cs_snmp_events *events) CS_NONNULL_ALL;

/* Reads whatever has arrived; `errors`: the error queue, too, which is also read when the
 * socket says so. */
void cs_snmp_drain(int fd, bool errors, struct cs_deadline deadline,
	const struct cs_snmp_events *events) CS_NONNULL_ALL;

/* Datagrams that the receive buffer had no room for. */
uint64_t cs_snmp_overflowed(int fd);

#endif
