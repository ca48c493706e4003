#!/bin/sh
# Every key that the configuration knows is in the example and in the manual.
cd "${top_srcdir:?}" || exit 99
failed=0
keys=$(sed -nE 's/^\t\{"([a-z-]+)", CS_SCHEMA_.*/\1/p' lib/domain/config.c | sort -u)
[ "$(printf '%s\n' "$keys" | wc -l)" -ge 40 ] || { echo "keys are not found in lib/domain/config.c"; failed=1; }
for key in $keys; do
	grep -qE "(^|[ {#-])$key:" contrib/clusterscale.yaml ||
		{ echo "not in contrib/clusterscale.yaml: $key"; failed=1; }
	grep -qF "*$key*" contrib/clusterscale.yaml.5.scd ||
		{ echo "not in clusterscale.yaml(5): $key"; failed=1; }
done
exit $failed
