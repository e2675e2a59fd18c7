/* Functions that realign their stacks: by rbp alone, with a saved pointer to the arguments (the CFA is *(rbp
 * - 8)), as force_align_arg_pointer does it, and with a frame of variable size on top. */
#include "workload.h"

#include <alloca.h>
#include <string.h>

struct wide {
	uint64_t words[8];
} __attribute__((aligned(64)));

/* Keeps the object in memory, where its alignment counts. */
#define KEEP(object) asm volatile("" ::"r"(&(object)) : "memory")

NOINLINE uint64_t bottom(uint64_t seed)
{
	return workload_burn(seed, 2000) + 1;
}

NOINLINE uint64_t aligned_locals(uint64_t seed)
{
	struct wide local = {.words = {seed}};

	KEEP(local);
	local.words[1] = bottom(local.words[0]);
	KEEP(local);
	return workload_burn(local.words[1], 1000);
}

/* Its last two arguments are on the stack, above the gap. */
NOINLINE uint64_t aligned_with_arguments(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
					 uint64_t f, uint64_t g, uint64_t h)
{
	struct wide local = {.words = {a, b, c, d, e, f, g, h}};

	KEEP(local);
	local.words[1] = aligned_locals(local.words[6] + h);
	KEEP(local);
	return workload_burn(local.words[1], 1000) + g;
}

NOINLINE __attribute__((force_align_arg_pointer)) uint64_t forced(uint64_t seed)
{
	uint64_t value = aligned_with_arguments(seed, 2, 3, 4, 5, 6, 7, 8);

	return workload_burn(value, 1000);
}

NOINLINE uint64_t aligned_and_variable(uint64_t seed)
{
	struct wide local = {.words = {seed}};
	char *bytes = alloca(seed % 512 + 1);

	KEEP(local);
	memset(bytes, 1, seed % 512 + 1);
	KEEP(*bytes);
	local.words[1] = forced(local.words[0]);
	return workload_burn(local.words[1], 1000) + (uint64_t)bytes[0];
}

/* What compilers make of vectors of 32 bytes. */
NOINLINE __attribute__((target("avx"))) uint64_t vectors(uint64_t seed)
{
	typedef double four __attribute__((vector_size(32)));
	four local = {(double)(seed & 7), 2, 3, 4};

	KEEP(local);
	seed = aligned_and_variable(seed);
	local += local;
	KEEP(local);
	return seed + (uint64_t)local[0];
}

int main(void)
{
	workload_start();
	workload_say("ready");
	for (;;)
		workload_sink = __builtin_cpu_supports("avx") ? vectors(workload_sink)
							      : aligned_and_variable(workload_sink);
}
