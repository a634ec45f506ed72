# SPDX-License-Identifier: LGPL-2.1-or-later
# JSON that a program can rely on.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

start plain "$PROCSNAP_TARGETS/plain"
until_true settled "$plain"
mkdir dir
cd dir
"$PROCSNAP" show "$plain" --json >facts
"$PROCSNAP" show "$plain" --json --threads --memory --registers >all
# Dumps come last: a stop would show in the system calls, as restart_syscall.
"$PROCSNAP" dump "$plain" --json >dump
"$PROCSNAP" dump "$plain" --json -o - 2>dump_stdout >core
python3 "$PROCSNAP_SOURCE/tests/cli/check_json.py" "$plain" dump dump_stdout facts all
