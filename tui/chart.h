/* A timeline of blocks with its axes: 8 levels a cell, zero always included, ticks at round steps. Here are
 * the axes of every timeline and the graph of CPU use; heap_chart.h draws the heap's.
 *
 *    2.0┤      ▂▄▆▆▄▂       rows - 2 rows of graph; a y label names the upper edge of its row
 *    1.0┤▄▆██████████▆
 *      0┼────┬────┬────┬    the x axis
 *     00:00     00:10       and its labels
 *
 * Units: cores or bytes, ns since the attach.
 */
#ifndef KILN_TUI_CHART_H
#define KILN_TUI_CHART_H

#include "profile/profile.h"
#include "tui/canvas.h"
#include "tui/view.h"

#define CHART_MARGIN   5 /* columns left of the graph: label and axis */
#define CHART_ROWS_MIN 4 /* two rows of graph, axis, labels */

enum chart_unit { CHART_CORES, CHART_BYTES };

struct chart {
	struct rectangle area;
	uint64_t from_ns, to_ns;
	/* What x labels are relative to: labels become "-30s" and, at its end, end_label; 0: labels are times
	 * since the attach. */
	uint64_t relative_to_ns;
	const char *end_label;
	enum chart_unit unit;
	bool has_no_labels; /* the row of x labels is left out: the graph below has the same */
	const struct timeline_column *columns; /* as many as chart_count_columns() says */
	/* The highest short stretch of each column, where a column is so long that its mean hides one; NULL:
	 * not shown. Drawn as a shade above the mean. */
	const double *peaks;
};

/* Columns left of the graph: label and axis. */
unsigned chart_get_margin(enum chart_unit unit);
/* How many columns of data an area shows, of cores. */
unsigned chart_count_columns(struct rectangle area);
void chart_draw(struct canvas *canvas, const struct chart *chart);

/* The y axis of a graph: top = intervals · step, step is 1, 2 or 5 times a power of ten, the intervals divide
 * the rows evenly. maximum 0 or below gives an axis to 1. */
struct chart_axis {
	double step, top;
	unsigned intervals;
};
struct chart_axis chart_find_axis(double maximum, unsigned rows);
/* The same of bytes: the step is 1 or 5 times a power of two, so that labels are round in K, M, G. */
struct chart_axis chart_find_byte_axis(double maximum, unsigned rows);
/* "384M", "1.25G": at most five cells for a tick of such an axis. */
const char *chart_format_bytes(double bytes, char *ret, size_t capacity);

/* The step between x labels: the smallest time people count in that leaves label_cells between two. */
uint64_t chart_find_time_step(uint64_t span_ns, unsigned columns, unsigned label_cells);

/* ---- parts, for other graphs ---- */

/* The y axis of the rows at the top of the area, and the x axis in this row with its labels below. */
void chart_draw_y_axis(struct canvas *canvas, const struct chart *chart, const struct chart_axis *axis,
		       unsigned rows);
void chart_draw_x_axis(struct canvas *canvas, const struct chart *chart, unsigned row, const char *label);
/* How many eighths of a cell a value is high; at least one for what is not 0. */
unsigned chart_measure(double value, double top, unsigned rows);
/* The shade above a column, up to what it reached for a part of its time only. */
void chart_draw_peak(struct canvas *canvas, double peak, double value, unsigned column, unsigned bottom,
		     unsigned rows, double top);
/* Not measured, in the lowest row of a column. */
void chart_draw_gap(struct canvas *canvas, unsigned column, unsigned row);

#endif
