/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Agents for ./dev bench snmp: one socket that answers GET for every IPv4 address of this
 * machine, each from the address that was asked (IP_PKTINFO), with known loads. v1, v2c,
 * and v3 authPriv (SHA, AES) with another engine behind every address. RFC 3416, 3414.
 *
 *     snmp_stub PORT DELAY_MS LOSS_PERMILLE DEAD_PERMILLE
 *
 * It says "ready" and serves until it is killed. Agent number i is the address
 * 127.0.0.0 + i; it has 1 + i % 8 CPUs and a load of i * 7919 % 1001 permille. Counters
 * grow once a second; they are off by less than one tick, so that a span of 10 s or more
 * shows the load within a permille. */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <nettle/aes.h>
#include <nettle/cfb.h>
#include <nettle/hmac.h>
#include <nettle/sha1.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 64
#define PACKET_MAX 1472
#define QUEUE_MAX 65536 /* answers that wait for their delay */
#define PASSWORD "bench-password"
#define TICKS_PER_S 100
#define KEY_SIZE SHA1_DIGEST_SIZE
#define MAC_SIZE 12
#define BOOTS 1

enum { INTEGER = 2, OCTETS = 4, OID = 6, SEQUENCE = 0x30, COUNTER = 0x41, TICKS = 0x43 };
enum { GET = 0xa0, RESPONSE = 0xa2, REPORT = 0xa8, NO_SUCH_OBJECT = 0x80 };
enum { AUTH = 1, PRIV = 2, REPORTABLE = 4 };

struct span {
	const uint8_t *at;
	size_t len;
};

/* Written from its end backwards, so that every length is known when it is needed. */
struct packet {
	uint8_t bytes[PACKET_MAX];
	size_t start;
	struct sockaddr_in to;
	struct in_addr from;
	int64_t due_us;
};

struct request {
	int64_t version, id, message_id;
	struct span community, bindings, context, user;
	uint8_t flags;
	bool unknown_engine;
};

static uint8_t master_key[KEY_SIZE];

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* When the batch at hand was received: ten thousand answers ask for it ten times each. */
static int64_t batch_us;

/* Takes the next element off `from`; its tag, or -1. */
static int take(struct span *from, struct span *ret)
{
	size_t header = 2, len;

	if (from->len < 2)
		return -1;
	int tag = from->at[0];
	len = from->at[1];
	if (len & 0x80) {
		size_t bytes = len & 0x7f;
		if (bytes > 2 || from->len < 2 + bytes)
			return -1;
		len = 0;
		for (size_t i = 0; i < bytes; i++)
			len = len << 8 | from->at[2 + i];
		header += bytes;
	}
	if (len > from->len - header)
		return -1;
	*ret = (struct span){from->at + header, len};
	from->at += header + len;
	from->len -= header + len;
	return tag;
}

static bool take_tag(struct span *from, int tag, struct span *ret)
{
	return take(from, ret) == tag;
}

static bool take_integer(struct span *from, int64_t *ret)
{
	struct span body;

	if (!take_tag(from, INTEGER, &body) || body.len == 0 || body.len > 5)
		return false;
	*ret = 0;
	for (size_t i = 0; i < body.len; i++)
		*ret = *ret << 8 | body.at[i];
	return true;
}

static void put(struct packet *packet, const void *bytes, size_t len)
{
	packet->start -= len;
	memcpy(packet->bytes + packet->start, bytes, len);
}

static void put_byte(struct packet *packet, uint8_t byte)
{
	put(packet, &byte, 1);
}

/* The header of everything that was put since `packet->start` was `end`. */
static void put_header(struct packet *packet, uint8_t tag, size_t end)
{
	size_t len = end - packet->start;

	if (len < 0x80) {
		put_byte(packet, (uint8_t)len);
	} else {
		put_byte(packet, (uint8_t)len);
		put_byte(packet, (uint8_t)(len >> 8));
		put_byte(packet, 0x82);
	}
	put_byte(packet, tag);
}

static void put_octets(struct packet *packet, uint8_t tag, const void *bytes, size_t len)
{
	size_t end = packet->start;

	put(packet, bytes, len);
	put_header(packet, tag, end);
}

static void put_number(struct packet *packet, uint8_t tag, uint32_t number)
{
	size_t end = packet->start;

	do {
		put_byte(packet, (uint8_t)number);
		number >>= 8;
	} while (number);
	if (packet->bytes[packet->start] & 0x80)
		put_byte(packet, 0);
	put_header(packet, tag, end);
}

/* The agent's counters, by the last number of 1.3.6.1.4.1.2021.11.NUMBER.0. */
static uint32_t counter(uint32_t agent, unsigned number)
{
	uint32_t cpus = 1 + agent % 8, load = agent * UINT32_C(7919) % 1001;
	uint64_t ticks = (uint64_t)(batch_us / 1000000) * TICKS_PER_S * cpus;
	uint64_t busy = ticks * load / 1000;

	switch (number) {
	case 50: /* user */
		return (uint32_t)busy;
	case 53: /* idle */
		return (uint32_t)(1 + ticks - busy);
	case 67:
		return cpus;
	}
	return 0;
}

static void put_value(struct packet *packet, uint32_t agent, struct span oid)
{
	static const uint8_t ucd_cpu[] = {0x2b, 6, 1, 4, 1, 0x8f, 0x65, 11};
	static const uint8_t uptime[] = {0x2b, 6, 1, 2, 1, 25, 1, 1, 0};
	size_t n = sizeof ucd_cpu;

	if (oid.len == n + 2 && memcmp(oid.at, ucd_cpu, n) == 0)
		put_number(packet, oid.at[n] == 67 ? INTEGER : COUNTER,
			counter(agent, oid.at[n]));
	else if (oid.len == sizeof uptime && memcmp(oid.at, uptime, oid.len) == 0)
		put_number(packet, TICKS, (uint32_t)(batch_us / 10000));
	else
		put_octets(packet, NO_SUCH_OBJECT, "", 0);
}

/* The bindings of `request` with values, last one first. */
static void put_bindings(
	struct packet *packet, uint32_t agent, const struct request *request)
{
	struct span oids[64], left = request->bindings, binding;
	size_t n = 0, end = packet->start;

	while (n < 64 && take_tag(&left, SEQUENCE, &binding)) {
		if (take_tag(&binding, OID, &oids[n]))
			n++;
	}
	while (n-- > 0) {
		size_t binding_end = packet->start;
		put_value(packet, agent, oids[n]);
		put_octets(packet, OID, oids[n].at, oids[n].len);
		put_header(packet, SEQUENCE, binding_end);
	}
	put_header(packet, SEQUENCE, end);
}

static void put_pdu(struct packet *packet, uint32_t agent, const struct request *request)
{
	static const uint8_t unknown_engine[] = {0x30, 17, 0x30, 15, OID, 10, 0x2b, 6, 1,
		6, 3, 15, 1, 1, 4, 0, COUNTER, 1, 1};
	size_t end = packet->start;

	if (request->unknown_engine)
		put(packet, unknown_engine, sizeof unknown_engine);
	else
		put_bindings(packet, agent, request);
	put_number(packet, INTEGER, 0);
	put_number(packet, INTEGER, 0);
	put_number(packet, INTEGER, (uint32_t)request->id);
	put_header(packet, request->unknown_engine ? REPORT : RESPONSE, end);
}

/* RFC 3411: enterprise 8072, an IPv4 address. */
struct engine {
	uint8_t id[9];
	uint8_t key[KEY_SIZE]; /* for both, as both passwords are the same */
};

static void localize(uint32_t agent, struct engine *ret)
{
	uint32_t address = htonl(0x7f000000U + agent);
	struct sha1_ctx sha;

	memcpy(ret->id, "\x80\x00\x1f\x88\x01", 5);
	memcpy(ret->id + 5, &address, sizeof address);
	sha1_init(&sha);
	sha1_update(&sha, KEY_SIZE, master_key);
	sha1_update(&sha, sizeof ret->id, ret->id);
	sha1_update(&sha, KEY_SIZE, master_key);
	sha1_digest(&sha, KEY_SIZE, ret->key);
}

/* RFC 3414 A.2.2: a megabyte of the password. */
static void make_master_key(void)
{
	struct sha1_ctx sha;
	char block[64];

	sha1_init(&sha);
	for (size_t i = 0; i < 1 << 20; i += sizeof block) {
		for (size_t j = 0; j < sizeof block; j++)
			block[j] = PASSWORD[(i + j) % (sizeof PASSWORD - 1)];
		sha1_update(&sha, sizeof block, (const uint8_t *)block);
	}
	sha1_digest(&sha, KEY_SIZE, master_key);
}

static uint32_t engine_time(void)
{
	return (uint32_t)(batch_us / 1000000);
}

/* RFC 3826: CFB128, the vector is boots, time and salt. */
static void crypt(bool encrypt, const struct engine *engine, uint32_t boots,
	uint32_t time_s, const uint8_t salt[8], uint8_t *bytes, size_t len)
{
	uint32_t words[2] = {htonl(boots), htonl(time_s)};
	uint8_t vector[AES_BLOCK_SIZE];
	struct aes128_ctx aes;

	memcpy(vector, words, sizeof words);
	memcpy(vector + sizeof words, salt, 8);
	aes128_set_encrypt_key(&aes, engine->key);
	(encrypt ? cfb_encrypt : cfb_decrypt)(&aes, (nettle_cipher_func *)aes128_encrypt,
		AES_BLOCK_SIZE, vector, len, bytes, bytes);
}

static void put_v3(struct packet *packet, uint32_t agent, const struct request *request)
{
	static const uint8_t zeros[MAC_SIZE];
	uint8_t flags = request->unknown_engine ? 0 : request->flags & (AUTH | PRIV);
	uint32_t time_s = engine_time();
	uint64_t salt = (uint64_t)now_us() << 20 | agent;
	struct engine engine;
	size_t end = packet->start;

	localize(agent, &engine);
	put_pdu(packet, agent, request);
	put_octets(packet, OCTETS, request->context.at, request->context.len);
	put_octets(packet, OCTETS, engine.id, sizeof engine.id);
	put_header(packet, SEQUENCE, end);
	if (flags & PRIV) {
		crypt(true, &engine, BOOTS, time_s, (uint8_t *)&salt,
			packet->bytes + packet->start, end - packet->start);
		put_header(packet, OCTETS, end);
	}
	size_t security_end = packet->start;
	put_octets(packet, OCTETS, &salt, flags & PRIV ? sizeof salt : 0);
	size_t mac_end = packet->start;
	put_octets(packet, OCTETS, zeros, flags & AUTH ? MAC_SIZE : 0);
	put_octets(packet, OCTETS, request->user.at, request->user.len);
	put_number(packet, INTEGER, time_s);
	put_number(packet, INTEGER, BOOTS);
	put_octets(packet, OCTETS, engine.id, sizeof engine.id);
	put_header(packet, SEQUENCE, security_end);
	put_header(packet, OCTETS, security_end);
	size_t global_end = packet->start;
	put_number(packet, INTEGER, 3);
	put_octets(packet, OCTETS, &flags, 1);
	put_number(packet, INTEGER, 65507);
	put_number(packet, INTEGER, (uint32_t)request->message_id);
	put_header(packet, SEQUENCE, global_end);
	put_number(packet, INTEGER, 3);
	put_header(packet, SEQUENCE, end);
	if (flags & AUTH) {
		struct hmac_sha1_ctx hmac;
		hmac_sha1_set_key(&hmac, KEY_SIZE, engine.key);
		hmac_sha1_update(
			&hmac, end - packet->start, packet->bytes + packet->start);
		hmac_sha1_digest(&hmac, MAC_SIZE, packet->bytes + mac_end - MAC_SIZE);
	}
}

static bool take_pdu(struct span from, struct request *ret)
{
	struct span pdu;
	int64_t ignored;

	return take_tag(&from, GET, &pdu) && take_integer(&pdu, &ret->id) &&
	       take_integer(&pdu, &ignored) && take_integer(&pdu, &ignored) &&
	       take_tag(&pdu, SEQUENCE, &ret->bindings);
}

static bool take_scoped_pdu(struct span from, struct request *ret)
{
	struct span scoped, ignored;

	return take_tag(&from, SEQUENCE, &scoped) &&
	       take_tag(&scoped, OCTETS, &ignored) &&
	       take_tag(&scoped, OCTETS, &ret->context) && take_pdu(scoped, ret);
}

/* Digests are not looked at: whoever asks here has the password or nothing. */
static bool take_v3(struct span left, uint32_t agent, struct request *ret)
{
	struct span global, flags, security, engine, body, mac, salt;
	struct engine own;
	int64_t ignored, boots, time_s;

	if (!take_tag(&left, SEQUENCE, &global) ||
		!take_integer(&global, &ret->message_id) ||
		!take_integer(&global, &ignored) || !take_tag(&global, OCTETS, &flags) ||
		flags.len != 1 || !take_tag(&left, OCTETS, &security) ||
		!take_tag(&security, SEQUENCE, &body) ||
		!take_tag(&body, OCTETS, &engine) || !take_integer(&body, &boots) ||
		!take_integer(&body, &time_s) || !take_tag(&body, OCTETS, &ret->user) ||
		!take_tag(&body, OCTETS, &mac) || !take_tag(&body, OCTETS, &salt))
		return false;
	ret->flags = flags.at[0];
	localize(agent, &own);
	if (engine.len != sizeof own.id || memcmp(engine.at, own.id, engine.len) != 0) {
		ret->unknown_engine = true;
		return true;
	}
	if (!(ret->flags & PRIV))
		return take_scoped_pdu(left, ret);
	if (!take_tag(&left, OCTETS, &body) || salt.len != 8)
		return false;
	crypt(false, &own, (uint32_t)boots, (uint32_t)time_s, salt.at, (uint8_t *)body.at,
		body.len);
	return take_scoped_pdu(body, ret);
}

/* False when there is nothing to answer. */
static bool answer(const uint8_t *bytes, size_t len, uint32_t agent, struct packet *ret)
{
	struct span left = {bytes, len}, message;
	struct request request = {0};

	ret->start = sizeof ret->bytes;
	if (!take_tag(&left, SEQUENCE, &message) ||
		!take_integer(&message, &request.version))
		return false;
	if (request.version == 3) {
		if (!take_v3(message, agent, &request))
			return false;
		put_v3(ret, agent, &request);
		return true;
	}
	if (!take_tag(&message, OCTETS, &request.community) ||
		!take_pdu(message, &request))
		return false;
	put_pdu(ret, agent, &request);
	put_octets(ret, OCTETS, request.community.at, request.community.len);
	put_number(ret, INTEGER, (uint32_t)request.version);
	put_header(ret, SEQUENCE, sizeof ret->bytes);
	return true;
}

struct server {
	int fd;
	int64_t delay_us;
	unsigned loss_permille, dead_permille;
	struct packet *queue; /* QUEUE_MAX, by due time, as the delay is constant */
	size_t head, n;
};

static struct in_addr asked_address(const struct msghdr *message)
{
	struct in_pktinfo info = {0};

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c;
		c = CMSG_NXTHDR((struct msghdr *)message, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
			memcpy(&info, CMSG_DATA(c), sizeof info);
	}
	return info.ipi_addr;
}

static void receive(struct server *server)
{
	static uint8_t bytes[BATCH][PACKET_MAX];
	char control[BATCH][CMSG_SPACE(sizeof(struct in_pktinfo))];
	struct sockaddr_in from[BATCH];
	struct iovec parts[BATCH];
	struct mmsghdr messages[BATCH];

	for (size_t i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){bytes[i], PACKET_MAX};
		messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
			.msg_namelen = sizeof from[i],
			.msg_iov = &parts[i],
			.msg_iovlen = 1,
			.msg_control = control[i],
			.msg_controllen = sizeof control[i]};
	}
	size_t room = QUEUE_MAX - server->n;
	int n = recvmmsg(server->fd, messages, room < BATCH ? (unsigned)room : BATCH,
		MSG_DONTWAIT, NULL);
	batch_us = now_us();
	for (int i = 0; i < n; i++) {
		struct packet *packet =
			&server->queue[(server->head + server->n) % QUEUE_MAX];
		packet->from = asked_address(&messages[i].msg_hdr);
		uint32_t agent = ntohl(packet->from.s_addr) & 0xffffffU;
		if (agent * UINT32_C(2654435761) % 1000 < server->dead_permille ||
			(unsigned)rand() % 1000 < server->loss_permille ||
			!answer(bytes[i], messages[i].msg_len, agent, packet))
			continue;
		packet->to = from[i];
		packet->due_us = batch_us + server->delay_us;
		server->n++;
	}
}

static void send_due(struct server *server)
{
	char control[BATCH][CMSG_SPACE(sizeof(struct in_pktinfo))] = {0};
	struct iovec parts[BATCH];
	struct mmsghdr messages[BATCH] = {0};
	int64_t now = now_us();
	size_t n = 0;

	for (; n < BATCH && n < server->n; n++) {
		struct packet *packet = &server->queue[(server->head + n) % QUEUE_MAX];
		struct msghdr *header = &messages[n].msg_hdr;
		if (packet->due_us > now)
			break;
		parts[n] = (struct iovec){packet->bytes + packet->start,
			sizeof packet->bytes - packet->start};
		*header = (struct msghdr){.msg_name = &packet->to,
			.msg_namelen = sizeof packet->to,
			.msg_iov = &parts[n],
			.msg_iovlen = 1,
			.msg_control = control[n],
			.msg_controllen = sizeof control[n]};
		struct cmsghdr *c = CMSG_FIRSTHDR(header);
		struct in_pktinfo info = {.ipi_spec_dst = packet->from};
		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof info);
		memcpy(CMSG_DATA(c), &info, sizeof info);
	}
	/* An error belongs to a client that has gone. */
	for (size_t sent = 0; sent < n;) {
		int done = sendmmsg(server->fd, messages + sent, (unsigned)(n - sent), 0);
		sent += done > 0 ? (size_t)done : 1;
	}
	server->n -= n;
	/* Starts again in memory that is at hand. */
	server->head = server->n ? (server->head + n) % QUEUE_MAX : 0;
}

static _Noreturn void serve(struct server *server)
{
	for (;;) {
		struct pollfd ready = {.fd = server->fd, .events = POLLIN};
		struct timespec wait = {.tv_sec = 1};
		if (server->n) {
			int64_t left_us = server->queue[server->head].due_us - now_us();
			wait = (struct timespec){
				.tv_nsec = left_us > 0 ? left_us * 1000 : 0};
		}
		if (ppoll(&ready, 1, &wait, NULL) > 0)
			receive(server);
		send_due(server);
	}
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1, size = 64 << 20;

	if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) < 0 ||
		bind(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
		perror("snmp_stub");
		exit(1);
	}
	/* The clients are measured, not this one: the larger of what it may have. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	return fd;
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fputs("usage: snmp_stub PORT DELAY_MS LOSS_PERMILLE DEAD_PERMILLE\n",
			stderr);
		return 1;
	}
	struct server server = {.fd = listen_on((uint16_t)atoi(argv[1])),
		.delay_us = atoi(argv[2]) * 1000,
		.loss_permille = (unsigned)atoi(argv[3]),
		.dead_permille = (unsigned)atoi(argv[4]),
		.queue = calloc(QUEUE_MAX, sizeof *server.queue)};

	if (!server.queue)
		return 1;
	make_master_key();
	puts("ready");
	fflush(stdout);
	serve(&server);
}
