/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is known of each member's load when a decision is made: its last sample with age
 * and weight, or why it does not count. One wording for --explain, for the long output of
 * check_cluster_cpu and, as JSON, for the journal. Pure. */
#ifndef CS_DOMAIN_EVIDENCE_H
#define CS_DOMAIN_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "domain/history.h"
#include "domain/members.h"
#include "domain/samples.h"

struct json_object;

#define CS_EVIDENCE_WHY_SIZE 128

struct cs_evidence {
	const char *id, *name, *where; /* borrowed; `where` may be NULL */
	const char *state;	   /* static: "sampled", "missing", "stale", "warming",
				      or "not counted" of what is not ACTIVE */
	int64_t age_ms;		   /* of its newest sample; -1: there is none, or it is
				      of just now */
	enum cs_cpu_source source; /* of the load */
	int64_t load_permille, cpus, span_ms; /* cpus 0: there is no load */
	char why[CS_EVIDENCE_WHY_SIZE];	      /* "" when sampled */
};

void cs_evidence_set_load(
	struct cs_evidence *evidence, const struct cs_cpu_load *load) CS_NONNULL_ALL;

/* One for each member, in their order, from what the last run of check_cluster_cpu has
 * kept (as read from its file); `measurement` is its result, or NULL. `ret` has room for
 * members->n. */
void cs_evidence_collect(const struct cs_members *members,
	const struct cs_samples *samples, const struct cs_measurement *measurement,
	const struct cs_cpu_spec *spec, const struct cs_stamp *now,
	struct cs_evidence *ret) CS_NONNULL(1, 2, 4, 5, 6);

/* Appends "web1 (10.0.0.5): 80.0 %, 2 CPUs, over 60 s, 7 s ago", printable. */
void cs_evidence_add(
	struct cs_strbuf *out, const struct cs_evidence *evidence) CS_NONNULL_ALL;
/* The same alone, owned by the caller. */
char *cs_evidence_text(const struct cs_evidence *evidence) CS_MUST_CHECK CS_NONNULL_ALL;

/* {"id", "name", "address", "state", "reason", "cpu", "cpus", "span_ms", "source",
 * "age_ms"}: what is not known is absent. Owned by the caller. */
struct json_object *cs_evidence_json(
	const struct cs_evidence *evidence) CS_MUST_CHECK CS_NONNULL_ALL;

/* The inverse; `ret` borrows from the object. False when something is missing. */
bool cs_evidence_parse(struct json_object *object, struct cs_evidence *ret) CS_MUST_CHECK
	CS_NONNULL(2);

#endif
