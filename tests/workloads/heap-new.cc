/* operator new and delete: who calls them owns the block, not libstdc++. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "heap-ledger.h"

#include <new>
#include <vector>

OWNER(make_node);
OWNER(make_array);
OWNER(make_wide);
OWNER(make_vector);

namespace
{
struct node {
	char bytes[120];
};

struct alignas(64) wide {
	char bytes[192];
};

NOINLINE struct block make_node()
{
	return book_alloc(&owner_make_node, new node, sizeof(node));
}

NOINLINE struct block make_array(size_t count)
{
	return book_alloc(&owner_make_array, new char[count], count);
}

NOINLINE struct block make_wide()
{
	return book_alloc(&owner_make_wide, new wide, sizeof(wide));
}

/* The one call inside std::allocator is inlined or not; its bytes are in this function's total at any rate.
 */
NOINLINE struct block make_vector(std::vector<uint64_t> &vector, size_t count)
{
	vector.reserve(count);
	return book_alloc(&owner_make_vector, vector.data(), count * sizeof(uint64_t));
}
} // namespace

int main()
{
	static struct block nodes[100], arrays[100], wides[100];
	static std::vector<uint64_t> vectors[10];

	ledger_begin();
	for (unsigned i = 0; i < 100; i++) {
		nodes[i] = make_node();
		arrays[i] = make_array(10 + i);
		wides[i] = make_wide();
	}
	for (unsigned i = 0; i < 10; i++)
		make_vector(vectors[i], 100 * (i + 1));
	for (unsigned i = 0; i < 40; i++) {
		book_free(&nodes[i]);
		delete static_cast<node *>(nodes[i].address);
		book_free(&arrays[i]);
		delete[] static_cast<char *>(arrays[i].address);
		book_free(&wides[i]);
		delete static_cast<wide *>(wides[i].address);
	}
	ledger_end();
}
