/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

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

static struct cs_snmp_credential community, nobody;

static void prepare(void)
{
	struct cs_snmp_packet packet;
	struct cs_error err;

	community.community = cs_secret_new("public");
	nobody = (struct cs_snmp_credential){.version = CS_SNMP_V3, .user = "fuzz"};
	/* Making a request is also what silences the library. */
	if (cs_snmp_packet_make(&community, &get, 3, &packet, &err) < 0 ||
		cs_snmp_usm_open(&err) < 0)
		abort();
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
	struct cs_snmp_reply reply;

	if (!community.community)
		prepare();
	if (!cs_snmp_head_read(data, size, &head))
		return 0;
	if (head.version == CS_SNMP_V3) {
		take_v3(data, size, false);
		take_v3(data, size, true);
		return 0;
	}
	community.version = head.version;
	if (cs_snmp_reply_read(data, size, &community, &get, 3, &reply) ==
			CS_SNMP_ANSWERED &&
		(reply.present >> 2 || reply.error_status))
		abort();
	(void)cs_snmp_reply_read(data, size, &community, &rows, 1, &reply);
	if (reply.rows.n > CS_SNMP_OBJECTS_MAX || reply.present >> reply.rows.n)
		abort();
	return 0;
}
