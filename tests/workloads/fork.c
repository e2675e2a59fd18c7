/* At SIGUSR1 a child is forked, that works in child_work() until its parent dies; the parent works in
 * parent_work(). */
#include "workload.h"

#include <sys/prctl.h>

NOINLINE uint64_t parent_work(uint64_t seed)
{
	return workload_burn(seed, 100000) + 8;
}

NOINLINE uint64_t child_work(uint64_t seed)
{
	return workload_burn(seed, 100000) + 9;
}

int main(void)
{
	workload_start();
	workload_say("ready");
	while (!workload_phase)
		workload_sink = parent_work(workload_sink);
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			workload_sink = child_work(workload_sink);
	}
	workload_say("forked");
	for (;;)
		workload_sink = parent_work(workload_sink);
}
