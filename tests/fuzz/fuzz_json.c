/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>

#include "format/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was accepted must come out as text that is accepted again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cs_error err;
	CS_AUTO_JSON struct json_object *object = NULL;
	CS_AUTO_JSON struct json_object *again = NULL;

	if (cs_json_parse((const char *)data, size, "input", &object, &err) < 0)
		return 0;
	const char *text = cs_json_text(object);
	if (cs_json_parse(text, __builtin_strlen(text), "output", &again, &err) < 0)
		abort();
	return 0;
}
