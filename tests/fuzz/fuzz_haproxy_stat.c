/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/haproxy_stat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void stat_reply(const char *text, size_t len)
{
	CS_CLEANUP(cs_haproxy_servers_done) struct cs_haproxy_servers servers = {0};
	struct cs_error err;

	if (cs_haproxy_parse_stat(text, len, &servers, &err) < 0)
		return;
	for (size_t i = 0; i < servers.n; i++) {
		if (servers.items[i].sessions < 0 || !servers.items[i].status[0])
			abort();
	}
}

static void check_words(char *take_found)
{
	CS_AUTO_FREE char *found = take_found;

	if (found && strpbrk(found, "\r\n"))
		abort();
}

/* The first byte chooses whose reply it is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CS_CLEANUP(cs_haproxy_procs_done) struct cs_haproxy_procs procs = {0};
	const char *text = (const char *)data + 1;
	struct cs_error err;
	struct cs_haproxy_info info;

	if (size == 0)
		return 0;
	if (data[0] == 's')
		stat_reply(text, size - 1);
	else if (data[0] == 'r')
		check_words(cs_haproxy_reload_failure(text, size - 1));
	else if (data[0] == 'a')
		check_words(cs_haproxy_add_failure(text, size - 1));
	else if (data[0] == 'p' &&
		 cs_haproxy_parse_proc(text, size - 1, &procs, &err) == 0 &&
		 (procs.current < 0 || procs.failed < 0))
		abort();
	else if (data[0] == 'i' &&
		 cs_haproxy_parse_info(text, size - 1, &info, &err) == 0 &&
		 (info.pid < 1 || info.version < 0))
		abort();
	return 0;
}
