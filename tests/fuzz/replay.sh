#!/bin/sh
# Every fuzz target replays its corpus; a target without one fails. CS_WRAPPER runs them.
set -u
failed=0
for target in "${top_builddir:?}"/tests/fuzz/fuzz_*; do
	case $target in *.o) continue ;; esac
	[ -x "$target" ] || continue
	name=${target##*/fuzz_}
	printf '%s: ' "$name"
	${CS_WRAPPER:-} "$target" "${top_srcdir:?}"/tests/fuzz/corpus/"$name"/* || failed=1
done
exit $failed
