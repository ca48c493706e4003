/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Engines between runs; see snmp_engines.h. */
#include <config.h>
#include "client/snmp_engines.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"

#define ENGINES_MAX (16 << 20)
#define KEY_SIZE (INET6_ADDRSTRLEN + 16)
#define ID_MIN 5 /* RFC 3411, SnmpEngineID */

static int64_t wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * CS_MS_PER_S + now.tv_nsec / 1000000;
}

/* "ADDRESS PORT"; a scope belongs to this machine, as the file does. */
static void key_of(const union cs_snmp_address *address, char ret[KEY_SIZE])
{
	char text[INET6_ADDRSTRLEN] = "";
	bool v4 = address->family == AF_INET;

	inet_ntop(address->family,
		v4 ? (const void *)&address->v4.sin_addr
		   : (const void *)&address->v6.sin6_addr,
		text, sizeof text);
	snprintf(ret, KEY_SIZE, "%s%%%u %u", text, v4 ? 0 : address->v6.sin6_scope_id,
		ntohs(v4 ? address->v4.sin_port : address->v6.sin6_port));
}

static const char digits[] = "0123456789abcdef";

static int hex_digit(char c)
{
	const char *found = c ? strchr(digits, c) : NULL;

	return found ? (int)(found - digits) : -1;
}

static bool parse_id(const char *text, struct cs_snmp_engine *ret)
{
	size_t len = strlen(text) / 2;

	if (strlen(text) % 2 || len < ID_MIN || len > sizeof ret->id)
		return false;
	for (size_t i = 0; i < len; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		ret->id[i] = (uint8_t)(high << 4 | low);
	}
	ret->id_len = (uint8_t)len;
	return true;
}

/* "ENGINE_ID BOOTS TIME_S WALL_MS" */
static bool parse_engine(char *text, struct cs_snmp_engine *ret)
{
	int64_t boots, time_s, at_wall_ms, now_ms = wall_ms();
	const char *id = strsep(&text, " "), *boots_text = strsep(&text, " "),
		   *time_text = strsep(&text, " ");
	struct cs_snmp_engine engine = {0};

	if (!text || !parse_id(id, &engine) ||
		!cs_parse_int(boots_text, 0, INT32_MAX, &boots) ||
		!cs_parse_int(time_text, 0, INT32_MAX, &time_s) ||
		!cs_parse_int(text, 0, INT64_MAX / 2, &at_wall_ms) || at_wall_ms > now_ms)
		return false;
	engine.boots = (uint32_t)boots;
	engine.time_s = (uint32_t)time_s;
	engine.at_ms = cs_monotonic_ms() - (now_ms - at_wall_ms);
	*ret = engine;
	return true;
}

static char *path_in(const char *dir)
{
	return cs_asprintf("%s/engines", dir);
}

/* The text behind the second blank of each line, by the text before it. */
static void index_lines(char *text, struct cs_map *ret)
{
	for (char *line; (line = strsep(&text, "\n")) && text;) {
		char *port = strchr(line, ' ');
		char *rest = port ? strchr(port + 1, ' ') : NULL;

		if (!rest)
			continue;
		*rest = '\0';
		cs_map_add(ret, line, "", rest + 1);
	}
}

static bool has_engine(
	const struct cs_snmp_target *target, const struct cs_snmp_engine *engine)
{
	return target->address.family != AF_UNSPEC && target->credential &&
	       target->credential->version == CS_SNMP_V3 && engine->id_len;
}

void cs_snmp_engines_load(const char *dir, const struct cs_snmp_target *targets,
	struct cs_snmp_engine *engines, size_t n)
{
	CS_AUTO_FREE char *path = path_in(dir);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(ENGINES_MAX);
	CS_CLEANUP(cs_map_done) struct cs_map lines = {0};
	struct cs_error ignored;
	char key[KEY_SIZE];

	if (cs_file_read_own(path, &text, &ignored) < 0)
		return;
	CS_AUTO_FREE char *copy = cs_strbuf_take(&text);
	index_lines(copy, &lines);
	for (size_t i = 0; i < n; i++) {
		if (targets[i].address.family == AF_UNSPEC ||
			targets[i].credential->version != CS_SNMP_V3)
			continue;
		key_of(&targets[i].address, key);
		const char *line = cs_map_find(&lines, key, "");
		CS_AUTO_FREE char *fields = line ? cs_strdup(line) : NULL;
		if (fields)
			parse_engine(fields, &engines[i]);
	}
}

static void add_line(struct cs_strbuf *out, const struct cs_snmp_target *target,
	const struct cs_snmp_engine *engine, int64_t now_ms)
{
	char key[KEY_SIZE], id[2 * sizeof engine->id + 1];

	key_of(&target->address, key);
	for (size_t i = 0; i < engine->id_len; i++) {
		id[2 * i] = digits[engine->id[i] >> 4];
		id[2 * i + 1] = digits[engine->id[i] & 15];
	}
	cs_strbuf_addf(out, "%s %.*s %" PRIu32 " %" PRIu32 " %" PRId64 "\n", key,
		2 * engine->id_len, id, engine->boots, cs_snmp_engine_time(engine),
		now_ms);
}

void cs_snmp_engines_save(const char *dir, const struct cs_snmp_target *targets,
	const struct cs_snmp_engine *engines, size_t n)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(ENGINES_MAX);
	CS_AUTO_FREE char *path = path_in(dir);
	int64_t now_ms = wall_ms();
	struct cs_error ignored;
	bool changed = false;

	for (size_t i = 0; i < n; i++) {
		if (!has_engine(&targets[i], &engines[i]))
			continue;
		changed |= engines[i].fresh;
		add_line(&text, &targets[i], &engines[i], now_ms);
	}
	if (changed && !text.overflow)
		(void)!cs_file_replace_own(
			path, cs_strbuf_text(&text), text.len, 0640, &ignored);
}
