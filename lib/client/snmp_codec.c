/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Encoding and decoding by net-snmp; see snmp.h and snmp_codec.h. v2c needs no
 * init_snmp(), no MIB and no session, only a session's fields. */
#include <config.h>
#include "client/snmp_codec.h"

#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>
#include <net-snmp/library/snmp_impl.h>

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"

#define COMMUNITY_MAX 255
#define ANY_ID 0x40000000 /* overwritten; in the range that takes four bytes */

static void free_pdu(netsnmp_pdu **pdu)
{
	if (*pdu && (*pdu)->community)
		explicit_bzero((*pdu)->community, (*pdu)->community_len);
	if (*pdu)
		snmp_free_pdu(*pdu);
}

static netsnmp_session v2c_session(const char *community)
{
	return (netsnmp_session){.version = SNMP_VERSION_2c,
		.community = (u_char *)community,
		.community_len = strlen(community)};
}

/* Version, community, PDU header: what follows is the request id. */
static int find_id(struct cs_snmp_packet *packet, struct cs_error *err)
{
	u_char community[COMMUNITY_MAX + 1], type;
	size_t community_len = sizeof community, left = packet->len;
	long version;
	u_char *at = snmp_comstr_parse(
		packet->bytes, &left, community, &community_len, &version);

	explicit_bzero(community, sizeof community);
	at = at ? asn_parse_header(at, &left, &type) : NULL;
	if (!at || left < 6 || at[0] != ASN_INTEGER || at[1] != sizeof(uint32_t))
		return cs_error_set(err, CS_E_PROTOCOL,
			"the SNMP library built a request without a 4-byte id");
	packet->id_offset = (size_t)(at + 2 - packet->bytes);
	return 0;
}

int cs_snmp_packet_make(const struct cs_snmp_credential *credential,
	const struct cs_snmp_query *query, struct cs_snmp_packet *ret,
	struct cs_error *err)
{
	netsnmp_session session = v2c_session(cs_secret_expose(credential->community));
	CS_CLEANUP(free_pdu)
	netsnmp_pdu *pdu =
		snmp_pdu_create(query->column_arcs ? SNMP_MSG_GETBULK : SNMP_MSG_GET);
	size_t capacity = CS_SNMP_PACKET_MAX, offset = 0;

	snmp_disable_log();
	/* What init_snmp() would set: requests are encoded from the end of the buffer. */
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_REVERSE_ENCODE, 1);
	if (session.community_len > COMMUNITY_MAX)
		return cs_error_set(err, CS_E_CONFIG,
			"the SNMP community has %zu bytes, at most %d are possible",
			session.community_len, COMMUNITY_MAX);
	if (!pdu)
		cs_out_of_memory();
	pdu->version = SNMP_VERSION_2c;
	pdu->reqid = ANY_ID;
	/* A GETBULK has non-repeaters and max-repetitions here: RFC 3416, 3. */
	pdu->errstat = 0;
	pdu->errindex = query->column_arcs ? CS_SNMP_OBJECTS_MAX : 0;
	for (size_t i = 0; i < query->n_objects; i++)
		snmp_add_null_var(pdu, (const oid *)query->objects[i].arcs,
			query->objects[i].n_arcs);
	u_char *buffer = cs_calloc(1, capacity);
	int r = snmp_build(&buffer, &capacity, &offset, &session, pdu);
	if (r >= 0 && offset <= sizeof ret->bytes) {
		memcpy(ret->bytes, buffer + capacity - offset, offset);
		ret->len = offset;
	}
	explicit_bzero(buffer, capacity);
	free(buffer);
	if (r < 0 || offset > sizeof ret->bytes)
		return cs_error_set(err, CS_E_PROTOCOL,
			"the SNMP library could not build the request: %s",
			snmp_api_errstring(session.s_snmp_errno));
	return find_id(ret, err);
}

static bool take_value(const netsnmp_variable_list *variable, uint32_t *ret)
{
	switch (variable->type) {
	case ASN_INTEGER:
	case ASN_COUNTER:
	case ASN_GAUGE:
	case ASN_TIMETICKS:
		*ret = (uint32_t)*variable->val.integer;
		return variable->type != ASN_INTEGER || *variable->val.integer >= 0;
	}
	return false; /* noSuchObject, noSuchInstance, or not a number */
}

/* True when the variables are the objects, in their order. */
static bool take_values(const netsnmp_variable_list *variable,
	const struct cs_snmp_object *objects, size_t n_objects, struct cs_snmp_reply *ret)
{
	for (size_t i = 0; i < n_objects; i++, variable = variable->next_variable) {
		if (!variable ||
			snmp_oid_compare(variable->name, variable->name_length,
				(const oid *)objects[i].arcs, objects[i].n_arcs) != 0)
			return false;
		if (take_value(variable, &ret->values[i]))
			ret->present |= UINT32_C(1) << i;
		if (!variable->next_variable)
			return i + 1 == n_objects;
	}
	return false;
}

/* True when the variables are rows behind the one that was asked for, in their order, up
 * to the first one that is of no row. */
static bool take_rows(const netsnmp_variable_list *variable,
	const struct cs_snmp_query *query, struct cs_snmp_reply *ret)
{
	const struct cs_snmp_object *from = &query->objects[0];
	const oid *column = (const oid *)from->arcs;
	size_t n_arcs = query->column_arcs;
	oid last = from->n_arcs > n_arcs ? column[n_arcs] : 0;

	for (; variable; variable = variable->next_variable) {
		if (variable->type == SNMP_ENDOFMIBVIEW ||
			snmp_oidtree_compare(variable->name, variable->name_length,
				column, n_arcs) != 0) {
			ret->rows.ended = true;
			return true;
		}
		if (variable->name_length != n_arcs + 1 ||
			variable->name[n_arcs] <= last ||
			ret->rows.n == CS_SNMP_OBJECTS_MAX)
			return false;
		if (take_value(variable, &ret->values[ret->rows.n]))
			ret->present |= UINT32_C(1) << ret->rows.n;
		ret->rows.n++;
		last = variable->name[n_arcs];
		ret->rows.last = (uint32_t)last;
	}
	/* An agent that gives nothing has nothing. */
	ret->rows.ended = ret->rows.n == 0;
	return true;
}

int cs_snmp_decode(const uint8_t *bytes, size_t len, const struct cs_snmp_query *query,
	struct cs_snmp_reply *ret, struct cs_error *err)
{
	netsnmp_session session = {.version = SNMP_VERSION_2c};
	CS_CLEANUP(free_pdu) netsnmp_pdu *pdu = calloc(1, sizeof *pdu);

	if (!pdu)
		cs_out_of_memory();
	if (snmp_parse(NULL, &session, pdu, (u_char *)bytes, len) != 0 ||
		pdu->command != SNMP_MSG_RESPONSE)
		return cs_error_set(
			err, CS_E_PROTOCOL, "malformed SNMP reply of %zu bytes", len);
	*ret = (struct cs_snmp_reply){
		.request_id = (int32_t)pdu->reqid, .error_status = (int)pdu->errstat};
	if (!ret->error_status)
		ret->matches = query->column_arcs
				       ? take_rows(pdu->variables, query, ret)
				       : take_values(pdu->variables, query->objects,
						 query->n_objects, ret);
	return 0;
}

const char *cs_snmp_reason(
	const struct cs_snmp_target *target, char ret[CS_SNMP_REASON_SIZE])
{
	static const char *const texts[] = {
		[CS_SNMP_SILENT] = "no answer (address, port, firewall or community?)",
		[CS_SNMP_ANSWERED] = "answered",
		[CS_SNMP_MALFORMED] = "malformed answer",
		[CS_SNMP_FOREIGN] = "answered from another address, not taken",
	};

	if (target->outcome == CS_SNMP_UNREACHABLE)
		snprintf(ret, CS_SNMP_REASON_SIZE, "%s (is snmpd running?)",
			strerror(target->detail));
	else if (target->outcome == CS_SNMP_ERROR_STATUS)
		snprintf(ret, CS_SNMP_REASON_SIZE, "the agent refused: %s",
			snmp_errstring(target->detail));
	else
		snprintf(ret, CS_SNMP_REASON_SIZE, "%s", texts[target->outcome]);
	return ret;
}
