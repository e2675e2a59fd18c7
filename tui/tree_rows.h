/* The call tree as rows: what is unfolded below the zoom, one row a node, a run of only children in one row,
 * light children in one row.
 *
 * Folds, zoom and rows are kept by the tree's keys. The row of light children has a key of its own; unfolded
 * it gives way to the rows that it stood for. Cost of a rebuild: proportional to the rows (each asks for its
 * children once, to see whether it has only one).
 */
#ifndef KILN_TUI_TREE_ROWS_H
#define KILN_TUI_TREE_ROWS_H

#include "base/array.h"
#include "profile/tree.h"
#include "tui/rows.h"
#include "tui/siblings.h"

#define TREE_NO_FUNCTION UINT32_MAX

struct tree_row {
	uint64_t key;	   /* of the node (the last of a run), or of the light children */
	uint64_t parent;   /* key of the node whose child the row's (first) node is */
	uint32_t function; /* TREE_NO_FUNCTION: the root of all */
	uint32_t merged;   /* light children in one row; 0: a node */
	uint32_t depth;
	uint32_t run_first, run_count; /* the nodes before the last one of a run, in tree_rows.run */
	uint64_t total, self;
	bool has_children, is_open;
};

struct tree_link {
	uint64_t key;
	uint32_t function;
};

struct tree_pending {
	struct tree_item item;
	uint64_t parent;
	uint32_t depth, merged;
};

struct tree_rows {
	struct tree *tree;
	bool keeps_first; /* rows of the first level are no runs: bottom-up they are the functions themselves
			   */
	bool has_no_runs; /* every node has a row of its own: single stacks are to be read frame by frame */
	struct key_set open;
	struct siblings siblings;
	uint64_t zoom;		 /* key of the first row; 0: all */
	unsigned limit_permille; /* lighter children are merged; of the zoom's samples */
	ARRAY(struct tree_row)
	rows;
	ARRAY(struct tree_link)
	run;
	ARRAY(struct tree_pending)
	pending;       /* scratch */
	uint64_t base; /* samples of the first row */
	size_t read;   /* items that the last rebuild read */
	bool is_short; /* memory was short: rows are missing */
};

/* Rebuilds the rows. A zoom whose node has gone is taken back. */
void tree_rows_build(struct tree_rows *rows, uint64_t revision);
void tree_rows_deinit(struct tree_rows *rows);

/* The row of a key, also of a node inside a run; ROWS_NONE. */
size_t tree_rows_find(const struct tree_rows *rows, uint64_t key, size_t hint);
/* The row of the parent; ROWS_NONE for the first. */
size_t tree_rows_find_parent(const struct tree_rows *rows, size_t place);
bool tree_rows_is_light(const struct tree_rows *rows, uint64_t total);
/* The key of the row of a node's light children. */
uint64_t tree_rows_light_key(uint64_t parent);
/* Unfolds all that is above a node, so that it has a row. */
void tree_rows_reveal(struct tree_rows *rows, uint64_t key);
/* Unfolds a node and everything below that is not light. */
void tree_rows_open_all(struct tree_rows *rows, uint64_t key);
/* Unfolds what has at least this share; for the first look. */
void tree_rows_open_heavy(struct tree_rows *rows, uint64_t key, uint64_t least);
/* The leaf where most samples of a node end, going down its heaviest children. */
uint64_t tree_find_hottest_leaf(struct tree *tree, uint64_t key);

#endif
