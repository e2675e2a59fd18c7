/* The heap's model: who allocated what lives, what came and went, and when.
 *
 * The kernel keeps the books (bpf/heap_events.h): counters for each allocating stack, in memory that is read
 * here in place. heap_update() takes over what has changed since the last look, a bounded number of slots at
 * a time, and adds the difference to the sums: no reader walks over everything.
 *
 * A stack is shown without the allocator's own frames: its leaf (the hooked function), and every frame next
 * to it that lies in a wrapper (operator new): what is left is the allocation site. Figures of one metric at
 * a time are also a struct profile (heap_get_profile()), whose samples are bytes or blocks: lists, trees and
 * flames read it as they read CPU samples. Sites of the five metrics are summed up in one place.
 *
 * Invariants: everything is exact; blocks of stacks that did not arrive belong to "[stack not taken]".
 * Ownership: belongs to its struct profile. Memory of chunks is the session's, and must outlive the heap or
 * be taken away by heap_drop_chunks(), which reads it a last time. Memory: 48 bytes a slot, 80 a site, and
 * some 150 for each node of the trie, of which there are 512 Ki: then the callers of new stacks become
 * "[merged]", and sites stay exact. Units: bytes are bytes requested; times are ns since the start of the
 * session. Errors: when memory is short a stack's blocks stay "[stack not
 * taken]".
 */
#ifndef KILN_PROFILE_HEAP_H
#define KILN_PROFILE_HEAP_H

#include "base/error.h"
#include "bpf/heap_events.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap;
struct profile;

enum heap_metric {
	HEAP_LIVE_BYTES,
	HEAP_LIVE_COUNT,
	HEAP_ALLOC_BYTES,
	HEAP_ALLOC_COUNT,
	HEAP_PEAK_BYTES, /* at the moment when the whole heap had its peak */
	HEAP_METRICS,
};
extern const char *const heap_metric_names[HEAP_METRICS]; /* CLI.md: "live-bytes" … */

enum heap_mode {
	HEAP_MODE_OFF,	   /* not measured; why says why */
	HEAP_MODE_WAITING, /* no allocator has been found yet */
	HEAP_MODE_EXACT,
	HEAP_MODE_CLOSED, /* was exact until closed_ns; why says why */
};

/* Strings may be NULL. Numbers that are not known are NAN. */
struct heap_facts {
	enum heap_mode mode;
	const char *why;
	uint32_t sites;	    /* probes in place */
	uint64_t since_ns;  /* when the first probe was in place */
	uint64_t closed_ns; /* CLOSED */
	uint64_t unseen_ns; /* of a started command, before that */
	double cost_pct, budget_pct;
	uint64_t rss_start_bytes;      /* the target's RSS when the books were opened: predates them */
	struct heap_counters counters; /* sums over the CPUs */
	struct heap_global global;     /* peak_ns: since the start of the session */
};

/* The heap of a profile; NULL: it has none (a snapshot without one). */
struct heap *profile_get_heap(const struct profile *profile);
/* Makes it, if need be. */
struct error *profile_ensure_heap(struct profile *profile, struct heap **ret);

struct error *heap_set_facts(struct heap *heap, const struct heap_facts *facts); /* copies the strings */
void heap_get_facts(const struct heap *heap, struct heap_facts *ret);

/* ---- what the session brings ---- */

/* A stack of the ring. start_ns: of the session. */
void heap_add_stack(struct heap *heap, const struct heap_stack_record *record);
/* The frames of these ranges of a module belong to the allocator. Comes before the stacks that meet them. */
struct error *heap_add_wrapper(struct heap *heap, uint32_t module, uint64_t start, uint64_t end);
/* The counters of slots index * HEAP_CHUNK_SLOTS …, read in place from now on. */
struct error *heap_set_chunk(struct heap *heap, uint32_t index, const struct heap_totals *memory);
void heap_drop_chunks(struct heap *heap);
/* Takes over what has changed, for at most max slots (0: all). slots: given so far (heap_global); peak_epoch:
 * of the whole heap; which program had the peak is read in the facts, so set those before. Returns true when
 * a whole round over all slots has ended. */
bool heap_update(struct heap *heap, uint32_t slots, uint64_t peak_epoch, uint32_t exec, size_t max);
/* One point of the timeline: what the facts say now, which are to be set before. rss_bytes 0: not known. */
void heap_add_point(struct heap *heap, uint64_t time_ns, uint64_t rss_bytes);

/* ---- what is shown ---- */

struct heap_figures {
	uint64_t live_bytes, live_count;
	uint64_t alloc_bytes, alloc_count;
	uint64_t peak_bytes;
};

/* The figures of one metric as a profile of bytes or blocks. The same object for as long as the heap lives;
 * changing the metric changes what it holds. */
struct profile *heap_get_profile(struct heap *heap);
enum heap_metric heap_get_metric(const struct heap *heap);
struct error *heap_set_metric(struct heap *heap, enum heap_metric metric);

/* What the functions of heap_get_profile() allocated themselves (their own sites). */
void heap_get_function(const struct heap *heap, uint32_t function, struct heap_figures *ret);
/* What a stack of heap_get_profile() (profile_get_stack()) allocated itself. */
void heap_get_stack(const struct heap *heap, uint32_t stack, struct heap_figures *ret);
/* All of it. */
void heap_get_sum(const struct heap *heap, struct heap_figures *ret);

/* The timeline. NAN: not measured then. */
struct heap_column {
	double live_bytes, live_max_bytes; /* at its end, and the most inside it */
	double rss_bytes, rss_max_bytes;
	double allocs_per_s, alloc_bytes_per_s;
	double frees_per_s, free_bytes_per_s;
};
/* Cuts [from_ns, to_ns) into columns of equal length. */
void heap_read_timeline(const struct heap *heap, int64_t from_ns, int64_t to_ns, struct heap_column *ret,
			size_t columns);

/* ---- for snapshots ---- */

/* Adds to what a stack of heap_get_profile() has (profile_intern_stack()). */
struct error *heap_add_figures(struct heap *heap, uint32_t stack, const struct heap_figures *figures);

#endif
