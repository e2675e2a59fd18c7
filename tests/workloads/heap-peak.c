/* Grows, shrinks, and grows less: the peak and everyone's part in it are known. One block at the top grows by
 * realloc, which is never counted twice. */
#include "heap-ledger.h"

OWNER(stay);
OWNER(burst);
OWNER(top);
OWNER(later);

NOINLINE static struct block stay(size_t bytes)
{
	return book_alloc(&owner_stay, malloc(bytes), bytes);
}

NOINLINE static struct block burst(size_t bytes)
{
	return book_alloc(&owner_burst, malloc(bytes), bytes);
}

NOINLINE static void top(struct block *block, size_t bytes)
{
	book_realloc(&owner_top, block, realloc(block->address, bytes), bytes);
}

NOINLINE static struct block later(size_t bytes)
{
	return book_alloc(&owner_later, malloc(bytes), bytes);
}

static void drop(struct block *block)
{
	book_free(block);
	free(block->address);
	*block = (struct block){0};
}

int main(void)
{
	static struct block stays[100], bursts[500], laters[300];
	struct block moving = {0};

	ledger_begin();
	for (unsigned i = 0; i < 100; i++)
		stays[i] = stay(1000 + i);
	top(&moving, 10);
	for (unsigned i = 0; i < 500; i++)
		bursts[i] = burst(2000 + i);
	top(&moving, 300000);
	top(&moving, 700);
	for (unsigned i = 0; i < 500; i++)
		drop(&bursts[i]);
	for (unsigned i = 0; i < 300; i++)
		laters[i] = later(1500);
	for (unsigned i = 0; i < 50; i++)
		drop(&stays[i]);
	for (unsigned i = 0; i < 10; i++)
		drop(&laters[i]);
	ledger_end();
}
