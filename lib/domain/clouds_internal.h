/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of clouds.h share. */
#ifndef CS_DOMAIN_CLOUDS_INTERNAL_H
#define CS_DOMAIN_CLOUDS_INTERNAL_H

#include "domain/clouds.h"
#include "format/yaml.h"

#define CS_CLOUDS_LAYERS_MAX 4

/* Where the values of one cloud come from: nodes of several files, the first that has a
 * value counts. */
struct cs_clouds_source {
	struct cs_clouds_layer {
		const struct cs_yaml_node *entry;
		const char *path;
	} layers[CS_CLOUDS_LAYERS_MAX];
	size_t n;	  /* 0: the environment */
	const char *text; /* "cloud 'web' of FILE" */
	struct cs_error *err;
};

/* The value of `key`, which is written with "_". NULL when absent, empty or null. */
int cs_clouds_get(const struct cs_clouds_source *source, const char *key,
	const char **ret) CS_MUST_CHECK CS_NONNULL_ALL;

/* The node of `key` in a map, in which "-" and "_" are the same; NULL when there is none
 * or `map` is NULL or no map. */
const struct cs_yaml_node *cs_clouds_node(const struct cs_yaml_node *map, const char *key)
	CS_NONNULL(2);

/* Everything that one cloud says, checked. `region` NULL: the key region_name. */
int cs_clouds_credentials(const struct cs_clouds_source *source, const char *region,
	struct cs_credentials *ret) CS_MUST_CHECK CS_NONNULL(1, 3);

/* "~/x" within the home directory, everything else as it is; owned by the caller. */
char *cs_clouds_expand(const char *path) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
