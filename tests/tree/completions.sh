#!/bin/sh
# The completions offer every option of --help, and file names where an option takes a file.
failed=0
complain() { [ -z "$2" ] || { printf '%s:\n%s\n' "$1" "$2"; failed=1; }; }
cd "${top_builddir:?}/contrib/completions" || exit 99

offered() { # WORDS...: what bash offers for the last one
	bash --norc -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
		_clusterscale_"$1"; printf "%s\n" "${COMPREPLY[@]}"' bash "bash/$1" "$@"
}
for file in bash/*; do
	program=${file#bash/}
	binary=../../plugins/$program
	[ -f "$binary" ] || binary=../../handlers/$program
	wanted=$("$binary" --help | sed -nE 's/^ (-.,|   ) (--[a-z-]+) .*/\2/p' | sort)
	[ -n "$wanted" ] || complain "no options in --help" "$binary"
	[ "$(offered "$program" -- | sort)" = "$wanted" ] ||
		complain "bash offers other options for $program" "$(offered "$program" --)"
	for option in $wanted; do
		grep -qE -e "[' ,]${option}[]['})]" "zsh/_$program" || complain "zsh/_$program lacks" "$option"
	done
	if command -v zsh >/dev/null; then
		complain "zsh -n" "$(zsh -n "zsh/_$program" 2>&1)"
	fi
done
touch "a file"
[ "$(offered nova_scale -f "a f")" = "a file" ] || complain "no file names behind -f" "$(offered nova_scale -f "a f")"
[ -z "$(offered nova_scale -n a)" ] || complain "file names behind -n" "$(offered nova_scale -n a)"
rm -f "a file"
exit $failed
