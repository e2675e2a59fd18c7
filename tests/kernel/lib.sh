# What the scripts share that run inside Debian's own kernel: waiting, and counting what is left.
alive() { for pid in "$@"; do kill -0 "$pid" 2>/dev/null && return 0; done; return 1; }
wait_for() { # condition…
	n=0
	until "$@"; do
		n=$((n + 1))
		[ $n -gt 600 ] && { echo "@@never: $*"; return 1; }
		usleep 50000
	done
}
programs() { ./bpftool prog list 2>/dev/null | grep -c '^[0-9]'; }
no_more() { [ "$(programs)" -le "$before" ]; }
more() { [ "$(programs)" -gt "$before" ]; }
all_gone() { ! alive $everything; }
children_of() { cat "/proc/$1/task/$1/children" 2>/dev/null; }
