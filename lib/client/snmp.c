/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking many agents at once; see snmp.h. The library encodes, decodes and proves;
 * sockets, matching and retransmission are ours. */
#include <config.h>
#include "client/snmp_exchange.h"

#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "client/snmp_engines.h"

/* How long a silent target is waited for before it is asked again; twice as long for each
 * time that it was asked. */
#define RETRY_FLOOR_MS 20
#define RETRY_SLACK_MS 5
#define RETRY_UNKNOWN_MS 250 /* nobody has answered yet */
#define RETRY_MAX_MS 1000
/* When all but one of so many have answered, the others were lost on the way: a machine
 * is slow together with others, a datagram is lost alone. */
#define FEW_OF 8
/* In repeats the receive buffer must not overflow a second time. */
#define REPEAT_PAUSE_MS 1
/* While answers are on their way, they are read in batches, not one by one. */
#define GATHER_US 300
/* So many may be on their way at first: they fit into a default receive buffer, however
 * long a busy machine lets us sleep. Ever more may be when answers take long, because the
 * agents are far away and answer no faster than they are asked, as far as bursts of
 * theirs still fit; else when nobody answers, because some are dead. */
#define WINDOW 256
#define FAR_MS 5
#define FAR_WINDOW (16 * WINDOW)

/* A burst of more than 250 requests overflows the buffer of one snmpd: measured. */
#define IN_FLIGHT_MAX 64

/* Another set of objects, when an agent of v1 lacks some, is another packet. */
#define WAYS_MAX 1024

static void land(struct cs_snmp_exchange *ex, size_t index)
{
	struct cs_snmp_slot *slot = &ex->slots[index];

	if (slot->flying) {
		ex->slots[slot->peer].in_flight--;
		ex->n_flying--;
	}
	slot->flying = false;
}

void cs_snmp_settle(struct cs_snmp_exchange *ex, size_t index,
	enum cs_snmp_outcome outcome, int detail)
{
	ex->targets[index].outcome = outcome;
	ex->targets[index].detail = detail;
	if (!ex->slots[index].done)
		ex->n_open--;
	ex->slots[index].done = true;
	land(ex, index);
}

void cs_snmp_enqueue(struct cs_snmp_exchange *ex, size_t index)
{
	struct cs_snmp_slot *slot = &ex->slots[index];

	land(ex, index);
	if (slot->queued || slot->done)
		return;
	slot->queued = true;
	ex->queue[(ex->head + ex->n_queued++) % ex->n] = (uint32_t)index;
}

int cs_snmp_find_way(struct cs_snmp_exchange *ex,
	const struct cs_snmp_credential *credential, uint32_t wanted, uint16_t *ret,
	struct cs_error *err)
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
		ex->ways[i] =
			(struct cs_snmp_way){.credential = credential, .wanted = wanted};
		if (credential->version != CS_SNMP_V3 &&
			cs_snmp_packet_make(credential, ex->query, wanted,
				&ex->ways[i].packet, err) < 0)
			return err->code;
		ex->n_ways++;
	}
	*ret = (uint16_t)i;
	return 0;
}

static void drain(struct cs_snmp_exchange *ex, int family, bool errors)
{
	ex->now_ms = cs_monotonic_ms();
	cs_snmp_drain(ex->fds[family], errors, ex->deadline, &ex->events);
}

/* False, with its outcome, when there is no request. */
static bool encode(struct cs_snmp_exchange *ex, size_t index,
	uint8_t ret[CS_SNMP_PACKET_MAX], size_t *ret_len)
{
	const struct cs_snmp_way *way = &ex->ways[ex->slots[index].way];
	uint32_t id = ex->first_id + (uint32_t)index, net_id = htonl(id);
	struct cs_error ignored;

	if (way->credential->version != CS_SNMP_V3 || !ex->engines[index].id_len) {
		memcpy(ret, way->packet.bytes, way->packet.len);
		memcpy(ret + way->packet.id_offset, &net_id, sizeof net_id);
		*ret_len = way->packet.len;
		return true;
	}
	if (cs_snmp_usm_request(way->credential, way->form, &ex->engines[index], id, ret,
		    ret_len, &ignored) == 0)
		return true;
	cs_snmp_settle(ex, index, CS_SNMP_UNPROVED, 0);
	return false;
}

/* Few who are open were not heard, and may be asked again soon. Many are slow: to ask
 * them again at once would double their work. */
static int64_t patience_ms(const struct cs_snmp_exchange *ex, unsigned tries)
{
	int64_t ms = RETRY_FLOOR_MS + ex->fastest_ms;
	int64_t slow_ms = 2 * ex->slowest_ms + RETRY_SLACK_MS;

	if (ex->fastest_ms < 0)
		ms = RETRY_UNKNOWN_MS;
	else if (!ex->few && slow_ms > ms)
		ms = slow_ms;
	ms <<= tries < 8 ? tries - 1 : 7;
	return ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS;
}

/* False when the time is over. */
static bool send_batch(struct cs_snmp_exchange *ex, int family)
{
	bool errors = cs_snmp_send(
		ex->fds[family], ex->batches[family], ex->deadline, &ex->events);

	ex->last_sent_ms = cs_monotonic_ms();
	if (ex->repeats) {
		struct pollfd ready = {.fd = ex->fds[family], .events = POLLIN};
		poll(&ready, 1, REPEAT_PAUSE_MS);
	}
	drain(ex, family, errors);
	return cs_deadline_left_ms(ex->deadline) > 0;
}

/* False when the time is over. */
static bool send_one(struct cs_snmp_exchange *ex, size_t index)
{
	struct cs_snmp_slot *slot = &ex->slots[index];
	int family = cs_snmp_family(&ex->targets[index].address);
	struct cs_snmp_batch *batch = ex->batches[family];

	if (!encode(ex, index, batch->bytes[batch->n], &batch->lens[batch->n]))
		return true;
	batch->to[batch->n] = &ex->targets[index].address;
	batch->labels[batch->n++] = (uint32_t)index;
	slot->sent_ms = ex->now_ms;
	ex->counts->sent++;
	slot->flying = true;
	ex->n_flying++;
	ex->slots[slot->peer].in_flight++;
	slot->tries += slot->tries < UINT8_MAX;
	int64_t due_ms = slot->sent_ms + patience_ms(ex, slot->tries);
	if (due_ms < ex->due_ms)
		ex->due_ms = due_ms;
	return batch->n < CS_SNMP_BATCH || send_batch(ex, family);
}

/* Asks whoever is queued, as far as the window goes, but for those whose address has
 * enough to do. */
static void send_queued(struct cs_snmp_exchange *ex)
{
	size_t blocked = 0;

	while (ex->n_queued > blocked && ex->n_flying < ex->window) {
		size_t index = ex->queue[ex->head];
		struct cs_snmp_slot *slot = &ex->slots[index];
		ex->head = (ex->head + 1) % ex->n;
		ex->n_queued--;
		slot->queued = false;
		if (slot->done)
			continue;
		if (ex->paced && ex->slots[slot->peer].in_flight >= IN_FLIGHT_MAX) {
			cs_snmp_enqueue(ex, index);
			blocked++;
			continue;
		}
		if (!send_one(ex, index))
			return;
	}
	for (int family = 0; family < CS_SNMP_FAMILIES; family++) {
		if (ex->batches[family] && ex->batches[family]->n)
			send_batch(ex, family);
	}
}

/* When somebody may be taken for silent: while answers come, whoever is asked again may
 * only not have had a turn. */
static int64_t wait_ms(const struct cs_snmp_exchange *ex)
{
	int64_t left_ms = cs_deadline_left_ms(ex->deadline);
	int64_t quiet_ms = ex->last_answer_ms + RETRY_FLOOR_MS;
	int64_t slow_ms = ex->last_sent_ms + 2 * ex->slowest_ms + RETRY_SLACK_MS;
	int64_t at_ms = ex->due_ms;

	if (quiet_ms > slow_ms)
		quiet_ms = slow_ms;
	if (at_ms < quiet_ms)
		at_ms = quiet_ms;
	at_ms -= cs_monotonic_ms();
	if (at_ms > left_ms)
		return left_ms;
	return at_ms > 0 ? at_ms : 0;
}

/* Queues those that were waited for long enough; what is in flight to them is taken for
 * lost. */
static void ask_again(struct cs_snmp_exchange *ex)
{
	int64_t now_ms = cs_monotonic_ms(), next_ms = INT64_MAX;

	for (size_t i = 0; i < ex->n; i++) {
		struct cs_snmp_slot *slot = &ex->slots[i];
		if (slot->done || slot->queued || !slot->flying)
			continue;
		int64_t due_ms = slot->sent_ms + patience_ms(ex, slot->tries);
		if (due_ms > now_ms) {
			next_ms = due_ms < next_ms ? due_ms : next_ms;
			continue;
		}
		land(ex, i);
		if (slot->tries > ex->query->retries)
			continue;
		cs_snmp_enqueue(ex, i);
		ex->repeats = true;
	}
	ex->due_ms = next_ms;
}

static void gather(void)
{
	static const struct timespec pause = {.tv_nsec = GATHER_US * 1000};

	nanosleep(&pause, NULL);
}

/* Without room for a batch there would be a system call for each request. */
static bool window_is_full(const struct cs_snmp_exchange *ex)
{
	return ex->n_flying + CS_SNMP_BATCH > ex->window;
}

static void make_room(struct cs_snmp_exchange *ex)
{
	size_t n_flying = ex->n_flying;

	gather();
	for (int family = 0; family < CS_SNMP_FAMILIES; family++) {
		if (ex->fds[family] >= 0)
			drain(ex, family, false);
	}
	int64_t heard_ms =
		ex->last_answer_ms > ex->widened_ms ? ex->last_answer_ms : ex->widened_ms;
	int64_t silence_ms = ex->window == WINDOW ? FAR_MS : 0;
	if (ex->fastest_ms >= 0)
		silence_ms = RETRY_FLOOR_MS;
	bool far = ex->fastest_ms >= FAR_MS && ex->window < FAR_WINDOW;
	if (!far && (ex->n_flying < n_flying || ex->now_ms < heard_ms + silence_ms))
		return;
	ex->window += WINDOW;
	ex->widened_ms = ex->now_ms;
}

/* Waits until there is something to read, or somebody to ask again. */
static void wait_and_read(struct cs_snmp_exchange *ex)
{
	struct pollfd ready[CS_SNMP_FAMILIES];
	bool few = ex->n_open * FEW_OF <= ex->n_asked;

	if (few && !ex->few)
		ex->due_ms = 0;
	ex->few = few;
	for (int family = 0; family < CS_SNMP_FAMILIES; family++)
		ready[family] = (struct pollfd){.fd = ex->fds[family], .events = POLLIN};
	/* Only with everything read can silence be told from a backlog. */
	if (poll(ready, CS_SNMP_FAMILIES, (int)wait_ms(ex)) == 0) {
		ask_again(ex);
		return;
	}
	if (ex->n_flying > CS_SNMP_BATCH)
		gather();
	for (int family = 0; family < CS_SNMP_FAMILIES; family++) {
		if (ready[family].revents)
			drain(ex, family, ready[family].revents & POLLERR);
	}
}

static void run(struct cs_snmp_exchange *ex)
{
	ex->now_ms = ex->widened_ms = cs_monotonic_ms();
	for (size_t i = 0; i < ex->n; i++)
		cs_snmp_enqueue(ex, i);
	while (ex->n_open && cs_deadline_left_ms(ex->deadline) > 0) {
		size_t n_open = ex->n_open;
		send_queued(ex);
		bool moved = ex->n_open < n_open;
		if (ex->n_queued && window_is_full(ex))
			make_room(ex);
		else if (ex->n_open && !(ex->n_queued && moved))
			wait_and_read(ex);
	}
}

/* Who shares an address: one machine, maybe one agent. */
static void find_peers(struct cs_snmp_exchange *ex)
{
	ex->n_hosts = 16;
	while (ex->n_hosts < 2 * ex->n)
		ex->n_hosts *= 2;
	ex->hosts = cs_calloc(ex->n_hosts, sizeof *ex->hosts);
	for (size_t i = 0; i < ex->n; i++) {
		uint32_t *host = cs_snmp_host_of(ex, &ex->targets[i].address);
		ex->paced |= *host != 0;
		if (!*host)
			*host = (uint32_t)i + 1;
		ex->slots[i].peer = *host - 1;
	}
}

static int open_family(struct cs_snmp_exchange *ex, int family, struct cs_error *err)
{
	if (ex->fds[family] < 0)
		ex->fds[family] = cs_snmp_socket(family, err);
	if (ex->fds[family] < 0)
		return err->code;
	if (!ex->batches[family])
		ex->batches[family] = cs_calloc(1, sizeof *ex->batches[family]);
	return 0;
}

/* All engines are looked for with the same packet. */
static int open_v3(struct cs_snmp_exchange *ex, struct cs_error *err)
{
	struct cs_snmp_packet discovery;

	if (cs_snmp_usm_open(err) < 0)
		return err->code;
	ex->engines = cs_calloc(ex->n, sizeof *ex->engines);
	if (cs_snmp_usm_discovery(ex->query, &discovery, err) < 0)
		return err->code;
	for (size_t i = 0; i < ex->n_ways; i++) {
		struct cs_snmp_way *way = &ex->ways[i];
		if (way->credential->version != CS_SNMP_V3)
			continue;
		way->packet = discovery;
		way->form = cs_snmp_usm_form(way->credential, ex->query, way->wanted);
	}
	return 0;
}

/* Opens what the targets need; a family that the system lacks makes only its targets
 * unreachable. */
static int open_targets(struct cs_snmp_exchange *ex, struct cs_error *err)
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
		else if (cs_snmp_find_way(
				 ex, target->credential, all, &ex->slots[i].way, err) < 0)
			return err->code;
		v3 |= target->credential->version == CS_SNMP_V3;
		if (open_family(ex, family, err) < 0) {
			cs_snmp_settle(ex, i, CS_SNMP_UNREACHABLE, err->sys_errno);
			failed++;
		} else {
			opened++;
		}
	}
	if (v3 && open_v3(ex, err) < 0)
		return err->code;
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

static void close_exchange(struct cs_snmp_exchange *ex)
{
	for (int family = 0; family < CS_SNMP_FAMILIES; family++) {
		struct cs_snmp_batch *batch = ex->batches[family];
		if (ex->fds[family] >= 0)
			ex->counts->overflowed += cs_snmp_overflowed(ex->fds[family]);
		cs_closep(&ex->fds[family]);
		if (batch)
			explicit_bzero(batch, sizeof *batch);
		free(batch);
	}
	if (ex->engines) {
		cs_snmp_usm_close();
		explicit_bzero(ex->engines, ex->n * sizeof *ex->engines);
	}
	for (size_t i = 0; i < ex->n_ways; i++)
		cs_snmp_usm_form_free(ex->ways[i].form);
	if (ex->ways)
		explicit_bzero(ex->ways, ex->n_ways * sizeof *ex->ways);
	free(ex->engines);
	free(ex->ways);
	free(ex->hosts);
}

int cs_snmp_poll(const struct cs_snmp_query *query, struct cs_snmp_target *targets,
	size_t n, struct cs_deadline deadline, struct cs_error *err)
{
	CS_AUTO_FREE struct cs_snmp_slot *slots = cs_calloc(n, sizeof *slots);
	CS_AUTO_FREE uint32_t *queue = cs_calloc(n, sizeof *queue);
	struct cs_snmp_counts uncounted = {0};
	struct cs_snmp_exchange ex = {.query = query,
		.counts = query->counts ? query->counts : &uncounted,
		.targets = targets,
		.slots = slots,
		.n = n,
		.queue = queue,
		.fds = {-1, -1},
		.events = {&ex, cs_snmp_received, cs_snmp_bounced, cs_snmp_refused},
		.first_id = random_id(n),
		.fastest_ms = -1,
		.slowest_ms = -1,
		.window = WINDOW,
		.due_ms = INT64_MAX,
		.deadline = deadline};

	find_peers(&ex);
	int r = open_targets(&ex, err);
	ex.n_asked = ex.n_open;
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
