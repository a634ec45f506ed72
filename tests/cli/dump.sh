# SPDX-License-Identifier: LGPL-2.1-or-later
# A core under the default name, read back by gdb; the target goes on.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

start plain "$PROCSNAP_TARGETS/plain"
# shellcheck disable=SC2154 # set by start
pattern=$(value "$plain_line" pattern)
mkdir dir
cd dir
(umask 0 && "$PROCSNAP" dump "$plain") | sed "s/$plain/PID/g"
ls -A | sed "s/$plain/PID/"
stat -c '%a %F' plain.*.core
gdb -nx -batch -ex "x/2gx $pattern" -ex 'info threads' "$PROCSNAP_TARGETS/plain" plain.*.core \
	>gdb.out 2>gdb.err
grep -o '0x9e3779b97f4a7c15.*' gdb.out
grep -c LWP gdb.out

let_go "$plain"
