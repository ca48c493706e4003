#!/bin/sh
# The units are ones that systemd accepts, and they and the cron table call what there is.
failed=0
complain() { [ -z "$2" ] || { printf '%s:\n%s\n' "$1" "$2"; failed=1; }; }
units=${top_builddir:?}/contrib/systemd
for called in "$units"/*.service "$top_builddir/contrib/cron/clusterscale"; do
	for program in nova_scale haproxy_sync; do
		options=$(grep -oE "/$program .*" "$called" | grep -oE ' --?[a-z-]+')
		for option in $options; do
			"$top_builddir/handlers/$program" --help | grep -qE -e "^ +(-., )?$option( |,|$)" ||
				complain "$called" "$program has no option $option"
		done
	done
done
[ $failed = 0 ] || exit 1
command -v systemd-analyze >/dev/null || { echo "skipped: systemd-analyze is not installed"; exit 77; }

# The programs are looked for, so the installed paths become those of this build.
folder=$(mktemp -d "${TMPDIR:-/tmp}/cs-units.XXXXXX") || exit 99
trap 'rm -rf "$folder"' EXIT
cp "$units"/*.service "${top_srcdir:?}"/contrib/systemd/*.timer "$folder"
sed -i -E "s,^ExecStart=[^ ]*/,ExecStart=$top_builddir/handlers/," "$folder"/*.service
mkdir "$folder/clusterscale-reconcile@web.service.d"
cp "$units/reconcile-without-sudo.conf" "$folder/clusterscale-reconcile@web.service.d"
for name in reconcile haproxy; do
	cp "$folder/clusterscale-$name@.service" "$folder/clusterscale-$name@web.service"
	said=$(cd "$folder" && systemd-analyze verify --man=no "./clusterscale-$name@web.service" \
		"./clusterscale-$name@.timer" 2>&1 | grep -i -e clusterscale -e without-sudo)
	complain "systemd-analyze verify" "$said"
done
exit $failed
