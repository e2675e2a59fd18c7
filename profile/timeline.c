#include "profile/timeline.h"

#include "profile/internal.h"

#include <math.h>

#define RING_BUCKETS	 8192
#define FINEST_NS	 100000000ll
#define FINEST_IN_SECOND 10
#define DEFAULT_HZ	 99
#define TIME_MAX_NS	 (INT64_MAX / 4) /* 73 years: room to add without overflow */

struct timeline_bucket {
	uint64_t tag; /* number of the bucket since the start, + 1; 0: never used */
	uint64_t user, kernel, unknown;
	uint64_t peak; /* samples of its largest 100 ms */
};

static const int64_t level_lengths_ns[TIMELINE_LEVELS] = {
	FINEST_NS, 10 * FINEST_NS, 100 * FINEST_NS, 1000 * FINEST_NS, 10000 * FINEST_NS,
};

bool timeline_init(struct timeline *timeline)
{
	*timeline = (struct timeline){0};
	for (size_t i = 0; i < TIMELINE_LEVELS; i++) {
		/* 320 KiB each, but only pages that are used cost memory. */
		timeline->levels[i] = calloc(RING_BUCKETS, sizeof(struct timeline_bucket));
		if (!timeline->levels[i])
			return false;
	}
	return true;
}

void timeline_deinit(struct timeline *timeline)
{
	for (size_t i = 0; i < TIMELINE_LEVELS; i++)
		free(timeline->levels[i]);
	array_deinit(&timeline->gaps);
}

/* ---- writing ---- */

/* NULL: so old that its place is taken. */
static struct timeline_bucket *take_bucket(struct timeline *timeline, size_t level, uint64_t time_ns)
{
	uint64_t tag = time_ns / (uint64_t)level_lengths_ns[level] + 1;
	struct timeline_bucket *bucket = &timeline->levels[level][tag % RING_BUCKETS];

	if (bucket->tag > tag)
		return NULL;
	if (bucket->tag < tag)
		*bucket = (struct timeline_bucket){.tag = tag};
	return bucket;
}

static void add_to_bucket(struct timeline_bucket *bucket, enum sample_mode mode, enum stack_end end,
			  uint64_t count)
{
	if (end != STACK_COMPLETE)
		bucket->unknown += count;
	else if (mode == SAMPLE_KERNEL)
		bucket->kernel += count;
	else
		bucket->user += count;
}

static void add_at(struct timeline *timeline, uint64_t time_ns, enum sample_mode mode, enum stack_end end,
		   uint64_t count)
{
	uint64_t peak = 0;

	if (timeline->last_ns < time_ns)
		timeline->last_ns = time_ns;
	for (size_t level = 0; level < TIMELINE_LEVELS; level++) {
		struct timeline_bucket *bucket = take_bucket(timeline, level, time_ns);

		if (!bucket)
			continue;
		add_to_bucket(bucket, mode, end, count);
		if (level == 0)
			peak = bucket->user + bucket->kernel + bucket->unknown;
		if (bucket->peak < peak)
			bucket->peak = peak;
	}
}

void timeline_add(struct timeline *timeline, uint64_t time_ns, enum sample_mode mode, enum stack_end end,
		  uint64_t count)
{
	uint64_t second_ns = FINEST_IN_SECOND * FINEST_NS, start_ns;

	if (time_ns > TIME_MAX_NS)
		time_ns = TIME_MAX_NS;
	start_ns = time_ns / second_ns * second_ns;
	if (count == 1) {
		add_at(timeline, time_ns, mode, end, 1);
		return;
	}
	for (uint64_t i = 0; i < FINEST_IN_SECOND; i++) {
		uint64_t part = count / FINEST_IN_SECOND + (i < count % FINEST_IN_SECOND);

		if (part)
			add_at(timeline, start_ns + i * FINEST_NS, mode, end, part);
	}
}

/* ---- reading ---- */

struct span {
	int64_t from, to;
};

static int64_t get_overlap(struct span a, struct span b)
{
	int64_t from = a.from > b.from ? a.from : b.from;
	int64_t to = a.to < b.to ? a.to : b.to;

	return to > from ? to - from : 0;
}

/* The finest level that still has everything from a time on. */
static size_t choose_level(const struct timeline *timeline, int64_t from_ns)
{
	size_t level = 0;

	while (level + 1 < TIMELINE_LEVELS &&
	       ((int64_t)timeline->last_ns / level_lengths_ns[level]) - from_ns / level_lengths_ns[level] >=
		       RING_BUCKETS)
		level++;
	return level;
}

/* How long there was collecting in a span. */
static int64_t measure_collecting(const struct timeline *timeline, struct span span)
{
	int64_t length = span.to - span.from;

	for (size_t i = timeline->gaps.count; i-- > 0;) {
		struct gap gap = timeline->gaps.items[i];

		if (gap.to_ns <= span.from)
			break;
		length -= get_overlap(span, (struct span){gap.from_ns, gap.to_ns});
	}
	return length;
}

/* Sums the buckets under a span; one that lies in it only partly counts by that part. */
static void sum_buckets(const struct timeline *timeline, size_t level, struct span span,
			struct timeline_column *ret)
{
	int64_t length = level_lengths_ns[level], last = (int64_t)timeline->last_ns / length;
	int64_t number = span.from / length;

	/* Whatever range is asked for: no more than the ring holds. */
	if (number <= last - RING_BUCKETS)
		number = last - RING_BUCKETS + 1;
	for (; number <= last && number * length < span.to; number++) {
		uint64_t tag = (uint64_t)number + 1;
		const struct timeline_bucket *bucket = &timeline->levels[level][tag % RING_BUCKETS];
		struct span place = {number * length, (number + 1) * length};
		double part = (double)get_overlap(place, span) / (double)length;

		if (bucket->tag != tag)
			continue;
		ret->user += part * (double)bucket->user;
		ret->kernel += part * (double)bucket->kernel;
		ret->unknown += part * (double)bucket->unknown;
		ret->peak = fmax(ret->peak, (double)bucket->peak);
	}
}

static struct timeline_column read_column(const struct timeline *timeline, struct span span, int64_t end_ns,
					  double hz)
{
	struct timeline_column column = {0};
	double samples_of_core;

	if (span.from < 0)
		span.from = 0;
	if (span.to > end_ns)
		span.to = end_ns;
	if (span.from >= span.to)
		return column;
	samples_of_core = hz * (double)measure_collecting(timeline, span) / 1e9;
	if (samples_of_core <= 0)
		return column;
	sum_buckets(timeline, choose_level(timeline, span.from), span, &column);
	column.user /= samples_of_core;
	column.kernel /= samples_of_core;
	column.unknown /= samples_of_core;
	column.peak /= hz * FINEST_NS / 1e9;
	column.has_data = true;
	return column;
}

void profile_read_timeline(const struct profile *profile, uint64_t from_ns, uint64_t to_ns,
			   struct timeline_column *ret, size_t columns)
{
	const struct timeline *timeline = &profile->timeline;
	uint64_t end_ns = profile->facts.duration_ns;
	double hz = profile->facts.hz_requested;
	/* A window of the last minute begins before the start in the first minute: below zero. */
	int64_t from = (int64_t)from_ns;
	__int128 length = (__int128)(int64_t)to_ns - from;

	if (!(hz > 0))
		hz = DEFAULT_HZ;
	if (end_ns < timeline->last_ns + 1)
		end_ns = timeline->last_ns + (profile->totals.samples > 0);
	if (end_ns > TIME_MAX_NS + 1)
		end_ns = TIME_MAX_NS + 1;
	for (size_t i = 0; i < columns; i++) {
		struct span span = {
			(int64_t)(from + length * (__int128)i / (__int128)columns),
			(int64_t)(from + length * (__int128)(i + 1) / (__int128)columns),
		};

		ret[i] = read_column(timeline, span, (int64_t)end_ns, hz);
	}
}

struct error *profile_add_gap(struct profile *profile, uint64_t from_ns, uint64_t to_ns)
{
	if (to_ns > INT64_MAX || from_ns >= to_ns)
		return NULL;
	if (!array_append(&profile->timeline.gaps, (struct gap){(int64_t)from_ns, (int64_t)to_ns}))
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "timeline");
	profile->revision++;
	return NULL;
}

size_t profile_count_gaps(const struct profile *profile)
{
	return profile->timeline.gaps.count;
}

void profile_get_gap(const struct profile *profile, size_t index, uint64_t *ret_from_ns, uint64_t *ret_to_ns)
{
	*ret_from_ns = (uint64_t)profile->timeline.gaps.items[index].from_ns;
	*ret_to_ns = (uint64_t)profile->timeline.gaps.items[index].to_ns;
}
