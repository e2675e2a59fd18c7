/* Works in the library argv[1] (libcalls-*), which calls back into this program. */
#include "workload.h"

#include <dlfcn.h>

NOINLINE uint64_t called_back(uint64_t seed)
{
	return workload_burn(seed, 20000) + 3;
}

int main(int argc, char **argv)
{
	uint64_t (*calls_outer)(uint64_t(*back)(uint64_t seed), uint64_t seed);
	void *library = dlopen(argv[argc - 1], RTLD_NOW);

	if (!library)
		return 1;
	calls_outer = (uint64_t(*)(uint64_t(*)(uint64_t), uint64_t))dlsym(library, "calls_outer");
	workload_start();
	workload_say("ready");
	for (;;)
		workload_sink = calls_outer(called_back, workload_sink);
}
