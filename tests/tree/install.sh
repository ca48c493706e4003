#!/bin/sh
# make install puts everything in its place, the manuals name the places that the programs look at,
# and make uninstall takes everything away again.
root=$(mktemp -d "${TMPDIR:-/tmp}/cs-install.XXXXXX") || exit 99
trap 'rm -rf "$root"' EXIT
failed=0
complain() { [ -z "$2" ] || { printf '%s:\n%s\n' "$1" "$2"; failed=1; }; }
run_make() { env -u MAKEFLAGS -u MAKELEVEL make -s -C "${top_builddir:?}" "$@" DESTDIR="$root"; }

run_make install >"$root.log" 2>&1 || complain "make install" "$(tail -n 20 "$root.log")"
rm -f "$root.log"
# The folders cron, sudoers.d, systemd and apparmor of the documentation have units.sh, sudoers.sh and
# apparmor.sh, icinga2, nagios and zabbix the tests of the cores, the completions completions.sh.
installed=$(find "$root" -type f ! -path '*/cron/*' ! -path '*/sudoers.d/*' ! -path '*/systemd/*' ! -path '*/apparmor/*' \
	! -path '*/icinga2/*' ! -path '*/doc/*/nagios/*' ! -path '*/zabbix/*' \
	! -path '*/bash-completion/*' ! -path '*/site-functions/*' | sed 's,.*/,,' | sort | tr '\n' ' ')
wanted="check_cluster_cpu check_cluster_drift clouds.yaml clusterscale.cfg clusterscale.yaml haproxy.cfg.template haproxy_sync nova_scale scale_replay "
[ ! -f "$top_builddir/handlers/nova_scale.8" ] ||
	wanted="check_cluster_cpu check_cluster_cpu.8 check_cluster_drift check_cluster_drift.8 clouds.yaml clusterscale.7 clusterscale.cfg clusterscale.yaml clusterscale.yaml.5 haproxy.cfg.template haproxy_sync haproxy_sync.8 nova_scale nova_scale.8 scale_replay scale_replay.8 "
[ "$installed" = "$wanted" ] || complain "installed" "$installed"

# The path in "open PATH: ..." is the compiled-in one.
nova_scale=$(find "$root" -path '*/eventhandlers/nova_scale')
config=$("$nova_scale" -n web --check-config 2>&1 | grep -o '/[^ :]*/clusterscale.yaml' | head -n 1)
handlers=$(dirname "${nova_scale#"$root"}")
complain "no configuration file is named" "$([ -n "$config" ] || "$nova_scale" -n web --check-config 2>&1)"
find "$root" -name '*.[578]' -o -name clusterscale.yaml >"$root.pages"
while read -r page; do
	places=$(sed 's/\\&//g; s/\\-/-/g' "$page" | grep -oE '/[^ *]*/(clusterscale/clusterscale\.yaml|eventhandlers)')
	printf '%s\n' "$places" | grep -qxF "$config" || complain "$page does not name" "$config"
	complain "$page names other places" \
		"$(printf '%s\n' "$places" | grep -vxF -e "$config" -e "$handlers")"
done <"$root.pages"
rm -f "$root.pages"

run_make uninstall >/dev/null 2>&1 || complain "make uninstall" "it failed"
complain "left by make uninstall" "$(find "$root" -type f)"
exit $failed
