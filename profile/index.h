/* A hash index: finds the numbers (1 …) of things that lie in an array, by a hash of what identifies them.
 *
 * Use: `uint64_t at = hash; while ((number = index_next(&index, hash, &at))) if (things[number] is it) …`
 * Invariants: linear probing, at most 3/4 full; a slot keeps the hash, so that growing and removing need not
 * look at the things. Never iterated: nothing may depend on the order inside. Growing never stops the
 * program: the old table stays beside the new one, and each addition takes a few slots over (a table of 2 M
 * slots at once would be 50 ms and more). Slots taken over stay readable in the old one, so that its chains
 * hold; a number may be found twice meanwhile. Errors: index_reserve() is the only one that can fail;
 * index_add() must follow a successful one.
 */
#ifndef KILN_PROFILE_INDEX_H
#define KILN_PROFILE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct index_slot {
	uint32_t hash;
	uint32_t number; /* 0: empty */
};

#define INDEX_REMOVED UINT32_MAX   /* only in an old table: no number, but the chain goes on */
#define INDEX_OLD     (1ull << 63) /* in a position: it is one of the old table */
#define INDEX_STEP    16	   /* slots taken over at each addition */

struct index {
	struct index_slot *slots;
	size_t mask;
	size_t used;		/* numbers inside */
	struct index_slot *old; /* NULL: everything is in slots */
	size_t old_mask;
	size_t old_at; /* slots below are taken over */
};

/* The next number with this hash; 0: there are no more. */
static inline uint32_t index_next(const struct index *index, uint32_t hash, uint64_t *at)
{
	if (!index->slots)
		return 0;
	for (;;) {
		bool is_old = *at & INDEX_OLD;
		const struct index_slot *slot =
			is_old ? &index->old[*at & index->old_mask] : &index->slots[*at & index->mask];

		(*at)++;
		if (!slot->number) {
			if (is_old || !index->old)
				return 0;
			*at = INDEX_OLD | hash;
		} else if (slot->hash == hash && slot->number != INDEX_REMOVED) {
			return slot->number;
		}
	}
}

static inline void index_put(struct index *index, uint32_t hash, uint32_t number)
{
	size_t at = hash & index->mask;

	while (index->slots[at].number)
		at = (at + 1) & index->mask;
	index->slots[at] = (struct index_slot){hash, number};
}

static inline void index_add(struct index *index, uint32_t hash, uint32_t number)
{
	index_put(index, hash, number);
	index->used++;
}

/* Takes over at most so many slots of the old table. */
static inline void index_take_over(struct index *index, size_t count)
{
	for (; index->old && count; count--) {
		const struct index_slot *slot = &index->old[index->old_at];

		if (slot->number && slot->number != INDEX_REMOVED)
			index_put(index, slot->hash, slot->number);
		if (index->old_at++ < index->old_mask)
			continue;
		free(index->old);
		index->old = NULL;
	}
}

/* Makes room for one more; false when memory is short (everything stays as it is). */
static inline bool index_reserve(struct index *index)
{
	size_t capacity = index->slots ? index->mask + 1 : 0;
	struct index_slot *slots;

	index_take_over(index, INDEX_STEP);
	if ((index->used + 1) * 4 <= capacity * 3)
		return true;
	capacity = capacity ? capacity * 2 : 64;
	slots = calloc(capacity, sizeof(*slots));
	if (!slots)
		return false;
	index_take_over(index, SIZE_MAX);
	index->old = index->slots;
	index->old_mask = index->mask;
	index->old_at = 0;
	index->slots = slots;
	index->mask = capacity - 1;
	return true;
}

static inline bool index_find_slot(const struct index_slot *slots, size_t mask, uint32_t hash,
				   uint32_t number, size_t *ret)
{
	for (size_t at = hash & mask; slots[at].number; at = (at + 1) & mask) {
		if (slots[at].number != number)
			continue;
		*ret = at;
		return true;
	}
	return false;
}

/* What follows a hole moves up, so that no tombstones pile up. */
static inline void index_close_hole(struct index *index, size_t hole)
{
	for (size_t at = (hole + 1) & index->mask; index->slots[at].number; at = (at + 1) & index->mask) {
		size_t home = index->slots[at].hash & index->mask;

		if (((at - home) & index->mask) < ((at - hole) & index->mask))
			continue;
		index->slots[hole] = index->slots[at];
		hole = at;
	}
	index->slots[hole].number = 0;
}

/* The number must be inside. */
static inline void index_remove(struct index *index, uint32_t hash, uint32_t number)
{
	size_t at;

	if (index_find_slot(index->slots, index->mask, hash, number, &at))
		index_close_hole(index, at);
	if (index->old && index_find_slot(index->old, index->old_mask, hash, number, &at))
		index->old[at].number = INDEX_REMOVED;
	index->used--;
}

static inline void index_deinit(struct index *index)
{
	free(index->slots);
	free(index->old);
	*index = (struct index){0};
}

/* Empties it, and keeps all its room: as many numbers as were in it find their place without a reserve. */
static inline void index_empty(struct index *index)
{
	free(index->old);
	index->old = NULL;
	if (index->slots)
		memset(index->slots, 0, (index->mask + 1) * sizeof(*index->slots));
	index->used = 0;
}

/* Empties it, and keeps its room as long as that is small. */
static inline void index_clear(struct index *index)
{
	if (index->old || index->mask >= 1 << 14)
		index_deinit(index);
	if (index->slots)
		memset(index->slots, 0, (index->mask + 1) * sizeof(*index->slots));
	index->used = 0;
}

#endif
