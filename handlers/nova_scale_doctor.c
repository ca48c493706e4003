/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --doctor: everything that scaling needs, looked at from the configuration to the load
 * balancers, a line each with what to do. It makes and changes nothing, not even the
 * folder of the state or the kept token: a password that was changed shows. */
#include <config.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "domain/clouds.h"
#include "domain/history.h"
#include "nova_scale_doctor.h"

#define CLOUD_MS (30 * CS_MS_PER_S)
#define FAULTY 1

void doctor_say(enum doctor_mark mark, const char *what, const char *format, ...)
{
	static const char *const marks[] = {"ok", "note", "skip", "FAIL"};
	char text[1200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	cs_text_clean(text);
	printf("%-4s  %s: %s\n", marks[mark], what, text);
	fflush(stdout); /* what comes next may take a while */
}

void doctor_skip(const char *what, const char *why)
{
	doctor_say(DOCTOR_SKIP, what, "not looked at: %s", why);
}

void doctor_fault(struct doctor *doctor, const char *what, const struct cs_error *err,
	const char *cure, ...)
{
	char text[600] = "";
	va_list args;

	va_start(args, cure);
	if (cure)
		vsnprintf(text, sizeof text, cure, args);
	va_end(args);
	doctor_say(DOCTOR_FAULT, what, "%s%s%s", err->message, *text ? "; " : "", text);
	doctor->faults++;
}

/* Here. */

static bool check_configuration(struct doctor *doctor)
{
	struct scale_program *program = doctor->program;
	struct cs_error err;

	if (scale_load(program, &err) < 0) {
		doctor_fault(doctor, "clusterscale.yaml", &err,
			err.code == CS_E_CONFIG ? "clusterscale.yaml(5) has every key"
						: "");
		return false;
	}
	const struct cs_cluster *cluster = program->cluster;
	doctor_say(DOCTOR_GOOD, "clusterscale.yaml", "%s, %lld to %lld servers",
		program->path, (long long)cluster->min, (long long)cluster->max);
	if (cluster->mode == CS_MODE_OBSERVE)
		doctor_say(DOCTOR_NOTE, "mode",
			"observe: nothing is created or deleted; when all "
			"else is well, set mode: act");
	return true;
}

static void check_journal(struct doctor *doctor)
{
	CS_CLEANUP(cs_journal_done) struct cs_journal journal = {0};
	struct scale_program *program = doctor->program;
	struct cs_error err;

	if (scale_load_journal(program, &journal, &err) < 0) {
		doctor_fault(doctor, "journal", &err,
			"nova_scale -n %s --audit tells where; to begin anew, move it "
			"away",
			program->cluster->name);
		return;
	}
	doctor->has_journal = true;
	if (journal.paused)
		doctor_say(DOCTOR_NOTE, "journal",
			"paused: firings only finish what is open; "
			"--resume ends it");
	else
		doctor_say(DOCTOR_GOOD, "journal", "%zu open", journal.n_open);
}

static void check_measurement(struct doctor *doctor)
{
	const struct scale_program *program = doctor->program;
	const char *name = program->cluster->name;
	int64_t max_age_ms = program->cluster->policy.max_age_ms;
	struct cs_measurement last;
	struct cs_error err;
	struct cs_stamp now;
	int r = cs_history_last(program->dir, &last, &err);

	if (r == CS_E_NOT_FOUND) {
		doctor_say(DOCTOR_NOTE, "measurement",
			"none yet: nothing scales until the core runs "
			"check_cluster_cpu -n %s",
			name);
		return;
	}
	if (r < 0) {
		doctor_fault(doctor, "measurement", &err, NULL);
		return;
	}
	cs_stamp_now(&now);
	int64_t age_ms = cs_stamp_age_ms(&last.at, &now);
	if (age_ms > max_age_ms)
		doctor_say(DOCTOR_NOTE, "measurement",
			"%lld s old, and max-age is %lld s: does the core still run "
			"check_cluster_cpu -n %s, as often as that?",
			(long long)age_ms / CS_MS_PER_S,
			(long long)max_age_ms / CS_MS_PER_S, name);
	else
		doctor_say(DOCTOR_GOOD, "measurement", "%lld s old",
			(long long)age_ms / CS_MS_PER_S);
}

static void check_state(struct doctor *doctor)
{
	struct cs_error err;

	if (cs_state_dir_look(doctor->program->dir, &err) < 0) {
		doctor_fault(doctor, "state directory", &err, NULL);
		doctor_skip("journal", "no state directory");
		return;
	}
	doctor_say(DOCTOR_GOOD, "state directory", "%s", doctor->program->dir);
	check_journal(doctor);
	check_measurement(doctor);
}

static void check_user_data(struct doctor *doctor)
{
	struct scale_program *program = doctor->program;
	const char *path = program->cluster->servers.user_data_file;
	struct cs_error err;

	if (!path)
		return;
	if (scale_read_user_data(program, &err) < 0)
		doctor_fault(doctor, "user data", &err, NULL);
	else
		doctor_say(DOCTOR_GOOD, "user data", "%s", path);
}

/* The cloud. */

/* `source`: where the credentials are from. */
static void fault_of_cloud(
	struct doctor *doctor, const struct cs_error *err, const char *source)
{
	switch (err->code) {
	case CS_E_CONNECT:
	case CS_E_TIMEOUT:
		doctor_fault(doctor, "cloud", err,
			"auth_url is that of %s; is there a firewall in between?",
			source);
		break;
	case CS_E_AUTH:
		doctor_fault(
			doctor, "cloud", err, "openstack token issue tries them, too");
		break;
	default:
		doctor_fault(doctor, "cloud", err, NULL);
	}
}

static bool open_cloud(struct doctor *doctor)
{
	struct scale_program *program = doctor->program;
	const struct cs_cluster *cluster = program->cluster;
	CS_CLEANUP(cs_credentials_done) struct cs_credentials credentials = {0};
	struct cs_error err;

	if (cs_clouds_find(program->config->clouds_file, cluster->cloud, &credentials,
		    &err) < 0) {
		doctor_fault(doctor, "credentials", &err, NULL);
		return false;
	}
	doctor_say(DOCTOR_GOOD, "credentials", "%s", credentials.source);
	CS_AUTO_FREE char *source = cs_strdup(credentials.source);
	if (cs_fleet_open_as(&credentials, NULL, cluster, cs_deadline_in(CLOUD_MS),
		    &program->fleet, &err) < 0) {
		fault_of_cloud(doctor, &err, source);
		return false;
	}
	doctor_say(DOCTOR_GOOD, "cloud", "%s, project %s, region '%s'",
		cs_fleet_auth_url(program->fleet), cs_fleet_project_id(program->fleet),
		cs_fleet_region(program->fleet));
	if (doctor->has_journal && scale_hold_to_cloud(program, &err) < 0)
		doctor_fault(doctor, "journal", &err, NULL);
	return true;
}

static void check_catalogue(struct doctor *doctor)
{
	static const char *const types[] = {"compute", "image", "network"};

	for (size_t i = 0; i < CS_ARRAY_SIZE(types); i++) {
		CS_AUTO_FREE char *url = NULL;
		CS_AUTO_FREE char *what = cs_asprintf("catalogue, %s", types[i]);
		struct cs_error err;

		if (cs_fleet_endpoint(doctor->program->fleet, types[i], &url, &err) < 0)
			doctor_fault(doctor, what, &err,
				"set region_name or %s_endpoint_override in clouds.yaml",
				types[i]);
		else
			doctor_say(DOCTOR_GOOD, what, "%s", url);
	}
}

static bool check_image(struct doctor *doctor, struct cs_nova_image *ret)
{
	struct cs_fleet *fleet = doctor->program->fleet;
	const char *name = doctor->program->cluster->servers.image, *id;
	struct cs_error err;

	if (cs_fleet_image_id(fleet, &id, &err) < 0 ||
		cs_nova_image_show(cs_fleet_nova(fleet), id, ret, &err) < 0) {
		doctor_fault(doctor, "image", &err,
			"openstack image list shows what there is");
		return false;
	}
	if (strcmp(ret->status, "active") != 0) {
		cs_error_set(&err, CS_E_CONFLICT, "'%s' (%s) is %s and not active", name,
			id, ret->status);
		doctor_fault(doctor, "image", &err,
			"wait until it is stored, or set servers.image to another one");
		return false;
	}
	doctor_say(DOCTOR_GOOD, "image", "'%s' (%s), active", name, id);
	return true;
}

/* `image` NULL: it is not known. */
static void check_flavor(struct doctor *doctor, const struct cs_nova_image *image)
{
	struct cs_fleet *fleet = doctor->program->fleet;
	const struct cs_server_spec *servers = &doctor->program->cluster->servers;
	struct cs_nova_size size;
	struct cs_error err;
	const char *id;

	if (cs_fleet_flavor(fleet, &id, &size, &err) < 0) {
		doctor_fault(doctor, "flavor", &err,
			"openstack flavor list shows what there is");
		return;
	}
	if (image && cs_nova_image_fits(
			     image, &size, servers->boot_volume.size_gib, &err) < 0) {
		cs_error_prefix(&err, "'%s'", servers->flavor);
		doctor_fault(doctor, "flavor", &err,
			"set servers.flavor to a larger one, or boot-volume: size");
		return;
	}
	doctor_say(DOCTOR_GOOD, "flavor",
		"'%s': %lld CPUs, %lld MiB of memory, %lld GiB of disk%s",
		servers->flavor, (long long)size.vcpus, (long long)size.ram_mib,
		(long long)size.disk_gib, image ? "; the image fits" : "");
}

static void check_networks(struct doctor *doctor)
{
	const struct cs_strings *names = &doctor->program->cluster->servers.networks,
				*ids;
	struct cs_error err;

	if (cs_fleet_network_ids(doctor->program->fleet, &ids, &err) < 0) {
		doctor_fault(doctor, "network", &err,
			"openstack network list shows what there is");
		return;
	}
	if (ids->n == 0)
		doctor_say(DOCTOR_NOTE, "network", "none configured: Nova chooses");
	for (size_t i = 0; i < ids->n; i++)
		doctor_say(DOCTOR_GOOD, "network", "'%s' (%s)", names->items[i],
			ids->items[i]);
}

static void check_floating_network(struct doctor *doctor)
{
	const char *name = doctor->program->cluster->servers.floating_network, *id;
	struct cs_error err;

	if (!name)
		return;
	if (cs_fleet_floating_network_id(doctor->program->fleet, &id, &err) < 0)
		doctor_fault(doctor, "network", &err,
			"openstack network list --external shows what there is");
	else
		doctor_say(DOCTOR_GOOD, "network", "'%s' (%s), for floating addresses",
			name, id);
}

static void check_group(struct doctor *doctor)
{
	const char *name = doctor->program->cluster->servers.server_group, *id;
	struct cs_error err;

	if (!name)
		return;
	if (cs_fleet_group_id(doctor->program->fleet, &id, &err) < 0)
		doctor_fault(doctor, "server group", &err,
			"openstack server group list shows what there is");
	else
		doctor_say(DOCTOR_GOOD, "server group", "'%s' (%s)", name, id);
}

static void check_security_groups(struct doctor *doctor)
{
	const struct cs_strings *groups =
		&doctor->program->cluster->servers.security_groups;

	for (size_t i = 0; i < groups->n; i++) {
		CS_AUTO_FREE char *id = NULL;
		struct cs_error err;

		if (cs_nova_security_group_id(cs_fleet_nova(doctor->program->fleet),
			    groups->items[i], &id, &err) < 0)
			doctor_fault(doctor, "security group", &err,
				"openstack security group list shows what there is");
		else
			doctor_say(DOCTOR_GOOD, "security group", "'%s' (%s)",
				groups->items[i], id);
	}
}

static void check_keypair(struct doctor *doctor)
{
	const char *name = doctor->program->cluster->servers.key_name;
	struct cs_error err;

	if (!name)
		return;
	if (cs_nova_keypair_check(cs_fleet_nova(doctor->program->fleet), name, &err) < 0)
		doctor_fault(doctor, "key pair", &err,
			"openstack keypair list, with these credentials, shows what "
			"there is");
	else
		doctor_say(DOCTOR_GOOD, "key pair", "'%s'", name);
}

static void list_members(struct doctor *doctor)
{
	struct cs_fleet *fleet = doctor->program->fleet;
	struct cs_error err;
	struct cs_fleet_address address;

	if (cs_fleet_look(fleet, &doctor->view, &err) < 0) {
		doctor_fault(doctor, "members", &err, NULL);
		return;
	}
	doctor->listed = true;
	doctor_say(DOCTOR_GOOD, "members", "%zu in the cloud, %zu of them ACTIVE",
		doctor->view.members.n, doctor->view.members.by_state[CS_MEMBER_ACTIVE]);
	if (cs_fleet_address(fleet, false, &address, &err) < 0)
		doctor_fault(doctor, "addresses", &err, NULL);
}

static void tell_no_limits(
	struct doctor *doctor, const struct cs_error *err, long long more)
{
	if (err->code == CS_E_FORBIDDEN || err->code == CS_E_NOT_FOUND)
		doctor_say(DOCTOR_NOTE, "quota",
			"this cloud tells no limits: whether there is room for %lld more "
			"servers, up to size.max, shows when they are created",
			more);
	else
		doctor_fault(doctor, "quota", err,
			"look again: whether there is room for %lld more servers, up to "
			"size.max, is not known",
			more);
}

/* As many more as the configuration would let there be. */
static void check_quota(struct doctor *doctor)
{
	struct cs_fleet *fleet = doctor->program->fleet;
	int64_t max = doctor->program->cluster->max, n = (int64_t)doctor->view.members.n,
		more = max > n ? max - n : 0;
	struct cs_error err;

	if (more > 0 && cs_fleet_has_room(fleet, more, &err) < 0) {
		if (err.code != CS_E_QUOTA)
			doctor_skip("quota", "without the flavor");
		else
			doctor_fault(doctor, "quota", &err,
				"have the project's quota raised, or lower size.max "
				"(%lld)",
				(long long)max);
	} else if (more > 0 && cs_fleet_tells_limits(fleet, &err) < 0) {
		tell_no_limits(doctor, &err, (long long)more);
	} else {
		doctor_say(DOCTOR_GOOD, "quota",
			"room for %lld more servers, up to size.max", (long long)more);
	}
}

static void check_cloud(struct doctor *doctor)
{
	CS_CLEANUP(cs_nova_image_done) struct cs_nova_image image = {0};

	if (!open_cloud(doctor)) {
		doctor_skip("catalogue, image, flavor, networks, groups, key pair, "
			    "quota, members",
			"the cloud is not open to us");
		return;
	}
	check_catalogue(doctor);
	bool known = check_image(doctor, &image);
	check_flavor(doctor, known ? &image : NULL);
	check_group(doctor);
	check_networks(doctor);
	check_floating_network(doctor);
	check_security_groups(doctor);
	check_keypair(doctor);
	list_members(doctor);
	if (doctor->listed)
		check_quota(doctor);
	else
		doctor_skip("quota", "without the list of members");
}

int scale_doctor(struct scale_program *program)
{
	struct doctor doctor = {.program = program};

	if (check_configuration(&doctor)) {
		doctor_check_plugin(&doctor);
		check_state(&doctor);
		check_user_data(&doctor);
		check_cloud(&doctor);
		doctor_check_snmp(&doctor);
		doctor_check_lbs(&doctor);
	} else {
		doctor_skip("everything else", "it needs the configuration");
	}
	cs_fleet_view_done(&doctor.view);
	if (doctor.faults == 0)
		return CS_SCALE_CONVERGED;
	printf("%d to be mended; the first one first\n", doctor.faults);
	return FAULTY;
}
