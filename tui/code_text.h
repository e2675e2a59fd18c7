/* How functions are written on every screen: name, place in the source, kind of code, search hits; and the
 * line that stands where rows would be when there are none. */
#ifndef KILN_TUI_CODE_TEXT_H
#define KILN_TUI_CODE_TEXT_H

#include "profile/tree.h"
#include "tui/canvas.h"
#include "tui/view.h"

#define CODE_NAME_MAX 4160

/* Colour of the kind of code: application = the target's own file, libc = libc, ld.so and allocators, … */
enum style code_get_kind(const struct profile *profile, uint32_t module);
/* The kind in one letter, where there is no room for the module: A L C K J ?. */
char code_get_letter(enum style kind);
/* "A app  L library …" with their colours. Returns the cells used. */
unsigned code_draw_legend(struct canvas *canvas, unsigned column, unsigned row, unsigned width);

/* Kernel functions are marked: "[k] clear_page_erms". */
void code_write_name(const struct function *function, char *ret, size_t capacity);
/* "json.cc:212", "json.cc", "stripped", "-". */
void code_write_place(const struct profile *profile, const struct function *function, char *ret,
		      size_t capacity);
/* The same in at most this many cells: the line number stays. */
void code_fit_place(const struct profile *profile, const struct function *function, unsigned cells, char *ret,
		    size_t capacity);
/* The detail row: "json::Parser::next() json.cc:212 api-server" and the figures behind it. When the columns
 * do not suffice, the name is shortened first, then module and place go, then the last figures (two spaces
 * stand between them); the first one stays. */
void code_write_detail(const struct profile *profile, uint32_t function, const char *figures,
		       unsigned columns, char *ret, size_t capacity);

/* The mark of the selected row; in ASCII ">", for "+" is what can be unfolded. */
void code_draw_cursor(struct canvas *canvas, unsigned column, unsigned row);

/* Where a node stands: "all › … › Router::dispatch › json::Parser::next". */
#define CODE_TRAIL_MAX 1024
void code_write_trail(const struct profile *profile, struct tree *tree, uint64_t key,
		      char ret[CODE_TRAIL_MAX]);

/* Why there is nothing to show: "no samples yet: …". */
void code_write_empty(const struct view_context *context, char *ret, size_t capacity);

/* ---- search hits, asked once a function and not once a frame ---- */

/* Zeroed: empty. */
struct hits {
	char *pattern;
	unsigned char *answers; /* by function: 0 not asked, 1 no, 2 yes */
	size_t capacity;
};

bool hits_is_active(const struct view_context *context);
bool hits_has(struct hits *hits, const struct view_context *context, uint32_t function);
void hits_deinit(struct hits *hits);

#endif
