/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

/* Input: a server's name, an address, a raw endpoint, then the template. Whatever Nova
 * says becomes a safe name or nothing; what is rendered is the template and one line. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CS_AUTO_FREE char *input =
		cs_strndup((const char *)data, size < INPUT_MAX ? size : INPUT_MAX);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(1 << 16);
	CS_CLEANUP(cs_strings_done) struct cs_strings taken = {0};
	char *cursor = input;
	char *wanted = cut_line(&cursor), *address = cut_line(&cursor),
	     *raw = cut_line(&cursor);
	struct cs_error err;

	cs_strings_add(&taken, "web1");
	CS_AUTO_FREE char *name = cs_haproxy_name_make(wanted, wanted, &taken);
	CS_AUTO_FREE char *endpoint = cs_haproxy_endpoint(address, 80);
	CS_AUTO_FREE char *chroot = cs_haproxy_directive(cursor, "chroot");
	if (!cs_haproxy_name_ok(name) || (chroot && !*chroot))
		abort();
	struct cs_haproxy_row row = {name, endpoint ? endpoint : raw};
	struct cs_haproxy_group group = {.cluster = "web",
		.backend = "web",
		.options = "check",
		.rows = &row,
		.n = 1};
	if (cs_haproxy_render(cursor, strlen(cursor), "input", &group, 1, &text, &err) <
		0)
		return 0;
	CS_AUTO_FREE char *tail =
		cs_asprintf("server %s %s check\n", row.name, row.endpoint);
	CS_AUTO_FREE char *rest = cs_strbuf_take(&text);
	CS_AUTO_FREE char *whole = cs_asprintf(
		"%s%s", cursor, cursor[strlen(cursor) - 1] == '\n' ? "" : "\n");
	if (!take_line(rest, tail))
		abort();
	/* a template that holds the very same line is not looked at any closer */
	if (strcmp(rest, whole) != 0 && !strstr(whole, tail))
		abort();
	return 0;
}
