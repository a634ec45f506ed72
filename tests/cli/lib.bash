# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# What the tests of the command share. $PROCSNAP is the command, $PROCSNAP_TARGETS has the programs
# that it is tried on.

export LC_ALL=C.UTF-8
trap stop_all EXIT
started=()
breath=$PWD/breath
mkfifo "$breath"

# start NAME PROGRAM [ARG...]: starts a target in the background. Its PID is in $NAME, and what it
# said when it was ready in $NAME_line. It dies with this shell.
start() {
	mkfifo "$1.in" "$1.out"
	"${@:2}" <>"$1.in" >"$1.out" &
	started+=($!)
	# Else bash tells, at a moment of its choosing, that one was killed.
	disown $!
	printf -v "$1" %s $!
	IFS= read -r "$1_line" <"$1.out"
}

stop_all() {
	# Those that have ended already are no failure.
	[ ${#started[@]} -eq 0 ] || kill -KILL "${started[@]}" 2>/dev/null || true
}

# value LINE KEY: the number that a target gave, as 0x....
value() {
	[[ " $1 " =~ " $2="([0-9a-f]+)" " ]] && echo "0x${BASH_REMATCH[1]}"
}

# try ARG...: a transcript of a run of the command.
try() {
	local status=0
	printf '%s' '$ procsnap'
	printf ' %q' "$@"
	echo
	"$PROCSNAP" "$@" 2>&1 || status=$?
	echo "exit $status"
}

# until_true COMMAND...: waits for something that gives no sign of itself; not longer than 60 s.
until_true() {
	local end=$((SECONDS + 60))
	until "$@"; do
		if ((SECONDS > end)); then
			echo "waited in vain for: $*"
			exit 1
		fi
		# A breath between two looks.
		read -rt 0.02 <>"$breath" || true
	done
}

# settled PID: all threads of the target "plain" sleep, but the one that never does.
settled() {
	[ "$(grep -hs '^State:' /proc/"$1"/task/*/status | grep -vc 'S (sleeping)')" -eq 1 ]
}

# let_go PID: a target "plain" waits as before, and nobody traces it. Its threads have just been
# woken, one of them to reap the clone: they sleep again as soon as they have had a CPU.
let_go() {
	until_true settled "$1"
	grep -E '^(State|TracerPid):' /proc/"$1"/status
}

# clone_of PID: the clone in a snapshot of that process, once there is one.
clone_of() {
	local status
	for status in /proc/[0-9]*/status; do
		awk -v target="$1" -v name=procsnap-clone '
			$1 == "Name:" { is_clone = $2 == name }
			$1 == "Pid:" { pid = $2 }
			$1 == "PPid:" && is_clone && $2 == target { print pid; found = 1 }
			END { exit !found }
		' "$status" 2>/dev/null && return
	done
	return 1
}

skip() {
	echo "skipped: $*"
	exit 77
}
