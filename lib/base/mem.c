/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Allocation that ends the program through one hook instead of failing. */
#include <config.h>
#include "base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TOUCH_MIN (64 << 10)
#define EXPECT_MIN (256 << 10)
#define LARGE_PAGE (2 << 20)

static void die_on_stderr(void)
{
	static const char message[] = "out of memory\n";

	if (write(STDERR_FILENO, message, sizeof message - 1) < 0)
		_exit(3);
	_exit(3);
}

void (*cs_out_of_memory)(void) = die_on_stderr;

static void *check(void *pointer)
{
	if (!pointer) {
		cs_out_of_memory();
		abort();
	}
	return pointer;
}

/* Advice on the whole pages of a table, which may be in vain. */
static void advise(void *table, size_t size_bytes, int advice)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = ((uintptr_t)table + page - 1) / page * page;

	if (start < (uintptr_t)table + size_bytes)
		madvise((void *)start, (uintptr_t)table + size_bytes - start, advice);
}

/* Pages of large tables one by one, at the first touch of each, cost more than what is
 * done with them. */
static void touch(void *table, size_t size_bytes)
{
#ifdef MADV_POPULATE_WRITE
	if (size_bytes >= TOUCH_MIN)
		advise(table, size_bytes, MADV_POPULATE_WRITE);
#else
	(void)table;
	(void)size_bytes;
#endif
}

void cs_expect_tables(size_t bytes)
{
	if (bytes < EXPECT_MIN)
		return;
	mallopt(M_MMAP_THRESHOLD, INT_MAX);
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	void *room = malloc(bytes);
	if (room && bytes >= LARGE_PAGE)
		advise(room, bytes, MADV_HUGEPAGE);
	else if (room)
		touch(room, bytes);
	free(room);
}

void *cs_calloc(size_t count, size_t size_bytes)
{
	size_t bytes;

	if (!__builtin_mul_overflow(count, size_bytes, &bytes) && bytes >= TOUCH_MIN &&
		bytes < LARGE_PAGE) {
		/* calloc() would mostly have cleared it page by page already. */
		void *table = check(malloc(bytes));
		touch(table, bytes);
		return memset(table, 0, bytes);
	}
	void *table = check(calloc(count ? count : 1, size_bytes ? size_bytes : 1));
	touch(table, count * size_bytes);
	return table;
}

void *cs_reallocarray(void *pointer, size_t count, size_t size_bytes)
{
	return check(
		reallocarray(pointer, count ? count : 1, size_bytes ? size_bytes : 1));
}

char *cs_strdup(const char *text)
{
	return check(strdup(text));
}

char *cs_strndup(const char *text, size_t len)
{
	return check(strndup(text, len));
}

char *cs_asprintf(const char *format, ...)
{
	va_list args;
	char *text = NULL;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	return check(text);
}

void cs_strset(char **slot, const char *text)
{
	char *copy = text ? cs_strdup(text) : NULL;

	free(*slot);
	*slot = copy;
}

void cs_strings_add(struct cs_strings *list, const char *text)
{
	list->items = cs_reallocarray(list->items, list->n + 2, sizeof *list->items);
	list->items[list->n++] = cs_strdup(text);
	list->items[list->n] = NULL;
}

void cs_strings_done(struct cs_strings *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct cs_strings){0};
}
