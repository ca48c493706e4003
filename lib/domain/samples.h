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
#include "base/file.h"
#include "base/macros.h"
#include "domain/cpuload.h"

/* A sample as its file has it, borrowed: not to be written anew. NULL: to be. */
struct cs_sample_text {
	const char *at;
	size_t len;
};

struct cs_baseline {
	char *id; /* without blanks: a server id, host:port */
	struct cs_cpu_sample newer, older;
	/* In a pass: as the file has them; their counters are read when they are needed.
	 */
	struct cs_sample_text newer_text, older_text;
	bool has_older;
};

/* Owned by the caller; ordered by id. */
struct cs_samples {
	struct cs_baseline *items;
	size_t n, capacity;
};
void cs_samples_done(struct cs_samples *samples) CS_NONNULL_ALL;

/* Spans outside of [min, max] are not measured. */
struct cs_sample_spans {
	int64_t min_ms, max_ms;
};

/* The sample that `now` is to be measured from into `ret_base`: the newest that is at
 * least min old and at most max. False when there is none. Then keeps `now` for the next
 * run, unless the newest is younger than min. */
bool cs_baseline_advance(struct cs_baseline *baseline, const struct cs_cpu_sample *now,
	struct cs_sample_spans spans,
	struct cs_cpu_sample *ret_base) CS_MUST_CHECK CS_NONNULL_ALL;

/* Further than `max` from `now`: the server is gone. */
bool cs_baseline_is_expired(const struct cs_baseline *baseline,
	const struct cs_stamp *now, struct cs_sample_spans spans) CS_NONNULL_ALL;

/* The load that the samples of a server tell by themselves; `ret` for CS_CPU_LOAD only.
 */
enum cs_cpu_verdict cs_samples_load_of(
	const struct cs_baseline *baseline, struct cs_cpu_load *ret) CS_NONNULL_ALL;

/* A line with its end, and its length. */
#define CS_SAMPLES_LINE_SIZE 1024
size_t cs_baseline_render(const struct cs_baseline *baseline,
	char ret[CS_SAMPLES_LINE_SIZE]) CS_NONNULL_ALL;

/* Lines that cannot be read are dropped: the server they were of starts again. */
void cs_samples_parse(const char *text, struct cs_samples *ret) CS_NONNULL_ALL;

/* NULL when there is none. */
const struct cs_baseline *cs_samples_find(
	const struct cs_samples *samples, const char *id) CS_MUST_CHECK CS_NONNULL_ALL;

/* Reads `<dir>/samples`; a missing or unreadable file is an empty one. */
void cs_samples_load(const char *dir, struct cs_samples *ret) CS_NONNULL_ALL;
/* The same, without those of ucd: which servers have told their load otherwise. */
void cs_samples_load_told(const char *dir, struct cs_samples *ret) CS_NONNULL_ALL;

/* Replaces the file line by line: take one after the other, and keep each (as changed) or
 * not; keep what is new, too. Until the commit the old file stays. All of it under one
 * lock (`<dir>/samples.lock`). */
struct cs_samples_pass {
	FILE *old; /* NULL: there is none */
	struct cs_file_new new;
	char line[CS_SAMPLES_LINE_SIZE];
	size_t told; /* kept, of other sources than ucd */
};
int cs_samples_pass_open(const char *dir, struct cs_samples_pass *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
/* False: there are no more. Id and texts are borrowed until the next call. */
bool cs_samples_pass_next(struct cs_samples_pass *pass,
	struct cs_baseline *ret) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_samples_pass_keep(
	struct cs_samples_pass *pass, const struct cs_baseline *baseline) CS_NONNULL_ALL;
int cs_samples_pass_commit(
	struct cs_samples_pass *pass, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_samples_pass_done(struct cs_samples_pass *pass) CS_NONNULL_ALL;

#endif
