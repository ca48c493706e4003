/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Carrying out the steps of a plan, for scale.c alone. */
#ifndef CS_DOMAIN_SCALE_ACT_H
#define CS_DOMAIN_SCALE_ACT_H

#include "domain/scale.h"

/* Lives as long as a run. */
struct cs_act {
	const struct cs_scale *scale;
	struct cs_strings said; /* what need not be said again in this run */
	bool failed;		/* something that was asked for did not come about */
	bool create_failed;	/* no more creates in this run */
	bool unrecorded;	/* the journal cannot be written: nothing can go on */
	bool trouble;		/* the last pass met an error: go slower */

	/* of the present pass */
	const struct cs_sight *sight;
	bool stop; /* no further step of this pass may be taken */
	size_t created_in_pass;
	struct cs_sync_report *reports; /* of each load balancer; NULL: not asked yet */
};

/* Carries out every step of `sight` in order, until one of them stops the pass. */
void cs_act_pass(struct cs_act *act, const struct cs_sight *sight) CS_NONNULL_ALL;
void cs_act_done(struct cs_act *act) CS_NONNULL_ALL;

void cs_act_say(struct cs_act *act, int priority, const char *format, ...) CS_PRINTF(3, 4)
	CS_NONNULL(1, 3);

/* Says it once in a run, however often it is repeated. */
void cs_act_say_once(struct cs_act *act, int priority, const char *format, ...)
	CS_PRINTF(3, 4) CS_NONNULL(1, 3);

#endif
