/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Attributes that make a prototype a contract, and clean-up by scope.
 *
 *     CS_AUTO_FREE char *path = cs_asprintf("%s/lock", dir);
 *     CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(65536);
 *     return CS_TAKE(path);           hands the pointer on and disarms the clean-up
 */
#ifndef CS_BASE_MACROS_H
#define CS_BASE_MACROS_H

#define CS_MUST_CHECK __attribute__((warn_unused_result))
#define CS_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define CS_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))
#define CS_NONNULL_ALL __attribute__((nonnull))

#define CS_CLEANUP(function) __attribute__((cleanup(function)))

/* Defines `function`p, the clean-up of a pointer that `function` releases. */
#define CS_DEFINE_FREEP(type, function)                \
	static inline void function##p(type **pointer) \
	{                                              \
		function(*pointer);                    \
	}

#define CS_TAKE(pointer)                                   \
	(__extension__({                                   \
		__typeof__(pointer) cs_taken_ = (pointer); \
		(pointer) = NULL;                          \
		cs_taken_;                                 \
	}))

#define CS_ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define CS_MS_PER_S 1000

#endif
