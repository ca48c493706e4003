#!/bin/sh
# The AppArmor profiles are ones that its parser accepts, for the programs as they are installed.
failed=0
complain() { [ -z "$2" ] || { printf '%s:\n%s\n' "$1" "$2"; failed=1; }; }
profiles=${top_builddir:?}/contrib/apparmor/clusterscale

# Of the programs that a core fires or root runs, each one and no other.
confined=$(sed -nE 's,^profile ([a-z_]+) /.*/([a-z_]+) .*,\1 \2,p' "$profiles")
for program in check_cluster_cpu check_cluster_drift nova_scale haproxy_sync; do
	printf '%s\n' "$confined" | grep -qx "$program $program" || complain "no profile" "$program"
done
[ "$(printf '%s\n' "$confined" | wc -l)" = 4 ] || complain "other profiles" "$confined"
paths=$(sed -nE 's,^profile [a-z_]+ (/.*)/[a-z_]+ .*,\1,p' "$profiles" | sort -u)
rules=$(sed -nE 's,^Cmnd_Alias CLUSTERSCALE = (/.*)/haproxy_sync .*,\1,p' "$top_builddir/contrib/sudoers.d/clusterscale")
printf '%s\n' "$paths" | grep -qxF "$rules" || complain "not where the sudo rule has them" "$paths"

[ $failed = 0 ] || exit 1
PATH=$PATH:/usr/sbin:/sbin
command -v apparmor_parser >/dev/null || { echo "skipped: apparmor_parser is not installed"; exit 77; }
said=$(apparmor_parser --skip-kernel-load --skip-cache --skip-read-cache "$profiles" 2>&1) ||
	complain "apparmor_parser" "$said"
exit $failed
