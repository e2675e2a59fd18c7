/* An interposer for LD_PRELOAD: its functions call the next ones, with 16 bytes more, for a header of its
 * own. What the program sees counts, once. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Each function begins with a push, as those of real allocators do. */
#pragma GCC optimize("no-omit-frame-pointer,no-shrink-wrap")

#define HEADER_BYTES 16

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *address, size_t bytes);
extern void __libc_free(void *address);

void *malloc(size_t bytes);
void *calloc(size_t count, size_t bytes);
void *realloc(void *address, size_t bytes);
void free(void *address);

static void *behind_header(void *address, size_t bytes)
{
	if (!address)
		return NULL;
	memcpy(address, &bytes, sizeof(bytes));
	return (char *)address + HEADER_BYTES;
}

static void *at_header(void *address)
{
	return address ? (char *)address - HEADER_BYTES : NULL;
}

void *malloc(size_t bytes)
{
	if (bytes > PTRDIFF_MAX)
		return NULL;
	return behind_header(__libc_malloc(bytes + HEADER_BYTES), bytes);
}

void *calloc(size_t count, size_t bytes)
{
	size_t whole;

	if (__builtin_mul_overflow(count, bytes, &whole) || whole > PTRDIFF_MAX)
		return NULL;
	return behind_header(__libc_calloc(1, whole + HEADER_BYTES), whole);
}

void *realloc(void *address, size_t bytes)
{
	if (bytes > PTRDIFF_MAX)
		return NULL;
	if (address && !bytes) {
		free(address);
		return NULL;
	}
	return behind_header(__libc_realloc(at_header(address), bytes + HEADER_BYTES), bytes);
}

void free(void *address)
{
	__libc_free(at_header(address));
	/* Work behind the call: it is no jump. */
	__asm__ volatile("" ::: "memory");
}
