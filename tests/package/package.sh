#!/bin/sh
# package.sh ARCHIVE WORK: builds Debian packages of the source archive of `make dist`, twice, to the
# same bytes; lintian finds nothing; then, as root, installs, runs, removes and purges the package
# in a clean root of its own (debootstrap). Everything happens below WORK, and stays there.
set -eu
archive=$(realpath "$1")
work=$2
mirror=${CS_MIRROR:-http://deb.debian.org/debian}
suite=bookworm

say() { printf '%s\n' "package: $*"; }
fail() { say "FAILED: $*"; exit 1; }

# Both builds happen in a folder of the same name, as its path could get into the programs.
build() {
	rm -rf "${work:?}/source" "${work:?}/$1"
	mkdir -p "$work/source" "$work/$1"
	version=$(dpkg-parsechangelog -l "$work/debian/changelog" -S Version)
	cp "$archive" "$work/source/clusterscale_${version%-*}.orig.tar.xz"
	tar -C "$work/source" -xf "$archive"
	folder=$(echo "$work"/source/clusterscale-*/)
	cp -R "$work/debian" "$folder/debian"
	(cd "$folder" && DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)" \
		dpkg-buildpackage -us -uc) >"$work/$1.log" 2>&1 ||
		{ tail -n 40 "$work/$1.log"; fail "dpkg-buildpackage; see $work/$1.log"; }
	find "$work/source" -maxdepth 1 -type f -exec mv {} "$work/$1" ';'
}

mkdir -p "$work"
rm -rf "$work/debian"
tar -C "$work" --strip-components=2 -xf "$archive" --wildcards '*/contrib/debian'
say "building $(dpkg-parsechangelog -l "$work/debian/changelog" -S Version)"
build first
build second
for file in "$work"/first/*.deb "$work"/first/*.dsc; do
	cmp "$file" "$work/second/${file##*/}" || fail "two builds differ: ${file##*/}"
	say "the same in both builds: ${file##*/}"
done
lintian --allow-root --fail-on error,warning --info "$work"/first/*.changes || fail "lintian"
say "lintian finds nothing"

[ "$(id -u)" = 0 ] || { say "not root: the package is not installed anywhere"; exit 0; }

# A clean root: nothing but what Debian calls a minimal system, and what the package depends on.
root=$work/root
in_root() {
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		chroot "$root" "$@"
}
quietly() { "$@" >>"$work/root.log" 2>&1 || { tail -n 30 "$work/root.log"; fail "$*"; }; }
rm -rf "$root"
say "making a clean root of $suite"
: >"$work/root.log"
quietly debootstrap --variant=minbase "$suite" "$root" "$mirror"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
cp "$work"/first/clusterscale_*.deb "$root/tmp/"
quietly in_root useradd --system --user-group nagios
quietly in_root apt-get update
quietly in_root apt-get install -y --no-install-recommends "$(cd "$root" && echo ./tmp/clusterscale_*.deb)"
# shellcheck disable=SC2016 # dpkg expands it
say "installed with $(in_root dpkg-query -W -f '${Package}\n' | wc -l) packages in all"

plugins=/usr/lib/nagios/plugins
for program in check_cluster_cpu check_cluster_drift eventhandlers/nova_scale eventhandlers/haproxy_sync eventhandlers/scale_replay; do
	said=$(in_root $plugins/$program --version) || [ $? = 3 ] || fail "$program --version"
	say "$said"
done
in_root su -s /bin/sh nagios -c "
	cp /usr/share/doc/clusterscale/clusterscale.yaml /tmp/ && test -w /var/lib/clusterscale &&
	$plugins/eventhandlers/nova_scale -n web -f /tmp/clusterscale.yaml --status" >"$work/first.log" 2>&1 && fail "it scales without a cloud"
in_root sh -c 'ldconfig -p | grep -q libcurl-gnutls.so.4' || fail "libcurl, which is loaded when it is needed, did not come along"
grep -q 'clouds.yaml' "$work/first.log" || { cat "$work/first.log"; fail "without clouds.yaml nova_scale should name it"; }
say "without credentials: $(head -n 1 "$work/first.log")"

touch "$root/var/lib/clusterscale/journal"
quietly in_root dpkg --remove clusterscale
[ -f "$root/var/lib/clusterscale/journal" ] || fail "the state did not survive the removal"
say "removed; the state is kept"
quietly in_root dpkg --purge clusterscale
left=$(find "$root" -xdev -path "$root/tmp" -prune -o -path "$root/proc" -prune -o -name '*clusterscale*' \
	! -path '*/var/cache/*' ! -path '*/var/log/*' -print)
[ -z "$left" ] || fail "left after the purge: $left"
say "purged; nothing is left"
