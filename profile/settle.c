#include "profile/settle.h"

#include "profile/internal.h"

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
static void mark_functions(struct profile *profile, size_t count, uint32_t epoch)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t node = profile->settling.path.items[i].tree_node;
		uint32_t function = profile->calltree.nodes.items[node].function;

		profile->functions.items.items[function].mark = epoch;
	}
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
		uint32_t function = names_get_function(profile, frame), parent = tree_node;
		struct function_entry *entry;

		if (function == FUNCTION_NONE)
			return 0;
		entry = &profile->functions.items.items[function];
		tree_node = calltree_find(&profile->calltree, parent, function);
		if (!tree_node && !epoch) {
			epoch = functions_new_epoch(&profile->functions);
			mark_functions(profile, settling->path.count, epoch);
		}
		if (!tree_node)
			tree_node = calltree_add(&profile->calltree, &profile->functions, parent, function,
						 entry->mark == epoch);
		if (!tree_node)
			return 0;
		if (epoch)
			entry->mark = epoch;
		placed->tree_node = tree_node;
	}
	return tree_node;
}

/* ---- settling ---- */

/* false: memory is short; the stack waits at "[unknown]", or where it was, and must be tried again. */
static bool place_leaf(struct profile *profile, struct leaf *leaf)
{
	uint32_t before = leaf->tree_node;
	uint32_t after = place(profile, leaf->node);

	leaf->must_move = !after;
	if (!after)
		after = before ? before : profile->calltree.kept;
	leaf->tree_node = after;
	if (after == before || !leaf->settled)
		return !leaf->must_move;
	calltree_move(&profile->calltree, &profile->functions, before, after, leaf->settled);
	return !leaf->must_move;
}

static bool settle_leaf(struct profile *profile, struct leaf *leaf)
{
	const struct trie_node *node = &profile->stacks.nodes.items[leaf->node];
	uint64_t fresh = leaf->self - leaf->settled;
	bool is_placed = true;

	if (leaf->must_move || !leaf->tree_node)
		is_placed = place_leaf(profile, leaf);
	if (!fresh)
		return is_placed;
	calltree_count(&profile->calltree, &profile->functions, leaf->tree_node, fresh);
	names_add_self(profile, node->number, fresh);
	modules_find(&profile->modules, FRAME_MODULE(node->frame))->public.samples += fresh;
	leaf->settled = leaf->self;
	return is_placed;
}

void profile_settle(const struct profile *readable)
{
	struct profile *profile = (struct profile *)readable;
	struct stacks *stacks = &profile->stacks;
	uint32_t number, next;

	if (!stacks->dirty_first && !stacks->renamed)
		return;
	stacks_mark_moved(stacks);
	profile->settling.path.count = 0;
	profile->settling.revision++;
	number = stacks->dirty_first;
	stacks->dirty_first = stacks->dirty_last = 0;
	for (; number; number = next) {
		struct leaf *leaf = &stacks->leaves.items[number];

		next = leaf->next_dirty;
		leaf->is_dirty = false;
		if (!settle_leaf(profile, leaf))
			stacks_mark_dirty(stacks, number);
	}
}
