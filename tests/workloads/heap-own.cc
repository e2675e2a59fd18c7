/* A program that brings its allocator and operator new in its own file, as one that is linked statically with
 * such a library does. Its operator new throws, and the caller catches: a probe that had changed the return
 * address of a function on the way would end the program here. The allocator itself keeps the books: also
 * what the throwing allocates is known. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "heap-ledger.h"

#include <new>

/* Each function begins with a push, as those of real allocators do. */
#pragma GCC optimize("no-omit-frame-pointer,no-shrink-wrap")

#define ARENA_BYTES (32 << 20)
#define LIMIT_BYTES (1 << 20)

static unsigned char arena[ARENA_BYTES] __attribute__((aligned(16)));
static size_t used;
static bool counting;

OWNER(make_node);
/* What the throwing takes. */
static struct owner owner_exception = {"__cxa_allocate_exception", 0, 0, 0, 0, 0, false};
static struct owner *owner = &owner_exception;

/* Behind the block's size, and whose it is: NULL from before. */
struct header {
	size_t bytes;
	struct owner *owner;
};

NOINLINE static void *take(size_t bytes)
{
	size_t whole = (sizeof(struct header) + bytes + 15) & ~(size_t)15;
	struct header *header = reinterpret_cast<struct header *>(arena + used);

	if (bytes > LIMIT_BYTES || whole > ARENA_BYTES - used) {
		if (counting)
			book_failed();
		return nullptr;
	}
	used += whole;
	*header = {bytes, counting ? owner : nullptr};
	if (counting)
		book_alloc(owner, header + 1, bytes);
	return header + 1;
}

NOINLINE static void give(void *address)
{
	struct header *header = static_cast<struct header *>(address) - 1;
	struct block block = {address, header->bytes, header->owner};

	if (counting)
		book_free(&block);
}

/* Real calls, as from one file of a library to another: operator new calls malloc. */
extern "C" {
NOINLINE void *malloc(size_t bytes)
{
	return hide(take(bytes));
}

void *calloc(size_t count, size_t bytes)
{
	return hide(take(count * bytes)); /* an arena is never used twice */
}

void *realloc(void *address, size_t bytes)
{
	void *fresh = take(bytes);
	const struct header *header = static_cast<struct header *>(address) - 1;

	if (!address || !fresh)
		return fresh;
	memcpy(fresh, address, header->bytes < bytes ? header->bytes : bytes);
	give(address);
	return fresh;
}

NOINLINE void free(void *address)
{
	if (address)
		give(address);
}
}

void *operator new(size_t bytes)
{
	void *address = malloc(bytes);

	if (!address)
		throw std::bad_alloc();
	return address;
}

void operator delete(void *address) noexcept
{
	free(address);
}

void operator delete(void *address, size_t) noexcept
{
	free(address);
}

namespace
{
NOINLINE void *make_node(size_t bytes)
{
	void *node;

	owner = &owner_make_node;
	node = hide(::operator new(bytes));
	owner = &owner_exception;
	return node;
}

NOINLINE bool throws(size_t bytes)
{
	try {
		::operator delete(hide(::operator new(bytes)));
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}
} // namespace

int main()
{
	static void *nodes[100];
	bool caught = true;

	ledger_begin();
	counting = true;
	for (unsigned i = 0; i < 100; i++)
		nodes[i] = make_node(100 + i);
	for (unsigned i = 0; i < 10; i++)
		caught &= throws(LIMIT_BYTES + 1 + i);
	for (unsigned i = 0; i < 30; i++)
		::operator delete(nodes[i]);
	if (!caught)
		_exit(3);
	ledger_end();
}
