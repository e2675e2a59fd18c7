/* Allocates, writes, checks and frees for ever, in argv[2] threads; the file argv[1] is mapped, and holds a
 * counter of rounds for each thread: whoever reads it sees that the program computes on. Ends with status 3
 * when a block does not hold what was written to it. */
#include "heap-ledger.h"

#include <pthread.h>
#include <sys/mman.h>

#define HELD 16

static uint64_t *counters;

NOINLINE static unsigned char *loop_alloc(size_t bytes)
{
	return hide(malloc(bytes));
}

static void check(const unsigned char *block, size_t bytes, unsigned char value)
{
	if (block[0] != value || block[bytes - 1] != value)
		_exit(3);
}

static void *run(void *arg)
{
	uint64_t *counter = arg;
	unsigned char *blocks[HELD] = {0};
	size_t sizes[HELD] = {0};

	for (uint64_t round = 0;; round++) {
		unsigned slot = round % HELD;

		if (blocks[slot])
			check(blocks[slot], sizes[slot], (unsigned char)(round - HELD));
		free(blocks[slot]);
		sizes[slot] = 1 + round * 37 % 3000;
		blocks[slot] = round % 8 ? loop_alloc(sizes[slot]) : hide(realloc(NULL, sizes[slot]));
		if (!blocks[slot])
			_exit(3);
		blocks[slot][0] = blocks[slot][sizes[slot] - 1] = (unsigned char)round;
		__atomic_store_n(counter, round, __ATOMIC_RELAXED);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned count = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
	int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (fd < 0 || ftruncate(fd, 4096))
		return 1;
	counters = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (counters == MAP_FAILED)
		return 1;
	for (unsigned i = 1; i < count && i < 64; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, run, counters + i * 8))
			return 1;
	}
	put_line("ready");
	run(counters);
}
