/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "domain/fleet_kept.h"

#define OF "web http://cloud/v3"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A list that is read has a moment, and is written as it was read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CS_AUTO_FREE char *text = cs_strndup((const char *)data, size);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf written = CS_STRBUF(1 << 22);
	CS_CLEANUP(cs_fleet_view_done) struct cs_fleet_view view = {0};
	CS_CLEANUP(cs_fleet_view_done) struct cs_fleet_view again = {0};
	struct cs_stamp taken, taken_again;
	struct cs_error err;

	if (strlen(text) != size ||
		cs_fleet_kept_parse(text, size, OF, &taken, &view, &err) < 0)
		return 0;
	cs_fleet_kept_write(OF, &taken, &view, &written);
	if (taken.wall_ms < 0 || taken.boot_ms < 0 || !cs_strbuf_text(&written) ||
		cs_fleet_kept_parse(
			written.data, written.len, OF, &taken_again, &again, &err) < 0)
		abort();
	if (taken_again.wall_ms != taken.wall_ms ||
		taken_again.boot_ms != taken.boot_ms ||
		strcmp(taken_again.boot_id, taken.boot_id) != 0 ||
		again.members.n != view.members.n)
		abort();
	return 0;
}
