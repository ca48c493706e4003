/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a configuration needs of the machine; see haproxy_needs.h. */
#include <config.h>
#include "format/haproxy_needs.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/parse.h"

#define WORDS_MAX 64 /* HAProxy's own limit */
#define WORD_SIZE 512
#define RANGE_MAX 1000 /* ports of one range that are looked at */

/* One line without quotes and comment. */
struct line {
	size_t n;
	char words[WORDS_MAX][WORD_SIZE];
};

static bool ends_word(char c)
{
	return strchr(" \t\r\n#", c) != NULL; /* the NUL too */
}

/* HAProxy's quoting: 'as it is', "with \" and variables", and \ before one byte. A word
 * that is too long is cut. */
static const char *read_word(const char *at, char *ret)
{
	char quote = '\0';
	size_t len = 0;

	while (quote ? *at && *at != '\n' : !ends_word(*at)) {
		bool escaped = *at == '\\' && quote != '\'' && at[1] && at[1] != '\n';

		if (!escaped && (*at == quote || (!quote && strchr("'\"", *at)))) {
			quote = quote ? '\0' : *at;
			at++;
			continue;
		}
		at += escaped;
		if (len < WORD_SIZE - 1)
			ret[len++] = *at;
		at++;
	}
	ret[len] = '\0';
	return at;
}

/* Reads the line at `at`; returns where the next one begins. */
static const char *read_line(const char *at, struct line *ret)
{
	ret->n = 0;
	for (;;) {
		at += strspn(at, " \t\r");
		if (ends_word(*at))
			break;
		char spare[WORD_SIZE];
		bool fits = ret->n < WORDS_MAX;
		at = read_word(at, fits ? ret->words[ret->n] : spare);
		ret->n += fits;
	}
	at += strcspn(at, "\n");
	return at + (*at == '\n');
}

static const char *word(const struct line *line, size_t i)
{
	return i < line->n ? line->words[i] : "";
}

static bool is(const struct line *line, size_t i, const char *text)
{
	return strcmp(word(line, i), text) == 0;
}

static bool is_section(const struct line *line)
{
	static const char *const sections[] = {"global", "defaults", "frontend",
		"backend", "listen", "peers", "resolvers", "mailers", "userlist",
		"program", "cache", "ring", "http-errors", "log-forward", "fcgi-app",
		"crt-store", "traces", "log-profile", "acme"};

	for (size_t i = 0; i < CS_ARRAY_SIZE(sections); i++) {
		if (is(line, 0, sections[i]))
			return true;
	}
	return false;
}

/* "10.0.0.1:80" or "10.0.0.1:80-89". */
static void add_address(const char *text, struct cs_haproxy_needs *needs)
{
	const char *colon = strrchr(text, ':');
	const char *dash = colon ? strchr(colon, '-') : NULL;
	struct sockaddr_storage address;
	int64_t first, last;

	if (!dash) {
		if (cs_haproxy_address(text, &address) > 0)
			cs_strings_add(&needs->addresses, text);
		return;
	}
	CS_AUTO_FREE char *low = cs_strndup(colon + 1, (size_t)(dash - colon) - 1);
	if (!cs_parse_int(low, 1, 65535, &first) ||
		!cs_parse_int(dash + 1, first, 65535, &last))
		return;
	for (int64_t port = first; port <= last && port < first + RANGE_MAX; port++) {
		CS_AUTO_FREE char *one =
			cs_asprintf("%.*s:%d", (int)(colon - text), text, (int)port);
		if (cs_haproxy_address(one, &address) > 0)
			cs_strings_add(&needs->addresses, one);
	}
}

/* One word behind "bind" or "stats socket". */
static void add_listener(const char *text, struct cs_haproxy_needs *needs)
{
	static const char *const internet[] = {
		"ipv4@", "ipv6@", "tcp@", "tcp4@", "tcp6@"};
	const char *path = strncmp(text, "unix@", 5) == 0 ? text + 5 : text;

	if (strchr(text, '$'))
		return;
	if (*path == '/')
		cs_strings_add(&needs->sockets, path);
	for (size_t i = 0; i < CS_ARRAY_SIZE(internet); i++) {
		if (strncmp(text, internet[i], strlen(internet[i])) == 0)
			text += strlen(internet[i]);
	}
	add_address(text, needs);
}

/* bind ADDRESS[,ADDRESS...] [WORD...] */
static void add_bind(const struct line *line, struct cs_haproxy_needs *needs)
{
	CS_AUTO_FREE char *list = cs_strdup(word(line, 1));
	char *save = NULL;

	for (size_t i = 2; i < line->n; i++) {
		/* these may share an address, or have one that is not here */
		if (is(line, i, "transparent") || is(line, i, "interface") ||
			is(line, i, "namespace"))
			return;
	}
	for (char *one = strtok_r(list, ",", &save); one;
		one = strtok_r(NULL, ",", &save))
		add_listener(one, needs);
}

static void read_global(const struct line *line, struct cs_haproxy_needs *needs)
{
	int64_t *number = is(line, 0, "maxconn")    ? &needs->maxconn
			  : is(line, 0, "ulimit-n") ? &needs->ulimit_n
						    : NULL;

	if (number && !cs_parse_int(word(line, 1), 0, INT32_MAX, number))
		*number = 0;
	else if (is(line, 0, "chroot") && !strchr(word(line, 1), '$'))
		cs_strset(&needs->chroot, word(line, 1));
	else if (is(line, 0, "stats") && is(line, 1, "socket"))
		add_listener(word(line, 2), needs);
	else if (is(line, 0, "no") && is(line, 1, "strict-limits"))
		needs->lenient_limits = true;
}

/* In a section that takes requests; `bind` in others is for peers and logs. */
static void count_ways(
	const struct line *line, bool *in_frontend, struct cs_haproxy_needs *needs)
{
	if (is_section(line))
		*in_frontend = is(line, 0, "frontend") || is(line, 0, "listen");
	needs->routes += is(line, 0, "listen");
	needs->binds += *in_frontend && is(line, 0, "bind");
	needs->routes += *in_frontend &&
			 (is(line, 0, "default_backend") || is(line, 0, "use_backend"));
}

void cs_haproxy_needs_read(const char *text, struct cs_haproxy_needs *ret)
{
	CS_AUTO_FREE struct line *line = cs_calloc(1, sizeof *line);
	bool global = false, prefixed = false, in_frontend = false;
	int conditions = 0;

	*ret = (struct cs_haproxy_needs){0};
	while (*text) {
		text = read_line(text, line);
		conditions += is(line, 0, ".if");
		conditions -= is(line, 0, ".endif");
		count_ways(line, &in_frontend, ret);
		if (line->n == 0 || conditions > 0)
			continue;
		if (is_section(line))
			global = is(line, 0, "global");
		else if (global)
			read_global(line, ret);
		prefixed |= global && is(line, 0, "unix-bind") && is(line, 1, "prefix");
		ret->servers += is(line, 0, "server");
		if (!global && is(line, 0, "bind") &&
			!(prefixed && *word(line, 1) == '/'))
			add_bind(line, ret);
	}
}

void cs_haproxy_needs_done(struct cs_haproxy_needs *needs)
{
	free(needs->chroot);
	cs_strings_done(&needs->sockets);
	cs_strings_done(&needs->addresses);
	*needs = (struct cs_haproxy_needs){0};
}

socklen_t cs_haproxy_address(const char *text, struct sockaddr_storage *ret)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	const char *colon = strrchr(text, ':');
	int64_t port;

	if (!colon || !cs_parse_int(colon + 1, 1, 65535, &port))
		return 0;
	bool bracket = text[0] == '[' && colon > text + 2 && colon[-1] == ']';
	CS_AUTO_FREE char *host =
		cs_strndup(text + bracket, (size_t)(colon - text) - 2 * bracket);
	v4.sin_port = v6.sin6_port = htons((uint16_t)port);
	memset(ret, 0, sizeof *ret);
	if (!*host || strcmp(host, "*") == 0 ||
		inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
		memcpy(ret, &v4, sizeof v4);
		return sizeof v4;
	}
	if (inet_pton(AF_INET6, host, &v6.sin6_addr) != 1)
		return 0;
	memcpy(ret, &v6, sizeof v6);
	return sizeof v6;
}
