/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines: text, seal and meaning of the members; see journal_line.h. */
#include <config.h>
#include "domain/journal_line.h"

#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "format/json.h"

/* What a sealed line ends with: this, the digits, and the rest of the object. */
#define SEAL ",\"chain\":\""
#define SEAL_END "\"}"
#define SEAL_LEN (sizeof SEAL - 1 + CS_DIGEST_SIZE - 1 + sizeof SEAL_END - 1)

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
	{"prev", offsetof(struct cs_journal_line, prev)},
	{"zone", offsetof(struct cs_journal_line, zone)},
	{"flavor", offsetof(struct cs_journal_line, flavor)},
};

/* Likewise the numbers; 0 is left out. */
static const struct {
	const char *key;
	size_t offset;
} numbers[] = {
	{"measurement", offsetof(struct cs_journal_line, measurement)},
	{"creates", offsetof(struct cs_journal_line, creates)},
	{"deletes", offsetof(struct cs_journal_line, deletes)},
	{"creates_hour", offsetof(struct cs_journal_line, creates_hour)},
	{"deletes_hour", offsetof(struct cs_journal_line, deletes_hour)},
};

static int64_t *number_of(struct cs_journal_line *line, size_t i)
{
	return (int64_t *)((char *)line + numbers[i].offset);
}

static const char **text_of(struct cs_journal_line *line, size_t i)
{
	return (const char **)((char *)line + texts[i].offset);
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
	for (size_t i = 0; i < CS_ARRAY_SIZE(numbers); i++) {
		if (*number_of(&copy, i))
			cs_json_add_int(object, numbers[i].key, *number_of(&copy, i));
	}
	if (line->decision)
		json_object_object_add(
			object, "decision", json_object_get(line->decision));
	return cs_strdup(cs_json_text(object));
}

/* Broken off by a crash or a full disk and ended by the next append: what it announces
 * was never done, as nothing is done before its line is on disk. */
static bool is_torn(const char *line, size_t len)
{
	return len == 0 || (line[0] == '{' && cs_json_breaks_off(line, len));
}

/* The chain value that a line bears, NULL when it is not sealed; borrowed. */
static const char *find_seal(const char *line, size_t len)
{
	const char *seal = line + len - SEAL_LEN;

	if (len <= SEAL_LEN || strncmp(seal, SEAL, sizeof SEAL - 1) != 0 ||
		strncmp(line + len - 2, SEAL_END, 2) != 0)
		return NULL;
	const char *digits = seal + sizeof SEAL - 1;
	return strspn(digits, "0123456789abcdef") == CS_DIGEST_SIZE - 1 ? digits : NULL;
}

static void copy_chain(const char *digits, char ret[CS_DIGEST_SIZE])
{
	memcpy(ret, digits, CS_DIGEST_SIZE - 1);
	ret[CS_DIGEST_SIZE - 1] = '\0';
}

char *cs_journal_seal(const char *text, char chain[CS_DIGEST_SIZE])
{
	size_t len = strlen(text) - 1; /* without the closing brace */

	cs_digest(chain, text, len, chain);
	return cs_asprintf("%.*s" SEAL "%s" SEAL_END, (int)len, text, chain);
}

void cs_journal_last_chain(const char *text, size_t len, char ret[CS_DIGEST_SIZE])
{
	ret[0] = '\0';
	while (len > 0) {
		const char *before = memrchr(text, '\n', len);
		const char *line = before ? before + 1 : text;
		const char *digits = find_seal(line, (size_t)(text + len - line));

		if (digits) {
			copy_chain(digits, ret);
			return;
		}
		len = before ? (size_t)(before - text) : 0;
	}
}

/* What is wrong with the seal of a line, or NULL. One that does not fit is believed from
 * then on, so each break is told once. */
static const char *check_seal(const char *line, size_t len,
	const struct cs_journal_line *members, char chain[CS_DIGEST_SIZE])
{
	const char *digits = find_seal(line, len);
	const char *problem = NULL;
	char expected[CS_DIGEST_SIZE];

	if (!digits)
		return *chain ? "it is not sealed, and lines before it are" : NULL;
	if (members->type && strcmp(members->type, "begin") == 0 && members->prev) {
		if (*chain && strcmp(chain, members->prev) != 0)
			problem = "lines are missing before it";
		else
			snprintf(chain, CS_DIGEST_SIZE, "%s", members->prev);
	}
	cs_digest(chain, line, len - SEAL_LEN, expected);
	if (!problem && strncmp(digits, expected, CS_DIGEST_SIZE - 1) != 0)
		problem = "its chain value does not fit: it, or a line before it, was "
			  "changed, taken out or put in";
	copy_chain(digits, chain);
	return problem;
}

static const char *read_line(const char *line, size_t len, struct json_object *object,
	char chain[CS_DIGEST_SIZE], struct cs_journal_entry *entry)
{
	if (!read_stamp(object, &entry->at))
		return "it is not a line that this version writes";
	for (size_t i = 0; i < CS_ARRAY_SIZE(texts); i++)
		*text_of(&entry->line, i) = cs_json_str(object, texts[i].key);
	for (size_t i = 0; i < CS_ARRAY_SIZE(numbers); i++)
		cs_json_int(object, numbers[i].key, number_of(&entry->line, i));
	entry->line.decision = cs_json_obj(object, "decision");
	entry->run = cs_json_str(object, "run");
	return check_seal(line, len, &entry->line, chain);
}

int cs_journal_walk(const char *text, size_t len, const char *name,
	char chain[CS_DIGEST_SIZE], cs_journal_visit *visit, void *context,
	struct cs_error *err)
{
	const char *end = text + len, *next;
	size_t number = 1;

	for (const char *line = text; line < end; line = next + 1, number++) {
		CS_AUTO_JSON struct json_object *object = NULL;
		struct cs_journal_entry entry = {.file = name, .number = number};

		next = memchr(line, '\n', (size_t)(end - line));
		if (!next)
			break; /* no line end: a write that never happened */
		size_t line_len = (size_t)(next - line);
		if (cs_json_parse(line, line_len, "the line", &object, err) < 0) {
			if (is_torn(line, line_len))
				continue;
			entry.problem = err->message;
		} else {
			entry.problem = read_line(line, line_len, object, chain, &entry);
		}
		if (visit(context, &entry, err) < 0)
			return err->code;
	}
	return 0;
}
