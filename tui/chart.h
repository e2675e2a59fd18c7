/* A timeline of stacked blocks with its axes: 8 levels a cell, zero always included, ticks at 1-2-5 steps.
 *
 *    2.0┤      ▂▄▆▆▄▂       rows - 2 rows of graph; a y label names the upper edge of its row
 *    1.0┤▄▆██████████▆
 *      0┼────┬────┬────┬    the x axis
 *     00:00     00:10       and its labels
 *
 * Units: cores, ns since the attach.
 */
#ifndef KILN_TUI_CHART_H
#define KILN_TUI_CHART_H

#include "profile/profile.h"
#include "tui/canvas.h"
#include "tui/view.h"

#define CHART_MARGIN   5 /* columns left of the graph: label and axis */
#define CHART_ROWS_MIN 4 /* two rows of graph, axis, labels */

struct chart {
	struct rectangle area;
	uint64_t from_ns, to_ns;
	/* What x labels are relative to: labels become "-30s" and, at its end, end_label; 0: labels are times
	 * since the attach. */
	uint64_t relative_to_ns;
	const char *end_label;
	const struct timeline_column *columns; /* as many as chart_count_columns() says */
	/* The highest short stretch of each column, where a column is so long that its mean hides one; NULL:
	 * not shown. Drawn as a shade above the mean. */
	const double *peaks;
};

/* How many columns of data an area shows. */
unsigned chart_count_columns(struct rectangle area);
void chart_draw(struct canvas *canvas, const struct chart *chart);

/* The y axis of a graph: top = intervals · step, step is 1, 2 or 5 times a power of ten, the intervals divide
 * the rows evenly. maximum 0 or below gives an axis to 1. */
struct chart_axis {
	double step, top;
	unsigned intervals;
};
struct chart_axis chart_find_axis(double maximum, unsigned rows);

/* The step between x labels: the smallest time people count in that leaves label_cells between two. */
uint64_t chart_find_time_step(uint64_t span_ns, unsigned columns, unsigned label_cells);

#endif
