/* A screen: one table of operations in one file (view_*.c), drawn into a rectangle of the canvas by app.c,
 * which draws everything around it (status, tabs, scope, detail, prompt, keys).
 *
 * A view keeps its own state (selection, fold, zoom, sort), keyed by identity, never in the profile.
 */
#ifndef KILN_TUI_VIEW_H
#define KILN_TUI_VIEW_H

#include "base/error.h"
#include "profile/source.h"
#include "tui/canvas.h"

struct rectangle {
	unsigned column, row, columns, rows;
};

/* What all views share: the source, the search, the selection that moves between screens. Owned by app.c. */
struct view_context {
	struct source *source;
	const char *search; /* the active pattern; "" none */
	bool (*search_matches)(const struct view_context *context, const char *name);
	void *search_state;
	struct profile *profile;    /* what the screen shows; NULL: the source's own, of CPU samples */
	unsigned metric;	    /* what its samples are (metric.h) */
	bool is_window_flipped;	    /* time_window.h */
	uint32_t selected_function; /* UINT32_MAX none: carried over when the screen changes. Of that profile
				     */
	/* With VIEW_GO_HOT or VIEW_GO_TREE: show who calls selected_function; taken back by that screen. */
	bool opens_callers;
	bool ascii;
	bool wants_more; /* set by a drawing that shows only the first part of a long sum: draw again soon */
};

/* Keys: a Unicode code point, or one of these. */
enum key {
	KEY_CODE_UP = 0x110000,
	KEY_CODE_DOWN,
	KEY_CODE_LEFT,
	KEY_CODE_RIGHT,
	KEY_CODE_HOME,
	KEY_CODE_END,
	KEY_CODE_PAGE_UP,
	KEY_CODE_PAGE_DOWN,
	KEY_CODE_BACKTAB,
	KEY_CODE_BACKSPACE,
	KEY_CODE_F1,
	KEY_CODE_RESIZE,
	KEY_CODE_NONE,
};
#define KEY_CODE_CTRL(letter) ((letter)&0x1f)
#define KEY_CODE_ESCAPE	      27
#define KEY_CODE_ENTER	      '\r'
#define KEY_CODE_TAB	      '\t'

enum view_reply {
	VIEW_IGNORED, /* not this view's key */
	VIEW_HANDLED,
	VIEW_GO_HOT, /* go to that screen with context->selected_function */
	VIEW_GO_TREE,
	VIEW_GO_FLAME,
	VIEW_GO_MEMORY,
};

struct view;

struct view_ops {
	const char *name; /* full: "Hotspots" */
	const char *tab;  /* "Hot" */
	char key;	  /* '2' */
	const char *keys; /* the line of keys at the bottom: "Enter sandwich  s sort  …" (key, space, word;
			     two spaces between) */
	/* The same line, where it depends on what the view shows now. May be NULL. */
	const char *(*get_keys)(struct view *view);
	struct error *(*create)(struct view_context *context, struct view **ret);
	void (*destroy)(struct view *view);
	void (*enter)(struct view *view); /* becomes visible; may be NULL */
	void (*draw)(struct view *view, struct canvas *canvas, struct rectangle area);
	enum view_reply (*key_pressed)(struct view *view, uint32_t key);
	/* One line about the selection, for the detail row. */
	void (*describe)(struct view *view, char *ret, size_t capacity);
	/* Row 3, the scope or breadcrumb: "whole process ▸ all threads", "zoom ▸ all › main". */
	void (*scope)(struct view *view, char *ret, size_t capacity);
	/* Goes to the next (+1) or previous (-1) row that matches the search; false: none. May be NULL. */
	bool (*find)(struct view *view, int direction);
};

struct view {
	const struct view_ops *ops;
	struct view_context *context;
};

extern const struct view_ops view_overview, view_hot, view_tree, view_flame, view_memory;

#endif
