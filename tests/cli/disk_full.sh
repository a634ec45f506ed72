# SPDX-License-Identifier: LGPL-2.1-or-later
# A disk that fills up: an error, no file, and the room is free again.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

mkdir disk
unshare -m true 2>/dev/null || skip "no right to mount"
start plain "$PROCSNAP_TARGETS/plain" 1 4
export -f try
export plain
unshare -m bash -eu -c '
	mount -t tmpfs -o size=1m none disk
	cd disk
	try dump "$plain" -o core
	ls -A
	df --output=used . | tail -n 1
' | sed "s/$plain/PID/g"
