/* The functions by self. */
#include "base/array.h"
#include "base/cleanup.h"
#include "export/report_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct rows {
	ARRAY(struct report_row)
	list;
	size_t shown; /* the first ones */
	uint64_t samples;
	uint64_t hidden_self;
};

static int compare_rows(const void *a, const void *b)
{
	const struct report_row *first = a, *second = b;
	int order;

	if (first->self != second->self)
		return first->self > second->self ? -1 : 1;
	if (first->total != second->total)
		return first->total > second->total ? -1 : 1;
	order = strcmp(first->function.name, second->function.name);
	return order ? order : strcmp(first->function.module_name, second->function.module_name);
}

static void rows_deinit(struct rows *rows)
{
	array_deinit(&rows->list);
}

static struct error *collect_rows(struct profile *profile, const struct report_options *options,
				  struct rows *rows)
{
	uint32_t count = profile_count_hot(profile);
	struct totals totals;

	profile_get_totals(profile, &totals);
	rows->samples = totals.samples;
	for (uint32_t rank = 0; rank < count; rank++) {
		struct report_row row = {
			.function =
				profile_get_function(profile, profile_get_function_by_self(profile, rank)),
			.samples = totals.samples,
		};

		row.self = row.function.self;
		row.total = row.function.total;
		if (!array_append(&rows->list, row))
			return error_create(ERROR_GENERAL, ENOMEM, NULL, "report");
	}
	if (rows->list.count)
		qsort(rows->list.items, rows->list.count, sizeof(*rows->list.items), compare_rows);
	while (rows->shown < rows->list.count && (!options->rows || rows->shown < options->rows) &&
	       !report_is_below(rows->list.items[rows->shown].self, rows->samples, options->limit_pct))
		rows->shown++;
	for (size_t i = rows->shown; i < rows->list.count; i++)
		rows->hidden_self += rows->list.items[i].self;
	return NULL;
}

static struct error *write_json(const struct rows *rows, FILE *stream)
{
	json_t *list = json_array(), *json;

	for (size_t i = 0; i < rows->shown; i++)
		if (json_array_append_new(list, report_json_row(&rows->list.items[i]))) {
			json_decref(list);
			return report_dump_json(NULL, 0, stream);
		}
	json = json_pack("{s:i, s:s, s:I, s:o}", "schema", REPORT_SCHEMA, "metric", "cpu", "total",
			 (json_int_t)rows->samples, "rows", list);
	if (json && rows->shown < rows->list.count)
		json_object_set_new(json, "left_out",
				    json_pack("{s:I, s:I}", "rows",
					      (json_int_t)(rows->list.count - rows->shown), "self",
					      (json_int_t)rows->hidden_self));
	return report_dump_json(json, REPORT_JSON_FLAGS, stream);
}

static void put_row(const struct report_row *row, size_t module_width, FILE *stream)
{
	char number[REPORT_NUMBER_MAX], place[128];
	const char *module = row->function.module_name;
	size_t used = 37 + module_width, place_width, width;

	report_format_place(&row->function, place, sizeof(place));
	place_width = report_get_width(place);
	place_width += place_width ? 2 : 0;
	width = used + place_width + 30 < REPORT_COLUMNS ? REPORT_COLUMNS - used - place_width : 30;
	fprintf(stream, "%6.1f%% ±%4.1f %6.1f%% %10s  ", report_get_pct(row->self, row->samples),
		report_get_pct(1, row->samples) * report_get_ci(row->self, row->samples),
		report_get_pct(row->total, row->samples), report_format_number(row->self, number));
	report_put_text(module, module_width, stream);
	for (size_t cell = report_get_width(module); cell < module_width; cell++)
		fputc(' ', stream);
	fputs("  ", stream);
	report_put_text(row->function.name, width, stream);
	fprintf(stream, "%s%s\n", *place ? "  " : "", place);
}

static void write_text(const struct rows *rows, FILE *stream)
{
	char number[REPORT_NUMBER_MAX];
	size_t module_width = 6, hidden = rows->list.count - rows->shown;

	for (size_t i = 0; i < rows->shown; i++) {
		size_t width = report_get_width(rows->list.items[i].function.module_name);

		if (width > module_width)
			module_width = width < 20 ? width : 20;
	}
	fprintf(stream, "%7s %6s %7s %10s  %-*s  %s\n", "SELF", "±", "TOTAL", "SAMPLES", (int)module_width,
		"MODULE", "FUNCTION");
	for (size_t i = 0; i < rows->shown; i++)
		put_row(&rows->list.items[i], module_width, stream);
	if (hidden)
		fprintf(stream, "… %s more, %.1f%%\n", report_format_number(hidden, number),
			report_get_pct(rows->hidden_self, rows->samples));
	if (!rows->list.count)
		fputs("no samples\n", stream);
}

struct error *report_write_hot(struct profile *profile, const struct report_options *options, FILE *stream)
{
	_cleanup_(rows_deinit) struct rows rows = {0};
	struct error *error = collect_rows(profile, options, &rows);

	if (error)
		return error;
	if (options->format == REPORT_JSON)
		return write_json(&rows, stream);
	write_text(&rows, stream);
	return NULL;
}
