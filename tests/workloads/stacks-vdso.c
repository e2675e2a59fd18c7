/* Lives in the vDSO: three clocks, the time of day, the CPU's number. */
#include "workload.h"

#include <sched.h>
#include <sys/time.h>
#include <time.h>

NOINLINE uint64_t read_clocks(void)
{
	struct timespec monotonic, real, coarse;
	struct timeval now;
	unsigned cpu = 0;

	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_MONOTONIC_COARSE, &coarse);
	gettimeofday(&now, NULL);
	getcpu(&cpu, NULL);
	return (uint64_t)(monotonic.tv_nsec + real.tv_nsec + coarse.tv_nsec + now.tv_usec + time(NULL)) + cpu;
}

int main(void)
{
	workload_start();
	workload_say("ready");
	for (;;)
		workload_sink = workload_sink + read_clocks();
}
