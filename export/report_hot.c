/* The functions by self. */
#include "base/cleanup.h"
#include "export/report_parts.h"

static struct error *write_json(const struct report_rows *rows, const struct report_measure *measure,
				FILE *stream)
{
	json_t *list = json_array();

	for (size_t i = 0; i < rows->shown; i++)
		if (json_array_append_new(list, report_json_row(&rows->list.items[i], measure))) {
			json_decref(list);
			return report_dump_json(NULL, 0, stream);
		}
	return report_rows_dump(rows, measure, list, stream);
}

/* Returns the columns used. */
static size_t put_figures(const struct report_row *row, const struct report_measure *measure, FILE *stream)
{
	char number[REPORT_NUMBER_MAX];
	size_t used = 7 + 1 + 7 + 1 + 10 + 2;

	fprintf(stream, "%6.1f%% ", report_get_pct(row->self, measure->total));
	if (measure->is_sampled) {
		fprintf(stream, "±%4.1f ",
			report_get_pct(1, measure->total) * report_get_ci(row->self, measure->total));
		used += 6;
	}
	fprintf(stream, "%6.1f%% %10s  ", report_get_pct(row->total, measure->total),
		report_format_amount(measure, row->self, number));
	return used;
}

static void put_row(const struct report_row *row, const struct report_measure *measure, size_t module_width,
		    FILE *stream)
{
	size_t used = put_figures(row, measure, stream) + module_width + 3, place_width, width;
	char place[128];

	report_format_place(&row->function, place, sizeof(place));
	place_width = report_get_width(place);
	place_width += place_width ? 2 : 0;
	width = used + place_width + 30 < REPORT_COLUMNS ? REPORT_COLUMNS - used - place_width : 30;
	report_rows_put_module(row, module_width, stream);
	fputs("  ", stream);
	report_put_text(row->function.name, width, stream);
	fprintf(stream, "%s%s\n", *place ? "  " : "", place);
}

static void write_text(const struct report_rows *rows, const struct report_measure *measure, FILE *stream)
{
	size_t module_width = report_rows_get_module_width(rows, 20);

	report_put_head(measure, stream);
	fprintf(stream, "%7s %s%7s %10s  %-*s  %s\n", "SELF", measure->is_sampled ? "    ± " : "", "TOTAL",
		measure->column, (int)module_width, "MODULE", "FUNCTION");
	for (size_t i = 0; i < rows->shown; i++)
		put_row(&rows->list.items[i], measure, module_width, stream);
	report_rows_put_rest(rows, measure, stream);
}

struct error *report_write_hot(const struct report_measure *measure, const struct report_options *options,
			       FILE *stream)
{
	_cleanup_(report_rows_deinit) struct report_rows rows = {0};
	struct error *error = report_rows_collect(&rows, measure, options, false);

	if (error)
		return error;
	if (options->format == REPORT_JSON)
		return write_json(&rows, measure, stream);
	write_text(&rows, measure, stream);
	return NULL;
}
