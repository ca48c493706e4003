/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What two masters that know nothing of each other asked for too much; see plan.h. */
#include <config.h>
#include "domain/plan.h"

static bool is_published(const struct cs_plan_input *in, const struct cs_member *member)
{
	return cs_journal_is_published(in->journal, member->server->id);
}

/* One that may be anybody's is no reason to remove another. */
static bool counts(const struct cs_plan_input *in, const struct cs_member *member)
{
	return member->state == CS_MEMBER_UNKNOWN ? is_published(in, member)
						  : member->state != CS_MEMBER_DELETING;
}

/* Members are ordered by created, then id, so that all masters agree on the order. */
bool cs_plan_is_excess(const struct cs_plan_input *in, const struct cs_member *member)
{
	const struct cs_members *members = &in->view->members;
	int64_t before = 0;

	if ((int64_t)members->n <= in->cluster->max || is_published(in, member) ||
		member->state == CS_MEMBER_DELETING)
		return false;
	for (const struct cs_member *other = members->items;
		other < members->items + members->n && before < in->cluster->max;
		other++) {
		if (other != member && counts(in, other))
			before += other < member || is_published(in, other);
	}
	return before >= in->cluster->max;
}
