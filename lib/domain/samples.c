/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Baselines between runs; see samples.h. A line is
 *
 *     ID SAMPLE [SAMPLE]      newer first; SAMPLE is wall_ms boot_ms boot_id uptime cpus
 *                             and the counters, separated by single blanks
 *     ID host-resources wall_ms boot_ms boot_id cpus permille
 *     # told N                the first one: how many there are of the second kind */
#include <config.h>
#include "domain/samples.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"

#define NO_BOOT_ID "-"
#define DIGITS_MAX 18 /* fit into 64 bits */
#define ID_MAX 512    /* leaves room for two samples of a line */
#define CPUS_MAX 65536
#define PERMILLE_MAX 1000

void cs_samples_done(struct cs_samples *samples)
{
	for (size_t i = 0; i < samples->n; i++)
		free(samples->items[i].id);
	free(samples->items);
	*samples = (struct cs_samples){0};
}

static void add(struct cs_samples *samples, const struct cs_baseline *found)
{
	if (samples->n == samples->capacity) {
		samples->capacity = samples->capacity ? samples->capacity * 2 : 64;
		samples->items = cs_reallocarray(
			samples->items, samples->capacity, sizeof *samples->items);
	}
	struct cs_baseline *item = &samples->items[samples->n++];
	*item = *found;
	item->id = cs_strdup(found->id);
	item->newer_text = item->older_text = (struct cs_sample_text){0};
}

/* Numbers are the bulk of a large file: read and written by hand, they take a tenth of
 * the time. A field ends with a blank or the line. */
static bool take_number(char **at, int64_t max, int64_t *ret)
{
	const char *text = *at;
	uint64_t number = 0;
	unsigned value;
	int n = 0;

	for (; (value = (unsigned)text[n] - '0') <= 9; n++)
		number = number * 10 + value;
	if (n == 0 || n > DIGITS_MAX || number > (uint64_t)max ||
		(text[n] && text[n] != ' '))
		return false;
	*at += n + (text[n] == ' ');
	*ret = (int64_t)number;
	return true;
}

static bool take_u32(char **at, uint32_t *ret)
{
	int64_t number;

	if (!take_number(at, UINT32_MAX, &number))
		return false;
	*ret = (uint32_t)number;
	return true;
}

static bool take_boot_id(char **at, char ret[CS_BOOT_ID_SIZE])
{
	static char last[CS_BOOT_ID_SIZE]; /* nearly all are the same */
	const char *end = strchr(*at, ' ');
	size_t len = end ? (size_t)(end - *at) : 0;

	if (len == 0 || len >= CS_BOOT_ID_SIZE)
		return false;
	memcpy(ret, *at, len);
	ret[len] = '\0';
	*at += len + 1;
	if (strcmp(ret, last) == 0)
		return true;
	if (cs_uuid_ok(ret)) {
		memcpy(last, ret, sizeof last);
		return true;
	}
	bool none = strcmp(ret, NO_BOOT_ID) == 0;
	ret[0] = '\0';
	return none;
}

static bool take_stamp(char **at, struct cs_stamp *ret)
{
	return take_number(at, INT64_MAX / 20, &ret->wall_ms) &&
	       take_number(at, INT64_MAX / 20, &ret->boot_ms) &&
	       take_boot_id(at, ret->boot_id);
}

static bool take_told(char **at, struct cs_cpu_sample *ret)
{
	int64_t cpus, permille;

	*ret = (struct cs_cpu_sample){.source = CS_CPU_HOST_RESOURCES};
	if (!take_stamp(at, &ret->at) || !take_number(at, CPUS_MAX, &cpus) ||
		!take_number(at, PERMILLE_MAX, &permille) || cpus == 0)
		return false;
	ret->cpus = (uint32_t)cpus;
	ret->permille = (uint32_t)permille;
	return true;
}

static bool take_sample(char **at, struct cs_cpu_sample *ret)
{
	*ret = (struct cs_cpu_sample){0};
	if (!take_stamp(at, &ret->at) || !take_u32(at, &ret->uptime_cs) ||
		!take_u32(at, &ret->cpus))
		return false;
	for (size_t i = 0; i < CS_CPU_COUNTER_COUNT; i++) {
		if (!take_u32(at, &ret->ticks[i]))
			return false;
	}
	return true;
}

static const char told_word[] = "host-resources ";

#define TOLD_HEADER "# told %010zu"

/* Past the numbers behind a stamp. */
static bool skip_counters(char **at)
{
	size_t blanks = 0;
	char *end = *at;

	while (*end && (*end != ' ' || ++blanks < 2 + CS_CPU_COUNTER_COUNT))
		end++;
	*at = *end ? end + 1 : end;
	return *end || blanks == 1 + CS_CPU_COUNTER_COUNT;
}

/* Without its end; ends the id in it with a NUL, and id and texts stay in it. Of a sample
 * of ucd only the newer one's stamp is read, the rest by complete(). */
static bool parse_line(char *line, struct cs_baseline *ret)
{
	char *at = line;

	*ret = (struct cs_baseline){.id = strsep(&at, " ")};
	if (!at || !ret->id[0] || strlen(ret->id) > ID_MAX)
		return false;
	if (strncmp(at, told_word, sizeof told_word - 1) == 0) {
		at += sizeof told_word - 1;
		return take_told(&at, &ret->newer) && !*at;
	}
	ret->newer_text.at = at;
	if (!take_stamp(&at, &ret->newer.at) || !skip_counters(&at))
		return false;
	ret->has_older = *at;
	/* A blank, if another one follows, is of neither. */
	ret->newer_text.len = (size_t)(at - ret->newer_text.at) - ret->has_older;
	if (ret->has_older)
		ret->older_text = (struct cs_sample_text){at, strlen(at)};
	return true;
}

/* False: it is none. */
static bool read_text(const struct cs_sample_text *text, struct cs_cpu_sample *ret)
{
	char *at = (char *)text->at;

	if (!at)
		return true; /* it was never text, or is read already */
	return take_sample(&at, ret) &&
	       (size_t)(at - text->at) <= text->len + (at[-1] == ' ');
}

static bool complete(struct cs_baseline *baseline)
{
	return read_text(&baseline->newer_text, &baseline->newer) &&
	       (!baseline->has_older ||
		       read_text(&baseline->older_text, &baseline->older));
}

static int compare_ids(const void *one, const void *two)
{
	const struct cs_baseline *a = one, *b = two;

	return strcmp(a->id, b->id);
}

static void sort(struct cs_samples *samples)
{
	if (samples->n)
		qsort(samples->items, samples->n, sizeof *samples->items, compare_ids);
}

void cs_samples_parse(const char *text, struct cs_samples *ret)
{
	struct cs_baseline found;

	for (const char *end; (end = strchr(text, '\n')); text = end + 1) {
		CS_AUTO_FREE char *line = cs_strndup(text, (size_t)(end - text));
		if (parse_line(line, &found) && complete(&found))
			add(ret, &found);
	}
	sort(ret);
}

static char *put_text(char *at, const char *text)
{
	size_t len = strlen(text);

	memcpy(at, text, len);
	return at + len;
}

static char *put_number(char *at, uint64_t number)
{
	char digits[20], *digit = digits + sizeof digits;

	do {
		*--digit = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	*at++ = ' ';
	memcpy(at, digit, (size_t)(digits + sizeof digits - digit));
	return at + (digits + sizeof digits - digit);
}

static char *put_stamp(char *at, const struct cs_stamp *stamp)
{
	at = put_number(at, (uint64_t)stamp->wall_ms);
	at = put_number(at, (uint64_t)stamp->boot_ms);
	*at++ = ' ';
	return put_text(at, stamp->boot_id[0] ? stamp->boot_id : NO_BOOT_ID);
}

static char *put_sample(
	char *at, const struct cs_cpu_sample *sample, const struct cs_sample_text *text)
{
	if (text->at) {
		*at++ = ' ';
		memcpy(at, text->at, text->len);
		return at + text->len;
	}
	if (sample->source == CS_CPU_HOST_RESOURCES) {
		at = put_text(put_text(at, " "), cs_cpu_sources[sample->source]);
		at = put_stamp(at, &sample->at);
		return put_number(put_number(at, sample->cpus), sample->permille);
	}
	at = put_stamp(at, &sample->at);
	at = put_number(put_number(at, sample->uptime_cs), sample->cpus);
	for (size_t i = 0; i < CS_CPU_COUNTER_COUNT; i++)
		at = put_number(at, sample->ticks[i]);
	return at;
}

size_t cs_baseline_render(
	const struct cs_baseline *baseline, char ret[CS_SAMPLES_LINE_SIZE])
{
	char *at = ret;

	if (strlen(baseline->id) > ID_MAX)
		return 0; /* neither a host nor a server id is that long */
	at = put_sample(
		put_text(at, baseline->id), &baseline->newer, &baseline->newer_text);
	if (baseline->has_older)
		at = put_sample(at, &baseline->older, &baseline->older_text);
	*at++ = '\n';
	return (size_t)(at - ret);
}

static bool within(int64_t age_ms, struct cs_sample_spans spans)
{
	return age_ms >= spans.min_ms && age_ms <= spans.max_ms;
}

const struct cs_baseline *cs_samples_find(
	const struct cs_samples *samples, const char *id)
{
	struct cs_baseline key = {.id = (char *)id};

	if (samples->n == 0)
		return NULL;
	return bsearch(
		&key, samples->items, samples->n, sizeof *samples->items, compare_ids);
}

enum cs_cpu_verdict cs_samples_load_of(
	const struct cs_baseline *baseline, struct cs_cpu_load *ret)
{
	struct cs_baseline whole = *baseline;

	if (whole.newer.source != CS_CPU_UCD) {
		*ret = cs_cpu_load_told(&whole.newer);
		return CS_CPU_LOAD;
	}
	if (!whole.has_older || !complete(&whole))
		return CS_CPU_FIRST;
	return cs_cpu_load_between(&whole.older, &whole.newer, ret);
}

static void set_newer(struct cs_baseline *baseline, const struct cs_cpu_sample *now)
{
	baseline->newer = *now;
	baseline->newer_text = (struct cs_sample_text){0};
}

bool cs_baseline_advance(struct cs_baseline *baseline, const struct cs_cpu_sample *now,
	struct cs_sample_spans spans, struct cs_cpu_sample *ret_base)
{
	if (now->source != CS_CPU_UCD || baseline->newer.source != CS_CPU_UCD) {
		set_newer(baseline, now);
		baseline->has_older = false;
		return false;
	}
	int64_t age_ms = cs_stamp_age_ms(&baseline->newer.at, &now->at);
	if (within(age_ms, spans) && read_text(&baseline->newer_text, &baseline->newer)) {
		*ret_base = baseline->older = baseline->newer;
		baseline->older_text = baseline->newer_text;
		baseline->has_older = true;
		set_newer(baseline, now);
		return true;
	}
	/* Young. A little in the future is a run at the same time that came first. */
	if (age_ms < spans.min_ms && age_ms > -spans.min_ms) {
		baseline->has_older = baseline->has_older &&
				      read_text(&baseline->older_text, &baseline->older);
		*ret_base = baseline->older;
		return baseline->has_older &&
		       within(cs_stamp_age_ms(&baseline->older.at, &now->at), spans);
	}
	set_newer(baseline, now);
	baseline->has_older = false;
	return false;
}

bool cs_baseline_is_expired(const struct cs_baseline *baseline,
	const struct cs_stamp *now, struct cs_sample_spans spans)
{
	int64_t age_ms = cs_stamp_age_ms(&baseline->newer.at, now);

	return age_ms > spans.max_ms || age_ms < -spans.max_ms;
}

static char *path_in(const char *dir)
{
	return cs_asprintf("%s/samples", dir);
}

/* One at a time. */
static FILE *open_old(const char *dir)
{
	static char *buffer; /* kept */
	CS_AUTO_FREE char *path = path_in(dir);
	FILE *old = fopen(path, "re");

	if (!buffer)
		buffer = cs_calloc(1, CS_FILE_BUFFER);
	if (old)
		setvbuf(old, buffer, _IOFBF, CS_FILE_BUFFER);
	return old;
}

/* Whole lines, without their end. */
static bool next_line(FILE *old, char ret[CS_SAMPLES_LINE_SIZE])
{
	while (fgets_unlocked(ret, CS_SAMPLES_LINE_SIZE, old)) {
		size_t len = strlen(ret);
		if (len > 0 && ret[len - 1] == '\n') {
			ret[len - 1] = '\0';
			return true;
		}
		/* Longer than any of ours, or torn. */
		for (int c = 0; c != '\n' && c != EOF;)
			c = getc(old);
	}
	return false;
}

static bool is_told(const char *line)
{
	const char *blank = strchr(line, ' ');

	return blank && strncmp(blank + 1, told_word, sizeof told_word - 1) == 0;
}

static void load(const char *dir, bool told_only, struct cs_samples *ret)
{
	char line[CS_SAMPLES_LINE_SIZE], none_told[32];
	struct cs_baseline found;
	FILE *old = open_old(dir);

	if (!old)
		return;
	snprintf(none_told, sizeof none_told, TOLD_HEADER, (size_t)0);
	while (next_line(old, line)) {
		if (told_only && strcmp(line, none_told) == 0)
			break;
		if ((!told_only || is_told(line)) && parse_line(line, &found) &&
			complete(&found))
			add(ret, &found);
	}
	fclose(old);
	sort(ret);
}

void cs_samples_load(const char *dir, struct cs_samples *ret)
{
	load(dir, false, ret);
}

void cs_samples_load_told(const char *dir, struct cs_samples *ret)
{
	load(dir, true, ret);
}

int cs_samples_pass_open(
	const char *dir, struct cs_samples_pass *ret, struct cs_error *err)
{
	CS_AUTO_FREE char *path = path_in(dir);

	*ret = (struct cs_samples_pass){0};
	if (cs_file_new_open(path, 0640, &ret->new, err) < 0)
		return err->code;
	fprintf(ret->new.stream, TOLD_HEADER "\n", (size_t)0);
	ret->old = open_old(dir);
	return 0;
}

bool cs_samples_pass_next(struct cs_samples_pass *pass, struct cs_baseline *ret)
{
	while (pass->old && next_line(pass->old, pass->line)) {
		if (parse_line(pass->line, ret))
			return true;
	}
	return false;
}

void cs_samples_pass_keep(
	struct cs_samples_pass *pass, const struct cs_baseline *baseline)
{
	char line[CS_SAMPLES_LINE_SIZE];

	pass->told += baseline->newer.source != CS_CPU_UCD;
	fwrite_unlocked(line, 1, cs_baseline_render(baseline, line), pass->new.stream);
}

int cs_samples_pass_commit(struct cs_samples_pass *pass, struct cs_error *err)
{
	/* What fails here, the commit sees. */
	if (pass->told > 0 && fseeko(pass->new.stream, 0, SEEK_SET) == 0)
		fprintf(pass->new.stream, TOLD_HEADER "\n", pass->told);
	return cs_file_new_commit(&pass->new, err);
}

void cs_samples_pass_done(struct cs_samples_pass *pass)
{
	if (pass->old)
		fclose(pass->old);
	cs_file_new_done(&pass->new);
	pass->old = NULL;
}
