/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One walk over a configuration; see haproxy_outline.h. */
#include <config.h>
#include "format/haproxy_outline.h"

#include <string.h>

#include "base/mem.h"
#include "format/haproxy_config.h"
#include "format/haproxy_stat.h"

#define BLANKS " \t\r"

/* A defaults section, or what a backend has so far. */
struct section {
	struct cs_haproxy_backend *backend;
	char *server_words; /* of its default-server lines */
};

struct walk {
	struct cs_haproxy_outline *outline;
	struct cs_haproxy_backend defaults_backend;
	struct section defaults, proxy;
	struct section *at; /* one of these, NULL in any other section */
};

static char *next_word(char **rest)
{
	return strtok_r(NULL, BLANKS, rest);
}

static bool mentions(char *rest, const char *wanted)
{
	for (char *word; (word = next_word(&rest));) {
		if (strcmp(word, wanted) == 0)
			return true;
	}
	return false;
}

static void begin_defaults(struct walk *walk, char *rest)
{
	walk->at = &walk->defaults;
	walk->defaults_backend = (struct cs_haproxy_backend){
		.balance = "roundrobin", .named = mentions(rest, "from")};
	cs_strset(&walk->defaults.server_words, "");
}

static void begin_proxy(struct walk *walk, char *rest)
{
	const char *name = next_word(&rest);
	struct cs_haproxy_backend *backend = cs_calloc(1, sizeof *backend);

	*backend = walk->defaults_backend;
	backend->name = name ? name : "";
	backend->named |= mentions(rest, "from");
	if (!cs_map_add(&walk->outline->backends, backend->name, "", backend)) {
		free(backend); /* HAProxy refuses a name that stands twice */
		walk->at = NULL;
		return;
	}
	walk->at = &walk->proxy;
	walk->proxy.backend = backend;
	cs_strset(&walk->proxy.server_words, walk->defaults.server_words);
}

static void add_default_words(struct section *section, const char *words)
{
	char *longer = cs_asprintf("%s%s ", section->server_words, words);

	free(section->server_words);
	section->server_words = longer;
}

static void add_server(struct walk *walk, char *rest)
{
	struct cs_haproxy_outline *outline = walk->outline;
	const char *name = next_word(&rest);
	const char *endpoint = next_word(&rest);
	size_t n = outline->n;

	if ((n & (n - 1)) == 0) /* grows at the powers of two */
		outline->lines = cs_reallocarray(
			outline->lines, n ? n * 2 : 1, sizeof *outline->lines);
	outline->lines[outline->n++] =
		(struct cs_haproxy_line){.backend = walk->proxy.backend,
			.name = name ? name : "",
			.endpoint = endpoint ? endpoint : "",
			.options = cs_asprintf("%s%s", walk->proxy.server_words,
				rest ? rest + strspn(rest, BLANKS) : "")};
}

static void follow_directive(struct walk *walk, const char *first, char *rest)
{
	struct cs_haproxy_backend *backend = walk->at->backend;
	const char *word;

	if (strcmp(first, "default-server") == 0) {
		add_default_words(walk->at, rest);
	} else if (strcmp(first, "balance") == 0) {
		word = next_word(&rest);
		backend->balance = word ? word : "";
	} else if (strcmp(first, "hash-type") == 0) {
		word = next_word(&rest);
		backend->consistent = word && strcmp(word, "consistent") == 0;
	} else if (strcmp(first, "cookie") == 0 || strcmp(first, "stick") == 0 ||
		   strcmp(first, "persist") == 0 || strcmp(first, "use-server") == 0) {
		backend->sticky = true;
		walk->outline->sticky_defaults |= walk->at == &walk->defaults;
	}
}

/* Cuts up `line`; true when it is a server's. */
static bool follow(struct walk *walk, char *line)
{
	char *rest = NULL;
	const char *first = strtok_r(line, BLANKS, &rest);

	if (!first || *first == '#')
		return false;
	if (strcmp(first, "defaults") == 0)
		begin_defaults(walk, rest);
	else if (strcmp(first, "backend") == 0 || strcmp(first, "listen") == 0)
		begin_proxy(walk, rest);
	else if (cs_haproxy_is_section(first))
		walk->at = NULL;
	else if (walk->at == &walk->proxy && strcmp(first, "server") == 0)
		add_server(walk, rest);
	else if (walk->at)
		follow_directive(walk, first, rest);
	return walk->at == &walk->proxy && strcmp(first, "server") == 0;
}

void cs_haproxy_outline_read(const char *text, size_t len, struct cs_haproxy_outline *ret)
{
	struct walk walk = {.outline = ret,
		.defaults_backend = {.balance = "roundrobin"},
		.defaults = {.server_words = cs_strdup("")},
		.proxy = {.server_words = cs_strdup("")}};

	*ret = (struct cs_haproxy_outline){
		.text = cs_strndup(text, len), .others = CS_STRBUF(len + 1)};
	walk.defaults.backend = &walk.defaults_backend;
	for (char *line = ret->text; *line;) {
		size_t size = strcspn(line, "\n");
		char *next = line + size + (line[size] == '\n');

		line[size] = '\0';
		if (!follow(&walk, line))
			cs_strbuf_add_bytes(&ret->others, text + (line - ret->text),
				(size_t)(next - line));
		line = next;
	}
	for (size_t i = 0; i < ret->n; i++)
		cs_map_add(&ret->by_name, ret->lines[i].backend->name, ret->lines[i].name,
			&ret->lines[i]);
	free(walk.defaults.server_words);
	free(walk.proxy.server_words);
}

void cs_haproxy_outline_done(struct cs_haproxy_outline *outline)
{
	for (size_t i = 0; i < outline->n; i++)
		free(outline->lines[i].options);
	free(outline->lines);
	for (size_t i = 0; i < outline->backends.capacity; i++)
		free((void *)outline->backends.slots[i].value);
	cs_map_done(&outline->backends);
	cs_map_done(&outline->by_name);
	cs_strbuf_done(&outline->others);
	free(outline->text);
	*outline = (struct cs_haproxy_outline){0};
}

const struct cs_haproxy_line *cs_haproxy_outline_find(
	const struct cs_haproxy_outline *outline, const char *backend, const char *name)
{
	return cs_map_find(&outline->by_name, backend, name);
}

bool cs_haproxy_outline_is_sticky(
	const struct cs_haproxy_outline *outline, const char *name)
{
	const struct cs_haproxy_backend *backend =
		cs_map_find(&outline->backends, name, "");

	if (!backend || (backend->named && !backend->sticky))
		return outline->sticky_defaults;
	return backend->sticky;
}

static const struct cs_haproxy_line *find_same(
	const struct cs_haproxy_outline *outline, const struct cs_haproxy_line *line)
{
	return cs_haproxy_outline_find(outline, line->backend->name, line->name);
}

static bool same_line(
	const struct cs_haproxy_line *one, const struct cs_haproxy_line *other)
{
	return strcmp(one->endpoint, other->endpoint) == 0 &&
	       strcmp(one->options, other->options) == 0;
}

bool cs_haproxy_outline_same(
	const struct cs_haproxy_outline *one, const struct cs_haproxy_outline *other)
{
	if (one->others.len != other->others.len ||
		strcmp(cs_strbuf_text(&one->others), cs_strbuf_text(&other->others)) != 0)
		return false;
	for (size_t i = 0; i < one->n; i++) {
		const struct cs_haproxy_line *line = find_same(other, &one->lines[i]);

		if (line && !same_line(line, &one->lines[i]))
			return false;
	}
	return true;
}

/* Words that `add server` takes (2.6's list without what loads files or names other
 * servers), how many values follow, and the first version that takes them. */
static const struct option {
	const char *word;
	int values, since;
} options[] = {
	{"agent-inter", 1, 0},
	{"backup", 0, 0},
	{"check", 0, 0},
	{"check-send-proxy", 0, 0},
	{"cookie", 1, CS_HAPROXY_VERSION(3, 0)},
	{"downinter", 1, 0},
	{"error-limit", 1, 0},
	{"fall", 1, 0},
	{"fastinter", 1, 0},
	{"init-state", 1, CS_HAPROXY_VERSION(3, 2)},
	{"inter", 1, 0},
	{"maxconn", 1, 0},
	{"maxqueue", 1, 0},
	{"minconn", 1, 0},
	{"observe", 1, 0},
	{"on-error", 1, 0},
	{"on-marked-down", 1, 0},
	{"on-marked-up", 1, 0},
	{"pool-low-conn", 1, 0},
	{"pool-max-conn", 1, 0},
	{"pool-purge-delay", 1, 0},
	{"port", 1, 0},
	{"rise", 1, 0},
	{"send-proxy", 0, 0},
	{"send-proxy-v2", 0, 0},
	{"slowstart", 1, 0},
	{"weight", 1, 0},
};

static const struct option *find_option(const char *word)
{
	for (size_t i = 0; i < CS_ARRAY_SIZE(options); i++) {
		if (strcmp(options[i].word, word) == 0)
			return &options[i];
	}
	return NULL;
}

/* The option that `version` does not take, NULL when it takes all. Owned by the caller.
 */
static char *find_refused(const char *text, int version)
{
	CS_AUTO_FREE char *copy = cs_strdup(text);
	char *rest = NULL;

	for (char *word = strtok_r(copy, BLANKS, &rest); word; word = next_word(&rest)) {
		const struct option *option = find_option(word);

		if (!option || version < option->since)
			return cs_strdup(word);
		for (int i = 0; i < option->values; i++) {
			char *value = next_word(&rest);

			/* ';' would end the command, the others quote in a file */
			if (!value || strpbrk(value, ";<\\\"'#$"))
				return cs_strdup(word);
		}
	}
	return NULL;
}

static bool is_dynamic(const struct cs_haproxy_backend *backend)
{
	static const char *const always[] = {"roundrobin", "leastconn", "first"};

	for (size_t i = 0; i < CS_ARRAY_SIZE(always); i++) {
		if (strcmp(backend->balance, always[i]) == 0)
			return true;
	}
	return strncmp(backend->balance, "random", 6) == 0 ||
	       (backend->consistent && strcmp(backend->balance, "static-rr") != 0);
}

char *cs_haproxy_add_refusal(const struct cs_haproxy_line *line, int version)
{
	if (version == 0)
		return cs_strdup("its version is not known");
	if (version < CS_HAPROXY_VERSION(2, 6))
		return cs_asprintf("HAProxy %d.%d does not check added servers",
			version / 100, version % 100);
	if (line->backend->named)
		return cs_asprintf(
			"backend '%s' takes its defaults by name", line->backend->name);
	if (!is_dynamic(line->backend))
		return cs_asprintf("backend '%s' has balance %s%s", line->backend->name,
			line->backend->balance,
			line->backend->consistent ? "" : ", not consistent");
	CS_AUTO_FREE char *option = find_refused(line->options, version);
	return option ? cs_asprintf("option '%s' is not one to add a server with", option)
		      : NULL;
}

bool cs_haproxy_line_checks(const struct cs_haproxy_line *line)
{
	CS_AUTO_FREE char *copy = cs_asprintf("- %s", line->options);
	char *rest = NULL;
	bool checks = false;

	(void)strtok_r(copy, BLANKS, &rest);
	for (char *word; (word = next_word(&rest));) {
		const struct option *option = find_option(word);

		checks |= strcmp(word, "check") == 0;
		checks &= strcmp(word, "no-check") != 0;
		for (int i = 0; option && i < option->values; i++)
			(void)next_word(&rest);
	}
	return checks;
}
