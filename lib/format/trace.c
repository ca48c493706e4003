/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Load traces; see trace.h. By hand, since strptime() takes much that is not there. */
#include <config.h>
#include "format/trace.h"

#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "format/json.h"

#define HEAD "period,count"
#define MINUTE_MS (60 * CS_MS_PER_S)
#define SERVERS_MAX 1000000
#define COUNT_MAX 1e15 /* below 2^53: every integer up to it is exact */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* `width` digits within [min, max] behind the character `before` (0: none). */
static bool take_field(
	const char **at, char before, int width, int min, int max, int *ret)
{
	const char *p = *at;
	int value = 0;

	if (before && *p++ != before)
		return false;
	for (int i = 0; i < width; i++, p++) {
		if (!is_digit(*p))
			return false;
		value = value * 10 + (*p - '0');
	}
	if (value < min || value > max)
		return false;
	*ret = value;
	*at = p;
	return true;
}

static bool take_date(const char **at, struct tm *ret)
{
	if (!take_field(at, 0, 4, 1970, 9999, &ret->tm_year) ||
		!take_field(at, '-', 2, 1, 12, &ret->tm_mon) ||
		!take_field(at, '-', 2, 1, 31, &ret->tm_mday))
		return false;
	ret->tm_year -= 1900;
	ret->tm_mon -= 1;
	return true;
}

/* False for the 30th of February, which timegm() takes for the 2nd of March. */
static bool to_minute(const struct tm *from, int64_t *ret)
{
	struct tm tm = *from;
	time_t seconds = timegm(&tm);

	if (tm.tm_mday != from->tm_mday)
		return false;
	*ret = (int64_t)seconds / 60;
	return true;
}

bool cs_trace_minute(const char *text, int64_t *ret)
{
	struct tm tm = {0};

	if (!take_date(&text, &tm))
		return false;
	if (*text && (!take_field(&text, ' ', 2, 0, 23, &tm.tm_hour) ||
			     !take_field(&text, ':', 2, 0, 59, &tm.tm_min)))
		return false;
	if (*text && !take_field(&text, ':', 2, 0, 0, &tm.tm_sec))
		return false;
	return *text == '\0' && to_minute(&tm, ret);
}

/* "12" or "12.5" up to the end of the line. */
static bool take_count(const char **at, double *ret)
{
	const char *p = *at;
	double value = 0, unit = 1;

	if (!is_digit(*p))
		return false;
	for (; is_digit(*p); p++)
		value = value * 10 + (*p - '0');
	if (*p == '.' && is_digit(p[1])) {
		for (p++; is_digit(*p); p++)
			value += (*p - '0') * (unit /= 10);
	}
	if (value > COUNT_MAX || (*p != '\n' && *p != '\0'))
		return false;
	*at = p;
	*ret = value;
	return true;
}

static bool take_point(const char **at, struct cs_trace_point *ret)
{
	struct tm tm = {0};

	if (!take_date(at, &tm) || !take_field(at, ' ', 2, 0, 23, &tm.tm_hour) ||
		!take_field(at, ':', 2, 0, 59, &tm.tm_min) ||
		!take_field(at, ':', 2, 0, 0, &tm.tm_sec) || *(*at)++ != ',')
		return false;
	return take_count(at, &ret->count) && to_minute(&tm, &ret->minute);
}

static int refuse(const char *name, size_t line, const char *at, const char *wanted,
	struct cs_error *err)
{
	int len = (int)strcspn(at, "\n");

	return cs_error_set(err, CS_E_CONFIG, "%s:%zu: expected %s, found '%.*s'", name,
		line, wanted, len < 60 ? len : 60, at);
}

static struct cs_trace_point *add_point(struct cs_trace *trace)
{
	/* Room for a power of two of them, from 4096 on. */
	if (trace->n == 0 || (trace->n >= 4096 && (trace->n & (trace->n - 1)) == 0))
		trace->points = cs_reallocarray(trace->points,
			trace->n ? trace->n * 2 : 4096, sizeof *trace->points);
	return &trace->points[trace->n++];
}

static int parse_points(
	const char *at, const char *name, struct cs_trace *trace, struct cs_error *err)
{
	for (size_t line = 2; *at; line++) {
		struct cs_trace_point point;
		const char *start = at;

		if (!take_point(&at, &point))
			return refuse(name, line, start,
				"YYYY-MM-DD HH:MM:00,COUNT (a whole minute, a number)",
				err);
		if (trace->n > 0 && point.minute <= trace->points[trace->n - 1].minute)
			return refuse(name, line, start,
				"a later minute than that of the line before", err);
		*add_point(trace) = point;
		at += *at == '\n';
	}
	return 0;
}

/* One line of a history. `ret_known` false: it was below the quorum. */
static bool take_measurement(
	const char *text, size_t len, struct cs_trace_point *ret, bool *ret_known)
{
	CS_AUTO_JSON struct json_object *line = NULL;
	int64_t wall_ms, load, servers;
	struct cs_error ignored;

	if (cs_json_parse(text, len, "history", &line, &ignored) < 0 ||
		!cs_json_int(line, "t", &wall_ms) ||
		!cs_json_int(line, "load_permille", &load) ||
		!cs_json_int(line, "servers", &servers) || wall_ms < 0 || load > 1000 ||
		servers < 0 || servers > SERVERS_MAX)
		return false;
	*ret_known = load >= 0;
	*ret = (struct cs_trace_point){
		wall_ms / MINUTE_MS, (double)load * (double)servers / 1000};
	return true;
}

/* What was measured in one minute becomes one point, the mean. An earlier minute than
 * before means that the clock was set back: passed over. */
static void add_measured(
	struct cs_trace *trace, const struct cs_trace_point *point, size_t *n_minute)
{
	struct cs_trace_point *last = trace->n > 0 ? &trace->points[trace->n - 1] : NULL;

	if (last && point->minute < last->minute)
		return;
	if (last && point->minute == last->minute) {
		++*n_minute;
		last->count += (point->count - last->count) / (double)*n_minute;
		return;
	}
	*add_point(trace) = *point;
	*n_minute = 1;
}

/* A last line without its end is a write that never happened. */
static int parse_history(
	const char *at, const char *name, struct cs_trace *trace, struct cs_error *err)
{
	size_t n_minute = 0; /* lines of the last point's minute */
	const char *end;

	for (size_t line = 1; (end = strchr(at, '\n')); line++, at = end + 1) {
		struct cs_trace_point point;
		bool known;

		if (!take_measurement(at, (size_t)(end - at), &point, &known))
			return refuse(name, line, at, "a measurement of a history", err);
		if (known)
			add_measured(trace, &point, &n_minute);
	}
	trace->busy_servers = true;
	return 0;
}

/* Performance data of a core. */

#define FIELDS_MAX 32

struct fields {
	const char *at[FIELDS_MAX];
	size_t len[FIELDS_MAX], n;
};

/* Without "TIMET::" and alike, which the template of PNP4Nagios and Icinga 2 has. */
static void add_field(struct fields *fields, const char *at, size_t len)
{
	const char *colons = memmem(at, len, "::", 2);

	if (fields->n == FIELDS_MAX)
		return;
	if (colons && strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == (size_t)(colons - at)) {
		len -= (size_t)(colons + 2 - at);
		at = colons + 2;
	}
	fields->at[fields->n] = at;
	fields->len[fields->n++] = len;
}

static void split(const char *line, size_t len, struct fields *ret)
{
	const char *end = line + len, *tab;

	for (; (tab = memchr(line, '\t', (size_t)(end - line))); line = tab + 1)
		add_field(ret, line, (size_t)(tab - line));
	add_field(ret, line, (size_t)(end - line));
}

/* The first field that is a number of seconds since the epoch, as $TIMET$ is. */
static bool find_time(const struct fields *fields, size_t *ret, int64_t *ret_seconds)
{
	for (size_t i = 0; i < fields->n; i++) {
		int64_t seconds = 0;
		size_t k = 0;

		for (; k < fields->len[i] && k < 12 && is_digit(fields->at[i][k]); k++)
			seconds = seconds * 10 + (fields->at[i][k] - '0');
		if (k < 9 || k < fields->len[i])
			continue;
		*ret = i;
		*ret_seconds = seconds;
		return true;
	}
	return false;
}

/* "LABEL=12.5UNIT" among values separated by blanks. */
static bool find_value(
	const char *at, size_t len, const char *label, const char *unit, double *ret)
{
	const char *end = at + len;
	size_t label_len = strlen(label), unit_len = strlen(unit);

	for (const char *p = at; p && p < end; p = memchr(p, ' ', (size_t)(end - p))) {
		double value = 0, place = 1;

		p += *p == ' ';
		if ((size_t)(end - p) <= label_len || memcmp(p, label, label_len) != 0 ||
			!is_digit(p[label_len]))
			continue;
		for (p += label_len; p < end && is_digit(*p); p++)
			value = value * 10 + (*p - '0');
		if (p + 1 < end && *p == '.') {
			for (p++; p < end && is_digit(*p); p++)
				value += (*p - '0') * (place /= 10);
		}
		if ((size_t)(end - p) < unit_len || memcmp(p, unit, unit_len) != 0)
			return false;
		*ret = value;
		return true;
	}
	return false;
}

/* The load in busy servers; false for other services and for checks without a figure. */
static bool find_load(const struct fields *fields, double *ret)
{
	for (size_t i = 0; i < fields->n; i++) {
		double load, servers;

		if (!find_value(fields->at[i], fields->len[i], "load=", "%", &load) ||
			!find_value(
				fields->at[i], fields->len[i], "servers=", "", &servers))
			continue;
		*ret = load * servers / 100;
		return load <= 100 && servers <= SERVERS_MAX;
	}
	return false;
}

/* Host and description stand behind the time in every template in use. */
static bool is_other_service(
	const struct fields *fields, size_t time, const struct fields *first)
{
	for (size_t i = 1; i <= 2; i++) {
		size_t k = time + i;

		if (k >= fields->n || k >= first->n || fields->len[k] != first->len[k] ||
			memcmp(fields->at[k], first->at[k], first->len[k]) != 0)
			return true;
	}
	return false;
}

static int parse_perfdata(
	const char *at, const char *name, struct cs_trace *trace, struct cs_error *err)
{
	struct fields first = {0};
	size_t n_minute = 0;
	const char *end;

	for (size_t line = 1; (end = strchr(at, '\n')); line++, at = end + 1) {
		struct cs_trace_point point;
		struct fields fields = {0};
		int64_t seconds;
		size_t time;

		split(at, (size_t)(end - at), &fields);
		if (!find_load(&fields, &point.count))
			continue;
		if (!find_time(&fields, &time, &seconds))
			return refuse(
				name, line, at, "a field with the time, $TIMET$", err);
		if (first.n == 0)
			first = fields;
		if (is_other_service(&fields, time, &first))
			return refuse(name, line, at,
				"one cluster only, that of the first line (pick it with "
				"grep)",
				err);
		point.minute = seconds / 60;
		add_measured(trace, &point, &n_minute);
	}
	trace->busy_servers = true;
	return 0;
}

static int parse_csv(
	const char *at, const char *name, struct cs_trace *trace, struct cs_error *err)
{
	if (strncmp(at, HEAD "\n", strlen(HEAD) + 1) != 0)
		return refuse(name, 1, at,
			"the head line \"" HEAD
			"\", a history of a cluster, or performance data",
			err);
	return parse_points(at + strlen(HEAD) + 1, name, trace, err);
}

int cs_trace_parse(const char *text, size_t len, const char *name, struct cs_trace *ret,
	struct cs_error *err)
{
	CS_CLEANUP(cs_trace_done) struct cs_trace trace = {0};

	if (strlen(text) != len)
		return cs_error_set(err, CS_E_CONFIG, "%s: it has NUL bytes", name);
	bool tabs = memchr(text, '\t', strcspn(text, "\n")) != NULL;
	int rc = text[0] == '{' ? parse_history(text, name, &trace, err)
		 : tabs		? parse_perfdata(text, name, &trace, err)
				: parse_csv(text, name, &trace, err);
	if (rc < 0)
		return rc;
	if (trace.n == 0)
		return cs_error_set(err, CS_E_CONFIG, "%s: there is no load in it", name);
	*ret = trace;
	trace = (struct cs_trace){0};
	return 0;
}

void cs_trace_done(struct cs_trace *trace)
{
	free(trace->points);
	*trace = (struct cs_trace){0};
}

void cs_trace_cut(struct cs_trace *trace, int64_t from, int64_t to)
{
	size_t n = 0;

	for (size_t i = 0; i < trace->n; i++) {
		if (trace->points[i].minute >= from && trace->points[i].minute < to)
			trace->points[n++] = trace->points[i];
	}
	trace->n = n;
}
