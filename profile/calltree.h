/* The call tree of functions, with self and total of each path.
 *
 * Identity: a node is a path of functions; its key (number, generation) is never used for another path,
 * although numbers are: a node that has neither samples nor children is given back when stacks move away from
 * it. Invariants: node 0 is the root above all; total = self + Σ total of the children. A node is "inner"
 * when its function stands further up in its path too: the total of a function is that of its nodes that are
 * not inner.
 */
#ifndef KILN_PROFILE_CALLTREE_H
#define KILN_PROFILE_CALLTREE_H

#include "base/array.h"
#include "profile/functions.h"
#include "profile/index.h"

struct calltree_node {
	uint64_t self, total;
	uint32_t parent; /* of a free node: the next free one */
	uint32_t function;
	uint32_t first_child, next_sibling, previous_sibling;
	uint32_t next_of_function, previous_of_function;
	uint32_t generation : 31;
	uint32_t is_inner : 1;
};

struct calltree {
	uint64_t seed;
	struct index index;
	ARRAY(struct calltree_node)
	nodes;
	uint32_t free; /* 0 none */
	uint32_t kept; /* is never given back, samples or not; 0 none */
};

bool calltree_init(struct calltree *tree, uint64_t seed);
void calltree_deinit(struct calltree *tree);
/* 0: there is none. */
uint32_t calltree_find(const struct calltree *tree, uint32_t parent, uint32_t function);
/* Adds a child that calltree_find() did not find; 0 when memory is short. */
uint32_t calltree_add(struct calltree *tree, struct functions *functions, uint32_t parent, uint32_t function,
		      bool is_inner);
/* Samples end in a node: counts them there, along its path, and for the path's functions. */
void calltree_count(struct calltree *tree, struct functions *functions, uint32_t node, uint64_t samples);
/* Samples have gone from a node: takes them out, and gives back the nodes that nothing needs any more. */
void calltree_uncount(struct calltree *tree, struct functions *functions, uint32_t node, uint64_t samples);
/* Samples that ended in one node end in another one now; gives back the nodes that nothing needs any more. */
void calltree_move(struct calltree *tree, struct functions *functions, uint32_t from, uint32_t to,
		   uint64_t samples);

/* When most nodes have changed: their self is set by the caller, and all sums are made anew from it. */
void calltree_sum(struct calltree *tree, struct functions *functions);

static inline uint64_t calltree_get_key(const struct calltree *tree, uint32_t node)
{
	return (uint64_t)tree->nodes.items[node].generation << 32 | node;
}

/* false: the key's node has gone, or never was. */
bool calltree_find_key(const struct calltree *tree, uint64_t key, uint32_t *ret);

#endif
