/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The record as JSON; see publish_record.h. */
#include <config.h>
#include "domain/publish_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "format/json.h"

#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

void cs_publish_hash(const struct cs_strbuf *text, char ret[CS_PUBLISH_HASH_SIZE])
{
	const unsigned char *bytes = (const unsigned char *)cs_strbuf_text(text);
	uint64_t hash = FNV_OFFSET;

	for (size_t i = 0; i < text->len; i++)
		hash = (hash ^ bytes[i]) * FNV_PRIME;
	snprintf(ret, CS_PUBLISH_HASH_SIZE, "%016" PRIx64, hash);
}

void cs_publish_record_add(
	struct cs_publish_record *record, const struct cs_publish_entry *entry)
{
	if ((record->n & (record->n - 1)) == 0) /* grows at the powers of two */
		record->entries = cs_reallocarray(record->entries,
			record->n ? record->n * 2 : 1, sizeof *record->entries);
	record->entries[record->n++] =
		(struct cs_publish_entry){.cluster = cs_strdup(entry->cluster),
			.id = cs_strdup(entry->id),
			.name = cs_strdup(entry->name),
			.endpoint = cs_strdup(entry->endpoint),
			.options = cs_strdup(entry->options),
			.has_line = entry->has_line,
			.drained_by_us = entry->drained_by_us};
}

static bool read_entry(struct json_object *object, struct cs_publish_record *record)
{
	struct cs_publish_entry entry = {
		.cluster = (char *)cs_json_str(object, "cluster"),
		.id = (char *)cs_json_str(object, "id"),
		.name = (char *)cs_json_str(object, "name"),
		.endpoint = (char *)cs_json_str(object, "endpoint"),
		.options = (char *)cs_json_str(object, "options")};

	if (!entry.cluster || !entry.id || !entry.name || !entry.endpoint ||
		!entry.options || !cs_json_bool(object, "line", &entry.has_line) ||
		!cs_json_bool(object, "drained", &entry.drained_by_us))
		return false;
	cs_publish_record_add(record, &entry);
	return true;
}

/* Missing or odd: never reloaded. At worst one reload comes too early. */
static void read_reloaded(struct json_object *object, struct cs_stamp *ret)
{
	const char *boot_id = cs_json_str(object, "boot_id");

	if (!boot_id || !cs_json_int(object, "wall_ms", &ret->wall_ms) ||
		!cs_json_int(object, "boot_ms", &ret->boot_ms))
		*ret = (struct cs_stamp){0};
	else
		snprintf(ret->boot_id, sizeof ret->boot_id, "%s", boot_id);
}

/* Missing or odd: a question or two more. */
static void read_unanswered(struct json_object *object, struct cs_publish_unanswered *ret)
{
	struct json_object *pids = cs_json_arr(object, "pids");
	size_t n = pids ? json_object_array_length(pids) : 0;

	if (!cs_json_int(object, "current", &ret->current))
		return;
	for (size_t i = 0; i < n && ret->n < CS_PUBLISH_UNANSWERED_MAX; i++)
		ret->pids[ret->n++] =
			json_object_get_int64(json_object_array_get_idx(pids, i));
}

int cs_publish_record_parse(
	const char *text, size_t len, struct cs_publish_record *ret, struct cs_error *err)
{
	CS_CLEANUP(cs_publish_record_done) struct cs_publish_record record = {0};
	CS_AUTO_JSON struct json_object *object = NULL;

	if (cs_json_parse(text, len, "the record of haproxy_sync", &object, err) < 0)
		return err->code;
	const char *applied = cs_json_str(object, "applied");
	struct json_object *servers = cs_json_arr(object, "servers");
	bool good = applied && servers;
	for (size_t i = 0; good && i < json_object_array_length(servers); i++)
		good = read_entry(json_object_array_get_idx(servers, i), &record);
	if (!good)
		return cs_error_set(
			err, CS_E_PROTOCOL, "it is not what haproxy_sync writes there");
	snprintf(record.applied, sizeof record.applied, "%s", applied);
	const char *installing = cs_json_str(object, "installing");
	snprintf(record.installing, sizeof record.installing, "%s",
		installing ? installing : "");
	read_reloaded(cs_json_obj(object, "reloaded"), &record.reloaded);
	read_unanswered(cs_json_obj(object, "unanswered"), &record.unanswered);
	*ret = record;
	record = (struct cs_publish_record){0};
	return 0;
}

static void add_member(struct cs_strbuf *ret, const char *before, const char *text)
{
	cs_strbuf_add(ret, before);
	cs_json_quote(text, ret);
}

static void add_entry(struct cs_strbuf *ret, const struct cs_publish_entry *entry)
{
	add_member(ret, "{\"cluster\":", entry->cluster);
	add_member(ret, ",\"id\":", entry->id);
	add_member(ret, ",\"name\":", entry->name);
	add_member(ret, ",\"endpoint\":", entry->endpoint);
	add_member(ret, ",\"options\":", entry->options);
	cs_strbuf_add(ret, entry->has_line ? ",\"line\":true" : ",\"line\":false");
	cs_strbuf_add(
		ret, entry->drained_by_us ? ",\"drained\":true}" : ",\"drained\":false}");
}

static void add_unanswered(
	struct cs_strbuf *ret, const struct cs_publish_unanswered *unanswered)
{
	if (unanswered->n == 0)
		return;
	cs_strbuf_add(ret, ",\"unanswered\":{\"current\":");
	cs_strbuf_add_int(ret, unanswered->current);
	for (size_t i = 0; i < unanswered->n; i++) {
		cs_strbuf_add(ret, i == 0 ? ",\"pids\":[" : ",");
		cs_strbuf_add_int(ret, unanswered->pids[i]);
	}
	cs_strbuf_add(ret, "]}");
}

void cs_publish_record_write(
	const struct cs_publish_record *record, struct cs_strbuf *ret)
{
	add_member(ret, "{\"applied\":", record->applied);
	if (*record->installing)
		add_member(ret, ",\"installing\":", record->installing);
	if (record->reloaded.wall_ms) {
		cs_strbuf_add(ret, ",\"reloaded\":{\"wall_ms\":");
		cs_strbuf_add_int(ret, record->reloaded.wall_ms);
		cs_strbuf_add(ret, ",\"boot_ms\":");
		cs_strbuf_add_int(ret, record->reloaded.boot_ms);
		add_member(ret, ",\"boot_id\":", record->reloaded.boot_id);
		cs_strbuf_add(ret, "}");
	}
	add_unanswered(ret, &record->unanswered);
	cs_strbuf_add(ret, ",\"servers\":[");
	for (size_t i = 0; i < record->n; i++) {
		if (i > 0)
			cs_strbuf_add(ret, ",");
		add_entry(ret, &record->entries[i]);
	}
	cs_strbuf_add(ret, "]}\n");
}

static bool same_entry(
	const struct cs_publish_entry *one, const struct cs_publish_entry *other)
{
	return strcmp(one->cluster, other->cluster) == 0 &&
	       strcmp(one->id, other->id) == 0 && strcmp(one->name, other->name) == 0 &&
	       strcmp(one->endpoint, other->endpoint) == 0 &&
	       strcmp(one->options, other->options) == 0 &&
	       one->has_line == other->has_line &&
	       one->drained_by_us == other->drained_by_us;
}

bool cs_publish_record_same(
	const struct cs_publish_record *one, const struct cs_publish_record *other)
{
	bool same = one->n == other->n && strcmp(one->applied, other->applied) == 0 &&
		    strcmp(one->installing, other->installing) == 0 &&
		    one->reloaded.wall_ms == other->reloaded.wall_ms;

	for (size_t i = 0; same && i < one->n; i++)
		same = same_entry(&one->entries[i], &other->entries[i]);
	return same;
}

void cs_publish_record_done(struct cs_publish_record *record)
{
	for (size_t i = 0; i < record->n; i++) {
		free(record->entries[i].cluster);
		free(record->entries[i].id);
		free(record->entries[i].name);
		free(record->entries[i].endpoint);
		free(record->entries[i].options);
	}
	free(record->entries);
	*record = (struct cs_publish_record){0};
}
