/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The error that every library call reports: a value of the caller, never global, never
 * printed by the library. A call returns 0 or a negative enum cs_errc and fills `err`
 * exactly when it returns negative. The message is one line of US-ASCII that says what
 * was tried, on what and why it failed; context is added in front on the way up. */
#ifndef CS_BASE_ERROR_H
#define CS_BASE_ERROR_H

#include "base/macros.h"

/* Only what some caller tells apart. */
enum cs_errc {
	CS_E_USAGE = -1,     /* options of the command line */
	CS_E_CONFIG = -2,    /* a configuration, credential or template file */
	CS_E_IO = -3,	     /* a system call failed; sys_errno says which way */
	CS_E_LOCKED = -4,    /* somebody else holds the lock */
	CS_E_TIMEOUT = -5,   /* the time allowed for it is over */
	CS_E_CONNECT = -6,   /* no connection: nothing was sent */
	CS_E_AUTH = -7,	     /* the credentials were refused */
	CS_E_FORBIDDEN = -8, /* known, but not allowed to do this */
	CS_E_NOT_FOUND = -9, /* the thing asked for does not exist */
	CS_E_CONFLICT = -10, /* its present state does not allow it */
	CS_E_QUOTA = -11,    /* a quota of the cloud is used up */
	CS_E_PROTOCOL = -12, /* the peer answered something malformed */
	CS_E_REMOTE = -13,   /* the peer failed; remote_status has its status */
	CS_E_LIMIT = -14,    /* a ceiling of ours was hit */
	CS_E_VERIFY = -15,   /* done, looked at, not as wanted; rolled back */
	CS_E_REFUSED = -16,  /* a safety rule of ours forbids it; nothing changed */
	CS_E_LOST = -17,     /* sent, but the answer was lost: outcome unknown */
};

struct cs_error {
	enum cs_errc code;
	int sys_errno;	   /* errno, 0 when none */
	int remote_status; /* HTTP status or alike, 0 when none */
	char message[512];
};

/* Fills `err` and returns `code`, so that a failure is one statement. Control characters
 * of the formatted text are replaced by '?'; an overlong text ends in "...". */
int cs_error_set(struct cs_error *err, enum cs_errc code, const char *format, ...)
	CS_PRINTF(3, 4) CS_NONNULL(1, 3);

/* The same with code CS_E_IO, and ": " and the text of `errnum` behind. */
int cs_error_set_errno(struct cs_error *err, int errnum, const char *format, ...)
	CS_PRINTF(3, 4) CS_NONNULL(1, 3);

/* Puts context and ": " in front of the message; returns err->code. */
int cs_error_prefix(struct cs_error *err, const char *format, ...) CS_PRINTF(2, 3)
	CS_NONNULL(1, 2);

/* Puts "; " and what to do behind the message; returns err->code. */
int cs_error_advise(struct cs_error *err, const char *format, ...) CS_PRINTF(2, 3)
	CS_NONNULL(1, 2);

#endif
