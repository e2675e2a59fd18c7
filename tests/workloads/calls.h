/* The functions of libcalls-*.c, which differ in what they tell about their frames: calls_outer() →
 * calls_inner() → the program's function. */
#include "workload.h"

typedef uint64_t call_back(uint64_t seed);

/* Without a frame pointer rbp is a register like any other: what is in it is no address. */
#ifdef RBP_IS_DATA
#define USE_RBP() asm volatile("mov $42, %%ebp" ::: "rbp")
#else
#define USE_RBP() asm volatile("")
#endif

__attribute__((visibility("hidden"))) NOINLINE uint64_t calls_inner(call_back *back, uint64_t seed)
{
	USE_RBP();
	seed = workload_burn(seed, 20000);
	USE_RBP();
	return back(seed) + 1;
}

NOINLINE uint64_t calls_outer(call_back *back, uint64_t seed)
{
	return calls_inner(back, seed) + 2;
}
