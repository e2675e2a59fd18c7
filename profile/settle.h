/* Settling: what samples and names have changed since the last look is added to the call tree and the
 * functions.
 *
 * A new sample only bumps its stack and marks it; the sums are made once for each marked stack before
 * somebody reads them. So a stack hit a hundred times costs one walk, a stack whose hundred frames were named
 * one by one moves once, and a recorder that nobody looks at never sums at all.
 */
#ifndef KILN_PROFILE_SETTLE_H
#define KILN_PROFILE_SETTLE_H

#include "base/array.h"

#include <stdint.h>

/* The path that was placed last: neighbours in the trie share most of theirs. */
struct placed_node {
	uint32_t trie_node, tree_node;
};

struct settling {
	ARRAY(struct placed_node)
	path;		   /* root first */
	uint64_t revision; /* grows when sums change */
};

struct profile;

bool settling_init(struct profile *profile);
/* Cheap when nothing has changed. The profile is const for its readers: the sums are a cache of its stacks.
 */
void profile_settle(const struct profile *profile);

#endif
