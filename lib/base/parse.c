/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Strict number and name parsing; see parse.h. */
#include <config.h>
#include "base/parse.h"

#include <string.h>

#include "base/mem.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool cs_parse_scaled(
	const char *text, int64_t scale, int64_t min, int64_t max, int64_t *ret)
{
	const char *p = text;
	bool negative = *p == '-';
	int64_t value = 0, fraction_unit = 0;

	p += negative;
	if (!is_digit(*p))
		return false;
	for (; is_digit(*p) || (*p == '.' && !fraction_unit && is_digit(p[1])); p++) {
		if (*p == '.') {
			fraction_unit = scale;
			if (__builtin_mul_overflow(value, scale, &value))
				return false;
			continue;
		}
		int64_t digit = *p - '0';
		if (!fraction_unit) {
			if (__builtin_mul_overflow(value, 10, &value) ||
				__builtin_add_overflow(value, digit, &value))
				return false;
		} else {
			if (fraction_unit % 10)
				return false;
			fraction_unit /= 10;
			if (__builtin_add_overflow(value, digit * fraction_unit, &value))
				return false;
		}
	}
	if (*p != '\0')
		return false;
	if (!fraction_unit && __builtin_mul_overflow(value, scale, &value))
		return false;
	if (negative)
		value = -value;
	if (value < min || value > max)
		return false;
	*ret = value;
	return true;
}

bool cs_parse_int(const char *text, int64_t min, int64_t max, int64_t *ret)
{
	return !strchr(text, '.') && cs_parse_scaled(text, 1, min, max, ret);
}

bool cs_parse_seconds(const char *text, int64_t min, int64_t max, int64_t *ret)
{
	static const struct {
		char suffix;
		int64_t ms;
	} units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}};
	size_t len = strlen(text);

	for (size_t i = 0; len > 0 && i < CS_ARRAY_SIZE(units); i++) {
		if (text[len - 1] != units[i].suffix)
			continue;
		CS_AUTO_FREE char *number = cs_strndup(text, len - 1);
		return cs_parse_scaled(number, units[i].ms, min, max, ret);
	}
	return cs_parse_scaled(text, 1000, min, max, ret);
}

bool cs_cluster_name_ok(const char *name)
{
	size_t len = strlen(name);

	if (len < 1 || len > 40 || !is_alnum(name[0]))
		return false;
	for (size_t i = 1; i < len; i++) {
		if (!is_alnum(name[i]) && name[i] != '_' && name[i] != '-')
			return false;
	}
	return true;
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool cs_uuid_ok(const char *text)
{
	if (strlen(text) != 36)
		return false;
	for (int i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? text[i] != '-' : !is_hex(text[i]))
			return false;
	}
	return true;
}
