/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <arpa/inet.h>
#include <nettle/aes.h>
#include <nettle/cfb.h>
#include <nettle/hmac.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/snmp_usm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct cs_snmp_object objects[] = {
	{10, {1, 3, 6, 1, 4, 1, 2021, 11, 50, 0}},
	{10, {1, 3, 6, 1, 2, 1, 25, 1, 1, 0}},
};
static const struct cs_snmp_object column = {11, {1, 3, 6, 1, 2, 1, 25, 3, 3, 1, 2}};
static const struct cs_snmp_query get = {.objects = objects, .n_objects = 2};
static const struct cs_snmp_query rows = {
	.objects = &column, .n_objects = 1, .column_arcs = 11};

static struct cs_snmp_credential community, nobody, somebody;

/* Of the engine that the messages below are from. */
#define ENGINE_ID "\x80\0\0\0\1"
#define BOOTS 1
#define TIME_S 100
#define SEALED_MAX 1300
#define MAC_SIZE 12
#define SALT "12345678"
static const uint8_t auth_key[SHA1_DIGEST_SIZE] = "authentication",
		     priv_key[16] = "privacy";

/* Up to the encrypted scoped PDU: RFC 3412, 6 and RFC 3414, 2.4. */
static const uint8_t sealed_head[] = {0x30, 0x82, 0, 0, 2, 1, 3, 0x30, 17, 2, 4, 0x40, 0,
	0, 0, 2, 3, 0, 0xff, 0xe3, 4, 1, 3, 2, 1, 3, 4, 45, 0x30, 43, 4, 5, 0x80, 0, 0, 0,
	1, 2, 1, BOOTS, 2, 1, TIME_S, 4, 4, 'f', 'u', 'z', 'z', 4, MAC_SIZE, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 4, 8, '1', '2', '3', '4', '5', '6', '7', '8', 4, 0x82, 0,
	0};
#define MAC_AT (sizeof sealed_head - 4 - 10 - MAC_SIZE)

static void set_length(uint8_t *at, size_t len)
{
	at[0] = (uint8_t)(len >> 8);
	at[1] = (uint8_t)len;
}

/* Encrypts and signs a scoped PDU as the agent itself would: RFC 3826, RFC 3414, 6.3. */
static size_t seal(
	const uint8_t *scoped, size_t size, uint8_t ret[sizeof sealed_head + SEALED_MAX])
{
	const uint32_t words[2] = {htonl(BOOTS), htonl(TIME_S)};
	size_t len = sizeof sealed_head + size;
	uint8_t vector[AES_BLOCK_SIZE], mac[MAC_SIZE];
	struct aes128_ctx aes;
	struct hmac_sha1_ctx hmac;

	memcpy(ret, sealed_head, sizeof sealed_head);
	set_length(ret + 2, len - 4);
	set_length(ret + sizeof sealed_head - 2, size);
	memcpy(vector, words, sizeof words);
	memcpy(vector + sizeof words, SALT, 8);
	aes128_set_encrypt_key(&aes, priv_key);
	cfb_encrypt(&aes, (nettle_cipher_func *)aes128_encrypt, AES_BLOCK_SIZE, vector,
		size, ret + sizeof sealed_head, scoped);
	hmac_sha1_set_key(&hmac, sizeof auth_key, auth_key);
	hmac_sha1_update(&hmac, len, ret);
	hmac_sha1_digest(&hmac, MAC_SIZE, mac);
	memcpy(ret + MAC_AT, mac, MAC_SIZE);
	return len;
}

/* What a true agent may have signed and encrypted: the input is its scoped PDU. */
static enum cs_snmp_outcome take_sealed(const uint8_t *data, size_t size)
{
	uint8_t bytes[sizeof sealed_head + SEALED_MAX];
	struct cs_snmp_engine engine = {.id_len = sizeof ENGINE_ID - 1,
		.boots = BOOTS,
		.time_s = TIME_S,
		.at_ms = cs_monotonic_ms(),
		.fresh = true,
		.localized = true,
		.auth_key.len = sizeof auth_key,
		.priv_key.len = sizeof priv_key};
	enum cs_snmp_outcome outcome;
	struct cs_snmp_reply reply;
	int detail;

	memcpy(engine.id, ENGINE_ID, engine.id_len);
	memcpy(engine.auth_key.bytes, auth_key, sizeof auth_key);
	memcpy(engine.priv_key.bytes, priv_key, sizeof priv_key);
	if (cs_snmp_usm_take(&somebody, &get, 3, &engine, bytes, seal(data, size, bytes),
		    &outcome, &detail, &reply) == CS_SNMP_USM_AGAIN)
		return CS_SNMP_REPORTED;
	if (outcome == CS_SNMP_ANSWERED && (reply.present >> 2 || reply.error_status))
		abort();
	return outcome;
}

/* Otherwise a wrong key would have the fuzzer see refusals alone. */
static void prove_seal(void)
{
	static const uint8_t scoped[] = {0x30, 67, 4, 5, 0x80, 0, 0, 0, 1, 4, 0, 0xa2, 56,
		2, 4, 0x40, 0, 0, 0, 2, 1, 0, 2, 1, 0, 0x30, 42, 0x30, 20, 6, 10, 0x2b, 6,
		1, 4, 1, 0x8f, 0x65, 11, 50, 0, 0x41, 6, 0, 0, 0, 0, 0, 7, 0x30, 18, 6, 9,
		0x2b, 6, 1, 2, 1, 25, 1, 1, 0, 0x43, 5, 0, 0, 0, 0, 9};

	if (take_sealed(scoped, sizeof scoped) != CS_SNMP_ANSWERED)
		abort();
}

static struct cs_snmp_packet asked, nameless;

static void prepare(void)
{
	struct cs_error err;

	community.community = cs_secret_new("public");
	nobody = (struct cs_snmp_credential){.version = CS_SNMP_V3, .user = "fuzz"};
	/* Making a request is also what silences the library. */
	if (cs_snmp_packet_make(&community, &get, 3, &asked, &err) < 0 ||
		cs_snmp_usm_open(&err) < 0)
		abort();
	nameless = asked;
	memset(nameless.names, 0, sizeof nameless.names);
	somebody = (struct cs_snmp_credential){.version = CS_SNMP_V3,
		.user = "fuzz",
		.level = CS_SNMP_AUTH_PRIV,
		.auth_protocol = "SHA",
		.priv_protocol = "AES",
		.auth_password = cs_secret_new("of no use here"),
		.priv_password = cs_secret_new("of no use here")};
	if (cs_snmp_credential_prepare(&somebody, &err) < 0)
		abort();
	prove_seal();
}

/* A v3 message without a digest, which nobody can guess, to an agent that is known or
 * not: the header, the security parameters, Reports and the scoped PDU. */
static void take_v3(const uint8_t *data, size_t size, bool known)
{
	struct cs_snmp_engine engine = {0};
	enum cs_snmp_outcome outcome;
	struct cs_snmp_reply reply;
	int detail;

	if (known) {
		engine.id_len = 5;
		memcpy(engine.id, "\x80\0\0\0\1", 5);
	}
	if (cs_snmp_usm_take(&nobody, &get, 3, &engine, data, size, &outcome, &detail,
		    &reply) == CS_SNMP_USM_OUTCOME &&
		outcome == CS_SNMP_ANSWERED && reply.present >> 2)
		abort();
	if (engine.id_len > sizeof engine.id)
		abort();
}

/* A datagram from anyone. Without the objects that were asked for there are no values to
 * believe. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cs_snmp_head head;
	struct cs_snmp_reply reply, slowly;

	if (!community.community)
		prepare();
	if (size > 0 && size <= SEALED_MAX)
		(void)take_sealed(data, size);
	if (!cs_snmp_head_read(data, size, &head))
		return 0;
	if (head.version == CS_SNMP_V3) {
		take_v3(data, size, false);
		take_v3(data, size, true);
		return 0;
	}
	community.version = head.version;
	enum cs_snmp_outcome outcome =
		cs_snmp_reply_read(data, size, &community, &get, 3, &asked, &reply);
	if (outcome == CS_SNMP_ANSWERED && (reply.present >> 2 || reply.error_status))
		abort();
	if (outcome != cs_snmp_reply_read(
			       data, size, &community, &get, 3, &nameless, &slowly) ||
		memcmp(&reply, &slowly, sizeof reply) != 0)
		abort();
	(void)cs_snmp_reply_read(data, size, &community, &rows, 1, &asked, &reply);
	if (reply.rows.n > CS_SNMP_OBJECTS_MAX || reply.present >> reply.rows.n)
		abort();
	return 0;
}
