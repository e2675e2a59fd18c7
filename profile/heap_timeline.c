#include "profile/heap_timeline.h"

#include "profile/heap_internal.h"

#include <math.h>
#include <string.h>

#define RING_BUCKETS 8192
#define TIME_MAX_NS  (INT64_MAX / 4) /* 73 years: room to add without overflow */
/* For so long the last point stands for what comes after it: points come at 10 Hz, or a little late. */
#define HOLD_NS 1000000000ll

static const int64_t level_lengths_ns[HEAP_TIMELINE_LEVELS] = {
	100000000ll, 1000000000ll, 10000000000ll, 100000000000ll, 1000000000000ll,
};

bool heap_timeline_init(struct heap_timeline *timeline)
{
	for (size_t i = 0; i < HEAP_TIMELINE_LEVELS; i++) {
		/* 700 KiB each, but only pages that are used cost memory. */
		timeline->levels[i] = calloc(RING_BUCKETS, sizeof(struct heap_point));
		if (!timeline->levels[i])
			return false;
	}
	return true;
}

void heap_timeline_deinit(struct heap_timeline *timeline)
{
	for (size_t i = 0; i < HEAP_TIMELINE_LEVELS; i++)
		free(timeline->levels[i]);
}

int64_t heap_timeline_get_length(size_t level)
{
	return level_lengths_ns[level];
}

/* ---- writing ---- */

static uint64_t get_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t get_tag(size_t level, uint64_t time_ns)
{
	return time_ns / (uint64_t)level_lengths_ns[level] + 1;
}

static void merge_point(struct heap_timeline *timeline, size_t level, const struct heap_point *point)
{
	uint64_t tag = get_tag(level, point->time_ns);
	struct heap_point *bucket = &timeline->levels[level][tag % RING_BUCKETS];
	uint64_t live_max, rss_max;

	if (bucket->tag > tag)
		return;
	if (bucket->tag < tag)
		*bucket = (struct heap_point){.tag = tag};
	live_max = get_max(bucket->live_max_bytes, point->live_max_bytes);
	rss_max = get_max(bucket->rss_max_bytes, point->rss_max_bytes);
	if (bucket->time_ns <= point->time_ns)
		*bucket = *point;
	bucket->tag = tag;
	bucket->live_max_bytes = live_max;
	bucket->rss_max_bytes = rss_max;
}

void heap_timeline_add_row(struct heap_timeline *timeline, size_t level, const struct heap_point *point)
{
	struct heap_point copy = *point;

	if (copy.time_ns > TIME_MAX_NS)
		copy.time_ns = TIME_MAX_NS;
	timeline->last_ns = get_max(timeline->last_ns, copy.time_ns);
	timeline->is_used = true;
	for (; level < HEAP_TIMELINE_LEVELS; level++)
		merge_point(timeline, level, &copy);
}

void heap_timeline_add(struct heap_timeline *timeline, const struct heap_point *point)
{
	heap_timeline_add_row(timeline, 0, point);
}

void heap_timeline_add_peak(struct heap_timeline *timeline, uint64_t time_ns, uint64_t live_bytes)
{
	for (size_t level = 0; timeline->is_used && level < HEAP_TIMELINE_LEVELS; level++) {
		uint64_t tag = get_tag(level, time_ns);
		struct heap_point *bucket = &timeline->levels[level][tag % RING_BUCKETS];

		/* No point came in just that bucket: then the last one has it. */
		if (bucket->tag != tag)
			bucket = &timeline->levels[level][get_tag(level, timeline->last_ns) % RING_BUCKETS];
		bucket->live_max_bytes = get_max(bucket->live_max_bytes, live_bytes);
	}
}

void heap_add_point(struct heap *heap, uint64_t time_ns, uint64_t rss_bytes)
{
	const struct heap_global *global = &heap->facts.global;
	const struct heap_counters *counters = &heap->facts.counters;
	bool is_measured = heap->facts.mode == HEAP_MODE_EXACT;
	struct heap_point point = {.time_ns = time_ns, .rss_bytes = rss_bytes, .rss_max_bytes = rss_bytes};

	if (is_measured) {
		point.is_measured = true;
		point.live_bytes = point.live_max_bytes = global->live_bytes;
		point.allocs = counters->allocs;
		point.alloc_bytes = counters->alloc_bytes;
		point.frees = counters->frees;
		point.free_bytes = counters->free_bytes;
	}
	heap_timeline_add(&heap->timeline, &point);
	/* Between two points there may have been more than at both. */
	if (is_measured && global->peak_bytes > heap->peak_seen_bytes) {
		heap->peak_seen_bytes = global->peak_bytes;
		heap_timeline_add_peak(&heap->timeline, global->peak_ns, global->peak_bytes);
	}
	heap_touch(heap);
}

/* ---- rows of snapshots ---- */

/* The first bucket that the ring of a level may still have. */
static uint64_t get_first_tag(const struct heap_timeline *timeline, size_t level)
{
	uint64_t last = get_tag(level, timeline->last_ns);

	return last > RING_BUCKETS ? last - RING_BUCKETS + 1 : 1;
}

/* Whether the finer level still has all of a bucket. */
static bool is_in_finer(const struct heap_timeline *timeline, size_t level, uint64_t tag)
{
	uint64_t start_ns = (tag - 1) * (uint64_t)level_lengths_ns[level];

	return level && get_tag(level - 1, start_ns) >= get_first_tag(timeline, level - 1);
}

bool heap_timeline_next_row(const struct heap_timeline *timeline, size_t *at, size_t *ret_level,
			    struct heap_point *ret)
{
	while (timeline->is_used && *at < HEAP_TIMELINE_LEVELS * RING_BUCKETS) {
		size_t level = HEAP_TIMELINE_LEVELS - 1 - *at / RING_BUCKETS;
		uint64_t tag = get_first_tag(timeline, level) + *at % RING_BUCKETS;
		const struct heap_point *bucket = &timeline->levels[level][tag % RING_BUCKETS];

		(*at)++;
		if (bucket->tag != tag || is_in_finer(timeline, level, tag))
			continue;
		*ret_level = level;
		*ret = *bucket;
		return true;
	}
	return false;
}

/* ---- reading ---- */

/* One reading of the timeline at a level. */
struct view {
	const struct heap_timeline *timeline;
	size_t level;
	int64_t length_ns, first, last, hold; /* hold: buckets that are looked at around a moment */
};

/* The finest level that still has everything from a time on. */
static struct view make_view(const struct heap_timeline *timeline, int64_t from_ns)
{
	struct view view = {.timeline = timeline};

	while (view.level + 1 < HEAP_TIMELINE_LEVELS &&
	       (int64_t)timeline->last_ns / level_lengths_ns[view.level] -
			       from_ns / level_lengths_ns[view.level] >=
		       RING_BUCKETS)
		view.level++;
	view.length_ns = level_lengths_ns[view.level];
	view.last = (int64_t)timeline->last_ns / view.length_ns;
	view.first = view.last >= RING_BUCKETS ? view.last - RING_BUCKETS + 1 : 0;
	view.hold = HOLD_NS / view.length_ns > 2 ? HOLD_NS / view.length_ns : 2;
	return view;
}

/* NULL: no point came in it. */
static const struct heap_point *get_bucket(const struct view *view, int64_t number)
{
	const struct heap_point *bucket;

	if (number < view->first || number > view->last)
		return NULL;
	bucket = &view->timeline->levels[view->level][((uint64_t)number + 1) % RING_BUCKETS];
	return bucket->tag == (uint64_t)number + 1 ? bucket : NULL;
}

/* The last point at or before a time, if it is recent; NULL: none. */
static const struct heap_point *find_before(const struct view *view, int64_t time_ns)
{
	int64_t number = time_ns / view->length_ns;

	if (number > view->last)
		number = number - view->hold > view->last ? -1 : view->last;
	for (int64_t i = 0; i <= view->hold; i++) {
		const struct heap_point *bucket = get_bucket(view, number - i);

		if (bucket && (int64_t)bucket->time_ns <= time_ns)
			return time_ns - (int64_t)bucket->time_ns <= view->hold * view->length_ns ? bucket
												  : NULL;
	}
	return NULL;
}

static const struct heap_point *find_measured(const struct view *view, int64_t time_ns)
{
	const struct heap_point *before = find_before(view, time_ns);

	return before && before->is_measured ? before : NULL;
}

static const struct heap_point *find_after(const struct view *view, int64_t time_ns)
{
	int64_t number = time_ns / view->length_ns;

	for (int64_t i = 0; i <= view->hold; i++) {
		const struct heap_point *bucket = get_bucket(view, number + i);

		if (bucket && (int64_t)bucket->time_ns > time_ns)
			return bucket;
	}
	return NULL;
}

/* The cumulative counts at a moment, between two points by proportion. */
struct counts {
	double time_ns, allocs, alloc_bytes, frees, free_bytes;
};

static struct counts get_counts(const struct heap_point *point)
{
	return (struct counts){(double)point->time_ns, (double)point->allocs, (double)point->alloc_bytes,
			       (double)point->frees, (double)point->free_bytes};
}

static bool read_counts(const struct view *view, int64_t time_ns, struct counts *ret)
{
	const struct heap_point *before = find_measured(view, time_ns), *after = find_after(view, time_ns);
	struct counts next;
	double part;

	if (after && !after->is_measured)
		after = NULL;
	if (!before && !after)
		return false;
	*ret = get_counts(before ? before : after);
	if (!before || !after)
		return true;
	next = get_counts(after);
	part = ((double)time_ns - ret->time_ns) / (next.time_ns - ret->time_ns);
	ret->allocs += part * (next.allocs - ret->allocs);
	ret->alloc_bytes += part * (next.alloc_bytes - ret->alloc_bytes);
	ret->frees += part * (next.frees - ret->frees);
	ret->free_bytes += part * (next.free_bytes - ret->free_bytes);
	ret->time_ns = (double)time_ns;
	return true;
}

/* The points of a column; NULL: there are none. */
struct inside {
	const struct heap_point *first, *last; /* first: that is measured */
};

/* Where the points begin or end inside a column, the rates do. */
static void read_rates(const struct view *view, int64_t from_ns, int64_t to_ns, const struct inside *inside,
		       struct heap_column *ret)
{
	struct counts from, to;
	double seconds;

	if (inside->first && !find_measured(view, from_ns))
		from_ns = (int64_t)inside->first->time_ns;
	if (inside->last && !find_measured(view, to_ns))
		to_ns = (int64_t)inside->last->time_ns;
	if (!read_counts(view, from_ns, &from) || !read_counts(view, to_ns, &to))
		return;
	seconds = (to.time_ns - from.time_ns) / 1e9;
	if (seconds <= 0)
		return;
	ret->allocs_per_s = (to.allocs - from.allocs) / seconds;
	ret->alloc_bytes_per_s = (to.alloc_bytes - from.alloc_bytes) / seconds;
	ret->frees_per_s = (to.frees - from.frees) / seconds;
	ret->free_bytes_per_s = (to.free_bytes - from.free_bytes) / seconds;
}

/* The most of the buckets that a column touches. */
static struct inside read_most(const struct view *view, int64_t from_ns, int64_t to_ns,
			       struct heap_column *ret)
{
	int64_t number = from_ns / view->length_ns, last = (to_ns - 1) / view->length_ns;
	struct inside inside = {NULL, NULL};

	number = number < view->first ? view->first : number;
	last = last > view->last ? view->last : last;
	for (; number <= last; number++) {
		const struct heap_point *bucket = get_bucket(view, number);

		/* The most of a bucket in whose end the books were closed counts, too. */
		if (bucket && (bucket->is_measured || bucket->live_max_bytes))
			ret->live_max_bytes = fmax(ret->live_max_bytes, (double)bucket->live_max_bytes);
		if (bucket && bucket->rss_max_bytes)
			ret->rss_max_bytes = fmax(ret->rss_max_bytes, (double)bucket->rss_max_bytes);
		if (bucket && (int64_t)bucket->time_ns >= from_ns && (int64_t)bucket->time_ns < to_ns) {
			if (!inside.first && bucket->is_measured)
				inside.first = bucket;
			inside.last = bucket;
		}
	}
	return inside;
}

static struct heap_column read_column(const struct heap_timeline *timeline, int64_t from_ns, int64_t to_ns)
{
	const struct heap_column none = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
	struct heap_column column = none;
	const struct heap_point *end;
	struct inside inside;
	struct view view;

	if (from_ns < 0)
		from_ns = 0;
	if (to_ns > TIME_MAX_NS)
		to_ns = TIME_MAX_NS;
	if (!timeline->is_used || from_ns >= to_ns)
		return column;
	view = make_view(timeline, from_ns);
	inside = read_most(&view, from_ns, to_ns, &column);
	end = inside.last ? inside.last : find_before(&view, from_ns);
	if (!end)
		return none;
	if (end->is_measured) {
		column.live_bytes = (double)end->live_bytes;
		column.live_max_bytes = fmax(column.live_max_bytes, column.live_bytes);
		read_rates(&view, from_ns, to_ns, &inside, &column);
	}
	if (end->rss_bytes) {
		column.rss_bytes = (double)end->rss_bytes;
		column.rss_max_bytes = fmax(column.rss_max_bytes, column.rss_bytes);
	}
	return column;
}

void heap_read_timeline(const struct heap *heap, int64_t from_ns, int64_t to_ns, struct heap_column *ret,
			size_t columns)
{
	__int128 length = (__int128)to_ns - from_ns;

	for (size_t i = 0; i < columns; i++)
		ret[i] = read_column(&heap->timeline,
				     (int64_t)(from_ns + length * (__int128)i / (__int128)columns),
				     (int64_t)(from_ns + length * (__int128)(i + 1) / (__int128)columns));
}
