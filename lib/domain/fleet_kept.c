/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keeping a list; see fleet_kept.h. */
#include <config.h>
#include "domain/fleet_kept.h"

#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "domain/fleet_rows.h"

#define FILE_MAX ((size_t)64 << 20)
#define OF_MAX 16384
#define MODE 0600

char *cs_fleet_kept_of(const struct cs_credentials *who, const struct cs_cluster *cluster)
{
	const struct cs_server_spec *spec = &cluster->servers;
	const char *const parts[] = {who->auth_url, who->endpoint,
		who->overrides[CS_SERVICE_COMPUTE], who->region, who->user_id,
		who->user_name, who->credential_id, who->credential_name, who->project_id,
		who->project_name, who->project_domain_id, who->project_domain_name,
		spec->networks.n > 0 ? spec->networks.items[0] : NULL,
		spec->adopt_image ? spec->image : NULL};
	struct cs_strbuf text = CS_STRBUF(OF_MAX);

	cs_strbuf_add(&text, cluster->name);
	for (size_t i = 0; i < CS_ARRAY_SIZE(parts); i++)
		cs_strbuf_addf(&text, " %s", parts[i] ? parts[i] : "-");
	char *of = cs_strbuf_take(&text);
	cs_text_clean(of);
	return of;
}

static char *path_in(const char *state_dir)
{
	return cs_asprintf("%s/list", state_dir);
}

void cs_fleet_kept_write(const char *of, const struct cs_stamp *taken,
	const struct cs_fleet_view *view, struct cs_strbuf *ret)
{
	cs_strbuf_addf(ret, "of %s\nat %" PRId64 " %" PRId64 " %s\n", of, taken->wall_ms,
		taken->boot_ms, taken->boot_id);
	cs_fleet_rows_write(view, ret);
}

int cs_fleet_kept_save(const char *state_dir, const char *of,
	const struct cs_stamp *taken, const struct cs_fleet_view *view,
	struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(FILE_MAX);
	CS_AUTO_FREE char *path = path_in(state_dir);

	cs_fleet_kept_write(of, taken, view, &text);
	if (cs_strbuf_check(&text, path, err) < 0)
		return err->code;
	return cs_file_replace_own(path, cs_strbuf_text(&text), text.len, MODE, err);
}

static bool read_stamp(char *line, struct cs_stamp *ret)
{
	const char *word = strsep(&line, " "), *wall = strsep(&line, " "),
		   *boot = strsep(&line, " ");

	if (!line || strlen(line) >= sizeof ret->boot_id)
		return false;
	memcpy(ret->boot_id, line, strlen(line) + 1);
	return strcmp(word, "at") == 0 &&
	       cs_parse_int(wall, 0, INT64_MAX, &ret->wall_ms) &&
	       cs_parse_int(boot, 0, INT64_MAX, &ret->boot_ms);
}

static bool is_of(const char *line, const char *of)
{
	return strncmp(line, "of ", 3) == 0 && strcmp(line + 3, of) == 0;
}

static int check_age(int64_t age_ms, int64_t max_age_ms, struct cs_error *err)
{
	if (age_ms >= 0 && age_ms <= max_age_ms)
		return 0;
	if (age_ms < 0)
		return cs_error_set(err, CS_E_REFUSED,
			"the last complete list is of the future: a clock was turned "
			"back");
	return cs_error_set(err, CS_E_REFUSED,
		"the last complete list is %" PRId64 " s old, list-max-age is %" PRId64
		" s",
		age_ms / CS_MS_PER_S, max_age_ms / CS_MS_PER_S);
}

int cs_fleet_kept_parse(char *text, size_t len, const char *of,
	struct cs_stamp *ret_taken, struct cs_fleet_view *ret, struct cs_error *err)
{
	char *rest = text;
	const char *line = strsep(&rest, "\n");
	char *stamp = strsep(&rest, "\n");
	struct cs_stamp taken;

	if (!rest || !is_of(line, of) || !read_stamp(stamp, &taken))
		return cs_error_set(err, CS_E_NOT_FOUND, "no list of %s", of);
	if (cs_fleet_rows_parse(rest, len - (size_t)(rest - text), ret, err) < 0)
		return cs_error_set(err, CS_E_NOT_FOUND, "no whole list");
	*ret_taken = taken;
	return 0;
}

int cs_fleet_kept_load(const char *state_dir, const char *of, int64_t max_age_ms,
	struct cs_fleet_view *ret, int64_t *ret_age_ms, struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(FILE_MAX);
	CS_AUTO_FREE char *path = path_in(state_dir);
	CS_CLEANUP(cs_fleet_view_done) struct cs_fleet_view view = {0};
	struct cs_stamp taken, now;

	cs_strbuf_add(&text, ""); /* the text of an empty file, too */
	if (cs_file_read_own(path, &text, err) < 0)
		return err->code;
	if (cs_fleet_kept_parse(text.data, text.len, of, &taken, &view, err) < 0)
		return cs_error_prefix(err, "%s", path);
	cs_stamp_now(&now);
	int64_t age_ms = cs_stamp_age_ms(&taken, &now);
	if (check_age(age_ms, max_age_ms, err) < 0)
		return err->code;
	*ret_age_ms = age_ms;
	*ret = view;
	view = (struct cs_fleet_view){0};
	return 0;
}
