/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Threshold ranges; see threshold.h. */
#include <config.h>
#include "format/threshold.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"

#define MILLI 1000
#define LIMIT_MILLI (INT64_C(1000000000) * MILLI)

static bool parse_number(const char *text, int64_t *ret)
{
	return cs_parse_scaled(text, MILLI, -LIMIT_MILLI, LIMIT_MILLI, ret);
}

/* `text` without its "@", both parts of it. */
static bool parse_ends(const char *text, struct cs_threshold *range)
{
	const char *colon = strchr(text, ':');
	char start[CS_THRESHOLD_TEXT_SIZE];

	if (!colon)
		return parse_number(text, &range->end_milli);
	snprintf(start, sizeof start, "%.*s", (int)(colon - text), text);
	if (strcmp(start, "~") == 0)
		range->start_milli = INT64_MIN;
	else if (start[0] && !parse_number(start, &range->start_milli))
		return false;
	if (colon[1])
		return parse_number(colon + 1, &range->end_milli);
	return start[0] != '\0';
}

int cs_threshold_parse(const char *text, struct cs_threshold *ret, struct cs_error *err)
{
	struct cs_threshold range = {.end_milli = INT64_MAX, .inside = text[0] == '@'};

	if (strlen(text) >= sizeof range.text || !parse_ends(text + range.inside, &range))
		return cs_error_set(err, CS_E_USAGE,
			"'%s' is not a range: [@][start:]end or [@]start:, for example "
			"70, ~:70, 30: or @10:20",
			text);
	if (range.start_milli > range.end_milli)
		return cs_error_set(err, CS_E_USAGE,
			"'%s' is not a range: its start is above its end", text);
	snprintf(range.text, sizeof range.text, "%s", text);
	*ret = range;
	return 0;
}

bool cs_threshold_alerts(const struct cs_threshold *range, int64_t value_milli)
{
	if (!range->text[0])
		return false;
	bool within =
		value_milli >= range->start_milli && value_milli <= range->end_milli;
	return within == range->inside;
}

const char *cs_threshold_plain(const struct cs_threshold *range)
{
	bool from_zero = range->start_milli == 0 || range->start_milli == INT64_MIN;
	const char *colon = strchr(range->text, ':');

	if (range->inside || !from_zero || range->end_milli < 0 ||
		range->end_milli == INT64_MAX)
		return "";
	return colon ? colon + 1 : range->text;
}
