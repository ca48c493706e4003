/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Both sides of the pipe; see fleet_apart.h. */
#include <config.h>
#include "domain/fleet_apart.h"

#include "base/proc.h"
#include "base/trust.h"
#include "domain/clouds.h"
#include "domain/fleet_rows.h"

/* The child has a deadline of its own, and better words about what it waited for. */
#define GRACE_MS 500

struct errand {
	struct cs_credentials credentials;
	const struct cs_cluster *cluster;
	struct cs_deadline deadline;
};

static void run_errand(void *context, struct cs_strbuf *ret)
{
	struct errand *errand = context;
	struct cs_fleet *fleet = NULL;
	struct cs_fleet_view view;
	struct cs_error err;

	if (cs_fleet_open_as(&errand->credentials, errand->cluster, errand->deadline,
		    &fleet, &err) < 0 ||
		cs_fleet_look(fleet, &view, &err) < 0) {
		cs_fleet_rows_write_error(&err, ret);
		return;
	}
	cs_fleet_rows_write(&view, ret);
	cs_fleet_view_done(&view);
	cs_fleet_close(fleet);
}

static int send_child(
	struct errand *errand, struct cs_proc_child *ret, struct cs_error *err)
{
	const char *ca_file = errand->credentials.ca_file;

	if (ca_file && cs_trust_check(ca_file, err) < 0)
		return err->code;
	return cs_proc_confine(run_errand, errand, ret, err);
}

int cs_fleet_look_apart(const struct cs_config *config, const struct cs_cluster *cluster,
	const char *cloud, struct cs_deadline deadline, struct cs_fleet_view *ret,
	struct cs_error *err)
{
	struct errand errand = {.cluster = cluster, .deadline = deadline};
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(CS_PROC_CHILD_MAX);
	struct cs_proc_child child;

	if (cs_clouds_find(config->clouds_file, cloud, &errand.credentials, err) < 0)
		return err->code;
	int r = send_child(&errand, &child, err);
	cs_credentials_done(&errand.credentials);
	if (r < 0)
		return r;
	deadline = cs_deadline_in(cs_deadline_left_ms(deadline) + GRACE_MS);
	if (cs_proc_await(&child, "the child that asks the cloud", deadline, &text, err) <
		0)
		return err->code;
	return cs_fleet_rows_parse(cs_strbuf_text(&text), text.len, ret, err);
}
