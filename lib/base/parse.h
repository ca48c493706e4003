/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Strict parsing of what people type: the whole text or nothing. No blanks, no signs
 * beyond '-', no locale, no overflow. */
#ifndef CS_BASE_PARSE_H
#define CS_BASE_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

/* A decimal integer within [min, max]; false otherwise, *ret untouched. */
bool cs_parse_int(const char *text, int64_t min, int64_t max,
	int64_t *ret) CS_MUST_CHECK CS_NONNULL_ALL;

/* A decimal number such as "12" or "70.5" scaled by `scale` (1000: "1.5" gives 1500)
 * within [min, max] after scaling; digits beyond the scale are refused. */
bool cs_parse_scaled(const char *text, int64_t scale, int64_t min, int64_t max,
	int64_t *ret) CS_MUST_CHECK CS_NONNULL_ALL;

/* "300", "2.5", "90s", "5m", "1h" as ms within [min, max] ms. */
bool cs_parse_seconds(const char *text, int64_t min, int64_t max,
	int64_t *ret) CS_MUST_CHECK CS_NONNULL_ALL;

/* Cluster names end up in paths, HAProxy lines and tags: [A-Za-z0-9][A-Za-z0-9_-]{0,39}
 */
bool cs_cluster_name_ok(const char *name) CS_MUST_CHECK CS_NONNULL_ALL;

/* The 8-4-4-4-12 form that Nova and our op marks use. */
bool cs_uuid_ok(const char *text) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
