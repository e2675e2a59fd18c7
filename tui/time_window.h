/* What time the graphs show: the last minute, or all of it. One window for all screens: w changes it. */
#ifndef KILN_TUI_TIME_WINDOW_H
#define KILN_TUI_TIME_WINDOW_H

#include "profile/source.h"
#include "tui/chart.h"

#include <stdbool.h>

/* Nothing will come after what is there. */
bool time_window_is_over(const struct source_status *status);
/* is_flipped: by w, from what is shown at first: of a recording all, of a running target the last minute. */
bool time_window_is_all(const struct source_status *status, bool is_flipped);
/* Sets from_ns, to_ns, relative_to_ns and end_label. The edges stand on whole columns, so that the blocks do
 * not flicker while time goes on; before there are 60 s it grows by steps, of which there are more where it
 * does not grow. */
void time_window_choose(const struct source_status *status, bool is_flipped, unsigned columns,
			struct chart *ret);
/* When something was, as the x axis says it: " at 01:20", " at -19s", " just now". */
void time_window_write(const struct chart *chart, uint64_t time_ns, char *ret, size_t capacity);

#endif
