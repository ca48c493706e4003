/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What comes back in a poll; see snmp_exchange.h. */
#include <config.h>
#include "client/snmp_exchange.h"

#include <arpa/inet.h>
#include <string.h>

/* The target that an id was sent to, or -1. */
static ssize_t find_target(const struct cs_snmp_exchange *ex, uint32_t id)
{
	uint32_t index = id - ex->first_id;

	return index < ex->n ? (ssize_t)index : -1;
}

uint32_t *cs_snmp_host_of(
	const struct cs_snmp_exchange *ex, const union cs_snmp_address *address)
{
	size_t at = cs_snmp_host_hash(address) & (ex->n_hosts - 1);

	while (ex->hosts[at] &&
		!cs_snmp_same_host(address, &ex->targets[ex->hosts[at] - 1].address))
		at = (at + 1) & (ex->n_hosts - 1);
	return &ex->hosts[at];
}

static void note(struct cs_snmp_exchange *ex, size_t index,
	const union cs_snmp_address *from, enum cs_snmp_outcome outcome)
{
	if (!ex->slots[index].done &&
		cs_snmp_same_address(&ex->targets[index].address, from))
		ex->targets[index].outcome = outcome;
}

/* Of a reply that has no id, or none of ours, the sender is all that is known. Whoever
 * floods us must not cost a search for each datagram. */
static void note_sender(struct cs_snmp_exchange *ex, const union cs_snmp_address *from,
	enum cs_snmp_outcome outcome)
{
	uint32_t first = *cs_snmp_host_of(ex, from);

	if (first && !ex->paced)
		note(ex, first - 1, from, outcome);
	for (size_t i = 0; first && ex->paced && i < ex->n; i++) {
		if (ex->slots[i].peer == first - 1)
			note(ex, i, from, outcome);
	}
}

/* v1 has no noSuchObject in a value: it refuses all for one that it lacks (RFC 1157,
 * 4.1.2). Then the others are asked for. */
static bool ask_for_less(
	struct cs_snmp_exchange *ex, size_t index, const struct cs_snmp_reply *reply)
{
	struct cs_snmp_slot *slot = &ex->slots[index];
	const struct cs_snmp_way *way = &ex->ways[slot->way];
	uint32_t wanted = way->wanted;
	int nth = reply->error_index;
	struct cs_error ignored;

	if (way->credential->version != CS_SNMP_V1 || reply->error_status != 2)
		return false;
	for (size_t i = 0; i < ex->query->n_objects; i++) {
		if (wanted & UINT32_C(1) << i && --nth == 0)
			wanted &= ~(UINT32_C(1) << i);
	}
	if (wanted == way->wanted || wanted == 0 ||
		cs_snmp_find_way(ex, way->credential, wanted, &slot->way, &ignored) < 0)
		return false;
	cs_snmp_enqueue(ex, index);
	return true;
}

static void take_values(
	struct cs_snmp_exchange *ex, size_t index, const struct cs_snmp_reply *reply)
{
	struct cs_snmp_target *target = &ex->targets[index];

	memcpy(target->values, reply->values, sizeof target->values);
	target->present = reply->present;
	target->rows = reply->rows;
	cs_snmp_settle(ex, index, CS_SNMP_ANSWERED, 0);
}

/* v1: noSuchName where a table ends (RFC 1157, 4.1.3), or for all that was asked for. */
static bool has_nothing(const struct cs_snmp_exchange *ex, size_t index,
	const struct cs_snmp_reply *reply)
{
	return ex->ways[ex->slots[index].way].credential->version == CS_SNMP_V1 &&
	       reply->error_status == 2 && reply->error_index > 0 &&
	       reply->error_index <= (int)ex->query->n_objects;
}

static void conclude(struct cs_snmp_exchange *ex, size_t index,
	enum cs_snmp_outcome outcome, int detail, struct cs_snmp_reply *reply)
{
	switch (outcome) {
	case CS_SNMP_ANSWERED:
		take_values(ex, index, reply);
		break;
	case CS_SNMP_ERROR_STATUS:
		if (ask_for_less(ex, index, reply))
			break;
		if (has_nothing(ex, index, reply)) {
			reply->rows.ended = true;
			take_values(ex, index, reply);
			break;
		}
		cs_snmp_settle(ex, index, outcome, detail);
		break;
	case CS_SNMP_REPORTED:
		cs_snmp_settle(ex, index, outcome, detail);
		break;
	default: /* a true answer may follow */
		ex->targets[index].outcome = outcome;
		return;
	}
	ex->counts->dropped--;
}

static void take_answer(
	struct cs_snmp_exchange *ex, size_t index, const uint8_t *bytes, size_t len)
{
	const struct cs_snmp_way *way = &ex->ways[ex->slots[index].way];
	enum cs_snmp_outcome outcome;
	struct cs_snmp_reply reply;
	int detail = 0;

	if (way->credential->version != CS_SNMP_V3) {
		outcome = cs_snmp_reply_read(bytes, len, way->credential, ex->query,
			way->wanted, &way->packet, &reply);
		detail = reply.error_status;
	} else if (cs_snmp_usm_take(way->credential, ex->query, way->wanted,
			   &ex->engines[index], bytes, len, &outcome, &detail,
			   &reply) == CS_SNMP_USM_AGAIN) {
		ex->slots[index].tries = 0;
		ex->counts->dropped--;
		cs_snmp_enqueue(ex, index);
		return;
	}
	conclude(ex, index, outcome, detail, &reply);
}

static void note_time(struct cs_snmp_exchange *ex, int64_t took_ms)
{
	if (took_ms > ex->slowest_ms)
		ex->slowest_ms = took_ms;
	if (ex->fastest_ms >= 0 && took_ms >= ex->fastest_ms)
		return;
	ex->fastest_ms = took_ms;
	ex->due_ms = 0; /* everybody's patience has changed */
}

void cs_snmp_received(void *exchange, const uint8_t *bytes, size_t len,
	const union cs_snmp_address *from)
{
	struct cs_snmp_exchange *ex = exchange;
	struct cs_snmp_head head;

	ex->counts->dropped++; /* until it is taken */
	if (len > CS_SNMP_PACKET_MAX || !cs_snmp_head_read(bytes, len, &head)) {
		note_sender(ex, from, CS_SNMP_MALFORMED);
		return;
	}
	ssize_t index = find_target(ex, head.id);
	if (index < 0) {
		note_sender(ex, from, CS_SNMP_OTHER_ID);
		return;
	}
	struct cs_snmp_target *target = &ex->targets[index];
	struct cs_snmp_slot *slot = &ex->slots[index];
	bool same = cs_snmp_same_address(&target->address, from);
	if (slot->done && target->outcome != CS_SNMP_UNREACHABLE) {
		ex->counts->duplicates += same;
		ex->counts->dropped -= same;
		return;
	}
	if (!same) {
		if (!slot->done)
			target->outcome = CS_SNMP_FOREIGN;
		return;
	}
	if (head.version != ex->ways[slot->way].credential->version) {
		target->outcome = CS_SNMP_OTHER_VERSION;
		return;
	}
	if (slot->tries == 1)
		note_time(ex, ex->now_ms - slot->sent_ms);
	ex->last_answer_ms = ex->now_ms;
	take_answer(ex, (size_t)index, bytes, len);
}

/* The id of a request of ours: v1 and v2c have it where their packet has it. */
static bool find_bounced(const struct cs_snmp_exchange *ex, const uint8_t *request,
	size_t len, const union cs_snmp_address *to, size_t *ret)
{
	for (size_t i = 0; i < ex->n_ways; i++) {
		size_t at = ex->ways[i].packet.id_offset;
		uint32_t id;
		if (at == 0 || len < at + sizeof id)
			continue;
		memcpy(&id, request + at, sizeof id);
		ssize_t index = find_target(ex, ntohl(id));
		if (index < 0 || !cs_snmp_same_address(&ex->targets[index].address, to))
			continue;
		*ret = (size_t)index;
		return true;
	}
	struct cs_snmp_head head;
	ssize_t index =
		cs_snmp_head_read(request, len, &head) ? find_target(ex, head.id) : -1;
	*ret = (size_t)index;
	return index >= 0 && cs_snmp_same_address(&ex->targets[index].address, to);
}

void cs_snmp_bounced(void *exchange, const uint8_t *request, size_t len,
	const union cs_snmp_address *to, int errnum)
{
	struct cs_snmp_exchange *ex = exchange;
	size_t index;

	if (find_bounced(ex, request, len, to, &index) && !ex->slots[index].done)
		cs_snmp_settle(ex, index, CS_SNMP_UNREACHABLE, errnum);
}

void cs_snmp_refused(void *exchange, uint32_t label, int errnum)
{
	cs_snmp_settle(exchange, label, CS_SNMP_UNREACHABLE, errnum);
}
