#!/bin/sh
# The folder is the layer and the include line shows it: a folder includes itself and what
# is below it, client never includes domain, only programs include cli. What ends a process,
# prints or reads the environment stands only where it may.
cd "${top_srcdir:?}" || exit 99
failed=0
complain() { [ -z "$2" ] || { printf '%s:\n%s\n' "$1" "$2"; failed=1; }; }

includes() { # FOLDER FORBIDDEN-LAYERS
	find "lib/$1" -name '*.[ch]' -exec grep -nE "#include \"($2)/" {} +
}
complain "base includes a layer above it" "$(includes base 'format|client|domain|cli')"
complain "format includes a layer above it" "$(includes format 'client|domain|cli')"
complain "client includes domain or cli" "$(includes client 'domain|cli')"
complain "domain includes cli" "$(includes domain 'cli')"
complain "cli includes client or domain" "$(includes cli 'client|domain')"

outside() { # PATTERN EXCEPTIONS FOLDER...
	pattern=$1 exceptions=$2
	shift 2
	find "$@" -name '*.c' -exec grep -nE "$pattern" {} + | grep -vE "^($exceptions)"
}
lib='lib/base lib/format lib/client lib/domain'
# shellcheck disable=SC2086
{
	complain "a library ends the process" \
		"$(outside '(^|[^_a-z])exit\(' 'lib/base/mem.c' $lib)"
	complain "a library writes to stdout" \
		"$(outside '(^|[^a-z_])(printf|puts|putchar)\(|[^a-z]stdout' 'none:' $lib)"
	complain "a library logs" "$(outside 'cs_log\(' 'lib/base/log.c' $lib)"
	complain "the environment is read outside programs, cli and clouds" \
		"$(outside '(^|[^a-z_])(secure_)?getenv\(' 'lib/domain/clouds.c|lib/base/zone.c' $lib)"
	complain "a secret is exposed outside client" \
		"$(outside 'cs_secret_expose\(' 'lib/client/|lib/base/secret.c' $lib lib/cli plugins handlers)"
	complain "format does I/O" \
		"$(outside '(^|[^a-z_])(open|fopen|read|write|socket|fork)\(' 'none:' lib/format)"
}
exit $failed
