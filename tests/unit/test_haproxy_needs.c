/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "format/haproxy_needs.h"

static void test_folders_addresses_and_numbers_are_found(void **state)
{
	CS_CLEANUP(cs_haproxy_needs_done) struct cs_haproxy_needs needs;

	(void)state;
	cs_haproxy_needs_read("global # all of it\n"
			      "\tchroot \"/var/lib/my haproxy\"\n"
			      "    stats socket /run/admin.sock mode 600\n"
			      "    stats socket ipv4@127.0.0.1:9999 level admin\n"
			      "    maxconn 4000\n"
			      "    ulimit-n 9000\n"
			      "    no strict-limits\n"
			      "frontend www\n"
			      "    maxconn 1\n"
			      "    bind :80,10.0.0.1:8080,[::1]:81 # :82\n"
			      "    bind unix@/run/www.sock mode 600\n"
			      "backend web\n"
			      "    server a 10.0.0.9:80\n"
			      "    server b 10.0.0.8:80",
		&needs);
	assert_string_equal(needs.chroot, "/var/lib/my haproxy");
	assert_int_equal(needs.sockets.n, 2);
	assert_string_equal(needs.sockets.items[0], "/run/admin.sock");
	assert_string_equal(needs.sockets.items[1], "/run/www.sock");
	assert_int_equal(needs.addresses.n, 4);
	assert_string_equal(needs.addresses.items[0], "127.0.0.1:9999");
	assert_string_equal(needs.addresses.items[1], ":80");
	assert_string_equal(needs.addresses.items[2], "10.0.0.1:8080");
	assert_string_equal(needs.addresses.items[3], "[::1]:81");
	assert_int_equal(needs.maxconn, 4000);
	assert_int_equal(needs.ulimit_n, 9000);
	assert_true(needs.lenient_limits);
	assert_int_equal(needs.servers, 2);
}

static void assert_ways(const char *text, size_t binds, size_t routes)
{
	CS_CLEANUP(cs_haproxy_needs_done) struct cs_haproxy_needs needs;

	cs_haproxy_needs_read(text, &needs);
	assert_int_equal(needs.binds, binds);
	assert_int_equal(needs.routes, routes);
}

static void test_ways_of_a_request(void **state)
{
	(void)state;
	assert_ways("frontend a\n bind :80\n bind :81\n default_backend b\n"
		    " use_backend c if x\nbackend b\n server s 10.0.0.1:80\n",
		2, 2);
	assert_ways("listen a\n bind :80\n server s 10.0.0.1:80\n", 1, 1);
	assert_ways(".if x\nfrontend a\n bind :80\n.endif\nfrontend b\n"
		    ".if y\n default_backend b\n.endif\n",
		1, 1);
	assert_ways("global\n stats socket /a\npeers p\n bind :10\nlog-forward l\n"
		    " bind :514\nbackend b\n # bind :80\n",
		0, 0);
}

static void test_what_cannot_be_judged_is_left_out(void **state)
{
	CS_CLEANUP(cs_haproxy_needs_done) struct cs_haproxy_needs needs;

	(void)state;
	cs_haproxy_needs_read("global\n"
			      "  unix-bind prefix /srv\n"
			      "  chroot \"$HOME/x\"\n"
			      "  stats socket \"${DIR}/a.sock\"\n"
			      "  stats socket sockpair@4\n"
			      ".if defined(X)\n"
			      "  chroot /x\n"
			      "  .if defined(Y)\n"
			      "  .endif\n"
			      "  maxconn 7\n"
			      ".endif\n"
			      "frontend www\n"
			      "  chroot /y\n"
			      "  bind /www.sock\n"
			      "  bind 10.0.0.1:80-70\n"
			      "  bind 10.0.0.1:-70\n"
			      "  bind host:80-90\n"
			      "  bind www.example:80\n"
			      "  bind fd@3\n"
			      "  bind quic4@10.0.0.1:443\n"
			      "  bind 10.0.0.1:80 transparent\n"
			      "  bind 10.0.0.1:80 interface eth0\n"
			      "  # bind 10.0.0.1:80\n",
		&needs);
	assert_null(needs.chroot);
	assert_int_equal(needs.sockets.n, 0);
	assert_int_equal(needs.addresses.n, 0);
	assert_int_equal(needs.maxconn, 0);
	assert_false(needs.lenient_limits);
}

static void test_a_range_is_one_address_per_port(void **state)
{
	CS_CLEANUP(cs_haproxy_needs_done) struct cs_haproxy_needs needs;

	(void)state;
	cs_haproxy_needs_read("listen x\n bind [::1]:80-82,:1-65535\n", &needs);
	assert_int_equal(needs.addresses.n, 1003);
	assert_string_equal(needs.addresses.items[0], "[::1]:80");
	assert_string_equal(needs.addresses.items[2], "[::1]:82");
	assert_string_equal(needs.addresses.items[1002], ":1000");
}

static void assert_address(const char *text, int family, const char *host, int port)
{
	struct sockaddr_storage address;
	char found[INET6_ADDRSTRLEN];

	assert_true(cs_haproxy_address(text, &address) > 0);
	assert_int_equal(address.ss_family, family);
	const struct sockaddr_in *v4 = (void *)&address;
	const struct sockaddr_in6 *v6 = (void *)&address;
	bool is_v4 = family == AF_INET;
	assert_string_equal(
		inet_ntop(family, is_v4 ? (const void *)&v4->sin_addr : &v6->sin6_addr,
			found, sizeof found),
		host);
	assert_int_equal(ntohs(is_v4 ? v4->sin_port : v6->sin6_port), port);
}

static void test_addresses(void **state)
{
	static const char *const others[] = {"", "80", "host:80", "10.0.0.1",
		"10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:80-81", "[]:80",
		"[::1:80", "[:80", "]:80"};
	struct sockaddr_storage address;

	(void)state;
	assert_address(":80", AF_INET, "0.0.0.0", 80);
	assert_address("*:8080", AF_INET, "0.0.0.0", 8080);
	assert_address("10.0.0.1:65535", AF_INET, "10.0.0.1", 65535);
	assert_address(":::80", AF_INET6, "::", 80);
	assert_address("[2001:db8::1]:443", AF_INET6, "2001:db8::1", 443);
	for (size_t i = 0; i < CS_ARRAY_SIZE(others); i++)
		assert_int_equal(cs_haproxy_address(others[i], &address), 0);
}

static void test_quotes_escapes_and_endless_words(void **state)
{
	CS_CLEANUP(cs_haproxy_needs_done) struct cs_haproxy_needs needs;
	CS_CLEANUP(cs_haproxy_needs_done) struct cs_haproxy_needs cut = {0};
	char text[5000];

	(void)state;
	cs_haproxy_needs_read(
		"global\n chroot '/a b'/c\\ d\\#\"e\\\"\"\nlisten x\nbind \":80", &needs);
	assert_string_equal(needs.chroot, "/a b/c d#e\"");
	assert_string_equal(needs.addresses.items[0], ":80");
	memset(text, 'x', sizeof text);
	memcpy(text, "global\nchroot ", 14);
	text[sizeof text - 1] = '\0';
	cs_haproxy_needs_read(text, &cut);
	assert_true(strlen(cut.chroot) < 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_folders_addresses_and_numbers_are_found),
		cmocka_unit_test(test_ways_of_a_request),
		cmocka_unit_test(test_what_cannot_be_judged_is_left_out),
		cmocka_unit_test(test_a_range_is_one_address_per_port),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_quotes_escapes_and_endless_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
