#include "tui/hot_order.h"

#include <string.h>

#define RANK_EVERY 10 /* refreshes */

static uint64_t get_value(const struct hot_order *order, uint32_t number)
{
	struct function function;

	if (order->sort == HOT_BY_VALUE)
		return order->read_value(order->read_value_arg, number);
	function = profile_get_function(order->profile, number);
	return order->sort == HOT_BY_SELF ? function.self : function.total;
}

static bool is_in_list(const struct hot_order *order, uint32_t number)
{
	struct function function = profile_get_function(order->profile, number);

	return order->has_only_self ? function.self : function.total;
}

/* Those with self are the first ones of the list by self. */
uint32_t hot_order_count(const struct hot_order *order)
{
	uint32_t low = 0, high = profile_count_hot(order->profile);

	while (order->has_only_self && low < high) {
		uint32_t middle = low + (high - low) / 2, number;

		number = profile_get_function_by_self(order->profile, middle);
		if (profile_get_function(order->profile, number).self)
			low = middle + 1;
		else
			high = middle;
	}
	return high;
}

/* ---- the first places by total or value: a heap of them whose root is the lightest ---- */

struct ranking {
	uint64_t value, self;
	uint32_t function;
};

/* Ties are broken, so that there is one order. */
static bool is_lighter(const struct ranking *a, const struct ranking *b)
{
	if (a->value != b->value)
		return a->value < b->value;
	return a->self != b->self ? a->self < b->self : a->function > b->function;
}

static void sift_down(struct ranking *heap, size_t count, size_t place)
{
	struct ranking moved = heap[place];
	size_t child;

	while ((child = 2 * place + 1) < count) {
		if (child + 1 < count && is_lighter(&heap[child + 1], &heap[child]))
			child++;
		if (!is_lighter(&heap[child], &moved))
			break;
		heap[place] = heap[child];
		place = child;
	}
	heap[place] = moved;
}

static struct ranking read_ranking(const struct hot_order *order, uint32_t number)
{
	return (struct ranking){get_value(order, number), profile_get_function(order->profile, number).self,
				number};
}

static struct ranking read_ranking_at(const struct hot_order *order, uint32_t rank)
{
	return read_ranking(order, profile_get_function_by_self(order->profile, rank));
}

static void fill_heap(const struct hot_order *order, struct ranking *heap, size_t wanted)
{
	uint32_t rank;
	size_t i;

	for (rank = 0; rank < wanted; rank++)
		heap[rank] = read_ranking_at(order, rank);
	for (i = wanted / 2; i-- > 0;)
		sift_down(heap, wanted, i);
	for (; rank < order->count; rank++) {
		struct ranking next = read_ranking_at(order, rank);

		if (!is_lighter(&heap[0], &next))
			continue;
		heap[0] = next;
		sift_down(heap, wanted, 0);
	}
}

static bool rank_by_value(struct hot_order *order, size_t wanted)
{
	struct ranking *heap;

	order->ranked.count = 0;
	order->age = 0;
	if (!wanted || !array_reserve(&order->ranked, wanted))
		return !wanted;
	heap = reallocarray(NULL, wanted, sizeof(*heap));
	if (!heap)
		return false;
	fill_heap(order, heap, wanted);
	order->ranked.count = wanted;
	for (; wanted; wanted--) { /* the lightest goes last */
		order->ranked.items[wanted - 1] = heap[0].function;
		heap[0] = heap[wanted - 1];
		sift_down(heap, wanted - 1, 0);
	}
	free(heap);
	return true;
}

/* ---- what is shown ---- */

/* The function that belongs at a place now. */
static uint32_t get_ideal(const struct hot_order *order, size_t place)
{
	if (order->sort != HOT_BY_SELF)
		return order->ranked.items[place];
	return profile_get_function_by_self(order->profile, (uint32_t)place);
}

static bool has_ideal(struct hot_order *order, size_t wanted)
{
	if (order->sort == HOT_BY_SELF || order->ranked.count >= wanted)
		return true;
	return rank_by_value(order, wanted);
}

/* Appends what belongs to the first places and is not shown yet. */
static void extend(struct hot_order *order, size_t wanted)
{
	struct key_set have = {0};
	size_t i;

	order->count = hot_order_count(order); /* names that came since may have joined functions */
	if (wanted > order->count)
		wanted = order->count;
	if (order->shown.count >= wanted || !array_reserve(&order->shown, wanted) ||
	    !has_ideal(order, wanted))
		return;
	for (i = 0; i < order->shown.count; i++)
		key_set_add(&have, order->shown.items[i]);
	for (i = 0; i < wanted && order->shown.count < wanted; i++)
		if (!key_set_has(&have, get_ideal(order, i)))
			order->shown.items[order->shown.count++] = get_ideal(order, i);
	key_set_deinit(&have);
}

static void sort(struct hot_order *order, size_t wanted)
{
	order->shown.count = 0;
	if (order->sort != HOT_BY_SELF && !rank_by_value(order, wanted))
		return;
	extend(order, wanted);
	order->is_valid = true;
}

/* Nobody stands there any more: its samples have moved to the function with the name. */
static bool has_empty(const struct hot_order *order)
{
	size_t i;

	for (i = 0; i < order->shown.count; i++)
		if (!is_in_list(order, order->shown.items[i]))
			return true;
	return false;
}

static bool is_wrong(struct hot_order *order)
{
	size_t i;

	if (!has_ideal(order, order->shown.count))
		return false;
	for (i = 0; i < order->shown.count; i++) {
		uint64_t shown = get_value(order, order->shown.items[i]);
		uint64_t ideal = get_value(order, get_ideal(order, i));

		if (steady_is_wrong(shown, ideal) || steady_is_wrong(ideal, shown))
			return true;
	}
	return false;
}

/* Far down a long list, all that stands above is compared at every n-th refresh only (as with struct pace).
 */
static bool is_check_due(struct hot_order *order)
{
	if (order->unchecked++ < order->shown.count / PACE_WORK)
		return false;
	order->unchecked = 0;
	return true;
}

void hot_order_refresh(struct hot_order *order, size_t wanted)
{
	uint64_t revision = profile_get_revision(order->profile);
	bool is_new = revision != order->revision, sorts = !order->is_valid || order->steady.now;
	bool is_due = (is_new && is_check_due(order)) || sorts;

	order->count = hot_order_count(order);
	if (wanted > order->count)
		wanted = order->count;
	if (order->shown.count > wanted)
		order->shown.count = wanted;
	order->revision = revision;
	if (is_new && order->sort != HOT_BY_SELF && ++order->age >= RANK_EVERY)
		order->ranked.count = 0;
	if (is_due)
		sorts |= steady_refresh(&order->steady, is_wrong(order));
	if (sorts || (is_due && has_empty(order)))
		sort(order, wanted);
	extend(order, wanted);
}

void hot_order_set_sort(struct hot_order *order, enum hot_sort by)
{
	order->sort = by;
	order->ranked.count = 0;
	order->is_valid = false;
}

uint32_t hot_order_get(struct hot_order *order, size_t place)
{
	if (place >= order->shown.count)
		extend(order, place + 1 + place / 2); /* a walk down the list costs little a step */
	return place < order->shown.count ? order->shown.items[place] : UINT32_MAX;
}

/* Where it belongs now: how many stand before it. */
static size_t find_ideal(const struct hot_order *order, uint32_t function)
{
	struct ranking own = read_ranking(order, function), other;
	size_t place = 0;
	uint32_t rank;

	for (rank = 0; rank < order->count; rank++) {
		if (order->sort == HOT_BY_SELF &&
		    profile_get_function_by_self(order->profile, rank) == function)
			return rank;
		other = read_ranking_at(order, rank);
		place += is_lighter(&own, &other);
	}
	return place;
}

size_t hot_order_find(struct hot_order *order, uint32_t function)
{
	size_t i;

	order->count = hot_order_count(order);
	for (i = 0; i < order->shown.count; i++)
		if (order->shown.items[i] == function)
			return i;
	if (function >= profile_count_functions(order->profile) || !is_in_list(order, function))
		return ROWS_NONE;
	/* It may stand a little lower, behind what is shown above its place. */
	for (i = find_ideal(order, function); i < order->count; i++)
		if (hot_order_get(order, i) == function)
			return i;
	return ROWS_NONE;
}

void hot_order_deinit(struct hot_order *order)
{
	array_deinit(&order->shown);
	array_deinit(&order->ranked);
}
