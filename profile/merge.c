#include "profile/merge.h"

#include "base/cleanup.h"
#include "base/hash.h"
#include "profile/internal.h"

#include <stdlib.h>

/* Rare stacks that become one: of one function below one common caller. Also each "[merged]" that is there or
 * will be. */
struct group {
	uint32_t above;	   /* the node above, as it will be numbered */
	uint32_t function; /* its place; FUNCTION_NONE: not named yet, only the same frame falls together */
	uint32_t site;	   /* that it is inlined through; 0: none */
	uint64_t frame;	   /* of its first member; later of all of them */
	bool is_mixed;	   /* of several frames */
	bool is_fresh;	   /* a "[merged]" that is not there yet */
	uint32_t node;	   /* as it will be numbered; 0: not known yet */
};

/* A stack that is merged. */
struct rare {
	uint32_t node; /* as it was */
	uint32_t group;
};

struct merging {
	struct profile *profile;
	uint32_t old_count, kept_count;
	uint32_t merged_frame; /* number of "[merged]" */
	size_t result;	       /* nodes afterwards, at most */
	uint64_t *weights;     /* by node: samples in its subtree */
	uint64_t least;	       /* a node with fewer samples is rare */
	uint32_t *places; /* by node: its new number; of a rare one that of its last common caller, later its
			     stack's */
	uint32_t fresh;	  /* "[merged]" to be made */
	struct index index; /* of groups: their place + 1 */
	ARRAY(struct group)
	groups;
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

static bool is_common(const struct merging *merging, uint32_t node)
{
	return merging->weights[node] >= merging->least;
}

/* Gives the common nodes their new numbers. The rare ones get that of their last common caller. */
static void assign_places(struct merging *merging)
{
	const struct trie_node *nodes = merging->profile->stacks.nodes.items;

	merging->kept_count = 1;
	for (uint32_t node = 1; node < merging->old_count; node++)
		merging->places[node] = is_common(merging, node) ? merging->kept_count++
								 : merging->places[nodes[node].parent];
}

/* ---- which of the rare stacks become one ---- */

static uint32_t hash_group(const struct merging *merging, const struct group *group)
{
	uint64_t what = group->function == FUNCTION_NONE ? group->frame
							 : (uint64_t)group->site << 32 | group->function;

	return (uint32_t)hash_pair(merging->profile->stacks.seed ^ group->above, what);
}

/* What is not named yet only falls together with itself; so does each "[merged]", for it may say a module. */
static bool is_of_all_frames(const struct group *group)
{
	return group->function != FUNCTION_NONE && FRAME_MODULE(group->frame) != MODULE_MERGED;
}

/* Finds or adds; NULL when memory is short. */
static struct group *intern_group(struct merging *merging, const struct group *wanted)
{
	uint32_t hash = hash_group(merging, wanted), number;
	uint64_t at = hash;

	while ((number = index_next(&merging->index, hash, &at))) {
		struct group *group = &merging->groups.items[number - 1];

		if (group->above == wanted->above && group->function == wanted->function &&
		    group->site == wanted->site && (is_of_all_frames(group) || group->frame == wanted->frame))
			return group;
	}
	if (!index_reserve(&merging->index) || !array_append(&merging->groups, *wanted))
		return NULL;
	index_add(&merging->index, hash, (uint32_t)merging->groups.count);
	return &merging->groups.items[merging->groups.count - 1];
}

static struct group *intern_merged(struct merging *merging, uint32_t above, uint64_t word)
{
	uint32_t number = stacks_intern_frame(merging->profile, word);
	struct group wanted = {.above = above, .frame = word};

	if (!number)
		return NULL;
	wanted.function = merging->profile->stacks.frames.items[number].function;
	return intern_group(merging, &wanted);
}

/* Those that stay: what becomes rare goes below them, instead of below another one beside them. */
static bool find_merged_of(struct merging *merging, uint32_t number)
{
	const struct stacks *stacks = &merging->profile->stacks;
	uint64_t word = stacks->frames.items[number].word;

	for (uint32_t node = stacks->frames.items[number].nodes; node;
	     node = stacks->nodes.items[node].next_of_frame) {
		struct group *group;

		if (!is_common(merging, node))
			continue;
		group = intern_merged(merging, merging->places[stacks->nodes.items[node].parent], word);
		if (!group)
			return false;
		group->node = merging->places[node];
	}
	return true;
}

static bool find_merged(struct merging *merging)
{
	const struct profile *profile = merging->profile;
	uint32_t function = profile->stacks.frames.items[merging->merged_frame].function;
	uint32_t number = profile->functions.items.items[function].frames;

	for (; number; number = profile->stacks.frames.items[number].next_of_function)
		if (!find_merged_of(merging, number))
			return false;
	return true;
}

/* What stands for the callers that a rare stack loses. Of a broken one that keeps nothing but its root it
 * says where the walk ended (spoilers.h). */
static uint64_t choose_merged_frame(const struct merging *merging, uint32_t node)
{
	const struct trie_node *nodes = merging->profile->stacks.nodes.items;

	if (nodes[node].end <= STACK_TRUNCATED)
		return FRAME(MODULE_MERGED, 0);
	while (!is_common(merging, nodes[node].parent))
		node = nodes[node].parent;
	return nodes[nodes[node].parent].parent ? FRAME(MODULE_MERGED, 0)
						: spoilers_make_merged(nodes[node].frame);
}

static bool add_rare(struct merging *merging, uint32_t number)
{
	const struct stacks *stacks = &merging->profile->stacks;
	const struct trie_node *node = &stacks->nodes.items[number];
	const struct frame_entry *frame = &stacks->frames.items[node->number];
	struct group wanted = {
		.above = merging->places[number],
		.function = frame->state == FRAME_NAMED ? frame->function : FUNCTION_NONE,
		.site = frame->state == FRAME_NAMED ? frame->site : 0,
		.frame = node->frame,
	};
	struct group *group;

	/* It loses its middle. */
	if (!is_common(merging, node->parent)) {
		group = intern_merged(merging, wanted.above, choose_merged_frame(merging, number));
		if (!group)
			return false;
		if (!group->node) {
			group->node = merging->kept_count + merging->fresh++;
			group->is_fresh = true;
		}
		wanted.above = group->node;
	}
	group = intern_group(merging, &wanted);
	if (!group)
		return false;
	group->is_mixed |= group->frame != node->frame;
	return array_append(&merging->rare, (struct rare){number, (uint32_t)(group - merging->groups.items)});
}

/* What would become of the stacks if the nodes with less than `least` were merged. */
static bool plan(struct merging *merging)
{
	const struct stacks *stacks = &merging->profile->stacks;
	size_t found;

	index_empty(&merging->index);
	merging->groups.count = merging->rare.count = 0;
	merging->fresh = 0;
	assign_places(merging);
	if (!find_merged(merging))
		return false;
	found = merging->groups.count;
	for (uint32_t node = 1; node < merging->old_count; node++)
		/* A leaf without samples was made for one that then had no room in the log. */
		if (!is_common(merging, node) && stacks->leaves.items[stacks->nodes.items[node].leaf].self &&
		    !add_rare(merging, node))
			return false;
	merging->result = merging->kept_count + merging->groups.count - found;
	return true;
}

static unsigned get_magnitude(uint64_t weight)
{
	return weight ? 63 - (unsigned)__builtin_clzll(weight) : 0;
}

static bool has_room(const struct stacks *stacks, size_t count)
{
	return count <= stacks->limit / 4 * 3;
}

/* The smallest power of two that leaves a quarter of the limit free. When none does, because so many leaves
 * are no function yet, an eighth of the limit may be common callers. */
static bool choose_least(struct merging *merging)
{
	const struct stacks *stacks = &merging->profile->stacks;
	size_t common = merging->old_count, nodes[64] = {0};
	uint64_t moderate = 0;

	for (uint32_t node = 1; node < merging->old_count; node++)
		nodes[get_magnitude(merging->weights[node])]++;
	for (unsigned magnitude = 0; magnitude < 63 && common > stacks->limit / 512; magnitude++) {
		common -= nodes[magnitude];
		if (!nodes[magnitude] || !has_room(stacks, common))
			continue;
		merging->least = 2ull << magnitude;
		if (!moderate && common <= stacks->limit / 8)
			moderate = merging->least;
		if (!plan(merging))
			return false;
		if (has_room(stacks, merging->result))
			return true;
	}
	if (moderate)
		merging->least = moderate;
	return merging->least && plan(merging);
}

/* The frames of those that become one, and differ: what can fail. */
static bool choose_frames(struct merging *merging)
{
	struct stacks *stacks = &merging->profile->stacks;

	for (size_t i = 0; i < merging->groups.count; i++) {
		struct group *group = &merging->groups.items[i];
		uint32_t frame;

		if (!group->is_mixed)
			continue;
		frame = stacks_intern_somewhere(merging->profile, group->function, group->site);
		if (!frame)
			return false;
		group->frame = stacks->frames.items[frame].word;
	}
	/* Otherwise there might be no room for it. */
	return merging->result < merging->old_count;
}

/* ---- the trie anew: nothing here can fail, it has fewer nodes than before ---- */

/* A stack whose functions are the same as before need not move in the call tree. */
static void mark_moved(struct merging *merging)
{
	struct stacks *stacks = &merging->profile->stacks;

	for (size_t i = 0; i < merging->rare.count; i++) {
		const struct trie_node *node = &stacks->nodes.items[merging->rare.items[i].node];

		stacks->leaves.items[node->leaf].must_move = !is_common(merging, node->parent);
	}
}

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

/* Each "[merged]" gets the number that it was promised: first they, in their order. */
static void add_groups(struct merging *merging)
{
	struct profile *profile = merging->profile;

	for (size_t i = 0; i < merging->groups.count; i++) {
		const struct group *group = &merging->groups.items[i];

		if (group->is_fresh)
			stacks_intern_child(profile, group->above, group->frame);
	}
	for (size_t i = 0; i < merging->groups.count; i++) {
		struct group *group = &merging->groups.items[i];

		if (!group->node)
			group->node = stacks_intern_child(profile, group->above, group->frame);
	}
}

/* Adds the samples of a leaf to another one, here and in the call tree. */
static void join_leaves(struct profile *profile, struct leaf *to, const struct leaf *from)
{
	to->self += from->self;
	to->self_kernel += from->self_kernel;
	to->settled += from->settled;
	if (from->tree_node != to->tree_node)
		calltree_move(&profile->calltree, &profile->functions, from->tree_node, to->tree_node,
			      from->settled);
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
		struct trie_node *node;

		if (!leaf.self)
			continue;
		leaf.node = merging->places[leaf.node];
		node = &stacks->nodes.items[leaf.node];
		if (node->leaf) {
			join_leaves(merging->profile, &stacks->leaves.items[node->leaf], &leaf);
			continue;
		}
		node->leaf = (uint32_t)stacks->leaves.count;
		stacks->leaves.items[stacks->leaves.count++] = leaf;
	}
}

/* Pre-order: each stack shares most of its path with the one before, and is placed in few steps. */
static void mark_dirty(struct stacks *stacks)
{
	const struct trie_node *nodes = stacks->nodes.items;
	uint32_t node = 0;

	for (;;) {
		if (stacks->leaves.items[nodes[node].leaf].must_move)
			stacks_mark_dirty(stacks, nodes[node].leaf);
		if (nodes[node].first_child) {
			node = nodes[node].first_child;
			continue;
		}
		while (node && !nodes[node].next_sibling)
			node = nodes[node].parent;
		if (!node)
			return;
		node = nodes[node].next_sibling;
	}
}

static void merge(struct merging *merging)
{
	mark_moved(merging);
	move_nodes(merging);
	add_groups(merging);
	for (size_t i = 0; i < merging->rare.count; i++) {
		const struct rare *rare = &merging->rare.items[i];

		merging->places[rare->node] = merging->groups.items[rare->group].node;
	}
	move_leaves(merging);
	mark_dirty(&merging->profile->stacks);
	log_renumber(&merging->profile->log, merging->places);
	stacks_drop_frames(merging->profile);
}

static bool prepare(struct merging *merging)
{
	struct profile *profile = merging->profile;

	profile_settle(profile);
	merging->merged_frame = stacks_intern_frame(profile, FRAME(MODULE_MERGED, 0));
	/* Leaves that wait have no place in the call tree: memory is short. */
	if (profile->stacks.dirty_first || profile->stacks.renamed || !merging->merged_frame)
		return false;
	merging->old_count = (uint32_t)profile->stacks.nodes.count;
	merging->weights = calloc(merging->old_count, sizeof(*merging->weights));
	merging->places = calloc(merging->old_count, sizeof(*merging->places));
	if (!merging->weights || !merging->places)
		return false;
	weigh(merging);
	return choose_least(merging) && choose_frames(merging);
}

static bool merge_once(struct profile *profile)
{
	struct merging merging = {.profile = profile};
	bool is_ready = prepare(&merging);

	if (is_ready) {
		merge(&merging);
		profile_settle(profile);
		functions_forget_provisional(&profile->functions);
	}
	index_deinit(&merging.index);
	array_deinit(&merging.groups);
	array_deinit(&merging.rare);
	free(merging.places);
	free(merging.weights);
	return is_ready;
}

void merge_rare_stacks(struct profile *profile)
{
	struct stacks *stacks = &profile->stacks;
	bool is_merged = merge_once(profile);
	size_t nodes = stacks->nodes.count;

	/* Said once: a compiler makes it happen every few seconds. */
	if (is_merged && !stacks->is_merged) {
		stacks->is_merged = true;
		error_destroy(profile_add_event(profile, profile->timeline.last_ns,
						"rare stacks are shortened from now on: see [merged]"));
	}
	/* Where names are missing, each address is a place of its own. Trying at each sample would not help.
	 */
	stacks->excess = 0;
	if (!has_room(stacks, nodes) && nodes < UINT32_MAX / 2 && nodes / 2 * 3 > stacks->limit)
		stacks->excess = (uint32_t)(nodes / 2 * 3) - stacks->limit;
}
