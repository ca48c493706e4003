/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>

#include "base/parse.h"
#include "format/sync_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No server may be served and drained at once: one of them would be deleted. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cs_sync_report report;
	struct cs_error err;
	const char *text = size ? (const char *)data : "";

	if (cs_sync_report_parse(text, size, &report, &err) < 0)
		return 0;
	for (size_t i = 0; i < report.drained.n; i++) {
		const char *id = report.drained.items[i];

		if (!cs_uuid_ok(id) || cs_sync_report_serves(&report, id) ||
			cs_sync_report_drained(&report, id, INT64_MAX))
			abort();
		for (size_t k = 0; k < report.n_draining; k++) {
			if (__builtin_strcmp(report.draining[k].id, id) == 0)
				abort();
		}
	}
	cs_sync_report_done(&report);
	return 0;
}
