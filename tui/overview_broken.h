/* The overview's line on stacks that are not whole: whose code spoils most of them, and why. */
#ifndef KILN_TUI_OVERVIEW_BROKEN_H
#define KILN_TUI_OVERVIEW_BROKEN_H

#include "tui/view.h"

/* Rows that the line takes: 1 when more than 0.1 % of the stacks are broken. is_tight: other things need the
 * row more, unless it is bad. */
unsigned overview_broken_count_rows(const struct profile *profile, bool is_tight);
/* "stacks break in libvendor.so: no unwind table, 3.1% of samples  +2 more", as much of it as there is room
 * for. */
void overview_broken_draw(const struct view_context *context, struct canvas *canvas, struct rectangle area);

#endif
