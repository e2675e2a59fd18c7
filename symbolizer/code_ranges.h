/* Which piece of code an address belongs to, where code is made, thrown away and made anew: of ranges that
 * overlap, the one that was added last is found.
 *
 * Sorted runs without overlaps, the oldest and biggest first, each more than twice as big as the next: an
 * addition costs O(log n) on average, a look-up a binary search in each of a few runs. What is hidden by
 * later ranges is forgotten when runs are joined. Errors: adding fails when memory is short, and when there
 * are CODE_RANGES_MAX pieces; what is there stays as it is.
 */
#ifndef KILN_SYMBOLIZER_CODE_RANGES_H
#define KILN_SYMBOLIZER_CODE_RANGES_H

#include "base/array.h"

#define CODE_RANGES_MAX (4u << 20)

struct code_range {
	uint64_t start, end; /* [start, end): what of it is visible */
	uint64_t value;	     /* the caller's */
};

struct code_run {
	struct code_range *items;
	size_t count;
};

struct code_ranges { /* zeroed: empty */
	ARRAY(struct code_run)
	runs;
	ARRAY(struct code_range)
	fresh; /* not sorted yet, oldest first */
	size_t count;
	bool is_full;
};

void code_ranges_deinit(struct code_ranges *ranges);
/* Nothing is added where end <= start. */
bool code_ranges_add(struct code_ranges *ranges, uint64_t start, uint64_t end, uint64_t value);
/* Sorts what has been added since the last look-up. */
bool code_ranges_find(struct code_ranges *ranges, uint64_t address, struct code_range *ret);

#endif
