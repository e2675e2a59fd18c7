/* The sandwich: one function in the middle, who calls it above, what it calls below, heaviest next to it.
 * Enter goes on to a caller or callee, Esc comes back, level by level.
 *
 * The cursor is kept by identity: side and function.
 */
#ifndef KILN_TUI_SANDWICH_H
#define KILN_TUI_SANDWICH_H

#include "tui/code_text.h"
#include "tui/hot_neighbours.h"

enum sandwich_side { SIDE_CALLER = -1, SIDE_FUNCTION, SIDE_CALLEE };

struct sandwich {
	struct view_context *context;
	struct hits *hits;
	ARRAY(uint32_t)
	levels; /* functions, the shown one last; empty: closed */
	struct neighbours neighbours;
	enum sandwich_side side;
	uint32_t selected; /* function under the cursor when it is on a side */
	size_t place;	   /* its place on that side, 0 next to the function */
	size_t scroll;	   /* of that side */
	unsigned page;	   /* rows of a side, for PgUp and PgDn */
};

bool sandwich_is_open(const struct sandwich *sandwich);
void sandwich_open(struct sandwich *sandwich, uint32_t function);
void sandwich_close(struct sandwich *sandwich);
void sandwich_draw(struct sandwich *sandwich, struct canvas *canvas, struct rectangle area);
/* false: not a key of the sandwich. Esc on the first level closes it. */
bool sandwich_press(struct sandwich *sandwich, uint32_t key);
/* The function under the cursor; NEIGHBOUR_NONE on root and self. */
uint32_t sandwich_get_selected(const struct sandwich *sandwich);
bool sandwich_find(struct sandwich *sandwich, int direction);
/* The neighbour under the cursor. */
void sandwich_describe(struct sandwich *sandwich, unsigned columns, char *ret, size_t capacity);
void sandwich_write_scope(const struct sandwich *sandwich, char *ret, size_t capacity);
void sandwich_deinit(struct sandwich *sandwich);

#endif
