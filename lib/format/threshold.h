/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The threshold ranges of -w and -c: [@][start:]end or [@]start:, with start <= end, "~"
 * as a start for minus infinity, an empty end for plus infinity, the end points inside.
 * A value alerts outside the range, with "@" inside it.
 * Source: Monitoring Plugins development guidelines, "Threshold and Ranges". */
#ifndef CS_FORMAT_THRESHOLD_H
#define CS_FORMAT_THRESHOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"

#define CS_THRESHOLD_TEXT_SIZE 64

struct cs_threshold {
	int64_t start_milli, end_milli;	   /* thousandths of the unit; INT64_MIN and _MAX:
					      infinite */
	bool inside;			   /* "@": alerts inside */
	char text[CS_THRESHOLD_TEXT_SIZE]; /* as typed, "" when none was given */
};

/* CS_E_USAGE says what is wrong. Stricter than the reference: "", ":", "@", "10%",
 * "nan", "1,5", blanks and alike are refused, which it takes for zero. */
int cs_threshold_parse(const char *text, struct cs_threshold *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* A range whose text is empty never alerts. */
bool cs_threshold_alerts(
	const struct cs_threshold *range, int64_t value_milli) CS_NONNULL_ALL;

/* The range as the plain number that perfdata may carry ("70" for "70", "0:70", "~:70"),
 * "" for every other: Icinga drops a range there, and the fields behind it. */
const char *cs_threshold_plain(const struct cs_threshold *range) CS_NONNULL_ALL;

#endif
