/* The functions of a measure, sorted by self: what the views "hot" and "alloc" have in common. */
#include "export/report_parts.h"

#include <errno.h>
#include <string.h>

static int compare_counts(uint64_t a, uint64_t b)
{
	return a == b ? 0 : a > b ? -1 : 1;
}

static int compare_rows(const void *a, const void *b)
{
	const struct report_row *first = a, *second = b;
	int order = compare_counts(first->self, second->self);

	if (!order)
		order = compare_counts(first->figures.alloc_bytes, second->figures.alloc_bytes);
	if (!order)
		order = compare_counts(first->total, second->total);
	if (!order)
		order = strcmp(first->function.name, second->function.name);
	return order ? order : strcmp(first->function.module_name, second->function.module_name);
}

void report_rows_deinit(struct report_rows *rows)
{
	array_deinit(&rows->list);
}

static bool append_row(struct report_rows *rows, const struct report_measure *measure, uint32_t function,
		       const struct heap_figures *figures)
{
	struct report_row row = {.function = profile_get_function(measure->profile, function)};

	row.self = row.function.self;
	row.total = row.function.total;
	if (figures)
		row.figures = *figures;
	return array_append(&rows->list, row);
}

/* Those that are on a stack of this metric. */
static bool append_hot(struct report_rows *rows, const struct report_measure *measure)
{
	uint32_t count = profile_count_hot(measure->profile);

	for (uint32_t rank = 0; rank < count; rank++)
		if (!append_row(rows, measure, profile_get_function_by_self(measure->profile, rank), NULL))
			return false;
	return true;
}

/* Those too that have allocated, and hold nothing of this metric any more. A function that has no name yet
 * comes into being with its first weight: all that have allocated have one as allocations. */
static struct error *meet_all_functions(const struct report_measure *measure)
{
	enum heap_metric metric = heap_get_metric(measure->heap.heap);
	struct error *error = heap_set_metric(measure->heap.heap, HEAP_ALLOC_COUNT);

	if (error)
		return error;
	profile_count_functions(measure->profile); /* who reads the sums makes them (settle.h) */
	return heap_set_metric(measure->heap.heap, metric);
}

/* People ask who allocated; scripts get the callers too, as in "hot". */
static bool append_allocating(struct report_rows *rows, const struct report_measure *measure,
			      bool wants_callers)
{
	uint32_t count = profile_count_functions(measure->profile);

	for (uint32_t function = 0; function < count; function++) {
		struct heap_figures figures;

		heap_get_function(measure->heap.heap, function, &figures);
		if (!figures.alloc_count &&
		    !(wants_callers && profile_get_function(measure->profile, function).total))
			continue;
		if (!append_row(rows, measure, function, &figures))
			return false;
	}
	return true;
}

static struct error *collect(struct report_rows *rows, const struct report_measure *measure, bool has_figures,
			     bool wants_callers)
{
	struct error *error = has_figures ? meet_all_functions(measure) : NULL;
	bool is_done;

	if (error)
		return error;
	is_done = has_figures ? append_allocating(rows, measure, wants_callers) : append_hot(rows, measure);
	return is_done ? NULL : error_create(ERROR_GENERAL, ENOMEM, NULL, "report");
}

struct error *report_rows_collect(struct report_rows *rows, const struct report_measure *measure,
				  const struct report_options *options, bool has_figures)
{
	struct error *error = collect(rows, measure, has_figures, options->format == REPORT_JSON);

	if (error)
		return error;
	if (rows->list.count)
		qsort(rows->list.items, rows->list.count, sizeof(*rows->list.items), compare_rows);
	while (rows->shown < rows->list.count && (!options->rows || rows->shown < options->rows) &&
	       !report_is_below(rows->list.items[rows->shown].self, measure->total, options->limit_pct))
		rows->shown++;
	for (size_t i = rows->shown; i < rows->list.count; i++)
		rows->hidden_self += rows->list.items[i].self;
	return NULL;
}

struct error *report_rows_dump(const struct report_rows *rows, const struct report_measure *measure,
			       json_t *list, FILE *stream)
{
	const struct report_heap *heap = &measure->heap;
	json_t *json = json_pack("{s:i, s:s, s:I, s:o}", "schema", REPORT_SCHEMA, "metric", measure->metric,
				 "total", (json_int_t)measure->total, "rows", list);

	if (json && rows->shown < rows->list.count)
		json_object_set_new(json, "left_out",
				    json_pack("{s:I, s:I}", "rows",
					      (json_int_t)(rows->list.count - rows->shown), "self",
					      (json_int_t)rows->hidden_self));
	if (json && heap->heap && heap->facts.mode == HEAP_MODE_CLOSED) {
		json_object_set_new(json, "closed_s", json_real((double)heap->facts.closed_ns / 1e9));
		json_object_set_new(json, "why", report_json_text(heap->why));
	}
	return report_dump_json(json, REPORT_JSON_FLAGS, stream);
}

size_t report_rows_get_module_width(const struct report_rows *rows, size_t most)
{
	size_t ret = 6;

	for (size_t i = 0; i < rows->shown; i++) {
		size_t width = report_get_width(rows->list.items[i].function.module_name);

		if (width > ret)
			ret = width < most ? width : most;
	}
	return ret;
}

void report_rows_put_module(const struct report_row *row, size_t width, FILE *stream)
{
	const char *module = row->function.module_name;

	report_put_text(module, width, stream);
	for (size_t cell = report_get_width(module); cell < width; cell++)
		fputc(' ', stream);
}

void report_rows_put_rest(const struct report_rows *rows, const struct report_measure *measure, FILE *stream)
{
	size_t hidden = rows->list.count - rows->shown;
	char number[REPORT_NUMBER_MAX];

	if (hidden)
		fprintf(stream, "… %s more, %.1f%%\n", report_format_number(hidden, number),
			report_get_pct(rows->hidden_self, measure->total));
	if (!rows->list.count)
		fprintf(stream, "%s\n", measure->nothing);
}
