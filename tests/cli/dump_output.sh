# SPDX-License-Identifier: LGPL-2.1-or-later
# Where a core cannot go. Nothing is left behind, and what was there is untouched.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

start plain "$PROCSNAP_TARGETS/plain"
mkdir dir
cd dir
same() {
	sed "s/$plain/PID/g; s/xxxx*/LONG/"
}

echo mine >taken
ln -s nowhere link
try dump "$plain" -o taken | same
try dump "$plain" -o link | same
try dump "$plain" -o nowhere/core | same
try dump "$plain" -o taken/core | same
try dump "$plain" -o nowhere/ | same
try dump "$plain" -o /dev/null | same
try dump "$plain" -o "$(printf '%300s' '' | tr ' ' x)" | same
touch "plain.$plain.core"
try dump "$plain" | same
rm "plain.$plain.core"

echo "# a limit of file size"
(
	ulimit -f 64
	try dump "$plain" -o limited
) | same
echo "# a full device, a reader that goes away, a closed descriptor"
"$PROCSNAP" dump "$plain" -o - 2>&1 >/dev/full || echo "exit $?"
{ "$PROCSNAP" dump "$plain" -o - 2>message || echo $? >status; } | true
cat message
echo "exit $(<status)"
rm message status
"$PROCSNAP" dump "$plain" -o - 2>&1 >&- || echo "exit $?"
ls -A
cat taken

echo "# the core is written, its line is not"
"$PROCSNAP" dump "$plain" -o one 2>&1 >&- || echo "exit $?"
"$PROCSNAP" dump "$plain" -o two 2>&1 >/dev/full || echo "exit $?"
readelf -h one two | grep Type:
"$PROCSNAP" show "$plain" 2>&1 >&- || echo "exit $?"
"$PROCSNAP" show "$plain" 2>&1 >/dev/full || echo "exit $?"
"$PROCSNAP" --help 2>&1 >/dev/full || echo "exit $?"
