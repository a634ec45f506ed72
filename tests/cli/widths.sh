# SPDX-License-Identifier: LGPL-2.1-or-later
# Tables fit the terminal, and are whole in a pipe.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

start plain "$PROCSNAP_TARGETS/plain"
for width in 40 80 200; do
	for options in '' --threads --handles --memory --registers; do
		# shellcheck disable=SC2086 # no option is no argument
		python3 "$PROCSNAP_SOURCE/tests/cli/on_terminal.py" $width "$PROCSNAP" show "$plain" \
			$options >shown
		python3 - $width shown <<-'END'
			import sys
			lines = open(sys.argv[2], encoding="utf-8").read().splitlines()
			longest = max(map(len, lines))
			assert len(lines) > 3 and longest <= int(sys.argv[1]), (sys.argv[1], longest)
		END
	done
done
python3 "$PROCSNAP_SOURCE/tests/cli/on_terminal.py" 60 "$PROCSNAP" show "$plain" --memory >narrow
grep -c '….*libc' narrow >/dev/null && echo "paths lose their beginning"
"$PROCSNAP" show "$plain" --memory | grep -q " /.*/libc" && echo "but not in a pipe"
# A core is nothing for a terminal.
python3 "$PROCSNAP_SOURCE/tests/cli/on_terminal.py" 80 "$PROCSNAP" dump "$plain" -o -
