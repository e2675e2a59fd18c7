/* Warm lookups of all levels of an address: usage: bench_levels ELF START END. Prints addresses a second, and
 * bytes of the index. */
#include "symbolizer/dwarf.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ADDRESSES 20000
#define ROUNDS	  50

static double now_s(void)
{
	struct timespec now;

	/* Of this thread: what else the machine does is left out. */
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t look_up_all(struct debug *debug, const uint64_t *addresses)
{
	struct debug_level levels[64];
	size_t found = 0;

	for (size_t i = 0; i < ADDRESSES; i++)
		found += debug_find_levels(debug, addresses[i], levels, 64);
	return found;
}

int main(int argc, char **argv)
{
	static uint64_t addresses[ADDRESSES];
	int fd = argc == 4 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
	uint64_t start = fd < 0 ? 0 : strtoull(argv[2], NULL, 16), state = 1;
	uint64_t end = fd < 0 ? 0 : strtoull(argv[3], NULL, 16);
	struct debug *debug;
	double began, cold;
	size_t levels;
	Elf *elf;

	if (start >= end)
		return 2;
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	for (size_t i = 0; i < ADDRESSES; i++) {
		state = state * 6364136223846793005ull + 1442695040888963407ull;
		addresses[i] = start + (state >> 20) % (end - start);
	}
	began = now_s();
	if (!elf || debug_create(elf, &debug))
		return 1;
	levels = look_up_all(debug, addresses);
	cold = now_s() - began;
	began = now_s();
	for (unsigned i = 0; i < ROUNDS; i++)
		look_up_all(debug, addresses);
	printf("%.0f %.4f %zu %zu\n", ROUNDS * (double)ADDRESSES / (now_s() - began), cold,
	       debug_measure(debug), levels);
	debug_destroy(debug);
	elf_end(elf);
	close(fd);
	return 0;
}
