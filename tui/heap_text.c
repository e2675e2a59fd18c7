#include "tui/heap_text.h"

#include "tui/format.h"
#include "tui/metric.h"

#include <math.h>
#include <stdio.h>

void heap_read_facts(const struct profile *profile, struct heap_facts *ret)
{
	const struct heap *heap = profile_get_heap(profile);
	struct facts facts;

	if (heap) {
		heap_get_facts(heap, ret);
	} else {
		*ret = (struct heap_facts){.mode = HEAP_MODE_OFF, .cost_pct = NAN, .budget_pct = NAN};
	}
	if (ret->why && *ret->why)
		return;
	profile_get_facts(profile, &facts);
	ret->why = ret->mode == HEAP_MODE_OFF ? facts.heap_why : NULL;
}

bool heap_is_measured(const struct profile *profile)
{
	struct heap_facts facts;

	heap_read_facts(profile, &facts);
	return facts.mode == HEAP_MODE_EXACT || facts.mode == HEAP_MODE_CLOSED;
}

/* Books that close within the first seconds: "00:00" would say that there were none. */
static const char *format_moment(uint64_t ns, char *ret)
{
	if (ns >= 10000000000u)
		return format_clock(ns, ret);
	snprintf(ret, FORMAT_MAX, "%.1f s", (double)ns / 1e9);
	return ret;
}

void heap_write_mode(const struct heap_facts *facts, bool is_short, char *ret, size_t capacity)
{
	char clock[FORMAT_MAX];

	switch (facts->mode) {
	case HEAP_MODE_OFF:
		snprintf(ret, capacity, is_short ? "heap ✗" : "heap off");
		break;
	case HEAP_MODE_WAITING:
		snprintf(ret, capacity, is_short ? "heap …" : "heap waiting");
		break;
	case HEAP_MODE_EXACT:
		snprintf(ret, capacity, is_short ? "heap ✓" : "heap exact");
		break;
	case HEAP_MODE_CLOSED:
		snprintf(ret, capacity, is_short ? "heap ✗" : "heap closed %s",
			 format_moment(facts->closed_ns, clock));
		break;
	}
}

static void write_closed(const struct heap_facts *facts, char *ret, size_t capacity)
{
	char clock[FORMAT_MAX], cost[FORMAT_MAX], budget[FORMAT_MAX];

	format_moment(facts->closed_ns, clock);
	if (facts->why)
		snprintf(ret, capacity, "heap: exact until %s: %s", clock, facts->why);
	else if (facts->cost_pct > facts->budget_pct)
		snprintf(ret, capacity,
			 "heap: exact until %s: would cost %s of the target, budget %s: --heap=exact goes on",
			 clock, format_whole_percent(facts->cost_pct, cost),
			 format_whole_percent(facts->budget_pct, budget));
	else
		snprintf(ret, capacity, "heap: exact until %s", clock);
}

void heap_write_state(const struct heap_facts *facts, char *ret, size_t capacity)
{
	*ret = '\0';
	switch (facts->mode) {
	case HEAP_MODE_OFF:
		snprintf(ret, capacity, "heap: not measured: %s",
			 facts->why ? facts->why : "nothing says why");
		break;
	case HEAP_MODE_WAITING:
		snprintf(ret, capacity, "heap: no allocator found yet: %s",
			 facts->why ? facts->why : "every module that is loaded is searched for malloc");
		break;
	case HEAP_MODE_EXACT:
		break;
	case HEAP_MODE_CLOSED:
		write_closed(facts, ret, capacity);
		break;
	}
}

void heap_write_empty(const struct profile *profile, unsigned metric, char *ret, size_t capacity)
{
	struct heap_facts facts;

	heap_read_facts(profile, &facts);
	if (facts.mode == HEAP_MODE_OFF || facts.mode == HEAP_MODE_WAITING)
		heap_write_state(&facts, ret, capacity);
	else if (!facts.counters.allocs)
		snprintf(ret, capacity, "no allocation since the probes were in place");
	else
		snprintf(ret, capacity, "0 %s: what was allocated has been freed", metric_get_name(metric));
}
