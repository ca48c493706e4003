/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/haproxy_outline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever may be said to a HAProxy by its socket is one command without quoting. */
static void check_lines(const struct cs_haproxy_outline *outline)
{
	for (size_t i = 0; i < outline->n; i++) {
		const struct cs_haproxy_line *line = &outline->lines[i];
		CS_AUTO_FREE char *refusal = cs_haproxy_add_refusal(line, 302);

		if (!refusal && strpbrk(line->options, ";\\\"'#\n"))
			abort();
		if (cs_haproxy_line_checks(line) && !strstr(line->options, "check"))
			abort();
	}
}

/* Input: two configurations and a state dump, each but the last ended by a line "%". */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CS_AUTO_FREE char *input = cs_strndup((const char *)data, size);
	CS_CLEANUP(cs_haproxy_outline_done) struct cs_haproxy_outline one, two;
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf copy = CS_STRBUF(1 << 20);
	char *parts[3] = {input, (char *)"", (char *)""};
	struct cs_error err;

	for (int i = 1; i < 3; i++) {
		char *end = strstr(parts[i - 1], "\n%\n");
		if (end) {
			end[1] = '\0';
			parts[i] = end + 3;
		}
	}
	cs_haproxy_outline_read(parts[0], strlen(parts[0]), &one);
	cs_haproxy_outline_read(parts[1], strlen(parts[1]), &two);
	check_lines(&one);
	if (!cs_haproxy_outline_same(&one, &one))
		abort();
	(void)cs_haproxy_outline_same(&one, &two);
	if (cs_haproxy_state_copy(parts[2], strlen(parts[2]), &one, &two, &copy, &err) ==
			0 &&
		strncmp(cs_strbuf_text(&copy), "1\n", 2) != 0)
		abort();
	return 0;
}
