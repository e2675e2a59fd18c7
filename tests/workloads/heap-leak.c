/* leak_a() and leak_b() lose argv[1] blocks each, of argv[2] and three times as many bytes; churn() frees
 * what it allocates at once, hold() later. */
#include "heap-ledger.h"

OWNER(leak_a);
OWNER(leak_b);
OWNER(churn);
OWNER(hold);

NOINLINE static void leak_a(size_t bytes)
{
	book_alloc(&owner_leak_a, malloc(bytes), bytes);
}

NOINLINE static void leak_b(size_t bytes)
{
	book_alloc(&owner_leak_b, malloc(bytes), bytes);
}

NOINLINE static void churn(size_t bytes)
{
	struct block block = book_alloc(&owner_churn, malloc(bytes), bytes);

	book_free(&block);
	free(block.address);
}

NOINLINE static struct block hold(size_t count, size_t bytes)
{
	return book_alloc(&owner_hold, calloc(count, bytes), count * bytes);
}

int main(int argc, char **argv)
{
	static struct block held[1000];
	unsigned count = argc > 1 ? (unsigned)atoi(argv[1]) : 1000;
	size_t bytes = argc > 2 ? (size_t)atol(argv[2]) : 100;

	ledger_begin();
	for (unsigned i = 0; i < 1000; i++)
		held[i] = hold(i % 7, 1 + i % 90);
	for (unsigned i = 0; i < count; i++) {
		leak_a(bytes);
		churn(i % 5000);
		leak_b(3 * bytes);
		churn(1 + i % 130);
	}
	for (unsigned i = 0; i < 1000; i += 2) {
		book_free(&held[i]);
		free(held[i].address);
	}
	ledger_end();
}
