/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>

#include "format/haproxy_needs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CS_CLEANUP(cs_haproxy_needs_done) struct cs_haproxy_needs needs;
	CS_AUTO_FREE char *text = cs_strndup((const char *)data, size);
	struct sockaddr_storage address;

	cs_haproxy_needs_read(text, &needs);
	for (size_t i = 0; i < needs.addresses.n; i++) {
		if (cs_haproxy_address(needs.addresses.items[i], &address) == 0)
			abort();
	}
	if (needs.maxconn < 0 || needs.ulimit_n < 0)
		abort();
	return 0;
}
