#!/bin/sh
# shellcheck disable=SC2016 # what is written is for another shell to expand
# completions.sh bash|zsh PROGRAM: writes the completion of PROGRAM to stdout. It is made of
# `PROGRAM --help`, which comes from the program's own table of options.
set -eu
shell=$1
program=$2
name=${program##*/}

# A line per option: short name or '-', long name, metavar or '-', help.
options() {
	"$program" --help | sed -nE \
		-e 's/^ (-(.),|   ) --([a-z0-9-]+)( ([A-Z][A-Z:]*))? +(.*)$/\2|\3|\5|\6/p' |
		sed -E -e 's/^\|/-|/' -e 's/^([^|]*\|[^|]*)\|\|/\1|-|/'
}

bash_completion() {
	words='' files='' values=''
	while IFS='|' read -r short long metavar _; do
		both=--$long
		[ "$short" = - ] || both="-$short|--$long"
		words="$words --$long"
		case $metavar in
		-) ;;
		FILE | DIR) files="$files${files:+|}$both" ;;
		*) values="$values${values:+|}$both" ;;
		esac
	done
	printf '# bash completion for %s\n' "$name"
	printf '_clusterscale_%s() {\n' "$name"
	printf '\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n'
	printf '\tCOMPREPLY=()\n\tcase $before in\n'
	[ -z "$files" ] || printf '\t%s)\n\t\tcompopt -o filenames 2>/dev/null\n\t\tmapfile -t COMPREPLY < <(compgen -f -- "$word")\n\t\treturn ;;\n' "$files"
	[ -z "$values" ] || printf '\t%s) return ;;\n' "$values"
	printf '\tesac\n\tmapfile -t COMPREPLY < <(compgen -W "%s" -- "$word")\n}\n' "${words# }"
	printf 'complete -F _clusterscale_%s %s\n' "$name" "$name"
}

zsh_completion() {
	printf '#compdef %s\n_arguments -s -S' "$name"
	while IFS='|' read -r short long metavar help; do
		help=$(printf '%s' "$help" | sed -e "s/'/'\\\\''/g" -e 's/[]:[]/\\&/g')
		case $metavar in
		-) value= ;;
		FILE | DIR) value=":$metavar:_files" ;;
		*) value=":$(printf '%s' "$metavar" | sed 's/:/\\:/g'): " ;;
		esac
		once="(-$short --$long)"
		case $help in *repeatable*) once='*' ;; esac
		if [ "$short" = - ]; then
			printf " \\\\\n\t'%s--%s[%s]%s'" "${once#(*)}" "$long" "$help" "$value"
		else
			printf " \\\\\n\t'%s'{-%s,--%s}'[%s]%s'" \
				"$once" "$short" "$long" "$help" "$value"
		fi
	done
	printf '\n'
}

options | "${shell}_completion"
