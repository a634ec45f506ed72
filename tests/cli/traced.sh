# SPDX-License-Identifier: LGPL-2.1-or-later
# A process that another tracer has: refused, naming the tracer, who keeps it.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

command -v strace >/dev/null || skip "strace is not installed"
start plain "$PROCSNAP_TARGETS/plain"
strace -qq -o strace.out -p "$plain" &
tracer=$!
started+=("$tracer")
until_true grep -q "^TracerPid:[[:space:]]$tracer$" /proc/"$plain"/status
mkdir dir
cd dir
try dump "$plain" -o core | sed "s/$plain/PID/g; s/$tracer/TRACER/g"
ls -A
# What stops nothing works all the same.
"$PROCSNAP" show "$plain" --threads | grep -c sleeper
grep -q "^TracerPid:[[:space:]]$tracer$" /proc/"$plain"/status && echo "still traced"
