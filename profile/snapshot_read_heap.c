/* Reading the heap of a snapshot. */
#include "profile/snapshot_reader.h"

#include "profile/heap_internal.h"

#include <stdio.h>

/* Sums of all stacks stay below what an integer of SQLite holds. */
#define FIGURE_MAX INT64_MAX

static struct error *ensure_heap(struct reader *reader)
{
	return reader->heap ? NULL : profile_ensure_heap(reader->profile, &reader->heap);
}

struct error *reader_read_heap_row(struct reader *reader, struct cursor *cursor)
{
	const char *key = cursor_take_text(cursor);
	struct error *error = ensure_heap(reader);

	return error ? error
		     : reader_read_field(reader, cursor, key, snapshot_heap, snapshot_heap_count,
					 &reader->heap_facts);
}

/* ---- stacks ---- */

static uint64_t take_figure(struct cursor *cursor)
{
	return (uint64_t)cursor_take_integer(cursor, 0, FIGURE_MAX);
}

static bool add_figure(uint64_t *sum, uint64_t figure)
{
	*sum += figure;
	return *sum <= FIGURE_MAX;
}

/* What is allocated bounds the others, so these two sums bound all. */
static struct error *check_figures(struct reader *reader, struct cursor *cursor,
				   const struct heap_figures *figures)
{
	if (figures->live_bytes > figures->alloc_bytes || figures->live_count > figures->alloc_count ||
	    figures->peak_bytes > figures->alloc_bytes)
		return cursor_fail(cursor, "more is live than was allocated");
	if (!figures->alloc_count && figures->alloc_bytes)
		return cursor_fail(cursor, "bytes without blocks");
	if (!add_figure(&reader->heap_sum.alloc_bytes, figures->alloc_bytes) ||
	    !add_figure(&reader->heap_sum.alloc_count, figures->alloc_count))
		return cursor_fail(cursor, "impossibly much memory");
	return NULL;
}

static struct error *add_stack(struct reader *reader, int64_t parent, uint64_t frame,
			       const struct heap_figures *figures)
{
	uint32_t stack = profile_intern_stack(heap_get_profile(reader->heap),
					      reader->heap_stacks.items[parent], frame);
	struct error *error = NULL;

	if (!stack)
		return error_create(ERROR_BAD_FILE, 0, snapshot_hint_damaged, "too deep, or memory is short");
	if (!array_append(&reader->heap_stacks, stack))
		return reader_fail_memory();
	heap_share_frames(reader->heap);
	if (figures->alloc_count)
		error = heap_add_figures(reader->heap, stack, figures);
	return error;
}

struct error *reader_read_heap_stack_row(struct reader *reader, struct cursor *cursor)
{
	int64_t id = cursor_take_integer(cursor, 1, UINT32_MAX);
	int64_t parent = cursor_take_integer(cursor, 0, (int64_t)reader->heap_stacks.count - 1);
	int64_t frame_id = cursor_take_integer(cursor, 1, (int64_t)reader->frames.count);
	struct heap_figures figures;
	struct error *error;
	uint64_t frame;

	figures.live_bytes = take_figure(cursor);
	figures.live_count = take_figure(cursor);
	figures.alloc_bytes = take_figure(cursor);
	figures.alloc_count = take_figure(cursor);
	figures.peak_bytes = take_figure(cursor);
	error = cursor_check(cursor);
	if (error)
		return error;
	if (!reader->heap)
		return cursor_fail(cursor, "a stack, but no heap");
	if (id != (int64_t)reader->heap_stacks.count)
		return cursor_fail(cursor, "stacks are not numbered from 1");
	frame = reader->frames.items[frame_id - 1];
	if (parent && FRAME_MODULE(frame) == MODULE_STACK_END)
		return cursor_fail(cursor, "an end of a stack in its middle");
	error = check_figures(reader, cursor, &figures);
	return error ? error : add_stack(reader, parent, frame, &figures);
}

/* ---- timeline ---- */

static size_t find_level(int64_t length_ns)
{
	size_t level = 0;

	while (level < HEAP_TIMELINE_LEVELS && heap_timeline_get_length(level) != length_ns)
		level++;
	return level;
}

struct error *reader_read_heap_point_row(struct reader *reader, struct cursor *cursor)
{
	int64_t id = cursor_take_integer(cursor, 1, INT64_MAX);
	struct heap_point point = {
		.time_ns = (uint64_t)cursor_take_integer(
			cursor, 0, (int64_t)(reader->facts.duration_ns + SNAPSHOT_LATE_NS)),
	};
	size_t level = find_level(cursor_take_integer(cursor, 0, INT64_MAX));
	struct error *error;

	point.is_measured = !cursor_take_null(cursor);
	if (point.is_measured)
		point.live_bytes = take_figure(cursor);
	point.live_max_bytes = take_figure(cursor);
	if (!cursor_take_null(cursor))
		point.rss_bytes = take_figure(cursor);
	point.rss_max_bytes = take_figure(cursor);
	point.allocs = take_figure(cursor);
	point.alloc_bytes = take_figure(cursor);
	point.frees = take_figure(cursor);
	point.free_bytes = take_figure(cursor);
	error = cursor_check(cursor);
	if (error)
		return error;
	if (!reader->heap)
		return cursor_fail(cursor, "a point, but no heap");
	if (id != (int64_t)cursor->row)
		return cursor_fail(cursor, "points are not numbered from 1");
	if (level == HEAP_TIMELINE_LEVELS)
		return cursor_fail(cursor, "no such length");
	heap_timeline_add_row(&reader->heap->timeline, level, &point);
	return NULL;
}

struct error *reader_finish_heap(struct reader *reader)
{
	return reader->heap ? heap_set_facts(reader->heap, &reader->heap_facts) : NULL;
}
