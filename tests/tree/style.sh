#!/bin/sh
# What a machine can say about style: calls that are banned, sizes, format, headers alone.
cd "${top_srcdir:?}" || exit 99
failed=0
complain() { [ -z "$2" ] || { printf '%s:\n%s\n' "$1" "$2"; failed=1; }; }
sources=$(find lib plugins handlers -name '*.[ch]' | sort)

# shellcheck disable=SC2086
complain "banned call (use base/)" "$(grep -nE \
	'(^|[^a-z_])(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atof|system|popen|alloca|tmpnam|mktemp)\(' \
	$sources)"

# "config.h" in lib/domain is a module of ours, so autoconf's is always <config.h>.
# shellcheck disable=SC2086
complain "write <config.h>" "$(grep -n '#include "config.h"' $sources)"

# A function starts with '{' and ends with '}' in the first column.
# shellcheck disable=SC2046,SC2086
long=$(awk 'FNR == 1 { open = 0 }
	/^\{/ { open = FNR }
	/^\}$/ && open { n = FNR - open - 1; if (n > 80) print FILENAME ":" open ": " n " lines"; open = 0 }' \
	$(printf '%s\n' $sources | grep '\.c$'))
complain "functions over 80 lines" "$long"
# shellcheck disable=SC2086
complain "files over 600 lines" "$(wc -l $sources | awk '$2 != "total" && $1 > 600 { print $2 ": " $1 }')"
# shellcheck disable=SC2086
complain "no SPDX line" "$(grep -L 'SPDX-License-Identifier: GPL-3.0-or-later' $sources)"
# shellcheck disable=SC2086
complain "unfinished" "$(grep -nE 'TODO|FIXME|(^|[^X])XXX([^X]|$)' $sources)"

for header in $(printf '%s\n' "$sources" | grep '\.h$'); do
	printf '#include <config.h>\n#include "%s"\n' "${header#lib/}" |
		${CC:-cc} -std=gnu17 -I"${top_builddir:?}" -Ilib -Ihandlers -Iplugins -I. -fsyntax-only -x c - 2>/dev/null ||
		complain "does not compile alone" "$header"
done

# Formats differ between releases of the tool, so one release decides.
if clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
	# shellcheck disable=SC2046
	complain "clang-format -i would change" "$(clang-format --dry-run -Werror \
		$(find lib plugins handlers tests -name '*.[ch]') 2>&1 | grep -E '^[^ ].*error' | cut -d: -f1 | sort -u)"
else
	echo "not checked: clang-format 14 is not installed"
fi
exit $failed
