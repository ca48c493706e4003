/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The codec and the addresses; the exchange itself is tested against agents. */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "client/snmp.h"
#include "client/snmp_codec.h"
#include "client/snmp_keys.h"

static const struct cs_snmp_object objects[] = {
	{10, {1, 3, 6, 1, 4, 1, 2021, 11, 50, 0}},
	{10, {1, 3, 6, 1, 2, 1, 25, 1, 1, 0}},
};

/* GetResponse-PDU of both objects, id 0x4badf00d: Counter32 4294967295, noSuchInstance.
 */
static const uint8_t reply_bytes[] = {0x30, 0x3f, 0x02, 0x01, 0x01, 0x04, 0x06, 'p', 'u',
	'b', 'l', 'i', 'c', 0xa2, 0x32, 0x02, 0x04, 0x4b, 0xad, 0xf0, 0x0d, 0x02, 0x01,
	0x00, 0x02, 0x01, 0x00, 0x30, 0x24, 0x30, 0x13, 0x06, 0x0a, 0x2b, 0x06, 0x01,
	0x04, 0x01, 0x8f, 0x65, 0x0b, 0x32, 0x00, 0x41, 0x05, 0x00, 0xff, 0xff, 0xff,
	0xff, 0x30, 0x0d, 0x06, 0x09, 0x2b, 0x06, 0x01, 0x02, 0x01, 0x19, 0x01, 0x01,
	0x00, 0x81, 0x00};

static enum cs_snmp_outcome decode_as(const struct cs_snmp_query *query,
	const uint8_t *bytes, size_t len, struct cs_snmp_reply *reply)
{
	CS_CLEANUP(cs_secret_freep) struct cs_secret *secret = cs_secret_new("public");
	const struct cs_snmp_credential credential = {.community = secret};
	struct cs_snmp_packet asked, nameless;
	struct cs_snmp_reply same;
	struct cs_snmp_head head;
	struct cs_error err;

	/* An exact copy, so that a sanitizer sees a read past its end. */
	CS_AUTO_FREE uint8_t *copy = cs_calloc(1, len);
	memcpy(copy, bytes, len);
	if (!cs_snmp_head_read(copy, len, &head))
		return CS_SNMP_MALFORMED;
	assert_int_equal(head.id, 0x4badf00d);
	assert_int_equal(cs_snmp_packet_make(&credential, query, 3, &asked, &err), 0);
	enum cs_snmp_outcome outcome =
		cs_snmp_reply_read(copy, len, &credential, query, 3, &asked, reply);
	/* However it was read. */
	nameless = asked;
	memset(nameless.names, 0, sizeof nameless.names);
	assert_int_equal(
		cs_snmp_reply_read(copy, len, &credential, query, 3, &nameless, &same),
		outcome);
	assert_memory_equal(&same, reply, sizeof same);
	return outcome;
}

static enum cs_snmp_outcome decode(
	const uint8_t *bytes, size_t len, struct cs_snmp_reply *reply)
{
	const struct cs_snmp_query query = {
		.objects = objects, .n_objects = CS_ARRAY_SIZE(objects)};

	return decode_as(&query, bytes, len, reply);
}

static void test_a_reply_gives_its_values(void **state)
{
	struct cs_snmp_reply reply;

	(void)state;
	assert_int_equal(
		decode(reply_bytes, sizeof reply_bytes, &reply), CS_SNMP_ANSWERED);
	assert_int_equal(reply.error_status, 0);
	assert_int_equal(reply.present, 1);
	assert_int_equal(reply.values[0], UINT32_MAX);
}

static void test_every_truncation_is_refused(void **state)
{
	struct cs_snmp_reply reply;

	(void)state;
	for (size_t len = 1; len < sizeof reply_bytes; len++)
		assert_int_equal(decode(reply_bytes, len, &reply), CS_SNMP_MALFORMED);
}

static void test_other_objects_do_not_match(void **state)
{
	uint8_t bytes[sizeof reply_bytes];
	struct cs_snmp_reply reply;

	(void)state;
	memcpy(bytes, reply_bytes, sizeof bytes);
	bytes[41] = 51;
	assert_int_equal(decode(bytes, sizeof bytes, &reply), CS_SNMP_MALFORMED);
}

static void test_only_responses_of_v2c_are_taken(void **state)
{
	uint8_t bytes[sizeof reply_bytes];
	struct cs_snmp_reply reply;

	(void)state;
	memcpy(bytes, reply_bytes, sizeof bytes);
	bytes[13] = 0xa0; /* GetRequest */
	assert_int_equal(decode(bytes, sizeof bytes, &reply), CS_SNMP_MALFORMED);
	memcpy(bytes, reply_bytes, sizeof bytes);
	bytes[4] = 0; /* v1 */
	assert_int_equal(decode(bytes, sizeof bytes, &reply), CS_SNMP_OTHER_VERSION);
	for (uint8_t version = 2; version < 5; version++) {
		bytes[4] = version;
		assert_int_equal(decode(bytes, sizeof bytes, &reply), CS_SNMP_MALFORMED);
	}
}

static void test_the_community_of_a_reply_must_be_ours(void **state)
{
	uint8_t bytes[sizeof reply_bytes];
	struct cs_snmp_reply reply;

	(void)state;
	memcpy(bytes, reply_bytes, sizeof bytes);
	bytes[7] = 'P';
	assert_int_equal(decode(bytes, sizeof bytes, &reply), CS_SNMP_OTHER_COMMUNITY);
}

/* hrProcessorLoad, and a reply of two rows behind it with the indexes and types given. */
static const struct cs_snmp_object column = {11, {1, 3, 6, 1, 2, 1, 25, 3, 3, 1, 2}};
static const struct cs_snmp_object behind_four = {
	12, {1, 3, 6, 1, 2, 1, 25, 3, 3, 1, 2, 4}};

struct row {
	uint8_t last_but_one, index, type, value;
};

static enum cs_snmp_outcome decode_rows(const struct cs_snmp_object *from, struct row one,
	struct row two, struct cs_snmp_reply *reply)
{
	const struct cs_snmp_query query = {
		.objects = from, .n_objects = 1, .column_arcs = 11};
	const uint8_t bytes[] = {0x30, 0x3f, 0x02, 0x01, 0x01, 0x04, 0x06, 'p', 'u', 'b',
		'l', 'i', 'c', 0xa2, 0x32, 0x02, 0x04, 0x4b, 0xad, 0xf0, 0x0d, 0x02, 0x01,
		0x00, 0x02, 0x01, 0x00, 0x30, 0x24, 0x30, 0x10, 0x06, 0x0b, 0x2b, 0x06,
		0x01, 0x02, 0x01, 0x19, 0x03, 0x03, 0x01, one.last_but_one, one.index,
		one.type, 0x01, one.value, 0x30, 0x10, 0x06, 0x0b, 0x2b, 0x06, 0x01, 0x02,
		0x01, 0x19, 0x03, 0x03, 0x01, two.last_but_one, two.index, two.type, 0x01,
		two.value};

	return decode_as(&query, bytes, sizeof bytes, reply);
}

#define INTEGER 0x02
#define STRING 0x04
static void test_rows_are_taken_up_to_the_end_of_the_column(void **state)
{
	struct row first = {2, 5, INTEGER, 40}, second = {2, 9, INTEGER, 60};
	struct row other = {3, 5, INTEGER, 7}, text = {2, 9, STRING, 'x'};
	struct cs_snmp_reply reply;

	(void)state;
	assert_int_equal(decode_rows(&column, first, second, &reply), CS_SNMP_ANSWERED);
	assert_false(reply.rows.ended);
	assert_int_equal(reply.rows.n, 2);
	assert_int_equal(reply.rows.last, 9);
	assert_int_equal(reply.present, 3);
	assert_int_equal(reply.values[0] + reply.values[1], 100);

	assert_int_equal(
		decode_rows(&behind_four, first, other, &reply), CS_SNMP_ANSWERED);
	assert_true(reply.rows.ended);
	assert_int_equal(reply.rows.n, 1);
	assert_int_equal(decode_rows(&column, other, first, &reply), CS_SNMP_ANSWERED);
	assert_true(reply.rows.ended);
	assert_int_equal(reply.rows.n, 0);
	assert_int_equal(decode_rows(&column, first, text, &reply), CS_SNMP_ANSWERED);
	assert_int_equal(reply.present, 1);
}

/* An agent that gives a row again would be asked for ever. */
static void test_rows_that_do_not_ascend_do_not_match(void **state)
{
	struct row five = {2, 5, INTEGER, 40}, four = {2, 4, INTEGER, 60};
	struct cs_snmp_reply reply;

	(void)state;
	assert_int_equal(decode_rows(&column, five, five, &reply), CS_SNMP_MALFORMED);
	assert_int_equal(decode_rows(&column, five, four, &reply), CS_SNMP_MALFORMED);
	assert_int_equal(
		decode_rows(&behind_four, four, five, &reply), CS_SNMP_MALFORMED);
}

static void test_the_id_of_a_request_can_be_overwritten(void **state)
{
	/* A community that looks like the id must not be taken for it. */
	static const char *const communities[] = {"public", "@", "\x02\x04@@@@@", ""};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(communities); i++) {
		CS_CLEANUP(cs_secret_freep)
		struct cs_secret *secret = cs_secret_new(communities[i]);
		struct cs_snmp_credential credential = {.community = secret};
		struct cs_snmp_query query = {
			.objects = objects, .n_objects = CS_ARRAY_SIZE(objects)};
		struct cs_snmp_packet packet;
		struct cs_error err;
		static const uint8_t any_id[] = {0x02, 0x04, 0x40, 0, 0, 0};

		assert_int_equal(
			cs_snmp_packet_make(&credential, &query, 3, &packet, &err), 0);
		assert_memory_equal(
			packet.bytes + packet.id_offset - 2, any_id, sizeof any_id);
		/* version (3 bytes in 2 of header), community, PDU header */
		assert_int_equal(
			packet.id_offset, 2 + 3 + 2 + strlen(communities[i]) + 2 + 2);
	}
}

static void test_a_community_has_a_limit(void **state)
{
	char text[300];
	struct cs_snmp_packet packet;
	struct cs_error err;

	(void)state;
	memset(text, 'c', sizeof text);
	for (size_t len = 255; len <= 256; len++) {
		text[len] = '\0';
		CS_CLEANUP(cs_secret_freep)
		struct cs_secret *secret = cs_secret_new(text);
		struct cs_snmp_credential credential = {.community = secret};
		struct cs_snmp_query query = {
			.objects = objects, .n_objects = CS_ARRAY_SIZE(objects)};
		assert_int_equal(
			cs_snmp_packet_make(&credential, &query, 3, &packet, &err),
			len == 255 ? 0 : CS_E_CONFIG);
		text[len] = 'c';
	}
	assert_string_equal(err.message,
		"the SNMP community has 256 bytes, at most 255 are possible");
}

static void test_hosts_are_read_in_every_form(void **state)
{
	static const struct {
		const char *text, *address;
		int port;
	} cases[] = {
		{"127.0.0.1", "127.0.0.1", 161},
		{"127.0.0.1:1161", "127.0.0.1", 1161},
		{"[127.0.0.1]:1161", "127.0.0.1", 1161},
		{"::1", "::1", 161},
		{"[::1]", "::1", 161},
		{"[::1]:1161", "::1", 1161},
		{"2001:db8::5", "2001:db8::5", 161},
	};

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) {
		union cs_snmp_address address;
		char text[INET6_ADDRSTRLEN];
		struct cs_error err;
		if (cs_snmp_resolve(cases[i].text, CS_SNMP_PORT, &address, &err) < 0)
			fail_msg("%s", err.message);
		bool v6 = address.family == AF_INET6;
		const struct sockaddr_in *v4_address = (void *)&address;
		const struct sockaddr_in6 *v6_address = (void *)&address;
		inet_ntop(address.family,
			v6 ? (const void *)&v6_address->sin6_addr
			   : (const void *)&v4_address->sin_addr,
			text, sizeof text);
		assert_string_equal(text, cases[i].address);
		assert_int_equal(ntohs(v6 ? v6_address->sin6_port : v4_address->sin_port),
			cases[i].port);
	}
}

static void test_other_forms_of_a_host_are_refused(void **state)
{
	static const char *const bad[] = {"", ":161", "host:", "host:0", "host:65536",
		"host:snmp", "[::1", "[]:161", "[::1]161", "[::1]:", "host:+1"};
	union cs_snmp_address address;
	struct cs_error err;

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(bad); i++) {
		if (cs_snmp_resolve(bad[i], CS_SNMP_PORT, &address, &err) != CS_E_USAGE)
			fail_msg("'%s' is taken", bad[i]);
	}
}

static void test_reasons_say_what_to_look_at(void **state)
{
	struct cs_snmp_target target = {.outcome = CS_SNMP_SILENT};
	char text[CS_SNMP_REASON_SIZE];

	(void)state;
	assert_string_equal(cs_snmp_reason(&target, text),
		"no answer (address, port, firewall or community?)");
	target = (struct cs_snmp_target){
		.outcome = CS_SNMP_UNREACHABLE, .detail = ECONNREFUSED};
	assert_string_equal(
		cs_snmp_reason(&target, text), "Connection refused (is snmpd running?)");
}

/* RFC 3414, A.3: "maplesyrup" and the engine 00 ... 02. */
static void test_keys_are_those_of_the_rfc(void **state)
{
	static const uint8_t engine[12] = {[11] = 2};
	static const struct {
		const char *protocol;
		size_t len;
		uint8_t key[20], localized[20];
	} cases[] = {{"MD5", 16,
			     {0x9f, 0xaf, 0x32, 0x83, 0x88, 0x4e, 0x92, 0x83, 0x4e, 0xbc,
				     0x98, 0x47, 0xd8, 0xed, 0xd9, 0x63},
			     {0x52, 0x6f, 0x5e, 0xed, 0x9f, 0xcc, 0xe2, 0x6f, 0x89, 0x64,
				     0xc2, 0x93, 0x07, 0x87, 0xd8, 0x2b}},
		{"SHA", 20,
			{0x9f, 0xb5, 0xcc, 0x03, 0x81, 0x49, 0x7b, 0x37, 0x93, 0x52, 0x89,
				0x39, 0xff, 0x78, 0x8d, 0x5d, 0x79, 0x14, 0x52, 0x11},
			{0x66, 0x95, 0xfe, 0xbc, 0x92, 0x88, 0xe3, 0x62, 0x82, 0x23, 0x5f,
				0xc7, 0x15, 0x1f, 0x12, 0x84, 0x97, 0xb3, 0x8f, 0x3f}}};
	struct cs_snmp_key key, localized;

	(void)state;
	for (size_t i = 0; i < CS_ARRAY_SIZE(cases); i++) {
		assert_true(cs_snmp_key_make(cases[i].protocol, "maplesyrup", &key));
		assert_int_equal(key.len, cases[i].len);
		assert_memory_equal(key.bytes, cases[i].key, key.len);
		assert_true(cs_snmp_key_localize(
			cases[i].protocol, &key, engine, sizeof engine, &localized));
		assert_int_equal(localized.len, cases[i].len);
		assert_memory_equal(localized.bytes, cases[i].localized, localized.len);
	}
	assert_false(cs_snmp_key_make("SHA-1024", "maplesyrup", &key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_reply_gives_its_values),
		cmocka_unit_test(test_every_truncation_is_refused),
		cmocka_unit_test(test_other_objects_do_not_match),
		cmocka_unit_test(test_only_responses_of_v2c_are_taken),
		cmocka_unit_test(test_the_community_of_a_reply_must_be_ours),
		cmocka_unit_test(test_rows_are_taken_up_to_the_end_of_the_column),
		cmocka_unit_test(test_rows_that_do_not_ascend_do_not_match),
		cmocka_unit_test(test_the_id_of_a_request_can_be_overwritten),
		cmocka_unit_test(test_a_community_has_a_limit),
		cmocka_unit_test(test_hosts_are_read_in_every_form),
		cmocka_unit_test(test_other_forms_of_a_host_are_refused),
		cmocka_unit_test(test_keys_are_those_of_the_rfc),
		cmocka_unit_test(test_reasons_say_what_to_look_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
