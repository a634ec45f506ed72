# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Completion for procsnap. Commands and options come from its own --help.

# The words that --help of a command lists as options.
_procsnap_options() {
	"$1" "${@:2}" --help 2>/dev/null | sed -n 's/^ *\(-., \)\?\(--[a-z-]*\).*/\2/p'
}

_procsnap_commands() {
	"$1" --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'
}

# PIDs if digits were begun, names otherwise.
_procsnap_processes() {
	local comm name
	if [[ $1 == [0-9]* ]]; then
		compgen -W "$(cd /proc && printf '%s ' [0-9]*)" -- "$1"
		return
	fi
	for comm in /proc/[0-9]*/comm; do
		{ IFS= read -r name <"$comm"; } 2>/dev/null || continue
		[[ $name != procsnap* && $name == "$1"* ]] && printf '%q\n' "$name"
	done | sort -u
}

_procsnap() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local program=${COMP_WORDS[0]} command=${COMP_WORDS[1]}
	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W "$(_procsnap_commands "$program") \
			$(_procsnap_options "$program")" -- "$current")
	elif [[ $previous == -o || $previous == --output ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
	elif [[ $previous == --compress ]]; then
		mapfile -t COMPREPLY < <(compgen -W 'zstd' -- "$current")
	elif [[ $previous == --format ]]; then
		mapfile -t COMPREPLY < <(compgen -W 'core minidump' -- "$current")
	elif [[ $previous == --type ]]; then
		mapfile -t COMPREPLY < <(compgen -W 'normal data private full handles' -- "$current")
	elif [[ $previous == --filter ]]; then
		mapfile -t COMPREPLY < <(compgen -W '0x33 0x1ff' -- "$current")
	elif [[ $previous == --max-pause ]]; then
		mapfile -t COMPREPLY < <(compgen -W '5 10 50' -- "$current")
	elif [[ $previous == --max-clones ]]; then
		mapfile -t COMPREPLY < <(compgen -W '1 2 4' -- "$current")
	elif [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W \
			"$(_procsnap_options "$program" "$command")" -- "$current")
	elif [[ $command == help ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_procsnap_commands "$program")" -- "$current")
	else
		mapfile -t COMPREPLY < <(_procsnap_processes "$current")
	fi
}

complete -F _procsnap procsnap
