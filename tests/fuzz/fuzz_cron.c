/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "format/cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was accepted has no value that no clock shows, and at least one in every field. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CS_AUTO_FREE char *text = cs_strndup((const char *)data, size);
	struct cs_cron cron;

	if (!cs_cron_parse(text, &cron))
		return 0;
	if (cron.minutes >> 60 || cron.hours >> 24 || cron.days >> 32 || cron.days & 1 ||
		cron.months >> 13 || cron.months & 1 || cron.weekdays >> 8 ||
		!cron.minutes || !cron.hours || !cron.days || !cron.months ||
		!cron.weekdays)
		abort();
	(void)!cs_cron_matches(&cron, 1700000000000, "UTC");
	return 0;
}
