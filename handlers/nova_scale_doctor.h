/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of --doctor share: an examination and the lines that it prints. */
#ifndef CS_HANDLERS_NOVA_SCALE_DOCTOR_H
#define CS_HANDLERS_NOVA_SCALE_DOCTOR_H

#include <stdbool.h>

#include "nova_scale.h"

struct doctor {
	struct scale_program *program;
	struct cs_fleet_view view;
	bool listed;	  /* `view` holds */
	bool has_journal; /* it can be read */
	int faults;
};

/* Well, worth knowing, not to be looked at for want of what comes before it, wrong. */
enum doctor_mark { DOCTOR_GOOD, DOCTOR_NOTE, DOCTOR_SKIP, DOCTOR_FAULT };

/* One line, printable. */
void doctor_say(enum doctor_mark mark, const char *what, const char *format, ...)
	CS_PRINTF(3, 4);
void doctor_skip(const char *what, const char *why) CS_NONNULL_ALL;

/* DOCTOR_FAULT: what the error says and, unless NULL, the cure. */
void doctor_fault(struct doctor *doctor, const char *what, const struct cs_error *err,
	const char *cure, ...) CS_PRINTF(4, 5) CS_NONNULL(1, 2, 3);

/* nova_scale_doctor_core.c */
void doctor_check_plugin(struct doctor *doctor) CS_NONNULL_ALL;

/* nova_scale_doctor_lb.c: what others run for us, or we for them. */
void doctor_check_snmp(struct doctor *doctor) CS_NONNULL_ALL;
void doctor_check_lbs(struct doctor *doctor) CS_NONNULL_ALL;

#endif
