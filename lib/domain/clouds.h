/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Credentials as OpenStack's own tools keep them: clouds.yaml, or the OS_* variables as
 * the cloud "envvars". Source:
 * https://docs.openstack.org/openstacksdk/latest/user/config/configuration.html
 *
 * Looked for in this order, the first file that exists counts alone: the configured
 * clouds-file, $OS_CLIENT_CONFIG_FILE, ~/.config/openstack/clouds.yaml (when stdin is a
 * terminal), /etc/openstack/clouds.yaml. Never in the working directory: what a
 * monitoring system fires may start in one that everybody can write. Once a cloud is
 * named, OS_* variables do not change it. */
#ifndef CS_DOMAIN_CLOUDS_H
#define CS_DOMAIN_CLOUDS_H

#include "base/error.h"
#include "base/macros.h"
#include "client/keystone.h"

#define CS_CLOUDS_ENVIRONMENT "envvars" /* the cloud of the OS_* variables */
#define CS_CLOUDS_SITE_FILE "/etc/openstack/clouds.yaml"

/* `file` NULL: searched. `ret` is owned by the caller, cs_credentials_done(). CS_E_CONFIG
 * names file, line and key; CS_E_REFUSED: others can read the file. */
int cs_clouds_find(const char *file, const char *cloud, struct cs_credentials *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL(2, 3, 4);

/* The same in two steps, for a process that reads the file and another one that is to
 * know what is in it: libyaml leaves copies of what it has read. Zeroed when it is
 * released. */
struct cs_clouds_text {
	char *path; /* NULL: the environment */
	char *text;
	size_t len;
};
int cs_clouds_read(const char *file, const char *cloud, struct cs_clouds_text *ret,
	struct cs_error *err) CS_MUST_CHECK CS_NONNULL(2, 3, 4);
int cs_clouds_pick(const struct cs_clouds_text *text, const char *cloud,
	struct cs_credentials *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;
void cs_clouds_text_done(struct cs_clouds_text *text) CS_NONNULL_ALL;

/* The same from the text of a file; `path` is for the messages. */
int cs_clouds_parse(const char *text, size_t len, const char *path, const char *cloud,
	struct cs_credentials *ret, struct cs_error *err) CS_MUST_CHECK CS_NONNULL_ALL;

#endif
