#include "symbolizer/demangle_cache.h"

#include "base/hash.h"
#include "symbolizer/demangle.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MAX (16u << 20)

struct demangled {
	uint64_t hash;
	size_t name_length, text_length;
	char bytes[]; /* name, text */
};

static uint64_t hash_name(const char *name, size_t length)
{
	uint64_t hash = length, word;

	for (; length >= sizeof(word); name += sizeof(word), length -= sizeof(word)) {
		memcpy(&word, name, sizeof(word));
		hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 32;
	}
	word = 0;
	memcpy(&word, name, length);
	return hash_u64(hash ^ word);
}

/* The slot that holds the name, or the free one where it belongs. There is always a free one. */
static struct demangled **find_slot(const struct demangle_cache *cache, const char *name, size_t length,
				    uint64_t hash)
{
	size_t at = (size_t)hash & (cache->capacity - 1);

	for (; cache->slots[at]; at = (at + 1) & (cache->capacity - 1)) {
		const struct demangled *known = cache->slots[at];

		if (known->hash == hash && known->name_length == length &&
		    memcmp(known->bytes, name, length) == 0)
			break;
	}
	return &cache->slots[at];
}

static bool grow(struct demangle_cache *cache)
{
	struct demangle_cache grown = {.capacity = cache->capacity ? 2 * cache->capacity : 1024};

	grown.slots = calloc(grown.capacity, sizeof(*grown.slots));
	if (!grown.slots)
		return false;
	for (size_t i = 0; i < cache->capacity; i++) {
		struct demangled *known = cache->slots[i];

		if (known)
			*find_slot(&grown, known->bytes, known->name_length, known->hash) = known;
	}
	free(cache->slots);
	cache->slots = grown.slots;
	cache->capacity = grown.capacity;
	return true;
}

static void keep(struct demangle_cache *cache, const char *name, size_t length, uint64_t hash,
		 const char *text, size_t text_length)
{
	struct demangled *fresh;

	if (cache->bytes > BYTES_MAX)
		demangle_cache_deinit(cache);
	if (2 * (cache->count + 1) > cache->capacity && !grow(cache))
		return;
	fresh = malloc(sizeof(*fresh) + length + text_length);
	if (!fresh)
		return;
	*fresh = (struct demangled){.hash = hash, .name_length = length, .text_length = text_length};
	memcpy(fresh->bytes, name, length);
	memcpy(fresh->bytes + length, text, text_length);
	*find_slot(cache, name, length, hash) = fresh;
	cache->count++;
	cache->bytes += sizeof(*fresh) + length + text_length;
}

size_t demangle_cached(struct demangle_cache *cache, const char *name, size_t length,
		       char ret[NAME_LENGTH_MAX + 1])
{
	const struct demangled *known;
	size_t text_length;
	uint64_t hash;

	if (length < 2 || name[0] != '_' || (name[1] != 'Z' && name[1] != 'R'))
		return demangle_name(name, length, ret);
	hash = hash_name(name, length);
	known = cache->capacity ? *find_slot(cache, name, length, hash) : NULL;
	if (known) {
		memcpy(ret, known->bytes + length, known->text_length);
		ret[known->text_length] = '\0';
		return known->text_length;
	}
	text_length = demangle_name(name, length, ret);
	keep(cache, name, length, hash, ret, text_length);
	return text_length;
}

void demangle_cache_deinit(struct demangle_cache *cache)
{
	for (size_t i = 0; i < cache->capacity; i++)
		free(cache->slots[i]);
	free(cache->slots);
	*cache = (struct demangle_cache){.slots = NULL};
}
