# SPDX-License-Identifier: LGPL-2.1-or-later
# Captures across namespaces that the test makes itself: from the host into a container, whose first
# process is the target, and by another user; within a container, of its first process and of a
# neighbour; with a root that is read-only and has no /tmp; by a user in a namespace of his own;
# with a /proc that hides others, and without one.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

[ "$(id -u)" -eq 0 ] || skip "not root, cannot make containers"
chmod 755 . ..
mkdir -m 755 app
# The build may be in a folder that others cannot enter.
install -m 755 "$PROCSNAP_TARGETS"/{plain,container} "$PROCSNAP" \
	"$(dirname "$PROCSNAP")"/../src/libprocsnap.so.0 app/
export LD_LIBRARY_PATH=$PWD/app:${LD_LIBRARY_PATH-}
command=$PWD/app/procsnap

# box NAME OPTION...: a container with "plain" as its first process; $NAME is that one outside.
box() {
	local name=$1 line=${1}_line
	mkdir -m 755 "$name.root"
	start "$@"
	[[ ${!line} != skipped* ]] || skip "${!line}"
	printf -v "$name" %s "$(pgrep -P "${!name}")"
}

# harmless PID: no tracer, no child, alive or dead, and its other threads as they were.
harmless() {
	until_true settled "$1"
	grep -hE '^TracerPid:' /proc/"$1"/task/*/status | sort -u
	ps -o pid= --ppid "$1" || true
}

# A core of process $2 in $1, opened with the files of that process.
opened() {
	gdb -nx -q -batch -ex "set sysroot $3" -ex "file $3/app/plain" -ex "core $1" \
		-ex 'info threads' -ex 'print target_counters.wrong' -ex 'info sharedlibrary' 2>&1 |
		sed -nE 's/.*LWP ([0-9]+)\).*/LWP \1/p; s/^\$1/wrong/p; s/.*Yes .*(libc\.so).*/\1/p' |
		sed "s/LWP $2\$/LWP of the leader/; s/LWP [0-9][0-9]*/LWP/" | sort | uniq -c | sed 's/^ *//'
}

echo "from the host into PID, mount, user and network namespaces:"
box boxed "$PWD/app/container" -u -p -n -m "$PWD/boxed.root" -b "$PWD/app:app" /app/plain
[ "$(readlink /proc/"$boxed"/ns/user)" != "$(readlink /proc/self/ns/user)" ]
awk '/^NSpid:/ { print "inside it is", $3 } /^Uid:/ { print "its user is", $2 }' /proc/"$boxed"/status
"$command" dump "$boxed" -o host.core >/dev/null 2>&1 && echo "dumped"
eu-readelf -n host.core | grep -c "pid: $boxed," | sed 's/^/notes with our number: /'
eu-unstrip -n --core host.core | awk '/\/app\/plain/ { print "build ID", $2 != "-" ? "found" : "lost" }'
opened host.core "$boxed" "/proc/$boxed/root"
"$command" show "$boxed" | grep -E '^(PID|User|Executable)' | sed "s/$boxed/PID/"
# As an upgrade does it: the file under that name is another one from now on.
cp app/plain app/renewed
mv app/renewed app/plain
"$command" show "$boxed" --memory | grep -c 'image .*/app/plain' | sed 's/^/pieces of its image: /'
"$command" show "$boxed" --threads | grep -cE '^ *[0-9]+ (plain|rewriter|sleeper)' | sed 's/^/threads: /'
harmless "$boxed"

echo "from inside of its neighbour and of process 1:"
mkfifo neighbour.in neighbour.out
within=(nsenter --target "$boxed" --user --pid --mount --net)
"${within[@]}" /app/plain <>neighbour.in >neighbour.out &
started+=($!)
disown $!
read -r _ <neighbour.out
inside=("${within[@]}" env LD_LIBRARY_PATH=/app /app/procsnap)
neighbour=$("${inside[@]}" show plain 2>&1 | awk '$1 > 1 && $2 == "/app/plain" { print $1 }')
for pid in 1 "$neighbour"; do
	"${inside[@]}" doctor "$pid" | grep -E '^(problem|yes|no:)' | sed "s/ $neighbour / N /"
	"${inside[@]}" dump "$pid" -o - 2>/dev/null >inner.core && echo "dumped"
	eu-readelf -n inner.core | grep -c "pid: $pid," | sed 's/^/notes with its number: /'
	"${inside[@]}" show "$pid" | grep -E '^User'
done
harmless "$boxed"

echo "with a read-only root and no /tmp:"
mkdir -m 777 writable
box readonly "$PWD/app/container" -u -p -m "$PWD/readonly.root" -b "$PWD/app:app" \
	-b "$PWD/writable:out" -r /app/plain
within=(nsenter --target "$readonly" --user --pid --mount)
inside=("${within[@]}" env LD_LIBRARY_PATH=/app /app/procsnap)
"${within[@]}" ls -d /tmp 2>/dev/null || echo "there is no /tmp"
"${inside[@]}" dump 1 -o - 2>/dev/null >readonly.core && echo "dumped to standard output"
opened readonly.core 1 "/proc/$readonly/root" | grep wrong
"${within[@]}" env LD_LIBRARY_PATH=/app sh -c 'cd / && /app/procsnap dump 1' 2>&1 || true
"${inside[@]}" dump 1 -o /out/core >/dev/null 2>&1 && [ -s writable/core ] && echo "dumped to a folder"
harmless "$readonly"

echo "by a user, of a process in a user namespace of his own:"
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all)
if "${nobody[@]}" unshare --user true 2>/dev/null; then
	start his "${nobody[@]}" app/container -u "$PWD/app/plain"
	his=$(pgrep -P "$his")
	"${nobody[@]}" "$command" dump "$his" -o - 2>/dev/null >his.core && echo "dumped"
	eu-readelf -n his.core | grep -c "pid: $his," | sed 's/^/notes with its number: /'
	harmless "$his"
else
	printf '%s\n' "dumped" "notes with its number: 2" "TracerPid:	0"
fi

echo "where /proc hides the processes of others, and where there is none:"
box hiding "$PWD/app/container" -p -m "$PWD/hiding.root" -b "$PWD/app:app" -P hidepid=2 /app/plain
nsenter --target "$hiding" --pid --mount "${nobody[@]}" env LD_LIBRARY_PATH=/app \
	/app/procsnap dump 1 -o - 2>&1 || true
box without "$PWD/app/container" -m "$PWD/without.root" -b "$PWD/app:app" -P none \
	/bin/sh -c 'echo ready; exec sleep 600'
nsenter --target "$without" --mount env LD_LIBRARY_PATH=/app /app/procsnap dump "$without" -o - 2>&1 |
	sed -n "s/$without/PID/; /^procsnap/p" || true # sanitizers have words of their own there
