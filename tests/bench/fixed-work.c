/* A fixed amount of work: for each line on stdin, argv[2] rounds below a stack of argv[1] frames; prints the
 * nanoseconds that it took by the wall clock and by this process's CPU clock. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NOINLINE __attribute__((noinline, noclone))

static volatile uint64_t sink;

NOINLINE uint64_t do_round(uint64_t seed)
{
	for (unsigned i = 0; i < 100000; i++)
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return seed;
}

NOINLINE uint64_t do_rounds(unsigned depth, unsigned rounds, uint64_t seed)
{
	if (depth > 1) {
		/* The write after the call: the compiler cannot make a loop of the recursion. */
		seed = do_rounds(depth - 1, rounds, seed);
		sink = seed;
		return seed;
	}
	for (unsigned i = 0; i < rounds; i++)
		seed = do_round(seed);
	return seed;
}

static uint64_t get_time_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv)
{
	unsigned depth = argc > 1 ? (unsigned)atoi(argv[1]) : 30,
		 rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 1000;

	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	for (int c = getchar(); c != EOF; c = getchar()) {
		uint64_t wall_ns = get_time_ns(CLOCK_MONOTONIC),
			 cpu_ns = get_time_ns(CLOCK_PROCESS_CPUTIME_ID);

		sink = do_rounds(depth, rounds, sink);
		printf("%llu %llu\n", (unsigned long long)(get_time_ns(CLOCK_MONOTONIC) - wall_ns),
		       (unsigned long long)(get_time_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns));
	}
	return 0;
}
