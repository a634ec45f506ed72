# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the tests on real programs share. A test sources this, starts its program and a load on it,
# calls dump and take_reference, ends the load, which must have seen no error, and then has the
# readers read. What is left is tidied up at its exit.
#
# Each reader is asked about our core and about gcore's of the same process: ours must give as
# many threads as the process had, and nothing to complain of that gcore's does not give as well.
set -euo pipefail

# Servers are in sbin, which an ordinary user's PATH may lack.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${PROCSNAP:?the command under test}"

build=$(dirname "$(dirname "$PROCSNAP")")

work=$(mktemp -d)
chmod 755 "$work" # servers drop to users of their own
started=()        # what to kill at the end, the youngest first
load_pid=''
export DEBUGINFOD_URLS=''

fail() {
	printf 'FAILED: %s\n' "$*"
	exit 1
}

need() {
	local program
	for program; do
		command -v "$program" >/dev/null || {
			echo "skipped: $program is not installed"
			exit 77
		}
	done
}

tidy_up() {
	local i
	touch "$work/stop"
	[ -z "$load_pid" ] || wait "$load_pid" || true
	exec 9>&- || true
	for ((i = ${#started[@]} - 1; i >= 0; i--)); do
		kill "${started[i]}" 2>/dev/null || true
		wait "${started[i]}" 2>/dev/null || true
	done
	rm -rf "$work"
}
trap tidy_up EXIT

# --- the program and its load

# Starts a program in the background; its pid is in $pid, what it prints in $work/NAME.log.
start() {
	local name=$1
	shift
	"$@" >"$work/$name.log" 2>&1 </dev/null &
	pid=$!
	started+=("$pid")
}

# Tries a command until it succeeds; the program's death ends it.
wait_until() {
	until "$@" >/dev/null 2>&1; do
		kill -0 "$pid" 2>/dev/null || { cat "$work"/*.log; fail "the program died: $*"; }
	done
}

# Starts a program that does work of its own and answers each line with "ok NUMBER", the work done.
start_answering() {
	mkfifo "$work/to" "$work/from"
	"$@" <"$work/to" >"$work/from" 2>"$work/program.log" &
	pid=$!
	started+=("$pid")
	exec 9>"$work/to" 8<"$work/from"
}

# The work done so far, in $answer.
ask() {
	echo >&9
	read -r -t 120 answer <&8 || { cat "$work/program.log"; fail "the program does not answer"; }
	[[ $answer == 'ok '* ]] || fail "the program says: $answer"
	answer=${answer#ok }
}

# The program must get on with its work, and end well when told to.
finish_answering() {
	local before
	ask
	before=$answer
	until [ "$answer" -gt "$before" ]; do
		ask
	done
	exec 9>&-
	wait "$pid" || { cat "$work/program.log"; fail "the program ended badly"; }
}

# Repeats a command, a round of client requests, until stop_load; an error ends it.
start_load() {
	load=("$@")
	while [ ! -e "$work/stop" ]; do
		"${load[@]}" >"$work/load.log" 2>&1 || exit 1
	done &
	load_pid=$!
}

# No round may have failed, nor may another one, which sees the program after all we did.
stop_load() {
	touch "$work/stop"
	wait "$load_pid" || { cat "$work/load.log"; fail "a client saw an error: ${load[*]}"; }
	load_pid=''
	"${load[@]}" >"$work/load.log" 2>&1 || {
		cat "$work/load.log"
		fail "a client saw an error afterwards: ${load[*]}"
	}
}

# A port on 127.0.0.1 that nobody listens on.
free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# One second of requests to a web server; wrk's status does not tell of failed ones.
wrk_round() {
	wrk -t 1 -c 10 -d 1s "$1" | tee "$work/wrk.out"
	! grep -E 'Socket errors|Non-2xx' "$work/wrk.out" && grep -q 'requests in' "$work/wrk.out"
}

# --- the dump

thread_count() { find "/proc/$1/task" -mindepth 1 -maxdepth 1 | wc -l; }
status_of() { awk -v key="$2:" '$1 == key { print $2 }' "/proc/$1/status"; }

# Dumps a process to $core; then checks that it is as it was, and how large the file is.
dump() {
	target=$1
	exe=$(readlink "/proc/$target/exe")
	core=$work/ours.core
	threads_before=$(thread_count "$target")
	rm -f "$core"
	"$PROCSNAP" dump "$target" -o "$core" --no-progress || fail "procsnap dump $target"
	take_both
	check_unharmed "$target"
	threads_after=$(thread_count "$target")
	check_size
}

# A core and a minidump of one snapshot, $both.core and $both.dmp.
take_both() {
	both=$work/both.$target
	python3 "$here/../oracle/snapshot.py" "$build/src/libprocsnap.so" "$target" "$both.core" \
		"$both.dmp" || fail "core and minidump of $target"
}

# Clones and zombies among its children.
children_left() {
	# shellcheck disable=SC2009 # pgrep does not know a zombie
	ps -o pid=,stat=,comm= --ppid "$1" | grep -E 'procsnap| Z' || true
}

# Nobody traces it, nothing of it stands still, nothing of ours is left among its children.
check_unharmed() {
	local task left end=$((SECONDS + 10))
	kill -0 "$1" || fail "the target is gone"
	for task in "/proc/$1/task"/*; do
		[ -e "$task/status" ] || continue # a thread that has ended since
		grep -qE '^TracerPid:\s+0$' "$task/status" || fail "$task is traced"
		! grep -qE '^State:\s+[tT]' "$task/status" || fail "$task is stopped"
	done
	# A child of its own may just have ended: what is ours would stay.
	until left=$(children_left "$1"); [ -z "$left" ]; do
		((SECONDS < end)) || break
	done
	[ -z "$left" ] || fail "left behind as the target's child: $left"
	if [ -n "$load_pid" ]; then
		kill -0 "$load_pid" || { cat "$work/load.log"; fail "a client saw an error"; }
	fi
}

# KiB of the mappings that a process shares with others.
shared_size() {
	awk '/^[0-9a-f]+-/ { shared = $2 ~ /s/ } /^Size:/ && shared { sum += $2 } END { print sum + 0 }' \
		"/proc/$1/smaps"
}

# On disk the core is no more than was ever resident, however much was reserved. Of shared memory a
# page may be there that this process has not touched.
check_size() {
	local disk resident shared
	disk=$(du -k "$core" | cut -f 1)
	shared=$(shared_size "$target")
	resident=$(status_of "$target" VmHWM)
	echo "core: $disk KiB on disk; $resident KiB resident at most, $shared KiB of shared mappings"
	[ "$disk" -le $((resident * 11 / 10 + shared + 4096)) ] ||
		fail "the core is larger than what was resident"
	[ "$(stat -c %a "$core")" = 600 ] || fail "the core is not for its owner alone"
}

all_stopped() { ! grep -hs '^State:' "/proc/$target/task"/*/status | grep -qv 'T (stopped)'; }

# gcore's core, in $reference, and another of ours, in $stopped, of the same process at one instant:
# while it is stopped by job control.
take_reference() {
	reference=$work/gcore.$target
	stopped=$work/stopped.$target
	kill -STOP "$target"
	wait_until all_stopped
	"$PROCSNAP" dump "$target" -o "$stopped" --no-progress >"$work/stopped.log" 2>&1 ||
		{ cat "$work/stopped.log"; fail "procsnap dump $target, stopped"; }
	gcore -o "$work/gcore" "$target" >"$work/gcore.log" 2>&1 || {
		cat "$work/gcore.log"
		fail "gcore"
	}
	kill -CONT "$target"
}

# --- the readers

# The number of threads found must be one the process had around the dump.
check_thread_count() {
	local reader=$1 found=$2 low=$threads_before high=$threads_after
	[ "$low" -le "$high" ] || { low=$threads_after high=$threads_before; }
	echo "$reader: $found threads"
	if [ "$found" -lt "$low" ] || [ "$found" -gt "$high" ]; then
		fail "$reader finds $found threads; the process had $low to $high"
	fi
}

# A complaint (a pattern) in what a reader says of ours, but not in what it says of gcore's. Whether
# a reader finds its way through code that was made while the program ran depends on the instant:
# of such a program ($makes_code) the two cores of one instant are compared.
check_complaint() {
	local reader=$1 pattern=$2 judged=ours
	[ -z "${makes_code-}" ] || judged=stopped
	grep -qE "$pattern" "$work/$reader.reference" && return
	! grep -E "$pattern" "$work/$reader.$judged" || fail "$reader complains: $pattern"
}

# read_one READER CORE NAME: what the reader, given as a function of a core, says of it.
read_one() {
	"read_$1" "$2" >"$work/$1.$3" 2>&1 || echo "exit status $?" >>"$work/$1.$3"
}

read_all() {
	read_one "$1" "$core" ours
	read_one "$1" "$reference" reference
	[ -z "${makes_code-}" ] || read_one "$1" "$stopped" stopped
	check_complaint "$1" '^exit status'
}

read_gdb() {
	gdb -nx -batch -ex 'info threads' -ex 'thread apply all bt' -ex 'info sharedlibrary' "$exe" "$1"
}

check_gdb() {
	read_all gdb
	check_thread_count gdb "$(grep -cE '^Thread [0-9]+ \(' "$work/gdb.ours")"
	check_complaint gdb '^warning:'
	check_complaint gdb '\?\?'
	check_complaint gdb 'Cannot access memory|corrupt stack|Backtrace stopped'
}

read_eu_stack() { eu-stack --core="$1" --executable="$exe"; }

check_eu_stack() {
	read_all eu_stack
	check_thread_count eu-stack "$(grep -c '^TID ' "$work/eu_stack.ours")"
}

# start+size, build id and name of each module; the same address space, so the same lines.
read_eu_unstrip() { eu-unstrip -n --core="$1" --executable="$exe" | sort; }

check_eu_unstrip() {
	read_all eu_unstrip
	[ -s "$work/eu_unstrip.ours" ] || fail "eu-unstrip finds no module"
	echo "eu-unstrip: $(wc -l <"$work/eu_unstrip.ours") modules"
	comm -13 "$work/eu_unstrip.ours" "$work/eu_unstrip.reference" >"$work/eu_unstrip.missing"
	[ ! -s "$work/eu_unstrip.missing" ] || {
		cat "$work/eu_unstrip.missing"
		fail "modules that eu-unstrip finds in gcore's core only"
	}
}

read_lldb() { lldb -x -b -c "$1" -o 'thread list' -o 'thread backtrace all' "$exe"; }

check_lldb() {
	read_all lldb
	check_thread_count lldb "$(sed '/thread backtrace all/,$d' "$work/lldb.ours" |
		grep -cE '^[* ] +thread #[0-9]+')"
	check_complaint lldb '^(error|warning):'
}

read_drgn() { drgn -q -c "$1" "$here/threads.drgn"; }

check_drgn() {
	read_all drgn
	check_thread_count drgn "$(grep -c '^thread ' "$work/drgn.ours")"
}

# Breakpad has no Debian package, and programs for one kind of CPU only.
check_minidump() {
	local programs status=0
	programs=$("$here/../../scripts/breakpad" "$build/breakpad" 2>"$work/breakpad.log") || status=$?
	if [ "$status" -ne 0 ]; then
		[ "$status" -eq 77 ] || fail "$(cat "$work/breakpad.log")"
		echo "minidump: not judged: $(cat "$work/breakpad.log")"
		return
	fi
	"$here/judge_minidump" "$programs" "$both.core" "$both.dmp" || fail "the minidump"
}

check_readers() {
	check_gdb
	check_eu_stack
	check_eu_unstrip
	check_lldb
	check_drgn
	check_minidump
}
