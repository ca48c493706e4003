#!/bin/sh
# Help and manual name the same options; manuals are well-formed; words are spelled.
failed=0
complain() { [ -z "$2" ] || { printf '%s:\n%s\n' "$1" "$2"; failed=1; }; }

options_of_help() { # "-n, --cluster NAME ..." gives "--cluster -n"
	"$1" --help | sed -nE 's/^ +(-(.), )? *--([a-z-]+).*/--\3 \2/p' | sed -E 's/ (.)$/ -\1/; s/ $//' | sort
}
options_of_page() { # "*-n*, *--cluster* _NAME_"
	sed -nE 's/^(\*-(.)\*, )?\*--([a-z-]+)\*.*/--\3 \2/p' "$1" | sed -E 's/ (.)$/ -\1/; s/ $//' | sort
}
for page in "${top_srcdir:?}"/plugins/*.8.scd "$top_srcdir"/handlers/*.8.scd; do
	program=${page#"$top_srcdir"/}
	program=${top_builddir:?}/${program%.8.scd}
	options_of_help "$program" >"$top_builddir/help.options"
	options_of_page "$page" >"$top_builddir/page.options"
	[ -s "$top_builddir/help.options" ] || complain "no options in --help" "$program"
	complain "$page differs from --help (< help, > page)" \
		"$(diff "$top_builddir/help.options" "$top_builddir/page.options")"
	wide=$("$program" --help | awk 'length > 80')
	complain "$program --help is wider than 80 columns" "$wide"
	rendered=$top_builddir/${page#"$top_srcdir"/}
	rendered=${rendered%.scd}
	if command -v mandoc >/dev/null && [ -f "$rendered" ]; then
		complain "mandoc" "$(mandoc -Tlint -W error "$rendered" 2>&1)"
	fi
	rm -f "$top_builddir/help.options" "$top_builddir/page.options"
done

cd "$top_srcdir" || exit 99
for page in contrib/*.[57].scd; do
	rendered=$top_builddir/${page%.scd}
	if command -v mandoc >/dev/null && [ -f "$rendered" ]; then
		complain "mandoc" "$(mandoc -Tlint -W error "$rendered" 2>&1)"
	fi
done
# Every class of errors, and no other, is explained.
sed -nE 's/^\tCS_E_([A-Z_]+) = .*/\1/p' lib/base/error.h | sort >"$top_builddir/classes"
[ -s "$top_builddir/classes" ] || complain "no classes of errors are found in" "lib/base/error.h"
complain "clusterscale(7) differs from lib/base/error.h (< page, > header)" \
	"$(sed -nE 's/^\|  ([A-Z_]+)$/\1/p' contrib/clusterscale.7.scd | sort | diff - "$top_builddir/classes")"
rm -f "$top_builddir/classes"
words=$(grep -rnIE 'TODO|FIXME' README.md NEWS.md CONTRIBUTING.md contrib dev tests \
	--include='*' --exclude-dir=corpus --exclude-dir=tree --exclude-dir=__pycache__)
complain "unfinished marks" "$words"
if command -v codespell >/dev/null; then
	complain "spelling" "$(codespell -q 3 --skip '*/corpus/*,*.pyc,*.o,*.a' \
		--ignore-words-list 'keypair,keypairs,comunity,nd' \
		README.md NEWS.md CONTRIBUTING.md lib plugins handlers contrib tests dev)"
fi
if command -v shellcheck >/dev/null; then
	# shellcheck disable=SC2046
	complain "shellcheck" "$(shellcheck -f gcc dev tests/run-* $(find tests contrib -name '*.sh'))"
fi
exit $failed
