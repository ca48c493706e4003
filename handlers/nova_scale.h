/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of nova_scale share. */
#ifndef CS_HANDLERS_NOVA_SCALE_H
#define CS_HANDLERS_NOVA_SCALE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/deadline.h"
#include "base/file.h"
#include "client/floating.h"
#include "domain/config.h"
#include "domain/fleet.h"
#include "domain/scale.h"

/* PATH of the program and of what it runs, whoever started it: a command that is found
 * when a person tries it is found when a core fires it. */
#define SCALE_SEARCH_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* The command line. */
struct scale_values {
	const char *cluster, *file;
	int64_t create, to;
	const char *remove, *adopt;
	const char *snapshot, *from;
	const char *output, *at;
	int64_t age_ms;				  /* of --reap */
	const char *state, *state_type, *attempt; /* `state` not NULL: fired by a core */
	bool status, explain, audit, dry_run, pause, resume, rebind, check_config, force;
	bool reap, show_config, doctor;
	int verbose;
};

/* One run of the program on one cluster. */
struct scale_program {
	struct scale_values values;
	struct cs_config *config;
	const struct cs_cluster *cluster; /* borrowed from config */
	char *path; /* of the configuration; absolute: detached we are in / */
	char *dir;  /* <state-dir>/<cluster> */
	struct cs_lock lock;
	struct cs_fleet *fleet;		/* NULL until the cloud is needed */
	struct scale_request *requests; /* in flight; see nova_scale_ports.c */
	char *user_data;		/* base64, NULL until a create needs it */
	char *image_id; /* of new servers; NULL: not asked for, or unknown */
	bool image_asked;
	struct cs_floating_list
		floating; /* before the last look; nova_scale_floating.c */
	struct cs_error floating_trouble; /* code 0, or why they are not known */
	bool acts;		 /* may change something: bind, measure, record */
	int64_t measured_ms;	 /* when, on the monotonic clock; 0: not by us */
	bool measured;		 /* check_cluster_cpu was run already */
	bool began;		 /* something that a firing may undo */
	bool terminal;		 /* stdout is one */
	struct cs_strings shown; /* server states that were shown last */
};

void scale_program_done(struct scale_program *program) CS_NONNULL_ALL;

/* The configuration and the cluster in it; makes and logs nothing. */
int scale_load(
	struct scale_program *program, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* nova_scale_doctor.c: looks at everything that scaling needs, a line each. 1 when
 * something is wrong. */
int scale_doctor(struct scale_program *program) CS_NONNULL_ALL;

/* nova_scale_audit.c */

int scale_audit(struct scale_program *program) CS_NONNULL_ALL;

/* nova_scale_ports.c */

/* Fills `ret` with the real world; borrows `program`. */
void scale_ports(
	struct scale_program *program, struct cs_scale_ports *ret) CS_NONNULL_ALL;

/* Opens the cloud when it is not open yet, and holds the journal to it: another project
 * or region is CS_E_REFUSED. The session's deadline begins anew. */
int scale_cloud(
	struct scale_program *program, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Holds the journal to the cloud that is open, and binds it when the program acts. */
int scale_hold_to_cloud(
	struct scale_program *program, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Reads what the configuration gives new servers to run, if anything, once. */
int scale_read_user_data(
	struct scale_program *program, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Where check_cluster_cpu is, or should be; owned by the caller. */
char *scale_check_path(void);

/* Can the load balancer's `sync` be started? CS_E_CONFIG says why not. */
int scale_check_command(const struct scale_program *program,
	const struct cs_load_balancer *lb,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
/* Can every load balancer's `sync` be started? CS_E_CONFIG names the one that cannot. */
int scale_check_commands(const struct scale_program *program,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

int scale_load_journal(struct scale_program *program, struct cs_journal *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
int scale_append(struct scale_program *program, const struct cs_journal_line *line,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Takes the cluster's lock; CS_E_LOCKED names the holder. */
int scale_lock(
	struct scale_program *program, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* nova_scale_evidence.c */
void scale_find_evidence(
	struct scale_program *program, struct cs_plan_evidence *ret) CS_NONNULL_ALL;

/* nova_scale_floating.c */

/* To be called before each list of servers. */
void scale_list_floating(struct scale_program *program) CS_NONNULL_ALL;
/* struct cs_scale_ports: settle. */
int scale_settle_floating(void *context, const struct cs_fleet_view *view,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* nova_scale_verbs.c: what is not a reconcile. Exit statuses; failures are said. */
int scale_adopt(struct scale_program *program) CS_NONNULL_ALL;
/* Any server of the project, by name or id; CS_E_REFUSED. Borrowed from the list. */
int scale_find_server(const struct cs_server_list *list, const char *name_or_id,
	const struct cs_server **ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
int scale_rebind(struct scale_program *program) CS_NONNULL_ALL;
int scale_pause(struct scale_program *program, bool pause) CS_NONNULL_ALL;

/* nova_scale_snapshot.c */
int scale_snapshot(struct scale_program *program) CS_NONNULL_ALL;

/* nova_scale_show.c: what changes nothing. */
int scale_show_status(struct scale_program *program) CS_NONNULL_ALL;

/* --explain, --dry-run and mode observe. */
int scale_show_decision(
	struct scale_program *program, const struct cs_scale *scale) CS_NONNULL_ALL;

/* nova_scale_story.c: --explain --at */
int scale_show_story(struct scale_program *program) CS_NONNULL_ALL;

/* A line that says something happened: to the log, and to a person. */
void scale_say(struct scale_program *program, int priority, const char *format, ...)
	CS_PRINTF(3, 4) CS_NONNULL(1, 3);

/* Says why and returns the exit status that goes with it: a refusal or another fault of
 * what was typed or configured is 3, everything else 2. */
int scale_failed(
	struct scale_program *program, const struct cs_error *err) CS_NONNULL_ALL;

/* What became of the servers under way, a line for each change. */
void scale_show_progress(struct scale_program *program, const struct cs_fleet_view *view,
	const struct cs_journal *journal) CS_NONNULL_ALL;

#endif
