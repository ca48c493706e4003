/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Growing text with a ceiling; see strbuf.h. */
#include <config.h>
#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define FORMATTED_USUAL 64 /* bytes, of which there is room before the first try */

static void reserve(struct cs_strbuf *buf, size_t more)
{
	size_t needed = buf->len + more + 1;

	if (needed <= buf->capacity)
		return;
	size_t doubled = buf->capacity * 2 > 256 ? buf->capacity * 2 : 256;
	buf->capacity = doubled > needed ? doubled : needed;
	buf->data = cs_reallocarray(buf->data, buf->capacity, 1);
}

void cs_strbuf_add_bytes(struct cs_strbuf *buf, const void *bytes, size_t len)
{
	size_t room = buf->ceiling - buf->len;

	if (len > room) {
		buf->overflow = true;
		len = room;
	}
	reserve(buf, len);
	if (len)
		memcpy(buf->data + buf->len, bytes, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void cs_strbuf_add(struct cs_strbuf *buf, const char *text)
{
	cs_strbuf_add_bytes(buf, text, strlen(text));
}

void cs_strbuf_addf(struct cs_strbuf *buf, const char *format, ...)
{
	va_list args;

	reserve(buf, FORMATTED_USUAL);
	for (;;) {
		size_t room = buf->capacity - buf->len, left = buf->ceiling - buf->len;

		va_start(args, format);
		int len = vsnprintf(buf->data + buf->len, room, format, args);
		va_end(args);
		if (len < 0)
			cs_out_of_memory();
		if ((size_t)len >= room) {
			reserve(buf, (size_t)len);
			continue;
		}
		buf->overflow |= (size_t)len > left;
		buf->len += (size_t)len < left ? (size_t)len : left;
		buf->data[buf->len] = '\0';
		return;
	}
}

void cs_strbuf_add_int(struct cs_strbuf *buf, int64_t number)
{
	char digits[20], *at = digits + sizeof digits;
	uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;

	do {
		*--at = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	if (number < 0)
		*--at = '-';
	cs_strbuf_add_bytes(buf, at, (size_t)(digits + sizeof digits - at));
}

void cs_strbuf_clear(struct cs_strbuf *buf)
{
	buf->len = 0;
	buf->overflow = false;
	if (buf->data)
		buf->data[0] = '\0';
}

void cs_strbuf_done(struct cs_strbuf *buf)
{
	free(buf->data);
	*buf = CS_STRBUF(buf->ceiling);
}

const char *cs_strbuf_text(const struct cs_strbuf *buf)
{
	return buf->data ? buf->data : "";
}

char *cs_strbuf_take(struct cs_strbuf *buf)
{
	char *text = buf->data ? buf->data : cs_strdup("");

	*buf = CS_STRBUF(buf->ceiling);
	return text;
}

int cs_strbuf_check(const struct cs_strbuf *buf, const char *what, struct cs_error *err)
{
	if (!buf->overflow)
		return 0;
	return cs_error_set(err, CS_E_LIMIT, "%s is larger than the limit of %zu bytes",
		what, buf->ceiling);
}

void cs_text_clean(char *text)
{
	for (; *text; text++) {
		if (*text < 0x20 || *text > 0x7e)
			*text = '?';
	}
}
