/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hosts given by hand, and the choice; see cpu_scope.h. */
#include <config.h>
#include "cpu_scope.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/map.h"
#include "base/strbuf.h"
#include "client/snmp.h"

#define HOSTS_FILE_MAX (4 << 20)

/* What a cluster configures, for servers given by hand. */
#define ADHOC_TIMEOUT_MS 3000
#define ADHOC_MIN_SPAN_MS 10000
#define HOST_LINE_MIN 10 /* bytes; most are longer */
#define ADHOC_MAX_SPAN_MS 180000
#define ADHOC_GRACE_MS 90000

/* The first word of a line that may end in a comment; "": there is none. */
static const char *first_word(char *line)
{
	char *end;

	while (*line == ' ' || *line == '\t')
		line++;
	for (end = line;
		*end && *end != ' ' && *end != '\t' && *end != '\r' && *end != '#';)
		end++;
	*end = '\0';
	return line;
}

static int read_hosts(const char *path, struct cs_strings *ret, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(HOSTS_FILE_MAX);
	struct stat st;

	/* Before the first of them: its names alone are a large table. */
	if (stat(path, &st) == 0 && st.st_size <= HOSTS_FILE_MAX)
		cs_expect_tables(
			(size_t)st.st_size / HOST_LINE_MIN * CPU_BYTES_PER_SERVER);
	if (cs_file_read(path, &text, err) < 0)
		return err->code;
	for (char *rest = text.data, *line; (line = strsep(&rest, "\n"));) {
		const char *host = first_word(line);
		if (*host)
			cs_strings_add(ret, host);
	}
	return 0;
}

/* A host that is given twice would count twice. */
static int refuse_doubles(const struct cs_strings *names, struct cs_error *err)
{
	CS_CLEANUP(cs_map_done) struct cs_map seen = {0};

	cs_map_reserve(&seen, names->n);
	for (size_t i = 0; i < names->n; i++) {
		if (!cs_map_add(&seen, names->items[i], "", names))
			return cs_error_set(err, CS_E_USAGE, "host '%s' is given twice",
				names->items[i]);
	}
	return 0;
}

/* A host without an address is missing, like one that is silent. */
static int find_addresses(
	struct cpu_scope *scope, struct cs_deadline deadline, struct cs_error *err)
{
	CS_AUTO_FREE union cs_snmp_address *addresses =
		cs_calloc(scope->n, sizeof *addresses);
	CS_AUTO_FREE char **whys = cs_calloc(scope->n, sizeof *whys);
	int64_t left_ms = cs_deadline_left_ms(deadline);

	/* Half of the time is kept for asking those that have one. */
	if (cs_snmp_resolve_all(scope->names.items, scope->n, CS_SNMP_PORT,
		    cs_deadline_in(left_ms / 2), addresses, whys, err) < 0)
		return err->code;
	for (size_t i = 0; i < scope->n; i++) {
		struct cs_measured *server = &scope->servers[i];
		server->address = addresses[i];
		server->reason = whys[i];
	}
	return 0;
}

static int scope_from_hosts(const struct cpu_source *source, struct cs_deadline deadline,
	struct cpu_scope *ret, struct cs_error *err)
{
	for (size_t i = 0; i < source->hosts.n; i++)
		cs_strings_add(&ret->names, source->hosts.items[i]);
	if (source->hosts_file && read_hosts(source->hosts_file, &ret->names, err) < 0)
		return err->code;
	if (ret->names.n == 0)
		return cs_error_set(
			err, CS_E_USAGE, "%s holds no hosts", source->hosts_file);
	if (refuse_doubles(&ret->names, err) < 0)
		return err->code;
	ret->n = ret->names.n;
	ret->servers = cs_calloc(ret->n, sizeof *ret->servers);
	for (size_t i = 0; i < ret->n; i++) {
		struct cs_measured *server = &ret->servers[i];
		cs_text_clean(ret->names.items[i]);
		server->id = server->name = ret->names.items[i];
		server->credential = &ret->access.credential;
	}
	return find_addresses(ret, deadline, err);
}

/* `word` NULL: `fallback`. */
static int find_word(const char *option, const char *const *words, const char *word,
	int fallback, int *ret, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf list = CS_STRBUF(256);

	*ret = fallback;
	for (int i = 0; word && words[i]; i++) {
		cs_strbuf_addf(&list, "%s %s", i ? "," : "", words[i]);
		*ret = i;
		if (strcmp(words[i], word) == 0)
			return 0;
	}
	return word ? cs_error_set(err, CS_E_USAGE, "option --%s: expected one of%s",
			      option, cs_strbuf_text(&list))
		    : 0;
}

/* The words of check_snmp, but secrets come from files. */
static int open_access(
	const struct cpu_source *source, struct cs_snmp_access *ret, struct cs_error *err)
{
	struct cs_snmp_spec spec = {.community_file = (char *)source->community_file,
		.user = (char *)source->user,
		.context = (char *)source->context,
		.auth_protocol = (char *)source->auth_protocol,
		.auth_password_file = (char *)source->auth_password_file,
		.priv_protocol = (char *)source->priv_protocol,
		.priv_password_file = (char *)source->priv_password_file};

	if (find_word("protocol", cs_snmp_version_names, source->version, CS_SNMP_V2C,
		    &spec.version, err) < 0 ||
		find_word("seclevel", cs_snmp_level_names, source->level,
			CS_SNMP_AUTH_PRIV, &spec.level, err) < 0)
		return err->code;
	if (source->community && source->community_file)
		return cs_error_set(err, CS_E_USAGE,
			"give either --community or --community-file; see --help");
	if (spec.version == CS_SNMP_V3) {
		if (source->community || source->community_file)
			return cs_error_set(err, CS_E_USAGE,
				"SNMP v3 has no community: give --secname USER and files "
				"of passwords; see --help");
		return cs_snmp_access_open(&spec, ret, err);
	}
	if (source->user)
		return cs_error_set(err, CS_E_USAGE,
			"--secname belongs to SNMP v3: give --protocol 3, too; see "
			"--help");
	if (!source->community && !source->community_file)
		return cs_error_set(err, CS_E_USAGE,
			"no community: give --community-file FILE or -C COMMUNITY; see "
			"--help");
	if (source->community)
		ret->community = cs_secret_copy(source->community);
	return cs_snmp_access_open(&spec, ret, err);
}

/* Where the samples of hosts given by hand are kept: as for any plugin of the host. */
static char *adhoc_state_dir(void)
{
	const char *prefix = getenv("MP_STATE_PATH");

	if (!prefix || !*prefix)
		prefix = getenv("NAGIOS_PLUGIN_STATE_DIRECTORY");
	if (!prefix || !*prefix)
		prefix = CS_LOCALSTATEDIR "/lib/clusterscale-plugin";
	return cs_asprintf("%s/%u/check_cluster_cpu", prefix, (unsigned)geteuid());
}

static int adhoc_open(const struct cpu_source *source, struct cs_deadline deadline,
	struct cpu_scope *ret, struct cs_error *err)
{
	int choice, aggregate;

	if (find_word("source", cs_cpu_sources, source->source, CS_CPU_AUTO, &choice,
		    err) < 0 ||
		find_word("aggregate", cs_cpu_aggregates, source->aggregate, CS_CPU_MEAN,
			&aggregate, err) < 0 ||
		open_access(source, &ret->access, err) < 0)
		return err->code;
	if (scope_from_hosts(source, deadline, ret, err) < 0)
		return err->code;
	ret->state_dir = adhoc_state_dir();
	if (cs_state_dir_open(ret->state_dir, 0750, &ret->state_error) < 0)
		cs_strset(&ret->state_dir, NULL);
	ret->setup = (struct cs_measure_setup){.state_dir = ret->state_dir,
		.source = (enum cs_cpu_source)choice,
		.aggregate = (enum cs_cpu_aggregate)aggregate,
		.spans = {ADHOC_MIN_SPAN_MS, ADHOC_MAX_SPAN_MS},
		.grace_ms = ADHOC_GRACE_MS,
		.timeout_ms = ADHOC_TIMEOUT_MS,
		.retries = source->retries < 0 ? CS_SNMP_RETRIES : source->retries,
		.deadline = deadline};
	return 0;
}

int cpu_scope_open(const struct cpu_source *source, struct cs_deadline deadline,
	struct cpu_scope *ret, struct cs_error *err)
{
	bool by_hand = source->hosts.n || source->hosts_file;

	if (source->cluster &&
		(by_hand || source->community || source->community_file || source->user))
		return cs_error_set(err, CS_E_USAGE,
			"--cluster takes hosts and community from the configuration; see "
			"--help");
	if (source->cluster && (source->source || source->aggregate))
		return cs_error_set(err, CS_E_USAGE,
			"--cluster takes source and aggregate from the configuration "
			"(cpu), because nova_scale decides from the figure; see --help");
	if (source->cluster && source->retries >= 0)
		return cs_error_set(err, CS_E_USAGE,
			"--cluster takes retries from the configuration (cpu); see "
			"--help");
	if (source->cluster)
		return cpu_cluster_open(source, deadline, ret, err);
	if (source->dry_run)
		return cs_error_set(
			err, CS_E_USAGE, "--dry-run goes with --cluster; see --help");
	if (by_hand)
		return adhoc_open(source, deadline, ret, err);
	return cs_error_set(err, CS_E_USAGE,
		"nothing to measure: give -n CLUSTER, -H HOST or --hosts FILE; see "
		"--help");
}
