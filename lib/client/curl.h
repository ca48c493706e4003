/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libcurl, loaded with the first call and not with the program: with all the libraries
 * behind it that takes longer than to ask a thousand agents, and who checks hosts given
 * by hand needs none of it. Included in place of <curl/curl.h>; the calls look the same.
 * Inside client/ only. */
#ifndef CS_CLIENT_CURL_H
#define CS_CLIENT_CURL_H

#define CURL_DISABLE_TYPECHECK /* its macros call what is not linked */
#include <curl/curl.h>
#undef curl_easy_setopt
#undef curl_easy_getinfo

#include "base/error.h"
#include "base/macros.h"

/* Every function that is used; without its line here or below the linker misses it. */
#define CS_CURL_FUNCTIONS(F)        \
	F(curl_easy_cleanup)        \
	F(curl_easy_escape)         \
	F(curl_easy_getinfo)        \
	F(curl_easy_init)           \
	F(curl_easy_reset)          \
	F(curl_easy_setopt)         \
	F(curl_easy_strerror)       \
	F(curl_free)                \
	F(curl_getdate)             \
	F(curl_global_init)         \
	F(curl_multi_add_handle)    \
	F(curl_multi_cleanup)       \
	F(curl_multi_info_read)     \
	F(curl_multi_init)          \
	F(curl_multi_perform)       \
	F(curl_multi_poll)          \
	F(curl_multi_remove_handle) \
	F(curl_slist_append)        \
	F(curl_slist_free_all)      \
	F(curl_url)                 \
	F(curl_url_cleanup)         \
	F(curl_url_get)             \
	F(curl_url_set)

struct cs_curl {
#define CS_CURL_MEMBER(name) __typeof__(name) *name;
	CS_CURL_FUNCTIONS(CS_CURL_MEMBER)
#undef CS_CURL_MEMBER
};

/* Before the first call: CS_E_CONFIG when libcurl is not there. */
int cs_curl_load(struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

/* What was loaded; loads it, and cannot say what is wrong. */
const struct cs_curl *cs_curl(void);

#define curl_easy_cleanup cs_curl()->curl_easy_cleanup
#define curl_easy_escape cs_curl()->curl_easy_escape
#define curl_easy_getinfo cs_curl()->curl_easy_getinfo
#define curl_easy_init cs_curl()->curl_easy_init
#define curl_easy_reset cs_curl()->curl_easy_reset
#define curl_easy_setopt cs_curl()->curl_easy_setopt
#define curl_easy_strerror cs_curl()->curl_easy_strerror
#define curl_free cs_curl()->curl_free
#define curl_getdate cs_curl()->curl_getdate
#define curl_global_init cs_curl()->curl_global_init
#define curl_multi_add_handle cs_curl()->curl_multi_add_handle
#define curl_multi_cleanup cs_curl()->curl_multi_cleanup
#define curl_multi_info_read cs_curl()->curl_multi_info_read
#define curl_multi_init cs_curl()->curl_multi_init
#define curl_multi_perform cs_curl()->curl_multi_perform
#define curl_multi_poll cs_curl()->curl_multi_poll
#define curl_multi_remove_handle cs_curl()->curl_multi_remove_handle
#define curl_slist_append cs_curl()->curl_slist_append
#define curl_slist_free_all cs_curl()->curl_slist_free_all
#define curl_url cs_curl()->curl_url
#define curl_url_cleanup cs_curl()->curl_url_cleanup
#define curl_url_get cs_curl()->curl_url_get
#define curl_url_set cs_curl()->curl_url_set

#endif
