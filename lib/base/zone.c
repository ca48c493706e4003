/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Time zones; see zone.h. */
#include <config.h>
#include "base/zone.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define ZONE_DIR "/usr/share/zoneinfo"
#define ZONE_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/"

bool cs_zone_ok(const char *zone)
{
	CS_AUTO_FREE char *path = cs_asprintf(ZONE_DIR "/%s", zone);

	if (strcmp(zone, "UTC") == 0)
		return true;
	return zone[0] != '\0' && strspn(zone, ZONE_CHARS) == strlen(zone) &&
	       access(path, R_OK) == 0;
}

void cs_zone_local(int64_t wall_ms, const char *zone, struct tm *ret)
{
	time_t seconds = (time_t)(wall_ms / CS_MS_PER_S);

	if (strcmp(zone, "UTC") == 0) {
		gmtime_r(&seconds, ret);
		return;
	}
	const char *had = getenv("TZ");
	CS_AUTO_FREE char *before = had ? cs_strdup(had) : NULL;
	setenv("TZ", zone, 1);
	tzset();
	localtime_r(&seconds, ret);
	if (before)
		setenv("TZ", before, 1);
	else
		unsetenv("TZ");
	tzset();
}
