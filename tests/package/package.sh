#!/bin/sh
# package.sh ARCHIVE WORK: builds Debian packages of the source archive of `make dist`, twice at once, to
# the same bytes; lintian finds nothing; then, as root, installs, runs, removes and purges the package
# in a clean root of its own (debootstrap). Everything happens below WORK, and stays there.
set -eu
archive=$(realpath "$1")
work=$2
mirror=${CS_MIRROR:-http://deb.debian.org/debian}
suite=bookworm

say() { printf '%s\n' "package: $*"; }
fail() { say "FAILED: $*"; exit 1; }

# In a folder of its own: neither its path nor the time may get into what is built.
build() {
	rm -rf "${work:?}/$1"
	mkdir -p "$work/$1"
	cp "$archive" "$work/$1/clusterscale_${version%-*}.orig.tar.xz"
	tar -C "$work/$1" -xf "$archive"
	folder=$(echo "$work/$1"/clusterscale-*/)
	cp -R "$work/debian" "$folder/debian"
	(cd "$folder" && CCACHE_DISABLE=1 DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)" \
		dpkg-buildpackage -us -uc) >"$work/$1.log" 2>&1 ||
		{ tail -n 40 "$work/$1.log"; fail "dpkg-buildpackage; see $work/$1.log"; }
	say "built, the $1 time, after $(since) s"
}

# A clean root: nothing but what Debian calls a minimal system. Nobody misses it after a crash.
make_root() {
	rm -rf "$root"
	debootstrap --foreign --variant=minbase "$suite" "$root" "$mirror" &&
		mkdir -p "$root/etc/dpkg/dpkg.cfg.d" && echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io" &&
		chroot "$root" /debootstrap/debootstrap --second-stage
}
in_root() {
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		chroot "$root" "$@"
}
quietly() { "$@" >>"$work/root.log" 2>&1 || { tail -n 30 "$work/root.log"; fail "$*"; }; }
since() { echo $(($(date +%s) - began)); }

began=$(date +%s)
root=$work/root
mkdir -p "$work"
rm -rf "$work/debian"
tar -C "$work" --strip-components=2 -xf "$archive" --wildcards '*/contrib/debian'
version=$(dpkg-parsechangelog -l "$work/debian/changelog" -S Version)
: >"$work/root.log"
say "building $version twice"
build first &
first=$!
build second &
second=$!
rooting=
if [ "$(id -u)" = 0 ]; then
	say "making a clean root of $suite meanwhile"
	(quietly make_root; say "the clean root is ready after $(since) s") &
	rooting=$!
fi
ok=yes
for job in $first $second $rooting; do
	wait "$job" || ok=
done
[ -n "$ok" ] || exit 1

for file in "$work"/first/*.deb "$work"/first/*.dsc; do
	cmp "$file" "$work/second/${file##*/}" || fail "two builds differ: ${file##*/}"
	say "the same in both builds: ${file##*/}"
done
lintian --allow-root --fail-on error,warning --info "$work"/first/*.changes || fail "lintian"
say "lintian finds nothing, after $(since) s"
[ -n "$rooting" ] || { say "not root: the package is not installed anywhere"; exit 0; }

# What the package depends on comes along.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
cp "$work"/first/clusterscale_*.deb "$root/tmp/"
quietly in_root useradd --system --user-group nagios
quietly in_root apt-get update
quietly in_root apt-get install -y --no-install-recommends "$(cd "$root" && echo ./tmp/clusterscale_*.deb)"
# shellcheck disable=SC2016 # dpkg expands it
say "installed with $(in_root dpkg-query -W -f '${Package}\n' | wc -l) packages in all, after $(since) s"

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
