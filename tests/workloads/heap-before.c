/* Blocks from before the books: freed, grown, and left. Their addresses come again, and are then in the
 * books. */
#include "heap-ledger.h"

OWNER(moved);
OWNER(anew);

NOINLINE static struct block early(size_t bytes)
{
	return (struct block){hide(malloc(bytes)), bytes, NULL};
}

NOINLINE static void moved(struct block *block, size_t bytes)
{
	book_realloc(&owner_moved, block, realloc(block->address, hide(bytes)), bytes);
}

NOINLINE static struct block anew(size_t bytes)
{
	return book_alloc(&owner_anew, malloc(bytes), bytes);
}

static void drop(struct block *block)
{
	book_free(block);
	free(block->address);
}

int main(void)
{
	static struct block blocks[200], again[100];

	for (unsigned i = 0; i < 200; i++)
		blocks[i] = early(400);
	ledger_begin();
	for (unsigned i = 0; i < 100; i++)
		drop(&blocks[i]);
	for (unsigned i = 100; i < 110; i++)
		moved(&blocks[i], 50 * i);
	for (unsigned i = 110; i < 115; i++)
		moved(&blocks[i], LEDGER_HUGE_BYTES); /* stays, and stays unknown */
	for (unsigned i = 115; i < 122; i++) {
		book_free(&blocks[i]);
		free(NULL);
		if (hide(realloc(blocks[i].address, hide((size_t)0))))
			_exit(3);
	}
	for (unsigned i = 100; i < 104; i++)
		drop(&blocks[i]); /* known since it moved */
	for (unsigned i = 0; i < 100; i++)
		again[i] = anew(400);
	for (unsigned i = 0; i < 30; i++)
		drop(&again[i]);
	for (unsigned i = 110; i < 112; i++)
		drop(&blocks[i]);
	ledger_end();
}
