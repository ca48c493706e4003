/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Passwords, tokens and communities. Opaque, zeroed on free, never printed; the only way
 * to the bytes is cs_secret_expose(), which only client/ may call (a tree test holds
 * that). The first secret makes the process undumpable. */
#ifndef CS_BASE_SECRET_H
#define CS_BASE_SECRET_H

#include "base/error.h"
#include "base/macros.h"

struct cs_secret;

/* For who holds secrets as other text: this process leaves no core from now on. */
void cs_secret_no_core(void);

/* Copies `text`. Owned by the caller. */
struct cs_secret *cs_secret_new(const char *text) CS_MUST_CHECK CS_NONNULL_ALL;
struct cs_secret *cs_secret_copy(
	const struct cs_secret *secret) CS_MUST_CHECK CS_NONNULL_ALL;

/* First line of a file, without its line end. The file must not be readable or writable
 * by others than owner and group: CS_E_REFUSED says the chmod to type. Empty or longer
 * than 4096 bytes: CS_E_CONFIG. */
int cs_secret_from_file(const char *path, struct cs_secret **ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* Borrowed, as long as the secret lives. */
const char *cs_secret_expose(const struct cs_secret *secret) CS_NONNULL_ALL;

/* NULL is fine. */
void cs_secret_free(struct cs_secret *secret);
CS_DEFINE_FREEP(struct cs_secret, cs_secret_free)

#endif
