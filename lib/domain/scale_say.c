/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a run says; see scale_act.h. */
#include <config.h>
#include "domain/scale_act.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "base/strbuf.h"

#define SAID_MAX 200
/* Of a decision, so that a journal of 1 MiB keeps many of them. */
#define MEMBERS_MAX 50
/* With passes that are up to 10 s apart nobody waits for more than 30 s. */
#define REMIND_MS 20000

void cs_act_say(struct cs_act *act, int priority, const char *format, ...)
{
	const struct cs_scale_ports *ports = act->scale->ports;
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	ports->report(ports->context, priority, text);
}

void cs_act_say_once(struct cs_act *act, int priority, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	for (size_t i = 0; i < act->said.n; i++) {
		if (strcmp(act->said.items[i], text) == 0)
			return;
	}
	if (act->said.n < SAID_MAX)
		cs_strings_add(&act->said, text);
	cs_act_say(act, priority, "%s", text);
}

const char *cs_act_name_of(const struct cs_step *step)
{
	return step->member ? step->member->server->name
	       : step->op   ? step->op->name
			    : step->server_id;
}

long long cs_act_seconds_since(const struct cs_act *act, const struct cs_stamp *then)
{
	return cs_stamp_age_ms(then, &act->sight->now) / CS_MS_PER_S;
}

struct json_object *cs_act_decision_json(struct cs_act *act)
{
	const struct cs_sight *sight = act->sight;
	size_t most = act->recorded_members ? 0 : MEMBERS_MAX;

	act->recorded_members = true;
	return cs_decision_json(&sight->policy_input, &sight->decision, most);
}

void cs_act_await(struct cs_act *act, const struct cs_step *step, const char *format, ...)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(1024);
	char why[700];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	cs_strbuf_addf(&text, "server '%s'", cs_act_name_of(step));
	if (step->op)
		cs_strbuf_addf(&text, " for %lld s",
			cs_act_seconds_since(act, &step->op->since));
	cs_strbuf_addf(&text, ": %s", why);
	cs_strings_add(&act->waits, cs_strbuf_text(&text));
}

char *cs_act_waits_text(const struct cs_act *act)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(1 << 16);

	for (size_t i = 0; i < act->waits.n; i++)
		cs_strbuf_addf(&text, "%s%s", i ? "; " : "", act->waits.items[i]);
	return cs_strdup(cs_strbuf_text(&text));
}

void cs_act_remind(struct cs_act *act, const struct cs_stamp *now)
{
	CS_AUTO_FREE char *text = NULL;

	if (act->waits.n == 0 || cs_stamp_age_ms(&act->reminded, now) < REMIND_MS)
		return;
	act->reminded = *now;
	text = cs_act_waits_text(act);
	cs_act_say(act, LOG_INFO, "still waiting: %s", text);
}
