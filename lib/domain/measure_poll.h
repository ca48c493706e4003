/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking servers for samples, by whichever source each of them has. For measure.c. */
#ifndef CS_DOMAIN_MEASURE_POLL_H
#define CS_DOMAIN_MEASURE_POLL_H

#include "domain/measure.h"

/* What is asked of a server, and what came of it. */
struct cs_sampling {
	bool wanted;		   /* in: is to be asked */
	enum cs_cpu_source source; /* in: which one first; out: which one answered */
	bool answered;		   /* out: `sample` holds */
	struct cs_cpu_sample sample;
	bool known;	    /* for measure.c: it has a baseline */
	bool lacks;	    /* it answered, and has nothing of this source */
	uint64_t sum;	    /* of the rows of hrProcessorLoad so far, in per cent */
	uint32_t rows;	    /* so many */
	uint32_t next;	    /* index of the last row: to be gone on behind it */
	bool more, spoiled; /* there are rows to ask for; one is no percentage */
};

/* Asks all that are wanted, and those that lack their source for the other one where
 * setup->choice leaves that open. A server that gives no sample has the reason. */
int cs_measure_poll(const struct cs_measure_setup *setup, struct cs_measured *servers,
	size_t n, struct cs_sampling *samplings, struct cs_error *err) CS_MUST_CHECK
	CS_NONNULL(1, 5);

#endif
