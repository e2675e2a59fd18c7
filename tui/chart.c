#include "tui/chart.h"

#include "tui/format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SECOND	    1000000000ull
#define LABEL_CELLS 8

unsigned chart_get_margin(enum chart_unit unit)
{
	return unit == CHART_BYTES ? CHART_MARGIN + 1 : CHART_MARGIN; /* "99.5M" */
}

unsigned chart_count_columns(struct rectangle area)
{
	return area.columns > CHART_MARGIN ? area.columns - CHART_MARGIN : 0;
}

/* ---- axes ---- */

/* The smallest divisor of rows that is at least count and leaves two rows an interval; 0: none. */
static unsigned find_intervals(unsigned count, unsigned rows)
{
	unsigned limit = rows < 2 ? 1 : rows / 2;

	for (; count <= limit; count++)
		if (rows % count == 0)
			return count;
	return 0;
}

struct chart_axis chart_find_axis(double maximum, unsigned rows)
{
	static const double mantissas[] = {1, 2, 5};
	double decade;
	unsigned i;

	if (!(maximum > 0) || isinf(maximum))
		maximum = 1;
	if (maximum < 1e-6)
		maximum = 1e-6;
	if (!rows)
		rows = 1;
	for (decade = pow(10, floor(log10(maximum)) - 2);; decade *= 10) {
		for (i = 0; i < 3; i++) {
			double step = mantissas[i] * decade;
			/* a value on a tick stays below it in spite of rounding */
			double wanted = ceil(maximum / step - 1e-9);
			unsigned intervals = wanted > rows ? 0 : find_intervals((unsigned)wanted, rows);

			if (intervals)
				return (struct chart_axis){step, step * intervals, intervals};
		}
	}
}

#define UNITS	  "BKMGTPE"
#define BYTES_MAX 0x1p63

/* The unit in which a number has at most three digits before the point. */
static unsigned find_byte_unit(double bytes, double *ret_unit)
{
	unsigned unit = 0;

	for (*ret_unit = 1; UNITS[unit + 1] && bytes >= 1000 * *ret_unit; unit++)
		*ret_unit *= 1024;
	return unit;
}

/* 384M, 1.25G: a label says exactly where it stands, in five cells. */
static bool has_exact_labels(double step, unsigned intervals)
{
	double unit, value;
	unsigned i;

	for (i = 1; i <= intervals; i++) {
		find_byte_unit(step * i, &unit);
		value = step * i / unit;
		if (value != floor(value) && (value >= 10 || value * 4 != floor(value * 4)))
			return false;
	}
	return true;
}

struct chart_axis chart_find_byte_axis(double maximum, unsigned rows)
{
	struct chart_axis best = {0};
	double power, step = 0;

	if (!(maximum >= 1) || isinf(maximum))
		maximum = 1;
	if (maximum > BYTES_MAX)
		maximum = BYTES_MAX;
	if (!rows)
		rows = 1;
	/* 8, 10, 16, 20, 32 … until one step is enough: the one that leaves the least air above */
	for (power = exp2(fmax(3, floor(log2(maximum)) - 8)) / 8; step < maximum; power *= 2) {
		unsigned i;

		for (i = 4; i <= 5; i++) {
			unsigned intervals;

			step = power * i;
			intervals = maximum / step > rows
					    ? 0
					    : find_intervals((unsigned)ceil(maximum / step), rows);
			if (intervals && has_exact_labels(step, intervals) &&
			    (!best.intervals || step * intervals < best.top))
				best = (struct chart_axis){step, step * intervals, intervals};
		}
	}
	return best;
}

const char *chart_format_bytes(double bytes, char *ret, size_t capacity)
{
	double unit;
	unsigned letter = find_byte_unit(bytes, &unit);

	if (letter)
		snprintf(ret, capacity, "%g%c", bytes / unit, UNITS[letter]);
	else
		snprintf(ret, capacity, "%.0f", bytes);
	return ret;
}

uint64_t chart_find_time_step(uint64_t span_ns, unsigned columns, unsigned label_cells)
{
	static const unsigned steps_s[] = {1,	2,   5,	   10,	 15,   30,    60,    120,   300,
					   600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400};
	unsigned i;

	for (i = 0; i < sizeof(steps_s) / sizeof(steps_s[0]); i++)
		if ((double)steps_s[i] * (double)SECOND / (double)span_ns * columns >= label_cells)
			return steps_s[i] * SECOND;
	return (span_ns / 86400 / SECOND + 1) * 86400 * SECOND;
}

static void draw_y_label(struct canvas *canvas, const struct chart *chart, unsigned row, double value,
			 const struct chart_axis *axis)
{
	unsigned margin = chart_get_margin(chart->unit);
	unsigned decimals = axis->top >= 20 ? 0 : axis->step >= 0.1 ? 1 : axis->step >= 0.01 ? 2 : 3;
	char label[FORMAT_MAX];

	if (chart->unit == CHART_BYTES)
		chart_format_bytes(value, label, sizeof(label));
	else
		snprintf(label, sizeof(label), "%.*f", decimals, value);
	if (chart->unit == CHART_CORES && decimals == 3 && label[0] == '0')
		memmove(label, label + 1, strlen(label)); /* .005 fits in four cells */
	canvas_text_right(canvas, chart->area.column, row, margin - 1, STYLE_DIM, label);
	canvas_put(canvas, chart->area.column + margin - 1, row, 0x2524, STYLE_DIM); /* ┤ */
}

void chart_draw_y_axis(struct canvas *canvas, const struct chart *chart, const struct chart_axis *axis,
		       unsigned rows)
{
	unsigned i, each = rows / axis->intervals;

	canvas_fill(canvas, chart->area.column + chart_get_margin(chart->unit) - 1, chart->area.row, 1, rows,
		    0x2502, STYLE_DIM);
	for (i = 0; i < axis->intervals; i++)
		draw_y_label(canvas, chart, chart->area.row + i * each, axis->step * (axis->intervals - i),
			     axis);
}

static void format_time_label(const struct chart *chart, uint64_t time_ns, uint64_t step_ns, char *ret)
{
	uint64_t ago_s = (chart->relative_to_ns - time_ns) / SECOND;

	if (!chart->relative_to_ns)
		format_clock(time_ns, ret);
	else if (!ago_s)
		snprintf(ret, FORMAT_MAX, "%s", chart->end_label);
	else if (step_ns < 60 * SECOND)
		snprintf(ret, FORMAT_MAX, "-%llus", (unsigned long long)ago_s);
	else
		snprintf(ret, FORMAT_MAX, "-%llum", (unsigned long long)ago_s / 60);
}

/* Centered under its tick, inside of the area. */
static void draw_time_label(struct canvas *canvas, const struct chart *chart, unsigned column, unsigned row,
			    const char *label)
{
	unsigned width = canvas_text_width(label);
	unsigned end = chart->area.column + chart->area.columns;
	unsigned start = column > width / 2 ? column - width / 2 : 0;

	if (start < chart->area.column)
		start = chart->area.column;
	if (start + width > end)
		start = end > width ? end - width : 0;
	canvas_text(canvas, start, row, width, STYLE_DIM, label);
}

void chart_draw_x_axis(struct canvas *canvas, const struct chart *chart, unsigned row, const char *zero)
{
	unsigned margin = chart_get_margin(chart->unit), left = chart->area.column + margin;
	unsigned columns = chart->area.columns > margin ? chart->area.columns - margin : 0;
	uint64_t span_ns = chart->to_ns - chart->from_ns;
	uint64_t step_ns = chart_find_time_step(span_ns, columns, LABEL_CELLS);
	/* Ticks stand on multiples of the step, counted from the point that labels are relative to. */
	uint64_t time_ns = chart->from_ns + step_ns - 1;
	char label[FORMAT_MAX];

	canvas_text_right(canvas, chart->area.column, row, margin - 1, STYLE_DIM, zero);
	canvas_put(canvas, left - 1, row, 0x253c, STYLE_DIM); /* ┼ */
	canvas_fill(canvas, left, row, columns, 1, 0x2500, STYLE_DIM);
	time_ns -= (time_ns + step_ns - chart->relative_to_ns % step_ns) % step_ns;
	for (; time_ns <= chart->to_ns; time_ns += step_ns) {
		unsigned at = (unsigned)((double)(time_ns - chart->from_ns) / (double)span_ns * columns);

		if (at < columns)
			canvas_put(canvas, left + at, row, 0x252c, STYLE_DIM); /* ┬ */
		if (chart->has_no_labels)
			continue;
		format_time_label(chart, time_ns, step_ns, label);
		draw_time_label(canvas, chart, left + at, row + 1, label);
	}
}

/* ---- the graph ---- */

/* Which layer lies at a height: colour says it roughly; the exact split is written beside the graph by the
 * view. */
static uint16_t find_layer(const struct timeline_column *column, double height)
{
	if (height < column->user)
		return STYLE_GRAPH_USER;
	return height < column->user + column->kernel ? STYLE_GRAPH_KERNEL : STYLE_GRAPH_UNKNOWN;
}

static double sum_column(const struct timeline_column *column)
{
	return column->has_data ? column->user + column->kernel + column->unknown : 0;
}

unsigned chart_measure(double value, double top, unsigned rows)
{
	double levels = value / top * rows * 8;

	if (!(value > 0))
		return 0;
	if (levels > rows * 8)
		return rows * 8;
	return levels < 1 ? 1 : (unsigned)lround(levels); /* little is not nothing */
}

static void draw_column(struct canvas *canvas, const struct timeline_column *data, unsigned column,
			unsigned bottom, unsigned rows, double top)
{
	double cell = top / rows;
	unsigned levels = chart_measure(sum_column(data), top, rows), i;

	for (i = 0; i * 8 < levels; i++) {
		unsigned eighths = levels - i * 8 < 8 ? levels - i * 8 : 8;
		double middle = (i + eighths / 16.0) * cell;

		canvas_put(canvas, column, bottom - i, 0x2580 + eighths, find_layer(data, middle));
	}
}

/* What rose above the mean for a part of the column only. */
void chart_draw_peak(struct canvas *canvas, double peak, double sum, unsigned column, unsigned bottom,
		     unsigned rows, double top)
{
	unsigned first, last;

	if (!(peak > sum)) /* NAN, too */
		return;
	first = (unsigned)fmin(rows, ceil(sum / top * rows - 1e-9));
	last = (unsigned)fmin(rows, ceil(peak / top * rows - 1e-9));
	for (; first < last; first++)
		canvas_put(canvas, column, bottom - first, 0x2591, STYLE_DIM); /* ░ */
}

void chart_draw_gap(struct canvas *canvas, unsigned column, unsigned row)
{
	canvas_put(canvas, column, row, 0xb7, STYLE_WARN); /* · */
}

/* Time without data between times with data: collecting was paused. Not measured is not 0. */
static void draw_gaps(struct canvas *canvas, const struct chart *chart, unsigned columns, unsigned bottom)
{
	unsigned first = 0, last = columns, i;

	while (first < columns && !chart->columns[first].has_data)
		first++;
	while (last > first && !chart->columns[last - 1].has_data)
		last--;
	for (i = first; i < last; i++)
		if (!chart->columns[i].has_data)
			chart_draw_gap(canvas, chart->area.column + CHART_MARGIN + i, bottom);
}

void chart_draw(struct canvas *canvas, const struct chart *chart)
{
	unsigned columns = chart_count_columns(chart->area), i;
	unsigned below = chart->has_no_labels ? 1 : 2, rows = chart->area.rows - below;
	struct chart_axis axis;
	double maximum = 0;

	if (!columns || chart->area.rows < 2 + below || chart->to_ns <= chart->from_ns)
		return;
	for (i = 0; i < columns; i++)
		maximum = fmax(maximum, chart->peaks ? chart->peaks[i] : sum_column(&chart->columns[i]));
	axis = chart_find_axis(maximum, rows);
	chart_draw_y_axis(canvas, chart, &axis, rows);
	for (i = 0; i < columns; i++) {
		draw_column(canvas, &chart->columns[i], chart->area.column + CHART_MARGIN + i,
			    chart->area.row + rows - 1, rows, axis.top);
		if (chart->peaks)
			chart_draw_peak(canvas, chart->peaks[i], sum_column(&chart->columns[i]),
					chart->area.column + CHART_MARGIN + i, chart->area.row + rows - 1,
					rows, axis.top);
	}
	draw_gaps(canvas, chart, columns, chart->area.row + rows - 1);
	chart_draw_x_axis(canvas, chart, chart->area.row + rows, "0");
}
