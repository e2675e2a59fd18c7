/* What all workloads share: they say "ready" on stdout, work until SIGTERM, and change their phase at
 * SIGUSR1; tests wait for the words that they print, never for a time. */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

static volatile sig_atomic_t workload_phase;
static volatile uint64_t workload_sink;

static void workload_next_phase(int signal)
{
	workload_phase++;
}

static inline void workload_start(void)
{
	struct sigaction action = {.sa_handler = workload_next_phase, .sa_flags = SA_RESTART};

	sigaction(SIGUSR1, &action, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

static inline void workload_say(const char *words)
{
	printf("%s\n", words);
	fflush(stdout);
}

/* A chain of dependent multiplications. A macro: what is inlined is a function of its own, and the work is to
 * be the caller's. */
#ifdef WORKLOAD_INLINES
static inline __attribute__((always_inline)) uint64_t workload_burn(uint64_t seed, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++)
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return seed;
}
#else
#define workload_burn(seed, rounds)                                                                          \
	({                                                                                                   \
		uint64_t workload_value = (seed);                                                            \
		unsigned workload_left = (rounds);                                                           \
                                                                                                             \
		while (workload_left--)                                                                      \
			workload_value = workload_value * 6364136223846793005ull + 1442695040888963407ull;   \
		workload_value;                                                                              \
	})
#endif

#endif
