/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What haproxy_sync knows of its last passes over one configuration file: the hash of the
 * text that was proved to be running, when it last reloaded, and per server the name it
 * was given, whether it has a line, and whether it was us who set it to drain; and which
 * old workers owe an answer. One JSON object, replaced as a whole; a missing one is an
 * empty one. For publish.c alone. */
#ifndef CS_DOMAIN_PUBLISH_RECORD_H
#define CS_DOMAIN_PUBLISH_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/stamp.h"
#include "base/strbuf.h"

#define CS_PUBLISH_HASH_SIZE 17

/* HAProxy's master serves ten connections at once. One with a question that a worker does
 * not answer stays taken until that worker answers or ends, or the master reloads,
 * whether or not who asked still waits for it (measured on 2.6.12). */
#define CS_PUBLISH_UNANSWERED_MAX 5

struct cs_publish_entry {
	char *cluster, *id, *name;
	char *endpoint; /* "" when it has none */
	char *options;	/* behind it on the line */
	bool has_line;
	bool drained_by_us;
};

/* Old workers by their process ids, once for each question that is without an answer. */
struct cs_publish_unanswered {
	int64_t current; /* worker of then; with another one they count no more */
	int64_t pids[CS_PUBLISH_UNANSWERED_MAX];
	size_t n;
};

/* Owned by the caller. */
struct cs_publish_record {
	char applied[CS_PUBLISH_HASH_SIZE]; /* "" before the first reload of ours */
	/* The text that a pass was about to put into the file last, "" for none: in the
	 * file and not applied it is of a pass that died, anything else is a person's. */
	char installing[CS_PUBLISH_HASH_SIZE];
	struct cs_stamp reloaded; /* all 0 when never */
	struct cs_publish_unanswered unanswered;
	struct cs_publish_entry *entries;
	size_t n;
};

/* FNV-1a of 64 bits in hex: tells texts apart that nobody forges. */
void cs_publish_hash(
	const struct cs_strbuf *text, char ret[CS_PUBLISH_HASH_SIZE]) CS_NONNULL_ALL;

/* Copies what it is given. */
void cs_publish_record_add(struct cs_publish_record *record,
	const struct cs_publish_entry *entry) CS_NONNULL_ALL;

/* CS_E_PROTOCOL when the text is not a record: better no pass than one that has forgotten
 * names and drains. */
int cs_publish_record_parse(const char *text, size_t len, struct cs_publish_record *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_publish_record_write(
	const struct cs_publish_record *record, struct cs_strbuf *ret) CS_NONNULL_ALL;

bool cs_publish_record_same(const struct cs_publish_record *one,
	const struct cs_publish_record *other) CS_NONNULL_ALL;
void cs_publish_record_done(struct cs_publish_record *record) CS_NONNULL_ALL;

#endif
