/* Callers and callees of one function, read again only when the function or the data is another. */
#ifndef KILN_TUI_HOT_NEIGHBOURS_H
#define KILN_TUI_HOT_NEIGHBOURS_H

#include "base/array.h"
#include "profile/profile.h"

#include <stdbool.h>

struct neighbour_list {
	struct neighbour *items;
	size_t count, capacity;
};

/* Zeroed: of nothing. Both lists heaviest first; empty when memory is short. */
struct neighbours {
	uint32_t function;
	uint64_t revision, total; /* samples through the function: the sum of either list */
	bool is_valid;
	struct neighbour_list callers, callees;
};

void neighbours_refresh(struct neighbours *neighbours, struct profile *profile, uint32_t function);
void neighbours_deinit(struct neighbours *neighbours);

/* "[root]", "self", or the function's name. */
void neighbour_write_name(const struct profile *profile, uint32_t function, bool is_caller, char *ret,
			  size_t capacity);

#endif
