/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Baselines between runs; see samples.h. A line is
 *
 *     ID SAMPLE [SAMPLE]      newer first; SAMPLE is wall_ms boot_ms boot_id uptime cpus
 *                             and the counters, separated by single blanks
 *     ID host-resources wall_ms boot_ms boot_id cpus permille */
#include <config.h>
#include "domain/samples.h"

#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/parse.h"

#define SAMPLES_MAX (32 << 20)
#define FIELDS_OF_SAMPLE (5 + CS_CPU_COUNTER_COUNT)
#define NO_BOOT_ID "-"
#define FIELDS_TOLD 7
#define CPUS_MAX 65536
#define PERMILLE_MAX 1000

static void baseline_done(struct cs_baseline *baseline)
{
	free(baseline->id);
}

void cs_samples_done(struct cs_samples *samples)
{
	for (size_t i = 0; i < samples->n; i++)
		baseline_done(&samples->items[i]);
	free(samples->items);
	*samples = (struct cs_samples){0};
}

static struct cs_baseline *add(struct cs_samples *samples, const char *id)
{
	if (samples->n == samples->capacity) {
		samples->capacity = samples->capacity ? samples->capacity * 2 : 64;
		samples->items = cs_reallocarray(
			samples->items, samples->capacity, sizeof *samples->items);
	}
	samples->items[samples->n] = (struct cs_baseline){.id = cs_strdup(id)};
	return &samples->items[samples->n++];
}

static bool parse_u32(const char *text, uint32_t *ret)
{
	int64_t number;

	if (!cs_parse_int(text, 0, UINT32_MAX, &number))
		return false;
	*ret = (uint32_t)number;
	return true;
}

static bool parse_stamp(char *const fields[], struct cs_stamp *ret)
{
	if (!cs_parse_int(fields[0], 0, INT64_MAX / 2, &ret->wall_ms) ||
		!cs_parse_int(fields[1], 0, INT64_MAX / 2, &ret->boot_ms))
		return false;
	if (!cs_uuid_ok(fields[2]))
		return strcmp(fields[2], NO_BOOT_ID) == 0;
	memcpy(ret->boot_id, fields[2], CS_BOOT_ID_SIZE);
	return true;
}

static bool parse_told(char *const fields[], struct cs_cpu_sample *ret)
{
	struct cs_cpu_sample sample = {.source = CS_CPU_HOST_RESOURCES};
	int64_t cpus, permille;

	if (strcmp(fields[0], cs_cpu_sources[CS_CPU_HOST_RESOURCES]) != 0 ||
		!parse_stamp(fields + 1, &sample.at) ||
		!cs_parse_int(fields[4], 1, CPUS_MAX, &cpus) ||
		!cs_parse_int(fields[5], 0, PERMILLE_MAX, &permille))
		return false;
	sample.cpus = (uint32_t)cpus;
	sample.permille = (uint32_t)permille;
	*ret = sample;
	return true;
}

static bool parse_sample(char *const fields[], struct cs_cpu_sample *ret)
{
	struct cs_cpu_sample sample = {0};

	if (!parse_stamp(fields, &sample.at) ||
		!parse_u32(fields[3], &sample.uptime_cs) ||
		!parse_u32(fields[4], &sample.cpus))
		return false;
	for (size_t i = 0; i < CS_CPU_COUNTER_COUNT; i++) {
		if (!parse_u32(fields[5 + i], &sample.ticks[i]))
			return false;
	}
	*ret = sample;
	return true;
}

static void parse_line(char *line, struct cs_samples *samples)
{
	char *fields[1 + 2 * FIELDS_OF_SAMPLE + 1];
	size_t n = 0;
	struct cs_baseline found = {0};

	for (char *field = strsep(&line, " "); field && n < CS_ARRAY_SIZE(fields);
		field = strsep(&line, " "))
		fields[n++] = field;
	found.has_older = n == 1 + 2 * FIELDS_OF_SAMPLE;
	if (n == 0 || !fields[0][0])
		return;
	if (n == FIELDS_TOLD) {
		if (!parse_told(fields + 1, &found.newer))
			return;
	} else if ((n != 1 + FIELDS_OF_SAMPLE && !found.has_older) ||
		   !parse_sample(fields + 1, &found.newer) ||
		   (found.has_older &&
			   !parse_sample(fields + 1 + FIELDS_OF_SAMPLE, &found.older))) {
		return;
	}
	struct cs_baseline *baseline = add(samples, fields[0]);
	found.id = baseline->id;
	*baseline = found;
}

static int compare_ids(const void *one, const void *two)
{
	const struct cs_baseline *a = one, *b = two;

	return strcmp(a->id, b->id);
}

void cs_samples_parse(const char *text, struct cs_samples *ret)
{
	CS_AUTO_FREE char *copy = cs_strdup(text);
	char *rest = copy;

	for (char *end = strchr(rest, '\n'); end; end = strchr(rest, '\n')) {
		*end = '\0';
		parse_line(rest, ret);
		rest = end + 1;
	}
	if (ret->n)
		qsort(ret->items, ret->n, sizeof *ret->items, compare_ids);
	ret->n_sorted = ret->n;
}

static const char *boot_id_of(const struct cs_cpu_sample *sample)
{
	return sample->at.boot_id[0] ? sample->at.boot_id : NO_BOOT_ID;
}

static void render_told(const struct cs_cpu_sample *sample, struct cs_strbuf *ret)
{
	cs_strbuf_addf(ret, " %s %" PRId64 " %" PRId64 " %s %" PRIu32 " %" PRIu32,
		cs_cpu_sources[sample->source], sample->at.wall_ms, sample->at.boot_ms,
		boot_id_of(sample), sample->cpus, sample->permille);
}

static void render_sample(const struct cs_cpu_sample *sample, struct cs_strbuf *ret)
{
	if (sample->source == CS_CPU_HOST_RESOURCES) {
		render_told(sample, ret);
		return;
	}
	cs_strbuf_addf(ret, " %" PRId64 " %" PRId64 " %s %" PRIu32 " %" PRIu32,
		sample->at.wall_ms, sample->at.boot_ms, boot_id_of(sample),
		sample->uptime_cs, sample->cpus);
	for (size_t i = 0; i < CS_CPU_COUNTER_COUNT; i++)
		cs_strbuf_addf(ret, " %" PRIu32, sample->ticks[i]);
}

void cs_samples_render(const struct cs_samples *samples, struct cs_strbuf *ret)
{
	for (size_t i = 0; i < samples->n; i++) {
		const struct cs_baseline *baseline = &samples->items[i];

		cs_strbuf_add(ret, baseline->id);
		render_sample(&baseline->newer, ret);
		if (baseline->has_older)
			render_sample(&baseline->older, ret);
		cs_strbuf_add(ret, "\n");
	}
}

static bool within(int64_t age_ms, struct cs_sample_spans spans)
{
	return age_ms >= spans.min_ms && age_ms <= spans.max_ms;
}

static struct cs_baseline *find(const struct cs_samples *samples, const char *id)
{
	struct cs_baseline key = {.id = (char *)id};

	if (samples->n_sorted == 0)
		return NULL;
	return bsearch(&key, samples->items, samples->n_sorted, sizeof *samples->items,
		compare_ids);
}

const struct cs_baseline *cs_samples_find(
	const struct cs_samples *samples, const char *id)
{
	return find(samples, id);
}

enum cs_cpu_verdict cs_samples_load_of(
	const struct cs_baseline *baseline, struct cs_cpu_load *ret)
{
	if (baseline->newer.source != CS_CPU_UCD) {
		*ret = cs_cpu_load_told(&baseline->newer);
		return CS_CPU_LOAD;
	}
	if (!baseline->has_older)
		return CS_CPU_FIRST;
	return cs_cpu_load_between(&baseline->older, &baseline->newer, ret);
}

bool cs_samples_advance(struct cs_samples *samples, const char *id,
	const struct cs_cpu_sample *now, struct cs_sample_spans spans,
	struct cs_cpu_sample *ret_base)
{
	struct cs_baseline *found = find(samples, id);

	if (!found) {
		add(samples, id)->newer = *now;
		return false;
	}
	if (now->source != CS_CPU_UCD || found->newer.source != CS_CPU_UCD) {
		found->newer = *now;
		found->has_older = false;
		return false;
	}
	int64_t age_ms = cs_stamp_age_ms(&found->newer.at, &now->at);
	if (within(age_ms, spans)) {
		*ret_base = found->older = found->newer;
		found->has_older = true;
		found->newer = *now;
		return true;
	}
	/* Young. A little in the future is a run at the same time that came first. */
	if (age_ms < spans.min_ms && age_ms > -spans.min_ms) {
		*ret_base = found->older;
		return found->has_older &&
		       within(cs_stamp_age_ms(&found->older.at, &now->at), spans);
	}
	found->newer = *now;
	found->has_older = false;
	return false;
}

void cs_samples_expire(struct cs_samples *samples, const struct cs_stamp *now,
	struct cs_sample_spans spans)
{
	size_t kept = 0;

	for (size_t i = 0; i < samples->n; i++) {
		struct cs_baseline *baseline = &samples->items[i];
		int64_t age_ms = cs_stamp_age_ms(&baseline->newer.at, now);
		if (age_ms <= spans.max_ms && age_ms >= -spans.max_ms)
			samples->items[kept++] = *baseline;
		else
			baseline_done(baseline);
	}
	samples->n = kept;
	samples->n_sorted = 0;
}

static char *path_in(const char *dir)
{
	return cs_asprintf("%s/samples", dir);
}

static void read_file(const char *dir, struct cs_strbuf *ret)
{
	CS_AUTO_FREE char *path = path_in(dir);
	struct cs_error ignored;

	if (cs_file_read(path, ret, &ignored) < 0)
		cs_strbuf_clear(ret);
}

void cs_samples_load(const char *dir, struct cs_samples *ret)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(SAMPLES_MAX);

	read_file(dir, &text);
	cs_samples_parse(cs_strbuf_text(&text), ret);
}

/* Ten thousand lines of counters are milliseconds to parse. */
void cs_samples_load_told(const char *dir, struct cs_samples *ret)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(SAMPLES_MAX);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf told = CS_STRBUF(SAMPLES_MAX);
	CS_AUTO_FREE char *word =
		cs_asprintf(" %s ", cs_cpu_sources[CS_CPU_HOST_RESOURCES]);

	read_file(dir, &text);
	for (const char *at = strstr(cs_strbuf_text(&text), word); at;
		at = strstr(at + 1, word)) {
		const char *before = memrchr(text.data, '\n', (size_t)(at - text.data));
		const char *start = before ? before + 1 : text.data;

		cs_strbuf_addf(&told, "%.*s\n", (int)strcspn(start, "\n"), start);
	}
	cs_samples_parse(cs_strbuf_text(&told), ret);
}

int cs_samples_save(
	const char *dir, const struct cs_samples *samples, struct cs_error *err)
{
	CS_AUTO_FREE char *path = path_in(dir);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(SAMPLES_MAX);

	cs_samples_render(samples, &text);
	if (cs_strbuf_check(&text, path, err) < 0)
		return err->code;
	return cs_file_replace(path, cs_strbuf_text(&text), text.len, 0640, err);
}
