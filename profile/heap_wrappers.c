#include "profile/heap_wrappers.h"

#include <string.h>

/* The first range that ends at `frame` or behind it. */
static size_t find_range(const struct heap_wrappers *wrappers, uint64_t frame)
{
	size_t low = 0, high = wrappers->ranges.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (wrappers->ranges.items[middle].end < frame)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool wrappers_add(struct heap_wrappers *wrappers, uint64_t start, uint64_t end)
{
	size_t first = find_range(wrappers, start), last = first, after;
	struct wrapper_range *ranges;

	if (!array_reserve(&wrappers->ranges, wrappers->ranges.count + 1))
		return false;
	ranges = wrappers->ranges.items;
	for (; last < wrappers->ranges.count && ranges[last].start <= end; last++) {
		start = ranges[last].start < start ? ranges[last].start : start;
		end = ranges[last].end > end ? ranges[last].end : end;
	}
	after = wrappers->ranges.count - last;
	memmove(&ranges[first + 1], &ranges[last], after * sizeof(*ranges));
	ranges[first] = (struct wrapper_range){start, end};
	wrappers->ranges.count = first + 1 + after;
	return true;
}

bool wrappers_contain(const struct heap_wrappers *wrappers, uint64_t frame)
{
	size_t place = find_range(wrappers, frame + 1);

	return place < wrappers->ranges.count && wrappers->ranges.items[place].start <= frame;
}

bool wrappers_is_inlined(const char *name, size_t length)
{
	static const char *const allocators[] = {
		"std::allocator<",	  "std::__new_allocator<",	"__gnu_cxx::new_allocator<",
		"std::allocator_traits<", "__gnu_cxx::__alloc_traits<",
	};
	static const char new[] = "operator new";

	if (length >= strlen(new) && !memcmp(name, new, strlen(new)))
		return true;
	for (size_t i = 0; i < sizeof(allocators) / sizeof(*allocators); i++)
		if (length > strlen(allocators[i]) && !memcmp(name, allocators[i], strlen(allocators[i])))
			return memmem(name, length, "::allocate(", strlen("::allocate(")) != NULL;
	return false;
}
