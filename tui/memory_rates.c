#include "tui/memory_rates.h"

#include <math.h>

#define ROUND_NS 1000000000ull
#define STALE_NS (5 * ROUND_NS) /* a mean over more is not what happens now */
#define SLICE	 4096		/* functions a drawing */

static void look(struct rate *rate, const struct heap *heap, uint32_t function, uint64_t now_ns)
{
	struct heap_figures figures;
	double seconds;

	heap_get_function(heap, function, &figures);
	seconds = (double)(now_ns - rate->time_ns) / 1e9;
	/* a name that came late may have moved allocations away from it */
	if (!rate->time_ns || now_ns - rate->time_ns > STALE_NS || figures.alloc_count < rate->alloc_count ||
	    figures.alloc_bytes < rate->alloc_bytes) {
		rate->bytes_per_s = rate->count_per_s = NAN;
	} else if (seconds > 0) {
		rate->bytes_per_s = (double)(figures.alloc_bytes - rate->alloc_bytes) / seconds;
		rate->count_per_s = (double)(figures.alloc_count - rate->alloc_count) / seconds;
	}
	rate->time_ns = now_ns;
	rate->alloc_bytes = figures.alloc_bytes;
	rate->alloc_count = figures.alloc_count;
}

void memory_rates_refresh(struct memory_rates *rates, const struct heap *heap, uint32_t functions,
			  uint64_t now_ns)
{
	uint32_t end;

	if (now_ns < rates->round_ns)
		rates->items.count = rates->next = rates->round_ns = 0;
	if (!rates->next && rates->round_ns && now_ns - rates->round_ns < ROUND_NS)
		return;
	if (!array_reserve(&rates->items, functions))
		return;
	for (; rates->items.count < functions; rates->items.count++)
		rates->items.items[rates->items.count] =
			(struct rate){.bytes_per_s = NAN, .count_per_s = NAN};
	if (!rates->next)
		rates->round_ns = now_ns;
	end = functions - rates->next > SLICE ? rates->next + SLICE : functions;
	for (; rates->next < end; rates->next++)
		look(&rates->items.items[rates->next], heap, rates->next, now_ns);
	if (rates->next >= functions)
		rates->next = 0;
}

double memory_rates_get_bytes(const struct memory_rates *rates, uint32_t function)
{
	return function < rates->items.count ? rates->items.items[function].bytes_per_s : NAN;
}

void memory_rates_deinit(struct memory_rates *rates)
{
	array_deinit(&rates->items);
}
