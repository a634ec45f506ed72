# SPDX-License-Identifier: LGPL-2.1-or-later
# Progress: on a terminal, unless it is not wanted; gone at the end.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

start plain "$PROCSNAP_TARGETS/plain" 1 4
mkfifo never
# A reader that lets the command wait for longer than the half second after which it tells.
slow_reader='| { read -rt 1 <>never; cat >/dev/null; }'
on_terminal() {
	python3 "$PROCSNAP_SOURCE/tests/cli/on_terminal.py" 70 /bin/bash -c "$1" |
		sed "s/$plain/PID/g; s/\r/<CR>/g; s/\x1b\[K/<CLEAR>/g"
}

echo "# shown"
on_terminal "'$PROCSNAP' dump $plain -o - $slow_reader" |
	sed -E 's/<CR>[0-9][^<]* of [^<]*\/s, [0-9]+ s left  standard output<CLEAR>/*/g; s/\*+/(progress)/'
echo "# not wanted"
on_terminal "'$PROCSNAP' dump $plain -o - --no-progress $slow_reader"
echo "# no terminal"
on_terminal "'$PROCSNAP' dump $plain -o - 2>&1 >/dev/null $slow_reader"
