#include "profile/merge.h"

#include "base/cleanup.h"
#include "profile/internal.h"

#include <stdio.h>
#include <string.h>

/* A stack that loses its middle. */
struct rare {
	uint32_t leaf, node; /* as they were */
	uint32_t above;	     /* the last common caller, as it will be numbered */
	bool is_direct;	     /* that is its parent: there is no middle */
	uint64_t frame;
};

struct merging {
	struct profile *profile;
	uint32_t old_count, kept_count;
	uint64_t *weights; /* by node: samples in its subtree */
	uint64_t least;	   /* a node with fewer samples is rare */
	size_t least_common;
	uint32_t *places; /* by node: its new number; of a rare one that of its last common caller, later its
			     stack's */
	ARRAY(struct rare)
	rare;
};

/* ---- what is rare ---- */

/* Children come after their parents: one pass from the end sums up all subtrees. */
static void weigh(struct merging *merging)
{
	const struct stacks *stacks = &merging->profile->stacks;

	for (uint32_t node = merging->old_count; --node > 0;) {
		merging->weights[node] += stacks->leaves.items[stacks->nodes.items[node].leaf].self;
		merging->weights[stacks->nodes.items[node].parent] += merging->weights[node];
	}
	merging->weights[0] = UINT64_MAX;
	/* How a stack ended is said by its root, however rare. */
	for (uint32_t node = stacks->nodes.items[0].first_child; node;
	     node = stacks->nodes.items[node].next_sibling)
		if (FRAME_MODULE(stacks->nodes.items[node].frame) == MODULE_STACK_END)
			merging->weights[node] = UINT64_MAX;
}

static unsigned get_magnitude(uint64_t weight)
{
	return weight ? 63 - (unsigned)__builtin_clzll(weight) : 0;
}

/* The smallest power of two that leaves a quarter of the limit free: there is what is common, and at most one
 * leaf and one "[merged]" for each rare stack. But so many common callers stay: how many of the leaves below
 * them fall together shows only afterwards. */
static void choose_least(struct merging *merging)
{
	const struct stacks *stacks = &merging->profile->stacks;
	uint32_t nodes[64] = {0}, leaves[64] = {0};
	size_t common = merging->old_count, rare = 0, room = (size_t)stacks->limit / 4 * 3;
	unsigned magnitude = 0;

	for (uint32_t node = 1; node < merging->old_count; node++) {
		nodes[get_magnitude(merging->weights[node])]++;
		leaves[get_magnitude(merging->weights[node])] += stacks->nodes.items[node].leaf != 0;
	}
	do {
		common -= nodes[magnitude];
		rare += leaves[magnitude];
		magnitude++;
	} while (magnitude < 32 && common > merging->least_common &&
		 common + rare + (common < rare ? common : rare) > room);
	merging->least = 1ull << magnitude;
}

static bool is_common(const struct merging *merging, uint32_t node)
{
	return merging->weights[node] >= merging->least;
}

/* Gives the common nodes their new numbers, and collects the rare stacks. */
static bool assign_places(struct merging *merging)
{
	const struct stacks *stacks = &merging->profile->stacks;

	merging->kept_count = 1;
	for (uint32_t number = 1; number < merging->old_count; number++) {
		const struct trie_node *node = &stacks->nodes.items[number];
		struct rare rare = {
			.leaf = node->leaf,
			.node = number,
			.above = merging->places[node->parent],
			.is_direct = is_common(merging, node->parent),
			.frame = node->frame,
		};

		merging->places[number] = is_common(merging, number) ? merging->kept_count++ : rare.above;
		if (!is_common(merging, number) && node->leaf && !array_append(&merging->rare, rare))
			return false;
	}
	return true;
}

/* ---- the trie anew: nothing here can fail, it has fewer nodes than before ---- */

static void move_nodes(struct merging *merging)
{
	struct stacks *stacks = &merging->profile->stacks;
	struct trie_node *nodes = stacks->nodes.items;

	for (size_t i = 0; i < stacks->frames.count; i++)
		stacks->frames.items[i].nodes = 0;
	nodes[0].first_child = 0;
	index_empty(&stacks->node_index);
	stacks->nodes.count = 1;
	for (uint32_t number = 1; number < merging->old_count; number++) {
		if (is_common(merging, number))
			stacks_append_node(stacks, merging->places[nodes[number].parent], nodes[number].frame,
					   nodes[number].number, nodes[number].end);
	}
}

static uint32_t intern_rare(struct profile *profile, const struct rare *rare)
{
	uint32_t above = rare->above;

	if (!rare->is_direct)
		above = stacks_intern_child(profile, above, FRAME(MODULE_MERGED, 0));
	return stacks_intern_child(profile, above, rare->frame);
}

/* Adds the samples of a leaf to another one, here and in the call tree. */
static void join_leaves(struct profile *profile, struct leaf *to, const struct leaf *from)
{
	to->self += from->self;
	to->self_kernel += from->self_kernel;
	to->settled += from->settled;
	if (from->tree_node == to->tree_node)
		return;
	calltree_count(&profile->calltree, &profile->functions, to->tree_node, from->settled);
	calltree_uncount(&profile->calltree, &profile->functions, from->tree_node, from->settled);
}

/* The leaves go to their nodes' new numbers. One whose path has changed stays where it is in the call tree
 * until the next settling moves it, as after a change of names. */
static void move_leaves(struct merging *merging)
{
	struct stacks *stacks = &merging->profile->stacks;
	size_t count = stacks->leaves.count;

	stacks->leaves.count = 1;
	for (size_t i = 1; i < count; i++) {
		struct leaf leaf = stacks->leaves.items[i];
		bool was_common = is_common(merging, leaf.node);
		struct trie_node *node;

		/* Made for a sample that then had no room in the log. */
		if (!leaf.self)
			continue;
		leaf.node = merging->places[leaf.node];
		node = &stacks->nodes.items[leaf.node];
		if (node->leaf) {
			join_leaves(merging->profile, &stacks->leaves.items[node->leaf], &leaf);
			continue;
		}
		node->leaf = (uint32_t)stacks->leaves.count;
		leaf.must_move = !was_common;
		stacks->leaves.items[stacks->leaves.count++] = leaf;
		if (leaf.must_move)
			stacks_mark_dirty(stacks, node->leaf);
	}
}

static void merge(struct merging *merging)
{
	move_nodes(merging);
	for (size_t i = 0; i < merging->rare.count; i++)
		merging->places[merging->rare.items[i].node] =
			intern_rare(merging->profile, &merging->rare.items[i]);
	move_leaves(merging);
	log_renumber(&merging->profile->log, merging->places);
}

static bool prepare(struct merging *merging)
{
	struct profile *profile = merging->profile;

	profile_settle(profile);
	/* Leaves that wait have no place in the call tree: memory is short. */
	if (profile->stacks.dirty_first || profile->stacks.renamed ||
	    !stacks_intern_frame(profile, FRAME(MODULE_MERGED, 0)))
		return false;
	merging->old_count = (uint32_t)profile->stacks.nodes.count;
	merging->weights = calloc(merging->old_count, sizeof(*merging->weights));
	merging->places = calloc(merging->old_count, sizeof(*merging->places));
	if (!merging->weights || !merging->places)
		return false;
	weigh(merging);
	choose_least(merging);
	return assign_places(merging);
}

/* Returns how many stacks were shortened. */
static size_t merge_once(struct profile *profile, size_t least_common)
{
	struct merging merging = {.profile = profile, .least_common = least_common};
	bool is_ready = prepare(&merging);
	size_t count = merging.rare.count;

	if (is_ready) {
		merge(&merging);
		profile_settle(profile);
	}
	array_deinit(&merging.rare);
	free(merging.places);
	free(merging.weights);
	return is_ready ? count : 0;
}

static bool has_room(const struct stacks *stacks)
{
	return stacks->nodes.count <= stacks->limit / 4 * 3;
}

void merge_rare_stacks(struct profile *profile)
{
	struct stacks *stacks = &profile->stacks;
	size_t count = merge_once(profile, stacks->limit / 8);
	char text[96];

	if (!has_room(stacks))
		count += merge_once(profile, stacks->limit / 64);
	if (!has_room(stacks))
		count += merge_once(profile, stacks->limit / 512);
	if (count) {
		snprintf(text, sizeof(text), "%zu rare stacks were shortened: see [merged]", count);
		error_destroy(profile_add_event(profile, profile->timeline.last_ns, text));
	}
	/* A program that runs in very many places has that many leaves: trying at each sample would not help.
	 */
	if (!has_room(stacks))
		stacks->limit = (uint32_t)(stacks->nodes.count < UINT32_MAX / 2 ? stacks->nodes.count / 2 * 3
										: UINT32_MAX);
}
