#!/bin/sh
# The sudo rule is one that sudo accepts, names the installed program with exact arguments, and is
# what the example configuration, the manual and the README call.
failed=0
complain() { [ -z "$2" ] || { printf '%s:\n%s\n' "$1" "$2"; failed=1; }; }
rule=${top_builddir:?}/contrib/sudoers.d/clusterscale
cd "${top_srcdir:?}" || exit 99

commands=$(sed -nE '/^Cmnd_Alias CLUSTERSCALE = /,/[^\\]$/s/^(Cmnd_Alias CLUSTERSCALE = |[[:blank:]]+)//p' "$rule")
command=$(printf '%s\n' "$commands" | sed -nE '1s/, \\$//p')
printf '%s\n' "$command" | grep -qxE '/[^ *?,]*/eventhandlers/haproxy_sync -n [A-Za-z0-9][A-Za-z0-9_-]*' ||
	complain "$rule does not allow exactly one command that changes something" "$command"
[ "$(printf '%s\n' "$commands" | sed 1d)" = "$command --status" ] ||
	complain "$rule does not allow its --status, and nothing else" "$commands"
words=${command#*/eventhandlers/}
for text in README.md handlers/haproxy_sync.8.scd contrib/cron/clusterscale.in; do
	grep -qF "/eventhandlers/$words" "$text" || complain "$text does not call" "$words"
done
listed=$(printf '%s' "$words" | sed 's/ /, /g')
for call in "$listed]" "$listed, --status]"; do
	grep -qF "/eventhandlers/$call" contrib/clusterscale.yaml ||
		complain "contrib/clusterscale.yaml does not call" "$call"
done

[ $failed = 0 ] || exit 1
PATH=$PATH:/usr/sbin:/sbin
command -v visudo >/dev/null || { echo "skipped: visudo is not installed"; exit 77; }
complain "visudo -c" "$(visudo -c -f "$rule" 2>&1 | grep -v 'parsed OK$')"
exit $failed
