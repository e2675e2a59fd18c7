# Runs inside Debian's own kernel, where only perf-event uprobes exist: the ledger programs, and kill -9 of each process
# while the heap is traced. Counts, no timing.
. ./lib.sh

# Three mappings of the interface belong to the CPU's ring; the heap's come when its probes are in place.
interface_of() { set -- $(children_of "$1"); echo "$1"; }
has_heap() {
	mappings=$(grep -c bpf-map "/proc/$(interface_of "$1")/maps" 2>/dev/null)
	[ "${mappings:-0}" -ge 6 ]
}
# Soon either is true, also when kiln cannot load its programs.
decided() { has_heap "$probe" || ! alive "$probe"; }
says() { grep -q "$1" /tmp/out; }

# How many mappings with code of a process differ from their files.
changed_code() {
	differ=0
	while read -r range permissions offset device inode path; do
		case $permissions in *x*) ;; *) continue ;; esac
		[ "$inode" = 0 ] && continue
		start=$((0x${range%-*} / 4096)) pages=$(((0x${range#*-} - 0x${range%-*}) / 4096))
		dd if="/proc/$1/mem" bs=4096 skip=$start count=$pages 2>/dev/null >/tmp/memory
		dd if="$path" bs=4096 skip=$((0x$offset / 4096)) count=$pages 2>/dev/null >/tmp/file
		head -c "$(wc -c </tmp/file)" /tmp/memory | cmp -s - /tmp/file || differ=$((differ + 1))
	done <"/proc/$1/maps"
	echo $differ
}

ledger() { # name, how many lines it wants, program and arguments…
	name=$1 lines=$2
	shift 2
	: >/tmp/out
	rm -f /tmp/in
	mkfifo /tmp/in
	"$@" </tmp/in >/tmp/out 2>/tmp/err &
	target=$!
	exec 3>/tmp/in
	wait_for says ready || return
	./kiln record --heap=exact -p $target -o /tmp/heap.kiln >/tmp/record 2>&1 &
	probe=$!
	wait_for decided
	has_heap $probe || { cat /tmp/record; kill $target; exec 3>&-; return; }
	echo go >&3
	if [ "$lines" = 2 ]; then
		wait_for says 'second\|child' || return
		wait_for has_heap $probe
		echo go >&3
	fi
	wait_for says '"heap"' || return
	kill -INT "$(interface_of $probe)"
	wait $probe
	echo "@@record $name $?"
	echo "@@code $name $(changed_code $target)"
	echo "@@ledger $name $(grep '"heap"' /tmp/out)"
	echo "@@view $name summary - $(./kiln report /tmp/heap.kiln --view summary --format json | tr -d '\n')"
	for metric in live-bytes live-count alloc-bytes alloc-count peak-bytes; do
		echo "@@view $name alloc $metric $(./kiln report /tmp/heap.kiln --view alloc --metric $metric --format json | tr -d '\n')"
	done
	exec 3>&-
	wait $target
	echo "@@ended $name $?"
}

uname -r
before=$(programs)
ledger leak 1 ./heap-leak 300 100
ledger peak 1 ./heap-peak
ledger calls 1 ./heap-calls
ledger before 1 ./heap-before
ledger threads 1 ./heap-threads exchange
ledger fork 2 ./heap-fork
ledger exec 2 ./heap-exec
ledger dlopen 1 ./heap-dlopen ./liballoc
wait_for no_more
echo "@@left $(($(programs) - before))"

# kill -9 while it runs.
./heap-loop /tmp/counter >/tmp/out &
target=$!
wait_for says ready
computes() { [ "$(head -c 8 /tmp/counter | md5sum)" != "$seen" ]; }
for role in probe interface worker; do
	./kiln record --heap=exact -p $target -o /tmp/$role.kiln >/tmp/$role.out 2>&1 &
	probe=$!
	wait_for decided
	has_heap $probe || { cat /tmp/$role.out; continue; }
	children=$(children_of $probe)
	set -- $children
	everything="$probe $children"
	traps=$(changed_code $target)
	case $role in
	probe) kill -9 $probe ;;
	interface) kill -9 $1 ;;
	worker)
		workers_before=$#
		kill -9 $2
		replaced() { [ "$(children_of $probe | wc -w)" -ge $workers_before ] && ! alive $1; }
		wait_for replaced $2
		everything="$probe $(children_of $probe)"
		kill -TERM $probe
		;;
	esac
	wait_for all_gone
	wait_for no_more
	seen=$(head -c 8 /tmp/counter | md5sum)
	wait_for computes
	echo "@@kill $role had $traps left $(($(programs) - before)) changed $(changed_code $target) $(kill -0 $target && echo alive)"
done
