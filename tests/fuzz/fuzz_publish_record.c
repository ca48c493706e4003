/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "domain/publish_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A record that is read must be written as one that reads the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CS_CLEANUP(cs_publish_record_done) struct cs_publish_record record = {0};
	CS_CLEANUP(cs_publish_record_done) struct cs_publish_record again = {0};
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf first = CS_STRBUF(1 << 22);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf second = CS_STRBUF(1 << 22);
	struct cs_error err;

	if (cs_publish_record_parse((const char *)data, size, &record, &err) < 0)
		return 0;
	cs_publish_record_write(&record, &first);
	if (cs_publish_record_parse(cs_strbuf_text(&first), first.len, &again, &err) < 0)
		abort();
	cs_publish_record_write(&again, &second);
	if (strcmp(cs_strbuf_text(&first), cs_strbuf_text(&second)) != 0)
		abort();
	return 0;
}
