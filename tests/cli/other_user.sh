# SPDX-License-Identifier: LGPL-2.1-or-later
# As a user who may not trace the target: facts are shown, all else is refused with a reason.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

[ "$(id -u)" -eq 0 ] || skip "not root, cannot become another user"
start plain "$PROCSNAP_TARGETS/plain"
chmod 755 . ..
# The build may be in a folder that others cannot enter.
mkdir -m 755 bin
install -m 755 "$PROCSNAP" "$(dirname "$PROCSNAP")"/../src/libprocsnap.so.0 bin/
command=$PWD/bin/procsnap
export LD_LIBRARY_PATH=$PWD/bin:$LD_LIBRARY_PATH
mkdir -m 777 dir
cd dir
as_nobody() {
	local status=0
	echo "\$ procsnap $*" | sed "s/$plain/PID/g"
	setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all "$command" "$@" \
		>out 2>&1 || status=$?
	sed "s/$plain/PID/g" out
	rm out
	echo "exit $status"
}

as_nobody dump "$plain" -o core
as_nobody show "$plain" --memory
as_nobody show "$plain" --handles
as_nobody show "$plain" --registers
as_nobody show "$plain" --threads | sed -E 's/^ *[0-9]+ (rewriter|sleeper).*/\1/' |
	grep -vE '^ *(TID|PID) ' | LC_ALL=C sort
as_nobody show "$plain" | grep -E '^(Name|Threads|image|exit) '
ls -A
