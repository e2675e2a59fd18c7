/* The same function allocates below chains of 1, 5, 20, 60 and argv[1] calls. */
#include "heap-ledger.h"

OWNER(at_the_bottom);

NOINLINE static void at_the_bottom(size_t bytes)
{
	book_alloc(&owner_at_the_bottom, malloc(bytes), bytes);
}

NOINLINE static unsigned descend(unsigned depth, size_t bytes)
{
	if (depth > 1)
		return hide(descend(depth - 1, bytes)) + 1;
	at_the_bottom(bytes);
	return hide(depth);
}

int main(int argc, char **argv)
{
	unsigned depths[] = {1, 5, 20, 60, argc > 1 ? (unsigned)atoi(argv[1]) : 200};

	ledger_begin();
	for (unsigned i = 0; i < sizeof(depths) / sizeof(*depths); i++) {
		for (unsigned round = 0; round < 100; round++)
			descend(depths[i], 10 + depths[i]);
	}
	ledger_end();
}
