/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/lb_status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read is written and read as the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cs_lb_status status, again;
	struct cs_error err;

	if (cs_lb_status_parse(size ? (const char *)data : "", size, &status, &err) < 0)
		return 0;
	CS_AUTO_FREE char *text = cs_lb_status_text(&status, "lb1");
	if (cs_lb_status_parse(text, strlen(text), &again, &err) < 0 ||
		again.n != status.n)
		abort();
	CS_AUTO_FREE char *twice = cs_lb_status_text(&again, "lb1");
	if (strcmp(text, twice) != 0)
		abort();
	cs_lb_status_done(&status);
	cs_lb_status_done(&again);
	return 0;
}
