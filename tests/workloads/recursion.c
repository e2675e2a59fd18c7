/* A stack of known depth: recurse() calls itself argv[1] times (1,000), and works at the bottom. */
#include "workload.h"

NOINLINE uint64_t at_the_bottom(uint64_t seed)
{
	return workload_burn(seed, 2000000) + 3;
}

NOINLINE uint64_t recurse(unsigned depth, uint64_t seed)
{
	uint64_t value = depth > 1 ? recurse(depth - 1, seed) : at_the_bottom(seed);

	/* Work after the call: it is no tail call. */
	return value * 3 + depth;
}

int main(int argc, char **argv)
{
	unsigned depth = argc > 1 ? (unsigned)atoi(argv[1]) : 1000;

	workload_start();
	workload_say("ready");
	for (;;)
		workload_sink = recurse(depth, workload_sink);
}
