/* Reading of a byte string that somebody else wrote: little-endian, never outside of it.
 *
 * Invariants: at <= end. Errors: what is not there reads as 0, and sets `failed`, which stays set; `at` is
 * then the end, so that loops over the rest of it stop.
 */
#ifndef KILN_SYMBOLIZER_BYTES_H
#define KILN_SYMBOLIZER_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	const unsigned char *at, *end;
	bool failed;
};

static inline struct bytes bytes_make(const void *start, size_t length)
{
	/* A section that is not there: no pointer is moved, not even by nothing. */
	const unsigned char *bytes = start ? start : (const void *)"";

	return (struct bytes){bytes, bytes + (start ? length : 0), false};
}

static inline size_t bytes_left(const struct bytes *bytes)
{
	return (size_t)(bytes->end - bytes->at);
}

static inline uint64_t bytes_fail(struct bytes *bytes)
{
	bytes->failed = true;
	bytes->at = bytes->end;
	return 0;
}

static inline void bytes_skip(struct bytes *bytes, uint64_t length)
{
	if (length > bytes_left(bytes))
		bytes_fail(bytes);
	else
		bytes->at += length;
}

/* size: 1 to 8. */
static inline uint64_t bytes_uint(struct bytes *bytes, size_t size)
{
	uint64_t value = 0;

	if (size > bytes_left(bytes))
		return bytes_fail(bytes);
	memcpy(&value, bytes->at, size);
	bytes->at += size;
	return value;
}

/* LEB128; bits beyond 64 are dropped. */
static inline uint64_t bytes_uleb(struct bytes *bytes)
{
	uint64_t value = 0;

	for (unsigned shift = 0; bytes->at < bytes->end; shift += 7) {
		unsigned char byte = *bytes->at++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	return bytes_fail(bytes);
}

static inline int64_t bytes_sleb(struct bytes *bytes)
{
	uint64_t value = 0;

	for (unsigned shift = 0; bytes->at < bytes->end;) {
		unsigned char byte = *bytes->at++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (byte & 0x80)
			continue;
		if (shift < 64 && (byte & 0x40))
			value |= ~0ull << shift;
		return (int64_t)value;
	}
	return (int64_t)bytes_fail(bytes);
}

/* A terminated string that lies in it; NULL when it has no end. */
static inline const char *bytes_string(struct bytes *bytes)
{
	const unsigned char *start = bytes->at;
	const unsigned char *zero = start < bytes->end ? memchr(start, 0, bytes_left(bytes)) : NULL;

	if (!zero) {
		bytes_fail(bytes);
		return NULL;
	}
	bytes->at = zero + 1;
	return (const char *)start;
}

#endif
