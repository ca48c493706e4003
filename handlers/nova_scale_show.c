/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What nova_scale shows: the servers, the decision, and progress. Changes nothing. */
#include <config.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "domain/places.h"
#include "format/json.h"
#include "nova_scale.h"

#define AGE_SIZE 24
#define COLUMNS 79
#define CLEAR_LINE "\r\033[K"

/* Every line of a run goes to the log; a person reads the same on the terminal. Detached,
 * both streams are /dev/null. */
void scale_say(struct scale_program *program, int priority, const char *format, ...)
{
	FILE *stream = priority <= LOG_WARNING ? stderr : stdout;
	char text[1200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	cs_log(priority, "%s", text);
	cs_text_clean(text);
	if (program->terminal) {
		fputs(CLEAR_LINE, stdout);
		fflush(stdout); /* before anything on stderr */
	}
	fprintf(stream, "%s%s\n", priority <= LOG_WARNING ? "nova_scale: " : "", text);
	fflush(stdout);
}

int scale_failed(struct scale_program *program, const struct cs_error *err)
{
	scale_say(program, LOG_ERR, "%s", err->message);
	switch (err->code) {
	case CS_E_USAGE:
	case CS_E_CONFIG:
	case CS_E_LOCKED:
	case CS_E_REFUSED:
		return CS_SCALE_REFUSED;
	default:
		return CS_SCALE_FAILED;
	}
}

/* "12 s", "4 min", "3 h", "9 d": an age for a column. */
static const char *age_text(int64_t age_ms, char ret[AGE_SIZE])
{
	static const struct {
		int64_t seconds;
		const char *unit;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
	int64_t seconds = age_ms < 0 ? 0 : age_ms / CS_MS_PER_S;

	for (size_t i = 0; i < CS_ARRAY_SIZE(units); i++) {
		if (seconds < 2 * units[i].seconds && units[i].seconds > 1)
			continue;
		snprintf(ret, AGE_SIZE, "%lld %s",
			(long long)(seconds / units[i].seconds), units[i].unit);
		break;
	}
	return ret;
}

/* Progress. */

static const struct cs_server *server_of(
	const struct cs_fleet_view *view, const struct cs_journal_op *op)
{
	for (size_t i = 0; i < view->list.n; i++) {
		const struct cs_server *server = &view->list.servers[i];

		if (op->server_id
				? strcmp(server->id, op->server_id) == 0
				: server->mark_op && strcmp(server->mark_op, op->op) == 0)
			return server;
	}
	return NULL;
}

/* Nova's `progress` stays 0 until the end: the state and the task say more. */
static void add_state(struct cs_strbuf *text, const struct cs_server *server)
{
	cs_strbuf_addf(text, "status %s", server->status);
	if (server->task_state)
		cs_strbuf_addf(text, ", task %s", server->task_state);
	else if (server->mark_draining)
		cs_strbuf_add(text, ", draining");
}

static void show_once(struct scale_program *program, const char *line)
{
	for (size_t i = 0; i < program->shown.n; i++) {
		if (strcmp(program->shown.items[i], line) == 0)
			return;
	}
	cs_strings_add(&program->shown, line);
	scale_say(program, LOG_INFO, "%s", line);
}

static void show_on_terminal(const struct cs_strbuf *all)
{
	printf(CLEAR_LINE "%.*s", COLUMNS, cs_strbuf_text(all));
	fflush(stdout);
}

void scale_show_progress(struct scale_program *program, const struct cs_fleet_view *view,
	const struct cs_journal *journal)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf all = CS_STRBUF(4096);
	struct cs_stamp now;
	char age[AGE_SIZE];

	cs_stamp_now(&now);
	for (size_t i = 0; i < journal->n_open; i++) {
		const struct cs_journal_op *op = &journal->open[i];
		const struct cs_server *server = server_of(view, op);
		CS_CLEANUP(cs_strbuf_done) struct cs_strbuf line = CS_STRBUF(512);

		if (!server)
			continue;
		cs_strbuf_addf(&line, "Server %s ", server->name);
		add_state(&line, server);
		show_once(program, cs_strbuf_text(&line));
		age_text(cs_stamp_age_ms(&op->since, &now), age);
		cs_strbuf_addf(&all, "%s%s, %s", all.len ? "; " : "",
			cs_strbuf_text(&line), age);
	}
	if (program->terminal && all.len > 0)
		show_on_terminal(&all);
}

/* --status */

static const char *remark_on(const struct cs_sight *sight, const struct cs_member *member)
{
	const struct cs_journal *journal = &sight->journal;
	const struct cs_server *server = member->server;
	const struct cs_journal_op *op =
		cs_journal_op_of(journal, server->id, server->mark_op);

	if (op)
		return op->action == CS_ACTION_CREATE ? "being created" : "being deleted";
	if (server->locked || server->is_protected)
		return server->locked ? "locked" : "protected";
	if (!member->ours)
		return "not ours";
	if (cs_journal_is_published(journal, server->id))
		return "in service";
	return cs_plan_is_orphan(&sight->plan_input, member, CS_PLAN_ORPHAN_MS)
		       ? "orphan (--reap removes it)"
		       : "never published";
}

static void show_server(const struct cs_sight *sight, const struct cs_member *member)
{
	const struct cs_server *server = member->server;
	char age[AGE_SIZE] = "-";

	if (server->created_wall_ms >= 0)
		age_text(sight->now.wall_ms - server->created_wall_ms, age);
	printf("  %-8s %6s  %-15s  %s  %s  %s\n", cs_member_state_text(member->state),
		age, *member->address ? member->address : "-", server->id, server->name,
		remark_on(sight, member));
	if (server->fault)
		printf("           %s\n", server->fault);
}

static void show_open_work(const struct cs_sight *sight)
{
	char age[AGE_SIZE];

	for (size_t i = 0; i < sight->journal.n_open; i++) {
		const struct cs_journal_op *op = &sight->journal.open[i];

		printf("open: %s of '%s' for %s: %s\n", cs_action_text(op->action),
			op->name, age_text(cs_stamp_age_ms(&op->since, &sight->now), age),
			op->why);
	}
}

static void show_measurement(const struct cs_sight *sight)
{
	const struct cs_measurement *m = sight->policy_input.measurement;
	char age[AGE_SIZE];

	if (!m) {
		puts("measurement: none");
		return;
	}
	age_text(cs_stamp_age_ms(&m->at, &sight->now), age);
	if (m->load_permille < 0)
		printf("measurement: no load figure, %lld of %lld servers, %s ago\n",
			(long long)m->sampled, (long long)m->servers, age);
	else
		printf("measurement: load %lld.%lld %% on %lld of %lld servers, %s ago\n",
			(long long)m->load_permille / 10,
			(long long)m->load_permille % 10, (long long)m->sampled,
			(long long)m->servers, age);
}

static void show_last(
	const char *what, const struct cs_stamp *at, const struct cs_stamp *now)
{
	char when[CS_WALL_TEXT_SIZE], age[AGE_SIZE];

	if (at->wall_ms == 0) {
		printf("last %s: none in the journal\n", what);
		return;
	}
	cs_wall_format(at->wall_ms, when);
	printf("last %s: ended %s, %s ago\n", what, when,
		age_text(cs_stamp_age_ms(at, now), age));
}

static void show_lock(const struct scale_program *program)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/lock", program->dir);
	struct cs_error err;

	if (cs_lock_peek(path, &err) < 0)
		printf("lock: %s\n", err.message);
}

static void show_failed_creates(const struct cs_sight *sight)
{
	const struct cs_server_spec *servers = sight->policy_input.servers;

	for (size_t i = 0; i < cs_places_n(servers); i++) {
		const char *zone = cs_places_zone(servers, i);
		int64_t n = cs_places_failures(servers, i, &sight->journal);

		if (n > 0)
			printf("failed creates in a row%s%s: %lld\n",
				zone ? " in zone " : "", zone ? zone : "", (long long)n);
	}
}

static void show_status(const struct scale_program *program, const struct cs_sight *sight)
{
	const struct cs_cluster *cluster = program->cluster;
	const struct cs_journal *journal = &sight->journal;
	const struct cs_members *members = &sight->view.members;

	printf("cluster %s: mode %s, cloud %s, %lld to %lld servers, %zu now%s\n",
		cluster->name, cluster->mode == CS_MODE_ACT ? "act" : "observe",
		cluster->cloud, (long long)cluster->min, (long long)cluster->max,
		members->n, journal->paused ? ", paused" : "");
	for (size_t i = 0; i < members->n; i++)
		show_server(sight, &members->items[i]);
	show_open_work(sight);
	show_measurement(sight);
	show_last("scale-up", &journal->last_up, &sight->now);
	show_last("scale-down", &journal->last_down, &sight->now);
	printf("this hour: %lld of %lld creates, %lld of %lld deletes\n",
		(long long)journal->creates_last_hour,
		(long long)cluster->policy.creates_per_hour,
		(long long)journal->deletes_last_hour,
		(long long)cluster->policy.deletes_per_hour);
	show_failed_creates(sight);
	show_lock(program);
}

int scale_show_status(struct scale_program *program)
{
	CS_CLEANUP(cs_sight_done) struct cs_sight sight;
	struct cs_scale_ports ports;
	struct cs_scale scale = {
		.cluster = program->cluster, .ports = &ports, .finish_only = true};
	struct cs_error err;

	scale_ports(program, &ports);
	if (cs_scale_see(&scale, &sight, &err) < 0)
		return scale_failed(program, &err);
	show_status(program, &sight);
	return sight.policy_input.census.open_work ? CS_SCALE_OPEN : CS_SCALE_CONVERGED;
}

/* Decisions. */

static const char *const step_texts[] = {
	[CS_STEP_PROVE_GONE] = "look whether it is gone:",
	[CS_STEP_DISPROVE] = "give up the create of",
	[CS_STEP_NOTE_ID] = "record the id of",
	[CS_STEP_WAIT] = "wait for",
	[CS_STEP_PUBLISH] = "probe and publish",
	[CS_STEP_FAIL] = "give up the create of",
	[CS_STEP_REMOVE] = "remove the failed",
	[CS_STEP_EXCESS] = "remove, beyond max,",
	[CS_STEP_ADOPT_DRAIN] = "finish the drain of",
	[CS_STEP_MARK] = "drain and delete",
	[CS_STEP_DRAIN] = "drain and delete",
	[CS_STEP_DELETE] = "delete",
	[CS_STEP_DROP] = "give up deleting",
	[CS_STEP_TAG] = "repair the tag of",
	[CS_STEP_UNDRAIN] = "take back the drain of",
	[CS_STEP_CREATE] = "create a server",
	[CS_STEP_CHOOSE] = "drain and delete",
	[CS_STEP_REAP] = "drain and delete",
};

/* In mode observe the log keeps what would have been done; a question leaves no trace. */
static void CS_PRINTF(2, 3) tell(struct scale_program *program, const char *format, ...)
{
	char text[1200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (program->values.explain || program->values.dry_run)
		puts(text);
	else
		scale_say(program, LOG_INFO, "%s", text);
}

/* Owned by the caller. */
static char *step_text(const struct cs_step *step)
{
	const char *name = step->member ? step->member->server->name
			   : step->op	? step->op->name
					: "";

	if (step->kind == CS_STEP_CREATE)
		return cs_asprintf("%s%s%s", step_texts[step->kind],
			step->zone ? " in zone " : "", step->zone ? step->zone : "");
	return cs_asprintf("%s '%s' (%s)%s%s", step_texts[step->kind], name,
		step->server_id ? step->server_id : "no id yet",
		*step->chosen ? ", chosen: " : "", step->chosen);
}

static void tell_step(struct scale_program *program, const struct cs_step *step)
{
	CS_AUTO_FREE char *text = step_text(step);

	tell(program, "would %s", text);
}

static void tell_decision(struct scale_program *program, const struct cs_sight *sight)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(1 << 20);
	struct cs_policy_input in = sight->policy_input;
	char *rest, *line;

	/* A log is not the place for a line per server and firing. */
	if (!program->values.explain)
		in.n_members = 0;

	if (program->values.dry_run && !program->values.explain)
		cs_decision_outcome(&sight->decision, &text);
	else
		cs_decision_text(&in, &sight->decision, &text);
	rest = text.data;
	while ((line = strsep(&rest, "\n")) && *line)
		tell(program, "%s", line);
}

/* The decision as the journal keeps it, with the steps that would follow. */
static void print_decision(
	const struct scale_program *program, const struct cs_sight *sight)
{
	CS_AUTO_JSON struct json_object *document =
		cs_decision_json(&sight->policy_input, &sight->decision, SIZE_MAX);
	struct json_object *steps = json_object_new_array();

	cs_json_add_str(document, "cluster", program->cluster->name);
	for (size_t i = 0; i < sight->plan.n; i++) {
		CS_AUTO_FREE char *text = step_text(&sight->plan.steps[i]);

		json_object_array_add(steps, json_object_new_string(text));
	}
	json_object_object_add(document, "steps", steps);
	puts(cs_json_text(document));
}

/* What would stop a create before it is begun. */
static int check_creates(struct scale_program *program, const struct cs_scale *scale,
	const struct cs_plan *plan)
{
	struct cs_error err;

	for (size_t i = 0; i < plan->n; i++) {
		if (plan->steps[i].kind != CS_STEP_CREATE)
			continue;
		if (scale->ports->prepare(scale->ports->context, 1, &err) == 0)
			break;
		cs_error_prefix(&err, "that create would be refused");
		return scale_failed(program, &err);
	}
	return CS_SCALE_CONVERGED;
}

int scale_show_decision(struct scale_program *program, const struct cs_scale *scale)
{
	CS_CLEANUP(cs_sight_done) struct cs_sight sight;
	struct cs_error err;

	if (cs_scale_see(scale, &sight, &err) < 0)
		return scale_failed(program, &err);
	if (program->values.output && strcmp(program->values.output, "json") == 0) {
		print_decision(program, &sight);
		return CS_SCALE_CONVERGED;
	}
	tell_decision(program, &sight);
	for (size_t i = 0; i < sight.plan.n; i++)
		tell_step(program, &sight.plan.steps[i]);
	if (program->cluster->mode == CS_MODE_OBSERVE)
		tell(program, "mode is observe: nothing is done");
	return check_creates(program, scale, &sight.plan);
}
