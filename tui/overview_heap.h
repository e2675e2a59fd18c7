/* The heap's part of the overview: who holds the most memory, and one line where there is no room for more.
 */
#ifndef KILN_TUI_OVERVIEW_HEAP_H
#define KILN_TUI_OVERVIEW_HEAP_H

#include "tui/hot_order.h"
#include "tui/memory_graph.h"
#include "tui/view.h"

struct overview_heap {
	struct memory_graph graph;
	struct hot_order order;
};

void overview_heap_deinit(struct overview_heap *heap);
/* Once a drawing, before the others. false: the heap is not measured, and overview_heap_draw_line() says why.
 */
bool overview_heap_refresh(struct overview_heap *heap, const struct view_context *context);
/* The biggest live allocation sites, with a title row. */
void overview_heap_draw_sites(struct overview_heap *heap, const struct view_context *context,
			      struct canvas *canvas, struct rectangle area);
/* The same in one row: "biggest live: 182M Cache::insert  71M Session::Session". */
void overview_heap_draw_biggest(struct overview_heap *heap, const struct view_context *context,
				struct canvas *canvas, struct rectangle area);
/* "live heap 498M  peak 512M  RSS 1.2G", or why it is not measured. */
void overview_heap_draw_line(const struct view_context *context, struct canvas *canvas,
			     struct rectangle area);

#endif
