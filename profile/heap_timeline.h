/* The heap over time: points at about 10 Hz in buckets of five lengths, each a ring, so that a session of
 * weeks costs what one of a quarter of an hour does.
 *
 * Levels: 100 ms for the last 13 minutes, 1 s for 2 hours, 10 s for 22 hours, 100 s for 9 days, 1000 s for 3
 * months. A bucket keeps its last point and the most of its points: a peak never disappears. Counts are
 * cumulative, so that a rate over any span is exact whatever the level.
 * Invariant: rows come in time order, but for those of a snapshot (timeline_add_row()).
 */
#ifndef KILN_PROFILE_HEAP_TIMELINE_H
#define KILN_PROFILE_HEAP_TIMELINE_H

#include "profile/heap.h"

#define HEAP_TIMELINE_LEVELS 5

/* A bucket; also a row of a snapshot. */
struct heap_point {
	uint64_t tag;	  /* number of the bucket since the start, + 1; 0: never used */
	uint64_t time_ns; /* of its last point */
	uint64_t live_bytes, live_max_bytes;
	uint64_t rss_bytes, rss_max_bytes; /* 0: not known */
	uint64_t allocs, alloc_bytes;	   /* since the start */
	uint64_t frees, free_bytes;
	bool is_measured; /* false: only rss is known */
};

struct heap_timeline {
	struct heap_point *levels[HEAP_TIMELINE_LEVELS];
	uint64_t last_ns;
	bool is_used;
};

bool heap_timeline_init(struct heap_timeline *timeline);
void heap_timeline_deinit(struct heap_timeline *timeline);
/* tag is not read. Never fails. */
void heap_timeline_add(struct heap_timeline *timeline, const struct heap_point *point);
/* The whole heap had so much at a moment between the last point and now. */
void heap_timeline_add_peak(struct heap_timeline *timeline, uint64_t time_ns, uint64_t live_bytes);

/* ---- for snapshots ---- */

int64_t heap_timeline_get_length(size_t level);
/* The rows that make the same timeline again: of each level what the finer one has no more, oldest first.
 * *at: 0 at first. false: there are no more. */
bool heap_timeline_next_row(const struct heap_timeline *timeline, size_t *at, size_t *ret_level,
			    struct heap_point *ret);
void heap_timeline_add_row(struct heap_timeline *timeline, size_t level, const struct heap_point *point);

#endif
