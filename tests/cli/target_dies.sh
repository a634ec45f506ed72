# SPDX-License-Identifier: LGPL-2.1-or-later
# Once the snapshot is taken the target may end; the clone may not.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

# Gone, or a zombie that bash has yet to reap.
ended() {
	! grep -qsE '^State:[[:space:]]+[^Z[:space:]]' /proc/"$1"/status
}

# Begins a dump into a pipe and waits for its first byte: the snapshot is there by then.
begin() {
	mkfifo "$1.pipe"
	"$PROCSNAP" dump "${!1}" -o - >"$1.pipe" 2>"$1.message" &
	dumping=$!
	exec 7<"$1.pipe"
	IFS= read -r -N 1 _ <&7 || true
}

finish() {
	local status=0
	cat <&7 >"$1.core"
	exec 7<&-
	wait $dumping || status=$?
	sed "s/${!1}/PID/g" "$1.message"
	echo "exit $status"
}

start target "$PROCSNAP_TARGETS/plain" 1 16
begin target
kill -KILL "$target"
until_true ended "$target"
finish target

start cloned "$PROCSNAP_TARGETS/plain" 1 16
begin cloned
clone=$(clone_of "$cloned")
kill -KILL "$clone"
# Its memory is there until it has got round to dying.
until_true ended "$clone"
finish cloned >finished
sed "s/$clone/CLONE/" finished
let_go "$cloned"
