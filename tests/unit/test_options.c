/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/secret.h"
#include "cli/options.h"

struct values {
	const char *name;
	struct cs_strings hosts;
	bool dry_run;
	int verbose;
	int64_t count, timeout_ms;
	struct cs_secret *secret;
};

static const struct cs_option table[] = {
	{"name", 'n', "NAME", CS_OPTION_STRING, offsetof(struct values, name),
		.help = "a name"},
	{"host", 'H', "HOST", CS_OPTION_STRINGS, offsetof(struct values, hosts),
		.help = "a host"},
	{"dry-run", 0, NULL, CS_OPTION_FLAG, offsetof(struct values, dry_run),
		.help = "dry"},
	{"verbose", 'v', NULL, CS_OPTION_COUNT, offsetof(struct values, verbose),
		.help = "more"},
	{"count", 0, "N", CS_OPTION_INT, offsetof(struct values, count), 1, 9,
		"a number"},
	{"timeout", 't', "S", CS_OPTION_SECONDS, offsetof(struct values, timeout_ms), 1,
		60000, "seconds"},
	{"secret", 's', "TEXT", CS_OPTION_SECRET, offsetof(struct values, secret),
		.help = "a secret"},
	CS_OPTIONS_COMMON, {0}};

static int parse(struct values *values, struct cs_error *err, const char *const *words)
{
	char *argv[16] = {(char *)"prog"};
	int argc = 1;

	for (; words[argc - 1]; argc++)
		argv[argc] = (char *)words[argc - 1];
	*values = (struct values){0};
	return cs_options_parse(table, argc, argv, values, err);
}

#define PARSE(...) parse(&values, &err, (const char *const[]){__VA_ARGS__, NULL})

static void test_every_type_lands_in_its_field(void **state)
{
	struct values values;
	struct cs_error err;

	(void)state;
	assert_int_equal(PARSE("-n", "web", "-Ha", "--host=b", "--dry-run", "-vv",
				 "--count", "7", "-t", "2.5"),
		0);
	assert_string_equal(values.name, "web");
	assert_int_equal(values.hosts.n, 2);
	assert_string_equal(values.hosts.items[1], "b");
	assert_true(values.dry_run);
	assert_int_equal(values.verbose, 2);
	assert_int_equal(values.count, 7);
	assert_int_equal(values.timeout_ms, 2500);
	cs_strings_done(&values.hosts);
}

static void test_secrets_are_blanked_where_they_stood(void **state)
{
	char shorter[] = "-sabc", longer[] = "--secret=defg";
	struct values values;
	struct cs_error err;

	(void)state;
	assert_int_equal(PARSE(shorter, longer), 0);
	assert_string_equal(shorter, "-sxxx");
	assert_string_equal(longer, "--secret=xxxx");
	assert_string_equal(cs_secret_expose(values.secret), "defg");
	cs_secret_free(values.secret);
}

static void test_errors_name_the_option(void **state)
{
	struct values values;
	struct cs_error err;

	(void)state;
	assert_int_equal(PARSE("--bogus"), CS_E_USAGE);
	assert_string_equal(
		err.message, "unknown or ambiguous option '--bogus'; see --help");
	assert_int_equal(PARSE("-x"), CS_E_USAGE);
	assert_string_equal(err.message, "unknown option '-x'; see --help");
	assert_int_equal(PARSE("-n"), CS_E_USAGE);
	assert_string_equal(
		err.message, "option --name needs an argument (NAME); see --help");
	assert_int_equal(PARSE("--dry-run=1"), CS_E_USAGE);
	assert_string_equal(
		err.message, "option --dry-run takes no argument; see --help");
	assert_int_equal(PARSE("--count", "10"), CS_E_USAGE);
	assert_string_equal(
		err.message, "option --count: '10' is not a whole number from 1 to 9");
	assert_int_equal(PARSE("-t", "1e3"), CS_E_USAGE);
	assert_int_equal(PARSE("stray"), CS_E_USAGE);
	assert_string_equal(err.message, "unexpected argument 'stray'; see --help");
}

static void test_help_wins_over_everything(void **state)
{
	struct values values;
	struct cs_error err;

	(void)state;
	assert_int_equal(PARSE("-V", "--count", "99", "-h"), CS_RUN_HELP);
	assert_int_equal(PARSE("-V", "--bogus"), CS_RUN_VERSION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_type_lands_in_its_field),
		cmocka_unit_test(test_secrets_are_blanked_where_they_stood),
		cmocka_unit_test(test_errors_name_the_option),
		cmocka_unit_test(test_help_wins_over_everything),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
