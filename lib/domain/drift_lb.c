/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nova against each load balancer, its file and its running HAProxy; see drift.h. */
#include <config.h>
#include "domain/drift.h"

#include <string.h>

#include "base/mem.h"
#include "format/haproxy_line.h"

static bool begins(const char *text, const char *word)
{
	return strncmp(text, word, strlen(word)) == 0;
}

static bool serves(const struct cs_lb_server *server)
{
	return server->status &&
	       (begins(server->status, "UP") || strcmp(server->status, "no check") == 0);
}

static bool rests(const struct cs_lb_server *server)
{
	return server->status &&
	       (begins(server->status, "MAINT") || begins(server->status, "DRAIN"));
}

static char *endpoint_of(const struct cs_drift_input *in, const struct cs_member *member)
{
	char *endpoint = cs_haproxy_endpoint(member->address, in->cluster->haproxy.port);

	return endpoint ? endpoint : cs_strdup("");
}

/* By id, or by address when haproxy_sync did not put it there. */
static bool is_of(const struct cs_lb_server *server, const struct cs_member *member,
	const char *endpoint)
{
	if (server->id)
		return strcmp(server->id, member->server->id) == 0;
	return strcmp(server->running && *server->running ? server->running
		       : server->file			  ? server->file
							  : "",
		       endpoint) == 0;
}

static const struct cs_lb_server *row_of(const struct cs_drift_input *in,
	const struct cs_drift_lb *lb, const struct cs_member *member)
{
	CS_AUTO_FREE char *endpoint = endpoint_of(in, member);

	for (size_t i = 0; i < lb->status->n; i++) {
		if (is_of(&lb->status->servers[i], member, endpoint))
			return &lb->status->servers[i];
	}
	return NULL;
}

static const struct cs_member *member_of(
	const struct cs_drift_input *in, const struct cs_lb_server *server)
{
	const struct cs_members *members = &in->view->members;

	for (size_t i = 0; i < members->n; i++) {
		CS_AUTO_FREE char *endpoint = endpoint_of(in, &members->items[i]);

		if (is_of(server, &members->items[i], endpoint))
			return &members->items[i];
	}
	return NULL;
}

/* Its servers in Nova. */

static bool somebody_serves(
	const struct cs_drift_input *in, const struct cs_member *member)
{
	for (size_t i = 0; i < in->n_lbs; i++) {
		const struct cs_lb_server *row =
			in->lbs[i].status ? row_of(in, &in->lbs[i], member) : NULL;

		if (row && serves(row))
			return true;
	}
	return false;
}

/* A person's maintenance is said at once; what is new gets its time. */
static void compare_active(const struct cs_drift_input *in, const struct cs_drift_lb *lb,
	const struct cs_member *member, struct cs_drift *ret)
{
	const struct cs_server *server = member->server;
	const struct cs_lb_server *row = row_of(in, lb, member);
	int64_t age_ms = in->now.wall_ms - server->created_wall_ms;

	if (row && serves(row))
		return;
	if (row && rests(row)) {
		cs_drift_add(ret, CS_SEVERITY_WARNING, "resting",
			"set it to ready in HAProxy when that is over",
			"%s: server '%s' (%s) is ACTIVE, and somebody set it to %s",
			lb->name, server->name, server->id, row->status);
		return;
	}
	if (age_ms <= in->cluster->servers.build_timeout_ms)
		return;
	cs_drift_add(ret,
		somebody_serves(in, member) ? CS_SEVERITY_WARNING : CS_SEVERITY_CRITICAL,
		"unserved",
		row && row->status ? "see what answers at its port"
				   : "run the load balancer's sync by hand",
		"%s: server '%s' (%s) is ACTIVE but %s", lb->name, server->name,
		server->id,
		row && row->status ? row->status
		: row		   ? "only in HAProxy's file"
				   : "not in HAProxy");
}

/* Its rows. */

static void compare_ghost(const struct cs_drift_lb *lb, const struct cs_lb_server *row,
	struct cs_drift *ret)
{
	cs_drift_add(ret, serves(row) ? CS_SEVERITY_CRITICAL : CS_SEVERITY_WARNING,
		"ghost", "run the load balancer's sync by hand",
		"%s: HAProxy's server '%s' at %s (%s) is no server of the cluster in "
		"Nova",
		lb->name, row->name,
		row->running && *row->running ? row->running
		: row->file		      ? row->file
					      : "an address that it hides",
		row->status ? row->status : "only in its file");
}

static bool differs(const char *endpoint, const char *from)
{
	return endpoint && *endpoint && *from && strcmp(endpoint, from) != 0;
}

static void compare_row(const struct cs_drift_input *in, const struct cs_drift_lb *lb,
	const struct cs_lb_server *row, struct cs_drift *ret)
{
	const struct cs_member *member = member_of(in, row);
	const char *advice = "run the load balancer's sync by hand";

	if (!member) {
		compare_ghost(lb, row, ret);
		return;
	}
	CS_AUTO_FREE char *endpoint = endpoint_of(in, member);
	if (differs(row->file, endpoint) || differs(row->running, endpoint))
		cs_drift_add(ret, CS_SEVERITY_CRITICAL, "address", advice,
			"%s: server '%s' is at %s in Nova, at %s in HAProxy's file and "
			"at %s in the running one",
			lb->name, row->name, endpoint, row->file ? row->file : "nothing",
			row->running ? row->running : "nothing");
	else if (!row->file)
		cs_drift_add(ret, CS_SEVERITY_WARNING, "not-in-file", advice,
			"%s: the running HAProxy has server '%s', its file has not: a "
			"reload loses it",
			lb->name, row->name);
	else if (!row->running)
		cs_drift_add(ret, CS_SEVERITY_WARNING, "not-running", advice,
			"%s: HAProxy's file has server '%s', the running one has not",
			lb->name, row->name);
}

static void compare_lb(const struct cs_drift_input *in, const struct cs_drift_lb *lb,
	struct cs_drift *ret)
{
	const struct cs_members *members = &in->view->members;

	for (size_t i = 0; i < members->n; i++) {
		if (members->items[i].state == CS_MEMBER_ACTIVE)
			compare_active(in, lb, &members->items[i], ret);
	}
	for (size_t i = 0; i < lb->status->n; i++)
		compare_row(in, lb, &lb->status->servers[i], ret);
	if (!lb->status->applied)
		cs_drift_add(ret, CS_SEVERITY_WARNING, "file",
			"run the load balancer's sync by hand; changes belong into the "
			"template",
			"%s: HAProxy's file is not what haproxy_sync has applied",
			lb->name);
	if (lb->status->failed)
		cs_drift_add(ret, CS_SEVERITY_WARNING, "failed",
			"see what is wrong with it, then remove it",
			"%s: a configuration that failed is kept beside HAProxy's file "
			"(.failed)",
			lb->name);
}

void cs_drift_compare_lbs(const struct cs_drift_input *in, struct cs_drift *ret)
{
	for (size_t i = 0; i < in->n_lbs; i++) {
		const struct cs_drift_lb *lb = &in->lbs[i];

		if (lb->status)
			compare_lb(in, lb, ret);
		else if (lb->asked)
			cs_drift_add(ret, CS_SEVERITY_UNKNOWN, "unreachable", "",
				"%s cannot be looked at: %s", lb->name, lb->trouble);
		else
			cs_drift_add(ret, CS_SEVERITY_OK, "not-looked-at", "",
				"%s is not looked at: it has no status command",
				lb->name);
	}
}
