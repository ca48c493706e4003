/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "format/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was accepted runs forward in time and has counts that can be summed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CS_AUTO_FREE char *text = cs_calloc(size + 1, 1);
	CS_CLEANUP(cs_trace_done) struct cs_trace trace = {0};
	struct cs_error err;
	int64_t minute;

	if (size > 0)
		__builtin_memcpy(text, data, size);
	(void)!cs_trace_minute(text, &minute);
	if (cs_trace_parse(text, size, "trace", &trace, &err) < 0)
		return 0;
	for (size_t i = 0; i < trace.n; i++) {
		if (!(trace.points[i].count >= 0 && trace.points[i].count <= 1e15) ||
			(i > 0 && trace.points[i].minute <= trace.points[i - 1].minute))
			abort();
	}
	return 0;
}
