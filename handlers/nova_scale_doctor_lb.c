/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --doctor: the agents that the plugin asks, and the load balancers. */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/proc.h"
#include "base/strbuf.h"
#include "base/user.h"
#include "domain/lb_ask.h"
#include "domain/snmp_port.h"
#include "format/json.h"
#include "nova_scale_doctor.h"

#define CHECK_MS (60 * CS_MS_PER_S)
#define CHECK_SECONDS "50"
#define ASK_MS (30 * CS_MS_PER_S)

/* Then it is not for want of a way to the agent that there is no figure. */
static bool is_answer(const char *why)
{
	return why && !strstr(why, "no answer") && !strstr(why, "is snmpd running?");
}

/* `why`: what the plugin says. */
static void tell_silent(
	struct doctor *doctor, struct json_object *member, const char *why)
{
	const char *name = cs_json_str(member, "name"), *id = cs_json_str(member, "id");
	const struct cs_member *known =
		id ? cs_members_find(&doctor->view.members, id) : NULL;
	struct cs_error err;
	int64_t port;

	cs_error_set(&err, CS_E_CONNECT, "%s (%s): %s", name ? name : "?",
		cs_json_str(member, "address"), why ? why : "no answer");
	if (known && cs_snmp_port_of(&doctor->program->cluster->cpu, known->server, &port,
			     &(struct cs_error){0}) < 0)
		doctor_fault(doctor, "SNMP", &err,
			"openstack server set --property " CS_NOVA_MARK_SNMP_PORT
			"=161 %s",
			id);
	else if (known && is_answer(why))
		doctor_fault(doctor, "SNMP", &err,
			"look again in a minute; check_cluster_cpu(8), SNMPD, has what "
			"the agent must show");
	else if (known)
		doctor_fault(doctor, "SNMP", &err,
			"does snmpd run there, is its UDP port %lld open to this host "
			"(security group, agentaddress), are community or user the same?",
			(long long)port);
	else
		doctor_fault(doctor, "SNMP", &err, "it came after the list above");
}

/* Each silent member is a line, the others together are one. */
static void tell_members(struct doctor *doctor, struct json_object *members)
{
	size_t n = json_object_array_length(members), good = 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *member = json_object_array_get_idx(members, i);
		const char *state = cs_json_str(member, "state");

		if (state && strcmp(state, "missing") != 0)
			good++;
		else
			tell_silent(doctor, member, cs_json_str(member, "reason"));
	}
	if (good > 0)
		doctor_say(DOCTOR_GOOD, "SNMP", "%zu of %zu members answer", good, n);
}

static int ask_members(const struct doctor *doctor, struct json_object **ret_document,
	struct cs_error *err)
{
	CS_CLEANUP(cs_proc_result_done) struct cs_proc_result result = {0};
	CS_AUTO_FREE char *path = scale_check_path();
	char *argv[] = {path, (char *)"-n", doctor->program->cluster->name, (char *)"-f",
		doctor->program->path, (char *)"--dry-run", (char *)"--output",
		(char *)"json", (char *)"-t", (char *)CHECK_SECONDS, NULL};

	if (cs_proc_run(argv, cs_deadline_in(CHECK_MS), &result, err) < 0)
		return err->code;
	if (cs_json_parse(cs_strbuf_text(&result.out), result.out.len,
		    "what check_cluster_cpu says", ret_document, err) < 0)
		return err->code;
	if (cs_json_arr(*ret_document, "members"))
		return 0;
	const char *summary = cs_json_str(*ret_document, "summary");
	return cs_error_set(err, CS_E_REMOTE, "check_cluster_cpu: %s",
		summary ? summary : "it named no members");
}

void doctor_check_snmp(struct doctor *doctor)
{
	CS_AUTO_JSON struct json_object *document = NULL;
	struct cs_error err;

	if (!doctor->listed) {
		doctor_skip("SNMP", "without the list of members");
	} else if (!cs_snmp_spec_is_given(&doctor->program->cluster->cpu.snmp)) {
		cs_error_set(&err, CS_E_CONFIG, "the configuration says not how");
		doctor_fault(doctor, "SNMP", &err,
			"set cpu.snmp: community-file, or user, in %s",
			doctor->program->path);
	} else if (doctor->view.members.by_state[CS_MEMBER_ACTIVE] == 0) {
		doctor_skip("SNMP", "no member is ACTIVE yet");
	} else if (ask_members(doctor, &document, &err) < 0) {
		doctor_fault(doctor, "SNMP", &err, NULL);
	} else {
		tell_members(doctor, cs_json_arr(document, "members"));
	}
}

/* Would sudo let it run? -l only asks. 0 for a command without sudo. */
static int check_sudo(const struct cs_load_balancer *lb, struct cs_error *err)
{
	CS_CLEANUP(cs_proc_result_done) struct cs_proc_result result = {0};
	CS_CLEANUP(cs_strings_done) struct cs_strings words = {0};
	const char *slash = strrchr(lb->sync.items[0], '/');

	if (strcmp(slash ? slash + 1 : lb->sync.items[0], "sudo") != 0)
		return 0;
	cs_strings_add(&words, lb->sync.items[0]);
	cs_strings_add(&words, "-n");
	cs_strings_add(&words, "-l");
	for (size_t i = 1; i < lb->sync.n; i++) {
		if (strcmp(lb->sync.items[i], "-n") != 0 || words.n > 3)
			cs_strings_add(&words, lb->sync.items[i]);
	}
	if (cs_proc_run(words.items, cs_deadline_in(ASK_MS), &result, err) < 0)
		return err->code;
	if (result.exit_status == 0)
		return 0;
	const char *said = cs_strbuf_text(&result.err);
	CS_AUTO_FREE char *user = cs_user_name(geteuid());
	return cs_error_set(err, CS_E_FORBIDDEN,
		"sudo does not let user %s run its sync (%.*s)", user,
		(int)strcspn(said, "\n"), *said ? said : "it says not why");
}

/* Nobody finds out what is behind ssh or NRPE but by asking there. */
static void check_status(
	struct doctor *doctor, const struct cs_load_balancer *lb, const char *what)
{
	CS_CLEANUP(cs_lb_status_done) struct cs_lb_status status = {0};
	struct cs_error err;

	if (lb->status.n == 0) {
		doctor_say(DOCTOR_NOTE, what,
			"can be called; HAProxy's sockets and rights are not looked at: "
			"give it a status: command");
	} else if (cs_lb_ask(lb, cs_deadline_in(ASK_MS), &status, &err) < 0) {
		doctor_fault(doctor, what, &err, NULL);
	} else if (status.failed) {
		cs_error_set(&err, CS_E_VERIFY,
			"HAProxy refused a configuration: CONFIG.failed lies there");
		doctor_fault(doctor, what, &err,
			"its log says why; correct the template, and the next sync "
			"removes the file");
	} else if (!status.applied) {
		doctor_say(DOCTOR_NOTE, what,
			"HAProxy's file is not one that haproxy_sync wrote and "
			"proved; the next sync writes it");
	} else {
		doctor_say(DOCTOR_GOOD, what,
			"HAProxy answers, %zu servers, in line with its file", status.n);
	}
}

void doctor_check_lbs(struct doctor *doctor)
{
	const struct cs_cluster *cluster = doctor->program->cluster;

	if (cluster->n_load_balancers == 0)
		doctor_say(DOCTOR_NOTE, "load balancers",
			"none configured: servers are created, and "
			"nothing sends them requests");
	for (size_t i = 0; i < cluster->n_load_balancers; i++) {
		const struct cs_load_balancer *lb = &cluster->load_balancers[i];
		CS_AUTO_FREE char *what = cs_asprintf("load balancer %s", lb->name);
		struct cs_error err;

		if (scale_check_command(doctor->program, lb, &err) < 0)
			doctor_fault(doctor, what, &err, NULL);
		else if (check_sudo(lb, &err) < 0)
			doctor_fault(doctor, what, &err, CS_LB_SUDOERS);
		else
			check_status(doctor, lb, what);
	}
}
