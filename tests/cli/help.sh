# SPDX-License-Identifier: LGPL-2.1-or-later
# Help goes to standard output, from whichever door one comes in.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

try --help
try dump --help
try show --help
try doctor --help
try help help
cmp <("$PROCSNAP" --help) <("$PROCSNAP" help)
cmp <("$PROCSNAP" --help) <("$PROCSNAP" -h)
cmp <("$PROCSNAP" dump --help) <("$PROCSNAP" help dump)
cmp <("$PROCSNAP" dump --help) <("$PROCSNAP" dump 1 --json -h)
