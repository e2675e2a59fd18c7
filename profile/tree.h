/* The call tree as rows and flames ask for it: top-down (roots call leaves) or bottom-up (leaves, then who
 * called them). Both are read from the profile's own sums; nothing is built beforehand.
 *
 * Identity: a key stays the same as long as the profile lives, whatever arrives; views keep fold, selection
 * and zoom by key. Key 0 is the invisible root above all.
 */
#ifndef KILN_PROFILE_TREE_H
#define KILN_PROFILE_TREE_H

#include "profile/profile.h"

enum tree_direction { TREE_TOP_DOWN, TREE_BOTTOM_UP };

struct tree_item {
	uint64_t key;
	uint32_t function;
	uint64_t total; /* samples through it; bottom-up: samples of the leaf function that came this way */
	uint64_t self;	/* samples that end here; bottom-up: of a first level row its self, below it 0 */
	bool has_children;
};

struct tree;

struct error *tree_create(struct profile *profile, enum tree_direction direction, struct tree **ret);
void tree_destroy(struct tree *tree); /* NULL accepted */

/* The children of a node that have samples, heaviest first. The items live until the next call. */
struct error *tree_list_children(struct tree *tree, uint64_t key, const struct tree_item **ret,
				 size_t *ret_count);
/* false when the node has no samples any more (its frames were named, and moved). Key 0: the sum of all. */
bool tree_get_item(struct tree *tree, uint64_t key, struct tree_item *ret);
/* The parent's key. */
uint64_t tree_get_parent(struct tree *tree, uint64_t key);

#endif
