# SPDX-License-Identifier: LGPL-2.1-or-later
# A process that is not there.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"
mkdir dir
cd dir

# A PID that was just given back; the kernel goes round before it gives it again.
true &
wait $!
gone=$!

try show $gone | sed "s/$gone/GONE/g"
try dump $gone | sed "s/$gone/GONE/g"
try dump no-such-program
# The name of no process but the one that looks; a name of its own, for other tests look as well.
ln -s "$PROCSNAP" ../who-looks
PROCSNAP=$PWD/../who-looks try show who-looks
ls -A
