/* SPDX-License-Identifier: GPL-3.0-or-later */
/* clusterscale.yaml as data: checked, with every default filled in. Unknown keys, wrong
 * types and values out of range are CS_E_CONFIG with "FILE:LINE: key: what was expected".
 *
 * A struct cs_config owns everything in it; clusters are borrowed from it. All strings
 * are non-NULL unless a comment says otherwise. Loads are permille, times ms. */
#ifndef CS_DOMAIN_CONFIG_H
#define CS_DOMAIN_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/mem.h"
#include "client/nova.h"
#include "client/probe.h"
#include "client/snmp.h"
#include "domain/cpuload.h"
#include "format/cron.h"
#include "format/schema.h"

enum cs_mode { CS_MODE_OBSERVE, CS_MODE_ACT };

/* servers: what a new server is made of */
struct cs_server_spec {
	char *image;		    /* name or id */
	char *flavor;		    /* name or id */
	struct cs_strings networks; /* names or ids; the first one carries the traffic */
	char *name;		    /* strftime(3) format, local time */
	char *key_name;		    /* or NULL */
	struct cs_strings security_groups;
	char *user_data_file;		      /* or NULL */
	struct cs_strings availability_zones; /* empty: Nova chooses */
	struct cs_strings fixed_addresses;    /* on the first network; empty: any */
	struct cs_strings ports; /* names or ids, on the first network; empty: made */
	char *floating_network;	 /* each server gets a floating address of it; or NULL */
	char *server_group;	 /* name or id, or NULL */
	bool config_drive;
	struct cs_boot_volume boot_volume; /* size_gib 0: none */
	bool adopt_image; /* also balance and count unmarked servers of the image */
	int64_t build_timeout_ms; /* build-timeout, 600 s: BUILD longer than this failed
				   */
};

/* cpu.snmp: how agents are asked; strings are NULL when not given. Without a community
 * file and a user nobody asks: haproxy_sync alone uses the cluster. */
struct cs_snmp_spec {
	int version;	      /* enum cs_snmp_version; 2c */
	char *community_file; /* v1, v2c */
	/* v3 */
	char *user, *context;
	int level; /* enum cs_snmp_level; authPriv */
	char *auth_protocol, *auth_password_file;
	char *priv_protocol, *priv_password_file;
	int64_t port; /* 161 */
};

/* cpu.groups: members that are asked otherwise */
struct cs_cpu_group {
	char *names; /* pattern of fnmatch(3) of their names */
	struct cs_snmp_spec snmp;
};

/* cpu: how members are measured */
struct cs_cpu_spec {
	struct cs_snmp_spec snmp;
	struct cs_cpu_group *groups; /* the first one that has a member counts */
	size_t n_groups;
	int64_t min_span_ms;	 /* min-span, 10 s */
	int64_t max_span_ms;	 /* max-span, 180 s */
	int64_t timeout_ms;	 /* timeout, 3 s: for one poll of all members */
	int64_t retries;	 /* retries, 10: of a silent member within it */
	int source;		 /* enum cs_cpu_source; auto */
	int aggregate;		 /* enum cs_cpu_aggregate; mean */
	int64_t warm_up_ms;	 /* warm-up, 0: members up for less do not count */
	int64_t grace_ms;	 /* grace, 90 s: so long the last load of a silent member
				    stands */
	int64_t list_max_age_ms; /* list-max-age, 0: so long the check reports from the
				    last list when there is no new one */
};

/* policy.schedule: other limits of the size while a cron expression matches */
struct cs_schedule_entry {
	char *during; /* cron expression; the minutes that it matches */
	struct cs_cron cron;
	int64_t min, max; /* within size; 0: as there */
};

/* What asks for servers. With both, the highest wish wins on the way up, and all must
 * agree on the way down. */
enum cs_follow { CS_FOLLOW_STEP, CS_FOLLOW_TARGET, CS_FOLLOW_BOTH };

/* policy: how many servers */
struct cs_policy_spec {
	int follow; /* enum cs_follow; target */

	/* target */
	int64_t target_permille;   /* 700: how busy the servers should be */
	int64_t headroom_permille; /* 700: of the largest recent rise, kept ready */
	int64_t spare;		   /* 0 */
	int64_t window_ms;	   /* 300 s: the highest wish of it wins over fewer */
	int64_t keep_ms;	   /* 1800 s: what the wish rose to within it stays */
	int64_t grow_by_permille, shrink_by_permille; /* 1000, 250: in one decision */

	/* step */
	int64_t scale_up_at_permille;	     /* 700 */
	int64_t scale_down_at_permille;	     /* 100 */
	struct cs_amount step_up, step_down; /* 1: servers, or a share of the cluster */
	int64_t cool_down_up_ms;	     /* 60 s */
	int64_t cool_down_down_ms;	     /* 120 s */
	int64_t max_age_ms; /* max-age, 90 s: older measurements justify nothing */
	/* Budgets; 0: none, which no configuration says */
	int64_t creates_per_run, deletes_per_run;   /* as per hour */
	int64_t creates_per_hour, deletes_per_hour; /* size.max, at least 20 */
	int64_t creates_per_day, deletes_per_day;   /* 10 times those per hour */
	int64_t shrink_per_run_permille;	    /* 500: of the cluster, in one run */

	struct cs_schedule_entry *schedule;
	size_t n_schedule;
	char *timezone; /* of the schedule, "UTC" */
};

/* rolling: how servers of an older image are replaced */
struct cs_rolling_spec {
	bool present;		 /* the section exists */
	int64_t max_surge;	 /* 1: so many more meanwhile, within size.max */
	int64_t max_unavailable; /* 0: so many fewer meanwhile, not below size.min */
};

/* haproxy: what haproxy_sync writes, for one cluster */
struct cs_haproxy_spec {
	bool present; /* the section exists */
	char *cloud;  /* its own credentials; default: the cluster's cloud */
	char *template_path;
	char *config_path;
	char *backend;		     /* name of the backend (or listen) section */
	int64_t port;		     /* server: port, 80; the port that is probed too */
	char *options;		     /* server: options, "maxconn 512 check" */
	char *probe_status;	     /* server: probe: status, or NULL for 200-399 */
	struct cs_probe_spec probe;  /* server: probe, what the port has to answer */
	char *master_socket;	     /* path, or NULL with a reload command */
	char *stats_socket;	     /* path */
	char *state_file;	     /* server-state file that a reload loads, or NULL */
	struct cs_strings reload;    /* argv of a reload command, empty: master socket */
	char *program;		     /* "haproxy": what validates (-c) */
	char *state_dir;	     /* of haproxy_sync; default
					<localstatedir>/lib/clusterscale-haproxy */
	int64_t max_shrink_permille; /* max-shrink, 500: what may leave without a drain */
	int64_t drain_timeout_ms;    /* drain-timeout, 300 s: then sessions are shut */
	int64_t min_reload_interval_ms; /* min-reload-interval, 5 s; 0: any time */
};

/* load-balancers: how nova_scale reaches each haproxy_sync */
struct cs_load_balancer {
	char *name;
	struct cs_strings sync;	  /* argv, no shell */
	struct cs_strings status; /* likewise; empty: check_cluster_drift does not look */
};

struct cs_cluster {
	char *name; /* cs_cluster_name_ok() */
	enum cs_mode mode;
	char *cloud; /* name in clouds.yaml */
	struct cs_server_spec servers;
	int64_t min, max; /* size; 1 <= min <= max */
	struct cs_cpu_spec cpu;
	struct cs_policy_spec policy;
	struct cs_rolling_spec rolling;
	struct cs_haproxy_spec haproxy;
	struct cs_load_balancer *load_balancers;
	size_t n_load_balancers;
};

struct cs_config {
	char *path;	   /* where it was read */
	char *state_dir;   /* state-dir */
	char *clouds_file; /* clouds-file, or NULL: searched */
	char *log_file;	   /* log-file, or NULL: syslog only */
	struct cs_cluster *clusters;
	size_t n_clusters;
};

/* As the configuration and the command line write them; NULL-terminated. */
extern const char *const cs_snmp_version_names[], *const cs_snmp_level_names[];

/* Whether it says enough to ask anybody. */
bool cs_snmp_spec_is_given(const struct cs_snmp_spec *spec) CS_NONNULL_ALL;

#define CS_CONFIG_PATH CS_SYSCONFDIR "/clusterscale/clusterscale.yaml"

/* `path` NULL: CS_CONFIG_PATH. Owned by the caller. */
int cs_config_load(const char *path, struct cs_config **ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL(2, 3);

/* The same from memory; `path` is for messages. */
int cs_config_parse(const char *text, size_t len, const char *path,
	struct cs_config **ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Appends what the file at `path` means, defaults and all: YAML that reads back to the
 * same, each line with its origin. There is no secret in it: those are in files. */
int cs_config_show(const char *path, struct cs_strbuf *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* CS_E_CONFIG lists the names that there are. Borrowed. */
int cs_config_cluster(const struct cs_config *config, const char *name,
	const struct cs_cluster **ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* <state-dir>/<cluster>; owned by the caller. */
char *cs_config_cluster_dir(const struct cs_config *config,
	const struct cs_cluster *cluster) CS_MUST_CHECK CS_NONNULL_ALL;

void cs_config_free(struct cs_config *config);
CS_DEFINE_FREEP(struct cs_config, cs_config_free)

#endif
