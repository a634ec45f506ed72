# SPDX-License-Identifier: LGPL-2.1-or-later
# Limits that protect the process: refused with status 3 and no file, or kept and said.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

start plain "$PROCSNAP_TARGETS/plain" 1 4
mkdir dir
cd dir
{
	try dump "$plain" -o core --max-pause 0.001
	ls -A
	try dump "$plain" -o core --max-pause 60000.5
	for bad in 0 0.0 -1 5ms 1e3 .5 5. 3600001 99999999999999999999; do
		try dump "$plain" --max-pause "$bad"
	done
	try dump "$plain" --max-clones 1 -o clones
	for bad in 0 -1 1000001 two; do
		try dump "$plain" --max-clones "$bad"
	done
} 2>&1 | sed "s/$plain/PID/g"
"$PROCSNAP" dump "$plain" -o json --json --max-pause 60000.5 |
	python3 -c '
import json, sys
dump = json.load(sys.stdin)
assert dump["max_pause_ns"] == 60000500000
assert 0 < dump["pause_forecast_ns"] < dump["max_pause_ns"]
assert dump["pause_ns"] <= dump["hold_ns"]
'
