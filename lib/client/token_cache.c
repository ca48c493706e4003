/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The last token, kept for the next program: a check that runs every minute would
 * authenticate 1440 times a day otherwise.
 *
 * One file in the state folder of a cluster, 0600, JSON: the token, the catalogue that
 * came with it, when that was, and a digest that binds it to who asked for it, and to the
 * secret that proved it; whoever corrects a password is not answered with yesterday's
 * token. The digest is taken over the token too, so it tells nothing to who has only the
 * digest. A file of another shape, owner, mode or digest is none. The folder has to be
 * ours: what root starts by hand keeps nothing in the folder of another user. */
#include <config.h>
#include "client/keystone_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "format/json.h"

#define FILE_MAX ((size_t)1 << 20)
#define FORMAT 1

static void wipe(struct cs_strbuf *text)
{
	if (text->data)
		explicit_bzero(text->data, text->len);
	cs_strbuf_done(text);
}

/* A member cannot run into the next one: each has its length in front. */
static void add_text(struct cs_strbuf *text, const char *member)
{
	cs_strbuf_addf(
		text, "%zu:%s,", member ? strlen(member) : 0, member ? member : "");
}

static void make_digest(const struct cs_credentials *who, const struct cs_secret *token,
	char ret[CS_DIGEST_SIZE])
{
	const char *const members[] = {who->auth_url, who->user_id, who->user_name,
		who->user_domain_id, who->user_domain_name, who->project_id,
		who->project_name, who->project_domain_id, who->project_domain_name,
		who->credential_id, who->credential_name, who->provider, who->protocol,
		who->client_id, who->client_scope, who->token_endpoint,
		who->discovery_endpoint};
	CS_CLEANUP(wipe) struct cs_strbuf text = CS_STRBUF(FILE_MAX);

	cs_strbuf_addf(&text, "%d,", (int)who->type);
	for (size_t i = 0; i < CS_ARRAY_SIZE(members); i++)
		add_text(&text, members[i]);
	add_text(&text, cs_secret_expose(who->secret));
	cs_digest(cs_secret_expose(token), cs_strbuf_text(&text), text.len, ret);
}

static bool is_own_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	CS_AUTO_FREE char *folder =
		slash ? cs_strndup(path, (size_t)(slash - path)) : NULL;
	struct stat st;

	return folder && stat(folder, &st) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_uid == geteuid();
}

/* Nobody else could read it, or the token may be known to more than us. */
static bool is_private(const char *path)
{
	struct cs_error ignored;
	CS_CLEANUP(cs_closep) int fd = cs_file_open_own(path, O_RDONLY, &ignored);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0600;
}

static bool parse_stamp(struct json_object *file, struct cs_stamp *ret)
{
	const char *boot_id = cs_json_str(file, "boot_id");

	if (!boot_id || strlen(boot_id) >= sizeof ret->boot_id)
		return false;
	memcpy(ret->boot_id, boot_id, strlen(boot_id) + 1);
	return cs_json_int(file, "wall_ms", &ret->wall_ms) &&
	       cs_json_int(file, "boot_ms", &ret->boot_ms);
}

static bool parse(
	struct json_object *file, const struct cs_credentials *who, struct cs_grant *ret)
{
	CS_CLEANUP(cs_grant_done) struct cs_grant grant = {0};
	const char *token = cs_json_str(file, "token"), *mark = cs_json_str(file, "mark");
	struct json_object *answer = cs_json_obj(file, "answer");
	const char *text = answer ? cs_json_text(answer) : "";
	char digest[CS_DIGEST_SIZE];
	struct cs_error ignored;
	int64_t format;

	if (!cs_json_int(file, "format", &format) || format != FORMAT || !token ||
		!mark || !parse_stamp(file, &grant.since))
		return false;
	grant.secret = cs_secret_new(token);
	explicit_bzero((char *)token, strlen(token));
	make_digest(who, grant.secret, digest);
	if (strcmp(digest, mark) != 0 ||
		cs_keystone_parse_token(text, strlen(text), &grant.token, &ignored) < 0 ||
		grant.token.life_ms < 0 || cs_grant_fresh_ms(&grant) <= 0)
		return false;
	*ret = grant;
	grant = (struct cs_grant){0};
	return true;
}

bool cs_token_cache_load(
	const char *path, const struct cs_credentials *who, struct cs_grant *ret)
{
	CS_CLEANUP(wipe) struct cs_strbuf text = CS_STRBUF(FILE_MAX);
	CS_AUTO_JSON struct json_object *file = NULL;
	struct cs_error ignored;

	return who->secret && is_own_folder(path) && is_private(path) &&
	       cs_file_read_own(path, &text, &ignored) == 0 &&
	       cs_json_parse(cs_strbuf_text(&text), text.len, path, &file, &ignored) ==
		       0 &&
	       parse(file, who, ret);
}

void cs_token_cache_save(
	const char *path, const struct cs_credentials *who, const struct cs_grant *grant)
{
	CS_AUTO_JSON struct json_object *file = json_object_new_object();
	struct json_object *answer = json_object_new_object();
	char digest[CS_DIGEST_SIZE];
	struct cs_error ignored;

	json_object_object_add(file, "answer", answer);
	if (!who->secret || !grant->secret || grant->token.life_ms < 0 ||
		!is_own_folder(path))
		return;
	make_digest(who, grant->secret, digest);
	json_object_object_add(answer, "token", json_object_get(grant->token.body));
	cs_json_add_int(file, "format", FORMAT);
	cs_json_add_int(file, "wall_ms", grant->since.wall_ms);
	cs_json_add_int(file, "boot_ms", grant->since.boot_ms);
	cs_json_add_str(file, "boot_id", grant->since.boot_id);
	cs_json_add_str(file, "mark", digest);
	cs_json_add_str(file, "token", cs_secret_expose(grant->secret));
	const char *text = cs_json_text(file);
	if (strlen(text) < FILE_MAX)
		(void)!cs_file_replace_own(path, text, strlen(text), 0600, &ignored);
	explicit_bzero((char *)text, strlen(text));
}
