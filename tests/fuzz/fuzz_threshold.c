/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "format/threshold.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* "@" turns every answer of a range around. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CS_AUTO_FREE char *text = cs_strndup((const char *)data, size);
	CS_AUTO_FREE char *inverse = cs_asprintf("@%s", text);
	struct cs_threshold range, inverted;
	struct cs_error err;

	if (cs_threshold_parse(text, &range, &err) < 0 || range.inside ||
		cs_threshold_parse(inverse, &inverted, &err) < 0)
		return 0;
	for (int64_t value = -2; value < 3; value++) {
		if (cs_threshold_alerts(&range, value * 1000) ==
			cs_threshold_alerts(&inverted, value * 1000))
			abort();
	}
	return 0;
}
