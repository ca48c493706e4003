/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The members of a configured cluster; see cpu_scope.h. */
#include <config.h>
#include "cpu_scope.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/strbuf.h"
#include "client/snmp.h"
#include "domain/clouds.h"
#include "domain/fleet_kept.h"
#include "domain/journal.h"
#include "domain/plan.h"

static int open_accesses(const struct cs_cluster *cluster, struct cs_snmp_accesses *ret,
	struct cs_error *err)
{
	if (cs_snmp_accesses_open(&cluster->cpu, ret, err) == 0)
		return 0;
	return cs_error_prefix(err, "cluster '%s': cpu: snmp", cluster->name);
}

static int add_member(const struct cs_member *member, const struct cs_cluster *cluster,
	struct cpu_scope *ret, struct cs_error *err)
{
	struct cs_measured *server = &ret->servers[ret->n++];
	struct cs_error why;
	int64_t port;

	cs_strings_add(&ret->names, member->server->name);
	server->name = ret->names.items[ret->names.n - 1];
	cs_text_clean(ret->names.items[ret->names.n - 1]);
	server->id = member->server->id;
	server->where = member->address;
	server->created_wall_ms = member->server->created_wall_ms;
	if (cs_snmp_accesses_find(&ret->accesses, &cluster->cpu, member->server,
		    &server->credential, &port, &why) < 0) {
		cs_text_clean(why.message);
		cs_measured_set_reason(server, why.message);
		return 0;
	}
	return cs_snmp_resolve(member->address, port, &server->address, err);
}

/* ACTIVE members are measured; the others only explain themselves. */
static int add_members(const struct cs_members *members, const struct cs_cluster *cluster,
	struct cpu_scope *ret, struct cs_error *err)
{
	struct cs_strbuf others = CS_STRBUF(1 << 20);

	cs_expect_tables(members->n * CPU_BYTES_PER_SERVER);
	ret->servers = cs_calloc(members->n, sizeof *ret->servers);
	for (size_t i = 0; i < members->n; i++) {
		const struct cs_member *member = &members->items[i];
		CS_AUTO_FREE char *name = cs_strdup(member->server->name);

		if (member->state == CS_MEMBER_ACTIVE) {
			if (add_member(member, cluster, ret, err) < 0)
				return err->code;
			continue;
		}
		cs_text_clean(name);
		cs_strbuf_addf(&others, "%s: not counted: %s\n", name,
			cs_member_state_text(member->state));
	}
	ret->cluster.not_counted = cs_strbuf_take(&others);
	return 0;
}

/* What nova_scale has begun and not finished. Publishing is its work only where there are
 * load balancers and it may act. */
static int count_open_work(const struct cs_members *members,
	const struct cs_cluster *cluster, const char *dir, struct cpu_cluster *ret,
	struct cs_error *err)
{
	struct cs_journal *journal = &ret->journal;
	bool publishes = cluster->n_load_balancers > 0 && cluster->mode == CS_MODE_ACT;
	struct cs_stamp now;

	cs_stamp_now(&now);
	if (cs_journal_load(dir, &now, journal, err) < 0)
		return err->code;
	ret->open_requests = (int64_t)journal->n_open;
	ret->boot_ms = cs_journal_boot_ms(journal);
	ret->draining = (int64_t)members->by_state[CS_MEMBER_DRAINING];
	for (size_t i = 0; publishes && i < members->n; i++) {
		const struct cs_member *member = &members->items[i];
		ret->unpublished += member->state == CS_MEMBER_ACTIVE &&
				    !cs_journal_is_published(journal, member->server->id);
	}
	return 0;
}

/* The same that nova_scale counts. */
static void take_census(const struct cs_cluster *cluster, const struct cs_stamp *listed,
	struct cpu_scope *ret)
{
	const struct cs_plan_input in = {.cluster = cluster,
		.view = &ret->view,
		.journal = &ret->cluster.journal,
		.now = *listed};
	struct cs_plan plan = {0};

	cs_plan_open(&in, &plan);
	cs_plan_count(&in, &plan, &ret->cluster.census);
	cs_plan_done(&plan);
}

/* A dry run leaves no token behind. Half of the time left is kept for asking the members.
 */
static int look(const struct cpu_source *source, struct cs_credentials *take_credentials,
	const struct cs_cluster *cluster, struct cs_deadline deadline,
	struct cpu_scope *ret, struct cs_error *err)
{
	CS_CLEANUP(cs_fleet_closep) struct cs_fleet *fleet = NULL;
	CS_AUTO_FREE char *token = cs_asprintf("%s/token", ret->state_dir);
	struct cs_deadline half = cs_deadline_in(cs_deadline_left_ms(deadline) / 2);

	if (cs_fleet_open_as(take_credentials, source->dry_run ? NULL : token, cluster,
		    half, &fleet, err) < 0 ||
		cs_fleet_look(fleet, &ret->view, err) < 0)
		return err->code;
	return 0;
}

/* The cloud could not be asked, or not in time; nothing that a person has to mend first.
 */
static bool may_pass(enum cs_errc code)
{
	return code == CS_E_TIMEOUT || code == CS_E_CONNECT || code == CS_E_PROTOCOL ||
	       code == CS_E_REMOTE;
}

/* The last list in the place of the one that failed with `err`. */
static int look_back(const char *of, const struct cs_cluster *cluster,
	struct cpu_scope *ret, struct cs_error *err)
{
	struct cs_error trouble;
	int code = cs_fleet_kept_load(ret->state_dir, of, cluster->cpu.list_max_age_ms,
		&ret->view, &ret->cluster.list_age_ms, &trouble);

	if (code < 0)
		return code == CS_E_NOT_FOUND
			       ? (int)err->code
			       : cs_error_advise(err, "%s", trouble.message);
	ret->cluster.list_trouble = cs_strdup(err->message);
	return 0;
}

/* Only from a complete list; of now where that can be had. */
static int list_members(const struct cpu_source *source, const struct cs_cluster *cluster,
	const struct cs_stamp *now, struct cs_deadline deadline, struct cpu_scope *ret,
	struct cs_error *err)
{
	bool keep = !source->dry_run && cluster->cpu.list_max_age_ms > 0;
	CS_CLEANUP(cs_credentials_done) struct cs_credentials credentials = {0};

	if (cs_clouds_find(ret->config->clouds_file, cluster->cloud, &credentials, err) <
		0)
		return cs_error_prefix(
			err, "cluster '%s': no list of its servers", cluster->name);
	CS_AUTO_FREE char *of = cs_fleet_kept_of(&credentials, cluster);
	if (look(source, &credentials, cluster, deadline, ret, err) < 0) {
		cs_error_prefix(
			err, "cluster '%s': no list of its servers", cluster->name);
		if (!keep || !may_pass(err->code) || look_back(of, cluster, ret, err) < 0)
			return err->code;
	} else if (keep &&
		   cs_fleet_kept_save(ret->state_dir, of, now, &ret->view, err) < 0)
		return cs_error_prefix(
			err, "cluster '%s': cannot keep the list", cluster->name);
	return add_members(&ret->view.members, cluster, ret, err);
}

static struct cs_measure_setup make_setup(const struct cpu_scope *scope,
	const struct cs_cpu_spec *cpu, struct cs_deadline deadline)
{
	return (struct cs_measure_setup){.state_dir = scope->state_dir,
		.source = (enum cs_cpu_source)cpu->source,
		.aggregate = (enum cs_cpu_aggregate)cpu->aggregate,
		.spans = {cpu->min_span_ms, cpu->max_span_ms},
		.warm_up_ms = cpu->warm_up_ms,
		.grace_ms = cpu->grace_ms,
		.timeout_ms = cpu->timeout_ms,
		.retries = cpu->retries,
		.deadline = deadline};
}

int cpu_cluster_open(const struct cpu_source *source, struct cs_deadline deadline,
	struct cpu_scope *ret, struct cs_error *err)
{
	const struct cs_cluster *cluster;
	struct cs_stamp before;

	if (cs_config_load(source->config_file, &ret->config, err) < 0 ||
		cs_config_cluster(ret->config, source->cluster, &cluster, err) < 0 ||
		open_accesses(cluster, &ret->accesses, err) < 0)
		return err->code;
	ret->state_dir = cs_config_cluster_dir(ret->config, cluster);
	ret->cluster = (struct cpu_cluster){.name = cluster->name,
		.min = cluster->min,
		.max = cluster->max,
		.policy = &cluster->policy,
		.servers = &cluster->servers,
		.up_at = cluster->policy.scale_up_at_permille};
	cs_stamp_now(&before);
	if ((!source->dry_run && cs_state_dir_open(ret->state_dir, 0750, err) < 0) ||
		list_members(source, cluster, &before, deadline, ret, err) < 0 ||
		(!source->dry_run && count_open_work(&ret->view.members, cluster,
					     ret->state_dir, &ret->cluster, err) < 0))
		return err->code;
	if (!ret->cluster.list_trouble)
		take_census(cluster, &before, ret);
	/* Without it fewer servers are not wanted; whether it can be kept shows when this
	 * measurement is recorded. */
	(void)!cs_history_load(
		ret->state_dir, CS_POLICY_HISTORY_MAX, &ret->cluster.history, err);
	ret->setup = make_setup(ret, &cluster->cpu, deadline);
	if (source->dry_run) {
		ret->setup.once = true;
		ret->setup.state_dir = NULL;
	}
	return 0;
}

int cpu_config_check(
	const struct cpu_source *source, char **ret_summary, struct cs_error *err)
{
	CS_CLEANUP(cs_config_freep) struct cs_config *config = NULL;
	struct cs_strbuf names = CS_STRBUF(1 << 16);
	const struct cs_cluster *only = NULL;

	if (cs_config_load(source->config_file, &config, err) < 0 ||
		(source->cluster &&
			cs_config_cluster(config, source->cluster, &only, err) < 0))
		return err->code;
	for (size_t i = 0; i < config->n_clusters; i++) {
		const struct cs_cluster *cluster = &config->clusters[i];
		CS_CLEANUP(cs_snmp_accesses_done) struct cs_snmp_accesses accesses = {0};

		if (only && cluster != only)
			continue;
		if (open_accesses(cluster, &accesses, err) < 0)
			return err->code;
		cs_strbuf_addf(&names, "%s%s", names.len ? ", " : "", cluster->name);
	}
	*ret_summary =
		cs_asprintf("%s is valid: %s", config->path, cs_strbuf_text(&names));
	cs_strbuf_done(&names);
	return 0;
}
