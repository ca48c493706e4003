/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The journal: folding its lines into facts; see journal.h. Folding one line twice
 * changes nothing, so the head of a rotated journal may repeat what journal.1 says. */
#include <config.h>
#include "domain/journal.h"

#include <string.h>

#include "base/parse.h"
#include "base/sorted.h"
#include "domain/journal_line.h"
#include "format/json.h"

#define HOUR_MS (3600 * CS_MS_PER_S)
#define DAY_MS (24 * HOUR_MS)

const char *cs_action_text(enum cs_action action)
{
	return action == CS_ACTION_CREATE ? "create" : "delete";
}

/* A set of ids, in order. */

static const char *text_of(const void *row)
{
	return *(char *const *)row;
}

static size_t strings_place(
	const struct cs_strings *set, const char *text, bool *ret_found)
{
	return cs_sorted_place(
		set->items, set->n, sizeof *set->items, text_of, text, ret_found);
}

static bool strings_have(const struct cs_strings *set, const char *text)
{
	bool found;

	strings_place(set, text, &found);
	return found;
}

static void strings_insert(struct cs_strings *set, const char *text)
{
	bool found;
	size_t at = strings_place(set, text, &found);

	if (found)
		return;
	cs_strings_add(set, text);
	char *added = set->items[set->n - 1];
	memmove(&set->items[at + 1], &set->items[at],
		(set->n - 1 - at) * sizeof *set->items);
	set->items[at] = added;
}

static void strings_remove(struct cs_strings *set, const char *text)
{
	bool found;
	size_t at = strings_place(set, text, &found);

	if (!found)
		return;
	free(set->items[at]);
	/* with the NULL that ends it */
	memmove(&set->items[at], &set->items[at + 1], (set->n - at) * sizeof *set->items);
	set->n--;
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
	free(op->zone);
	free(op->flavor);
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

/* Places. */

const struct cs_journal_place *cs_journal_place_of(
	const struct cs_journal *journal, const char *zone, const char *flavor)
{
	for (size_t i = 0; i < journal->n_places; i++) {
		const struct cs_journal_place *place = &journal->places[i];

		if (strcmp(place->zone, zone ? zone : "") == 0 &&
			strcmp(place->flavor, flavor ? flavor : "") == 0)
			return place;
	}
	return NULL;
}

static void note_place(struct cs_journal *journal, const struct cs_journal_op *op,
	bool failed, const struct cs_stamp *at)
{
	const char *zone = op && op->zone ? op->zone : "";
	const char *flavor = op && op->flavor ? op->flavor : "";
	const struct cs_journal_place *found = cs_journal_place_of(journal, zone, flavor);
	struct cs_journal_place *place;

	if (found) {
		place = &journal->places[found - journal->places];
	} else {
		journal->places = cs_reallocarray(
			journal->places, journal->n_places + 1, sizeof *journal->places);
		place = &journal->places[journal->n_places++];
		*place = (struct cs_journal_place){
			.zone = cs_strdup(zone), .flavor = cs_strdup(flavor)};
	}
	place->failed_in_row = failed ? place->failed_in_row + 1 : 0;
	if (failed)
		place->last_failed = *at;
}

static void forgive_places(struct cs_journal *journal)
{
	for (size_t i = 0; i < journal->n_places; i++) {
		free(journal->places[i].zone);
		free(journal->places[i].flavor);
	}
	free(journal->places);
	journal->places = NULL;
	journal->n_places = 0;
}

/* A create that failed moved nothing: what was measured before it still holds. */
static void give_measurement_back(
	struct cs_journal *journal, const struct cs_journal_op *op)
{
	if (!op || op->measurement == 0 ||
		op->measurement != journal->used_measurement_wall_ms)
		return;
	if (--journal->used_intents == 0)
		journal->used_measurement_wall_ms = 0;
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

/* A line from the future counts: it never widens a budget. */
static void count(
	struct cs_journal *journal, bool is_create, int64_t age_ms, int64_t intents)
{
	int64_t *hour =
		is_create ? &journal->creates_last_hour : &journal->deletes_last_hour;
	int64_t *day =
		is_create ? &journal->creates_last_day : &journal->deletes_last_day;

	*hour += age_ms < HOUR_MS ? intents : 0;
	*day += age_ms < DAY_MS ? intents : 0;
}

void cs_journal_uncount_open(struct cs_journal *journal, const struct cs_stamp *now)
{
	for (size_t i = 0; i < journal->n_open; i++)
		count(journal, journal->open[i].action == CS_ACTION_CREATE,
			cs_stamp_age_ms(&journal->open[i].since, now), -1);
}

static void count_intent(struct fold *fold)
{
	struct cs_journal *journal = fold->journal;

	count(journal, fold->is_create, cs_stamp_age_ms(&fold->at, fold->now), 1);
	if (!fold->line.measurement)
		return;
	if (fold->line.measurement != journal->used_measurement_wall_ms)
		journal->used_intents = 0;
	journal->used_measurement_wall_ms = fold->line.measurement;
	journal->used_intents++;
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
	if (fold->line.decision) {
		journal->rolling_base = 0;
		cs_json_int(fold->line.decision, "rolling_base", &journal->rolling_base);
		cs_strset(&journal->rolling_image,
			cs_json_str(fold->line.decision, "rolling_image"));
	}
	journal->open = cs_reallocarray(
		journal->open, journal->n_open + 1, sizeof *journal->open);
	struct cs_journal_op *op = &journal->open[journal->n_open++];
	*op = (struct cs_journal_op){
		.action = fold->is_create ? CS_ACTION_CREATE : CS_ACTION_DELETE,
		.server_id = has_server(fold) ? cs_strdup(line->server_id) : NULL,
		.name = cs_strdup(line->name ? line->name : ""),
		.why = cs_strdup(line->why ? line->why : ""),
		.measurement = line->measurement,
		.since = fold->at};
	cs_strset(&op->zone, line->zone);
	cs_strset(&op->flavor, line->flavor);
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
		note_place(journal, op, failed, &fold->at);
	if (fold->is_create && failed)
		give_measurement_back(journal, op);
	/* A create that did not come about moved nothing; a cancelled drain gave capacity
	 * back. */
	if (!fold->is_create && cancelled)
		journal->rolling_base = 0;
	if (fold->is_create ? done : cancelled)
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
	fold->journal->rolling_base = 0;
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
	forgive_places(fold->journal);
	return true;
}

static bool fold_begin(struct fold *fold)
{
	(void)fold;
	return true;
}

/* When exactly they were is not known any more: as late as can be. */
static bool fold_end(struct fold *fold)
{
	struct cs_journal *journal = fold->journal;
	const struct cs_journal_line *line = &fold->line;
	int64_t age_ms = cs_stamp_age_ms(&fold->at, fold->now);

	if (line->creates < 0 || line->deletes < 0 || line->creates_hour < 0 ||
		line->deletes_hour < 0)
		return false;
	if (age_ms < HOUR_MS) {
		journal->creates_last_hour += line->creates_hour;
		journal->deletes_last_hour += line->deletes_hour;
	}
	if (age_ms < DAY_MS) {
		journal->creates_last_day += line->creates;
		journal->deletes_last_day += line->deletes;
	}
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
	{"begin", fold_begin},
	{"end", fold_end},
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
		if (strcmp(types[i].type, fold->line.type) != 0)
			continue;
		fold->journal->ended = types[i].fold == fold_end;
		return types[i].fold(fold);
	}
	return false;
}

struct folding {
	struct cs_journal *journal;
	const struct cs_stamp *now;
};

static int fold_entry(
	void *context, const struct cs_journal_entry *entry, struct cs_error *err)
{
	const struct folding *folding = context;
	struct fold fold = {.journal = folding->journal,
		.line = entry->line,
		.at = entry->at,
		.now = folding->now};
	const char *problem = entry->problem;

	if (!problem && !fold_typed(&fold))
		problem = "it is not a line that this version writes";
	if (!problem)
		return 0;
	CS_AUTO_FREE char *reason = cs_strdup(problem); /* it may lie in `err` */
	return cs_error_set(err, CS_E_PROTOCOL,
		"the journal %s is damaged in line %zu: %s; nothing is scaled until a "
		"person "
		"has looked at it (nova_scale --audit shows it; moved away, a new one is "
		"begun)",
		entry->file, entry->number, reason);
}

int cs_journal_fold(const char *text, size_t len, const char *name,
	const struct cs_stamp *now, struct cs_journal *journal, struct cs_error *err)
{
	struct folding folding = {journal, now};

	return cs_journal_walk(
		text, len, name, journal->chain, fold_entry, &folding, err);
}

int cs_journal_load(const char *dir, const struct cs_stamp *now, struct cs_journal *ret,
	struct cs_error *err)
{
	struct cs_journal journal = {0};
	struct folding folding = {&journal, now};

	if (cs_journal_read(dir, fold_entry, &folding, journal.chain, err) < 0) {
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
	free(journal->rolling_image);
	forgive_places(journal);
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
	return strings_have(&journal->published, server_id);
}

bool cs_journal_is_known(const struct cs_journal *journal, const char *server_id)
{
	return strings_have(&journal->known, server_id);
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
