/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one place that writes performance data:
 * 'label'=value[UOM][;[warn];[crit];[min];[max]], items separated by one blank.
 * Source: Monitoring Plugins development guidelines, "Performance data"; what Icinga
 * misreads (quotes, "=", "::" and commas in labels, ranges as thresholds) is not written.
 * Numbers never have an exponent and never follow the locale. */
#ifndef CS_FORMAT_PERFDATA_H
#define CS_FORMAT_PERFDATA_H

#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/strbuf.h"

/* RRD keeps no more of a name; labels have to differ within it. */
#define CS_PERFDATA_LABEL_MAX 19

/* "load=83.2%;70;90;0;100". `warn` and `crit` are plain numbers or "". */
void cs_perfdata_add_load(struct cs_strbuf *out, const char *label, int64_t permille,
	const char *warn, const char *crit) CS_NONNULL_ALL;

/* "servers=4" */
void cs_perfdata_add_count(
	struct cs_strbuf *out, const char *label, int64_t count) CS_NONNULL_ALL;

/* "open_age=42s", or "open_age=42s;;900" with a limit (0: none); whole seconds. */
void cs_perfdata_add_seconds(struct cs_strbuf *out, const char *label, int64_t ms,
	int64_t crit_ms) CS_NONNULL_ALL;

/* A load in percent with one decimal, "83.2"; the text that is compared and printed. */
#define CS_LOAD_TEXT_SIZE 24
const char *cs_load_text(int64_t permille, char ret[CS_LOAD_TEXT_SIZE]) CS_NONNULL_ALL;

#endif
