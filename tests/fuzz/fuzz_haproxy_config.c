/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/haproxy_config.h"

#define INPUT_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *cut_line(char **cursor)
{
	char *line = *cursor, *newline = strchr(line, '\n');

	if (newline)
		*newline = '\0';
	*cursor = newline ? newline + 1 : line + strlen(line);
	return line;
}

/* Takes the first line that ends in `tail` out of `text`; false when there is none. */
static bool take_line(char *text, const char *tail)
{
	char *at = strstr(text, tail);

	if (!at)
		return false;
	char *from = at;
	while (from > text && from[-1] != '\n')
		from--;
	memmove(from, at + strlen(tail), strlen(at + strlen(tail)) + 1);
	return true;
}

/* Options that pass the check stay the rest of one line, whatever Nova says. */
static char *expand(
	const char *options, const char *name, const char *endpoint, const char *zone)
{
	const struct cs_haproxy_values values = {.name = name,
		.id = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
		.endpoint = endpoint,
		.zone = zone,
		.vcpus = zone[0]};
	const struct cs_haproxy_row row = {name, "10.0.0.1:80", ""};
	struct cs_error err;

	if (cs_haproxy_options_check(options, &err) < 0)
		return cs_strdup("");
	char *expanded = cs_haproxy_options(options, &values);
	struct cs_haproxy_row whole = row;
	whole.options = expanded;
	if (strchr(expanded, '{') ||
		(cs_haproxy_row_ok(&row) != cs_haproxy_row_ok(&whole)))
		abort();
	return expanded;
}

/* Input: a server's name (and zone), an address, a raw endpoint, options, then the
 * template. Whatever Nova says becomes a safe name or nothing; what is rendered is the
 * template and one line, or that line and the head of its section. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CS_AUTO_FREE char *input =
		cs_strndup((const char *)data, size < INPUT_MAX ? size : INPUT_MAX);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(1 << 16);
	CS_CLEANUP(cs_haproxy_names_done) struct cs_haproxy_names taken = {0};
	char *cursor = input;
	char *wanted = cut_line(&cursor), *address = cut_line(&cursor),
	     *raw = cut_line(&cursor), *given = cut_line(&cursor);
	struct cs_error err;

	cs_haproxy_names_add(&taken, "web1");
	CS_AUTO_FREE char *name = cs_haproxy_name_make(wanted, wanted, &taken);
	CS_AUTO_FREE char *endpoint = cs_haproxy_endpoint(address, 80);
	if (!cs_haproxy_name_ok(name))
		abort();
	CS_AUTO_FREE char *options =
		expand(given, name, endpoint ? endpoint : "10.0.0.1:80", wanted);
	struct cs_haproxy_row row = {name, endpoint ? endpoint : raw, options};
	struct cs_haproxy_group group = {
		.cluster = "web", .backend = "web", .rows = &row, .n = 1};
	if (cs_haproxy_render(cursor, strlen(cursor), "input", &group, 1, &text, &err) <
		0)
		return 0;
	CS_AUTO_FREE char *tail = cs_asprintf("server %s %s%s%s\n", row.name,
		row.endpoint, *row.options ? " " : "", row.options);
	CS_AUTO_FREE char *rest = cs_strbuf_take(&text);
	CS_AUTO_FREE char *whole = cs_asprintf(
		"%s%s", cursor, cursor[strlen(cursor) - 1] == '\n' ? "" : "\n");
	if (!take_line(rest, tail))
		abort();
	/* a template that holds the very same line is not looked at any closer */
	bool section = strstr(whole, "clusterscale: backend") &&
		       strlen(rest) == strlen(whole) + strlen("backend web\n");
	if (strcmp(rest, whole) != 0 && !section && !strstr(whole, tail))
		abort();
	return 0;
}
