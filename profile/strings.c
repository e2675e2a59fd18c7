#include "profile/strings.h"

#include "base/hash.h"

#include <string.h>

#define CHUNK_BYTES (64 * 1024)

struct string_chunk {
	struct string_chunk *next;
	size_t used, size;
	char bytes[];
};

void strings_init(struct strings *strings, uint64_t seed)
{
	*strings = (struct strings){.seed = seed};
}

void strings_deinit(struct strings *strings)
{
	while (strings->chunks) {
		struct string_chunk *next = strings->chunks->next;

		free(strings->chunks);
		strings->chunks = next;
	}
	array_deinit(&strings->items);
	index_deinit(&strings->index);
}

/* Seeded: the target chooses the names, and must not be able to choose that they collide. */
static uint32_t hash_text(uint64_t seed, const char *text, size_t length)
{
	uint64_t hash = seed ^ length;
	uint64_t word;

	for (; length >= sizeof(word); text += sizeof(word), length -= sizeof(word)) {
		memcpy(&word, text, sizeof(word));
		hash = hash_u64(hash ^ word);
	}
	word = 0;
	memcpy(&word, text, length);
	return (uint32_t)hash_u64(hash ^ word);
}

static struct string_chunk *find_room(struct strings *strings, size_t bytes)
{
	size_t size = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
	struct string_chunk *chunk = strings->chunks;

	if (chunk && chunk->size - chunk->used >= bytes)
		return chunk;
	chunk = malloc(sizeof(*chunk) + size);
	if (!chunk)
		return NULL;
	*chunk = (struct string_chunk){.next = strings->chunks, .size = size};
	strings->chunks = chunk;
	return chunk;
}

const char *strings_intern(struct strings *strings, const char *text, size_t length)
{
	struct string_chunk *chunk;
	uint32_t hash, number;
	char *copy;
	size_t at;

	length = strnlen(text, length);
	hash = hash_text(strings->seed, text, length);
	at = hash;
	while ((number = index_next(&strings->index, hash, &at))) {
		const char *item = strings->items.items[number - 1];

		if (strncmp(item, text, length) == 0 && item[length] == '\0')
			return item;
	}
	if (!index_reserve(&strings->index) || !array_reserve(&strings->items, strings->items.count + 1))
		return NULL;
	chunk = find_room(strings, length + 1);
	if (!chunk)
		return NULL;
	copy = chunk->bytes + chunk->used;
	memcpy(copy, text, length);
	copy[length] = '\0';
	chunk->used += length + 1;
	strings->items.items[strings->items.count++] = copy;
	index_add(&strings->index, hash, (uint32_t)strings->items.count);
	return copy;
}
