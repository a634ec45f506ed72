# SPDX-License-Identifier: LGPL-2.1-or-later
# A file system without nameless files: a dot-name while writing, and none afterwards.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

start plain "$PROCSNAP_TARGETS/plain"
mkdir dir
cd dir
# The sanitizer wants to be first, and need not be.
without_tmpfile=(env ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0
	"LD_PRELOAD=$PROCSNAP_BUILD/tests/cli/libno_tmpfile.so" "$PROCSNAP")

"${without_tmpfile[@]}" dump "$plain" -o core | sed "s/$plain/PID/g"
stat -c '%n %a' -- *
readelf -h core | grep Type:
(
	ulimit -f 64
	"${without_tmpfile[@]}" dump "$plain" -o limited 2>&1 || echo "exit $?"
)
"${without_tmpfile[@]}" dump "$plain" -o core 2>&1 || echo "exit $?"
ls -A

# While it writes there is a dot-name, which a signal takes away.
cd ..
start large "$PROCSNAP_TARGETS/plain" 1 200
cd dir
"${without_tmpfile[@]}" dump "$large" --compress zstd:9 -o large.core 2>message &
dumping=$!
until_true clone_of "$large" >/dev/null
compgen -G '.procsnap.*' | sed 's/[0-9a-f]\{16\}/RANDOM/'
kill -TERM $dumping
wait $dumping || echo "exit $?"
cat message
rm message
ls -A
