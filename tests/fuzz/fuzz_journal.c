/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>

#include "base/parse.h"
#include "domain/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was accepted names servers by ids that can go into a URL, and counts no less than
 * nothing. */
static void check(const struct cs_journal *journal)
{
	for (size_t i = 0; i < journal->n_open; i++) {
		const struct cs_journal_op *op = &journal->open[i];

		if (!cs_uuid_ok(op->op) ||
			(op->server_id && !cs_uuid_ok(op->server_id)) ||
			(op->action == CS_ACTION_DELETE && !op->server_id))
			abort();
	}
	for (size_t i = 0; i < journal->published.n; i++) {
		if (!cs_journal_is_known(journal, journal->published.items[i]))
			abort();
	}
	for (size_t i = 0; i < journal->known.n; i++) {
		if (!cs_uuid_ok(journal->known.items[i]))
			abort();
	}
	if (journal->creates_last_hour < 0 || journal->used_intents < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cs_stamp now = {.wall_ms = 1700000000000};
	struct cs_journal journal = {0};
	struct cs_error err;
	const char *text = size ? (const char *)data : "";

	if (cs_journal_fold(text, size, "input", &now, &journal, &err) == 0)
		check(&journal);
	cs_journal_done(&journal);
	return 0;
}
