/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The state of a poll: snmp.c asks and keeps the time, snmp_replies.c takes what comes.
 * Inside client/ only. */
#ifndef CS_CLIENT_SNMP_EXCHANGE_H
#define CS_CLIENT_SNMP_EXCHANGE_H

#include "client/snmp_io.h"
#include "client/snmp_usm.h"

/* A target while it is asked. */
struct cs_snmp_slot {
	int64_t sent_ms;
	uint32_t peer;	    /* first target at the same address, whatever the port */
	uint32_t in_flight; /* of a peer */
	uint16_t way;
	uint8_t tries;
	bool done, queued, flying;
};

/* What is asked, and as whom; the packet: in v3 the one to an engine that is not known.
 */
struct cs_snmp_way {
	const struct cs_snmp_credential *credential;
	uint32_t wanted;
	struct cs_snmp_packet packet;
	struct snmp_pdu *form; /* v3 */
};

struct cs_snmp_exchange {
	const struct cs_snmp_query *query;
	struct cs_snmp_target *targets;
	struct cs_snmp_slot *slots;
	struct cs_snmp_engine *engines; /* of each target, or NULL without v3 */
	struct cs_snmp_way *ways;
	size_t n_ways;
	size_t n, n_asked, n_open;
	size_t n_flying, window; /* requests under way, and how many there may be */
	int64_t widened_ms;	 /* when that has grown */
	uint32_t *queue;	 /* of n, round: who is to be asked now */
	size_t head, n_queued;
	bool paced; /* some share an address */
	int fds[CS_SNMP_FAMILIES];
	struct cs_snmp_batch *batches[CS_SNMP_FAMILIES]; /* of those that are asked */
	struct cs_snmp_events events;
	uint32_t *hosts; /* table of n_hosts, open addressing: first target there + 1, or
			    0 */
	size_t n_hosts;
	struct cs_snmp_counts *counts;
	uint32_t first_id; /* of targets[0]; the others follow */
	int64_t now_ms;	   /* when the last batch was read */
	/* Of first answers, as later ones may belong to any request; -1: there is none */
	int64_t fastest_ms, slowest_ms;
	int64_t last_sent_ms, last_answer_ms;
	int64_t due_ms; /* nobody is to be asked again before */
	bool few;	/* of those that are open: see patience_ms() */
	bool repeats;	/* somebody was asked again */
	struct cs_deadline deadline;
};

/* Its place in the table of hosts: the first target there + 1, or 0. */
uint32_t *cs_snmp_host_of(const struct cs_snmp_exchange *ex,
	const union cs_snmp_address *address) CS_NONNULL_ALL;

/* Puts a target that is not done into the queue. */
void cs_snmp_enqueue(struct cs_snmp_exchange *ex, size_t index) CS_NONNULL_ALL;

/* Ends a target with its outcome. */
void cs_snmp_settle(struct cs_snmp_exchange *ex, size_t index,
	enum cs_snmp_outcome outcome, int detail) CS_NONNULL_ALL;

/* The way to ask so, a new one if need be. */
int cs_snmp_find_way(struct cs_snmp_exchange *ex,
	const struct cs_snmp_credential *credential, uint32_t wanted, uint16_t *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* What happens to an exchange, for its `events`. */
void cs_snmp_received(void *exchange, const uint8_t *bytes, size_t len,
	const union cs_snmp_address *from) CS_NONNULL_ALL;
void cs_snmp_bounced(void *exchange, const uint8_t *request, size_t len,
	const union cs_snmp_address *to, int errnum) CS_NONNULL_ALL;
void cs_snmp_refused(void *exchange, uint32_t label, int errnum) CS_NONNULL_ALL;

#endif
