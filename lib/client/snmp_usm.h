/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SNMPv3 by net-snmp's user-based security model (RFC 3414), for many engines at once.
 * The library keeps users and clocks in lists that it searches from their beginning: ours
 * hold one user and one clock, those of the engine at hand. Inside client/ only. */
#ifndef CS_CLIENT_SNMP_USM_H
#define CS_CLIENT_SNMP_USM_H

#include "client/snmp_codec.h"

#define CS_SNMP_ENGINE_ID_MAX 32

/* What is known of an agent's engine. Zeroed: nothing. The keys are secrets. */
struct cs_snmp_engine {
	uint8_t id[CS_SNMP_ENGINE_ID_MAX], id_len; /* 0: not known */
	bool fresh;				   /* came in this run, not from a file */
	uint8_t attempts; /* how often it was looked for, or its time set */
	uint32_t boots, time_s;
	int64_t at_ms; /* CLOCK_MONOTONIC of that time */
	bool localized;
	struct cs_snmp_key auth_key, priv_key; /* of this engine (Kul) */
};

/* The engine's time at this moment. */
uint32_t cs_snmp_engine_time(const struct cs_snmp_engine *engine) CS_NONNULL_ALL;

/* Before and after everything below, once per poll. */
int cs_snmp_usm_open(struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_snmp_usm_close(void);

/* What discovers any engine: RFC 3414, 4. It asks for nothing. */
int cs_snmp_usm_discovery(const struct cs_snmp_query *query, struct cs_snmp_packet *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* What is asked of every engine alike, to be filled in for each; the library's, owned by
 * the caller. */
struct snmp_pdu;
struct snmp_pdu *cs_snmp_usm_form(const struct cs_snmp_credential *credential,
	const struct cs_snmp_query *query, uint32_t wanted) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_snmp_usm_form_free(struct snmp_pdu *form);

/* A request to `engine`, which is known. `id` is message and request id. */
int cs_snmp_usm_request(const struct cs_snmp_credential *credential,
	struct snmp_pdu *form, struct cs_snmp_engine *engine, uint32_t id,
	uint8_t ret[CS_SNMP_PACKET_MAX], size_t *ret_len,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

enum cs_snmp_usm_verdict {
	CS_SNMP_USM_OUTCOME, /* `ret_outcome` holds */
	CS_SNMP_USM_AGAIN,   /* the engine has become known, or its time: ask again */
};

/* `ret_detail` is that of the outcome. */
enum cs_snmp_usm_verdict cs_snmp_usm_take(const struct cs_snmp_credential *credential,
	const struct cs_snmp_query *query, uint32_t wanted, struct cs_snmp_engine *engine,
	const uint8_t *bytes, size_t len, enum cs_snmp_outcome *ret_outcome,
	int *ret_detail, struct cs_snmp_reply *ret) CS_NONNULL_ALL;

/* The reason of CS_SNMP_REPORTED. */
const char *cs_snmp_report_text(int detail);

#endif
