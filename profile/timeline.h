/* How many samples there were when: buckets of five lengths, each a ring, so that neither reading a range nor
 * keeping a session of months depends on the number of samples.
 *
 * Levels: 100 ms for the last 13 minutes, 1 s for 2 hours, 10 s for 22 hours, 100 s for 9 days, 1000 s for 3
 * months. A longer bucket keeps the largest of its 100 ms: a peak never disappears.
 */
#ifndef KILN_PROFILE_TIMELINE_H
#define KILN_PROFILE_TIMELINE_H

#include "base/array.h"
#include "profile/profile.h"

#define TIMELINE_LEVELS 5

struct timeline_bucket;

struct gap {
	int64_t from_ns, to_ns;
};

struct timeline {
	struct timeline_bucket *levels[TIMELINE_LEVELS];
	uint64_t last_ns; /* of the newest sample */
	ARRAY(struct gap)
	gaps; /* in time order */
};

bool timeline_init(struct timeline *timeline);
void timeline_deinit(struct timeline *timeline);
/* count > 1: samples that were folded: they are spread over their second. Never fails. */
void timeline_add(struct timeline *timeline, uint64_t time_ns, enum sample_mode mode, enum stack_end end,
		  uint64_t count);

#endif
