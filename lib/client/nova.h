/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The part of the Compute API (v2.1) that scaling needs, and the two look-ups in Image
 * and Network that turn names into ids.
 * Source: https://docs.openstack.org/api-ref/compute/ .
 *
 * A struct cs_nova borrows its session. Results are owned by the caller. Every call ends
 * within the session's deadline and reports, beside the general codes, CS_E_NOT_FOUND
 * (404), CS_E_CONFLICT (409), CS_E_QUOTA (403 with a quota message), CS_E_FORBIDDEN,
 * CS_E_REMOTE (5xx), CS_E_PROTOCOL (malformed) and, for what changes something, CS_E_LOST
 * when the request may have been carried out although no answer came. */
#ifndef CS_CLIENT_NOVA_H
#define CS_CLIENT_NOVA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/mem.h"

struct cs_keystone; /* client/keystone.h: an authenticated session */
struct cs_nova;

struct cs_server_address {
	char *network; /* its name in Nova's `addresses` */
	char *ip;
	int version; /* 4 or 6 */
};

struct cs_server {
	char *id, *name;
	char *status;		 /* ACTIVE, BUILD, ERROR, ... as Nova spells it */
	char *task_state;	 /* or NULL */
	char *image_id;		 /* of a volume: by our mark, else "" */
	char *flavor;		 /* original_name (>= 2.47) or id */
	int64_t vcpus;		 /* of the flavor, 0 when not told */
	char *zone;		 /* or NULL */
	char *fault;		 /* message of an ERROR server, or NULL */
	int64_t created_wall_ms; /* -1 unknown */
	bool locked;
	bool is_protected; /* clusterscale.protected, as metadata or as a tag */
	bool hidden;	   /* no metadata at all: its cell is down, little is known */
	struct cs_server_address *addresses;
	size_t n_addresses;
	/* our marks in its metadata, NULL when absent */
	char *mark_cluster;   /* clusterscale.cluster */
	char *mark_op;	      /* clusterscale.op */
	char *mark_draining;  /* clusterscale.draining: wall ms as decimal text */
	char *mark_address;   /* clusterscale.address */
	char *mark_snmp_port; /* clusterscale.snmp-port */
	struct cs_strings tags;
	struct cs_strings kept_volumes; /* ids of its volumes that outlive it */
};

struct cs_server_list {
	struct cs_server *servers;
	size_t n;
	int64_t taken_wall_ms; /* when the first page was asked for */
};

/* A volume made from the image, to boot from. */
struct cs_boot_volume {
	int64_t size_gib;
	char *type;	       /* or NULL: the cloud's default; needs 2.67 */
	bool goes_with_server; /* deleted with it; else it stays, and costs */
};

struct cs_server_request {
	const char *name, *image_id, *flavor_id, *key_name,
		*zone; /* the last two or NULL */
	const struct cs_strings *network_ids, *security_groups;
	const char *address;		     /* on the first network; or NULL: any */
	const char *port_id;		     /* that has it; or NULL: one is made */
	const char *group_id;		     /* server group, or NULL */
	const char *user_data_base64;	     /* or NULL */
	const struct cs_boot_volume *volume; /* NULL: boots from the image itself */
	bool config_drive;
	const char *mark_cluster, *mark_op;
};

#define CS_NOVA_MARK_CLUSTER "clusterscale.cluster"
#define CS_NOVA_MARK_OP "clusterscale.op"
#define CS_NOVA_MARK_DRAINING "clusterscale.draining"
/* What it was made of, where Nova does not tell: its volume was made from this image. */
#define CS_NOVA_MARK_IMAGE "clusterscale.image"
/* The address that was asked for, which Nova does not list before it is there. */
#define CS_NOVA_MARK_ADDRESS "clusterscale.address"
/* A person's: the UDP port of its agent, where that is not what is configured. */
#define CS_NOVA_MARK_SNMP_PORT "clusterscale.snmp-port"
/* A person's: a metadata key of any value, or a tag. With a point, as a tag with a colon
 * is that of a cluster. */
#define CS_NOVA_MARK_PROTECTED "clusterscale.protected"

/* Negotiates the microversion (floor 2.26, wanted 2.73; the version document of the
 * endpoint says what there is). */
int cs_nova_open(struct cs_keystone *session, struct cs_nova **ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_nova_close(struct cs_nova *nova);
CS_DEFINE_FREEP(struct cs_nova, cs_nova_close)

/* Every server of the project, all pages, no server-side filter; or an error: a part is
 * never returned as a whole. */
int cs_nova_list(struct cs_nova *nova, struct cs_server_list *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
int cs_nova_show(struct cs_nova *nova, const char *id, struct cs_server *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Requests for several servers may be in flight at once: each is begun, then ended, in
 * any order and before the session is closed. Ending waits for the answer. */
struct cs_nova_call;

/* CS_E_CONFIG: this cloud cannot do what is asked for. */
int cs_nova_create_check(const struct cs_nova *nova,
	const struct cs_server_request *request,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Never repeated by itself. Marks go into metadata, and into tag clusterscale:<cluster>
 * from 2.52. Without networks Nova chooses ("auto"). CS_E_LOST also for 5xx other than
 * 503: Nova can fail after it has made the server. */
struct cs_nova_call *cs_nova_create_begin(struct cs_nova *nova,
	const struct cs_server_request *request) CS_MUST_CHECK CS_NONNULL_ALL;
int cs_nova_create_end(struct cs_nova_call *take_call, char **ret_id,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* 204; CS_E_NOT_FOUND when it is gone already. */
struct cs_nova_call *cs_nova_delete_begin(
	struct cs_nova *nova, const char *id) CS_MUST_CHECK CS_NONNULL_ALL;
int cs_nova_delete_end(struct cs_nova_call *take_call,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
int cs_nova_metadata_set(struct cs_nova *nova, const char *id, const char *key,
	const char *value, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
int cs_nova_metadata_unset(struct cs_nova *nova, const char *id, const char *key,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
int cs_nova_tag_add(struct cs_nova *nova, const char *id, const char *tag,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* From now on a volume of the server is deleted with it. CS_E_CONFIG: below 2.85. */
int cs_nova_volume_goes(struct cs_nova *nova, const char *server_id,
	const char *volume_id, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Name or id to id. Two of one name: CS_E_CONFLICT listing their ids; none:
 * CS_E_NOT_FOUND listing the names that are most like it. */
int cs_nova_image_id(struct cs_nova *nova, const char *name_or_id, char **ret_id,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
int cs_nova_group_id(struct cs_nova *nova, const char *name_or_id, char **ret_id,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
int cs_nova_security_group_id(struct cs_nova *nova, const char *name_or_id, char **ret_id,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
/* Key pairs have names alone, and belong to the user of the credentials, not to the
 * project. CS_E_NOT_FOUND as above. */
int cs_nova_keypair_check(struct cs_nova *nova, const char *name,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
/* Both, because Nova lists addresses under the network's name. */
int cs_nova_network_find(struct cs_nova *nova, const char *name_or_id, char **ret_id,
	char **ret_name, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* And the first address of a port. CS_E_CONFIG when it has none. */
int cs_nova_port_find(struct cs_nova *nova, const char *name_or_id, char **ret_id,
	char **ret_address, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Begins to make an image of a server, and names it. CS_E_CONFLICT: the server is busy,
 * with another image for instance. */
int cs_nova_snapshot(struct cs_nova *nova, const char *server_id, const char *name,
	char **ret_image_id, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
struct cs_nova_image {
	char *status; /* "queued", "saving", "active", "killed", ..., as Glance has it */
	int64_t min_disk_gib, min_ram_mib; /* what a server of it needs; 0: anything */
};
int cs_nova_image_show(struct cs_nova *nova, const char *image_id,
	struct cs_nova_image *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_nova_image_done(struct cs_nova_image *image) CS_NONNULL_ALL;

/* What the project has and may have; `max` -1: as much as it likes. */
struct cs_nova_limits {
	struct cs_nova_limit {
		int64_t max, used;
	} instances, cores, ram_mib;
};
int cs_nova_limits(struct cs_nova *nova, struct cs_nova_limits *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* What one server of a flavor takes of them, and has. */
struct cs_nova_size {
	int64_t vcpus, ram_mib;
	int64_t disk_gib; /* 0: as much as the image needs */
};
/* As the other names and ids, in one answer. */
int cs_nova_flavor_find(struct cs_nova *nova, const char *name_or_id, char **ret_id,
	struct cs_nova_size *ret_size, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* While it is on, what only reads sends its first request and fails at once; the same
 * call finds the answer under way afterwards. So that several wait together. */
void cs_nova_look_ahead(struct cs_nova *nova, bool on) CS_NONNULL_ALL;

/* Pure. CS_E_QUOTA names the limit that `servers` more would cross. */
int cs_nova_limits_check(const struct cs_nova_limits *limits,
	const struct cs_nova_size *size, int64_t servers,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Pure. Would Nova boot a server of this size from the image, on a volume of
 * `volume_gib` (0: on the flavor's disk)? CS_E_CONFIG says what is too small. */
int cs_nova_image_fits(const struct cs_nova_image *image, const struct cs_nova_size *size,
	int64_t volume_gib, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

void cs_server_done(struct cs_server *server) CS_NONNULL_ALL;
void cs_server_list_done(struct cs_server_list *list) CS_NONNULL_ALL;

/* Parses one page of GET /servers/detail into `list` (appends) and returns the query of
 * its `next` link, or NULL; only the query, because host and path of the link are what
 * the service believes itself to be behind its proxies. For cs_nova_list() and its fuzz
 * target, like the next one for the answer of GET /servers/ID. */
int cs_nova_parse_page(const char *text, size_t len, struct cs_server_list *list,
	char **ret_next, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
int cs_nova_parse_server(const char *text, size_t len, struct cs_server *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
