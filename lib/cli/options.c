/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Option tables on getopt_long; see options.h. */
#include <config.h>
#include "cli/options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/secret.h"
#include "base/strbuf.h"

#define OPTIONS_MAX 40
#define FIRST_LONG_ID 256

static bool takes_argument(const struct cs_option *option)
{
	return option->metavar != NULL;
}

static size_t count_options(const struct cs_option *table)
{
	size_t n = 0;

	while (table[n].name)
		n++;
	return n;
}

/* getopt_long's two descriptions of the same table. */
static void describe(const struct cs_option *table, size_t n, struct option *long_options,
	struct cs_strbuf *short_options)
{
	/* ':' first: a missing argument is told apart, and getopt prints nothing itself.
	 */
	cs_strbuf_add(short_options, ":");
	for (size_t i = 0; i < n; i++) {
		long_options[i] = (struct option){.name = table[i].name,
			.has_arg = takes_argument(&table[i]) ? required_argument
							     : no_argument,
			.val = FIRST_LONG_ID + (int)i};
		if (table[i].short_name)
			cs_strbuf_addf(short_options, "%c%s", table[i].short_name,
				takes_argument(&table[i]) ? ":" : "");
	}
}

static const struct cs_option *find(const struct cs_option *table, int id)
{
	if (id >= FIRST_LONG_ID)
		return &table[id - FIRST_LONG_ID];
	for (; table->name; table++) {
		if (table->short_name == id)
			return table;
	}
	return NULL;
}

static int store_number(const struct cs_option *option, const char *text, int64_t *slot,
	struct cs_error *err)
{
	bool seconds = option->type == CS_OPTION_SECONDS;
	int64_t scale = seconds ? CS_MS_PER_S : 1;

	if (seconds ? cs_parse_seconds(text, option->min, option->max, slot)
		    : cs_parse_int(text, option->min, option->max, slot))
		return 0;
	return cs_error_set(err, CS_E_USAGE,
		"option --%s: '%s' is not a %s from %.15g to %.15g", option->name, text,
		seconds ? "number of seconds" : "whole number",
		(double)option->min / (double)scale, (double)option->max / (double)scale);
}

/* Other users see argv in /proc. */
static void store_secret(char *text, struct cs_secret **slot)
{
	cs_secret_free(*slot);
	*slot = cs_secret_new(text);
	memset(text, 'x', strlen(text));
}

static int store(
	const struct cs_option *option, char *text, void *values, struct cs_error *err)
{
	void *slot = (char *)values + option->offset;

	switch (option->type) {
	case CS_OPTION_FLAG:
		*(bool *)slot = true;
		return 0;
	case CS_OPTION_COUNT:
		++*(int *)slot;
		return 0;
	case CS_OPTION_STRING:
		*(const char **)slot = text;
		return 0;
	case CS_OPTION_STRINGS:
		cs_strings_add(slot, text);
		return 0;
	case CS_OPTION_SECRET:
		store_secret(text, slot);
		return 0;
	case CS_OPTION_INT:
	case CS_OPTION_SECONDS:
		return store_number(option, text, slot, err);
	case CS_OPTION_HELP:
		return CS_RUN_HELP;
	case CS_OPTION_VERSION:
		return CS_RUN_VERSION;
	}
	return 0;
}

/* `word` is the argv entry that getopt stumbled over; `id` its option letter if any. */
static int complain(const struct cs_option *table, int why, int id, const char *word,
	struct cs_error *err)
{
	const struct cs_option *option = id ? find(table, id) : NULL;

	if (why == ':' && option)
		return cs_error_set(err, CS_E_USAGE,
			"option --%s needs an argument (%s); see --help", option->name,
			option->metavar);
	if (id > 0 && id < FIRST_LONG_ID)
		return cs_error_set(
			err, CS_E_USAGE, "unknown option '-%c'; see --help", id);
	if (option)
		return cs_error_set(err, CS_E_USAGE,
			"option --%s takes no argument; see --help", option->name);
	return cs_error_set(
		err, CS_E_USAGE, "unknown or ambiguous option '%s'; see --help", word);
}

int cs_options_parse(const struct cs_option *table, int argc, char **argv, void *values,
	struct cs_error *err)
{
	struct option long_options[OPTIONS_MAX + 1] = {0};
	size_t n = count_options(table);
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf short_options = CS_STRBUF(256);
	int run = CS_RUN_NORMAL, failed = 0, id;

	if (n > OPTIONS_MAX)
		return cs_error_set(err, CS_E_USAGE,
			"the option table has more than %d entries", OPTIONS_MAX);
	describe(table, n, long_options, &short_options);
	opterr = 0;
	optind = 1;
	while ((id = getopt_long(argc, argv, cs_strbuf_text(&short_options), long_options,
			NULL)) != -1) {
		struct cs_error first = {0};
		int r = id == '?' || id == ':'
				? complain(table, id, optopt, argv[optind - 1], &first)
				: store(find(table, id), optarg, values, &first);

		if (r == CS_RUN_HELP || (r == CS_RUN_VERSION && run != CS_RUN_HELP))
			run = r;
		if (r < 0 && !failed) {
			failed = r;
			*err = first;
		}
	}
	if (run != CS_RUN_NORMAL)
		return run;
	if (!failed && optind < argc)
		return cs_error_set(err, CS_E_USAGE,
			"unexpected argument '%s'; see --help", argv[optind]);
	return failed;
}

void cs_options_help(const struct cs_option *table, const char *program,
	const char *synopsis, const char *purpose)
{
	printf("usage: %s %s\n%s\n", program, synopsis, purpose);
	for (; table->name; table++) {
		CS_AUTO_FREE char *left = cs_asprintf(" %s%c%s --%s%s%s",
			table->short_name ? "-" : " ",
			table->short_name ? table->short_name : ' ',
			table->short_name ? "," : " ", table->name,
			table->metavar ? " " : "", table->metavar ? table->metavar : "");
		printf("%-28s %s\n", left, table->help);
	}
}

void cs_options_version(const char *program)
{
	printf("%s (%s) %s\n", program, PACKAGE_NAME, PACKAGE_VERSION);
}
