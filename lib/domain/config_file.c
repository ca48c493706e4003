/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The file clusterscale.yaml: finding, reading and showing it; see domain/config.h. */
#include <config.h>
#include "domain/config.h"

#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/strbuf.h"
#include "domain/config_keys.h"
#include "format/yaml.h"

/* Whoever can write it chooses the commands that nova_scale runs. */
static int check_mode(const char *path, struct cs_error *err)
{
	struct stat st;

	if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & S_IWOTH)
		return cs_error_set(err, CS_E_REFUSED,
			"everybody can write %s (mode %04o), which names commands to "
			"run; "
			"type: chmod o-w %s",
			path, (unsigned)st.st_mode & 07777, path);
	return 0;
}

static int read_file(const char *path, struct cs_strbuf *ret, struct cs_error *err)
{
	if (check_mode(path, err) < 0)
		return err->code;
	if (cs_file_read(path, ret, err) < 0) {
		if (err->code == CS_E_NOT_FOUND)
			cs_error_advise(err,
				"name another file with -f, or begin with the example: "
				"cp " CS_DOCDIR "/clusterscale.yaml %s",
				path);
		err->code = CS_E_CONFIG;
		return cs_error_prefix(err, "configuration");
	}
	return 0;
}

int cs_config_load(const char *path, struct cs_config **ret, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(CS_YAML_SIZE_MAX);

	if (!path)
		path = CS_CONFIG_PATH;
	if (read_file(path, &text, err) < 0)
		return err->code;
	return cs_config_parse(cs_strbuf_text(&text), text.len, path, ret, err);
}

int cs_config_show(const char *path, struct cs_strbuf *ret, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(CS_YAML_SIZE_MAX);
	CS_CLEANUP(cs_config_freep) struct cs_config *config = NULL;
	CS_CLEANUP(cs_yaml_freep) struct cs_yaml *yaml = NULL;

	if (read_file(path, &text, err) < 0 ||
		cs_config_parse(cs_strbuf_text(&text), text.len, path, &config, err) <
			0 ||
		cs_yaml_parse(cs_strbuf_text(&text), text.len, path, &yaml, err) < 0)
		return err->code;
	cs_schema_show(cs_config_keys, cs_yaml_root(yaml), path, config, ret);
	return 0;
}

int cs_config_cluster(const struct cs_config *config, const char *name,
	const struct cs_cluster **ret, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf names = CS_STRBUF(256);

	for (size_t i = 0; i < config->n_clusters; i++) {
		if (strcmp(config->clusters[i].name, name) == 0) {
			*ret = &config->clusters[i];
			return 0;
		}
		cs_strbuf_addf(&names, "%s%s", i ? ", " : "", config->clusters[i].name);
	}
	return cs_error_set(err, CS_E_CONFIG, "%s has no cluster '%.60s'; it has: %s",
		config->path, name, cs_strbuf_text(&names));
}

char *cs_config_cluster_dir(
	const struct cs_config *config, const struct cs_cluster *cluster)
{
	return cs_asprintf("%s/%s", config->state_dir, cluster->name);
}
