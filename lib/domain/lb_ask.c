/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking a load balancer; see lb_ask.h. */
#include <config.h>
#include "domain/lb_ask.h"

#include <string.h>

const char *cs_lb_last_words(struct cs_proc_result *result)
{
	struct cs_strbuf *said = result->err.len ? &result->err : &result->out;

	while (said->len > 0 && said->data[said->len - 1] == '\n')
		said->data[--said->len] = '\0';
	const char *line = strrchr(cs_strbuf_text(said), '\n');
	return line ? line + 1 : cs_strbuf_text(said);
}

int cs_lb_advise(const struct cs_strings *command, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(400);

	if (strstr(err->message, "sudo: a password is required"))
		return cs_error_advise(err, "%s", CS_LB_SUDOERS);
	for (size_t i = 0; i < command->n; i++)
		cs_strbuf_addf(&text, " %s", command->items[i]);
	return cs_error_advise(err, "to try it:%s", cs_strbuf_text(&text));
}

int cs_lb_ask(const struct cs_load_balancer *lb, struct cs_deadline deadline,
	struct cs_lb_status *ret, struct cs_error *err)
{
	CS_CLEANUP(cs_proc_result_done) struct cs_proc_result result = {0};

	if (cs_proc_run(lb->status.items, deadline, &result, err) < 0)
		return err->code;
	if (result.exit_status == 0)
		return cs_lb_status_parse(
			cs_strbuf_text(&result.out), result.out.len, ret, err);
	const char *said = cs_lb_last_words(&result);
	cs_error_set(err, CS_E_REMOTE, "its status ended with %d: %s", result.exit_status,
		*said ? said : "it said nothing");
	return cs_lb_advise(&lb->status, err);
}
