/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The measurements of a cluster; see history.h. */
#include <config.h>
#include "domain/history.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/json.h"

#define ROTATE_BYTES (1 << 20)
#define READ_MAX (4 * ROTATE_BYTES)

static const struct field {
	const char *key;
	size_t offset;
	bool optional; /* 0 when it is not there */
} fields[] = {
	{"t", offsetof(struct cs_measurement, at.wall_ms), false},
	{"bt", offsetof(struct cs_measurement, at.boot_ms), false},
	{"load_permille", offsetof(struct cs_measurement, load_permille), false},
	{"servers", offsetof(struct cs_measurement, servers), false},
	{"sampled", offsetof(struct cs_measurement, sampled), false},
	{"missing", offsetof(struct cs_measurement, missing), false},
	{"warming", offsetof(struct cs_measurement, warming), false},
	{"stale", offsetof(struct cs_measurement, stale), true},
	{"above_mean_permille", offsetof(struct cs_measurement, above_mean_permille),
		true},
};

static int64_t silent(const struct cs_measurement *m)
{
	return m->servers > m->sampled ? m->servers - m->sampled : 0;
}

int64_t cs_measurement_most_demand(const struct cs_measurement *m)
{
	int64_t mean = m->load_permille - m->above_mean_permille;
	int64_t load = mean > m->load_permille ? mean : m->load_permille;

	return load * (m->servers - silent(m)) + 1000 * silent(m);
}

int64_t cs_measurement_high_permille(const struct cs_measurement *m)
{
	if (m->load_permille < 0)
		return 1000;
	return cs_measurement_most_demand(m) / (m->servers > 0 ? m->servers : 1);
}

int64_t cs_measurement_low_permille(const struct cs_measurement *m)
{
	if (m->load_permille < 0 || m->servers <= 0)
		return 0;
	return m->load_permille * (m->servers - silent(m)) / m->servers;
}

static bool is_large(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_size > ROTATE_BYTES;
}

/* Two runs that see a large file must not both move it: the second would move the one
 * line of the first over everything. Whoever finds the lock held leaves it to a later
 * run. */
static int rotate(const char *dir, const char *path, struct cs_error *err)
{
	CS_AUTO_FREE char *old = cs_asprintf("%s.1", path);
	CS_AUTO_FREE char *lock_path = cs_asprintf("%s/samples.lock", dir);
	CS_CLEANUP(cs_lock_release) struct cs_lock lock = CS_LOCK_NONE;

	if (!is_large(path))
		return 0;
	int rc = cs_lock_take(lock_path, "rotation", &lock, err);
	if (rc < 0)
		return rc == CS_E_LOCKED ? 0 : rc;
	if (is_large(path) && rename(path, old) < 0)
		return cs_error_set_errno(err, errno, "cannot rename %s", path);
	return 0;
}

int cs_history_append(
	const char *dir, const struct cs_measurement *measurement, struct cs_error *err)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/history", dir);
	CS_AUTO_JSON struct json_object *line = json_object_new_object();

	for (size_t i = 0; i < CS_ARRAY_SIZE(fields); i++)
		cs_json_add_int(line, fields[i].key,
			*(const int64_t *)((const char *)measurement + fields[i].offset));
	cs_json_add_int(line, "low_permille", cs_measurement_low_permille(measurement));
	cs_json_add_int(line, "high_permille", cs_measurement_high_permille(measurement));
	cs_json_add_str(line, "boot", measurement->at.boot_id);
	if (rotate(dir, path, err) < 0)
		return err->code;
	CS_AUTO_FREE char *whole = cs_asprintf("%s\n", cs_json_text(line));
	return cs_file_append(path, whole, err);
}

bool cs_history_parse_line(const char *text, size_t len, struct cs_measurement *ret)
{
	CS_AUTO_JSON struct json_object *line = NULL;
	struct cs_measurement found = {0};
	struct cs_error ignored;

	if (cs_json_parse(text, len, "history", &line, &ignored) < 0)
		return false;
	for (size_t i = 0; i < CS_ARRAY_SIZE(fields); i++) {
		if (!cs_json_int(line, fields[i].key,
			    (int64_t *)((char *)&found + fields[i].offset)) &&
			!fields[i].optional)
			return false;
	}
	const char *boot_id = cs_json_str(line, "boot");
	if (!boot_id || strlen(boot_id) >= sizeof found.at.boot_id)
		return false;
	memcpy(found.at.boot_id, boot_id, strlen(boot_id) + 1);
	*ret = found;
	return true;
}

/* Puts readable lines of `path` that end in a newline in front of what there is, the
 * newest first, until there are `most`: `history` is filled from its end. */
static int add_before(
	const char *path, size_t most, struct cs_history *history, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(READ_MAX);

	if (cs_file_read(path, &text, err) < 0)
		return err->code;
	for (size_t end = text.len; end > 0 && history->n < most;) {
		const char *newline = memrchr(text.data, '\n', end);
		if (!newline)
			break;
		end = (size_t)(newline - text.data);
		const char *before = end ? memrchr(text.data, '\n', end) : NULL;
		const char *start = before ? before + 1 : text.data;
		history->n += cs_history_parse_line(start, (size_t)(newline - start),
			&history->items[most - history->n - 1]);
	}
	return 0;
}

int cs_history_load(
	const char *dir, size_t most, struct cs_history *ret, struct cs_error *err)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/history", dir);
	CS_AUTO_FREE char *old = cs_asprintf("%s.1", path);
	CS_CLEANUP(cs_history_done)
	struct cs_history history = {.items = cs_calloc(most, sizeof *history.items)};

	if (add_before(path, most, &history, err) < 0 && err->code != CS_E_NOT_FOUND)
		return err->code;
	/* The file has just been moved and its successor is short or not there yet. */
	if (history.n < most && add_before(old, most, &history, err) < 0 &&
		err->code != CS_E_NOT_FOUND)
		return err->code;
	if (history.n == 0)
		return cs_error_set(err, CS_E_NOT_FOUND, "%s has no readable line", path);
	memmove(history.items, history.items + most - history.n,
		history.n * sizeof *history.items);
	*ret = history;
	history = (struct cs_history){0};
	return 0;
}

void cs_history_done(struct cs_history *history)
{
	free(history->items);
	*history = (struct cs_history){0};
}

int cs_history_last(const char *dir, struct cs_measurement *ret, struct cs_error *err)
{
	CS_CLEANUP(cs_history_done) struct cs_history history = {0};

	if (cs_history_load(dir, 1, &history, err) < 0)
		return err->code;
	*ret = history.items[0];
	return 0;
}
