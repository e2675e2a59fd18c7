#include "tui/siblings.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

/* ---- places: open addressing, at most half full ---- */

static struct place *find_slot(const struct places *places, uint64_t key)
{
	size_t mask = places->capacity - 1, slot = hash_u64(key) & mask;

	while (places->slots[slot].place && places->slots[slot].key != key)
		slot = (slot + 1) & mask;
	return &places->slots[slot];
}

static uint32_t get_place(const struct places *places, uint64_t key)
{
	return places->capacity ? find_slot(places, key)->place : 0;
}

static bool grow(struct places *places)
{
	struct places bigger = {NULL, places->count, places->capacity ? places->capacity * 2 : 64};
	size_t i;

	bigger.slots = calloc(bigger.capacity, sizeof(*bigger.slots));
	if (!bigger.slots)
		return false;
	for (i = 0; i < places->capacity; i++)
		if (places->slots[i].place)
			*find_slot(&bigger, places->slots[i].key) = places->slots[i];
	free(places->slots);
	*places = bigger;
	return true;
}

/* A key without a place is a new one the next time: nothing worse. */
static void set_place(struct places *places, uint64_t key, uint32_t place)
{
	struct place *slot;

	if (places->count * 2 >= places->capacity && !grow(places))
		return;
	slot = find_slot(places, key);
	places->count += slot->place == 0;
	*slot = (struct place){key, place};
}

static void forget_places(struct places *places)
{
	if (places->count)
		memset(places->slots, 0, places->capacity * sizeof(*places->slots));
	places->count = 0;
}

/* ---- order ---- */

void siblings_begin(struct siblings *siblings, uint64_t revision)
{
	struct places empty = siblings->before;

	siblings->before = siblings->now;
	siblings->now = empty;
	forget_places(&siblings->now);
	siblings->sorts = siblings->sorts_all = siblings->steady.now;
	if (revision != siblings->revision || siblings->sorts_all)
		siblings->sorts = steady_refresh(&siblings->steady, siblings->is_wrong);
	siblings->revision = revision;
	siblings->is_wrong = false;
}

struct ranked {
	struct tree_item item;
	uint32_t place;
};

static int compare_places(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (!x->place != !y->place)
		return x->place ? -1 : 1; /* new ones go right */
	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	if (x->item.total != y->item.total)
		return x->item.total > y->item.total ? -1 : 1;
	return x->item.key < y->item.key ? -1 : x->item.key > y->item.key;
}

static void sort_by_place(struct siblings *siblings, struct tree_item *items, size_t count)
{
	struct ranked *ranked = reallocarray(NULL, count, sizeof(*ranked));
	size_t i;

	if (!ranked)
		return;
	for (i = 0; i < count; i++)
		ranked[i] = (struct ranked){items[i], get_place(&siblings->before, items[i].key)};
	qsort(ranked, count, sizeof(*ranked), compare_places);
	for (i = 0; i < count; i++)
		items[i] = ranked[i].item;
	free(ranked);
}

static bool has_wrong_pair(const struct tree_item *items, size_t count, uint64_t floor)
{
	uint64_t lightest = UINT64_MAX;
	size_t i;

	for (i = 0; i < count; i++) {
		if (items[i].total >= floor && lightest != UINT64_MAX &&
		    steady_is_wrong(lightest, items[i].total))
			return true;
		if (items[i].total < lightest)
			lightest = items[i].total;
	}
	return false;
}

const struct tree_item *siblings_sort(struct siblings *siblings, const struct tree_item *items, size_t count,
				      uint64_t floor)
{
	size_t i;

	if (!count || !array_reserve(&siblings->items, count))
		return items;
	memcpy(siblings->items.items, items, count * sizeof(*items));
	siblings->items.count = count;
	if (count > 1)
		sort_by_place(siblings, siblings->items.items, count);
	if (siblings->sorts_all || has_wrong_pair(siblings->items.items, count, floor)) {
		if (siblings->sorts)
			memcpy(siblings->items.items, items, count * sizeof(*items)); /* heaviest first */
		else
			siblings->is_wrong = true;
	}
	for (i = 0; i < count; i++)
		set_place(&siblings->now, siblings->items.items[i].key, (uint32_t)i + 1);
	return siblings->items.items;
}

void siblings_deinit(struct siblings *siblings)
{
	free(siblings->before.slots);
	free(siblings->now.slots);
	array_deinit(&siblings->items);
	*siblings = (struct siblings){0};
}
