/* A hash index: finds the numbers (1 …) of things that lie in an array, by a hash of what identifies them.
 *
 * Use: `size_t at = hash; while ((number = index_next(&index, hash, &at))) if (things[number] is it) …`
 * Invariants: linear probing, at most 3/4 full; a slot keeps the hash, so that growing and removing need not
 * look at the things. Never iterated: nothing may depend on the order inside. Errors: index_reserve() is the
 * only one that can fail; index_add() must follow a successful one.
 */
#ifndef KILN_PROFILE_INDEX_H
#define KILN_PROFILE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct index_slot {
	uint32_t hash;
	uint32_t number; /* 0: empty */
};

struct index {
	struct index_slot *slots;
	size_t mask;
	size_t used;
};

/* The next number with this hash; 0: there are no more. */
static inline uint32_t index_next(const struct index *index, uint32_t hash, size_t *at)
{
	if (!index->slots)
		return 0;
	for (;;) {
		const struct index_slot *slot = &index->slots[(*at)++ & index->mask];

		if (!slot->number)
			return 0;
		if (slot->hash == hash)
			return slot->number;
	}
}

static inline void index_add(struct index *index, uint32_t hash, uint32_t number)
{
	size_t at = hash & index->mask;

	while (index->slots[at].number)
		at = (at + 1) & index->mask;
	index->slots[at] = (struct index_slot){hash, number};
	index->used++;
}

/* Makes room for one more; false when memory is short (everything stays as it is). */
static inline bool index_reserve(struct index *index)
{
	size_t capacity = index->slots ? index->mask + 1 : 0;
	struct index grown = {0};

	if ((index->used + 1) * 4 <= capacity * 3)
		return true;
	capacity = capacity ? capacity * 2 : 64;
	grown.slots = calloc(capacity, sizeof(*grown.slots));
	if (!grown.slots)
		return false;
	grown.mask = capacity - 1;
	for (size_t i = 0; index->slots && i <= index->mask; i++)
		if (index->slots[i].number)
			index_add(&grown, index->slots[i].hash, index->slots[i].number);
	free(index->slots);
	*index = grown;
	return true;
}

/* The number must be inside. What follows it moves up, so that no tombstones pile up. */
static inline void index_remove(struct index *index, uint32_t hash, uint32_t number)
{
	size_t hole = hash & index->mask;

	while (index->slots[hole].number != number)
		hole = (hole + 1) & index->mask;
	for (size_t at = (hole + 1) & index->mask; index->slots[at].number; at = (at + 1) & index->mask) {
		size_t home = index->slots[at].hash & index->mask;

		if (((at - home) & index->mask) < ((at - hole) & index->mask))
			continue;
		index->slots[hole] = index->slots[at];
		hole = at;
	}
	index->slots[hole].number = 0;
	index->used--;
}

static inline void index_deinit(struct index *index)
{
	free(index->slots);
	*index = (struct index){0};
}

#endif
