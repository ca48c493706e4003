/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A YAML document as a small read-only tree with line numbers. YAML 1.1 as libyaml reads
 * it, without what a configuration does not need and an attacker likes: one document,
 * keys are scalars and unique, no tags, no merge keys (<<). Aliases share the node of
 * their anchor, so nothing is expanded.
 *
 * A struct cs_yaml owns its nodes; they are zeroed when freed, as they may hold secrets.
 * No message quotes a value. */
#ifndef CS_FORMAT_YAML_H
#define CS_FORMAT_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/macros.h"

#define CS_YAML_SIZE_MAX ((size_t)1 << 20)

enum cs_yaml_type { CS_YAML_SCALAR, CS_YAML_LIST, CS_YAML_MAP };

struct cs_yaml_item;

struct cs_yaml_node {
	enum cs_yaml_type type;
	int line;   /* from 1 */
	bool plain; /* scalar without quotes: null, a number and a boolean are plain */
	char *text; /* of a scalar, UTF-8, no NUL inside */
	struct cs_yaml_item *items; /* of a list or map, in the order of the file */
	size_t n;
};

struct cs_yaml_item {
	char *key; /* of a map, NULL in a list */
	int line;  /* of the key */
	const struct cs_yaml_node *value;
};

struct cs_yaml;

/* `path` is for the messages: CS_E_CONFIG "PATH:LINE: ...". An empty document is an
 * error; text beyond CS_YAML_SIZE_MAX, 16 levels or 10000 nodes is CS_E_LIMIT. */
int cs_yaml_parse(const char *text, size_t len, const char *path, struct cs_yaml **ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Borrowed from the document, like all nodes. */
const struct cs_yaml_node *cs_yaml_root(const struct cs_yaml *yaml) CS_NONNULL_ALL;

/* The item of `key`, NULL when `map` is NULL, not a map, or has no such key. */
const struct cs_yaml_item *cs_yaml_find(const struct cs_yaml_node *map, const char *key)
	CS_NONNULL(2);

/* A plain scalar that is empty, "~" or "null". */
bool cs_yaml_is_null(const struct cs_yaml_node *node) CS_NONNULL_ALL;

void cs_yaml_free(struct cs_yaml *yaml);
CS_DEFINE_FREEP(struct cs_yaml, cs_yaml_free)

#endif
