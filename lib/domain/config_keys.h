/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of keys of clusterscale.yaml, for config*.c alone. */
#ifndef CS_DOMAIN_CONFIG_KEYS_H
#define CS_DOMAIN_CONFIG_KEYS_H

#include "format/schema.h"

extern const struct cs_schema_key cs_config_keys[]; /* of a struct cs_config */

#endif
