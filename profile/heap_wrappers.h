/* The code that only passes allocations on (operator new, and what a library puts around malloc): ranges of
 * modules.
 *
 * Invariants: ascending, disjoint, not touching: what overlaps is joined. Errors: false when memory is short.
 */
#ifndef KILN_PROFILE_HEAP_WRAPPERS_H
#define KILN_PROFILE_HEAP_WRAPPERS_H

#include "base/array.h"

struct wrapper_range {
	uint64_t start, end; /* frames: [start, end) */
};

struct heap_wrappers {
	ARRAY(struct wrapper_range)
	ranges;
};

bool wrappers_add(struct heap_wrappers *wrappers, uint64_t start, uint64_t end);
bool wrappers_contain(const struct heap_wrappers *wrappers, uint64_t frame);

/* Whether a function that is inlined somewhere only passes an allocation on, by its name: operator new, what
 * C++'s containers call. It belongs to the allocator, as the wrappers do. */
bool wrappers_is_inlined(const char *name, size_t length);

#endif
