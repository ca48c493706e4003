/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Allocation that does not fail: running out of memory ends the program through one
 * hook. Sizes that come from outside are checked against a ceiling before they get
 * here, so a peer cannot provoke it. All results are owned by the caller; release
 * with free(). */
#ifndef CS_BASE_MEM_H
#define CS_BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>

#include "base/macros.h"

/* Called once when memory ran out; must not return and must not allocate. The default
 * writes one line to stderr and exits 3. A plugin sets one that prints UNKNOWN. */
extern void (*cs_out_of_memory)(void);

/* Says that about so many bytes will be needed, in large tables: then they come in large
 * pages, or all at once when they are less than one, as the pages of such tables cost
 * more, one by one, than what is done with them; and what is freed is used again. */
void cs_expect_tables(size_t bytes);

void *cs_calloc(size_t count, size_t size_bytes) CS_MUST_CHECK;
void *cs_reallocarray(void *pointer, size_t count, size_t size_bytes) CS_MUST_CHECK;
char *cs_strdup(const char *text) CS_MUST_CHECK CS_NONNULL_ALL;
char *cs_strndup(const char *text, size_t len) CS_MUST_CHECK CS_NONNULL_ALL;
char *cs_asprintf(const char *format, ...) CS_MUST_CHECK CS_PRINTF(1, 2);

/* Replaces *slot by a copy of `text` (NULL: by NULL) and frees what it held. */
void cs_strset(char **slot, const char *text) CS_NONNULL(1);

static inline void cs_freep(void *pointer)
{
	free(*(void **)pointer);
}
#define CS_AUTO_FREE CS_CLEANUP(cs_freep)

/* A list of owned strings, NULL-terminated so that it can serve as an argv. */
struct cs_strings {
	char **items; /* n entries and a NULL, or NULL when empty */
	size_t n;
};
void cs_strings_add(struct cs_strings *list, const char *text) CS_NONNULL_ALL;
void cs_strings_done(struct cs_strings *list) CS_NONNULL_ALL;

#endif
