/* Loads the module argv[1], which brings its own malloc and free, and calls them through pointers: before its
 * books begin, or inside them (argv[2] is "during"). What the loading itself allocates is not known here. */
#include "heap-ledger.h"

#include <dlfcn.h>

OWNER(from_module);
OWNER(cleared);
OWNER(grown);
OWNER(from_libc);

static struct {
	void *(*malloc)(size_t bytes);
	void *(*calloc)(size_t count, size_t bytes);
	void *(*realloc)(void *address, size_t bytes);
	void (*free)(void *address);
} module;

NOINLINE static struct block from_module(size_t bytes)
{
	return book_alloc(&owner_from_module, module.malloc(bytes), bytes);
}

NOINLINE static struct block cleared(size_t count, size_t bytes)
{
	return book_alloc(&owner_cleared, module.calloc(count, bytes), count * bytes);
}

NOINLINE static void grown(struct block *block, size_t bytes)
{
	book_realloc(&owner_grown, block, module.realloc(block->address, bytes), bytes);
}

NOINLINE static struct block from_libc(size_t bytes)
{
	return book_alloc(&owner_from_libc, malloc(bytes), bytes);
}

static void load(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		_exit(1);
	module.malloc = (void *(*)(size_t))dlsym(library, "malloc");
	module.calloc = (void *(*)(size_t, size_t))dlsym(library, "calloc");
	module.realloc = (void *(*)(void *, size_t))dlsym(library, "realloc");
	module.free = (void (*)(void *))dlsym(library, "free");
	if (!module.malloc || module.malloc == malloc || !module.calloc || !module.realloc || !module.free)
		_exit(1);
}

/* Counts nowhere, and shows that there is code in the module. */
static void free_nothing(void)
{
	module.free(NULL);
}

int main(int argc, char **argv)
{
	static struct block blocks[200], libc_blocks[100];
	bool during = argc > 2 && !strcmp(argv[2], "during");

	if (argc < 2)
		return 1;
	if (!during)
		load(argv[1]);
	ledger_begin();
	if (during) {
		load(argv[1]);
		ledger_work("loaded", free_nothing);
	}
	for (unsigned i = 0; i < 200; i++)
		blocks[i] = i % 2 ? from_module(100 + i) : cleared(i, 3);
	for (unsigned i = 0; i < 50; i++)
		grown(&blocks[i], 1000 + i);
	grown(&blocks[0], LEDGER_HUGE_BYTES);
	cleared(SIZE_MAX / 2, 3);
	for (unsigned i = 0; i < 100; i++)
		libc_blocks[i] = from_libc(10 * i);
	for (unsigned i = 0; i < 100; i += 2) {
		book_free(&blocks[i]);
		module.free(blocks[i].address);
		book_free(&libc_blocks[i]);
		free(libc_blocks[i].address);
	}
	module.free(NULL);
	ledger_end();
}
