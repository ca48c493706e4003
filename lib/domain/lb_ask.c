/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking a load balancer; see lb_ask.h. */
#include <config.h>
#include "domain/lb_ask.h"

#include <string.h>

#include "base/proc.h"

int cs_lb_ask(const struct cs_load_balancer *lb, struct cs_deadline deadline,
	struct cs_lb_status *ret, struct cs_error *err)
{
	CS_CLEANUP(cs_proc_result_done) struct cs_proc_result result = {0};

	if (cs_proc_run(lb->status.items, deadline, &result, err) < 0)
		return err->code;
	const char *said = cs_strbuf_text(&result.err);
	if (result.exit_status != 0)
		return cs_error_set(err, CS_E_REMOTE, "its status ended with %d: %.*s",
			result.exit_status, (int)strcspn(said, "\n"),
			*said ? said : "it said nothing");
	return cs_lb_status_parse(cs_strbuf_text(&result.out), result.out.len, ret, err);
}
