/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which clusters share a configuration file, and its lock; see publish.h. */
#include <config.h>
#include "domain/publish.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/trust.h"
#include "domain/publish_pass.h"
#include "format/haproxy_config.h"

/* The backup holds what the configuration holds, passwords included. */
#define STATE_DIR_MODE 0700
/* With the longest pass behind it, what nova_scale waits for (60 s). */
#define LOCK_WAIT_MS 30000
#define LOCK_POLL_MS 20

static bool same_text(const char *one, const char *other)
{
	return one == other || (one && other && strcmp(one, other) == 0);
}

static bool same_argv(const struct cs_strings *one, const struct cs_strings *other)
{
	bool same = one->n == other->n;

	for (size_t i = 0; same && i < one->n; i++)
		same = strcmp(one->items[i], other->items[i]) == 0;
	return same;
}

/* The key of which two clusters of one file must not differ but do, or NULL. */
static const char *find_difference(
	const struct cs_haproxy_spec *one, const struct cs_haproxy_spec *other)
{
	if (!same_text(one->template_path, other->template_path))
		return "template";
	if (!same_text(one->master_socket, other->master_socket))
		return "master-socket";
	if (!same_text(one->stats_socket, other->stats_socket))
		return "stats-socket";
	if (!same_text(one->state_file, other->state_file))
		return "state-file";
	if (!same_argv(&one->reload, &other->reload))
		return "reload";
	if (one->min_reload_interval_ms != other->min_reload_interval_ms)
		return "min-reload-interval";
	if (!same_text(one->program, other->program))
		return "program";
	if (!same_text(one->state_dir, other->state_dir))
		return "state-dir";
	return NULL;
}

static int add_clusters(const struct cs_config *config, const struct cs_cluster *cluster,
	struct cs_publish_site *site, struct cs_error *err)
{
	site->clusters = cs_calloc(config->n_clusters, sizeof(struct cs_cluster *));
	for (size_t i = 0; i < config->n_clusters; i++) {
		const struct cs_cluster *other = &config->clusters[i];

		if (!other->haproxy.present)
			continue;
		CS_AUTO_FREE char *path = realpath(other->haproxy.config_path, NULL);
		if (!path || strcmp(path, site->config_path) != 0)
			continue;
		const char *key = find_difference(&cluster->haproxy, &other->haproxy);
		if (key)
			return cs_error_set(err, CS_E_CONFIG,
				"%s: clusters '%s' and '%s' render into the same file %s "
				"but differ in haproxy: %s",
				config->path, cluster->name, other->name,
				site->config_path, key);
		if (other == cluster)
			site->asked = site->n_clusters;
		site->clusters[site->n_clusters++] = other;
	}
	return 0;
}

/* "/etc/haproxy/haproxy.cfg" has the files "_etc_haproxy_haproxy.cfg.lock" and alike. */
static char *state_path(const struct cs_publish_site *site,
	const struct cs_haproxy_spec *spec, const char *suffix)
{
	CS_AUTO_FREE char *key = cs_strdup(site->config_path);

	for (char *c = key; *c; c++) {
		if (*c == '/')
			*c = '_';
	}
	return cs_asprintf("%s/%s.%s", spec->state_dir, key, suffix);
}

/* A pass is short, and clusters that share the file are handled at the same time. Each
 * pass lists anew once it has the lock, so that none publishes what is over. */
static int take_lock(const char *path, struct cs_publish_site *site, struct cs_error *err)
{
	struct cs_deadline deadline = cs_deadline_in(LOCK_WAIT_MS);
	int r;

	do {
		r = cs_lock_take(path, "sync", &site->lock, err);
		site->waited |= r == CS_E_LOCKED;
	} while (r == CS_E_LOCKED && cs_deadline_sleep(deadline, LOCK_POLL_MS));
	return r;
}

static int find_site(const struct cs_config *config, const struct cs_cluster *cluster,
	struct cs_publish_site *site, struct cs_error *err)
{
	const struct cs_haproxy_spec *spec = &cluster->haproxy;

	if (!spec->present)
		return cs_error_set(err, CS_E_CONFIG,
			"%s: cluster '%s' has no haproxy section", config->path,
			cluster->name);
	site->config_path = realpath(spec->config_path, NULL);
	if (!site->config_path) {
		cs_error_set_errno(err, errno,
			"HAProxy's configuration %s (HAProxy must run with one before "
			"servers are added; the template without servers will do)",
			spec->config_path);
		err->code = CS_E_CONFIG;
		return err->code;
	}
	if (add_clusters(config, cluster, site, err) < 0 ||
		(geteuid() == 0 && cs_trust_check(spec->state_dir, err) < 0))
		return err->code;
	site->record_path = state_path(site, spec, "applied");
	site->backup_path = state_path(site, spec, "backup");
	return 0;
}

static int open_site(const struct cs_config *config, const struct cs_cluster *cluster,
	struct cs_publish_site *site, struct cs_error *err)
{
	const struct cs_haproxy_spec *spec = &cluster->haproxy;

	if (find_site(config, cluster, site, err) < 0 ||
		cs_state_dir_open(spec->state_dir, STATE_DIR_MODE, err) < 0)
		return err->code;
	CS_AUTO_FREE char *lock_path = state_path(site, spec, "lock");
	return take_lock(lock_path, site, err);
}

int cs_publish_site_look(const struct cs_config *config, const struct cs_cluster *cluster,
	struct cs_publish_site *ret, struct cs_error *err)
{
	struct cs_publish_site site = {.lock = CS_LOCK_NONE};
	int r = find_site(config, cluster, &site, err);

	if (r < 0)
		cs_publish_site_close(&site);
	else
		*ret = site;
	return r;
}

int cs_publish_site_open(const struct cs_config *config, const struct cs_cluster *cluster,
	struct cs_publish_site *ret, struct cs_error *err)
{
	struct cs_publish_site site = {.lock = CS_LOCK_NONE};
	int r = open_site(config, cluster, &site, err);

	if (r < 0)
		cs_publish_site_close(&site);
	else
		*ret = site;
	return r;
}

void cs_publish_site_close(struct cs_publish_site *site)
{
	cs_lock_release(&site->lock);
	free(site->clusters);
	free(site->config_path);
	free(site->record_path);
	free(site->backup_path);
	*site = (struct cs_publish_site){.lock = CS_LOCK_NONE};
}

int cs_publish_read_template(const char *path, const struct cs_publish_ports *ports,
	struct cs_strbuf *ret, struct cs_error *err)
{
	int r = ports->read(ports->context, path, ret, err);

	if (r != CS_E_NOT_FOUND)
		return r;
	cs_error_advise(err,
		"correct haproxy: template, or begin with the example: cp "
		"" CS_DOCDIR "/haproxy.cfg.template %s",
		path);
	err->code = CS_E_CONFIG;
	return err->code;
}

int cs_publish_check_template(const struct cs_publish_site *site,
	const struct cs_publish_ports *ports, struct cs_error *err)
{
	const char *path = site->clusters[site->asked]->haproxy.template_path;
	CS_CLEANUP(cs_strbuf_done)
	struct cs_strbuf template = CS_STRBUF(CS_PUBLISH_CONFIG_MAX);
	CS_CLEANUP(cs_strbuf_done)
	struct cs_strbuf rendered = CS_STRBUF(CS_PUBLISH_CONFIG_MAX);
	CS_AUTO_FREE struct cs_haproxy_group *groups =
		cs_calloc(site->n_clusters, sizeof *groups);

	for (size_t i = 0; i < site->n_clusters; i++) {
		groups[i].cluster = site->clusters[i]->name;
		groups[i].backend = site->clusters[i]->haproxy.backend;
	}
	if (cs_publish_read_template(path, ports, &template, err) < 0)
		return err->code;
	return cs_haproxy_render(cs_strbuf_text(&template), template.len, path, groups,
		site->n_clusters, &rendered, err);
}
