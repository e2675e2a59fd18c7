# Runs inside Debian's own kernel: attach, record, report, and kill -9 of each process. Counts, no timing.
. ./lib.sh

uname -r
./hot-split 2 >/tmp/ready &
target=$!
wait_for grep -q ready /tmp/ready
before=$(programs)
./kiln record -p $target -F 99 -d 6 -o /tmp/a.kiln
echo "@@record $?"
./kiln report /tmp/a.kiln --view summary --format json >/tmp/summary
echo "@@report $?"
echo "@@summary $(tr -d '\n' </tmp/summary)"
echo "@@hot $(./kiln report /tmp/a.kiln --view hot --format json | tr -d '\n')"
wait_for no_more
echo "@@left $(($(programs) - before))"

for role in probe interface worker; do
	./kiln record -p $target -o /tmp/$role.kiln >/tmp/$role.out 2>&1 &
	probe=$!
	wait_for more
	# The probe's children: the first is the interface, then the workers.
	children=$(cat /proc/$probe/task/$probe/children)
	set -- $children
	everything="$probe $children"
	case $role in
	probe) kill -9 $probe ;;
	interface) kill -9 $1 ;;
	worker)
		workers_before=$#
		kill -9 $2
		replaced() { [ "$(cat /proc/$probe/task/$probe/children | wc -w)" -ge $workers_before ] && ! alive $2; }
		wait_for replaced $2
		everything="$probe $(cat /proc/$probe/task/$probe/children)"
		kill -TERM $probe
		;;
	esac
	wait_for all_gone
	wait_for no_more
	echo "@@kill $role left $(($(programs) - before)) target $(kill -0 $target && echo alive)"
done
./kiln doctor
echo "@@doctor $?"
