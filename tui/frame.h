/* What stands around every view: where the rows are, the status row, the tabs, the row of keys. */
#ifndef KILN_TUI_FRAME_H
#define KILN_TUI_FRAME_H

#include "profile/heap.h"
#include "profile/source.h"
#include "tui/canvas.h"
#include "tui/view.h"

#define FRAME_COLUMNS_MIN 40
#define FRAME_ROWS_MIN	  10
#define FRAME_ROWS_ROOMY  22 /* from here on, scope and messages have rows of their own */

/* Rows; is_compact: the scope stands behind the tabs and messages take the detail's row. */
struct frame {
	bool is_compact;
	unsigned scope, detail, message, keys;
	struct rectangle content;
};

struct frame frame_lay_out(unsigned columns, unsigned rows);

/* Shrinks by priority: the target, its state and the losses go last. */
void frame_draw_status(struct canvas *canvas, const struct source_status *status,
		       const struct heap_facts *heap);
/* The current tab is in brackets, so that it is seen without colour. Returns where the row's free part
 * begins. */
unsigned frame_draw_tabs(struct canvas *canvas, const struct view_ops *const *views, unsigned count,
			 unsigned current);
/* Right-aligned when the text fits between start and the row's end, else its left part is cut. */
void frame_draw_scope(struct canvas *canvas, unsigned row, unsigned start, const char *scope);
/* "Enter open  s sort": of the view's keys those that fit, then the app's own, which always fit. */
void frame_draw_keys(struct canvas *canvas, unsigned row, const char *view_keys, const char *app_keys);

/* "137 (SIGKILL)", "0": an exit as people write it. */
void frame_format_exit(const struct source_status *status, char *ret, size_t capacity);

#endif
