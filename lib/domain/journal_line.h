/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One line of the journal, sealed: its last member "chain" is a digest of the chain value
 * before it and of the line without that member. So a line that was changed, taken out
 * or put in does not fit, nor does any behind it. Each file begins with a line "begin",
 * whose `prev` is the chain value that journal.1 ends with. A journal of a version that
 * did not seal is taken as it is up to the first sealed line. For journal*.c alone. */
#ifndef CS_DOMAIN_JOURNAL_LINE_H
#define CS_DOMAIN_JOURNAL_LINE_H

#include "base/digest.h"
#include "domain/journal.h"

/* `text` with its seal, which `chain` becomes; owned by the caller. */
char *cs_journal_seal(const char *text, char chain[CS_DIGEST_SIZE]) CS_NONNULL_ALL;

/* The chain value that the last sealed line of a text bears; "" when none is. */
void cs_journal_last_chain(
	const char *text, size_t len, char ret[CS_DIGEST_SIZE]) CS_NONNULL_ALL;

/* Takes what is open out of what counts, as if it had not been asked for. */
void cs_journal_uncount_open(
	struct cs_journal *journal, const struct cs_stamp *now) CS_NONNULL_ALL;

/* Visits every line, in order, also those with a problem; goes on from `chain`, which is
 * left at the end. Lines that broke off are none. */
int cs_journal_walk(const char *text, size_t len, const char *name,
	char chain[CS_DIGEST_SIZE], cs_journal_visit *visit, void *context,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL(1, 3, 4, 5, 7);

#endif
