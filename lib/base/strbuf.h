/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A growing text buffer with a ceiling from birth. Appending beyond the ceiling keeps
 * what fits and remembers it; one check at the end replaces a check per append.
 *
 *     CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(1 << 20);
 *
 * `data` is always NUL-terminated once something was appended (cs_strbuf_text() is
 * never NULL) and stays valid until the next append. */
#ifndef CS_BASE_STRBUF_H
#define CS_BASE_STRBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"

struct cs_strbuf {
	char *data; /* owned */
	size_t len; /* bytes without the NUL */
	size_t capacity;
	size_t ceiling; /* most bytes that it will ever hold */
	bool overflow;	/* something did not fit */
};

#define CS_STRBUF(ceiling_bytes)           \
	(struct cs_strbuf)                 \
	{                                  \
		.ceiling = (ceiling_bytes) \
	}

void cs_strbuf_add(struct cs_strbuf *buf, const char *text) CS_NONNULL_ALL;
void cs_strbuf_add_bytes(struct cs_strbuf *buf, const void *bytes, size_t len)
	CS_NONNULL(1);
void cs_strbuf_addf(struct cs_strbuf *buf, const char *format, ...) CS_PRINTF(2, 3)
	CS_NONNULL(1, 2);
/* In decimal, at a fifth of the cost of the former. */
void cs_strbuf_add_int(struct cs_strbuf *buf, int64_t number) CS_NONNULL_ALL;
void cs_strbuf_clear(struct cs_strbuf *buf) CS_NONNULL_ALL;
void cs_strbuf_done(struct cs_strbuf *buf) CS_NONNULL_ALL;

/* The content as text, "" when empty; borrowed until the next append. */
const char *cs_strbuf_text(const struct cs_strbuf *buf) CS_NONNULL_ALL;

/* Hands the text on to the caller (free()) and empties the buffer. */
char *cs_strbuf_take(struct cs_strbuf *buf) CS_MUST_CHECK CS_NONNULL_ALL;

/* CS_E_LIMIT naming `what` when something did not fit. */
int cs_strbuf_check(const struct cs_strbuf *buf, const char *what,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Replaces every byte that is not printable US-ASCII by '?', in place. */
void cs_text_clean(char *text) CS_NONNULL_ALL;

#endif
