/* Loads a module whose symbols lie (argv[1]), and calls its one honest function for ever; ends with status 3
 * when its value changes. argv[2]: the file with the counter, as in heap-loop.c. */
#include "heap-ledger.h"

#include <dlfcn.h>
#include <sys/mman.h>

#define VALUE (0x5355415441554156ull * 0x90905590ull)

int main(int argc, char **argv)
{
	void *library = argc > 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	int fd = argc > 2 ? open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	uint64_t (*honest)(void) = library ? (uint64_t(*)(void))dlsym(library, "honest") : NULL;
	uint64_t *counter;

	if (!honest || fd < 0 || ftruncate(fd, 4096))
		return 1;
	counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (counter == MAP_FAILED)
		return 1;
	put_line("ready");
	for (uint64_t round = 0;; round++) {
		void *block = hide(malloc(1 + round % 500));

		if (honest() != VALUE || !block)
			_exit(3);
		free(block);
		__atomic_store_n(counter, round, __ATOMIC_RELAXED);
	}
}
