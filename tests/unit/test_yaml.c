/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "format/yaml.h"

static struct cs_yaml *parse(const char *text)
{
	struct cs_yaml *yaml = NULL;
	struct cs_error err;

	if (cs_yaml_parse(text, strlen(text), "f", &yaml, &err) < 0)
		fail_msg("%s", err.message);
	return yaml;
}

static void refuse(const char *text, enum cs_errc code, const char *message)
{
	struct cs_yaml *yaml = NULL;
	struct cs_error err;

	assert_int_equal(cs_yaml_parse(text, strlen(text), "f", &yaml, &err), code);
	assert_string_equal(err.message, message);
	assert_null(yaml);
}

static void test_tree_keeps_order_lines_and_quotes(void **state)
{
	struct cs_yaml *yaml = parse("a: 1\n"
				     "b:\n"
				     "  - x\n"
				     "  - \"2\"\n"
				     "c: {d: null, e: ~, f: '~', g: }\n");
	const struct cs_yaml_node *root = cs_yaml_root(yaml);
	const struct cs_yaml_item *b = cs_yaml_find(root, "b");
	const struct cs_yaml_node *c = cs_yaml_find(root, "c")->value;

	(void)state;
	assert_int_equal(root->type, CS_YAML_MAP);
	assert_int_equal(root->n, 3);
	assert_string_equal(root->items[0].key, "a");
	assert_string_equal(root->items[0].value->text, "1");
	assert_int_equal(b->line, 2);
	assert_int_equal(b->value->type, CS_YAML_LIST);
	assert_int_equal(b->value->items[1].value->line, 4);
	assert_true(b->value->items[0].value->plain);
	assert_false(b->value->items[1].value->plain);
	assert_true(cs_yaml_is_null(cs_yaml_find(c, "d")->value));
	assert_true(cs_yaml_is_null(cs_yaml_find(c, "e")->value));
	assert_false(cs_yaml_is_null(cs_yaml_find(c, "f")->value));
	assert_true(cs_yaml_is_null(cs_yaml_find(c, "g")->value));
	assert_null(cs_yaml_find(root, "z"));
	assert_null(cs_yaml_find(NULL, "z"));
	assert_null(cs_yaml_find(b->value, "z"));
	cs_yaml_free(yaml);
}

static void test_aliases_share_their_anchor(void **state)
{
	struct cs_yaml *yaml = parse("a: &x {k: v}\nb: *x\nc: &x 2\nd: *x\n");
	const struct cs_yaml_node *root = cs_yaml_root(yaml);

	(void)state;
	assert_ptr_equal(cs_yaml_find(root, "a")->value, cs_yaml_find(root, "b")->value);
	assert_string_equal(cs_yaml_find(root, "d")->value->text, "2");
	cs_yaml_free(yaml);
}

static void test_what_is_refused_says_where_and_why(void **state)
{
	(void)state;
	refuse("", CS_E_CONFIG, "f: the file is empty");
	refuse("# only words\n", CS_E_CONFIG, "f: the file is empty");
	refuse("a: 1\nb: 2\na: 3\n", CS_E_CONFIG,
		"f:3: key 'a' is there already, in line 1");
	refuse("a: 1\n---\nb: 2\n", CS_E_CONFIG,
		"f:2: a second document (---) is not supported");
	refuse("a: !!int 1\n", CS_E_CONFIG, "f:1: tags (!) are not supported");
	refuse("x: &x {a: 1}\ny: {<<: *x}\n", CS_E_CONFIG,
		"f:2: merge keys (<<) are not supported; write the keys out");
	refuse("a: &a [*a]\n", CS_E_CONFIG,
		"f:1: an alias (*) before the end of its anchor (&)");
	refuse("[a]: 1\n", CS_E_CONFIG, "f:1: a key must be plain text");
	refuse("a: \"x\\0y\"\n", CS_E_CONFIG, "f:1: a NUL character inside a value");
	refuse("a: [1\n", CS_E_CONFIG,
		"f:2: not valid YAML: did not find expected ',' or ']'; while parsing a "
		"flow sequence that begins in line 1");
	refuse("a: \xff\n", CS_E_CONFIG,
		"f: not UTF-8 text at byte 3: invalid leading UTF-8 octet");
}

static void test_ceilings(void **state)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(1 << 21);

	(void)state;
	refuse("[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", CS_E_LIMIT,
		"f:1: nested deeper than 16 levels");
	for (int i = 0; i < 10000; i++)
		cs_strbuf_add(&text, "- 1\n");
	refuse(cs_strbuf_text(&text), CS_E_LIMIT,
		"f:10000: more than 10000 entries; is this the right file?");
	cs_strbuf_clear(&text);
	for (int i = 0; i < 1048577; i++)
		cs_strbuf_add(&text, "#");
	refuse(cs_strbuf_text(&text), CS_E_LIMIT, "f is larger than 1048576 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree_keeps_order_lines_and_quotes),
		cmocka_unit_test(test_aliases_share_their_anchor),
		cmocka_unit_test(test_what_is_refused_says_where_and_why),
		cmocka_unit_test(test_ceilings),
	};

	return cmocka_run_group_tests_name("yaml", tests, NULL, NULL);
}
