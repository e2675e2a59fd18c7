#include "symbolizer/text_pool.h"

#include "base/hash.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static size_t hash_text(const char *text)
{
	uint64_t hash = 0;

	for (; *text; text++)
		hash = hash * 1099511628211ull + (unsigned char)*text;
	return (size_t)hash_u64(hash);
}

/* The slot that holds the text, or the free one where it belongs. There is always a free one. */
static char **find_slot(const struct text_pool *pool, const char *text)
{
	size_t at = hash_text(text) & (pool->capacity - 1);

	while (pool->slots[at] && strcmp(pool->slots[at], text) != 0)
		at = (at + 1) & (pool->capacity - 1);
	return &pool->slots[at];
}

static bool grow(struct text_pool *pool)
{
	struct text_pool grown = {.capacity = pool->capacity ? 2 * pool->capacity : 64};

	grown.slots = calloc(grown.capacity, sizeof(*grown.slots));
	if (!grown.slots)
		return false;
	for (size_t i = 0; i < pool->capacity; i++) {
		if (pool->slots[i])
			*find_slot(&grown, pool->slots[i]) = pool->slots[i];
	}
	grown.count = pool->count;
	free(pool->slots);
	*pool = grown;
	return true;
}

const char *text_pool_keep(struct text_pool *pool, const char *text)
{
	char **slot;

	if (2 * (pool->count + 1) > pool->capacity && !grow(pool))
		return NULL;
	slot = find_slot(pool, text);
	if (!*slot) {
		*slot = strdup(text);
		pool->count += *slot != NULL;
	}
	return *slot;
}

void text_pool_deinit(struct text_pool *pool)
{
	for (size_t i = 0; i < pool->capacity; i++)
		free(pool->slots[i]);
	free(pool->slots);
	*pool = (struct text_pool){.slots = NULL};
}
