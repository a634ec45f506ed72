# SPDX-License-Identifier: LGPL-2.1-or-later
# Names and paths that would talk to the terminal.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

name=$'-e\033[31m\n\xff'
mkdir dir $'path\033]0;x\a'
cp "$PROCSNAP_TARGETS/plain" $'path\033]0;x\a/'"$name"
exec 7<>$'path\033]0;x\a/open\nfile'
start hostile $'./path\033]0;x\a/'"$name"
cd dir
clean() {
	sed "s/$hostile/PID/g" | tee all | LC_ALL=C tr -d '\n\040-\176' | wc -c
}

"$PROCSNAP" show "$hostile" | clean
grep '^Name ' all
"$PROCSNAP" show "$hostile" --threads | clean
"$PROCSNAP" show "$hostile" --registers | clean
"$PROCSNAP" show "$hostile" --memory | clean
grep -c 'path.x1b]0;x.x07/-e.x1b.31m.x0a.xff$' all
"$PROCSNAP" show "$hostile" --handles | clean
grep -c '7 .*path.x1b]0;x.x07/open.x0afile$' all
"$PROCSNAP" show "$hostile" --json --memory --threads --handles | python3 -c 'import json, sys; json.load(sys.stdin)'
"$PROCSNAP" dump "$hostile" | clean
cat all
"$PROCSNAP" dump "$hostile" 2>&1 | clean
"$PROCSNAP" dump -o taken$'\033'"[31m" -- "$name" | clean
rm all
ls -A | sed "s/$hostile/PID/g" | cat -v
