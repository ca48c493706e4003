/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys of SNMPv3 from passwords: RFC 3414, A.2, with the hashes of RFC 3414 and RFC 7860.
 * The library's own take five times as long. Keys are secrets: the caller zeroes them.
 * Inside client/ only. */
#ifndef CS_CLIENT_SNMP_KEYS_H
#define CS_CLIENT_SNMP_KEYS_H

#include "client/snmp.h"

/* Of a password, not empty, for every engine (Ku): a megabyte is hashed. False: there is
 * no such authentication protocol. */
bool cs_snmp_key_make(const char *auth_protocol, const char *password,
	struct cs_snmp_key *ret) CS_MUST_CHECK CS_NONNULL_ALL;

/* Of one for every engine, for this one (Kul). */
bool cs_snmp_key_localize(const char *auth_protocol, const struct cs_snmp_key *key,
	const uint8_t *engine_id, size_t engine_id_len,
	struct cs_snmp_key *ret) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
