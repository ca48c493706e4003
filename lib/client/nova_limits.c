/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the project may still have; see nova.h. */
#include <config.h>
#include "client/nova.h"

#include <inttypes.h>

#include "client/nova_internal.h"

/* https://docs.openstack.org/api-ref/compute/#show-rate-and-absolute-limits */
int cs_nova_limits(struct cs_nova *nova, struct cs_nova_limits *ret, struct cs_error *err)
{
	CS_AUTO_JSON struct json_object *body = NULL;
	CS_AUTO_FREE char *url = cs_asprintf("%s/limits", nova->base);
	struct cs_nova_limits limits;

	if (cs_nova_get(nova, url, &body, err) < 0)
		return err->code;
	struct json_object *absolute =
		cs_json_obj(cs_json_obj(body, "limits"), "absolute");
	const struct {
		const char *max, *used;
		struct cs_nova_limit *limit;
	} fields[] = {{"maxTotalInstances", "totalInstancesUsed", &limits.instances},
		{"maxTotalCores", "totalCoresUsed", &limits.cores},
		{"maxTotalRAMSize", "totalRAMUsed", &limits.ram_mib}};

	for (size_t i = 0; i < CS_ARRAY_SIZE(fields); i++) {
		if (!cs_json_int(absolute, fields[i].max, &fields[i].limit->max) ||
			!cs_json_int(absolute, fields[i].used, &fields[i].limit->used))
			return cs_error_set(err, CS_E_PROTOCOL,
				"GET %s: the answer has no '%s' or '%s'", url,
				fields[i].max, fields[i].used);
	}
	*ret = limits;
	return 0;
}

int cs_nova_limits_check(const struct cs_nova_limits *limits,
	const struct cs_nova_size *size, int64_t servers, struct cs_error *err)
{
	const struct {
		const char *what;
		struct cs_nova_limit limit;
		int64_t each;
	} rows[] = {{"servers", limits->instances, 1},
		{"cores", limits->cores, size->vcpus},
		{"MiB of memory", limits->ram_mib, size->ram_mib}};

	for (size_t i = 0; i < CS_ARRAY_SIZE(rows); i++) {
		int64_t max = rows[i].limit.max, each = rows[i].each;

		if (max < 0 || each <= 0 || servers <= (max - rows[i].limit.used) / each)
			continue;
		return cs_error_set(err, CS_E_QUOTA,
			"the project's quota has no room: %" PRId64 " of %" PRId64
			" %s are in use, %" PRId64 " more would be needed",
			rows[i].limit.used, max, rows[i].what, servers * each);
	}
	return 0;
}
