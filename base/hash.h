/* Mixing of 64-bit keys for hash tables in memory. Not for anything that outlives the process. */
#ifndef KILN_BASE_HASH_H
#define KILN_BASE_HASH_H

#include <stdint.h>

/* The finaliser of MurmurHash3 (Austin Appleby, public domain): every input bit moves every output bit. */
static inline uint64_t hash_u64(uint64_t key)
{
	key ^= key >> 33;
	key *= 0xff51afd7ed558ccdull;
	key ^= key >> 33;
	key *= 0xc4ceb9fe1a85ec53ull;
	key ^= key >> 33;
	return key;
}

static inline uint64_t hash_pair(uint64_t a, uint64_t b)
{
	return hash_u64(hash_u64(a) ^ (b * 0x9e3779b97f4a7c15ull));
}

#endif
