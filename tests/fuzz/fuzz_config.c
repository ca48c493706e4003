/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>

#include "domain/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was accepted keeps the promises of config.h. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CS_CLEANUP(cs_config_freep) struct cs_config *config = NULL;
	struct cs_error err;

	if (cs_config_parse((const char *)data, size, "input", &config, &err) < 0)
		return 0;
	for (size_t i = 0; i < config->n_clusters; i++) {
		const struct cs_cluster *cluster = &config->clusters[i];
		if (cluster->min < 1 || cluster->min > cluster->max || !cluster->cloud ||
			!cluster->servers.image || !cluster->haproxy.options ||
			(cluster->haproxy.present && !cluster->haproxy.backend))
			abort();
	}
	return 0;
}
