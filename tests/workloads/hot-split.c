/* Two hot functions with a known ratio: hot_three() does three times the work of hot_one(). */
#include "workload.h"

NOINLINE uint64_t hot_three(uint64_t seed)
{
	return workload_burn(seed, 300000) + 1;
}

NOINLINE uint64_t hot_one(uint64_t seed)
{
	return workload_burn(seed, 100000) + 2;
}

int main(void)
{
	workload_start();
	workload_say("ready");
	for (;;) {
		workload_sink = hot_three(workload_sink);
		workload_sink = hot_one(workload_sink);
	}
}
