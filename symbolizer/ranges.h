/* Address ranges with a value: collected in any order, made searchable once, then found by binary search.
 *
 * Invariants: [start, end), start < end. After ranges_sort() the items are sorted by start; after
 * ranges_flatten() they are disjoint too: where ranges overlap, the one that starts last wins, of those that
 * start together the shortest, of equal ones the one with the greatest value. Ownership: the caller owns the
 * struct (zeroed = empty) and ranges_deinit()s it. Errors: false when memory is short.
 */
#ifndef KILN_SYMBOLIZER_RANGES_H
#define KILN_SYMBOLIZER_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
	uint64_t start, end;
	uint32_t value;
};

struct ranges {
	struct range *items;
	size_t count, capacity;
};

/* A range that is empty or wraps around is left out: that is no error. */
bool ranges_add(struct ranges *ranges, uint64_t start, uint64_t end, uint32_t value);
void ranges_sort(struct ranges *ranges);
bool ranges_flatten(struct ranges *ranges); /* sorts too */
/* NULL when none covers the address. Of ranges that are sorted only, the last that starts at or before it
 * counts. */
const struct range *ranges_find(const struct ranges *ranges, uint64_t address);
/* Where the first range begins that starts behind the address; UINT64_MAX: none does. */
uint64_t ranges_find_start(const struct ranges *ranges, uint64_t address);
void ranges_deinit(struct ranges *ranges);

#endif
