/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Credentials as OpenStack's own tools keep them: clouds.yaml with secure.yaml over it
 * and clouds-public.yaml (profiles) below, or the OS_* variables as the cloud "envvars".
 * Source:
 * https://docs.openstack.org/openstacksdk/latest/user/config/configuration.html
 *
 * Of each kind the first file that exists counts alone. With a configured clouds-file:
 * that one, and the two others beside it. Otherwise $OS_CLIENT_CONFIG_FILE and
 * $OS_CLIENT_SECURE_FILE, then the folders $XDG_CONFIG_HOME/openstack and
 * ~/.config/openstack (both only when stdin is a terminal), /etc/xdg/openstack and
 * /etc/openstack, with .yaml, .yml or .json at the end of the name. Never the working
 * directory, in which openstacksdk looks first: what a monitoring system fires may start
 * in one that everybody can write. Unlike openstacksdk, which passes over a file that it
 * cannot read, and over a named file that is missing, both are errors here.
 *
 * Within a cloud a value of `regions` counts before secure.yaml, that before clouds.yaml,
 * that before the profile; over all of these, a value beside `auth` counts before one in
 * it. Once a cloud is named, OS_* variables do not change it. */
#ifndef CS_DOMAIN_CLOUDS_H
#define CS_DOMAIN_CLOUDS_H

#include "base/error.h"
#include "base/macros.h"
#include "client/keystone.h"

/* The cloud of the OS_* variables; of the files, when OS_CLOUD names one. */
#define CS_CLOUDS_ENVIRONMENT "envvars"
#define CS_CLOUDS_SITE_FILE "/etc/openstack/clouds.yaml"

/* `file` NULL: searched. `ret` is owned by the caller, cs_credentials_done(). CS_E_CONFIG
 * names file, line and key; CS_E_REFUSED: others can read a file with secrets. */
int cs_clouds_find(const char *file, const char *cloud, struct cs_credentials *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL(2, 3, 4);

/* The same in two steps, for a process that reads the files and another one that is to
 * know what is in them: libyaml leaves copies of what it has read. Zeroed when it is
 * released. */
enum cs_clouds_kind {
	CS_CLOUDS_MAIN,	  /* clouds.yaml */
	CS_CLOUDS_SECURE, /* secure.yaml: the same shape, merged over it */
	CS_CLOUDS_PUBLIC, /* clouds-public.yaml: `public-clouds`, without secrets */
	CS_CLOUDS_KINDS
};
struct cs_clouds_text {
	struct cs_clouds_file {
		char *path; /* NULL: there is none */
		char *text;
		size_t len;
	} files[CS_CLOUDS_KINDS]; /* all without path: the environment */
};
int cs_clouds_read(const char *file, const char *cloud, struct cs_clouds_text *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL(2, 3, 4);
int cs_clouds_pick(const struct cs_clouds_text *text, const char *cloud,
	struct cs_credentials *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_clouds_text_done(struct cs_clouds_text *text) CS_NONNULL_ALL;

#endif
