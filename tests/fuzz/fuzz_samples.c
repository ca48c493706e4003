/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "domain/samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void render(const struct cs_samples *samples, struct cs_strbuf *ret)
{
	char line[CS_SAMPLES_LINE_SIZE];

	for (size_t i = 0; i < samples->n; i++)
		cs_strbuf_add_bytes(
			ret, line, cs_baseline_render(&samples->items[i], line));
}

/* What was accepted is written as lines that are accepted again (in any order where an id
 * is there twice), and measuring from it ends well whatever the numbers are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CS_AUTO_FREE char *text = cs_strndup((const char *)data, size);
	CS_CLEANUP(cs_samples_done) struct cs_samples first = {0}, second = {0};
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf once = CS_STRBUF(1 << 24);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf twice = CS_STRBUF(1 << 24);

	cs_samples_parse(text, &first);
	render(&first, &once);
	cs_samples_parse(cs_strbuf_text(&once), &second);
	render(&second, &twice);
	if (first.n != second.n || once.len != twice.len)
		abort();
	for (size_t i = 0; i < first.n; i++) {
		struct cs_cpu_load load;
		if (cs_samples_load_of(&first.items[i], &load) == CS_CPU_LOAD &&
			(load.permille < 0 || load.permille > 1000))
			abort();
	}
	return 0;
}
