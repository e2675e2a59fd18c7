/* Who allocated: the allocation sites' functions with all figures of the heap, sorted by one metric. */
#include "base/cleanup.h"
#include "export/report_parts.h"

/* In the text: a name is shown with so much at least, before its place in the source is. */
#define NAME_MIN   24
#define MODULE_MAX 14

/* Lifetimes are not built yet: null is "not measured". */
static json_t *make_row(const struct report_row *row, const struct report_measure *measure)
{
	const struct heap_figures *figures = &row->figures;
	json_t *json = report_json_row(row, measure);
	json_t *more = json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:n, s:n}", "live_bytes", (json_int_t)figures->live_bytes,
		"live_count", (json_int_t)figures->live_count, "alloc_bytes",
		(json_int_t)figures->alloc_bytes, "alloc_count", (json_int_t)figures->alloc_count,
		"peak_bytes", (json_int_t)figures->peak_bytes, "lifetime_p50_s", "temporary_pct");

	if (!json || !more || json_object_update(json, more)) {
		json_decref(json);
		json = NULL;
	}
	json_decref(more);
	return json;
}

static struct error *write_json(const struct report_rows *rows, const struct report_measure *measure,
				FILE *stream)
{
	json_t *list = json_array();

	for (size_t i = 0; i < rows->shown; i++)
		if (json_array_append_new(list, make_row(&rows->list.items[i], measure))) {
			json_decref(list);
			return report_dump_json(NULL, 0, stream);
		}
	return report_rows_dump(rows, measure, list, stream);
}

/* Returns the columns used. */
static size_t put_figures(const struct report_row *row, const struct report_measure *measure, FILE *stream)
{
	const struct heap_figures *figures = &row->figures;
	char live[REPORT_NUMBER_MAX], blocks[REPORT_NUMBER_MAX], allocated[REPORT_NUMBER_MAX];
	char allocations[REPORT_NUMBER_MAX], peak[REPORT_NUMBER_MAX];

	fprintf(stream, "%6.1f%% %7s %6s %9s %6s %7s  ", report_get_pct(row->self, measure->total),
		report_format_short_bytes(figures->live_bytes, live),
		report_format_short(figures->live_count, blocks),
		report_format_short_bytes(figures->alloc_bytes, allocated),
		report_format_short(figures->alloc_count, allocations),
		report_format_short_bytes(figures->peak_bytes, peak));
	return 7 + 1 + 7 + 1 + 6 + 1 + 9 + 1 + 6 + 1 + 7 + 2;
}

static void put_row(const struct report_row *row, const struct report_measure *measure, size_t module_width,
		    FILE *stream)
{
	size_t used = put_figures(row, measure, stream) + module_width + 2, place_width;
	size_t room = used + NAME_MIN < REPORT_COLUMNS ? REPORT_COLUMNS - used : NAME_MIN;
	char place[128];

	report_rows_put_module(row, module_width, stream);
	fputs("  ", stream);
	report_format_place(&row->function, place, sizeof(place));
	place_width = report_get_width(place) + 2;
	/* The owner is what matters; where its source is, a wider report or JSON tells. */
	if (!*place || report_get_width(row->function.name) + place_width > room) {
		report_put_text(row->function.name, room, stream);
		fputc('\n', stream);
		return;
	}
	fprintf(stream, "%s  %s\n", row->function.name, place);
}

static void write_text(const struct report_rows *rows, const struct report_measure *measure, FILE *stream)
{
	size_t module_width = report_rows_get_module_width(rows, MODULE_MAX);

	report_put_head(measure, stream);
	fprintf(stream, "%7s %7s %6s %9s %6s %7s  %-*s  %s\n", "SELF", "LIVE", "BLOCKS", "ALLOCATED",
		"ALLOCS", "PEAK", (int)module_width, "MODULE", "FUNCTION");
	for (size_t i = 0; i < rows->shown; i++)
		put_row(&rows->list.items[i], measure, module_width, stream);
	report_rows_put_rest(rows, measure, stream);
}

struct error *report_write_alloc(const struct report_measure *measure, const struct report_options *options,
				 FILE *stream)
{
	_cleanup_(report_rows_deinit) struct report_rows rows = {0};
	struct error *error = report_rows_collect(&rows, measure, options, true);

	if (error)
		return error;
	if (options->format == REPORT_JSON)
		return write_json(&rows, measure, stream);
	write_text(&rows, measure, stream);
	return NULL;
}
