/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The seam to net-snmp: only snmp_codec.c includes its headers. Inside client/ only. */
#ifndef CS_CLIENT_SNMP_CODEC_H
#define CS_CLIENT_SNMP_CODEC_H

#include "client/snmp.h"

#define CS_SNMP_PACKET_MAX 1472

/* An encoded GET whose four bytes of request id (network order) may be overwritten.
 * Carries the community: to be zeroed after use. */
struct cs_snmp_packet {
	uint8_t bytes[CS_SNMP_PACKET_MAX];
	size_t len;
	size_t id_offset;
};

int cs_snmp_packet_make(const struct cs_snmp_credential *credential,
	const struct cs_snmp_query *query, struct cs_snmp_packet *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
