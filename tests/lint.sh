#!/bin/bash
# The house rules that a machine can check. usage: tests/lint.sh BUILD-DIRECTORY
set -u
cd "$(dirname "$0")/.." || exit 1
build=${1:-build}
failures=0
fail() {
	echo "lint: $1"
	[ -z "${2:-}" ] || sed 's/^/    /' <<<"$2"
	failures=$((failures + 1))
}

sources=$(git ls-files '*.c' '*.h')
unformatted=$(for file in $sources; do clang-format --dry-run -Werror "$file" >/dev/null 2>&1 || echo "$file"; done)
[ -z "$unformatted" ] || fail 'not formatted (make format):' "$unformatted"

# Who may include whom: docs/architecture.md. pattern of the include, files where it is allowed, what
only_in() {
	local hits
	hits=$(grep -nE "$1" $sources | grep -vE "^($2)")
	[ -z "$hits" ] || fail "$3 outside its room:" "$hits"
}
only_in '#include <(ncurses|curses|ncursesw/|term\.h)' 'tui/term\.c:' ncurses
only_in '#include <bpf/(libbpf|bpf)\.h>' 'bpf/|tests/' libbpf
only_in '#include <(elfutils/|libelf|gelf|dwarf\.h|capstone/)' 'symbolizer/|tests/' elfutils
only_in '#include <sqlite3\.h>' 'profile/snapshot|tests/' sqlite3
data='bpf/events\.h|bpf/heap_events\.h|bpf/table\.h|bpf/messages\.h|symbolizer/frame\.h|symbolizer/code_message\.h'
forbid() { # folder, pattern of what it may not include
	local hits
	hits=$(git ls-files "$1/*.c" "$1/*.h" | xargs -r grep -nE "#include \"($2)" | grep -vE "\"($data)\"")
	[ -z "$hits" ] || fail "$1 includes what it may not:" "$hits"
}
forbid base 'bpf/|symbolizer/|profile/|tui/|export/|session|live|options'
forbid bpf 'symbolizer/|profile/|tui/|export/|session|live|options'
forbid symbolizer 'bpf/|profile/|tui/|export/|session|live|options'
forbid profile 'bpf/|symbolizer/|tui/|export/|session|live|options'
forbid export 'bpf/|symbolizer/|tui/|session|live|options'
forbid tui 'bpf/|symbolizer/|export/|session|live|options'

long=$(wc -l $sources | awk '$2 != "total" && $1 > 900 {print $2 ": " $1 " lines"}')
[ -z "$long" ] || fail 'over 900 lines:' "$long"
sleeps=$(git grep -nE '\b(u?sleep|nanosleep)\s*\(|^\s*sleep [0-9]' -- tests | grep -vE 'tests/(workloads/|lint\.sh)')
[ -z "$sleeps" ] || fail 'tests that sleep instead of waiting:' "$sleeps"

# The second compiler.
for file in $(git ls-files 'base/*.c' 'bpf/*.c' 'symbolizer/*.c' 'profile/*.c' 'export/*.c' 'tui/*.c' '*.c' | sort -u |
	grep -vE '\.bpf\.c$|^tests/'); do
	clang -std=gnu11 -fsyntax-only -Wall -Wextra -Werror -Wno-unused-parameter -D_GNU_SOURCE -I. -I"$build" "$file" ||
		fail "clang refuses $file"
done
for script in $(git ls-files '*.sh' tests/run .ci/run); do
	bash -n "$script" || fail "$script does not parse"
done
[ $failures = 0 ] && echo 'lint: clean'
exit $((failures != 0))
