/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A table of keys turns a YAML mapping into a C struct: types, ranges, defaults, unknown
 * keys and their messages in one place, as cli/options does for the command line.
 *
 *     static const struct cs_schema_key size_keys[] = {
 *             {"min", CS_SCHEMA_INT, offsetof(struct cluster, min), 1, 1000,
 *                     .required = true}, {0}};
 */
#ifndef CS_FORMAT_SCHEMA_H
#define CS_FORMAT_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/strbuf.h"
#include "format/yaml.h"

/* A number, or a share of what there is; one of both is 0. */
struct cs_amount {
	int64_t number, permille;
};

enum cs_schema_type {
	CS_SCHEMA_STRING,  /* char *, one line, not empty */
	CS_SCHEMA_TEXT,	   /* char *, one line, may be empty */
	CS_SCHEMA_PATH,	   /* char *, absolute */
	CS_SCHEMA_STRINGS, /* struct cs_strings */
	CS_SCHEMA_BOOL,	   /* bool */
	CS_SCHEMA_INT,	   /* int64_t within [min, max] */
	CS_SCHEMA_SECONDS, /* int64_t ms; "300", "2.5", "5m", "1h"; min and max in ms */
	CS_SCHEMA_PERCENT, /* int64_t permille; "70", "70.5"; min and max in permille */
	CS_SCHEMA_AMOUNT,  /* struct cs_amount; "2" within [min, max], or "20%" up to 100%
			    */
	CS_SCHEMA_CHOICE,  /* int: place of the word in `choices` */
	CS_SCHEMA_SECTION, /* a mapping of its own with `keys`; offset is added */
	CS_SCHEMA_LIST,	   /* of mappings with `keys`: an array of structs */
	CS_SCHEMA_MAP, /* names to mappings; the first member of each struct is its char
			*name */
};

struct cs_schema_key {
	const char *name; /* NULL ends the table */
	enum cs_schema_type type;
	size_t offset;
	int64_t min, max;
	bool required; /* a section: its required keys are, even without it */
	bool optional; /* a section: without it there is none, whatever its defaults */
	const char *fallback;	    /* the default, as a file would say it; NULL: zero */
	const char *const *choices; /* NULL-terminated */
	const struct cs_schema_key *keys; /* SECTION, LIST, MAP */
	size_t size_bytes;		  /* LIST, MAP: of one struct */
	size_t count_offset;		  /* LIST, MAP: of the size_t beside the array */
};

/* Fills `ret`, which must be zeroed; also after an error it has to be released with
 * cs_schema_free(). CS_E_CONFIG "PATH:LINE: key 'a.b': expected ..., found ...". */
int cs_schema_read(const struct cs_schema_key *keys, const struct cs_yaml_node *map,
	const char *path, void *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Appends `object` as YAML that reads back to the same, each line with a remark where its
 * value is from: "PATH:LINE" of `map`, which `object` was read from, or "default". What
 * is not set is a remark, too. */
void cs_schema_show(const struct cs_schema_key *keys, const struct cs_yaml_node *map,
	const char *path, const void *object, struct cs_strbuf *ret) CS_NONNULL_ALL;

/* Releases what the members of `object` own and zeroes them. */
void cs_schema_free(const struct cs_schema_key *keys, void *object) CS_NONNULL_ALL;

#endif
