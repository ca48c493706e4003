/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>

#include "base/parse.h"
#include "client/floating.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cs_floating_list list = {0};
	char *next = NULL;
	struct cs_error err;

	if (cs_floating_parse_page((const char *)data, size, "web", &list, &next, &err) ==
		0) {
		for (size_t i = 0; i < list.n; i++) {
			if (!cs_uuid_ok(list.items[i].id) ||
				!cs_uuid_ok(list.items[i].server_id))
				abort();
		}
	}
	free(next);
	next = NULL;
	if (cs_floating_parse_ports((const char *)data, size, "10.0.0.1", &next, &err) ==
			0 &&
		!next)
		abort();
	free(next);
	cs_floating_list_done(&list);
	return 0;
}
