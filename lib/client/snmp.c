/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking many agents at once; see snmp.h. The library encodes, decodes and proves;
 * sockets, matching and retransmission are ours. */
#include <config.h>
#include "client/snmp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/file.h"
#include "base/mem.h"
#include "client/snmp_codec.h"
#include "client/snmp_engines.h"
#include "client/snmp_io.h"
#include "client/snmp_usm.h"

/* Whoever is silent is asked again after twice the slowest round trip so far; rounds that
 * bring no answer at all double the distance. The last one is a part of the budget before
 * its end, so that its answers still count. */
#define RETRY_FLOOR_MS 20
#define RETRY_SLACK_MS 5
#define RETRY_UNKNOWN_MS 250 /* nobody has answered yet */
#define RETRY_MAX_MS 1000
#define TRIES_MAX 12
/* In repeats the receive buffer must not overflow a second time. */
#define REPEAT_PAUSE_MS 1

/* A burst of more than 250 requests overflows the buffer of one snmpd: measured. */
#define IN_FLIGHT_MAX 64

/* Another set of objects, when an agent of v1 lacks some, is another packet. */
#define WAYS_MAX 1024

struct slot {
	int64_t sent_ms;
	uint32_t peer;	    /* first target at the same address, whatever the port */
	uint32_t in_flight; /* of a peer */
	uint16_t way;
	uint8_t tries;
	bool done, queued, flying;
};

/* What is asked, and as whom; v1 and v2c: the packet, too. */
struct way {
	const struct cs_snmp_credential *credential;
	uint32_t wanted;
	struct cs_snmp_packet packet;
};

struct exchange {
	const struct cs_snmp_query *query;
	struct cs_snmp_target *targets;
	struct slot *slots;
	struct cs_snmp_engine *engines; /* of each target, or NULL without v3 */
	struct way *ways;
	size_t n_ways;
	size_t n, n_open;
	uint32_t *queue; /* of n, round: who is to be asked now */
	size_t head, n_queued;
	bool paced; /* some share an address */
	int fds[CS_SNMP_FAMILIES];
	struct cs_snmp_batch *batches; /* of each family */
	struct cs_snmp_events events;
	uint32_t *hosts; /* table of n_hosts, open addressing: first target there + 1, or
			    0 */
	size_t n_hosts;
	struct cs_snmp_counts *counts;
	uint32_t first_id;  /* of targets[0]; the others follow */
	int64_t slowest_ms; /* of first answers: later ones may belong to any request */
	int64_t now_ms;	    /* when the last batch was read */
	int64_t last_sent_ms;
	int rounds, fruitless;
	struct cs_deadline deadline;
};

static void land(struct exchange *ex, size_t index)
{
	struct slot *slot = &ex->slots[index];

	if (slot->flying)
		ex->slots[slot->peer].in_flight--;
	slot->flying = false;
}

static void settle(
	struct exchange *ex, size_t index, enum cs_snmp_outcome outcome, int detail)
{
	ex->targets[index].outcome = outcome;
	ex->targets[index].detail = detail;
	if (!ex->slots[index].done)
		ex->n_open--;
	ex->slots[index].done = true;
	land(ex, index);
}

static void enqueue(struct exchange *ex, size_t index)
{
	struct slot *slot = &ex->slots[index];

	land(ex, index);
	if (slot->queued || slot->done)
		return;
	slot->queued = true;
	ex->queue[(ex->head + ex->n_queued++) % ex->n] = (uint32_t)index;
}

/* The target that an id was sent to, or -1. */
static ssize_t find_target(const struct exchange *ex, uint32_t id)
{
	uint32_t index = id - ex->first_id;

	return index < ex->n ? (ssize_t)index : -1;
}

/* Its place in the table: the first target there + 1, or 0. */
static uint32_t *host_of(const struct exchange *ex, const union cs_snmp_address *address)
{
	size_t at = cs_snmp_host_hash(address) & (ex->n_hosts - 1);

	while (ex->hosts[at] &&
		!cs_snmp_same_host(address, &ex->targets[ex->hosts[at] - 1].address))
		at = (at + 1) & (ex->n_hosts - 1);
	return &ex->hosts[at];
}

static void note(struct exchange *ex, size_t index, const union cs_snmp_address *from,
	enum cs_snmp_outcome outcome)
{
	if (!ex->slots[index].done &&
		cs_snmp_same_address(&ex->targets[index].address, from))
		ex->targets[index].outcome = outcome;
}

/* Of a reply that has no id, or none of ours, the sender is all that is known. Whoever
 * floods us must not cost a search for each datagram. */
static void note_sender(struct exchange *ex, const union cs_snmp_address *from,
	enum cs_snmp_outcome outcome)
{
	uint32_t first = *host_of(ex, from);

	if (first && !ex->paced)
		note(ex, first - 1, from, outcome);
	for (size_t i = 0; first && ex->paced && i < ex->n; i++) {
		if (ex->slots[i].peer == first - 1)
			note(ex, i, from, outcome);
	}
}

static int find_way(struct exchange *ex, const struct cs_snmp_credential *credential,
	uint32_t wanted, uint16_t *ret, struct cs_error *err)
{
	size_t i = 0;

	while (i < ex->n_ways &&
		(ex->ways[i].credential != credential || ex->ways[i].wanted != wanted))
		i++;
	if (i == WAYS_MAX)
		return cs_error_set(
			err, CS_E_LIMIT, "more than %d ways to ask at once", WAYS_MAX);
	if (i == ex->n_ways) {
		ex->ways = cs_reallocarray(ex->ways, i + 1, sizeof *ex->ways);
		ex->ways[i] = (struct way){.credential = credential, .wanted = wanted};
		if (credential->version != CS_SNMP_V3 &&
			cs_snmp_packet_make(credential, ex->query, wanted,
				&ex->ways[i].packet, err) < 0)
			return err->code;
		ex->n_ways++;
	}
	*ret = (uint16_t)i;
	return 0;
}

/* v1 has no noSuchObject in a value: it refuses all for one that it lacks (RFC 1157,
 * 4.1.2). Then the others are asked for. */
static bool ask_for_less(
	struct exchange *ex, size_t index, const struct cs_snmp_reply *reply)
{
	struct slot *slot = &ex->slots[index];
	const struct way *way = &ex->ways[slot->way];
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
		find_way(ex, way->credential, wanted, &slot->way, &ignored) < 0)
		return false;
	enqueue(ex, index);
	return true;
}

static void take_values(
	struct exchange *ex, size_t index, const struct cs_snmp_reply *reply)
{
	struct cs_snmp_target *target = &ex->targets[index];

	memcpy(target->values, reply->values, sizeof target->values);
	target->present = reply->present;
	target->rows = reply->rows;
	settle(ex, index, CS_SNMP_ANSWERED, 0);
}

/* v1: noSuchName where a table ends (RFC 1157, 4.1.3), or for all that was asked for. */
static bool has_nothing(
	const struct exchange *ex, size_t index, const struct cs_snmp_reply *reply)
{
	return ex->ways[ex->slots[index].way].credential->version == CS_SNMP_V1 &&
	       reply->error_status == 2 && reply->error_index > 0 &&
	       reply->error_index <= (int)ex->query->n_objects;
}

static void conclude(struct exchange *ex, size_t index, enum cs_snmp_outcome outcome,
	int detail, struct cs_snmp_reply *reply)
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
		settle(ex, index, outcome, detail);
		break;
	case CS_SNMP_REPORTED:
		settle(ex, index, outcome, detail);
		break;
	default: /* a true answer may follow */
		ex->targets[index].outcome = outcome;
		return;
	}
	ex->counts->dropped--;
}

static void take_answer(
	struct exchange *ex, size_t index, const uint8_t *bytes, size_t len)
{
	const struct way *way = &ex->ways[ex->slots[index].way];
	enum cs_snmp_outcome outcome;
	struct cs_snmp_reply reply;
	int detail = 0;

	if (way->credential->version != CS_SNMP_V3) {
		outcome = cs_snmp_reply_read(
			bytes, len, way->credential, ex->query, way->wanted, &reply);
		detail = reply.error_status;
	} else if (cs_snmp_usm_take(way->credential, ex->query, way->wanted,
			   &ex->engines[index], bytes, len, &outcome, &detail,
			   &reply) == CS_SNMP_USM_AGAIN) {
		ex->slots[index].tries = 0;
		ex->counts->dropped--;
		enqueue(ex, index);
		return;
	}
	conclude(ex, index, outcome, detail, &reply);
}

static void received(void *context, const uint8_t *bytes, size_t len,
	const union cs_snmp_address *from)
{
	struct exchange *ex = context;
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
	struct slot *slot = &ex->slots[index];
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
	int64_t took_ms = ex->now_ms - slot->sent_ms;
	if (slot->tries == 1 && took_ms > ex->slowest_ms)
		ex->slowest_ms = took_ms;
	ex->fruitless = 1;
	take_answer(ex, (size_t)index, bytes, len);
}

/* The id of a request of ours: v1 and v2c have it where their packet has it. */
static bool find_bounced(const struct exchange *ex, const uint8_t *request, size_t len,
	const union cs_snmp_address *to, size_t *ret)
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

static void bounced(void *context, const uint8_t *request, size_t len,
	const union cs_snmp_address *to, int errnum)
{
	struct exchange *ex = context;
	size_t index;

	if (find_bounced(ex, request, len, to, &index) && !ex->slots[index].done)
		settle(ex, index, CS_SNMP_UNREACHABLE, errnum);
}

static void refused(void *context, uint32_t label, int errnum)
{
	settle(context, label, CS_SNMP_UNREACHABLE, errnum);
}

static void drain(struct exchange *ex)
{
	ex->now_ms = cs_monotonic_ms();
	cs_snmp_drain(ex->fds[CS_SNMP_IPV4], ex->deadline, &ex->events);
	cs_snmp_drain(ex->fds[CS_SNMP_IPV6], ex->deadline, &ex->events);
}

/* False, with its outcome, when there is no request. */
static bool encode(struct exchange *ex, size_t index, uint8_t ret[CS_SNMP_PACKET_MAX],
	size_t *ret_len)
{
	const struct way *way = &ex->ways[ex->slots[index].way];
	uint32_t id = ex->first_id + (uint32_t)index, net_id = htonl(id);
	struct cs_error ignored;

	if (way->credential->version != CS_SNMP_V3) {
		memcpy(ret, way->packet.bytes, way->packet.len);
		memcpy(ret + way->packet.id_offset, &net_id, sizeof net_id);
		*ret_len = way->packet.len;
		return true;
	}
	if (cs_snmp_usm_request(way->credential, ex->query, way->wanted,
		    &ex->engines[index], id, ret, ret_len, &ignored) == 0)
		return true;
	settle(ex, index, CS_SNMP_UNPROVED, 0);
	return false;
}

static void send_batch(struct exchange *ex, int family)
{
	cs_snmp_send(ex->fds[family], &ex->batches[family], ex->deadline, &ex->events);
	ex->last_sent_ms = cs_monotonic_ms();
	if (ex->rounds > 1) {
		struct pollfd ready = {.fd = ex->fds[family], .events = POLLIN};
		poll(&ready, 1, REPEAT_PAUSE_MS);
	}
	drain(ex);
}

/* Asks whoever is queued, but for those whose address has enough to do. */
static void send_queued(struct exchange *ex)
{
	size_t blocked = 0;

	while (ex->n_queued > blocked && cs_deadline_left_ms(ex->deadline) > 0) {
		size_t index = ex->queue[ex->head];
		struct slot *slot = &ex->slots[index];
		struct slot *peer = &ex->slots[slot->peer];
		ex->head = (ex->head + 1) % ex->n;
		ex->n_queued--;
		slot->queued = false;
		if (slot->done)
			continue;
		if (ex->paced && peer->in_flight >= IN_FLIGHT_MAX) {
			enqueue(ex, index);
			blocked++;
			continue;
		}
		int family = cs_snmp_family(&ex->targets[index].address);
		struct cs_snmp_batch *batch = &ex->batches[family];
		if (!encode(ex, index, batch->bytes[batch->n], &batch->lens[batch->n]))
			continue;
		batch->to[batch->n] = &ex->targets[index].address;
		batch->labels[batch->n++] = (uint32_t)index;
		slot->sent_ms = ex->now_ms;
		ex->counts->sent++;
		slot->flying = true;
		peer->in_flight++;
		slot->tries += slot->tries < UINT8_MAX;
		if (batch->n == CS_SNMP_BATCH)
			send_batch(ex, family);
	}
	for (int family = 0; family < CS_SNMP_FAMILIES; family++) {
		if (ex->batches[family].n)
			send_batch(ex, family);
	}
}

static int64_t retry_after_ms(const struct exchange *ex)
{
	int64_t after_ms = 2 * ex->slowest_ms + RETRY_SLACK_MS;

	if (ex->slowest_ms < 0)
		after_ms = RETRY_UNKNOWN_MS;
	if (after_ms < RETRY_FLOOR_MS)
		after_ms = RETRY_FLOOR_MS;
	after_ms <<= ex->fruitless < 8 ? ex->fruitless - 1 : 7;
	return after_ms < RETRY_MAX_MS ? after_ms : RETRY_MAX_MS;
}

/* Until when to wait for answers: the next round, or the end. */
static int64_t wait_ms(const struct exchange *ex)
{
	int64_t left_ms = cs_deadline_left_ms(ex->deadline);
	int64_t due_ms = ex->last_sent_ms + retry_after_ms(ex) - cs_monotonic_ms();

	if (due_ms > left_ms)
		return left_ms;
	return due_ms > 0 ? due_ms : 0;
}

/* What is in flight is taken for lost. */
static void begin_round(struct exchange *ex)
{
	for (size_t i = 0; i < ex->n; i++) {
		if (!ex->slots[i].done && ex->slots[i].tries < TRIES_MAX)
			enqueue(ex, i);
		else
			land(ex, i);
	}
	ex->rounds++;
	ex->fruitless++;
}

static void run(struct exchange *ex)
{
	struct pollfd ready[CS_SNMP_FAMILIES];

	for (int family = 0; family < CS_SNMP_FAMILIES; family++)
		ready[family] = (struct pollfd){.fd = ex->fds[family], .events = POLLIN};
	ex->now_ms = cs_monotonic_ms();
	begin_round(ex);
	while (ex->n_open && cs_deadline_left_ms(ex->deadline) > 0) {
		size_t n_open = ex->n_open;
		send_queued(ex);
		if (ex->n_queued && ex->n_open < n_open)
			continue;
		/* Only with everything read can silence be told from a backlog. */
		if (ex->n_open && poll(ready, CS_SNMP_FAMILIES, (int)wait_ms(ex)) == 0)
			begin_round(ex);
		drain(ex);
	}
}

/* Who shares an address: one machine, maybe one agent. */
static void find_peers(struct exchange *ex)
{
	ex->n_hosts = 16;
	while (ex->n_hosts < 2 * ex->n)
		ex->n_hosts *= 2;
	ex->hosts = cs_calloc(ex->n_hosts, sizeof *ex->hosts);
	for (size_t i = 0; i < ex->n; i++) {
		uint32_t *host = host_of(ex, &ex->targets[i].address);
		ex->paced |= *host != 0;
		if (!*host)
			*host = (uint32_t)i + 1;
		ex->slots[i].peer = *host - 1;
	}
}

static int open_family(struct exchange *ex, int family, struct cs_error *err)
{
	if (ex->fds[family] < 0)
		ex->fds[family] = cs_snmp_socket(family, err);
	return ex->fds[family] < 0 ? err->code : 0;
}

/* Opens what the targets need; a family that the system lacks makes only its targets
 * unreachable. */
static int open_targets(struct exchange *ex, struct cs_error *err)
{
	uint32_t all = (UINT32_C(1) << ex->query->n_objects) - 1;
	size_t opened = 0, failed = 0;
	bool v3 = false;

	for (size_t i = 0; i < ex->n; i++) {
		struct cs_snmp_target *target = &ex->targets[i];
		int family = cs_snmp_family(&target->address);
		ex->slots[i].done = family < 0;
		target->outcome = CS_SNMP_SILENT;
		if (family < 0)
			continue;
		ex->n_open++;
		if (i > 0 && target->credential == target[-1].credential && opened)
			ex->slots[i].way = ex->slots[i - 1].way;
		else if (find_way(ex, target->credential, all, &ex->slots[i].way, err) <
			 0)
			return err->code;
		v3 |= target->credential->version == CS_SNMP_V3;
		if (open_family(ex, family, err) < 0) {
			settle(ex, i, CS_SNMP_UNREACHABLE, err->sys_errno);
			failed++;
		} else {
			opened++;
		}
	}
	if (v3 && cs_snmp_usm_open(err) < 0)
		return err->code;
	if (v3)
		ex->engines = cs_calloc(ex->n, sizeof *ex->engines);
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

static void close_exchange(struct exchange *ex)
{
	for (int family = 0; family < CS_SNMP_FAMILIES; family++)
		cs_closep(&ex->fds[family]);
	if (ex->engines) {
		cs_snmp_usm_close();
		explicit_bzero(ex->engines, ex->n * sizeof *ex->engines);
	}
	if (ex->ways)
		explicit_bzero(ex->ways, ex->n_ways * sizeof *ex->ways);
	explicit_bzero(ex->batches, CS_SNMP_FAMILIES * sizeof *ex->batches);
	free(ex->engines);
	free(ex->ways);
	free(ex->hosts);
}

int cs_snmp_poll(const struct cs_snmp_query *query, struct cs_snmp_target *targets,
	size_t n, struct cs_deadline deadline, struct cs_error *err)
{
	CS_AUTO_FREE struct slot *slots = cs_calloc(n, sizeof *slots);
	CS_AUTO_FREE uint32_t *queue = cs_calloc(n, sizeof *queue);
	CS_AUTO_FREE struct cs_snmp_batch *batches =
		cs_calloc(CS_SNMP_FAMILIES, sizeof *batches);
	struct cs_snmp_counts uncounted = {0};
	struct exchange ex = {.query = query,
		.counts = query->counts ? query->counts : &uncounted,
		.targets = targets,
		.slots = slots,
		.n = n,
		.queue = queue,
		.fds = {-1, -1},
		.batches = batches,
		.events = {&ex, received, bounced, refused},
		.first_id = random_id(n),
		.slowest_ms = -1,
		.deadline = deadline};

	find_peers(&ex);
	int r = open_targets(&ex, err);
	if (r == 0) {
		if (ex.engines && query->engines_dir)
			cs_snmp_engines_load(query->engines_dir, targets, ex.engines, n);
		run(&ex);
		if (ex.engines && query->engines_dir)
			cs_snmp_engines_save(query->engines_dir, targets, ex.engines, n);
	}
	close_exchange(&ex);
	return r;
}
