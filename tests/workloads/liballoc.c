/* A module that brings an allocator of its own, under the usual names: one arena, lists of what was freed by
 * power of two. For heap-dlopen.c. */
#include <stddef.h>
#include <stdint.h>

/* Each function begins with a push, as those of real allocators do. */
#pragma GCC optimize("no-omit-frame-pointer,no-shrink-wrap")

#define ARENA_BYTES (16 << 20)
#define CLASSES	    24

struct header {
	size_t bytes;
	unsigned class;
	struct header *next;
} __attribute__((aligned(16)));

static unsigned char arena[ARENA_BYTES] __attribute__((aligned(16)));
static size_t used;
static struct header *lists[CLASSES];

void *malloc(size_t bytes);
void *calloc(size_t count, size_t bytes);
void *realloc(void *address, size_t bytes);
void free(void *address);

/* Nothing in here may call the public names: they belong to whoever came first into the process. */
static __attribute__((noinline)) void *take(size_t bytes)
{
	struct header *header;
	unsigned class = 4;

	while (class < CLASSES && ((size_t)1 << class) < bytes)
		class ++;
	if (class == CLASSES)
		return NULL;
	header = lists[class];
	if (header) {
		lists[class] = header->next;
	} else {
		size_t whole = sizeof(*header) + ((size_t)1 << class);

		if (whole > ARENA_BYTES - used)
			return NULL;
		header = (struct header *)(arena + used);
		used += whole;
	}
	header->bytes = bytes;
	header->class = class;
	return header + 1;
}

static __attribute__((noinline)) void give(void *address)
{
	struct header *header = (struct header *)address - 1;

	header->next = lists[header->class];
	lists[header->class] = header;
}

/* By hand: the compiler would make a call of memset or memcpy of a plain loop. */
static void copy(unsigned char *to, const unsigned char *from, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		((volatile unsigned char *)to)[i] = from ? from[i] : 0;
}

void *malloc(size_t bytes)
{
	void *address = take(bytes);

	__asm__ volatile("" : "+r"(address));
	return address;
}

void *calloc(size_t count, size_t bytes)
{
	size_t whole;
	void *address;

	if (__builtin_mul_overflow(count, bytes, &whole))
		return NULL;
	address = take(whole);
	if (address)
		copy(address, NULL, whole);
	return address;
}

void *realloc(void *address, size_t bytes)
{
	void *fresh = bytes ? take(bytes) : NULL;

	if (address && fresh) {
		size_t old = ((struct header *)address - 1)->bytes;

		copy(fresh, address, old < bytes ? old : bytes);
	}
	if (address && (fresh || !bytes))
		give(address);
	return fresh;
}

void free(void *address)
{
	if (address)
		give(address);
}
