/* Exceptions that are thrown, caught and thrown again through frames with destructors, and through libc's
 * qsort(): the stack is whole while libgcc walks it and lands in the clean-ups. argv[1]: rounds of other work
 * between two throws (0). At the end of a throw libgcc overwrites the return address and the registers that
 * its own frame has saved (uw_install_context_1()): for these instructions, 1.4 % of the time that a throw
 * takes, no unwinder finds the callers. */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#define NOINLINE __attribute__((noinline, noclone))

static volatile uint64_t sink;

namespace
{
/* What the unwinder has to clean up in each frame. */
struct guard {
	~guard()
	{
		sink = sink + 1;
	}
};

NOINLINE int thrower(int depth)
{
	for (int i = 0; i < 300; i++)
		sink = sink * 3 + 1;
	if (depth >= 0)
		throw std::runtime_error("thrown");
	return depth;
}

NOINLINE int passer(int depth)
{
	guard cleaned;

	return (depth ? passer(depth - 1) : thrower(depth)) + 1;
}

NOINLINE int rethrower(int depth)
{
	guard cleaned;

	try {
		return passer(depth) + 1;
	} catch (const std::runtime_error &) {
		throw;
	}
}

int compare_throws(const void *, const void *)
{
	return thrower(1);
}

NOINLINE void catcher()
{
	try {
		rethrower(6);
	} catch (const std::exception &) {
		sink = sink + 1;
	}
}

NOINLINE void sorter()
{
	int numbers[] = {3, 1, 2};

	try {
		qsort(numbers, 3, sizeof(int), compare_throws);
	} catch (const std::exception &) {
		sink = sink + 1;
	}
}
} // namespace

NOINLINE static uint64_t other_work(uint64_t seed, unsigned rounds)
{
	while (rounds--)
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return seed;
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 0;

	puts("ready");
	fflush(stdout);
	for (;;) {
		sink = other_work(sink, rounds);
		catcher();
		sorter();
	}
}
