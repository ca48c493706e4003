/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The files of the journal: reading, appending, rotation; see journal.h. */
#include <config.h>
#include "domain/journal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/strbuf.h"
#include "domain/journal_line.h"

#define ROTATE_BYTES (1 << 20)
#define READ_MAX_BYTES (8 << 20)
#define LOCK_LIMIT_MS 5000

/* A missing file is an empty one. */
static int read_file(const char *path, struct cs_strbuf *ret, struct cs_error *err)
{
	return cs_file_read(path, ret, err) < 0 && err->code != CS_E_NOT_FOUND
		       ? (int)err->code
		       : 0;
}

int cs_journal_read(const char *dir, cs_journal_visit *visit, void *context,
	char chain[CS_DIGEST_SIZE], struct cs_error *err)
{
	static const char *const names[] = {"journal.1", "journal"};

	for (size_t i = 0; i < CS_ARRAY_SIZE(names); i++) {
		CS_AUTO_FREE char *path = cs_asprintf("%s/%s", dir, names[i]);
		CS_CLEANUP(cs_strbuf_done)
		struct cs_strbuf text = CS_STRBUF(READ_MAX_BYTES);

		if (read_file(path, &text, err) < 0 ||
			cs_journal_walk(cs_strbuf_text(&text), text.len, path, chain,
				visit, context, err) < 0)
			return err->code;
	}
	return 0;
}

/* Lines in the making. */
struct draft {
	struct cs_strbuf text;
	const char *run;
	char chain[CS_DIGEST_SIZE]; /* of its last line */
};

static void draft_done(struct draft *draft)
{
	cs_strbuf_done(&draft->text);
}

static void add_line(struct draft *draft, const struct cs_stamp *at,
	const struct cs_journal_line *line)
{
	CS_AUTO_FREE char *plain = cs_journal_line_text(draft->run, at, line);
	CS_AUTO_FREE char *sealed = cs_journal_seal(plain, draft->chain);

	cs_strbuf_addf(&draft->text, "%s\n", sealed);
}

static void add_begin(struct draft *draft, const struct cs_stamp *now)
{
	CS_AUTO_FREE char *prev = *draft->chain ? cs_strdup(draft->chain) : NULL;

	add_line(draft, now, &(struct cs_journal_line){.type = "begin", .prev = prev});
}

static void add_open(struct draft *draft, const struct cs_journal_op *op)
{
	struct cs_journal_line intent = {.type = "intent",
		.op = op->op,
		.action = cs_action_text(op->action),
		.server_id = op->action == CS_ACTION_DELETE ? op->server_id : NULL,
		.name = op->name,
		.why = op->why,
		.zone = op->zone,
		.flavor = op->flavor};
	struct cs_journal_line request = {
		.type = "request", .op = op->op, .server_id = op->server_id};

	add_line(draft, &op->since, &intent);
	if (op->action == CS_ACTION_CREATE && op->server_id)
		add_line(draft, &op->since, &request);
}

/* What must outlive journal.1. Known servers and open intents come first, as an intent to
 * delete revokes "published". */
static void add_head(
	struct draft *draft, const struct cs_stamp *now, const struct cs_journal *journal)
{
	struct cs_journal_line bind = {.type = "bind",
		.auth_url = journal->auth_url,
		.project = journal->project,
		.region = journal->region};

	if (journal->auth_url)
		add_line(draft, now, &bind);
	if (journal->paused)
		add_line(draft, now, &(struct cs_journal_line){.type = "pause"});
	for (size_t i = 0; i < journal->known.n; i++) {
		const char *id = journal->known.items[i];
		bool published = cs_journal_is_published(journal, id);

		add_line(draft, now,
			&(struct cs_journal_line){
				.type = published ? "published" : "known",
				.server_id = id});
	}
	for (size_t i = 0; i < journal->n_open; i++)
		add_open(draft, &journal->open[i]);
}

/* Pause and resume come at any time: nobody must write between our look at the last line
 * and our own, or at a file that is being put away. */
static int lock(const char *dir, struct cs_lock *ret, struct cs_error *err)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/journal.lock", dir);

	return cs_lock_wait(path, LOCK_LIMIT_MS, ret, err);
}

/* A file alone: the day's budget rests on its intents, too. */
static int load_file(const char *path, const struct cs_stamp *now, struct cs_journal *ret,
	struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(READ_MAX_BYTES);

	return read_file(path, &text, err) < 0 ||
			       cs_journal_fold(cs_strbuf_text(&text), text.len, path, now,
				       ret, err) < 0
		       ? (int)err->code
		       : 0;
}

/* Into the file that stays, before the older one goes: a kill at any point leaves both,
 * or the one that has it. Until the older one has gone they count twice. */
static int append_end(const char *path, const char *older, const struct cs_stamp *now,
	struct draft *draft, struct cs_error *err)
{
	CS_CLEANUP(cs_journal_done) struct cs_journal lost = {0};

	if (load_file(older, now, &lost, err) < 0)
		return err->code;
	cs_journal_uncount_open(&lost, now); /* the head of the one that stays has it */
	add_line(draft, now,
		&(struct cs_journal_line){.type = "end",
			.creates = lost.creates_last_day,
			.deletes = lost.deletes_last_day,
			.creates_hour = lost.creates_last_hour,
			.deletes_hour = lost.deletes_last_hour});
	if (cs_file_append(path, cs_strbuf_text(&draft->text), err) < 0)
		return err->code;
	cs_strbuf_clear(&draft->text);
	return 0;
}

int cs_journal_rotate(const char *dir, const char *run, struct cs_error *err)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/journal", dir);
	CS_AUTO_FREE char *older = cs_asprintf("%s/journal.1", dir);
	CS_CLEANUP(cs_lock_release) struct cs_lock held = CS_LOCK_NONE;
	CS_CLEANUP(cs_journal_done) struct cs_journal journal = {0};
	CS_CLEANUP(draft_done)
	struct draft head = {.text = CS_STRBUF(READ_MAX_BYTES), .run = run};
	struct cs_stamp now;
	struct stat st;

	if (stat(path, &st) < 0 || st.st_size <= ROTATE_BYTES)
		return 0;
	cs_stamp_now(&now);
	if (lock(dir, &held, err) < 0 || cs_journal_load(dir, &now, &journal, err) < 0)
		return err->code;
	memcpy(head.chain, journal.chain, sizeof head.chain);
	if (!journal.ended && append_end(path, older, &now, &head, err) < 0)
		return err->code;
	add_begin(&head, &now);
	add_head(&head, &now, &journal);
	if (cs_strbuf_check(&head.text, "the head of the journal", err) < 0)
		return err->code;
	/* A kill between the two steps leaves all of it in journal.1, which is read too.
	 */
	if (rename(path, older) < 0)
		return cs_error_set_errno(
			err, errno, "cannot move %s to %s", path, older);
	return cs_file_replace(
		path, cs_strbuf_text(&head.text), head.text.len, 0640, err);
}

/* The chain value to go on from; a file that is missing or empty is to be begun. */
static int find_end(const char *dir, const char *path, struct draft *draft,
	bool *ret_begins, struct cs_error *err)
{
	CS_AUTO_FREE char *older = cs_asprintf("%s/journal.1", dir);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(READ_MAX_BYTES);

	if (read_file(path, &text, err) < 0)
		return err->code;
	*ret_begins = text.len == 0;
	if (*ret_begins && read_file(older, &text, err) < 0)
		return err->code;
	cs_journal_last_chain(cs_strbuf_text(&text), text.len, draft->chain);
	return 0;
}

int cs_journal_append(const char *dir, const char *run,
	const struct cs_journal_line *line, struct cs_error *err)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/journal", dir);
	CS_CLEANUP(cs_lock_release) struct cs_lock held = CS_LOCK_NONE;
	CS_CLEANUP(draft_done)
	struct draft draft = {.text = CS_STRBUF(READ_MAX_BYTES), .run = run};
	struct cs_stamp now;
	bool begins;

	cs_stamp_now(&now);
	if (lock(dir, &held, err) < 0 || find_end(dir, path, &draft, &begins, err) < 0)
		return err->code;
	if (begins)
		add_begin(&draft, &now);
	add_line(&draft, &now, line);
	if (cs_strbuf_check(&draft.text, "a line of the journal", err) < 0)
		return err->code;
	return cs_file_append(path, cs_strbuf_text(&draft.text), err);
}
