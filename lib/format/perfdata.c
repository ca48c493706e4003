/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Performance data; see perfdata.h. */
#include <config.h>
#include "format/perfdata.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char plain_characters[] = "abcdefghijklmnopqrstuvwxyz"
				       "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

/* Whatever a core could misread in a label becomes "_"; blanks and single colons only ask
 * for quotes. */
static void add_label(struct cs_strbuf *out, const char *label)
{
	const char *quote = label[strspn(label, plain_characters)] || !*label ? "'" : "";

	cs_strbuf_add(out, out->len ? " " : "");
	cs_strbuf_add(out, quote);
	for (const char *p = label; *p; p++) {
		bool harmful =
			strchr("=',|;", *p) || *p < 0x20 || *p > 0x7e ||
			(p[0] == ':' && (p[1] == ':' || (p > label && p[-1] == ':')));
		cs_strbuf_add_bytes(out, harmful ? "_" : p, 1);
	}
	cs_strbuf_add(out, quote);
}

const char *cs_load_text(int64_t permille, char ret[CS_LOAD_TEXT_SIZE])
{
	snprintf(ret, CS_LOAD_TEXT_SIZE, "%" PRId64 ".%" PRId64, permille / 10,
		permille % 10);
	return ret;
}

void cs_perfdata_add_load(struct cs_strbuf *out, const char *label, int64_t permille,
	const char *warn, const char *crit)
{
	char text[CS_LOAD_TEXT_SIZE];

	add_label(out, label);
	cs_strbuf_addf(
		out, "=%s%%;%s;%s;0;100", cs_load_text(permille, text), warn, crit);
}

void cs_perfdata_add_count(struct cs_strbuf *out, const char *label, int64_t count)
{
	add_label(out, label);
	cs_strbuf_addf(out, "=%" PRId64, count);
}

void cs_perfdata_add_seconds(
	struct cs_strbuf *out, const char *label, int64_t ms, int64_t crit_ms)
{
	add_label(out, label);
	cs_strbuf_addf(out, "=%" PRId64 "s", ms / 1000);
	if (crit_ms > 0)
		cs_strbuf_addf(out, ";;%" PRId64, crit_ms / 1000);
}
