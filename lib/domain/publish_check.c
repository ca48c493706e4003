/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What `haproxy -c` says, and what it does not see; see publish_check.h. */
#include <config.h>
#include "domain/publish_check.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/proc.h"
#include "format/haproxy_config.h"

#define VALIDATE_LIMIT_MS 10000

char *cs_publish_candidate_path(const struct cs_publish_world *world)
{
	return cs_asprintf("%s.clusterscale-candidate", world->site->config_path);
}

/* The alerts of `haproxy -c`, without their prefix "[ALERT] (pid) :". */
static char *alerts(const struct cs_strbuf *output)
{
	CS_AUTO_FREE char *text = cs_strdup(cs_strbuf_text(output));
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf words = CS_STRBUF(400);
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		const char *words_of_it = strstr(line, ") : ");

		if (strncmp(line, "[ALERT]", 7) == 0 && words_of_it)
			cs_strbuf_addf(
				&words, "%s%s", words.len ? "; " : "", words_of_it + 4);
	}
	return cs_strbuf_take(&words);
}

/* `haproxy -c` says "valid" to a chroot that does not exist; the reload then ends the old
 * worker and the master too. */
static int check_chroot(const struct cs_strbuf *text, struct cs_error *err)
{
	CS_AUTO_FREE char *path = cs_haproxy_directive(cs_strbuf_text(text), "chroot");
	struct stat st;

	if (!path || (stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
		return 0;
	return cs_error_set(err, CS_E_CONFIG,
		"the configuration has 'chroot %s', which is no folder here; HAProxy "
		"would "
		"accept the file and die of it",
		path);
}

int cs_publish_check(const struct cs_publish_world *world, const struct cs_strbuf *text,
	struct cs_error *err)
{
	const char *program = world->site->clusters[world->site->asked]->haproxy.program;
	CS_CLEANUP(cs_proc_result_done) struct cs_proc_result result = {0};
	CS_AUTO_FREE char *path = cs_publish_candidate_path(world);
	char *argv[] = {(char *)program, (char *)"-c", (char *)"-f", path, NULL};

	if (check_chroot(text, err) < 0 ||
		cs_file_replace(path, cs_strbuf_text(text), text->len,
			CS_PUBLISH_CANDIDATE_MODE, err) < 0 ||
		cs_proc_run(argv, cs_deadline_within(world->deadline, VALIDATE_LIMIT_MS),
			&result, err) < 0)
		return err->code;
	if (result.exit_status == 0) {
		unlink(path);
		return 0;
	}
	CS_AUTO_FREE char *words = alerts(&result.err);
	return cs_error_set(err, CS_E_CONFIG,
		"HAProxy does not accept the configuration (%s -c -f %s: exit status "
		"%d): %s",
		program, path, result.exit_status, words);
}
