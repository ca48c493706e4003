/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The journal: writing lines, folding them into facts, rotation; see journal.h. Folding
 * one line twice changes nothing, so the head of a rotated journal may repeat what
 * journal.1 says. */
#include <config.h>
#include "domain/journal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "format/json.h"

#define ROTATE_BYTES (1 << 20)
#define READ_MAX_BYTES (8 << 20)
#define HOUR_MS (3600 * CS_MS_PER_S)

/* The text members of a line, for writing and reading alike. */
static const struct {
	const char *key;
	size_t offset;
} texts[] = {
	{"type", offsetof(struct cs_journal_line, type)},
	{"op", offsetof(struct cs_journal_line, op)},
	{"action", offsetof(struct cs_journal_line, action)},
	{"outcome", offsetof(struct cs_journal_line, outcome)},
	{"server_id", offsetof(struct cs_journal_line, server_id)},
	{"name", offsetof(struct cs_journal_line, name)},
	{"why", offsetof(struct cs_journal_line, why)},
	{"detail", offsetof(struct cs_journal_line, detail)},
	{"auth_url", offsetof(struct cs_journal_line, auth_url)},
	{"project", offsetof(struct cs_journal_line, project)},
	{"region", offsetof(struct cs_journal_line, region)},
};

static const char **text_of(struct cs_journal_line *line, size_t i)
{
	return (const char **)((char *)line + texts[i].offset);
}

const char *cs_action_text(enum cs_action action)
{
	return action == CS_ACTION_CREATE ? "create" : "delete";
}

/* A set of ids. */

static size_t strings_find(const struct cs_strings *list, const char *text)
{
	size_t i = 0;

	while (i < list->n && strcmp(list->items[i], text) != 0)
		i++;
	return i;
}

static void strings_insert(struct cs_strings *list, const char *text)
{
	if (strings_find(list, text) == list->n)
		cs_strings_add(list, text);
}

static void strings_remove(struct cs_strings *list, const char *text)
{
	size_t i = strings_find(list, text);

	if (i == list->n)
		return;
	free(list->items[i]);
	list->items[i] = list->items[--list->n];
	list->items[list->n] = NULL;
}

/* Open operations. */

static struct cs_journal_op *find_op(const struct cs_journal *journal, const char *op)
{
	for (size_t i = 0; i < journal->n_open; i++) {
		if (strcmp(journal->open[i].op, op) == 0)
			return &journal->open[i];
	}
	return NULL;
}

static void op_done(struct cs_journal_op *op)
{
	free(op->server_id);
	free(op->name);
	free(op->why);
}

static void close_op(struct cs_journal *journal, const char *op)
{
	struct cs_journal_op *found = find_op(journal, op);

	if (!found)
		return;
	op_done(found);
	size_t after = (size_t)(journal->open + journal->n_open - (found + 1));
	memmove(found, found + 1, after * sizeof *found);
	journal->n_open--;
}

static void forget_server(struct cs_journal *journal, const char *server_id)
{
	strings_remove(&journal->published, server_id);
	strings_remove(&journal->known, server_id);
}

/* What each type of line means. A function returns false when a member that it needs is
 * missing or malformed. */

struct fold {
	struct cs_journal *journal;
	struct cs_journal_line line;
	struct cs_stamp at;
	const struct cs_stamp *now;
	bool is_create; /* from `action` */
};

static bool has_action(struct fold *fold)
{
	const char *action = fold->line.action;

	if (!action)
		return false;
	fold->is_create = strcmp(action, "create") == 0;
	return fold->is_create || strcmp(action, "delete") == 0;
}

static bool has_op(const struct fold *fold)
{
	return fold->line.op && cs_uuid_ok(fold->line.op);
}

static bool has_server(const struct fold *fold)
{
	return fold->line.server_id && cs_uuid_ok(fold->line.server_id);
}

static bool fold_bind(struct fold *fold)
{
	struct cs_journal *journal = fold->journal;
	const struct cs_journal_line *line = &fold->line;

	if (!line->auth_url || !line->project || !line->region)
		return false;
	if (journal->auth_url && (strcmp(journal->auth_url, line->auth_url) != 0 ||
					 strcmp(journal->project, line->project) != 0 ||
					 strcmp(journal->region, line->region) != 0)) {
		while (journal->n_open > 0)
			op_done(&journal->open[--journal->n_open]);
		cs_strings_done(&journal->published);
		cs_strings_done(&journal->known);
	}
	cs_strset(&journal->auth_url, line->auth_url);
	cs_strset(&journal->project, line->project);
	cs_strset(&journal->region, line->region);
	return true;
}

static void count_intent(struct fold *fold)
{
	struct cs_journal *journal = fold->journal;

	/* A line from the future counts: it never widens a budget. */
	if (cs_stamp_age_ms(&fold->at, fold->now) < HOUR_MS) {
		if (fold->is_create)
			journal->creates_last_hour++;
		else
			journal->deletes_last_hour++;
	}
	if (fold->line.measurement)
		journal->used_measurement_wall_ms = fold->line.measurement;
}

static bool fold_intent(struct fold *fold)
{
	struct cs_journal *journal = fold->journal;
	const struct cs_journal_line *line = &fold->line;

	if (!has_op(fold) || !has_action(fold) || (!fold->is_create && !has_server(fold)))
		return false;
	if (find_op(journal, line->op))
		return true;
	count_intent(fold);
	journal->open = cs_reallocarray(
		journal->open, journal->n_open + 1, sizeof *journal->open);
	struct cs_journal_op *op = &journal->open[journal->n_open++];
	*op = (struct cs_journal_op){
		.action = fold->is_create ? CS_ACTION_CREATE : CS_ACTION_DELETE,
		.server_id = has_server(fold) ? cs_strdup(line->server_id) : NULL,
		.name = cs_strdup(line->name ? line->name : ""),
		.why = cs_strdup(line->why ? line->why : ""),
		.since = fold->at};
	memcpy(op->op, line->op, sizeof op->op);
	/* Once its drain begins nobody may rely on it being served. */
	if (!fold->is_create) {
		strings_remove(&journal->published, line->server_id);
		strings_insert(&journal->known, line->server_id);
	}
	return true;
}

static bool fold_request(struct fold *fold)
{
	if (!has_op(fold) || !has_server(fold))
		return false;
	struct cs_journal_op *op = find_op(fold->journal, fold->line.op);
	if (op)
		cs_strset(&op->server_id, fold->line.server_id);
	strings_insert(&fold->journal->known, fold->line.server_id);
	return true;
}

static void note_boot(struct fold *fold, const struct cs_journal_op *op)
{
	struct cs_journal *journal = fold->journal;
	int64_t boot_ms = cs_stamp_age_ms(&op->since, &fold->at);

	if (boot_ms > 0 && boot_ms < HOUR_MS)
		journal->boots_ms[journal->n_boots++ % CS_JOURNAL_BOOTS] = boot_ms;
}

static bool fold_result(struct fold *fold)
{
	struct cs_journal *journal = fold->journal;
	const char *outcome = fold->line.outcome;

	if (!has_op(fold) || !has_action(fold) || !outcome)
		return false;
	bool done = strcmp(outcome, CS_OUTCOME_DONE) == 0;
	bool failed = strcmp(outcome, CS_OUTCOME_FAILED) == 0;
	bool cancelled = strcmp(outcome, CS_OUTCOME_CANCELLED) == 0;
	struct cs_journal_op *op = find_op(journal, fold->line.op);
	if ((!done && !failed && !cancelled) ||
		(op && (op->action == CS_ACTION_CREATE) != fold->is_create))
		return false;
	if (fold->is_create && !cancelled)
		journal->failed_creates_in_row =
			done ? 0 : journal->failed_creates_in_row + 1;
	/* A create that never happened moved nothing; a cancelled drain gave capacity
	 * back. */
	if (fold->is_create ? !cancelled : cancelled)
		journal->last_up = fold->at;
	else if (!fold->is_create)
		journal->last_down = fold->at;
	if (op && fold->is_create && done)
		note_boot(fold, op);
	if (op && !fold->is_create && done)
		forget_server(journal, op->server_id);
	close_op(journal, fold->line.op);
	return true;
}

static bool fold_published(struct fold *fold)
{
	if (!has_server(fold))
		return false;
	strings_insert(&fold->journal->published, fold->line.server_id);
	strings_insert(&fold->journal->known, fold->line.server_id);
	return true;
}

static bool fold_known(struct fold *fold)
{
	if (!has_server(fold))
		return false;
	strings_insert(&fold->journal->known, fold->line.server_id);
	return true;
}

static bool fold_gone(struct fold *fold)
{
	if (!has_server(fold))
		return false;
	forget_server(fold->journal, fold->line.server_id);
	return true;
}

static bool fold_pause(struct fold *fold)
{
	fold->journal->paused = true;
	return true;
}

static bool fold_resume(struct fold *fold)
{
	fold->journal->paused = false;
	fold->journal->failed_creates_in_row = 0;
	return true;
}

/* For people. */
static bool fold_drained(struct fold *fold)
{
	return fold->line.server_id != NULL;
}

static const struct {
	const char *type;
	bool (*fold)(struct fold *fold);
} types[] = {
	{"bind", fold_bind},
	{"intent", fold_intent},
	{"request", fold_request},
	{"result", fold_result},
	{"published", fold_published},
	{"known", fold_known},
	{"gone", fold_gone},
	{"drained", fold_drained},
	{"pause", fold_pause},
	{"resume", fold_resume},
};

static bool fold_typed(struct fold *fold)
{
	for (size_t i = 0; fold->line.type && i < CS_ARRAY_SIZE(types); i++) {
		if (strcmp(types[i].type, fold->line.type) == 0)
			return types[i].fold(fold);
	}
	return false;
}

static bool read_stamp(struct json_object *object, struct cs_stamp *ret)
{
	const char *boot = cs_json_str(object, "boot");

	if (!boot || strlen(boot) >= sizeof ret->boot_id ||
		!cs_json_int(object, "t", &ret->wall_ms) ||
		!cs_json_int(object, "bt", &ret->boot_ms))
		return false;
	memcpy(ret->boot_id, boot, strlen(boot) + 1);
	return true;
}

static bool fold_object(struct json_object *object, const struct cs_stamp *now,
	struct cs_journal *journal)
{
	struct fold fold = {.journal = journal, .now = now};

	if (!read_stamp(object, &fold.at))
		return false;
	for (size_t i = 0; i < CS_ARRAY_SIZE(texts); i++)
		*text_of(&fold.line, i) = cs_json_str(object, texts[i].key);
	cs_json_int(object, "measurement", &fold.line.measurement);
	return fold_typed(&fold);
}

/* Broken off by a crash or a full disk and ended by the next append: what it announces
 * was never done, as nothing is done before its line is on disk. */
static bool is_torn(const char *line, size_t len)
{
	return len == 0 || (line[0] == '{' && cs_json_breaks_off(line, len));
}

int cs_journal_fold(const char *text, size_t len, const char *name,
	const struct cs_stamp *now, struct cs_journal *journal, struct cs_error *err)
{
	const char *end = text + len, *next;
	size_t number = 1;

	for (const char *line = text; line < end; line = next + 1, number++) {
		CS_AUTO_JSON struct json_object *object = NULL;

		next = memchr(line, '\n', (size_t)(end - line));
		if (!next)
			break; /* no line end: a write that never happened */
		size_t line_len = (size_t)(next - line);
		if (cs_json_parse(line, line_len, "the line", &object, err) < 0) {
			if (is_torn(line, line_len))
				continue;
			return cs_error_prefix(err,
				"the journal %s is damaged in line %zu", name, number);
		}
		if (!fold_object(object, now, journal))
			return cs_error_set(err, CS_E_PROTOCOL,
				"the journal %s is damaged in line %zu: not a line that "
				"this "
				"version writes; look at it before anything is scaled "
				"again",
				name, number);
	}
	return 0;
}

static int fold_file(const char *path, const struct cs_stamp *now,
	struct cs_journal *journal, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(READ_MAX_BYTES);

	if (cs_file_read(path, &text, err) < 0)
		return err->code == CS_E_NOT_FOUND ? 0 : err->code;
	return cs_journal_fold(cs_strbuf_text(&text), text.len, path, now, journal, err);
}

int cs_journal_load(const char *dir, const struct cs_stamp *now, struct cs_journal *ret,
	struct cs_error *err)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/journal", dir);
	CS_AUTO_FREE char *older = cs_asprintf("%s/journal.1", dir);
	struct cs_journal journal = {0};

	if (fold_file(older, now, &journal, err) < 0 ||
		fold_file(path, now, &journal, err) < 0) {
		cs_journal_done(&journal);
		return err->code;
	}
	*ret = journal;
	return 0;
}

void cs_journal_done(struct cs_journal *journal)
{
	for (size_t i = 0; i < journal->n_open; i++)
		op_done(&journal->open[i]);
	free(journal->open);
	cs_strings_done(&journal->published);
	cs_strings_done(&journal->known);
	free(journal->auth_url);
	free(journal->project);
	free(journal->region);
	*journal = (struct cs_journal){0};
}

static int compare_ms(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return (left > right) - (left < right);
}

int64_t cs_journal_boot_ms(const struct cs_journal *journal)
{
	size_t n =
		journal->n_boots < CS_JOURNAL_BOOTS ? journal->n_boots : CS_JOURNAL_BOOTS;
	int64_t sorted[CS_JOURNAL_BOOTS];

	if (n == 0)
		return 0;
	memcpy(sorted, journal->boots_ms, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, compare_ms);
	return sorted[(n * 95 + 99) / 100 - 1];
}

bool cs_journal_is_published(const struct cs_journal *journal, const char *server_id)
{
	return strings_find(&journal->published, server_id) < journal->published.n;
}

bool cs_journal_is_known(const struct cs_journal *journal, const char *server_id)
{
	return strings_find(&journal->known, server_id) < journal->known.n;
}

const struct cs_journal_op *cs_journal_op_of(
	const struct cs_journal *journal, const char *server_id, const char *mark_op)
{
	const struct cs_journal_op *found = NULL;

	/* A delete speaks louder than the create that it undoes. */
	for (size_t i = 0; i < journal->n_open; i++) {
		const struct cs_journal_op *op = &journal->open[i];
		bool same = op->server_id
				    ? server_id && strcmp(op->server_id, server_id) == 0
				    : mark_op && strcmp(op->op, mark_op) == 0;

		if (same && (!found || op->action == CS_ACTION_DELETE))
			found = op;
	}
	return found;
}

/* Writing. */

char *cs_journal_line_text(
	const char *run, const struct cs_stamp *at, const struct cs_journal_line *line)
{
	CS_AUTO_JSON struct json_object *object = json_object_new_object();
	struct cs_journal_line copy = *line;

	cs_json_add_int(object, "t", at->wall_ms);
	cs_json_add_int(object, "bt", at->boot_ms);
	cs_json_add_str(object, "boot", at->boot_id);
	cs_json_add_str(object, "run", run);
	for (size_t i = 0; i < CS_ARRAY_SIZE(texts); i++) {
		if (*text_of(&copy, i))
			cs_json_add_str(object, texts[i].key, *text_of(&copy, i));
	}
	if (line->measurement)
		cs_json_add_int(object, "measurement", line->measurement);
	if (line->decision)
		json_object_object_add(
			object, "decision", json_object_get(line->decision));
	return cs_strdup(cs_json_text(object));
}

static void add_line(struct cs_strbuf *text, const char *run, const struct cs_stamp *at,
	const struct cs_journal_line *line)
{
	CS_AUTO_FREE char *one = cs_journal_line_text(run, at, line);

	cs_strbuf_addf(text, "%s\n", one);
}

static void add_open(
	struct cs_strbuf *text, const char *run, const struct cs_journal_op *op)
{
	struct cs_journal_line intent = {.type = "intent",
		.op = op->op,
		.action = cs_action_text(op->action),
		.server_id = op->action == CS_ACTION_DELETE ? op->server_id : NULL,
		.name = op->name,
		.why = op->why};
	struct cs_journal_line request = {
		.type = "request", .op = op->op, .server_id = op->server_id};

	add_line(text, run, &op->since, &intent);
	if (op->action == CS_ACTION_CREATE && op->server_id)
		add_line(text, run, &op->since, &request);
}

/* What must outlive journal.1. Known servers and open intents come first, as an intent to
 * delete revokes "published". */
static void add_head(struct cs_strbuf *text, const char *run, const struct cs_stamp *now,
	const struct cs_journal *journal)
{
	struct cs_journal_line bind = {.type = "bind",
		.auth_url = journal->auth_url,
		.project = journal->project,
		.region = journal->region};

	if (journal->auth_url)
		add_line(text, run, now, &bind);
	if (journal->paused)
		add_line(text, run, now, &(struct cs_journal_line){.type = "pause"});
	for (size_t i = 0; i < journal->known.n; i++) {
		const char *id = journal->known.items[i];
		bool published = cs_journal_is_published(journal, id);

		add_line(text, run, now,
			&(struct cs_journal_line){
				.type = published ? "published" : "known",
				.server_id = id});
	}
	for (size_t i = 0; i < journal->n_open; i++)
		add_open(text, run, &journal->open[i]);
}

int cs_journal_rotate(const char *dir, const char *run, struct cs_error *err)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/journal", dir);
	CS_AUTO_FREE char *older = cs_asprintf("%s/journal.1", dir);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf head = CS_STRBUF(READ_MAX_BYTES);
	CS_CLEANUP(cs_journal_done) struct cs_journal journal = {0};
	struct cs_stamp now;
	struct stat st;

	if (stat(path, &st) < 0 || st.st_size <= ROTATE_BYTES)
		return 0;
	cs_stamp_now(&now);
	if (cs_journal_load(dir, &now, &journal, err) < 0)
		return err->code;
	add_head(&head, run, &now, &journal);
	if (cs_strbuf_check(&head, "the head of the journal", err) < 0)
		return err->code;
	/* A crash between the two steps leaves everything in journal.1, which is read
	 * too. */
	if (rename(path, older) < 0)
		return cs_error_set_errno(
			err, errno, "cannot move %s to %s", path, older);
	return cs_file_replace(path, cs_strbuf_text(&head), head.len, 0640, err);
}

int cs_journal_append(const char *dir, const char *run,
	const struct cs_journal_line *line, struct cs_error *err)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/journal", dir);
	struct cs_stamp now;

	cs_stamp_now(&now);
	CS_AUTO_FREE char *text = cs_journal_line_text(run, &now, line);
	return cs_file_append_line(path, text, err);
}
