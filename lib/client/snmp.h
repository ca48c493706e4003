/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One SNMP GET to many agents at once. Own input and output, net-snmp as the codec: one
 * packet, built once, goes to every agent with another request id, in small batches over
 * one UDP socket per address family, so that ten thousand agents cost as little as the
 * network allows. A reply counts only with our request id from the address it was asked
 * of: a v2c reply proves its origin by nothing else. RFC 3416, RFC 3417. */
#ifndef CS_CLIENT_SNMP_H
#define CS_CLIENT_SNMP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/deadline.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/secret.h"

#define CS_SNMP_ARCS_MAX 16
#define CS_SNMP_OBJECTS_MAX 16
#define CS_SNMP_PORT 161
#define CS_SNMP_RETRIES 10
#define CS_SNMP_RETRIES_MAX 100

/* A numeric object identifier, with the instance (.0 for a scalar). */
struct cs_snmp_object {
	size_t n_arcs;
	unsigned long arcs[CS_SNMP_ARCS_MAX];
};

enum cs_snmp_outcome {
	CS_SNMP_SILENT,	      /* nothing came within the time */
	CS_SNMP_ANSWERED,     /* `values` and `present` hold */
	CS_SNMP_UNREACHABLE,  /* the system or an ICMP message said so: detail is errno */
	CS_SNMP_ERROR_STATUS, /* the agent refused: detail is the error-status */
	CS_SNMP_REPORTED,     /* v3, the agent refused: detail is an SNMPERR_... */
	/* Only answers came that are not taken: */
	CS_SNMP_MALFORMED,
	CS_SNMP_FOREIGN,	 /* from another address */
	CS_SNMP_OTHER_ID,	 /* to another request than was sent */
	CS_SNMP_OTHER_VERSION,	 /* in another version than was asked in */
	CS_SNMP_OTHER_COMMUNITY, /* with another community than was asked with */
	CS_SNMP_UNPROVED, /* v3: digest, time, user or level are not as they must be */
};

enum cs_snmp_version { CS_SNMP_V2C, CS_SNMP_V1, CS_SNMP_V3 };
enum cs_snmp_level { CS_SNMP_NO_AUTH_NO_PRIV, CS_SNMP_AUTH_NO_PRIV, CS_SNMP_AUTH_PRIV };

#define CS_SNMP_KEY_MAX 64 /* SHA-512 */
struct cs_snmp_key {
	uint8_t bytes[CS_SNMP_KEY_MAX];
	size_t len;
};

/* How agents are asked; everything in it is borrowed and outlives the poll. v3 needs
 * cs_snmp_credential_prepare(). */
struct cs_snmp_credential {
	enum cs_snmp_version version;
	const struct cs_secret *community; /* v1, v2c; at most 255 bytes */

	/* v3: RFC 3414. Protocols by name, of cs_snmp_auth_protocols() and
	 * cs_snmp_priv_protocols(). */
	enum cs_snmp_level level;
	const char *user;
	const char *context; /* NULL: the default one */
	const char *auth_protocol, *priv_protocol;
	const struct cs_secret *auth_password, *priv_password;
	/* of the passwords, for every engine (Ku) */
	struct cs_snmp_key auth_key, priv_key;
};

/* Checks a credential and derives the keys of v3, which takes milliseconds: once per
 * credential. CS_E_CONFIG says what is wrong. The keys are secrets: zero them. */
int cs_snmp_credential_prepare(struct cs_snmp_credential *credential,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* What the library has, NULL-terminated. */
const char *const *cs_snmp_auth_protocols(void);
const char *const *cs_snmp_priv_protocols(void);

/* A fifth of a struct sockaddr_storage, which counts with fifty thousand of them. */
union cs_snmp_address {
	sa_family_t family; /* AF_UNSPEC: none */
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Of a table: `values` and `present` are those of n rows in their order. */
struct cs_snmp_rows {
	uint32_t last; /* index of the last one; 0: there is none */
	uint8_t n;     /* at most CS_SNMP_OBJECTS_MAX, maybe fewer before the end */
	bool ended;    /* there are no more behind it */
};

struct cs_snmp_target {
	/* in */
	union cs_snmp_address address; /* AF_UNSPEC: left alone */
	const struct cs_snmp_credential *credential;
	/* out */
	enum cs_snmp_outcome outcome;
	int detail;
	/* Counter32, Gauge32, TimeTicks, or an INTEGER that is not negative */
	uint32_t values[CS_SNMP_OBJECTS_MAX];
	uint32_t present; /* bit i: the agent has objects[i] */
	struct cs_snmp_rows rows;
};

/* Over all polls that it is given to. */
struct cs_snmp_counts {
	uint64_t sent;	     /* requests, repeated ones included */
	uint64_t duplicates; /* true answers of whom had answered */
	uint64_t dropped;    /* all else that was not taken */
	uint64_t overflowed; /* what our receive buffer had no room for */
};

struct cs_snmp_query {
	const struct cs_snmp_object *objects;
	size_t n_objects;
	/* Not 0: objects[0], the only one, is a column of so many arcs, or a row of it
	 * with one arc more, and what is asked for are the rows behind it (GETBULK). */
	size_t column_arcs;
	/* how often a silent target is asked again, as long as there is time; at most
	 * CS_SNMP_RETRIES_MAX */
	int64_t retries;
	/* v3: the folder that remembers the agents' engines between runs, or NULL */
	const char *engines_dir;
	struct cs_snmp_counts *counts; /* added to; or NULL */
};

/* Asks every target and returns when all have an outcome or the deadline has passed; a
 * target that does not answer is asked again soon, and again, at growing distances.
 * Negative only when nothing could be asked at all. */
int cs_snmp_poll(const struct cs_snmp_query *query, struct cs_snmp_target *targets,
	size_t n, struct cs_deadline deadline, struct cs_error *err) CS_MUST_CHECK
	CS_NONNULL(1, 2, 5);

/* Why a target has no values, for people: "no answer", "connection refused", ... */
#define CS_SNMP_REASON_SIZE 120
const char *cs_snmp_reason(const struct cs_snmp_target *target,
	char ret[CS_SNMP_REASON_SIZE]) CS_NONNULL_ALL;

/* "host", "host:port", "address", "[v6]:port" to an address. Asks the name service, and
 * takes IPv4 before IPv6. CS_E_USAGE for what has not that form, CS_E_NOT_FOUND for a
 * name without address. */
int cs_snmp_resolve(const char *text, int64_t default_port, union cs_snmp_address *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* The same for `n` texts at once, within the deadline: names are looked up in parallel,
 * a limited number at a time. CS_E_USAGE as above; what has no address stays AF_UNSPEC,
 * and `ret_whys[i]`, owned by the caller, says why. */
int cs_snmp_resolve_all(char *const *texts, size_t n, int64_t default_port,
	struct cs_deadline deadline, union cs_snmp_address *ret, char **ret_whys,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL(7);

#endif
