/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Composing error messages; see error.h for the contract. */
#include <config.h>
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"

/* Marks what did not fit, and keeps what a terminal or a log would obey out of it. */
static void finish(struct cs_error *err, int wanted_len)
{
	size_t size = sizeof err->message;

	cs_text_clean(err->message);
	if (wanted_len >= (int)size)
		memcpy(err->message + size - 4, "...", 4);
}

int cs_error_set(struct cs_error *err, enum cs_errc code, const char *format, ...)
{
	va_list args;

	*err = (struct cs_error){.code = code};
	va_start(args, format);
	finish(err, vsnprintf(err->message, sizeof err->message, format, args));
	va_end(args);
	return code;
}

int cs_error_set_errno(struct cs_error *err, int errnum, const char *format, ...)
{
	va_list args;
	char what[sizeof err->message];

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	cs_error_set(err, CS_E_IO, "%s: %s", what, strerror(errnum));
	err->sys_errno = errnum;
	return CS_E_IO;
}

int cs_error_prefix(struct cs_error *err, const char *format, ...)
{
	va_list args;
	char context[sizeof err->message], old[sizeof err->message];

	va_start(args, format);
	vsnprintf(context, sizeof context, format, args);
	va_end(args);
	memcpy(old, err->message, sizeof old);
	finish(err, snprintf(err->message, sizeof err->message, "%s: %s", context, old));
	return err->code;
}

int cs_error_advise(struct cs_error *err, const char *format, ...)
{
	va_list args;
	char advice[sizeof err->message], old[sizeof err->message];

	va_start(args, format);
	vsnprintf(advice, sizeof advice, format, args);
	va_end(args);
	memcpy(old, err->message, sizeof old);
	finish(err, snprintf(err->message, sizeof err->message, "%s; %s", old, advice));
	return err->code;
}
