/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "domain/fleet_rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Rows that are read must be written as they were, but for the spelling of addresses and
 * numbers. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CS_AUTO_FREE char *text = cs_strndup((const char *)data, size);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf first = CS_STRBUF(1 << 22);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf second = CS_STRBUF(1 << 22);
	CS_CLEANUP(cs_fleet_view_done) struct cs_fleet_view view = {0};
	CS_CLEANUP(cs_fleet_view_done) struct cs_fleet_view again = {0};
	struct cs_error err;

	if (strlen(text) != size || cs_fleet_rows_parse(text, size, &view, &err) < 0)
		return 0;
	cs_fleet_rows_write(&view, &first);
	if (cs_fleet_rows_parse(cs_strbuf_text(&first), first.len, &again, &err) < 0)
		abort();
	cs_fleet_rows_write(&again, &second);
	if (strcmp(cs_strbuf_text(&first), cs_strbuf_text(&second)) != 0)
		abort();
	return 0;
}
