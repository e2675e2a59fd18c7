/* Every function of the allocator, and every way in which it can fail. Without arguments all cases, else
 * those that are named. */
#include "heap-ledger.h"

OWNER(by_malloc);
OWNER(by_calloc);
OWNER(by_realloc);
OWNER(by_reallocarray);
OWNER(by_posix_memalign);
OWNER(by_aligned_alloc);
OWNER(by_memalign);
OWNER(by_valloc);
OWNER(by_pvalloc);

NOINLINE static struct block by_malloc(size_t bytes)
{
	return book_alloc(&owner_by_malloc, malloc(hide(bytes)), bytes);
}

NOINLINE static struct block by_calloc(size_t count, size_t bytes)
{
	return book_alloc(&owner_by_calloc, calloc(hide(count), hide(bytes)), count * bytes);
}

/* To 0 bytes is a free, without a block it is a malloc. */
NOINLINE static void by_realloc(struct block *block, size_t bytes)
{
	void *address = hide(realloc(hide(block->address), hide(bytes)));

	if (block->address && !bytes) {
		book_free(block);
		*block = (struct block){0};
	} else {
		book_realloc(&owner_by_realloc, block, address, bytes);
	}
}

NOINLINE static void by_reallocarray(struct block *block, size_t count, size_t bytes)
{
	void *address = hide(reallocarray(hide(block->address), hide(count), hide(bytes)));

	if (block->address && (!count || !bytes)) {
		book_free(block);
		*block = (struct block){0};
	} else {
		book_realloc(&owner_by_reallocarray, block, address, count * bytes);
	}
}

NOINLINE static struct block by_posix_memalign(size_t alignment, size_t bytes)
{
	void *address = NULL;
	int status = posix_memalign(&address, hide(alignment), hide(bytes));

	return book_alloc(&owner_by_posix_memalign, status ? NULL : address, bytes);
}

NOINLINE static struct block by_aligned_alloc(size_t alignment, size_t bytes)
{
	return book_alloc(&owner_by_aligned_alloc, aligned_alloc(hide(alignment), hide(bytes)), bytes);
}

NOINLINE static struct block by_memalign(size_t alignment, size_t bytes)
{
	return book_alloc(&owner_by_memalign, memalign(hide(alignment), hide(bytes)), bytes);
}

NOINLINE static struct block by_valloc(size_t bytes)
{
	return book_alloc(&owner_by_valloc, valloc(hide(bytes)), bytes);
}

NOINLINE static struct block by_pvalloc(size_t bytes)
{
	return book_alloc(&owner_by_pvalloc, pvalloc(hide(bytes)), bytes);
}

NOINLINE static void drop(struct block *block)
{
	book_free(block);
	free(hide(block->address));
	*block = (struct block){0};
}

static void case_malloc(void)
{
	struct block block = by_malloc(1000);

	by_malloc(111);
	drop(&block);
}

static void case_malloc_zero(void)
{
	struct block block = by_malloc(0);

	by_malloc(0);
	drop(&block);
}

static void case_malloc_fails(void)
{
	by_malloc(LEDGER_HUGE_BYTES);
	by_malloc(SIZE_MAX);
}

static void case_calloc(void)
{
	struct block block = by_calloc(13, 17);

	by_calloc(3, 100000); /* of its own mapping */
	by_calloc(0, 8);
	drop(&block);
}

static void case_calloc_overflows(void)
{
	by_calloc(SIZE_MAX / 2, 3);	/* the product is 2^63 too large */
	by_calloc(SIZE_MAX / 8 + 2, 8); /* the product, cut to 64 bits, is 8 */
	by_calloc(LEDGER_HUGE_BYTES, 1);
}

static void case_realloc(void)
{
	struct block block = {0}, wall, last;

	by_realloc(&block, 100);
	by_realloc(&block, 104); /* in place */
	by_realloc(&block, 104);
	wall = by_malloc(64);
	by_realloc(&block, 5000);   /* moves: the wall stands behind it */
	by_realloc(&block, 50);	    /* shrinks in place */
	by_realloc(&block, 300000); /* into a mapping of its own */
	by_realloc(&block, 900000); /* which grows */
	by_realloc(&block, 60);	    /* and back */
	by_realloc(&block, 0);
	by_realloc(&block, 0); /* without a block: malloc(0) */
	last = block;
	block = (struct block){0};
	by_realloc(&block, 77);
	drop(&last);
	drop(&wall);
}

static void case_realloc_fails(void)
{
	struct block block = by_malloc(321), none = {0};

	memset(block.address, 0x5a, 321);
	by_realloc(&block, LEDGER_HUGE_BYTES); /* the old block stays */
	by_realloc(&none, LEDGER_HUGE_BYTES);
	for (unsigned i = 0; i < 321; i++) {
		if (((unsigned char *)block.address)[i] != 0x5a)
			_exit(3);
	}
	by_realloc(&block, 322);
	by_realloc(&block, SIZE_MAX);
	drop(&block);
	block = by_malloc(123);
	by_realloc(&block, LEDGER_HUGE_BYTES);
}

static void case_reallocarray(void)
{
	struct block block = {0};

	by_reallocarray(&block, 10, 10);
	by_reallocarray(&block, 100, 100);
	by_reallocarray(&block, SIZE_MAX / 2, 3); /* overflows: the old block stays */
	by_reallocarray(&block, LEDGER_HUGE_BYTES, 1);
	by_reallocarray(&block, 5, 5);
	by_reallocarray(&block, 0, 5);
	by_reallocarray(&block, 7, 9);
}

static void case_posix_memalign(void)
{
	struct block block = by_posix_memalign(64, 1000);

	by_posix_memalign(4096, 50);
	by_posix_memalign(64, 0);
	by_posix_memalign(3, 100);		  /* EINVAL */
	by_posix_memalign(0, 100);		  /* EINVAL */
	by_posix_memalign(64, LEDGER_HUGE_BYTES); /* ENOMEM */
	drop(&block);
}

static void case_aligned(void)
{
	struct block blocks[] = {
		by_aligned_alloc(64, 640),
		by_memalign(4096, 100),
		by_memalign(8, 33), /* no more than malloc has */
		by_valloc(1234),
		by_pvalloc(4321),
		by_aligned_alloc(256, 512),
	};

	by_memalign(64, LEDGER_HUGE_BYTES);
	by_aligned_alloc(64, SIZE_MAX - 100);
	by_valloc(LEDGER_HUGE_BYTES);
	by_pvalloc(SIZE_MAX);
	by_pvalloc(1);
	for (unsigned i = 0; i < 5; i++)
		drop(&blocks[i]);
}

static void case_free_nothing(void)
{
	struct block none = {0};

	for (unsigned i = 0; i < 10; i++)
		drop(&none);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{"malloc", case_malloc},
	{"malloc-zero", case_malloc_zero},
	{"malloc-fails", case_malloc_fails},
	{"calloc", case_calloc},
	{"calloc-overflows", case_calloc_overflows},
	{"realloc", case_realloc},
	{"realloc-fails", case_realloc_fails},
	{"reallocarray", case_reallocarray},
	{"posix-memalign", case_posix_memalign},
	{"aligned", case_aligned},
	{"free-nothing", case_free_nothing},
};

static bool is_wanted(const char *name, char **names)
{
	bool wanted = !*names;

	for (; *names; names++)
		wanted |= !strcmp(*names, name);
	return wanted;
}

int main(int argc, char **argv)
{
	ledger_begin();
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (is_wanted(cases[i].name, argv + 1))
			cases[i].run();
	}
	ledger_end();
}
