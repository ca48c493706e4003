/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>

#include "client/nova.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cs_server_list list = {0};
	char *next = NULL;
	struct cs_error err;

	if (cs_nova_parse_page((const char *)data, size, &list, &next, &err) == 0) {
		for (size_t i = 0; i < list.n; i++) {
			if (!*list.servers[i].id || !list.servers[i].status)
				abort();
		}
	}
	free(next);
	cs_server_list_done(&list);
	return 0;
}
