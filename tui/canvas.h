/* A grid of cells with attributes: what a screen shows, and nothing of the terminal. Pure: no curses.
 *
 * Drawing clips: cells outside the grid are dropped, text is cut at the right edge. A cell holds one code
 * point of width 1 or 2 (the right half of a wide one is empty). Strings are UTF-8.
 */
#ifndef KILN_TUI_CANVAS_H
#define KILN_TUI_CANVAS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What a cell means, not what it looks like: term.c knows palettes for 256, 16, 8 colours and none. */
enum style {
	STYLE_NORMAL,
	STYLE_DIM, /* borders, units, hints */
	STYLE_BOLD,
	STYLE_HEADER, /* row 1 */
	STYLE_TAB,
	STYLE_TAB_ACTIVE,
	STYLE_TITLE, /* pane titles, column heads */
	STYLE_KEY,   /* a key's name in hints */
	STYLE_GOOD,
	STYLE_WARN,
	STYLE_BAD,
	STYLE_BAR, /* bars of shares */
	STYLE_GRAPH_USER,
	STYLE_GRAPH_KERNEL,
	STYLE_GRAPH_UNKNOWN,
	STYLE_GRAPH_HEAP, /* live heap: blocks */
	STYLE_GRAPH_RSS,  /* resident memory: dots */
	STYLE_MATCH,	  /* search hit */
	/* kinds of code, for flames and module columns */
	STYLE_KIND_APP,
	STYLE_KIND_LIBRARY,
	STYLE_KIND_LIBC,
	STYLE_KIND_KERNEL,
	STYLE_KIND_JIT,
	STYLE_KIND_UNKNOWN,
	STYLES,
};
/* Or'ed to a style. Lightness, 0 to 3: a kind with it (also 0) is a filled frame of a flame, a kind without
 * it is a word in that colour. */
#define STYLE_SELECTED	   0x100
#define STYLE_FILLED	   0x200
#define STYLE_LIGHTNESS(n) ((uint16_t)(STYLE_FILLED | ((n)&3) << 10))
#define STYLE_BASE(style)  ((style)&0xff)

struct cell {
	uint32_t codepoint; /* 0: right half of a wide one */
	uint16_t style;
};

struct canvas;

struct error *canvas_create(unsigned columns, unsigned rows, struct canvas **ret);
void canvas_destroy(struct canvas *canvas);					     /* NULL accepted */
struct error *canvas_resize(struct canvas *canvas, unsigned columns, unsigned rows); /* clears */
unsigned canvas_get_columns(const struct canvas *canvas);
unsigned canvas_get_rows(const struct canvas *canvas);
void canvas_clear(struct canvas *canvas);

struct cell canvas_get(const struct canvas *canvas, unsigned column, unsigned row);
void canvas_put(struct canvas *canvas, unsigned column, unsigned row, uint32_t codepoint, uint16_t style);
/* Draws at most width cells of text; returns the cells used. Text that does not fit ends in '…'. */
unsigned canvas_text(struct canvas *canvas, unsigned column, unsigned row, unsigned width, uint16_t style,
		     const char *text);
unsigned canvas_print(struct canvas *canvas, unsigned column, unsigned row, unsigned width, uint16_t style,
		      const char *format, ...) __attribute__((format(printf, 6, 7)));
/* Right-aligned in width cells. */
void canvas_text_right(struct canvas *canvas, unsigned column, unsigned row, unsigned width, uint16_t style,
		       const char *text);
void canvas_fill(struct canvas *canvas, unsigned column, unsigned row, unsigned columns, unsigned rows,
		 uint32_t codepoint, uint16_t style);
/* Sets the style of cells, keeping their text. */
void canvas_restyle(struct canvas *canvas, unsigned column, unsigned row, unsigned columns,
		    uint16_t or_style);
/* A horizontal rule with a title: "─ title ────". */
void canvas_rule(struct canvas *canvas, unsigned column, unsigned row, unsigned width, const char *title);
/* A horizontal bar of value/maximum in eighths of a cell. */
void canvas_bar(struct canvas *canvas, unsigned column, unsigned row, unsigned width, double share,
		uint16_t style);

/* Cells that text takes. */
unsigned canvas_text_width(const char *text);
/* ASCII mode: graphs and marks are drawn with .:|# and such (UX-screens.md); asked by the views and the
 * functions above. */
void canvas_set_ascii(struct canvas *canvas, bool ascii);
bool canvas_is_ascii(const struct canvas *canvas);

/* The golden form: every row of text between bars, then for every row its runs of styles. */
void canvas_dump(const struct canvas *canvas, FILE *stream);

#endif
