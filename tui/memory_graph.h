/* The heap over time, as memory screen and overview show it: title, timeline, rates. */
#ifndef KILN_TUI_MEMORY_GRAPH_H
#define KILN_TUI_MEMORY_GRAPH_H

#include "base/array.h"
#include "profile/heap.h"
#include "tui/view.h"

/* Scratch; zeroed: empty. */
struct memory_graph {
	ARRAY(struct heap_column)
	columns;
	ARRAY(double)
	values;
};

void memory_graph_deinit(struct memory_graph *graph);

enum memory_graph_form {
	MEMORY_GRAPH_FULL,  /* with RSS, and what predates the attach */
	MEMORY_GRAPH_SMALL, /* live heap alone */
};

/* A title row, then the graph. */
void memory_graph_draw(struct memory_graph *graph, const struct view_context *context, struct canvas *canvas,
		       struct rectangle area, enum memory_graph_form form);
/* One row: how fast is allocated and freed. */
void memory_graph_draw_rates(struct memory_graph *graph, const struct view_context *context,
			     struct canvas *canvas, struct rectangle area);

/* The last seconds of what was measured, in one column; over: the whole of it, since nothing happens now. */
bool memory_graph_read_now(const struct view_context *context, struct heap_column *ret);
/* "RSS 1.2G, 702M before attach"; "" not known. */
void memory_graph_write_rss(const struct view_context *context, char *ret, size_t capacity);

#endif
