/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One option table per program: parsing, `--help` and the test against the manual all
 * come from it. Values land in a struct of the program at `offset`:
 *
 *     struct values { const char *name; bool dry_run; int64_t timeout_ms; };
 *     static const struct cs_option options[] = {
 *             {"cluster", 'n', "NAME", CS_OPTION_STRING, offsetof(struct values, name),
 *                     .help = "the cluster of the configuration"},
 *             CS_OPTIONS_COMMON, {0}};
 */
#ifndef CS_CLI_OPTIONS_H
#define CS_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"

enum cs_option_type {
	CS_OPTION_FLAG,	   /* bool */
	CS_OPTION_COUNT,   /* int, one more each time */
	CS_OPTION_STRING,  /* const char *, borrowed from argv; last one wins */
	CS_OPTION_STRINGS, /* struct cs_strings (base/mem.h), repeatable */
	CS_OPTION_SECRET,  /* struct cs_secret *, owned by the program; blanked in argv */
	CS_OPTION_INT,	   /* int64_t within [min, max] */
	CS_OPTION_SECONDS, /* int64_t in ms; "10", "2.5", "5m", "1h"; min, max in ms */
	CS_OPTION_HELP,	   /* nothing is stored: cs_options_parse() returns CS_RUN_HELP */
	CS_OPTION_VERSION, /* likewise CS_RUN_VERSION */
};

struct cs_option {
	const char *name; /* long name without dashes; NULL ends the table */
	char short_name;  /* 0: none */
	const char *metavar;
	enum cs_option_type type;
	size_t offset;
	int64_t min, max;
	const char *help; /* at most one line of the help screen */
};

enum cs_run { CS_RUN_NORMAL = 0, CS_RUN_HELP = 1, CS_RUN_VERSION = 2 };

#define CS_OPTIONS_COMMON                                                              \
	{"help", 'h', .type = CS_OPTION_HELP, .help = "print this help"},              \
	{                                                                              \
		"version", 'V', .type = CS_OPTION_VERSION, .help = "print the version" \
	}

/* Parses argv into `values` (which holds the defaults). Returns an enum cs_run or
 * CS_E_USAGE; --help wins over everything else on the line. Positional arguments are
 * refused. */
int cs_options_parse(const struct cs_option *table, int argc, char **argv, void *values,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* "usage: ..." for `synopsis` (the text behind the program's name), then a line per
 * option, at most 80 columns, on stdout. */
void cs_options_help(const struct cs_option *table, const char *program,
	const char *synopsis, const char *purpose) CS_NONNULL_ALL;

void cs_options_version(const char *program) CS_NONNULL_ALL;

#endif
