/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The keys of clusterscale.yaml and what must hold between them; see domain/config.h. */
#include <config.h>
#include "domain/config.h"

#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include "base/parse.h"
#include "base/zone.h"
#include "domain/config_keys.h"
#include "format/cron.h"
#include "format/haproxy_line.h"
#include "format/schema.h"
#include "format/yaml.h"

#define HOUR_MS (3600 * INT64_C(1000))
#define DAY_MS (24 * HOUR_MS)
#define SERVERS_MAX 10000
#define STATUS_GOOD "200-399"
#define BUDGET_MIN 20 /* creates and deletes per hour */
#define DAY_BUDGET 10 /* that of an hour so many times */

/* Nova makes the name the host name, and HAProxy the server's. */
#define NAME_LEN_MAX 58 /* 63 of a host name, less "-" and 4 hex digits */
#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_"

#define AT(member) .offset = offsetof(struct cs_boot_volume, member)
static const struct cs_schema_key boot_volume_keys[] = {
	{"size", CS_SCHEMA_INT, AT(size_gib), 1, 65536, .required = true},
	{"type", CS_SCHEMA_STRING, AT(type)},
	{"delete-on-termination", CS_SCHEMA_BOOL, AT(goes_with_server),
		.fallback = "true"},
	{0}};
#undef AT

#define AT(member) .offset = offsetof(struct cs_server_spec, member)
static const struct cs_schema_key servers_keys[] = {
	{"image", CS_SCHEMA_STRING, AT(image), .required = true},
	{"flavor", CS_SCHEMA_STRING, AT(flavor), .required = true},
	{"networks", CS_SCHEMA_STRINGS, AT(networks)},
	{"name", CS_SCHEMA_STRING, AT(name), .required = true},
	{"key-name", CS_SCHEMA_STRING, AT(key_name)},
	{"security-groups", CS_SCHEMA_STRINGS, AT(security_groups)},
	{"user-data-file", CS_SCHEMA_PATH, AT(user_data_file)},
	{"availability-zones", CS_SCHEMA_STRINGS, AT(availability_zones)},
	{"fixed-addresses", CS_SCHEMA_STRINGS, AT(fixed_addresses)},
	{"ports", CS_SCHEMA_STRINGS, AT(ports)},
	{"floating-network", CS_SCHEMA_STRING, AT(floating_network)},
	{"server-group", CS_SCHEMA_STRING, AT(server_group)},
	{"config-drive", CS_SCHEMA_BOOL, AT(config_drive), .fallback = "false"},
	{"boot-volume", CS_SCHEMA_SECTION, AT(boot_volume), .keys = boot_volume_keys,
		.optional = true},
	{"adopt-image", CS_SCHEMA_BOOL, AT(adopt_image), .fallback = "false"},
	{"build-timeout", CS_SCHEMA_SECONDS, AT(build_timeout_ms), 1000, DAY_MS,
		.fallback = "600"},
	{0}};
#undef AT

#define AT(member) .offset = offsetof(struct cs_cluster, member)
static const struct cs_schema_key size_keys[] = {
	{"min", CS_SCHEMA_INT, AT(min), 1, SERVERS_MAX, .required = true},
	{"max", CS_SCHEMA_INT, AT(max), 1, SERVERS_MAX, .required = true}, {0}};
#undef AT

const char *const cs_snmp_version_names[] = {
	[CS_SNMP_V2C] = "2c", [CS_SNMP_V1] = "1", [CS_SNMP_V3] = "3", NULL};
const char *const cs_snmp_level_names[] = {[CS_SNMP_NO_AUTH_NO_PRIV] = "noAuthNoPriv",
	[CS_SNMP_AUTH_NO_PRIV] = "authNoPriv",
	[CS_SNMP_AUTH_PRIV] = "authPriv",
	NULL};

#define AT(member) .offset = offsetof(struct cs_snmp_spec, member)
static const struct cs_schema_key snmp_keys[] = {
	{"version", CS_SCHEMA_CHOICE, AT(version), .choices = cs_snmp_version_names,
		.fallback = "2c"},
	{"community-file", CS_SCHEMA_PATH, AT(community_file)},
	{"user", CS_SCHEMA_STRING, AT(user)},
	{"level", CS_SCHEMA_CHOICE, AT(level), .choices = cs_snmp_level_names,
		.fallback = "authPriv"},
	{"auth-protocol", CS_SCHEMA_STRING, AT(auth_protocol), .fallback = "SHA"},
	{"auth-password-file", CS_SCHEMA_PATH, AT(auth_password_file)},
	{"priv-protocol", CS_SCHEMA_STRING, AT(priv_protocol), .fallback = "AES"},
	{"priv-password-file", CS_SCHEMA_PATH, AT(priv_password_file)},
	{"context", CS_SCHEMA_STRING, AT(context)},
	{"port", CS_SCHEMA_INT, AT(port), 1, 65535, .fallback = "161"}, {0}};
#undef AT

#define AT(member) .offset = offsetof(struct cs_cpu_group, member)
static const struct cs_schema_key group_keys[] = {
	{"names", CS_SCHEMA_STRING, AT(names), .required = true},
	{"snmp", CS_SCHEMA_SECTION, AT(snmp), .keys = snmp_keys}, {0}};
#undef AT

#define AT(member) .offset = offsetof(struct cs_cpu_spec, member)
static const struct cs_schema_key cpu_keys[] = {
	{"snmp", CS_SCHEMA_SECTION, AT(snmp), .keys = snmp_keys},
	{"groups", CS_SCHEMA_LIST, AT(groups), .keys = group_keys,
		.size_bytes = sizeof(struct cs_cpu_group),
		.count_offset = offsetof(struct cs_cpu_spec, n_groups)},
	{"min-span", CS_SCHEMA_SECONDS, AT(min_span_ms), 1000, HOUR_MS, .fallback = "10"},
	{"max-span", CS_SCHEMA_SECONDS, AT(max_span_ms), 1000, HOUR_MS,
		.fallback = "180"},
	{"timeout", CS_SCHEMA_SECONDS, AT(timeout_ms), 100, 60000, .fallback = "3"},
	{"retries", CS_SCHEMA_INT, AT(retries), 0, CS_SNMP_RETRIES_MAX, .fallback = "10"},
	{"source", CS_SCHEMA_CHOICE, AT(source), .choices = cs_cpu_sources,
		.fallback = "auto"},
	{"aggregate", CS_SCHEMA_CHOICE, AT(aggregate), .choices = cs_cpu_aggregates,
		.fallback = "mean"},
	{"warm-up", CS_SCHEMA_SECONDS, AT(warm_up_ms), 0, HOUR_MS, .fallback = "0"},
	{"grace", CS_SCHEMA_SECONDS, AT(grace_ms), 0, HOUR_MS, .fallback = "90"},
	{"list-max-age", CS_SCHEMA_SECONDS, AT(list_max_age_ms), 0, HOUR_MS,
		.fallback = "0"},
	{0}};
#undef AT

#define AT(member) .offset = offsetof(struct cs_schedule_entry, member)
static const struct cs_schema_key schedule_keys[] = {
	{"during", CS_SCHEMA_STRING, AT(during), .required = true},
	{"min", CS_SCHEMA_INT, AT(min), 1, SERVERS_MAX},
	{"max", CS_SCHEMA_INT, AT(max), 1, SERVERS_MAX}, {0}};
#undef AT

static const char *const follows[] = {[CS_FOLLOW_STEP] = "step",
	[CS_FOLLOW_TARGET] = "target",
	[CS_FOLLOW_BOTH] = "both",
	NULL};

#define AT(member) .offset = offsetof(struct cs_policy_spec, member)
static const struct cs_schema_key policy_keys[] = {
	{"follow", CS_SCHEMA_CHOICE, AT(follow), .choices = follows,
		.fallback = "target"},
	{"target", CS_SCHEMA_PERCENT, AT(target_permille), 10, 950, .fallback = "70"},
	{"headroom", CS_SCHEMA_PERCENT, AT(headroom_permille), 0, 10000,
		.fallback = "70"},
	{"spare", CS_SCHEMA_INT, AT(spare), 0, SERVERS_MAX, .fallback = "0"},
	{"window", CS_SCHEMA_SECONDS, AT(window_ms), 0, HOUR_MS, .fallback = "300"},
	{"keep", CS_SCHEMA_SECONDS, AT(keep_ms), 0, 4 * HOUR_MS, .fallback = "2400"},
	{"grow-by", CS_SCHEMA_PERCENT, AT(grow_by_permille), 10, 10000,
		.fallback = "300"},
	{"shrink-by", CS_SCHEMA_PERCENT, AT(shrink_by_permille), 10, 1000,
		.fallback = "25"},
	{"scale-up-at", CS_SCHEMA_PERCENT, AT(scale_up_at_permille), 0, 1000,
		.fallback = "70"},
	{"scale-down-at", CS_SCHEMA_PERCENT, AT(scale_down_at_permille), 0, 1000,
		.fallback = "10"},
	{"step-up", CS_SCHEMA_AMOUNT, AT(step_up), 1, SERVERS_MAX, .fallback = "1"},
	{"step-down", CS_SCHEMA_AMOUNT, AT(step_down), 1, SERVERS_MAX, .fallback = "1"},
	{"cool-down-up", CS_SCHEMA_SECONDS, AT(cool_down_up_ms), 0, DAY_MS,
		.fallback = "60"},
	{"cool-down-down", CS_SCHEMA_SECONDS, AT(cool_down_down_ms), 0, DAY_MS,
		.fallback = "120"},
	{"max-age", CS_SCHEMA_SECONDS, AT(max_age_ms), 1000, HOUR_MS, .fallback = "90"},
	{"creates-per-run", CS_SCHEMA_INT, AT(creates_per_run), 1, SERVERS_MAX},
	{"deletes-per-run", CS_SCHEMA_INT, AT(deletes_per_run), 1, SERVERS_MAX},
	{"creates-per-hour", CS_SCHEMA_INT, AT(creates_per_hour), 1, SERVERS_MAX},
	{"deletes-per-hour", CS_SCHEMA_INT, AT(deletes_per_hour), 1, SERVERS_MAX},
	{"creates-per-day", CS_SCHEMA_INT, AT(creates_per_day), 1, 24 * SERVERS_MAX},
	{"deletes-per-day", CS_SCHEMA_INT, AT(deletes_per_day), 1, 24 * SERVERS_MAX},
	{"shrink-per-run", CS_SCHEMA_PERCENT, AT(shrink_per_run_permille), 10, 1000,
		.fallback = "50"},
	{"schedule", CS_SCHEMA_LIST, AT(schedule), .keys = schedule_keys,
		.size_bytes = sizeof(struct cs_schedule_entry),
		.count_offset = offsetof(struct cs_policy_spec, n_schedule)},
	{"timezone", CS_SCHEMA_STRING, AT(timezone), .fallback = "UTC"}, {0}};
#undef AT

#define AT(member) .offset = offsetof(struct cs_rolling_spec, member)
static const struct cs_schema_key rolling_keys[] = {
	{"max-surge", CS_SCHEMA_INT, AT(max_surge), 0, SERVERS_MAX, .fallback = "1"},
	{"max-unavailable", CS_SCHEMA_INT, AT(max_unavailable), 0, SERVERS_MAX,
		.fallback = "0"},
	{0}};
#undef AT

#define AT(member) .offset = offsetof(struct cs_haproxy_spec, member)
static const struct cs_schema_key probe_keys[] = {
	{"path", CS_SCHEMA_PATH, AT(probe.path)},
	{"status", CS_SCHEMA_STRING, AT(probe_status)},
	{"host", CS_SCHEMA_STRING, AT(probe.host)}, {0}};

static const struct cs_schema_key server_keys[] = {
	{"port", CS_SCHEMA_INT, AT(port), 1, 65535, .fallback = "80"},
	{"options", CS_SCHEMA_TEXT, AT(options), .fallback = "maxconn 512 check"},
	{"probe", CS_SCHEMA_SECTION, .keys = probe_keys, .optional = true}, {0}};

static const struct cs_schema_key haproxy_keys[] = {
	{"cloud", CS_SCHEMA_STRING, AT(cloud)},
	{"template", CS_SCHEMA_PATH, AT(template_path), .required = true},
	{"config", CS_SCHEMA_PATH, AT(config_path), .required = true},
	{"backend", CS_SCHEMA_STRING, AT(backend), .required = true},
	{"server", CS_SCHEMA_SECTION, .keys = server_keys},
	{"master-socket", CS_SCHEMA_PATH, AT(master_socket)},
	{"stats-socket", CS_SCHEMA_PATH, AT(stats_socket), .required = true},
	{"state-file", CS_SCHEMA_PATH, AT(state_file)},
	{"reload", CS_SCHEMA_STRINGS, AT(reload)},
	{"program", CS_SCHEMA_STRING, AT(program), .fallback = "haproxy"},
	{"state-dir", CS_SCHEMA_PATH, AT(state_dir),
		.fallback = CS_LOCALSTATEDIR "/lib/clusterscale-haproxy"},
	{"min-reload-interval", CS_SCHEMA_SECONDS, AT(min_reload_interval_ms), 0, DAY_MS,
		.fallback = "5"},
	{"max-shrink", CS_SCHEMA_PERCENT, AT(max_shrink_permille), 0, 1000,
		.fallback = "50"},
	{"drain-timeout", CS_SCHEMA_SECONDS, AT(drain_timeout_ms), 0, DAY_MS,
		.fallback = "300"},
	{0}};
#undef AT

#define AT(member) .offset = offsetof(struct cs_load_balancer, member)
static const struct cs_schema_key load_balancer_keys[] = {
	{"name", CS_SCHEMA_STRING, AT(name), .required = true},
	{"sync", CS_SCHEMA_STRINGS, AT(sync), .required = true},
	{"status", CS_SCHEMA_STRINGS, AT(status)}, {0}};
#undef AT

static const char *const modes[] = {
	[CS_MODE_OBSERVE] = "observe", [CS_MODE_ACT] = "act", NULL};

#define AT(member) .offset = offsetof(struct cs_cluster, member)
static const struct cs_schema_key cluster_keys[] = {
	{"mode", CS_SCHEMA_CHOICE, AT(mode), .choices = modes, .fallback = "observe"},
	{"cloud", CS_SCHEMA_STRING, AT(cloud), .required = true},
	{"servers", CS_SCHEMA_SECTION, AT(servers), .keys = servers_keys,
		.required = true},
	{"size", CS_SCHEMA_SECTION, .keys = size_keys, .required = true},
	{"cpu", CS_SCHEMA_SECTION, AT(cpu), .keys = cpu_keys},
	{"policy", CS_SCHEMA_SECTION, AT(policy), .keys = policy_keys},
	{"rolling", CS_SCHEMA_SECTION, AT(rolling), .keys = rolling_keys,
		.optional = true},
	{"haproxy", CS_SCHEMA_SECTION, AT(haproxy), .keys = haproxy_keys,
		.optional = true},
	{"load-balancers", CS_SCHEMA_LIST, AT(load_balancers), .keys = load_balancer_keys,
		.size_bytes = sizeof(struct cs_load_balancer),
		.count_offset = offsetof(struct cs_cluster, n_load_balancers)},
	{0}};
#undef AT

#define AT(member) .offset = offsetof(struct cs_config, member)
const struct cs_schema_key cs_config_keys[] = {
	{"state-dir", CS_SCHEMA_PATH, AT(state_dir),
		.fallback = CS_LOCALSTATEDIR "/lib/clusterscale"},
	{"clouds-file", CS_SCHEMA_PATH, AT(clouds_file)},
	{"log-file", CS_SCHEMA_PATH, AT(log_file)},
	{"clusters", CS_SCHEMA_MAP, AT(clusters), .keys = cluster_keys, .required = true,
		.size_bytes = sizeof(struct cs_cluster),
		.count_offset = offsetof(struct cs_config, n_clusters)},
	{0}};
#undef AT

/* What a check needs to name the line of the key that it finds wrong. */
struct context {
	const char *path;
	const struct cs_yaml_node *node; /* of the cluster */
	const char *cluster;
	struct cs_error *err;
};

/* The line of `section.key`, or of what is there of it; `key` may have a point, too. */
static int line_of(const struct context *at, const char *section, const char *key)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s.%s", section, key);
	const struct cs_yaml_node *node = at->node;
	int line = node->line;
	char *save = NULL;

	for (char *word = strtok_r(path, ".", &save); word;
		word = strtok_r(NULL, ".", &save)) {
		const struct cs_yaml_item *item = cs_yaml_find(node, word);

		if (!item)
			break;
		line = item->line;
		node = item->value;
	}
	return line;
}

/* `key` "" is the section itself. */
static int refuse(
	const struct context *at, const char *section, const char *key, const char *why)
{
	return cs_error_set(at->err, CS_E_CONFIG, "%s:%d: key 'clusters.%s.%s%s%s': %s",
		at->path, line_of(at, section, key), at->cluster, section,
		*key ? "." : "", key, why);
}

static int check_server_name(const struct cs_cluster *cluster, const struct context *at)
{
	char name[256];
	struct tm tm;
	time_t now = time(NULL);

	localtime_r(&now, &tm);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	size_t len = strftime(name, sizeof name, cluster->servers.name, &tm);
#pragma GCC diagnostic pop
	if (len == 0)
		return refuse(at, "servers", "name",
			"expected a name, possibly with %Y%m%d%H%M of strftime(3), found "
			"one that is empty or too long");
	if (len > NAME_LEN_MAX || strspn(name, NAME_CHARS) != len) {
		CS_AUTO_FREE char *why = cs_asprintf(
			"expected at most %d letters, digits, '.', '-' or '_', found "
			"'%s' after strftime(3)",
			NAME_LEN_MAX, name);
		return refuse(at, "servers", "name", why);
	}
	return 0;
}

static bool is_address(const char *text)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, text, bytes) == 1 ||
	       inet_pton(AF_INET6, text, bytes) == 1;
}

/* What each server takes one of. */
static int check_share(const struct cs_cluster *cluster, const char *key,
	const struct cs_strings *given, const char *too_few, const struct context *at)
{
	if (given->n == 0)
		return 0;
	if (cluster->servers.networks.n == 0)
		return refuse(at, "servers", key,
			"expected servers.networks as well, whose first one they are on");
	if ((int64_t)given->n < cluster->max)
		return refuse(at, "servers", key, too_few);
	return 0;
}

static int check_addresses(const struct cs_cluster *cluster, const struct context *at)
{
	const struct cs_strings *addresses = &cluster->servers.fixed_addresses,
				*ports = &cluster->servers.ports;

	for (size_t i = 0; i < addresses->n; i++) {
		if (!is_address(addresses->items[i]))
			return refuse(at, "servers", "fixed-addresses",
				"expected addresses, such as 10.0.0.11");
	}
	if (addresses->n > 0 && ports->n > 0)
		return refuse(at, "servers", "ports",
			"expected no fixed-addresses as well: ports have their own");
	if (check_share(cluster, "fixed-addresses", addresses,
		    "expected at least size.max addresses", at) < 0)
		return at->err->code;
	return check_share(
		cluster, "ports", ports, "expected at least size.max ports", at);
}

static int check_policy(const struct cs_cluster *cluster, const struct context *at)
{
	if (cluster->min > cluster->max) {
		CS_AUTO_FREE char *why = cs_asprintf("%lld is less than size.min, %lld",
			(long long)cluster->max, (long long)cluster->min);

		return refuse(at, "size", "max", why);
	}
	if (cluster->policy.scale_down_at_permille >=
		cluster->policy.scale_up_at_permille)
		return refuse(at, "policy", "scale-down-at",
			"expected less than policy.scale-up-at");
	if (cluster->cpu.min_span_ms >= cluster->cpu.max_span_ms)
		return refuse(at, "cpu", "max-span", "expected more than cpu.min-span");
	return 0;
}

static void fill_budget(int64_t *budget, int64_t fallback)
{
	if (*budget == 0)
		*budget = fallback;
}

/* A cluster that may have many servers may also get them within an hour. */
static void fill_budgets(struct cs_cluster *cluster)
{
	struct cs_policy_spec *policy = &cluster->policy;
	int64_t budget = cluster->max > BUDGET_MIN ? cluster->max : BUDGET_MIN;

	fill_budget(&policy->creates_per_hour, budget);
	fill_budget(&policy->deletes_per_hour, budget);
	fill_budget(&policy->creates_per_run, policy->creates_per_hour);
	fill_budget(&policy->deletes_per_run, policy->deletes_per_hour);
	fill_budget(&policy->creates_per_day, DAY_BUDGET * policy->creates_per_hour);
	fill_budget(&policy->deletes_per_day, DAY_BUDGET * policy->deletes_per_hour);
}

static int finish_schedule(struct cs_cluster *cluster, const struct context *at)
{
	struct cs_policy_spec *policy = &cluster->policy;

	if (!cs_zone_ok(policy->timezone))
		return refuse(at, "policy", "timezone",
			"expected the name of a time zone, such as Europe/Paris");
	for (size_t i = 0; i < policy->n_schedule; i++) {
		struct cs_schedule_entry *entry = &policy->schedule[i];

		if (!cs_cron_parse(entry->during, &entry->cron))
			return refuse(at, "policy", "schedule",
				"expected in 'during' a cron expression: minute hour day "
				"month weekday, such as \"* 8-17 * * 1-5\"");
		if (entry->min == 0)
			entry->min = cluster->min;
		if (entry->max == 0)
			entry->max = cluster->max;
		if (entry->min < cluster->min || entry->max > cluster->max ||
			entry->min > entry->max)
			return refuse(at, "policy", "schedule",
				"expected min and max within those of size, and min at "
				"most max");
	}
	return 0;
}

static int finish_rolling(struct cs_rolling_spec *rolling, const struct context *at)
{
	rolling->present = cs_yaml_find(at->node, "rolling") != NULL;
	if (rolling->max_surge + rolling->max_unavailable == 0)
		return refuse(at, "rolling", "",
			"expected max-surge or max-unavailable of at least 1");
	return 0;
}

static int check_load_balancers(
	const struct cs_cluster *cluster, const struct context *at)
{
	for (size_t i = 0; i < cluster->n_load_balancers; i++) {
		if (cluster->load_balancers[i].sync.n == 0)
			return refuse(at, "load-balancers", "",
				"expected a command in every 'sync', found an empty "
				"list");
		for (size_t j = 0; j < i; j++) {
			if (strcmp(cluster->load_balancers[i].name,
				    cluster->load_balancers[j].name) == 0)
				return refuse(at, "load-balancers", "",
					"expected a different name for each");
		}
	}
	return 0;
}

/* Both end up in HAProxy's configuration. */
static int check_lines(const struct cs_haproxy_spec *haproxy, const struct context *at)
{
	struct cs_error why;

	if (strspn(haproxy->backend, NAME_CHARS ":") != strlen(haproxy->backend))
		return refuse(at, "haproxy", "backend",
			"expected letters, digits, '.', '-', '_' and ':'");
	if (cs_haproxy_options_check(haproxy->options, &why) < 0)
		return refuse(at, "haproxy", "server.options", why.message);
	return 0;
}

static bool is_printable(const char *text)
{
	while (*text > ' ' && *text < 0x7f)
		text++;
	return *text == '\0';
}

/* "200", "200-399" */
static bool parse_status(const char *text, struct cs_probe_spec *ret)
{
	CS_AUTO_FREE char *from = cs_strdup(text);
	char *dash = strchr(from, '-');

	if (dash)
		*dash = '\0';
	return cs_parse_int(from, 100, 599, &ret->status_min) &&
	       cs_parse_int(
		       dash ? dash + 1 : from, ret->status_min, 599, &ret->status_max);
}

static int finish_probe(struct cs_haproxy_spec *haproxy, const struct context *at)
{
	struct cs_probe_spec *probe = &haproxy->probe;

	if (!probe->path && (probe->host || haproxy->probe_status))
		return refuse(at, "haproxy", "server.probe",
			"expected a path, as in {path: /health}");
	if (!parse_status(
		    haproxy->probe_status ? haproxy->probe_status : STATUS_GOOD, probe))
		return refuse(at, "haproxy", "server.probe.status",
			"expected a status such as 200, or a range such as 200-399");
	if (probe->path && (!is_printable(probe->path) || strchr(probe->path, '#')))
		return refuse(at, "haproxy", "server.probe.path",
			"expected the path of a URL, without blanks and '#'");
	if (probe->host && !is_printable(probe->host))
		return refuse(at, "haproxy", "server.probe.host",
			"expected the name of a host");
	return 0;
}

static int finish_haproxy(struct cs_cluster *cluster, const struct context *at)
{
	struct cs_haproxy_spec *haproxy = &cluster->haproxy;

	haproxy->present = cs_yaml_find(at->node, "haproxy") != NULL;
	if (!haproxy->cloud)
		haproxy->cloud = cs_strdup(cluster->cloud);
	if (haproxy->present && !haproxy->master_socket && haproxy->reload.n == 0)
		return refuse(at, "haproxy", "",
			"expected master-socket (haproxy -S) or a reload command");
	if (finish_probe(haproxy, at) < 0)
		return at->err->code;
	return haproxy->present ? check_lines(haproxy, at) : 0;
}

static int finish_cluster(struct cs_cluster *cluster, const struct context *at)
{
	if (!cs_cluster_name_ok(cluster->name))
		return cs_error_set(at->err, CS_E_CONFIG,
			"%s:%d: cluster name '%.60s': expected 1 to 40 letters, digits, "
			"'-' or '_', beginning with a letter or digit",
			at->path, at->node->line, cluster->name);
	fill_budgets(cluster);
	if (check_server_name(cluster, at) < 0 || check_addresses(cluster, at) < 0 ||
		check_policy(cluster, at) < 0 || finish_schedule(cluster, at) < 0 ||
		finish_rolling(&cluster->rolling, at) < 0 ||
		check_load_balancers(cluster, at) < 0 || finish_haproxy(cluster, at) < 0)
		return at->err->code;
	return 0;
}

int cs_config_parse(const char *text, size_t len, const char *path,
	struct cs_config **ret, struct cs_error *err)
{
	CS_CLEANUP(cs_yaml_freep) struct cs_yaml *yaml = NULL;
	CS_CLEANUP(cs_config_freep)
	struct cs_config *config = cs_calloc(1, sizeof *config);

	config->path = cs_strdup(path);
	if (cs_yaml_parse(text, len, path, &yaml, err) < 0)
		return err->code;
	const struct cs_yaml_node *root = cs_yaml_root(yaml);
	if (cs_schema_read(cs_config_keys, root, path, config, err) < 0)
		return err->code;
	const struct cs_yaml_item *clusters = cs_yaml_find(root, "clusters");
	if (config->n_clusters == 0)
		return cs_error_set(err, CS_E_CONFIG,
			"%s:%d: key 'clusters': expected at least one cluster", path,
			clusters->line);
	for (size_t i = 0; i < config->n_clusters; i++) {
		const struct context at = {path, clusters->value->items[i].value,
			config->clusters[i].name, err};
		if (finish_cluster(&config->clusters[i], &at) < 0)
			return err->code;
	}
	*ret = CS_TAKE(config);
	return 0;
}

bool cs_snmp_spec_is_given(const struct cs_snmp_spec *spec)
{
	return spec->community_file || spec->user;
}

void cs_config_free(struct cs_config *config)
{
	if (!config)
		return;
	cs_schema_free(cs_config_keys, config);
	free(config->path);
	free(config);
}
