/* The heap's timeline: live heap as blocks from its own zero, RSS as dots, and below zero what predates the
 * books.
 *
 *   100M┤          • • • •     dots: RSS less what it was at the start
 *       │   ▂▂▄▄▆▆████████     blocks: live heap; ░ above them: the most inside a column
 *      0┤░ before attach: 702M of RSS, no stacks ░     a band, not to scale
 *       ┼────┬──────┬──P───    P: the peak
 *      00:00      00:10
 *
 * Live heap and RSS stand on one scale and are never confused: what grows in RSS and not in the heap is seen
 * as the gap between dots and blocks. Units: bytes, ns since the attach.
 */
#ifndef KILN_TUI_HEAP_CHART_H
#define KILN_TUI_HEAP_CHART_H

#include "profile/heap.h"
#include "tui/chart.h"

struct heap_chart {
	struct chart chart; /* area, times, unit CHART_BYTES, has_no_labels */
	const struct heap_column *columns;
	bool shows_rss;
	uint64_t before_bytes; /* RSS when the books were opened; 0: not known, or nothing */
	uint64_t peak_ns;      /* 0: none */
};

unsigned heap_chart_count_columns(struct rectangle area);
void heap_chart_draw(struct canvas *canvas, const struct heap_chart *chart);

/* A row of blocks: value / maximum in eighths, NAN and 0 as blanks. */
void heap_chart_draw_sparkline(struct canvas *canvas, unsigned column, unsigned row, const double *values,
			       unsigned count, double maximum, uint16_t style);

#endif
