/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libyaml's events to a tree with ceilings; see yaml.h. */
#include <config.h>
#include "format/yaml.h"

#include <string.h>
#include <yaml.h>

#include "base/mem.h"

#define DEPTH_MAX 16
#define NODES_MAX 10000

struct anchor {
	char *name;
	const struct cs_yaml_node *node;
};

struct cs_yaml {
	struct cs_yaml_node **nodes; /* all of them, the root first */
	size_t n;
};

struct reader {
	yaml_parser_t parser;
	yaml_event_t event; /* the present one; its strings are libyaml's */
	const char *path;
	struct cs_yaml *yaml;
	struct anchor *anchors;
	size_t n_anchors;
	int depth;
	struct cs_error *err;
};

static int read_node(struct reader *reader, const struct cs_yaml_node **ret);

static int line_of(yaml_mark_t mark)
{
	return (int)mark.line + 1;
}

static int fail(struct reader *reader, const char *why)
{
	return cs_error_set(reader->err, CS_E_CONFIG, "%s:%d: %s", reader->path,
		line_of(reader->event.start_mark), why);
}

/* The commonest mistake, in words that libyaml does not have. */
static bool is_at_tab(const yaml_parser_t *parser)
{
	return parser->buffer.pointer < parser->buffer.last &&
	       *parser->buffer.pointer == '\t';
}

static int next_event(struct reader *reader)
{
	yaml_parser_t *parser = &reader->parser;

	yaml_event_delete(&reader->event);
	if (yaml_parser_parse(parser, &reader->event))
		return 0;
	if (parser->error == YAML_READER_ERROR)
		return cs_error_set(reader->err, CS_E_CONFIG,
			"%s: not UTF-8 text at byte %zu: %s", reader->path,
			parser->problem_offset, parser->problem);
	cs_error_set(reader->err, CS_E_CONFIG, "%s:%d: not valid YAML: %s%s",
		reader->path, line_of(parser->problem_mark),
		parser->problem ? parser->problem : "unknown problem",
		is_at_tab(parser) ? " (a tab: indent with spaces)" : "");
	/* The mistake is often there: a bracket that is not closed, another indent. */
	if (parser->context &&
		line_of(parser->context_mark) != line_of(parser->problem_mark))
		return cs_error_advise(reader->err, "%s that begins in line %d",
			parser->context, line_of(parser->context_mark));
	return reader->err->code;
}

static int add_node(
	struct reader *reader, enum cs_yaml_type type, struct cs_yaml_node **ret)
{
	struct cs_yaml *yaml = reader->yaml;

	if (yaml->n == NODES_MAX)
		return cs_error_set(reader->err, CS_E_LIMIT,
			"%s:%d: more than %d entries; is this the right file?",
			reader->path, line_of(reader->event.start_mark), NODES_MAX);
	yaml->nodes = cs_reallocarray(yaml->nodes, yaml->n + 1, sizeof(void *));
	yaml->nodes[yaml->n] = cs_calloc(1, sizeof **yaml->nodes);
	*ret = yaml->nodes[yaml->n++];
	(*ret)->type = type;
	(*ret)->line = line_of(reader->event.start_mark);
	return 0;
}

/* An anchor can be named from here on; of two with one name the later one counts. */
static void remember(
	struct reader *reader, const char *name, const struct cs_yaml_node *node)
{
	reader->anchors = cs_reallocarray(
		reader->anchors, reader->n_anchors + 1, sizeof *reader->anchors);
	reader->anchors[reader->n_anchors++] =
		(struct anchor){.name = cs_strdup(name), .node = node};
}

static int read_alias(struct reader *reader, const struct cs_yaml_node **ret)
{
	const char *name = (const char *)reader->event.data.alias.anchor;

	for (size_t i = reader->n_anchors; i-- > 0;) {
		if (strcmp(reader->anchors[i].name, name) == 0) {
			*ret = reader->anchors[i].node;
			return 0;
		}
	}
	return fail(reader, "an alias (*) before the end of its anchor (&)");
}

static int check_text(struct reader *reader)
{
	if (strlen((char *)reader->event.data.scalar.value) !=
		reader->event.data.scalar.length)
		return fail(reader, "a NUL character inside a value");
	return 0;
}

static int read_scalar(struct reader *reader, struct cs_yaml_node **ret)
{
	if (check_text(reader) < 0 || add_node(reader, CS_YAML_SCALAR, ret) < 0)
		return reader->err->code;
	(*ret)->text = cs_strdup((char *)reader->event.data.scalar.value);
	(*ret)->plain = reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	return 0;
}

static struct cs_yaml_item *add_item(struct cs_yaml_node *node)
{
	node->items = cs_reallocarray(node->items, node->n + 1, sizeof *node->items);
	struct cs_yaml_item *item = &node->items[node->n++];
	*item = (struct cs_yaml_item){.line = node->line};
	return item;
}

/* The present event is a key; it belongs to the new last item of `map`. */
static int read_key(struct reader *reader, struct cs_yaml_node *map)
{
	if (reader->event.type != YAML_SCALAR_EVENT)
		return fail(reader, "a key must be plain text");
	if (check_text(reader) < 0)
		return reader->err->code;
	const char *key = (const char *)reader->event.data.scalar.value;
	const struct cs_yaml_item *twin = cs_yaml_find(map, key);
	if (strcmp(key, "<<") == 0)
		return fail(
			reader, "merge keys (<<) are not supported; write the keys out");
	if (twin)
		return cs_error_set(reader->err, CS_E_CONFIG,
			"%s:%d: key '%s' is there already, in line %d", reader->path,
			line_of(reader->event.start_mark), key, twin->line);
	struct cs_yaml_item *item = add_item(map);
	item->key = cs_strdup(key);
	item->line = line_of(reader->event.start_mark);
	return next_event(reader);
}

static int read_collection(struct reader *reader, struct cs_yaml_node **ret)
{
	bool is_map = reader->event.type == YAML_MAPPING_START_EVENT;
	yaml_event_type_t end = is_map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;

	if (reader->depth == DEPTH_MAX)
		return cs_error_set(reader->err, CS_E_LIMIT,
			"%s:%d: nested deeper than %d levels", reader->path,
			line_of(reader->event.start_mark), DEPTH_MAX);
	if (add_node(reader, is_map ? CS_YAML_MAP : CS_YAML_LIST, ret) < 0)
		return reader->err->code;
	reader->depth++;
	while (next_event(reader) == 0) {
		if (reader->event.type == end) {
			reader->depth--;
			return 0;
		}
		if (is_map && read_key(reader, *ret) < 0)
			break;
		struct cs_yaml_item *item =
			is_map ? &(*ret)->items[(*ret)->n - 1] : add_item(*ret);
		if (read_node(reader, &item->value) < 0)
			break;
	}
	return reader->err->code;
}

/* Reads the node that the present event begins. */
static int read_node(struct reader *reader, const struct cs_yaml_node **ret)
{
	const yaml_event_t *event = &reader->event;
	struct cs_yaml_node *node;
	const yaml_char_t *anchor, *tag;

	if (event->type == YAML_ALIAS_EVENT)
		return read_alias(reader, ret);
	/* Three structs of the union with the same two first members. */
	anchor = event->data.scalar.anchor;
	tag = event->data.scalar.tag;
	if (tag)
		return fail(reader, "tags (!) are not supported");
	CS_AUTO_FREE char *name = anchor ? cs_strdup((const char *)anchor) : NULL;
	int r = event->type == YAML_SCALAR_EVENT ? read_scalar(reader, &node)
						 : read_collection(reader, &node);
	if (r < 0)
		return r;
	if (name)
		remember(reader, name, node);
	*ret = node;
	return 0;
}

static int read_document(struct reader *reader)
{
	const struct cs_yaml_node *root;

	if (next_event(reader) < 0 || next_event(reader) < 0) /* stream, document */
		return reader->err->code;
	if (reader->event.type != YAML_DOCUMENT_START_EVENT)
		return cs_error_set(
			reader->err, CS_E_CONFIG, "%s: the file is empty", reader->path);
	if (next_event(reader) < 0 || read_node(reader, &root) < 0 ||
		next_event(reader) < 0 || next_event(reader) < 0)
		return reader->err->code;
	if (reader->event.type != YAML_STREAM_END_EVENT)
		return fail(reader, "a second document (---) is not supported");
	return 0;
}

int cs_yaml_parse(const char *text, size_t len, const char *path, struct cs_yaml **ret,
	struct cs_error *err)
{
	CS_CLEANUP(cs_yaml_freep) struct cs_yaml *yaml = NULL;
	struct reader reader = {.path = path, .err = err};

	if (len > CS_YAML_SIZE_MAX)
		return cs_error_set(err, CS_E_LIMIT, "%s is larger than %zu bytes", path,
			CS_YAML_SIZE_MAX);
	if (!yaml_parser_initialize(&reader.parser))
		cs_out_of_memory();
	yaml = cs_calloc(1, sizeof *yaml);
	reader.yaml = yaml;
	yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, len);
	int r = read_document(&reader);
	yaml_event_delete(&reader.event);
	yaml_parser_delete(&reader.parser);
	for (size_t i = 0; i < reader.n_anchors; i++)
		free(reader.anchors[i].name);
	free(reader.anchors);
	if (r == 0)
		*ret = CS_TAKE(yaml);
	return r;
}

const struct cs_yaml_node *cs_yaml_root(const struct cs_yaml *yaml)
{
	return yaml->nodes[0];
}

const struct cs_yaml_item *cs_yaml_find(const struct cs_yaml_node *map, const char *key)
{
	if (!map || map->type != CS_YAML_MAP)
		return NULL;
	for (size_t i = 0; i < map->n; i++) {
		if (strcmp(map->items[i].key, key) == 0)
			return &map->items[i];
	}
	return NULL;
}

bool cs_yaml_is_null(const struct cs_yaml_node *node)
{
	return node->type == CS_YAML_SCALAR && node->plain &&
	       (node->text[0] == '\0' || strcmp(node->text, "~") == 0 ||
		       strcmp(node->text, "null") == 0);
}

static void free_node(struct cs_yaml_node *node)
{
	if (node->text)
		explicit_bzero(node->text, strlen(node->text));
	free(node->text);
	for (size_t i = 0; i < node->n; i++)
		free(node->items[i].key);
	free(node->items);
	free(node);
}

void cs_yaml_free(struct cs_yaml *yaml)
{
	if (!yaml)
		return;
	for (size_t i = 0; i < yaml->n; i++)
		free_node(yaml->nodes[i]);
	free(yaml->nodes);
	free(yaml);
}
