/* Works until SIGUSR1, then ends with the status argv[1], or by the signal -argv[1]. */
#include "workload.h"

NOINLINE uint64_t last_work(uint64_t seed)
{
	return workload_burn(seed, 100000) + 12;
}

int main(int argc, char **argv)
{
	int status = argc > 1 ? atoi(argv[1]) : 0;

	workload_start();
	workload_say("ready");
	while (!workload_phase)
		workload_sink = last_work(workload_sink);
	if (status < 0)
		raise(-status);
	return status;
}
