# SPDX-License-Identifier: LGPL-2.1-or-later
# What people see.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

start plain "$PROCSNAP_TARGETS/plain"
until_true settled "$plain"
"$PROCSNAP" show "$plain"
"$PROCSNAP" show "$plain" --threads | LC_ALL=C sort -k 2
"$PROCSNAP" show "$plain" --memory | grep -E '^ADDRESS|r-xp.*/plain$|\[stack\]'
"$PROCSNAP" show "$plain" --registers | grep -c '^Thread '
grep -E '^TracerPid:' /proc/"$plain"/status
