# SPDX-License-Identifier: LGPL-2.1-or-later
# What doctor says of each specimen, and that a dump agrees: it works where doctor says yes, and
# fails with doctor's words where it says no.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

[ "$(id -u)" -eq 0 ] || skip "not root, cannot become another user"
chmod 755 . ..
# The build may be in a folder that others cannot enter.
mkdir -m 755 bin
install -m 755 "$PROCSNAP" "$(dirname "$PROCSNAP")"/../src/libprocsnap.so.0 bin/
install -m 755 "$PROCSNAP_TARGETS"/{plain,undumpable} bin/
export LD_LIBRARY_PATH=$PWD/bin:${LD_LIBRARY_PATH-}
command=$PWD/bin/procsnap
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all)
mkdir -m 777 dir
cd dir

# agree PID NAME [PREFIX...]: problems and warnings by doctor, its answer, and that a dump does as
# it says. What differs from run to run is replaced.
agree() {
	local pid=$1 name=$2 said=0 done=0 problem
	shift 2
	echo "$name${1:+ by ${1##*/}}:"
	"$@" "$command" doctor "$pid" >said || said=$?
	"$@" "$command" dump "$pid" -o core >dumped 2>&1 || done=$?
	rm -f core
	# Of the machine, not of the specimen: an older kernel, AppArmor.
	grep -E '^(problem|warning|yes|no:)' said |
		grep -vE '^warning (page-scan|security-module) ' |
		sed "s/\b$pid\b/PID/g; s/${tracer:-no tracer}/TRACER/g; s/task\/[0-9]*/task\/TID/; s/such as [0-9]*/such as TID/; s/have [0-9]* of/have N of/; s/-n [0-9]*/-n N/"
	[ "$said" -eq "$done" ] || echo "doctor says $said and dump $done: $(cat dumped)"
	[ "$said" -eq 1 ] || return 0
	# Column 25 on is what was found.
	problem=$(grep '^problem' said | head -n 1 | cut -c 25-)
	# How many descriptors are open differs: the dump has the process open as well.
	problem=$(sed -E 's/have [0-9]+ of/have N of/; s/-n [0-9]+/-n N/' <<<"$problem")
	sed -E 's/have [0-9]+ of/have N of/; s/-n [0-9]+/-n N/' dumped | grep -qF "($problem)" || echo "dump fails otherwise: $(cat dumped)"
}

start plain "$PROCSNAP_TARGETS/plain"
agree "$plain" plain
agree "$plain" plain "${nobody[@]}"
agree "$plain" plain setpriv --bounding-set=-sys_ptrace --inh-caps=-all
start own "${nobody[@]}" ../bin/plain
agree "$own" own "${nobody[@]}"
agree "$own" own setpriv --bounding-set=-sys_ptrace --inh-caps=-all

start undumpable "${nobody[@]}" ../bin/undumpable
agree "$undumpable" undumpable
agree "$undumpable" undumpable "${nobody[@]}"
start filtered "$PROCSNAP_TARGETS/seccomp_errno"
agree "$filtered" seccomp
agree "$filtered" seccomp setpriv --bounding-set=-sys_admin --inh-caps=-all
start worker "$PROCSNAP_TARGETS/worker_filter"
agree "$worker" worker-filter setpriv --bounding-set=-sys_admin --inh-caps=-all
start vfork "$PROCSNAP_TARGETS/vfork"
agree "$vfork" vfork
start limited "${nobody[@]/65534/54321}" prlimit --nproc=5: ../bin/plain
agree "$limited" processes
agree "$plain" descriptors prlimit --nofile=12:
if [ "$(cat /proc/2/comm 2>/dev/null)" = kthreadd ]; then
	# Whether it is said to have no code either differs from kernel to kernel.
	agree 2 kernel | grep -v '^problem code ' | sed 's/: [0-9PID]* problems\?$/: problems/'
else
	cat <<-'END'
		kernel:
		problem alive           it has no memory of its own: it is a thread of the kernel, or about to end
		no: process PID (kthreadd) can't be captured: problems
	END
fi

# group NAME FILE...: a control group of whichever version has one of the files in it.
group() {
	local parent file
	for parent in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/"$1"; do
		group=$parent/procsnap-test-$$
		mkdir "$group" 2>/dev/null || continue
		for file in "${@:2}"; do
			[ ! -e "$group/$file" ] || return 0
		done
		rmdir "$group"
	done
	return 1
}

# leave PID: the group goes as soon as the target has.
leave() {
	kill -KILL "$1"
	until_true rmdir "$group" 2>/dev/null
}

start grouped "$PROCSNAP_TARGETS/plain"
if group pids pids.max && echo "$grouped" >"$group/cgroup.procs" && echo 5 >"$group/pids.max"; then
	agree "$grouped" pids | sed "s|$group|GROUP|g"
	echo 6 >"$group/pids.max"
	agree "$grouped" pids
	leave "$grouped"
else
	cat <<-'END'
		pids:
		problem pids            pids.max of its control group GROUP is 5, and it has 5 threads: echo 6 > GROUP/pids.max; for pods kubelet's podPidsLimit, with Docker --pids-limit
		no: process PID (plain) can't be captured: 1 problem
		pids:
		yes: process PID (plain) can be captured
	END
fi

start frozen "$PROCSNAP_TARGETS/sleepers"
if group freezer cgroup.freeze freezer.state && echo "$frozen" >"$group/cgroup.procs"; then
	if [ -e "$group/cgroup.freeze" ]; then
		echo 1 >"$group/cgroup.freeze"
		until_true grep -q 'frozen 1' "$group/cgroup.events"
	else
		echo FROZEN >"$group/freezer.state"
		until_true grep -q FROZEN "$group/freezer.state"
	fi
	# Of version 1, all threads wait uninterruptibly.
	agree "$frozen" frozen | grep -v uninterruptible |
		sed -E "s|$group|GROUP|g; s/echo .*/echo/; s/: [0-9] problems?/: problems/"
	if [ -e "$group/cgroup.freeze" ]; then
		echo 0 >"$group/cgroup.freeze"
	else
		echo THAWED >"$group/freezer.state"
	fi
	agree "$frozen" thawed
	leave "$frozen"
else
	cat <<-'END'
		frozen:
		problem frozen          its control group GROUP is frozen, and none of its threads can make a call: thaw it: echo
		no: process PID (sleepers) can't be captured: problems
		thawed:
		yes: process PID (sleepers) can be captured
	END
fi

# A process that watches its forks; not everywhere may one.
if "$PROCSNAP_TARGETS/uffd_fork" </dev/null 2>/dev/null | grep -q ready; then
	start monitor "$PROCSNAP_TARGETS/uffd_fork"
	agree "$monitor" userfaultfd
else
	cat <<-'END'
		userfaultfd:
		problem userfaultfd     it watches its own forks through userfaultfd 3, so that a clone would never be made: let it do without UFFD_FEATURE_EVENT_FORK
		no: process PID (uffd_fork) can't be captured: 1 problem
	END
fi

# No file of it is needed: only the kernel's own calls.
cat >small.c <<-'END'
	void _start(void)
	{
		for (;;)
			__asm__ volatile("int $0x80" ::"a"(29)); // pause
	}
END
if gcc -m32 -nostdlib -static -o small small.c 2>/dev/null; then
	./small &
	small=$!
	started+=("$small")
	disown
	runs_small() { [ "$(readlink /proc/$small/exe)" = "$PWD/small" ]; }
	until_true runs_small
	agree "$small" machine | grep -v 'code '
else
	printf '%s\n' "machine:" "problem machine         it is a 32-bit program, and such can't be cloned: gcore writes a core of it, for which it is stopped all the while" \
		"no: process PID (small) can't be captured: 2 problems"
fi

if command -v strace >/dev/null; then
	strace -qq -o strace.out -p "$plain" &
	tracer=$!
	started+=("$tracer")
	disown
	until_true grep -q "^TracerPid:[[:space:]]$tracer$" /proc/"$plain"/status
	agree "$plain" tracer
	kill "$tracer"
	until_true grep -q "^TracerPid:[[:space:]]0$" /proc/"$plain"/status
	unset tracer
else
	printf '%s\n' "tracer:" \
		"problem tracer          it is traced by process TRACER (strace): detach that debugger or tracer first" \
		"no: process PID (plain) can't be captured: 1 problem"
fi
agree "$plain" again

# The json is of the same findings.
"$PROCSNAP" doctor "$plain" --json >yes
"${nobody[@]}" "$command" doctor "$plain" --json >no && exit 1
python3 - "$plain" yes no <<-'END'
	import json, sys
	pid = int(sys.argv[1])
	yes, no = (json.load(open(path, encoding="utf-8")) for path in sys.argv[2:])
	assert sorted(yes) == sorted(no) == ["findings", "name", "pid", "would_work"]
	assert yes["pid"] == no["pid"] == pid and yes["name"] == "plain"
	assert yes["would_work"] is True and no["would_work"] is False
	assert [f["id"] for f in yes["findings"]] == [f["id"] for f in no["findings"]]
	for finding in yes["findings"] + no["findings"]:
	    assert sorted(finding) == ["cure", "id", "severity", "text"] and finding["text"]
	    assert finding["severity"] in ("ok", "unknown", "warning", "problem")
	assert not [f for f in yes["findings"] if f["severity"] == "problem"]
	problem, = [f for f in no["findings"] if f["severity"] == "problem"]
	assert problem["id"] == "user" and "CAP_SYS_PTRACE" in problem["cure"]
END
# On a terminal lines are as long as it is wide.
for width in 40 80 120; do
	python3 "$PROCSNAP_SOURCE/tests/cli/on_terminal.py" $width "${nobody[@]/setpriv/$(command -v setpriv)}" \
		"$command" doctor "$plain" >shown
	awk -v width=$width 'length > width { print "too long for " width ": " $0 }' shown
	grep -q "^no: process" shown
done
try doctor 2>&1
