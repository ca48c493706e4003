/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "format/perfdata.h"

#define ASSERT_PERFDATA(call, expected)                                            \
	do {                                                                       \
		CS_CLEANUP(cs_strbuf_done) struct cs_strbuf out = CS_STRBUF(4096); \
		call;                                                              \
		assert_string_equal(cs_strbuf_text(&out), expected);               \
	} while (0)

static void test_figures_have_unit_and_range(void **state)
{
	(void)state;
	ASSERT_PERFDATA(cs_perfdata_add_load(&out, "load", 832, "70", "90"),
		"load=83.2%;70;90;0;100");
	ASSERT_PERFDATA(
		cs_perfdata_add_load(&out, "load", 0, "", ""), "load=0.0%;;;0;100");
	ASSERT_PERFDATA(cs_perfdata_add_count(&out, "servers", 4), "servers=4");
}

static void test_items_are_separated_by_one_blank(void **state)
{
	(void)state;
	ASSERT_PERFDATA((cs_perfdata_add_count(&out, "min", 2),
				cs_perfdata_add_count(&out, "max", 20)),
		"min=2 max=20");
}

static void test_large_numbers_have_no_exponent_and_no_locale(void **state)
{
	(void)state;
	setlocale(LC_ALL, "de_DE.UTF-8");
	ASSERT_PERFDATA(cs_perfdata_add_count(&out, "n", INT64_C(1234567890123456)),
		"n=1234567890123456");
	ASSERT_PERFDATA(
		cs_perfdata_add_load(&out, "load", 1000, "", ""), "load=100.0%;;;0;100");
	setlocale(LC_ALL, "C");
}

static void test_labels_hold_nothing_that_a_core_misreads(void **state)
{
	(void)state;
	ASSERT_PERFDATA(
		cs_perfdata_add_count(&out, "10.0.0.5:161", 1), "'10.0.0.5:161'=1");
	ASSERT_PERFDATA(cs_perfdata_add_count(&out, "a=b'c,d|e;f", 1), "'a_b_c_d_e_f'=1");
	ASSERT_PERFDATA(cs_perfdata_add_count(&out, "[::1]:161", 1), "'[__1]:161'=1");
	ASSERT_PERFDATA(cs_perfdata_add_count(&out, "a b\n\xc3\xa4", 1), "'a b___'=1");
	ASSERT_PERFDATA(cs_perfdata_add_count(&out, "", 1), "''=1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_figures_have_unit_and_range),
		cmocka_unit_test(test_items_are_separated_by_one_blank),
		cmocka_unit_test(test_large_numbers_have_no_exponent_and_no_locale),
		cmocka_unit_test(test_labels_hold_nothing_that_a_core_misreads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
