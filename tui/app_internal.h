/* The dashboard's insides, shared by app.c (what it is) and app_run.c (on a terminal) only. */
#ifndef KILN_TUI_APP_INTERNAL_H
#define KILN_TUI_APP_INTERNAL_H

#include "profile/heap.h"
#include "tui/app.h"
#include "tui/prompt.h"
#include "tui/search.h"
#include "tui/view.h"
#include "tui/view_help.h"

#define APP_VIEWS	5
#define APP_MESSAGE_MAX 512

struct app {
	struct source *source;
	struct app_options options;
	struct view_context context;
	struct view *views[APP_VIEWS];
	/* Hotspots, tree and flame once more, of the heap's figures: each keeps its own cursor, folds and
	 * zoom. NULL: not asked for yet, or no such screen. */
	struct view *heap_views[APP_VIEWS];
	unsigned current;
	unsigned metric; /* that those screens show (metric.h) */
	struct search search;
	char search_before[SEARCH_PATTERN_MAX]; /* while the prompt is open: what Esc brings back */
	struct prompt prompt;
	struct help help;
	char message[APP_MESSAGE_MAX];
	uint16_t message_style;
	char note_seen[APP_MESSAGE_MAX]; /* the source's note that was said already */
	enum source_state state_seen;
	enum heap_mode heap_seen;
	bool is_dirty;	   /* something to draw came from outside of keys */
	bool wants_redraw; /* ^L: the terminal is to be painted anew */
	bool is_pausing;
	/* ^Z when collecting is off: gives the terminal back, stops, takes it again. NULL without a terminal.
	 */
	void (*suspend)(void *arg);
	void *suspend_arg;
};

/* A message of other importance than app_set_message()'s. */
void app_say(struct app *app, uint16_t style, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* app_messages.c: the lines in words. */

/* The line that stands in place of the content; false: there is content. */
bool app_describe_emptiness(const struct source_status *status, char *ret, size_t capacity);
/* What is to be said as long as it is so; "" nothing. Returns its style. */
uint16_t app_describe_state(const struct app *app, const struct source_status *status, char *ret,
			    size_t capacity);
/* "● EXITED 137 (SIGKILL) at 01:32. …" or the same of a lost probe; false: neither. */
bool app_describe_end(const struct source_status *status, char *ret, size_t capacity);

#endif
