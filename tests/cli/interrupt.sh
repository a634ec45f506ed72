# SPDX-License-Identifier: LGPL-2.1-or-later
# Signals while a core is written: nothing is left, the target goes on, and the status tells.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

start plain "$PROCSNAP_TARGETS/plain" 1 200
mkdir dir
cd dir

# In a shell without job control a background command ignores SIGINT; env puts that right.
begin() {
	env --default-signal=INT,TERM,HUP "$PROCSNAP" "$@" 2>message &
	dumping=$!
}

for signal in INT TERM HUP; do
	begin dump "$plain" --compress zstd:9 -o core
	until_true clone_of "$plain" >/dev/null
	kill -$signal $dumping
	wait $dumping 2>/dev/null || echo "file, SIG$signal: exit $?"
	cat message
done

# A reader that does not read: the command waits in write.
mkfifo ../pipe
exec 7<>../pipe
begin dump "$plain" -o - >&7
IFS= read -r -N 1 _ <&7 || true
kill -TERM $dumping
wait $dumping || echo "pipe, SIGTERM: exit $?"
cat message
exec 7<&-
rm message

ls -A
let_go "$plain"
