/* Loaded by dlopen.c while it is being profiled. */
#include "workload.h"

NOINLINE uint64_t plugin_work(uint64_t seed)
{
	return workload_burn(seed, 100000) + 10;
}
