#include "symbolizer/ranges.h"

#include "base/array.h"

bool ranges_add(struct ranges *ranges, uint64_t start, uint64_t end, uint32_t value)
{
	if (start >= end)
		return true;
	return array_append(ranges, (struct range){start, end, value});
}

static int compare_ranges(const void *a, const void *b)
{
	const struct range *left = a, *right = b;

	if (left->start != right->start)
		return left->start < right->start ? -1 : 1;
	if (left->end != right->end)
		return left->end > right->end ? -1 : 1;
	return left->value < right->value ? -1 : left->value > right->value;
}

void ranges_sort(struct ranges *ranges)
{
	/* Compilers and linkers write most of them in order. */
	for (size_t i = 1; i < ranges->count; i++) {
		if (compare_ranges(&ranges->items[i - 1], &ranges->items[i]) > 0) {
			qsort(ranges->items, ranges->count, sizeof(*ranges->items), compare_ranges);
			return;
		}
	}
}

/* One pass from left to right; the stack holds the ranges that have begun, the innermost on top. */
struct sweep {
	struct ranges stack, flat;
	uint64_t position; /* everything before it is in flat */
};

static bool sweep_to(struct sweep *sweep, uint64_t limit)
{
	while (sweep->stack.count) {
		const struct range *top = &sweep->stack.items[sweep->stack.count - 1];
		uint64_t end = top->end < limit ? top->end : limit;

		if (sweep->position < end) {
			if (!ranges_add(&sweep->flat, sweep->position, end, top->value))
				return false;
			sweep->position = end;
		}
		if (top->end > limit)
			break;
		sweep->stack.count--;
	}
	sweep->position = limit;
	return true;
}

bool ranges_flatten(struct ranges *ranges)
{
	struct sweep sweep = {.flat = {0}};
	bool ok = true;

	ranges_sort(ranges);
	for (size_t i = 0; ok && i < ranges->count; i++) {
		const struct range *range = &ranges->items[i];

		ok = sweep_to(&sweep, range->start) &&
		     ranges_add(&sweep.stack, range->start, range->end, range->value);
	}
	ok = ok && sweep_to(&sweep, UINT64_MAX);
	ranges_deinit(&sweep.stack);
	if (!ok) {
		ranges_deinit(&sweep.flat);
		return false;
	}
	ranges_deinit(ranges);
	*ranges = sweep.flat;
	return true;
}

/* How many start at or before the address. Without a branch that depends on what is compared: nobody can
 * predict it. */
static size_t count_before(const struct ranges *ranges, uint64_t address)
{
	const struct range *base = ranges->items;
	size_t left = ranges->count;

	if (!left)
		return 0;
	while (left > 1) {
		size_t half = left / 2;

		base = base[half].start <= address ? base + half : base;
		left -= half;
	}
	return (size_t)(base - ranges->items) + (base->start <= address);
}

const struct range *ranges_find(const struct ranges *ranges, uint64_t address)
{
	size_t count = count_before(ranges, address);

	return count && address < ranges->items[count - 1].end ? &ranges->items[count - 1] : NULL;
}

uint64_t ranges_find_start(const struct ranges *ranges, uint64_t address)
{
	size_t count = count_before(ranges, address);

	return count < ranges->count ? ranges->items[count].start : UINT64_MAX;
}

void ranges_deinit(struct ranges *ranges)
{
	array_deinit(ranges);
}
