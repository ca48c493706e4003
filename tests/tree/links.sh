#!/bin/sh
# A program is linked only with what it uses: a handler must not pull in net-snmp, a plugin
# not more than it needs.
cd "${top_builddir:?}" || exit 99
failed=0
must_not() { # PROGRAM LIBRARY
	[ -x "$1" ] || { echo "$1 is not built"; failed=1; return; }
	readelf -d "$1" | grep -q "NEEDED.*$2" && { echo "$1 is linked with $2"; failed=1; }
}
must_not handlers/nova_scale libnetsnmp
must_not handlers/haproxy_sync libnetsnmp
exit $failed
