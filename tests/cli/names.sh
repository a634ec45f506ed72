# SPDX-License-Identifier: LGPL-2.1-or-later
# Which process a name means.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

pid_of() {
	"$PROCSNAP" show "$@" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["process"]["pid"])'
}

mine=pss-n-$$
long=pss-a-name-longer-than-comm-$$
cp "$PROCSNAP_TARGETS/plain" "$mine"
cp "$PROCSNAP_TARGETS/plain" "$long"
# The last argument ends as a title does that a program sets: blanks over what was there.
start one "./$mine" 3 '1   '
[ "$(pid_of "$mine")" = "$one" ] && echo by comm
start lengthy "./$long"
[ "$(pid_of "$long")" = "$lengthy" ] && echo by executable
rm "$long"
[ "$(pid_of "$long")" = "$lengthy" ] && echo by deleted executable
start renamed bash -c 'exec -a "$1" "$2"' - "/x/renamed-$mine" "./$mine"
[ "$(pid_of "renamed-$mine")" = "$renamed" ] && echo by argv
# A part of a name is none, but tells what may be meant.
try show "ss-n-$$" | sed "s/PID \($one\|$renamed\)$/PID P/; s/$$/N/g"

# Two of one name now: the first and the renamed one share an executable.
transcript=$(try dump "$mine")
sed "s/$one/ONE/; s/$renamed/RENAMED/; s/$$/N/g" <<<"$transcript" | sed -E 's/^ +/  /' | LC_ALL=C sort
compgen -G "*.core" && exit 1

# A clone in a snapshot shares the executable, and is not meant.
mkfifo pipe
"$PROCSNAP" dump "$lengthy" -o - >pipe 2>/dev/null &
exec 7<pipe
IFS= read -r -N 1 _ <&7 || true
[ "$(pid_of "$long")" = "$lengthy" ] && echo not the clone
exec 7<&-
wait $! || echo "the reader went away: $?"
