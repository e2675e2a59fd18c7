#include "symbolizer/code_ranges.h"

#include <string.h>

/* So many are sorted at once. */
#define FRESH_MAX 4096

void code_ranges_deinit(struct code_ranges *ranges)
{
	for (size_t i = 0; i < ranges->runs.count; i++)
		free(ranges->runs.items[i].items);
	array_deinit(&ranges->runs);
	array_deinit(&ranges->fresh);
	*ranges = (struct code_ranges){0};
}

/* ---- runs ---- */

/* Appends what of the ranges of a run, from *at on, lies in [from, to). *at stays at a range that reaches
 * beyond `to`: more of it may be visible there. */
static void append_visible(const struct code_run *run, size_t *at, uint64_t from, uint64_t to,
			   struct code_run *ret)
{
	for (; *at < run->count; (*at)++) {
		struct code_range piece = run->items[*at];
		bool goes_on = piece.end > to;

		if (piece.start >= to)
			return;
		if (piece.start < from)
			piece.start = from;
		if (goes_on)
			piece.end = to;
		if (piece.start < piece.end)
			ret->items[ret->count++] = piece;
		if (goes_on)
			return;
	}
}

/* Lays one run over another. Each of its ranges hides what is below, or cuts it in two. */
static bool overlay(const struct code_run *below, const struct code_run *above, struct code_run *ret)
{
	size_t at = 0, most = below->count + 2 * above->count;
	uint64_t from = 0;

	*ret = (struct code_run){.items = reallocarray(NULL, most, sizeof(*ret->items))};
	if (!ret->items)
		return false;
	for (size_t i = 0; i < above->count; i++) {
		append_visible(below, &at, from, above->items[i].start, ret);
		ret->items[ret->count++] = above->items[i];
		from = above->items[i].end;
	}
	append_visible(below, &at, from, UINT64_MAX, ret);
	return true;
}

static bool is_sorted(const struct code_range *items, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (items[i].start < items[i - 1].end)
			return false;
	return true;
}

/* Of ranges in any order, oldest first. */
static bool make_run(const struct code_range *items, size_t count, struct code_run *ret)
{
	struct code_run older, newer;
	bool ok = false;

	if (is_sorted(items, count)) {
		*ret = (struct code_run){reallocarray(NULL, count, sizeof(*items)), count};
		if (ret->items)
			memcpy(ret->items, items, count * sizeof(*items));
		return ret->items;
	}
	if (!make_run(items, count / 2, &older))
		return false;
	if (make_run(items + count / 2, count - count / 2, &newer)) {
		ok = overlay(&older, &newer, ret);
		free(newer.items);
	}
	free(older.items);
	return ok;
}

/* Joins the two newest runs. */
static bool join_last(struct code_ranges *ranges)
{
	struct code_run *newer = &ranges->runs.items[ranges->runs.count - 1], *older = newer - 1, joined;

	if (!overlay(older, newer, &joined))
		return false;
	ranges->count = ranges->count - older->count - newer->count + joined.count;
	free(older->items);
	free(newer->items);
	*older = joined;
	ranges->runs.count--;
	return true;
}

static void join_small(struct code_ranges *ranges)
{
	while (ranges->runs.count > 1) {
		const struct code_run *last = &ranges->runs.items[ranges->runs.count - 1];

		/* Without memory the runs stay apart: slower, and as right. */
		if (last[-1].count > 2 * last->count || !join_last(ranges))
			return;
	}
}

/* Makes a run of what is fresh; false: memory is short, it stays fresh. */
static bool sort_fresh(struct code_ranges *ranges)
{
	struct code_run run;

	if (!ranges->fresh.count)
		return true;
	if (!array_reserve(&ranges->runs, ranges->runs.count + 1) ||
	    !make_run(ranges->fresh.items, ranges->fresh.count, &run))
		return false;
	ranges->count = ranges->count - ranges->fresh.count + run.count;
	ranges->fresh.count = 0;
	ranges->runs.items[ranges->runs.count++] = run;
	join_small(ranges);
	return true;
}

/* ---- the whole ---- */

/* How much of it is hidden shows only when all is one run. */
static bool make_room(struct code_ranges *ranges)
{
	if (ranges->is_full)
		return false;
	if (ranges->count < CODE_RANGES_MAX)
		return true;
	ranges->is_full = !sort_fresh(ranges);
	while (!ranges->is_full && ranges->runs.count > 1)
		ranges->is_full = !join_last(ranges);
	/* To do this again and again for a few is not worth it. */
	ranges->is_full |= ranges->count > CODE_RANGES_MAX / 4 * 3;
	return !ranges->is_full;
}

bool code_ranges_add(struct code_ranges *ranges, uint64_t start, uint64_t end, uint64_t value)
{
	if (end <= start)
		return true;
	if (!make_room(ranges) || (ranges->fresh.count >= FRESH_MAX && !sort_fresh(ranges)) ||
	    !array_append(&ranges->fresh, (struct code_range){start, end, value}))
		return false;
	ranges->count++;
	return true;
}

static bool find_in_run(const struct code_run *run, uint64_t address, struct code_range *ret)
{
	size_t low = 0, high = run->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (run->items[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == run->count || run->items[low].start > address)
		return false;
	*ret = run->items[low];
	return true;
}

bool code_ranges_find(struct code_ranges *ranges, uint64_t address, struct code_range *ret)
{
	if (!sort_fresh(ranges)) {
		for (size_t i = ranges->fresh.count; i-- > 0;) {
			*ret = ranges->fresh.items[i];
			if (address >= ret->start && address < ret->end)
				return true;
		}
	}
	for (size_t i = ranges->runs.count; i-- > 0;)
		if (find_in_run(&ranges->runs.items[i], address, ret))
			return true;
	return false;
}
