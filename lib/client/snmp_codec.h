/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests and replies as bytes. Only snmp_codec.c and snmp_usm.c include net-snmp's
 * headers. Inside client/ only. */
#ifndef CS_CLIENT_SNMP_CODEC_H
#define CS_CLIENT_SNMP_CODEC_H

#include "client/snmp.h"

#define CS_SNMP_PACKET_MAX 1472
#define CS_SNMP_NAME_MAX 31

/* An encoded request whose four bytes of request id, in v3 of message id (network order),
 * may be overwritten. Carries the community: to be zeroed after use. */
struct cs_snmp_packet {
	uint8_t bytes[CS_SNMP_PACKET_MAX];
	size_t len;
	size_t id_offset;
	/* The objects' names as a reply to it has them; not in v3. */
	struct cs_snmp_name {
		uint8_t len; /* 0: too long to be kept */
		uint8_t bytes[CS_SNMP_NAME_MAX];
	} names[CS_SNMP_OBJECTS_MAX];
};

/* CS_E_CONFIG for one that does not fit. */
int cs_snmp_community_check(const struct cs_secret *community,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Asks for the objects of `query` that are in `wanted` (bit i: objects[i]). */
int cs_snmp_packet_make(const struct cs_snmp_credential *credential,
	const struct cs_snmp_query *query, uint32_t wanted, struct cs_snmp_packet *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Whose reply a datagram may be. False: malformed. */
struct cs_snmp_head {
	enum cs_snmp_version version;
	uint32_t id; /* request id; v3: message id */
};
bool cs_snmp_head_read(const uint8_t *bytes, size_t len,
	struct cs_snmp_head *ret) CS_MUST_CHECK CS_NONNULL_ALL;

struct cs_snmp_reply {
	int error_status; /* not 0: nothing below holds but error_index */
	int error_index;  /* from 1, of the wanted objects */
	uint32_t values[CS_SNMP_OBJECTS_MAX];
	uint32_t present;
	struct cs_snmp_rows rows;
};

/* Reads a reply of v1 or v2c to the packet that was `asked`: CS_SNMP_ANSWERED,
 * CS_SNMP_ERROR_STATUS, or why it is not taken. */
enum cs_snmp_outcome cs_snmp_reply_read(const uint8_t *bytes, size_t len,
	const struct cs_snmp_credential *credential, const struct cs_snmp_query *query,
	uint32_t wanted, const struct cs_snmp_packet *asked,
	struct cs_snmp_reply *ret) CS_NONNULL_ALL;

/* Of an error-status. */
const char *cs_snmp_status_text(int error_status);

/* For snmp_usm.c: sets `id_offset`. */
int cs_snmp_packet_find_id(
	struct cs_snmp_packet *packet, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
/* The same: `pdu` is a netsnmp_pdu. */
void *cs_snmp_pdu_make(const struct cs_snmp_query *query, uint32_t wanted,
	enum cs_snmp_version version) CS_MUST_CHECK CS_NONNULL_ALL;
enum cs_snmp_outcome cs_snmp_pdu_read(const void *pdu, const struct cs_snmp_query *query,
	uint32_t wanted, struct cs_snmp_reply *ret) CS_NONNULL_ALL;

#endif
