/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>

#include "client/snmp.h"
#include "client/snmp_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A datagram from anyone. Without the objects that were asked for there are no values to
 * believe. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cs_snmp_object objects[] = {
		{10, {1, 3, 6, 1, 4, 1, 2021, 11, 50, 0}},
		{10, {1, 3, 6, 1, 2, 1, 25, 1, 1, 0}},
	};
	static const struct cs_snmp_object column = {
		11, {1, 3, 6, 1, 2, 1, 25, 3, 3, 1, 2}};
	static struct cs_secret *secret;
	const struct cs_snmp_query get = {objects, 2, 0}, rows = {&column, 1, 11};
	struct cs_snmp_packet packet;
	struct cs_snmp_reply reply;
	struct cs_error err;

	/* Making a request is also what silences the library. */
	if (!secret) {
		secret = cs_secret_new("public");
		struct cs_snmp_credential credential = {secret};
		struct cs_snmp_query query = {.objects = objects, .n_objects = 2};
		if (cs_snmp_packet_make(&credential, &query, &packet, &err) < 0)
			abort();
	}
	if (cs_snmp_decode(data, size, &get, &reply, &err) < 0)
		return 0;
	if (reply.present >> 2 || (reply.error_status && reply.matches))
		abort();
	if (cs_snmp_decode(data, size, &rows, &reply, &err) < 0 ||
		reply.rows.n > CS_SNMP_OBJECTS_MAX || reply.present >> reply.rows.n)
		abort();
	return 0;
}
