/* before_exec() works until SIGUSR1, then the process becomes another program image, in which after_exec()
 * works. */
#include "workload.h"

#include <string.h>

NOINLINE uint64_t before_exec(uint64_t seed)
{
	return workload_burn(seed, 100000) + 6;
}

NOINLINE uint64_t after_exec(uint64_t seed)
{
	return workload_burn(seed, 100000) + 7;
}

int main(int argc, char **argv)
{
	workload_start();
	if (argc > 1 && !strcmp(argv[1], "second")) {
		workload_say("second");
		for (;;)
			workload_sink = after_exec(workload_sink);
	}
	workload_say("ready");
	while (!workload_phase)
		workload_sink = before_exec(workload_sink);
	execl("/proc/self/exe", argv[0], "second", NULL);
	return 1;
}
