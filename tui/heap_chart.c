#include "tui/heap_chart.h"

#include "tui/format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define BAND_ROWS_MIN 5 /* of graph: with fewer, what predates the books is in the title alone */

unsigned heap_chart_count_columns(struct rectangle area)
{
	unsigned margin = chart_get_margin(CHART_BYTES);

	return area.columns > margin ? area.columns - margin : 0;
}

/* Where RSS stands on the heap's scale. */
static double get_rss(const struct heap_chart *chart, const struct heap_column *column)
{
	return fmax(column->rss_bytes, column->rss_max_bytes) - (double)chart->before_bytes;
}

static double find_maximum(const struct heap_chart *chart, unsigned count)
{
	double maximum = 0;
	unsigned i;

	for (i = 0; i < count; i++) { /* fmax() takes the one that is not NAN */
		const struct heap_column *column = &chart->columns[i];

		maximum = fmax(maximum, fmax(column->live_bytes, column->live_max_bytes));
		if (chart->shows_rss)
			maximum = fmax(maximum, get_rss(chart, column));
	}
	return maximum;
}

static void draw_live(struct canvas *canvas, const struct heap_column *data, unsigned column, unsigned bottom,
		      unsigned rows, double top)
{
	unsigned levels = chart_measure(data->live_bytes, top, rows), i;

	for (i = 0; i * 8 < levels; i++)
		canvas_put(canvas, column, bottom - i, 0x2580 + (levels - i * 8 < 8 ? levels - i * 8 : 8),
			   STYLE_GRAPH_HEAP);
	if (data->live_max_bytes > data->live_bytes)
		chart_draw_peak(canvas, data->live_max_bytes, data->live_bytes, column, bottom, rows, top);
}

/* The dot's cell is the one in which the value lies; below zero it stands in the band. */
static void draw_rss(struct canvas *canvas, double rss, unsigned column, unsigned bottom, unsigned rows,
		     bool has_band, double top)
{
	unsigned cell;

	if (isnan(rss) || (rss < 0 && !has_band))
		return;
	if (rss < 0) {
		canvas_put(canvas, column, bottom + 1, 0x2022, STYLE_GRAPH_RSS); /* • */
		return;
	}
	cell = (unsigned)fmax(0, fmin(rows, ceil(rss / top * rows)) - 1);
	canvas_put(canvas, column, bottom - cell, 0x2022, STYLE_GRAPH_RSS);
}

static void draw_gaps(struct canvas *canvas, const struct heap_chart *chart, unsigned count, unsigned left,
		      unsigned bottom)
{
	unsigned first = 0, last = count, i;

	while (first < count && isnan(chart->columns[first].live_bytes))
		first++;
	while (last > first && isnan(chart->columns[last - 1].live_bytes))
		last--;
	for (i = first; i < last; i++)
		if (isnan(chart->columns[i].live_bytes))
			chart_draw_gap(canvas, left + i, bottom);
}

/* Where so many cells of the band have no dot; 0 when there is no such place. */
static unsigned find_free_cells(const struct heap_chart *chart, unsigned count, unsigned cells)
{
	unsigned free = 0, i;

	for (i = 0; i < count; i++) {
		free = get_rss(chart, &chart->columns[i]) < 0 ? 0 : free + 1;
		if (free == cells)
			return i + 1 - cells;
	}
	return 0;
}

static void draw_band(struct canvas *canvas, const struct heap_chart *chart, unsigned row)
{
	unsigned left = chart->chart.area.column + chart_get_margin(CHART_BYTES);
	unsigned count = heap_chart_count_columns(chart->chart.area);
	char bytes[FORMAT_MAX], text[80];
	unsigned cells;

	canvas_text_right(canvas, chart->chart.area.column, row, left - chart->chart.area.column - 1,
			  STYLE_DIM, "0");
	canvas_put(canvas, left - 1, row, 0x2524, STYLE_DIM);	     /* ┤ */
	canvas_fill(canvas, left, row, count, 1, 0x2591, STYLE_DIM); /* ░ */
	snprintf(text, sizeof(text), " before attach: %s of RSS, no stacks ",
		 format_bytes(chart->before_bytes, bytes));
	if (strlen(text) + 2 > count)
		snprintf(text, sizeof(text), " before attach: %s ", bytes);
	cells = (unsigned)strlen(text);
	if (cells + 2 <= count)
		canvas_text(canvas, left + 1 + find_free_cells(chart, count - 1, cells + 1), row, cells,
			    STYLE_NORMAL, text);
}

static void draw_peak_mark(struct canvas *canvas, const struct heap_chart *chart, unsigned row)
{
	const struct chart *base = &chart->chart;
	unsigned count = heap_chart_count_columns(base->area), at;

	if (!chart->peak_ns || chart->peak_ns < base->from_ns || chart->peak_ns >= base->to_ns)
		return;
	at = (unsigned)((double)(chart->peak_ns - base->from_ns) / (double)(base->to_ns - base->from_ns) *
			count);
	canvas_put(canvas, base->area.column + chart_get_margin(CHART_BYTES) + at, row, 'P', STYLE_KEY);
}

void heap_chart_draw(struct canvas *canvas, const struct heap_chart *chart)
{
	const struct rectangle *area = &chart->chart.area;
	unsigned count = heap_chart_count_columns(*area), left = area->column + area->columns - count, i;
	unsigned below = chart->chart.has_no_labels ? 1 : 2, rows;
	struct chart base = chart->chart;
	struct chart_axis axis;
	bool has_band;

	if (!count || area->rows < 2 + below || base.to_ns <= base.from_ns)
		return;
	rows = area->rows - below;
	has_band = chart->shows_rss && chart->before_bytes && rows >= BAND_ROWS_MIN;
	rows -= has_band;
	if (rows > 3 && rows % 2) { /* few steps divide an odd number of rows evenly */
		base.area.row++;
		rows--;
	}
	area = &base.area;
	axis = chart_find_byte_axis(find_maximum(chart, count), rows);
	chart_draw_y_axis(canvas, &base, &axis, rows);
	if (has_band)
		draw_band(canvas, chart, area->row + rows);
	draw_gaps(canvas, chart, count, left, area->row + rows - 1);
	for (i = 0; i < count; i++) {
		draw_live(canvas, &chart->columns[i], left + i, area->row + rows - 1, rows, axis.top);
		if (chart->shows_rss)
			draw_rss(canvas, get_rss(chart, &chart->columns[i]), left + i, area->row + rows - 1,
				 rows, has_band, axis.top);
	}
	chart_draw_x_axis(canvas, &base, area->row + rows + has_band, has_band ? "" : "0");
	draw_peak_mark(canvas, chart, area->row + rows + has_band);
}

void heap_chart_draw_sparkline(struct canvas *canvas, unsigned column, unsigned row, const double *values,
			       unsigned count, double maximum, uint16_t style)
{
	unsigned i, level;

	for (i = 0; i < count; i++) {
		level = maximum > 0 ? chart_measure(values[i], maximum, 1) : 0;
		if (level)
			canvas_put(canvas, column + i, row, 0x2580 + level, style);
	}
}
