# SPDX-License-Identifier: LGPL-2.1-or-later
# Which memory is written.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

written() {
	"$PROCSNAP" dump "$plain" --json "$@" |
		python3 -c 'import json, sys; print(json.load(sys.stdin)["memory_bytes"])'
}

start plain "$PROCSNAP_TARGETS/plain" 1 4
default=$(written -o default)
nothing=$(written -o nothing --filter 0x0)
everything=$(written -o everything --filter 0x1ff --include-dontdump)
((nothing < 1 << 20)) && echo "0x0 leaves the 4 MiB out"
((default > 4 << 20)) && echo "the default has them"
((everything > default)) && echo "0x1ff has files too"
