/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of keystone.h share. */
#ifndef CS_CLIENT_KEYSTONE_INTERNAL_H
#define CS_CLIENT_KEYSTONE_INTERNAL_H

#include "base/stamp.h"
#include "client/keystone.h"

/* A token, what came with it, and when. Owns its members. */
struct cs_grant {
	struct cs_secret *secret; /* NULL: Keystone is not asked */
	struct cs_token token;
	struct cs_stamp since;
};
void cs_grant_done(struct cs_grant *grant) CS_NONNULL_ALL;

/* Asks Keystone (and the identity provider before). `base` is the auth URL without its
 * version. Errors as cs_keystone_open(), with the source of the credentials in front. */
int cs_keystone_authenticate(struct cs_http *http, const struct cs_credentials *who,
	const char *base, struct cs_deadline deadline, struct cs_grant *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* How long a grant is still to be used: until the smaller of two minutes and a quarter
 * of its life before its end. Negative when that has passed, INT64_MAX when it does not
 * end. `left_ms` of its whole life: cs_grant_left_ms(). */
int64_t cs_grant_fresh_ms(const struct cs_grant *grant) CS_NONNULL_ALL;
int64_t cs_grant_left_ms(const struct cs_grant *grant) CS_NONNULL_ALL;

/* The token cache; see token_cache.c. Both do nothing rather than fail: without it there
 * is Keystone. */
bool cs_token_cache_load(const char *path, const struct cs_credentials *who,
	struct cs_grant *ret) CS_NONNULL_ALL;
void cs_token_cache_save(const char *path, const struct cs_credentials *who,
	const struct cs_grant *grant) CS_NONNULL_ALL;

#endif
