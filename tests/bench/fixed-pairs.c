/* A fixed number of malloc(64) and free() pairs: for each line on stdin, a number, so many below a stack of
 * argv[1] calls; prints the nanoseconds that they took by this process's CPU clock. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NOINLINE __attribute__((noinline, noclone))

static volatile uint64_t sink;

NOINLINE void do_pairs(uint64_t pairs)
{
	for (uint64_t i = 0; i < pairs; i++) {
		void *block = malloc(64);

		/* The compiler may not know that nobody needs it. */
		__asm__ volatile("" : "+r"(block) : : "memory");
		free(block);
	}
}

NOINLINE uint64_t descend(unsigned depth, uint64_t pairs)
{
	uint64_t found = depth;

	/* The write after the call: the compiler cannot make a loop of the recursion. */
	if (depth > 2)
		found = descend(depth - 1, pairs);
	else
		do_pairs(pairs);
	sink = found;
	return found;
}

static uint64_t get_cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv)
{
	unsigned depth = argc > 1 ? (unsigned)atoi(argv[1]) : 20;
	unsigned long long pairs;

	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	while (scanf("%llu", &pairs) == 1) {
		uint64_t began_ns = get_cpu_ns();

		descend(depth, pairs);
		printf("%llu\n", (unsigned long long)(get_cpu_ns() - began_ns));
	}
	return 0;
}
