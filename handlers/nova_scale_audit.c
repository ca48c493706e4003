/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --audit: whether the journal is whole, and the story that it tells. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "nova_scale.h"

struct audit {
	size_t lines, problems;
};

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

/* ": TEXT", or nothing. */
static char *tail(const char *text)
{
	return text && *text ? cs_asprintf(": %s", text) : cs_strdup("");
}

/* What a line says, in words; owned by the caller. */
static char *tell(const struct cs_journal_entry *entry)
{
	const struct cs_journal_line *line = &entry->line;
	CS_AUTO_FREE char *why = tail(line->why);
	CS_AUTO_FREE char *detail = tail(line->detail);
	CS_AUTO_FREE char *name = line->name ? cs_asprintf("'%s'", line->name)
					     : cs_strdup(or_empty(line->server_id));
	const char *type = or_empty(line->type);

	if (strcmp(type, "begin") == 0)
		return cs_asprintf("%s begins", entry->file);
	if (strcmp(type, "end") == 0)
		return cs_asprintf("%s ends", entry->file);
	if (strcmp(type, "bind") == 0)
		return cs_asprintf("belongs to %s, project %s, region '%s'",
			or_empty(line->auth_url), or_empty(line->project),
			or_empty(line->region));
	if (strcmp(type, "intent") == 0)
		return cs_asprintf("%s %s%s", or_empty(line->action), name, why);
	if (strcmp(type, "request") == 0)
		return cs_asprintf("accepted as server %s", or_empty(line->server_id));
	if (strcmp(type, "result") == 0)
		return cs_asprintf("%s %s%s", or_empty(line->action),
			or_empty(line->outcome), detail);
	if (strcmp(type, "published") == 0)
		return cs_asprintf("%s is in service", name);
	if (strcmp(type, "known") == 0)
		return cs_asprintf("%s is ours", name);
	return cs_asprintf("%s%s%s%s", type, *name ? " " : "", name, detail);
}

static int audit_entry(
	void *context, const struct cs_journal_entry *entry, struct cs_error *err)
{
	struct audit *audit = context;
	char when[CS_WALL_TEXT_SIZE];

	(void)err;
	audit->lines++;
	if (entry->problem) {
		audit->problems++;
		printf("%s: line %zu: %s\n", entry->file, entry->number, entry->problem);
	}
	if (!entry->line.type)
		return 0;
	CS_AUTO_FREE char *told = tell(entry);
	cs_text_clean(told);
	cs_wall_format(entry->at.wall_ms, when);
	printf("%s  %-8.8s  %s\n", when, or_empty(entry->line.op), told);
	return 0;
}

int scale_audit(struct scale_program *program)
{
	char chain[CS_DIGEST_SIZE] = "";
	struct audit audit = {0};
	struct cs_error err;

	if (cs_journal_read(program->dir, audit_entry, &audit, chain, &err) < 0)
		return scale_failed(program, &err);
	if (audit.problems > 0) {
		printf("%zu of %zu lines do not fit: somebody changed the journal in %s, "
		       "or the disk did\n",
			audit.problems, audit.lines, program->dir);
		return CS_SCALE_FAILED;
	}
	printf("%zu lines, all of them fit%s%s\n", audit.lines,
		*chain ? "; chain value " : "; none is sealed", chain);
	return CS_SCALE_CONVERGED;
}
