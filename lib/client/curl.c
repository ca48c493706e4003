/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Loading libcurl; see curl.h. It stays loaded. */
#include <config.h>
#include "client/curl.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

/* In the order of the members, unexpanded. */
#define NAME(name) #name,
static const char *const names[] = {CS_CURL_FUNCTIONS(NAME)};

static struct cs_curl functions;
static bool loaded;

static int find_functions(void *library, struct cs_error *err)
{
	void *found[CS_ARRAY_SIZE(names)];

	_Static_assert(sizeof found == sizeof functions, "a pointer each");
	for (size_t i = 0; i < CS_ARRAY_SIZE(names); i++) {
		found[i] = dlsym(library, names[i]);
		if (!found[i])
			return cs_error_set(err, CS_E_CONFIG,
				CS_CURL_SONAME " has no %s; it is too old: install "
					       "libcurl 7.74 or newer",
				names[i]);
	}
	memcpy(&functions, found, sizeof functions);
	return 0;
}

int cs_curl_load(struct cs_error *err)
{
	if (loaded)
		return 0;
	void *library = dlopen(CS_CURL_SONAME, RTLD_LAZY | RTLD_LOCAL);
	if (!library)
		return cs_error_set(err, CS_E_CONFIG,
			"cannot load the library that speaks HTTP: %s; install it",
			dlerror());
	if (find_functions(library, err) < 0)
		return err->code;
	loaded = true;
	return 0;
}

const struct cs_curl *cs_curl(void)
{
	struct cs_error err;

	/* Whoever can say what is wrong has loaded it before: see cs_http_new(). */
	if (!loaded && cs_curl_load(&err) < 0)
		cs_out_of_memory();
	return &functions;
}
