/* Writing the heap of a snapshot: its facts, its stacks with what each of them has, its timeline. */
#include "profile/snapshot_writer.h"

#include "base/cleanup.h"
#include "profile/heap_internal.h"
#include "profile/snapshot_format.h"

static struct error *write_facts(struct writer *writer, const struct heap *heap)
{
	_cleanup_(row_deinit) struct row row = {0};
	struct error *error = row_prepare(writer, "heap", 2, &row);
	struct heap_facts facts;

	heap_get_facts(heap, &facts);
	return error ? error : row_insert_fields(&row, snapshot_heap, snapshot_heap_count, &facts);
}

static struct error *write_stacks(struct writer *writer, const struct heap *heap)
{
	_cleanup_(row_deinit) struct row row = {0};
	struct error *error = row_prepare(writer, "heap_stack", 8, &row);
	uint32_t count = profile_count_stacks(heap->profile);

	for (uint32_t i = 1; !error && i <= count; i++) {
		struct stack stack = profile_get_stack(heap->profile, i);
		uint32_t frame = writer_intern_frame(writer, stack.frame);
		struct heap_figures figures;

		if (!frame)
			return writer_fail_memory();
		heap_get_stack(heap, i, &figures);
		row_bind_integer(&row, i);
		row_bind_integer(&row, stack.parent);
		row_bind_integer(&row, frame);
		row_bind_integer(&row, figures.live_bytes);
		row_bind_integer(&row, figures.live_count);
		row_bind_integer(&row, figures.alloc_bytes);
		row_bind_integer(&row, figures.alloc_count);
		row_bind_integer(&row, figures.peak_bytes);
		error = row_insert(&row);
	}
	return error;
}

static void bind_point(struct row *row, size_t level, const struct heap_point *point)
{
	row_bind_integer(row, point->time_ns);
	row_bind_integer(row, (uint64_t)heap_timeline_get_length(level));
	if (point->is_measured)
		row_bind_integer(row, point->live_bytes);
	else
		row_bind_null(row);
	row_bind_integer(row, point->live_max_bytes);
	if (point->rss_bytes)
		row_bind_integer(row, point->rss_bytes);
	else
		row_bind_null(row);
	row_bind_integer(row, point->rss_max_bytes);
	row_bind_integer(row, point->allocs);
	row_bind_integer(row, point->alloc_bytes);
	row_bind_integer(row, point->frees);
	row_bind_integer(row, point->free_bytes);
}

static struct error *write_points(struct writer *writer, const struct heap *heap)
{
	_cleanup_(row_deinit) struct row row = {0};
	struct error *error = row_prepare(writer, "heap_point", 11, &row);
	struct heap_point point;
	uint64_t number = 0;
	size_t at = 0, level;

	while (!error && heap_timeline_next_row(&heap->timeline, &at, &level, &point)) {
		row_bind_integer(&row, ++number);
		bind_point(&row, level, &point);
		error = row_insert(&row);
	}
	return error;
}

struct error *writer_write_heap(struct writer *writer)
{
	const struct heap *heap = profile_get_heap(writer->profile);
	struct error *error;

	if (!heap)
		return NULL;
	error = write_facts(writer, heap);
	if (!error)
		error = write_stacks(writer, heap);
	if (!error)
		error = write_points(writer, heap);
	return error;
}
