/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --doctor: the plugin, and what the monitoring systems of this host know of it. What a
 * core is told may be right in ways that are not looked at here, so nothing of it is a
 * fault. */
#include <config.h>

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "base/user.h"
#include "nova_scale_doctor.h"

#define FILE_MAX_BYTES (64 << 10)

/* What stands behind `KEY =`; NULL when the line is another one. */
static char *setting_of(char *line, const char *key)
{
	size_t len = strlen(key);

	line += strspn(line, " \t");
	if (strncmp(line, key, len) != 0)
		return NULL;
	line += len + strspn(line + len, " \t");
	if (*line != '=')
		return NULL;
	return line + 1 + strspn(line + 1, " \t");
}

/* A file's lines, NULL when it is not there, or not for us; owned by the caller. */
static char *lines_of(const char *path)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(FILE_MAX_BYTES);
	struct cs_error ignored;

	return cs_file_read(path, &text, &ignored) < 0 ? NULL : cs_strbuf_take(&text);
}

/* Where a core says which folder its plugins are in, as Debian installs it. */
static const struct core {
	const char *name, *path, *key;
} cores[] = {{"Nagios", "/etc/nagios4/resource.cfg", "$USER1$"},
	{"Icinga 2", "/etc/icinga2/constants.conf", "const PluginDir"}};

static void check_core(const struct core *core, const char *folder)
{
	CS_AUTO_FREE char *lines = lines_of(core->path);

	for (char *rest = lines, *line; (line = strsep(&rest, "\n"));) {
		char *value = setting_of(line, core->key);

		if (!value)
			continue;
		value += strspn(value, "\"");
		value[strcspn(value, "\" \t\r")] = '\0';
		if (strcmp(value, folder) == 0)
			doctor_say(DOCTOR_GOOD, "core",
				"%s looks there for plugins, too (%s)", core->name,
				core->path);
		else
			doctor_say(DOCTOR_NOTE, "core",
				"%s looks for plugins in %s (%s of %s): its "
				"commands have to name %s, or link there",
				core->name, value, core->key, core->path, folder);
	}
}

/* Where the configuration of a Zabbix agent lies, in the order in which it is read. */
static const char *const agent_files[] = {"/etc/zabbix/zabbix_agentd.conf",
	"/etc/zabbix/zabbix_agentd.conf.d/*.conf", "/etc/zabbix/zabbix_agentd.d/*.conf",
	"/etc/zabbix/zabbix_agent2.conf", "/etc/zabbix/zabbix_agent2.d/*.conf"};
#define AGENT_KEY "clusterscale.cpu[*],"
#define AGENT_TIMEOUT_S 3 /* when it is not told another one */
#define CHECK_TIMEOUT_S 10

struct agent {
	const char *cluster;
	char *measures, *file; /* the program that it runs, and where that is said */
	bool denies;	       /* whatever comes now */
	enum { NOT_NAMED, DENIED, ALLOWED } handler;
	long timeout_s;
};

/* ".../nova_scale -n NAME" in a key that the agent is to run. */
static bool starts_handler(const char *key, const char *cluster)
{
	CS_AUTO_FREE char *words = cs_asprintf("/nova_scale -n %s", cluster);
	const char *found = strstr(key, words);

	return found && strchr(" ,]", found[strlen(words)]);
}

static void read_agent_line(struct agent *agent, const char *path, char *line)
{
	char *value;

	if ((value = setting_of(line, "UserParameter"))) {
		if (strncmp(value, AGENT_KEY, strlen(AGENT_KEY)) != 0 || agent->measures)
			return;
		value += strlen(AGENT_KEY);
		agent->measures = cs_strndup(value, strcspn(value, " \t"));
		agent->file = cs_strdup(path);
	} else if ((value = setting_of(line, "AllowKey"))) {
		if (agent->handler == NOT_NAMED && starts_handler(value, agent->cluster))
			agent->handler = agent->denies ? DENIED : ALLOWED;
	} else if ((value = setting_of(line, "DenyKey"))) {
		agent->denies |= strncmp(value, "system.run[*]", 13) == 0;
	} else if ((value = setting_of(line, "Timeout"))) {
		agent->timeout_s = strtol(value, NULL, 10);
	}
}

static void read_agent(struct agent *agent)
{
	for (size_t i = 0; i < CS_ARRAY_SIZE(agent_files); i++) {
		glob_t found;

		if (glob(agent_files[i], 0, NULL, &found) != 0)
			continue;
		for (size_t j = 0; j < found.gl_pathc; j++) {
			CS_AUTO_FREE char *lines = lines_of(found.gl_pathv[j]);

			for (char *rest = lines, *line; (line = strsep(&rest, "\n"));)
				read_agent_line(agent, found.gl_pathv[j], line);
		}
		globfree(&found);
	}
}

static void tell_agent(const struct agent *agent, const char *plugin)
{
	if (strcmp(agent->measures, plugin) != 0)
		doctor_say(DOCTOR_NOTE, "core",
			"Zabbix' agent runs %s (UserParameter of %s), and not this one",
			agent->measures, agent->file);
	else if (agent->timeout_s < CHECK_TIMEOUT_S)
		doctor_say(DOCTOR_NOTE, "core",
			"Zabbix' agent gives the check up after %ld s, before it has "
			"told who is silent: set Timeout=15 in %s",
			agent->timeout_s, agent->file);
	else if (agent->handler == NOT_NAMED)
		doctor_say(DOCTOR_NOTE, "core",
			"Zabbix' agent does not let the server start nova_scale for "
			"cluster %s: give %s an AllowKey line as that of " CS_DOCDIR
			"/zabbix/clusterscale.conf, before DenyKey",
			agent->cluster, agent->file);
	else if (agent->handler == DENIED)
		doctor_say(DOCTOR_NOTE, "core",
			"Zabbix' agent does not let the server start nova_scale: the "
			"AllowKey line of cluster %s has to stand before "
			"DenyKey=system.run[*]",
			agent->cluster);
	else
		doctor_say(DOCTOR_GOOD, "core",
			"Zabbix' agent runs it, and nova_scale for cluster %s (%s)",
			agent->cluster, agent->file);
}

void doctor_check_plugin(struct doctor *doctor)
{
	CS_AUTO_FREE char *path = scale_check_path();
	struct agent agent = {
		.cluster = doctor->program->cluster->name, .timeout_s = AGENT_TIMEOUT_S};
	struct cs_error err;

	if (access(path, X_OK) < 0) {
		CS_AUTO_FREE char *user = cs_user_name(geteuid());

		cs_error_set(&err, CS_E_NOT_FOUND,
			"user %s cannot run %s: nothing is measured", user, path);
		doctor_fault(doctor, "plugin", &err,
			"install it there, where this program looks for it");
		return;
	}
	doctor_say(DOCTOR_GOOD, "plugin", "%s", path);
	read_agent(&agent);
	if (agent.measures)
		tell_agent(&agent, path);
	free(agent.measures);
	free(agent.file);
	*strrchr(path, '/') = '\0';
	for (size_t i = 0; i < CS_ARRAY_SIZE(cores); i++)
		check_core(&cores[i], path);
}
