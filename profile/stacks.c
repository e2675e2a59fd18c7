#include "profile/stacks.h"

#include "base/hash.h"
#include "profile/internal.h"
#include "profile/merge.h"

#include <string.h>

bool stacks_init(struct stacks *stacks, uint64_t seed)
{
	*stacks = (struct stacks){.seed = seed, .limit = MERGE_LIMIT};
	return array_append(&stacks->frames, (struct frame_entry){.function = FUNCTION_NONE}) &&
	       array_append(&stacks->nodes, (struct trie_node){0}) &&
	       array_append(&stacks->leaves, (struct leaf){0}) && array_append(&stacks->visited, 0);
}

void stacks_deinit(struct stacks *stacks)
{
	index_deinit(&stacks->frame_index);
	index_deinit(&stacks->node_index);
	array_deinit(&stacks->frames);
	array_deinit(&stacks->nodes);
	array_deinit(&stacks->leaves);
	array_deinit(&stacks->visited);
}

/* ---- frames ---- */

static uint32_t hash_frame(const struct stacks *stacks, uint64_t frame)
{
	return (uint32_t)hash_u64(stacks->seed ^ frame);
}

uint32_t stacks_find_frame(const struct stacks *stacks, uint64_t frame)
{
	uint32_t hash = hash_frame(stacks, frame), number;
	uint64_t at = hash;

	while ((number = index_next(&stacks->frame_index, hash, &at)))
		if (stacks->frames.items[number].word == frame)
			return number;
	return 0;
}

/* One that is not there yet. */
static uint32_t add_frame(struct profile *profile, const struct frame_entry *entry)
{
	struct stacks *stacks = &profile->stacks;
	uint32_t number = (uint32_t)stacks->frames.count;

	if (stacks->frames.count >= 1u << FRAME_NUMBER_BITS || !index_reserve(&stacks->frame_index) ||
	    !array_reserve(&stacks->frames, stacks->frames.count + 1))
		return 0;
	stacks->frames.items[stacks->frames.count++] = *entry;
	index_add(&stacks->frame_index, hash_frame(stacks, entry->word), number);
	names_link_frame(profile, number);
	return number;
}

uint32_t stacks_intern_frame(struct profile *profile, uint64_t frame)
{
	uint32_t number = stacks_find_frame(&profile->stacks, frame);
	struct frame_entry entry = {.word = frame, .function = FUNCTION_NONE};

	if (number)
		return number;
	return names_init_frame(profile, &entry) ? add_frame(profile, &entry) : 0;
}

/* A target that maps files at absurd offsets may have real frames in the way. */
#define SOMEWHERE_ATTEMPTS 64
#define SOMEWHERE_PLACES   0x7fff

uint32_t stacks_intern_somewhere(struct profile *profile, uint32_t function, uint32_t site)
{
	const struct function_entry *owner = &profile->functions.items.items[function];
	uint64_t mark = owner->module == MODULE_KERNEL ? 0 : FRAME_SOMEWHERE;
	struct frame_entry entry = {
		.function = function,
		.site = site,
		.state = FRAME_NAMED,
		/* Which line it was is not known any more. */
		.file = profile->stacks.frames.items[names_get_best(profile, function)].file,
	};

	for (uint64_t attempt = 0; attempt < SOMEWHERE_ATTEMPTS; attempt++) {
		uint64_t place = (site + attempt) & SOMEWHERE_PLACES;
		uint32_t number;

		entry.word = FRAME(owner->module, mark | place << 32 | owner->number);
		number = stacks_find_frame(&profile->stacks, entry.word);
		if (!number)
			return add_frame(profile, &entry);
		if (profile->stacks.frames.items[number].function == function &&
		    profile->stacks.frames.items[number].site == site)
			return number;
	}
	return 0;
}

/* ---- frames that are needed no more ---- */

static size_t number_frames(struct stacks *stacks)
{
	uint32_t kept = 1;

	for (size_t i = 1; i < stacks->frames.count; i++) {
		struct frame_entry *frame = &stacks->frames.items[i];

		frame->next_renamed = frame->nodes || frame->is_kept ? kept++ : 0;
		frame->self = 0;
	}
	for (size_t i = 1; i < stacks->leaves.count; i++) {
		const struct leaf *leaf = &stacks->leaves.items[i];

		stacks->frames.items[stacks->nodes.items[leaf->node].number].self += leaf->settled;
	}
	return kept;
}

void stacks_drop_frames(struct profile *profile)
{
	struct stacks *stacks = &profile->stacks;
	struct frame_entry *frames = stacks->frames.items;
	size_t count = stacks->frames.count, kept = number_frames(stacks);

	for (size_t i = 1; i < stacks->nodes.count; i++)
		stacks->nodes.items[i].number =
			frames[stacks->nodes.items[i].number].next_renamed & ((1u << FRAME_NUMBER_BITS) - 1);
	names_renumber_unasked(profile);
	index_empty(&stacks->frame_index);
	for (size_t i = 1; i < count; i++) {
		uint32_t number = frames[i].next_renamed;

		if (!number)
			continue;
		frames[number] = frames[i];
		index_add(&stacks->frame_index, hash_frame(stacks, frames[number].word), number);
	}
	stacks->frames.count = kept;
	names_join_again(profile);
}

/* ---- trie ---- */

static uint32_t hash_child(const struct stacks *stacks, uint32_t parent, uint64_t frame)
{
	return (uint32_t)hash_u64((frame ^ stacks->seed) + parent * 0x9e3779b97f4a7c15ull);
}

uint32_t stacks_append_node(struct stacks *stacks, uint32_t parent, uint64_t frame, uint32_t frame_number,
			    unsigned end)
{
	uint32_t number = (uint32_t)stacks->nodes.count;
	struct frame_entry *entry = &stacks->frames.items[frame_number];

	stacks->nodes.items[stacks->nodes.count++] = (struct trie_node){
		.frame = frame,
		.parent = parent,
		.next_sibling = stacks->nodes.items[parent].first_child,
		.next_of_frame = entry->nodes,
		.number = frame_number,
		.end = end & 15,
	};
	stacks->nodes.items[parent].first_child = number;
	entry->nodes = number;
	index_add(&stacks->node_index, hash_child(stacks, parent, frame), number);
	return number;
}

static uint32_t add_child(struct profile *profile, uint32_t parent, uint64_t frame)
{
	struct stacks *stacks = &profile->stacks;
	uint32_t number = (uint32_t)stacks->nodes.count;
	uint32_t frame_number = stacks_intern_frame(profile, frame);
	unsigned end = stacks->nodes.items[parent].end;

	if (!frame_number || stacks->nodes.count >= UINT32_MAX || !index_reserve(&stacks->node_index) ||
	    !array_reserve(&stacks->nodes, stacks->nodes.count + 1) ||
	    !array_reserve(&stacks->visited, number / 64 + 1))
		return 0;
	while (stacks->visited.count <= number / 64)
		stacks->visited.items[stacks->visited.count++] = 0;
	if (!parent && FRAME_MODULE(frame) == MODULE_STACK_END && FRAME_OFFSET(frame) < STACK_ENDS)
		end = FRAME_OFFSET(frame) & 15;
	if (!parent && frame == FRAME_NOT_TAKEN)
		end = STACK_UNREADABLE;
	return stacks_append_node(stacks, parent, frame, frame_number, end);
}

uint32_t stacks_find_child(const struct stacks *stacks, uint32_t parent, uint64_t frame)
{
	uint32_t hash = hash_child(stacks, parent, frame), number;
	uint64_t at = hash;

	while ((number = index_next(&stacks->node_index, hash, &at))) {
		const struct trie_node *node = &stacks->nodes.items[number];

		if (node->frame == frame && node->parent == parent)
			return number;
	}
	return 0;
}

uint32_t stacks_intern_child(struct profile *profile, uint32_t parent, uint64_t frame)
{
	uint32_t number = stacks_find_child(&profile->stacks, parent, frame);

	return number ? number : add_child(profile, parent, frame);
}

/* Frames of one mode, leaf first; the leaf is exact: what was executing, or where the kernel was entered. */
static bool intern_frames(struct profile *profile, uint32_t *node, const __u64 *frames, size_t count)
{
	for (size_t i = count; i-- > 0;) {
		*node = stacks_intern_child(profile, *node, i ? frame_inside_call(frames[i]) : frames[i]);
		if (!*node)
			return false;
	}
	return true;
}

uint32_t stacks_intern_record(struct profile *profile, const struct sample_record *record)
{
	uint32_t node = 0;

	if (record->end != STACK_COMPLETE) {
		node = stacks_intern_child(profile, 0, FRAME(MODULE_STACK_END, record->end));
		if (!node)
			return 0;
	}
	if (!intern_frames(profile, &node, record->frames + record->kernel_count, record->user_count) ||
	    !intern_frames(profile, &node, record->frames, record->kernel_count))
		return 0;
	return node ? node : stacks_intern_child(profile, 0, FRAME(MODULE_UNKNOWN, 0));
}

/* ---- leaves ---- */

uint32_t stacks_intern_leaf(struct stacks *stacks, uint32_t node)
{
	if (stacks->nodes.items[node].leaf)
		return stacks->nodes.items[node].leaf;
	if (!array_append(&stacks->leaves, (struct leaf){.node = node}))
		return 0;
	stacks->nodes.items[node].leaf = (uint32_t)(stacks->leaves.count - 1);
	return stacks->nodes.items[node].leaf;
}

void stacks_mark_dirty(struct stacks *stacks, uint32_t number)
{
	struct leaf *leaf = &stacks->leaves.items[number];

	if (leaf->is_dirty)
		return;
	leaf->is_dirty = true;
	leaf->next_dirty = 0;
	if (stacks->dirty_last)
		stacks->leaves.items[stacks->dirty_last].next_dirty = number;
	else
		stacks->dirty_first = number;
	stacks->dirty_last = number;
	stacks->dirty_count++;
}

static bool visit(struct stacks *stacks, uint32_t node)
{
	uint64_t bit = 1ull << (node % 64), *word = &stacks->visited.items[node / 64];

	if (*word & bit)
		return false;
	*word |= bit;
	return true;
}

/* Pre-order over a subtree along its links: needs no memory. A subtree that was visited is left out. */
static void mark_subtree(struct stacks *stacks, uint32_t top)
{
	const struct trie_node *nodes = stacks->nodes.items;
	uint32_t node = top;

	for (;;) {
		bool is_new = visit(stacks, node);

		if (is_new && nodes[node].leaf) {
			stacks->leaves.items[nodes[node].leaf].must_move = true;
			stacks_mark_dirty(stacks, nodes[node].leaf);
		}
		if (is_new && nodes[node].first_child) {
			node = nodes[node].first_child;
			continue;
		}
		while (node != top && !nodes[node].next_sibling)
			node = nodes[node].parent;
		if (node == top)
			return;
		node = nodes[node].next_sibling;
	}
}

void stacks_mark_moved(struct stacks *stacks)
{
	if (!stacks->renamed)
		return;
	memset(stacks->visited.items, 0, stacks->visited.count * sizeof(stacks->visited.items[0]));
	while (stacks->renamed) {
		struct frame_entry *frame = &stacks->frames.items[stacks->renamed];

		for (uint32_t node = frame->nodes; node; node = stacks->nodes.items[node].next_of_frame)
			mark_subtree(stacks, node);
		frame->is_renamed = false;
		stacks->renamed = frame->next_renamed;
	}
}

/* ---- profile.h ---- */

uint32_t profile_count_stacks(const struct profile *profile)
{
	return (uint32_t)(profile->stacks.nodes.count - 1);
}

struct stack profile_get_stack(const struct profile *profile, uint32_t number)
{
	const struct stacks *stacks = &profile->stacks;
	const struct trie_node *node = &stacks->nodes.items[number];
	const struct leaf *leaf = &stacks->leaves.items[node->leaf];

	return (struct stack){
		.parent = node->parent,
		.frame = node->frame,
		.self = leaf->self,
		.self_kernel = leaf->self_kernel,
		.end = (enum stack_end)node->end,
	};
}

static bool is_too_deep(const struct stacks *stacks, uint32_t node)
{
	unsigned depth = 0;

	for (; node; node = stacks->nodes.items[node].parent)
		if (++depth >= STACK_DEPTH_MAX)
			return true;
	return false;
}

uint32_t profile_intern_stack(struct profile *profile, uint32_t parent, uint64_t frame)
{
	if (parent >= profile->stacks.nodes.count || is_too_deep(&profile->stacks, parent))
		return 0;
	return stacks_intern_child(profile, parent, frame);
}
