/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <string.h>
#include <stdlib.h>

#include "domain/history.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cs_measurement m = {0};

	if (cs_history_parse_line((const char *)data, size, &m) &&
		strlen(m.at.boot_id) >= CS_BOOT_ID_SIZE)
		abort();
	return 0;
}
