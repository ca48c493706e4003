/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Encoding and decoding by net-snmp; see snmp_codec.h. v1 and v2c need no init_snmp(), no
 * MIB and no session, only a session's fields. */
#include <config.h>
#include "client/snmp_codec.h"

#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>
#include <net-snmp/library/snmp_impl.h>

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define COMMUNITY_MAX 255
#define ANY_ID 0x40000000 /* overwritten; in the range that takes four bytes */

static void free_pdu(netsnmp_pdu **pdu)
{
	if (*pdu && (*pdu)->community)
		explicit_bzero((*pdu)->community, (*pdu)->community_len);
	if (*pdu)
		snmp_free_pdu(*pdu);
}

static long library_version(enum cs_snmp_version version)
{
	static const long versions[] = {[CS_SNMP_V1] = SNMP_VERSION_1,
		[CS_SNMP_V2C] = SNMP_VERSION_2c,
		[CS_SNMP_V3] = SNMP_VERSION_3};

	return versions[version];
}

/* A message as far as all versions are alike, and where the rest of it begins. */
struct message {
	long version;
	u_char *at;
	size_t left;
};

static bool open_message(const uint8_t *bytes, size_t len, struct message *ret)
{
	u_char type;

	*ret = (struct message){.left = len};
	u_char *at = asn_parse_sequence((u_char *)bytes, &ret->left, &type,
		ASN_SEQUENCE | ASN_CONSTRUCTOR, "message");
	if (!at)
		return false;
	ret->at =
		asn_parse_int(at, &ret->left, &type, &ret->version, sizeof ret->version);
	return ret->at && type == ASN_INTEGER;
}

/* msgGlobalData begins with the id: RFC 3412, 6. */
static u_char *open_global(struct message *message)
{
	u_char type;

	return asn_parse_sequence(message->at, &message->left, &type,
		ASN_SEQUENCE | ASN_CONSTRUCTOR, "msgGlobalData");
}

static u_char *open_community(
	struct message *message, u_char ret[COMMUNITY_MAX + 1], size_t *ret_len)
{
	u_char type;

	*ret_len = COMMUNITY_MAX + 1;
	return asn_parse_string(message->at, &message->left, &type, ret, ret_len);
}

int cs_snmp_packet_find_id(struct cs_snmp_packet *packet, struct cs_error *err)
{
	u_char community[COMMUNITY_MAX + 1], type, *at = NULL;
	struct message message;
	size_t len;

	if (open_message(packet->bytes, packet->len, &message)) {
		if (message.version == SNMP_VERSION_3)
			at = open_global(&message);
		else if ((message.at = open_community(&message, community, &len)))
			at = asn_parse_header(message.at, &message.left, &type);
		explicit_bzero(community, sizeof community);
	}
	if (!at || message.left < 6 || at[0] != ASN_INTEGER || at[1] != sizeof(uint32_t))
		return cs_error_set(err, CS_E_PROTOCOL,
			"the SNMP library built a request without a 4-byte id");
	packet->id_offset = (size_t)(at + 2 - packet->bytes);
	return 0;
}

/* A table is read by GETBULK, by GETNEXT in v1, which has no other. */
static int command_for(const struct cs_snmp_query *query, enum cs_snmp_version version)
{
	if (!query->column_arcs)
		return SNMP_MSG_GET;
	return version == CS_SNMP_V1 ? SNMP_MSG_GETNEXT : SNMP_MSG_GETBULK;
}

void *cs_snmp_pdu_make(
	const struct cs_snmp_query *query, uint32_t wanted, enum cs_snmp_version version)
{
	netsnmp_pdu *pdu = snmp_pdu_create(command_for(query, version));

	if (!pdu)
		cs_out_of_memory();
	pdu->version = library_version(version);
	pdu->reqid = ANY_ID;
	/* A GETBULK has non-repeaters and max-repetitions here: RFC 3416, 3. */
	pdu->errstat = 0;
	pdu->errindex = pdu->command == SNMP_MSG_GETBULK ? CS_SNMP_OBJECTS_MAX : 0;
	for (size_t i = 0; i < query->n_objects; i++) {
		if (wanted & UINT32_C(1) << i)
			snmp_add_null_var(pdu, (const oid *)query->objects[i].arcs,
				query->objects[i].n_arcs);
	}
	return pdu;
}

int cs_snmp_community_check(const struct cs_secret *community, struct cs_error *err)
{
	size_t len = strlen(cs_secret_expose(community));

	if (len <= COMMUNITY_MAX)
		return 0;
	return cs_error_set(err, CS_E_CONFIG,
		"the SNMP community has %zu bytes, at most %d are possible", len,
		COMMUNITY_MAX);
}

static void keep_names(const struct cs_snmp_query *query, struct cs_snmp_packet *ret)
{
	for (size_t i = 0; i < query->n_objects; i++) {
		struct cs_snmp_name *name = &ret->names[i];
		size_t left = sizeof name->bytes;
		u_char *end = asn_build_objid(name->bytes, &left, ASN_OBJECT_ID,
			(oid *)query->objects[i].arcs, query->objects[i].n_arcs);

		name->len = end ? (uint8_t)(end - name->bytes) : 0;
	}
}

int cs_snmp_packet_make(const struct cs_snmp_credential *credential,
	const struct cs_snmp_query *query, uint32_t wanted, struct cs_snmp_packet *ret,
	struct cs_error *err)
{
	const char *community = cs_secret_expose(credential->community);
	netsnmp_session session = {.version = library_version(credential->version),
		.community = (u_char *)community,
		.community_len = strlen(community)};
	size_t capacity = CS_SNMP_PACKET_MAX, offset = 0;

	snmp_disable_log();
	/* What init_snmp() would set: requests are encoded from the end of the buffer. */
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_REVERSE_ENCODE, 1);
	if (cs_snmp_community_check(credential->community, err) < 0)
		return err->code;
	CS_CLEANUP(free_pdu)
	netsnmp_pdu *pdu = cs_snmp_pdu_make(query, wanted, credential->version);
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
	keep_names(query, ret);
	return cs_snmp_packet_find_id(ret, err);
}

/* Behind the community: the request id of a Response, RFC 3416, 3. */
static u_char *open_response(struct message *message, long *ret_id)
{
	u_char type;
	u_char *at = asn_parse_header(message->at, &message->left, &type);

	if (!at || type != SNMP_MSG_RESPONSE)
		return NULL;
	at = asn_parse_int(at, &message->left, &type, ret_id, sizeof *ret_id);
	return at && type == ASN_INTEGER ? at : NULL;
}

bool cs_snmp_head_read(const uint8_t *bytes, size_t len, struct cs_snmp_head *ret)
{
	u_char community[COMMUNITY_MAX + 1], type;
	size_t community_len;
	struct message message;
	long id;

	if (!open_message(bytes, len, &message))
		return false;
	if (message.version == SNMP_VERSION_3) {
		u_char *at = open_global(&message);
		if (!at || !asn_parse_int(at, &message.left, &type, &id, sizeof id) ||
			type != ASN_INTEGER)
			return false;
		*ret = (struct cs_snmp_head){CS_SNMP_V3, (uint32_t)id};
		return true;
	}
	if (message.version != SNMP_VERSION_1 && message.version != SNMP_VERSION_2c)
		return false;
	message.at = open_community(&message, community, &community_len);
	if (!message.at || !open_response(&message, &id))
		return false;
	ret->version = message.version == SNMP_VERSION_1 ? CS_SNMP_V1 : CS_SNMP_V2C;
	ret->id = (uint32_t)id;
	return true;
}

static bool is_numeric(u_char type)
{
	return type == ASN_INTEGER || type == ASN_COUNTER || type == ASN_GAUGE ||
	       type == ASN_TIMETICKS;
}

static bool take_number(u_char type, long number, uint32_t *ret)
{
	*ret = (uint32_t)number;
	return is_numeric(type) && (type != ASN_INTEGER || number >= 0);
}

/* One binding of a reply. */
struct binding {
	oid name[MAX_OID_LEN];
	size_t name_len;
	u_char type;
	bool is_number;
	uint32_t number;
};

/* Where the bindings go. */
struct sink {
	const struct cs_snmp_query *query;
	uint32_t wanted;
	size_t next; /* object whose value comes next */
	struct cs_snmp_reply *reply;
};

/* False: there was none more to come. */
static bool find_next(struct sink *sink)
{
	while (sink->next < sink->query->n_objects &&
		!(sink->wanted & UINT32_C(1) << sink->next))
		sink->next++;
	return sink->next < sink->query->n_objects;
}

static void take_next(struct sink *sink, const struct binding *binding)
{
	if (binding->is_number) {
		sink->reply->values[sink->next] = binding->number;
		sink->reply->present |= UINT32_C(1) << sink->next;
	}
	sink->next++;
}

/* False: not what was asked for. */
static bool take_object(struct sink *sink, const struct binding *binding)
{
	if (!find_next(sink))
		return false;
	const struct cs_snmp_object *object = &sink->query->objects[sink->next];
	if (binding->name_len != object->n_arcs ||
		memcmp(binding->name, object->arcs,
			object->n_arcs * sizeof *object->arcs) != 0)
		return false;
	take_next(sink, binding);
	return true;
}

/* Rows behind the one that was asked for, in their order, up to the first binding that is
 * of no row. */
static bool take_row(struct sink *sink, const struct binding *binding)
{
	const struct cs_snmp_object *from = &sink->query->objects[0];
	struct cs_snmp_rows *rows = &sink->reply->rows;
	size_t n_arcs = sink->query->column_arcs;
	oid last = from->n_arcs > n_arcs ? from->arcs[n_arcs] : 0;

	if (rows->ended)
		return true;
	if (binding->type == SNMP_ENDOFMIBVIEW || binding->name_len < n_arcs ||
		memcmp(binding->name, from->arcs, n_arcs * sizeof *from->arcs) != 0) {
		rows->ended = true;
		return true;
	}
	if (rows->n)
		last = rows->last;
	if (binding->name_len != n_arcs + 1 || binding->name[n_arcs] <= last ||
		binding->name[n_arcs] > UINT32_MAX || rows->n == CS_SNMP_OBJECTS_MAX)
		return false;
	if (binding->is_number) {
		sink->reply->values[rows->n] = binding->number;
		sink->reply->present |= UINT32_C(1) << rows->n;
	}
	rows->n++;
	rows->last = (uint32_t)binding->name[n_arcs];
	return true;
}

static bool take_binding(struct sink *sink, const struct binding *binding)
{
	return sink->query->column_arcs ? take_row(sink, binding)
					: take_object(sink, binding);
}

/* Everything that was asked for has come. */
static bool is_complete(struct sink *sink)
{
	const uint32_t all = (UINT32_C(1) << sink->query->n_objects) - 1;

	if (sink->query->column_arcs) {
		/* An agent that gives nothing has nothing. */
		sink->reply->rows.ended |= sink->reply->rows.n == 0;
		return true;
	}
	return sink->next >= sink->query->n_objects ||
	       !((sink->wanted & all) >> sink->next);
}

/* `left` bytes from the header of the value on. What is no number is noSuchObject,
 * endOfMibView, or of a wrong type. */
static bool read_value(u_char *value, size_t left, struct binding *ret)
{
	long number = 0;

	if (ret->type == ASN_INTEGER)
		value = asn_parse_int(value, &left, &ret->type, &number, sizeof number);
	else if (is_numeric(ret->type))
		value = asn_parse_unsigned_int(
			value, &left, &ret->type, (u_long *)&number, sizeof number);
	ret->is_number = value && take_number(ret->type, number, &ret->number);
	return value != NULL;
}

static bool read_binding(u_char **at, size_t *left, struct binding *ret)
{
	u_char *value;
	size_t value_left;

	ret->name_len = MAX_OID_LEN;
	*at = snmp_parse_var_op(
		*at, ret->name, &ret->name_len, &ret->type, &value_left, &value, left);
	return *at && read_value(value, (size_t)(*at - value), ret);
}

/* A number behind the name of the next object: half of what a reply costs is to decode
 * its names. False: it is something else, or encoded in another way. */
static bool read_expected(
	u_char **at, size_t *left, const struct cs_snmp_packet *asked, struct sink *sink)
{
	const struct cs_snmp_name *name;
	struct binding binding;
	u_char *start = *at;

	if (sink->query->column_arcs || !find_next(sink))
		return false;
	name = &asked->names[sink->next];
	if (*left < 2 || start[0] != (ASN_SEQUENCE | ASN_CONSTRUCTOR) ||
		start[1] >= ASN_LONG_LEN || start[1] > *left - 2 ||
		start[1] < name->len + 2 || name->len == 0 ||
		memcmp(start + 2, name->bytes, name->len) != 0)
		return false;
	u_char *value = start + 2 + name->len, *end = start + 2 + start[1];
	binding.type = value[0];
	/* Behind a value that ends before its binding the library goes on at once. */
	if (!is_numeric(binding.type) || value + 2 + value[1] != end ||
		!read_value(value, (size_t)(end - value), &binding))
		return false;
	take_next(sink, &binding);
	*at = end;
	*left -= (size_t)(end - start);
	return true;
}

static bool read_bindings(
	struct message *message, const struct cs_snmp_packet *asked, struct sink *sink)
{
	struct binding binding;
	u_char type, *at = asn_parse_sequence(message->at, &message->left, &type,
			     ASN_SEQUENCE | ASN_CONSTRUCTOR, "bindings");

	if (!at)
		return false;
	while (message->left > 0) {
		if (read_expected(&at, &message->left, asked, sink))
			continue;
		if (!read_binding(&at, &message->left, &binding) ||
			!take_binding(sink, &binding))
			return false;
	}
	return is_complete(sink);
}

static enum cs_snmp_outcome check_community(
	struct message *message, const struct cs_snmp_credential *credential)
{
	const char *expected = cs_secret_expose(credential->community);
	u_char community[COMMUNITY_MAX + 1];
	size_t len;

	if (message->version != library_version(credential->version))
		return CS_SNMP_OTHER_VERSION;
	message->at = open_community(message, community, &len);
	if (!message->at)
		return CS_SNMP_MALFORMED;
	if (len != strlen(expected) || memcmp(community, expected, len) != 0)
		return CS_SNMP_OTHER_COMMUNITY;
	return CS_SNMP_ANSWERED;
}

enum cs_snmp_outcome cs_snmp_reply_read(const uint8_t *bytes, size_t len,
	const struct cs_snmp_credential *credential, const struct cs_snmp_query *query,
	uint32_t wanted, const struct cs_snmp_packet *asked, struct cs_snmp_reply *ret)
{
	struct sink sink = {query, wanted, 0, ret};
	struct message message;
	long id, status, index;
	u_char type;

	*ret = (struct cs_snmp_reply){0};
	if (!open_message(bytes, len, &message))
		return CS_SNMP_MALFORMED;
	enum cs_snmp_outcome outcome = check_community(&message, credential);
	if (outcome != CS_SNMP_ANSWERED)
		return outcome;
	message.at = open_response(&message, &id);
	if (message.at)
		message.at = asn_parse_int(
			message.at, &message.left, &type, &status, sizeof status);
	if (message.at)
		message.at = asn_parse_int(
			message.at, &message.left, &type, &index, sizeof index);
	if (!message.at)
		return CS_SNMP_MALFORMED;
	ret->error_status = (int)status;
	ret->error_index = (int)index;
	if (status)
		return CS_SNMP_ERROR_STATUS;
	return read_bindings(&message, asked, &sink) ? CS_SNMP_ANSWERED
						     : CS_SNMP_MALFORMED;
}

enum cs_snmp_outcome cs_snmp_pdu_read(const void *of, const struct cs_snmp_query *query,
	uint32_t wanted, struct cs_snmp_reply *ret)
{
	const netsnmp_pdu *pdu = of;
	struct sink sink = {query, wanted, 0, ret};

	*ret = (struct cs_snmp_reply){
		.error_status = (int)pdu->errstat, .error_index = (int)pdu->errindex};
	if (ret->error_status)
		return CS_SNMP_ERROR_STATUS;
	for (const netsnmp_variable_list *v = pdu->variables; v; v = v->next_variable) {
		struct binding binding = {.name_len = v->name_length, .type = v->type};
		if (v->name_length > MAX_OID_LEN)
			return CS_SNMP_MALFORMED;
		memcpy(binding.name, v->name, v->name_length * sizeof *v->name);
		if (is_numeric(v->type) && v->val.integer)
			binding.is_number =
				take_number(v->type, *v->val.integer, &binding.number);
		if (!take_binding(&sink, &binding))
			return CS_SNMP_MALFORMED;
	}
	return is_complete(&sink) ? CS_SNMP_ANSWERED : CS_SNMP_MALFORMED;
}

const char *cs_snmp_status_text(int error_status)
{
	return snmp_errstring(error_status);
}
