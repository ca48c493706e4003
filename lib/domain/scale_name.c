/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The name of a new server; see scale_act.h. */
#include <config.h>
#include "domain/scale_act.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static bool is_taken(struct cs_act *act, const char *name)
{
	const struct cs_server_list *list = &act->sight->view.list;
	const struct cs_journal *journal = &act->sight->journal;

	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->servers[i].name, name) == 0)
			return true;
	}
	for (size_t i = 0; i < journal->n_open; i++) {
		if (strcmp(journal->open[i].name, name) == 0)
			return true;
	}
	return false;
}

/* Names are for people; what is found again is found by op. */
void cs_act_make_name(struct cs_act *act, const char *op, char ret[CS_ACT_NAME_SIZE])
{
	time_t seconds = (time_t)(act->sight->now.wall_ms / CS_MS_PER_S);
	char base[CS_ACT_NAME_SIZE - 8] = "";
	struct tm local;

	localtime_r(&seconds, &local);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	if (strftime(base, sizeof base, act->scale->cluster->servers.name, &local) == 0)
		snprintf(base, sizeof base, "%s", act->scale->cluster->name);
#pragma GCC diagnostic pop
	/* Several of one decision get the suffix too: their intents are not in `sight`.
	 */
	if (act->created_in_pass++ == 0 && !is_taken(act, base))
		snprintf(ret, CS_ACT_NAME_SIZE, "%s", base);
	else
		snprintf(ret, CS_ACT_NAME_SIZE, "%s-%.4s", base, op);
}
