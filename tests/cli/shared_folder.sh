# SPDX-License-Identifier: LGPL-2.1-or-later
# A folder that everybody may write to, where another user has been before us: what he has put under
# the name is neither written to nor followed nor replaced, and what is written is not his to read.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

[ "$(id -u)" -eq 0 ] || skip "not root, cannot become another user"
umask 000
start plain "$PROCSNAP_TARGETS/plain"
chmod 755 . ..
mkdir -m 700 mine
echo precious >mine/file
chmod 600 mine/file
mkdir -m 777 shared
cd shared
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all "$@"; }
same() { sed "s/$plain/PID/g"; }

as_nobody ln -s ../mine/file link
as_nobody ln -s ../mine/new dangling
as_nobody mkfifo pipe
as_nobody touch file
as_nobody ln -s . here
for name in link dangling pipe file; do
	try dump "$plain" -o $name | same
done
ls ../mine
cat ../mine/file
stat -c '%n %s %U' file

for shim in '' "$PROCSNAP_BUILD/tests/cli/libno_tmpfile.so"; do
	echo "# ${shim:+without }O_TMPFILE"
	# The sanitizer wants to be first, and need not be.
	env ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 "LD_PRELOAD=$shim" "$PROCSNAP" dump "$plain" -o core --no-progress >/dev/null
	stat -c '%n %a %U %h' core
	as_nobody cat core 2>&1 | sed 's/^.*core/core/'
	rm core
done
echo "# through a link to a folder, as it was asked for"
"$PROCSNAP" dump "$plain" -o here/core --no-progress >/dev/null
stat -c '%n %a %U' core
ls -A
