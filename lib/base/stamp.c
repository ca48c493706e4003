/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Points in time for state files, and uuids; see stamp.h. */
#include <config.h>
#include "base/stamp.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

static int64_t clock_ms(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * CS_MS_PER_S + now.tv_nsec / 1000000;
}

/* The boot id cannot change under a process, so it is read once. */
static const char *boot_id(void)
{
	static char id[CS_BOOT_ID_SIZE];

	if (id[0])
		return id;
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return id;
	ssize_t len = read(fd, id, sizeof id - 1);
	id[len > 0 ? len : 0] = '\0';
	close(fd);
	return id;
}

void cs_stamp_now(struct cs_stamp *ret)
{
	ret->wall_ms = clock_ms(CLOCK_REALTIME);
	ret->boot_ms = clock_ms(CLOCK_BOOTTIME);
	memcpy(ret->boot_id, boot_id(), sizeof ret->boot_id);
}

int64_t cs_stamp_age_ms(const struct cs_stamp *then, const struct cs_stamp *now)
{
	if (then->boot_id[0] && strcmp(then->boot_id, now->boot_id) == 0)
		return now->boot_ms - then->boot_ms;
	return now->wall_ms - then->wall_ms;
}

void cs_wall_format(int64_t wall_ms, char ret[CS_WALL_TEXT_SIZE])
{
	time_t seconds = (time_t)(wall_ms / CS_MS_PER_S);
	struct tm utc;

	gmtime_r(&seconds, &utc);
	strftime(ret, CS_WALL_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

int64_t cs_wall_parse(const char *text)
{
	struct tm utc = {0};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);

	if (!rest)
		return -1;
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (strcmp(rest, "Z") != 0 && *rest != '\0')
		return -1;
	time_t seconds = timegm(&utc);
	return seconds < 0 ? -1 : (int64_t)seconds * CS_MS_PER_S;
}

void cs_uuid_make(char ret[CS_UUID_SIZE])
{
	unsigned char b[16];

	/* Without randomness two creates could share a mark; there is no safe way on. */
	if (getrandom(b, sizeof b, 0) != sizeof b)
		abort();
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	snprintf(ret, CS_UUID_SIZE,
		"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11],
		b[12], b[13], b[14], b[15]);
}
