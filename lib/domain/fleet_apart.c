/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Both sides of the pipe; see fleet_apart.h. */
#include <config.h>
#include "domain/fleet_apart.h"

#include <unistd.h>

#include "base/mem.h"
#include "base/proc.h"
#include "base/trust.h"
#include "domain/clouds.h"
#include "domain/fleet_rows.h"

/* The child has a deadline of its own, and better words about what it waited for. */
#define GRACE_MS 500

#define CHILD "the child that asks the cloud"

/* What a list of a thousand servers comes to, on either side. */
#define TABLES_BYTES (8 << 20)

struct errand {
	const struct cs_cluster *cluster;
	const char *cloud;
	struct cs_clouds_text clouds;
	bool for_root;
	struct cs_deadline deadline;
};

static int find_credentials(
	const struct errand *errand, struct cs_credentials *ret, struct cs_error *err)
{
	if (cs_clouds_pick(&errand->clouds, errand->cloud, ret, err) < 0)
		return err->code;
	if (errand->for_root && ret->ca_file && cs_trust_check(ret->ca_file, err) < 0)
		return cs_error_prefix(err, "%s: cacert", ret->source);
	if (errand->for_root && ret->cert_file)
		return cs_error_set(err, CS_E_REFUSED,
			"%s: 'cert' is refused: this runs as root and asks the cloud as "
			"a user who cannot read a private key; name another cloud with "
			"haproxy.cloud, or run this as the owner of the key",
			ret->source);
	return 0;
}

/* In the child. What it leaves behind, its end releases. */
static void run_errand(void *context, struct cs_strbuf *ret)
{
	const struct errand *errand = context;
	struct cs_credentials credentials;
	struct cs_fleet *fleet;
	struct cs_fleet_view view;
	struct cs_error err;

	cs_expect_tables(TABLES_BYTES);
	if (find_credentials(errand, &credentials, &err) < 0 ||
		cs_fleet_open_as(&credentials, NULL, errand->cluster, errand->deadline,
			&fleet, &err) < 0 ||
		cs_fleet_look(fleet, &view, &err) < 0)
		cs_fleet_rows_write_error(&err, ret);
	else
		cs_fleet_rows_write(&view, ret);
}

/* The program has looked at clouds.yaml itself, but not at what lies beside it. */
static int check_companions(const struct errand *errand, struct cs_error *err)
{
	for (int kind = CS_CLOUDS_SECURE; kind < CS_CLOUDS_KINDS; kind++) {
		const char *path = errand->clouds.files[kind].path;

		if (errand->for_root && path && cs_trust_check(path, err) < 0)
			return err->code;
	}
	return 0;
}

int cs_fleet_look_apart(const struct cs_config *config, const struct cs_cluster *cluster,
	const char *cloud, struct cs_deadline deadline, struct cs_fleet_view *ret,
	struct cs_error *err)
{
	struct errand errand = {.cluster = cluster,
		.cloud = cloud,
		.for_root = geteuid() == 0,
		.deadline = deadline};
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(CS_PROC_CHILD_MAX);
	struct cs_proc_child child;

	if (cs_clouds_read(config->clouds_file, cloud, &errand.clouds, err) < 0)
		return err->code;
	int r = check_companions(&errand, err);
	if (r == 0)
		r = cs_proc_confine(run_errand, &errand, &child, err);
	cs_expect_tables(TABLES_BYTES);
	cs_clouds_text_done(&errand.clouds);
	if (r < 0)
		return r;
	deadline = cs_deadline_in(cs_deadline_left_ms(deadline) + GRACE_MS);
	if (cs_proc_hear(&child, CHILD, deadline, &text, err) < 0)
		return err->code;
	/* read while it ends */
	struct cs_error ended;
	r = cs_fleet_rows_parse(cs_strbuf_text(&text), text.len, ret, err);
	if (cs_proc_await(&child, CHILD, deadline, &text, &ended) == 0)
		return r;
	if (r == 0)
		cs_fleet_view_done(ret);
	*err = ended;
	return err->code;
}
