#include "profile/settle.h"

#include "profile/internal.h"

/* What moving one stack costs, in nodes of the call tree that settle_all() visits: it goes up its path twice.
 */
#define STEPS_OF_LEAF 16

bool settling_init(struct profile *profile)
{
	uint32_t function = functions_intern_text(profile, MODULE_UNKNOWN, "[unknown]");

	if (function == FUNCTION_NONE)
		return false;
	profile->calltree.kept = calltree_add(&profile->calltree, &profile->functions, 0, function, false);
	return profile->calltree.kept != 0;
}

/* ---- placing a stack in the call tree ---- */

static size_t measure_depth(const struct stacks *stacks, uint32_t node)
{
	size_t depth = 0;

	for (; node; node = stacks->nodes.items[node].parent)
		depth++;
	return depth;
}

/* Writes the stack's trie nodes into the path; returns how many at the root side stand there placed already.
 */
static size_t fill_path(struct profile *profile, uint32_t node, size_t depth)
{
	struct settling *settling = &profile->settling;
	struct placed_node *path = settling->path.items;

	for (size_t i = depth; i-- > 0; node = profile->stacks.nodes.items[node].parent) {
		if (i < settling->path.count && path[i].trie_node == node)
			return i + 1;
		path[i].trie_node = node;
	}
	return 0;
}

/* Functions on the path so far carry the mark: a node of one of them is inner. */
static void mark_functions(struct profile *profile, uint32_t node, uint32_t epoch)
{
	for (; node; node = profile->calltree.nodes.items[node].parent)
		profile->functions.items.items[profile->calltree.nodes.items[node].function].mark = epoch;
}

/* The child of a call tree node; made when it is missing. *epoch: of the marks; 0: there are none yet. */
static uint32_t place_function(struct profile *profile, uint32_t parent, uint32_t function, uint32_t *epoch)
{
	struct function_entry *entry = &profile->functions.items.items[function];
	uint32_t node = calltree_find(&profile->calltree, parent, function);

	if (!node && !*epoch) {
		*epoch = functions_new_epoch(&profile->functions);
		mark_functions(profile, parent, *epoch);
	}
	if (!node)
		node = calltree_add(&profile->calltree, &profile->functions, parent, function,
				    entry->mark == *epoch);
	if (node && *epoch)
		entry->mark = *epoch;
	return node;
}

/* A frame's functions: the concrete one, and below it those that are inlined there. */
static uint32_t place_frame(struct profile *profile, uint32_t parent, uint32_t frame, uint32_t *epoch)
{
	uint32_t functions[NAME_LEVELS_MAX], node = parent, site;
	size_t count = 0;

	functions[count++] = names_get_function(profile, frame);
	if (functions[0] == FUNCTION_NONE)
		return 0;
	for (site = profile->stacks.frames.items[frame].site; site;
	     site = profile->inlines.items.items[site].outer)
		functions[count++] = profile->inlines.items.items[site].function;
	do
		node = place_function(profile, node, functions[--count], epoch);
	while (node && count);
	return node;
}

/* Finds the call tree node of a whole stack, and makes what is missing; 0 when memory is short. */
static uint32_t place(struct profile *profile, uint32_t trie_node)
{
	struct settling *settling = &profile->settling;
	size_t depth = measure_depth(&profile->stacks, trie_node), known;
	uint32_t tree_node, epoch = 0;

	if (!array_reserve(&settling->path, depth))
		return 0;
	known = fill_path(profile, trie_node, depth);
	tree_node = known ? settling->path.items[known - 1].tree_node : 0;
	for (settling->path.count = known; settling->path.count < depth; settling->path.count++) {
		struct placed_node *placed = &settling->path.items[settling->path.count];
		uint32_t frame = profile->stacks.nodes.items[placed->trie_node].number;

		tree_node = place_frame(profile, tree_node, frame, &epoch);
		if (!tree_node)
			return 0;
		placed->tree_node = tree_node;
	}
	return tree_node;
}

/* ---- settling ---- */

/* Says where a leaf is to be counted; a leaf without samples is nowhere, for only what is counted keeps a
 * node of the call tree. false: memory is short; the stack waits at "[unknown]", or where it was, and must be
 * tried again. */
static bool place_leaf(struct profile *profile, struct leaf *leaf)
{
	uint32_t before = leaf->tree_node;

	if (!leaf->self) {
		leaf->must_move = false;
		leaf->tree_node = 0;
		return true;
	}
	if (before && !leaf->must_move)
		return true;
	leaf->tree_node = place(profile, leaf->node);
	leaf->must_move = !leaf->tree_node;
	if (!leaf->must_move)
		return true;
	leaf->tree_node = before ? before : profile->calltree.kept;
	/* Nodes that were made on the way are nobody's. */
	profile->settling.path.count = 0;
	return false;
}

/* What is counted beside the call tree. */
static void settle_frame(struct profile *profile, struct leaf *leaf)
{
	const struct trie_node *node = &profile->stacks.nodes.items[leaf->node];
	uint64_t change = leaf->self - leaf->settled; /* modulo 2^64: weights may go down */

	if (!change)
		return;
	names_add_self(profile, node->number, change);
	modules_find(&profile->modules, FRAME_MODULE(node->frame))->public.samples += change;
	spoilers_count(profile, leaf->node, change);
	leaf->settled = leaf->self;
}

static bool settle_leaf(struct profile *profile, struct leaf *leaf)
{
	uint32_t before = leaf->tree_node;
	uint64_t had = leaf->settled, has = leaf->self;
	bool is_placed = place_leaf(profile, leaf);

	settle_frame(profile, leaf);
	if (leaf->tree_node != before && had && has) {
		calltree_move(&profile->calltree, &profile->functions, before, leaf->tree_node, had);
		before = leaf->tree_node;
	} else if (leaf->tree_node != before) {
		if (has)
			calltree_count(&profile->calltree, &profile->functions, leaf->tree_node, has);
		if (had)
			calltree_uncount(&profile->calltree, &profile->functions, before, had);
		return is_placed;
	}
	if (has > had) {
		calltree_count(&profile->calltree, &profile->functions, before, has - had);
	} else if (has < had) {
		calltree_uncount(&profile->calltree, &profile->functions, before, had - has);
	}
	return is_placed;
}

static void settle_one_by_one(struct profile *profile, uint32_t number)
{
	struct stacks *stacks = &profile->stacks;

	for (uint32_t next; number; number = next) {
		struct leaf *leaf = &stacks->leaves.items[number];

		next = leaf->next_dirty;
		leaf->is_dirty = false;
		if (!settle_leaf(profile, leaf))
			stacks_mark_dirty(stacks, number);
	}
}

/* All sums anew: visits each node of the call tree once, however many stacks go through it. */
static void settle_all(struct profile *profile, uint32_t number)
{
	struct stacks *stacks = &profile->stacks;

	for (uint32_t next; number; number = next) {
		struct leaf *leaf = &stacks->leaves.items[number];

		next = leaf->next_dirty;
		leaf->is_dirty = false;
		profile->calltree.nodes.items[leaf->tree_node].self -= leaf->settled;
		if (!place_leaf(profile, leaf))
			stacks_mark_dirty(stacks, number);
		settle_frame(profile, leaf);
		profile->calltree.nodes.items[leaf->tree_node].self += leaf->settled;
	}
	calltree_sum(&profile->calltree, &profile->functions);
}

void profile_settle(const struct profile *readable)
{
	struct profile *profile = (struct profile *)readable;
	struct stacks *stacks = &profile->stacks;
	uint32_t first, count;

	if (!stacks->dirty_first && !stacks->renamed)
		return;
	stacks_mark_moved(stacks);
	profile->settling.path.count = 0;
	profile->settling.revision++;
	first = stacks->dirty_first;
	count = stacks->dirty_count;
	stacks->dirty_first = stacks->dirty_last = 0;
	stacks->dirty_count = 0;
	if ((size_t)count * STEPS_OF_LEAF > profile->calltree.nodes.count + profile->functions.items.count)
		settle_all(profile, first);
	else
		settle_one_by_one(profile, first);
}
