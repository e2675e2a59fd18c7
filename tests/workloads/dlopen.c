/* Works in main_work() until SIGUSR1, then loads argv[1] and works in its plugin_work(). */
#include "workload.h"

#include <dlfcn.h>

NOINLINE uint64_t main_work(uint64_t seed)
{
	return workload_burn(seed, 100000) + 11;
}

int main(int argc, char **argv)
{
	uint64_t (*plugin_work)(uint64_t seed);
	void *library;

	workload_start();
	workload_say("ready");
	while (!workload_phase)
		workload_sink = main_work(workload_sink);
	library = dlopen(argv[argc - 1], RTLD_NOW);
	if (!library)
		return 1;
	plugin_work = (uint64_t(*)(uint64_t))dlsym(library, "plugin_work");
	workload_say("loaded");
	for (;;)
		workload_sink = plugin_work(workload_sink);
}
