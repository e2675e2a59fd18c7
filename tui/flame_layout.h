/* Where the frames of a flame stand: pure geometry over a tree, no drawing.
 *
 * An edge stands at round(columns · samples to its left / samples of the root): at most half a cell from its
 * true place, whatever the depth, and what two frames share is one edge. Siblings narrower than a cell are
 * merged, run by run, into one frame that has their number and sum; a frame that rounds to no cell is not
 * there.
 *
 * Invariants: frames are sorted by depth and column, children of one parent are neighbours; they do not
 * overlap and lie inside their parent; frame 0 is the root and takes all columns. Every frame has at least
 * one cell. Cost: proportional to the frames that have a cell (and the length of the child lists that the
 * tree gives).
 */
#ifndef KILN_TUI_FLAME_LAYOUT_H
#define KILN_TUI_FLAME_LAYOUT_H

#include "base/array.h"
#include "profile/tree.h"

struct flame_frame {
	uint64_t key;	   /* of the node; of merged ones: made from their parent's and their place */
	uint32_t function; /* of merged ones: of the first */
	uint32_t parent;   /* number of the frame above; the root's is 0 */
	uint32_t merged;   /* how many siblings this stands for; 0: it is a node */
	unsigned depth, column, columns;
	uint64_t start; /* samples left of it, from the left edge of the root */
	uint64_t total, self;
};

struct flame_layout {
	ARRAY(struct flame_frame)
	frames;
};

/* How the layout asks the tree. The items are read before the next call. */
struct flame_tree {
	void *arg;
	size_t (*list_children)(void *arg, uint64_t key, const struct tree_item **ret);
};

/* Frames of depths 0 (the root) to depths - 1. false: memory is short; what fitted is there. */
bool flame_layout_build(struct flame_layout *layout, const struct flame_tree *tree,
			const struct tree_item *root, unsigned columns, unsigned depths);
void flame_layout_deinit(struct flame_layout *layout);

#define FLAME_NONE UINT32_MAX
/* The frame of a key. */
uint32_t flame_layout_find(const struct flame_layout *layout, uint64_t key);
/* The widest child (a merged one only when there is nothing else), or FLAME_NONE. */
uint32_t flame_layout_get_child(const struct flame_layout *layout, uint32_t frame);
/* The next frame on the same depth in a direction (-1, +1): siblings first, since they are neighbours. */
uint32_t flame_layout_get_neighbour(const struct flame_layout *layout, uint32_t frame, int direction);

#endif
