# SPDX-License-Identifier: LGPL-2.1-or-later
# --help, the man pages and the completion agree on commands and options.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

help_options() {
	"$PROCSNAP" "$@" --help | sed -nE 's/^ *(-., )? *(--[a-z-]+).*/\2/p' | sort
}

# Lines of an OPTIONS section such as *-o*, *--output* _FILE_
man_options() {
	sed -n '/^# OPTIONS/,/^# /p' "$PROCSNAP_SOURCE/man/$1.1.scd" |
		grep '^\*-' | grep -oE -- '--[a-z-]+' | sort
}

completed() {
	COMP_WORDS=("$PROCSNAP" "$@")
	COMP_CWORD=$#
	_procsnap
	printf '%s\n' "${COMPREPLY[@]}" | sort
}

# shellcheck source=../../completion/procsnap.bash
source "$PROCSNAP_SOURCE/completion/procsnap.bash"

commands=$("$PROCSNAP" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ "$(help_options)" = "$(man_options procsnap)" ]
[ "$(help_options)" = "$(completed --)" ]
for command in $commands; do
	grep -q "^\*$command\*" "$PROCSNAP_SOURCE/man/procsnap.1.scd"
	[ "$(help_options "$command")" = "$(completed "$command" --)" ]
	[ "$command" = help ] ||
		[ "$(help_options "$command")" = "$(man_options "procsnap-$command")" ]
	echo "$command"
done

start plain "$PROCSNAP_TARGETS/plain"
completed help s
completed dump --compress ''
completed show pla | grep -x plain
[ "$(completed show "$plain")" = "$plain" ] && echo "PID"
