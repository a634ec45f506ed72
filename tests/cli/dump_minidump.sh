# SPDX-License-Identifier: LGPL-2.1-or-later
# A minidump under the default name; what a type adds; no environment unless asked for.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

export PSS_SECRET=hunter2
start plain "$PROCSNAP_TARGETS/plain" 3 4
mkdir dir
cd dir
(umask 0 && "$PROCSNAP" dump "$plain" --format minidump) | sed "s/$plain/PID/g"
stat -c '%a %n' plain.* | sed "s/$plain/PID/"
head -c 4 plain.*.dmp
echo

small=$(stat -c %s plain.*.dmp)
grep -qa PSS_SECRET plain.*.dmp || echo "no environment"
"$PROCSNAP" dump "$plain" --format minidump --environment -o with.dmp >/dev/null
grep -qa PSS_SECRET=hunter2 with.dmp && echo "with environment"
"$PROCSNAP" dump "$plain" --format minidump --type full,handles -o full.dmp >/dev/null
(($(stat -c %s full.dmp) > small + (4 << 20))) && echo "full has the 4 MiB"
"$PROCSNAP" dump "$plain" --format minidump --type 0x2 --compress zstd -o - 2>/dev/null |
	zstd -dc | head -c 4
echo
"$PROCSNAP" dump "$plain" --format minidump --json -o json.dmp | grep '"format"'

let_go "$plain"
