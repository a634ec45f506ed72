# SPDX-License-Identifier: LGPL-2.1-or-later
# A core through a pipe, plain and compressed; the closing line is on standard error.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

start plain "$PROCSNAP_TARGETS/plain"
mkdir dir
cd dir
"$PROCSNAP" dump "$plain" -o - 2>line | cat >core
sed "s/$plain/PID/g" line
readelf -h core | grep Type:
if "$PROCSNAP" dump "$plain" --compress zstd:5 -o - 2>line | cat >core.zst; then
	sed "s/$plain/PID/g" line
	zstd -qd core.zst -o unpacked
	readelf -h unpacked | grep Type:
fi
"$PROCSNAP" dump "$plain" --compress zstd >/dev/null
zstd -qt plain.*.core.zst && echo "compressed under the default name"
ls -A | sed "s/$plain/PID/"
