/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a choice of victims rests on: the image of new servers and the load of each
 * member. Whatever cannot be had is unknown, and stops nothing. */
#include <config.h>

#include <syslog.h>

#include "base/mem.h"
#include "domain/cpuload.h"
#include "domain/samples.h"
#include "nova_scale.h"

/* Once in a run: a slow Image service must not hold up every pass. */
static void find_image(struct scale_program *program)
{
	struct cs_error err;
	const char *id;

	if (program->image_asked || !program->fleet)
		return;
	program->image_asked = true;
	if (cs_fleet_image_id(program->fleet, &id, &err) == 0)
		program->image_id = cs_strdup(id);
	else
		scale_say(program, LOG_WARNING,
			"%s: which servers are of an older image is not known",
			err.message);
}

/* The newest measurement, member by member. */
static void find_loads(const struct scale_program *program, struct cs_plan_figures *ret)
{
	CS_CLEANUP(cs_samples_done) struct cs_samples samples = {0};
	struct cs_stamp now;

	cs_stamp_now(&now);
	cs_samples_load(program->dir, &samples);
	for (size_t i = 0; i < samples.n; i++) {
		const struct cs_baseline *member = &samples.items[i];
		int64_t age_ms = cs_stamp_age_ms(&member->newer.at, &now);
		struct cs_cpu_load load;

		if (age_ms >= 0 && age_ms <= program->cluster->policy.max_age_ms &&
			cs_samples_load_of(member, &load) == CS_CPU_LOAD)
			cs_plan_figures_add(ret, member->id, load.permille);
	}
}

void scale_find_evidence(struct scale_program *program, struct cs_plan_evidence *ret)
{
	find_image(program);
	if (program->image_id)
		ret->image_id = cs_strdup(program->image_id);
	find_loads(program, &ret->loads);
}
