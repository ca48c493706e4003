/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keeping secrets out of dumps, messages and freed memory; see secret.h. */
#include <config.h>
#include "base/secret.h"

#include <string.h>
#include <sys/prctl.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"

#define SECRET_MAX 4096

struct cs_secret {
	size_t len;
	char text[];
};

void cs_secret_no_core(void)
{
	prctl(PR_SET_DUMPABLE, 0);
}

static struct cs_secret *make(const char *text, size_t len)
{
	struct cs_secret *secret = cs_calloc(1, sizeof *secret + len + 1);

	cs_secret_no_core();
	secret->len = len;
	memcpy(secret->text, text, len);
	return secret;
}

struct cs_secret *cs_secret_new(const char *text)
{
	return make(text, strlen(text));
}

struct cs_secret *cs_secret_copy(const struct cs_secret *secret)
{
	return make(secret->text, secret->len);
}

int cs_secret_from_file(const char *path, struct cs_secret **ret, struct cs_error *err)
{
	char text[SECRET_MAX + 1];
	size_t len;
	int r = cs_file_read_private(path, text, sizeof text, &len, err);

	if (r < 0)
		return r;
	len = strcspn(text, "\r\n");
	if (len == 0)
		r = cs_error_set(err, CS_E_CONFIG,
			"secret file %s: its first line is empty; write the secret there",
			path);
	else
		*ret = make(text, len);
	explicit_bzero(text, sizeof text);
	return r;
}

const char *cs_secret_expose(const struct cs_secret *secret)
{
	return secret->text;
}

void cs_secret_free(struct cs_secret *secret)
{
	if (!secret)
		return;
	explicit_bzero(secret->text, secret->len);
	free(secret);
}
