/* How fast each function allocates now: bytes and blocks a second, over the last second or two.
 *
 * The heap keeps totals; a rate is the difference between two looks at them. A round over all functions is
 * cut into slices, so that a drawing reads a bounded number of them. Not known (NAN): before the second look,
 * and after nobody has looked for a while.
 */
#ifndef KILN_TUI_MEMORY_RATES_H
#define KILN_TUI_MEMORY_RATES_H

#include "base/array.h"
#include "profile/heap.h"

struct rate {
	uint64_t time_ns; /* of the last look; 0: none */
	uint64_t alloc_bytes, alloc_count;
	double bytes_per_s, count_per_s;
};

/* Zeroed: nothing is known. */
struct memory_rates {
	ARRAY(struct rate)
	items;		   /* by function of heap_get_profile() */
	uint32_t next;	   /* where the round goes on */
	uint64_t round_ns; /* when it began */
};

/* Once a drawing. now_ns: since the attach. */
void memory_rates_refresh(struct memory_rates *rates, const struct heap *heap, uint32_t functions,
			  uint64_t now_ns);
double memory_rates_get_bytes(const struct memory_rates *rates, uint32_t function);
void memory_rates_deinit(struct memory_rates *rates);

#endif
