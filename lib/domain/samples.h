/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The last raw counters of every server, so that a plugin that lives for milliseconds can
 * tell the load since its last run: the file `samples`, one line per sample, replaced as
 * a whole. Two samples are kept per server: a run soon after another measures from the
 * older one and moves nothing, so a check by hand does not disturb the scheduled ones. Of
 * host-resources one sample is kept: it tells its load alone. */
#ifndef CS_DOMAIN_SAMPLES_H
#define CS_DOMAIN_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/strbuf.h"
#include "domain/cpuload.h"

struct cs_baseline {
	char *id; /* without blanks: a server id, host:port */
	struct cs_cpu_sample newer, older;
	bool has_older;
};

/* Owned by the caller. The first n_sorted come from the file, ordered by id. */
struct cs_samples {
	struct cs_baseline *items;
	size_t n, n_sorted, capacity;
};
void cs_samples_done(struct cs_samples *samples) CS_NONNULL_ALL;

/* Spans outside of [min, max] are not measured. */
struct cs_sample_spans {
	int64_t min_ms, max_ms;
};

/* Lines that cannot be read are dropped: the server they were of starts again. */
void cs_samples_parse(const char *text, struct cs_samples *ret) CS_NONNULL_ALL;

void cs_samples_render(
	const struct cs_samples *samples, struct cs_strbuf *ret) CS_NONNULL_ALL;

/* The sample of `id` that `now` is to be measured from into `ret_base`: the newest that
 * is at least min old and at most max. False when there is none. Then keeps `now` for
 * the next run, unless the newest is younger than min. Once per id between load and
 * save. */
bool cs_samples_advance(struct cs_samples *samples, const char *id,
	const struct cs_cpu_sample *now, struct cs_sample_spans spans,
	struct cs_cpu_sample *ret_base) CS_MUST_CHECK CS_NONNULL_ALL;

/* The load that the samples of a server tell by themselves; `ret` for CS_CPU_LOAD only.
 */
enum cs_cpu_verdict cs_samples_load_of(
	const struct cs_baseline *baseline, struct cs_cpu_load *ret) CS_NONNULL_ALL;

/* NULL when there is none. Only what came from the file is found. */
const struct cs_baseline *cs_samples_find(
	const struct cs_samples *samples, const char *id) CS_MUST_CHECK CS_NONNULL_ALL;

/* Drops what is further than `max` from `now`: servers that are gone. */
void cs_samples_expire(struct cs_samples *samples, const struct cs_stamp *now,
	struct cs_sample_spans spans) CS_NONNULL_ALL;

/* Reads and replaces `<dir>/samples`; a missing or unreadable file is an empty one. Call
 * both under one lock (`<dir>/samples.lock`). */
void cs_samples_load(const char *dir, struct cs_samples *ret) CS_NONNULL_ALL;
/* The same, without those of ucd: which servers have told their load otherwise. Reads
 * little, and needs no lock. */
void cs_samples_load_told(const char *dir, struct cs_samples *ret) CS_NONNULL_ALL;
int cs_samples_save(const char *dir, const struct cs_samples *samples,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
