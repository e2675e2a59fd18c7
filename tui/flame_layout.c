#include "tui/flame_layout.h"

#include "base/hash.h"

struct builder {
	struct flame_layout *layout;
	uint64_t all; /* samples of the root */
	unsigned columns;
};

/* Siblings narrower than a cell that stand side by side. */
struct run {
	struct tree_item first;
	uint64_t start, total, self;
	uint32_t count;
};

static unsigned place_edge(const struct builder *builder, uint64_t samples)
{
	unsigned __int128 twice = (unsigned __int128)samples * builder->columns * 2 + builder->all;

	return (unsigned)(twice / ((unsigned __int128)builder->all * 2));
}

static bool is_narrow(const struct builder *builder, uint64_t total)
{
	return (unsigned __int128)total * builder->columns < builder->all;
}

/* Adds a frame when it has a cell. */
static bool add_frame(const struct builder *builder, struct flame_frame frame)
{
	unsigned right = place_edge(builder, frame.start + frame.total);

	frame.column = place_edge(builder, frame.start);
	frame.columns = right - frame.column;
	return frame.columns == 0 || array_append(&builder->layout->frames, frame);
}

static bool add_node(const struct builder *builder, uint32_t parent, unsigned depth,
		     const struct tree_item *item, uint64_t start, uint64_t total)
{
	return add_frame(builder, (struct flame_frame){
					  .key = item->key,
					  .function = item->function,
					  .parent = parent,
					  .depth = depth,
					  .start = start,
					  .total = total,
					  .self = item->self,
				  });
}

static bool end_run(const struct builder *builder, uint32_t parent, unsigned depth, struct run *run)
{
	struct run done = *run;

	run->count = 0;
	if (done.count <= 1) /* alone it is itself, if it rounds to a cell */
		return !done.count || add_node(builder, parent, depth, &done.first, done.start, done.total);
	return add_frame(builder, (struct flame_frame){
					  .key = hash_pair(done.first.key, 0x22ef),
					  .function = done.first.function,
					  .parent = parent,
					  .merged = done.count,
					  .depth = depth,
					  .start = done.start,
					  .total = done.total,
					  .self = done.self,
				  });
}

static void extend_run(struct run *run, const struct tree_item *item, uint64_t start, uint64_t total)
{
	if (!run->count)
		*run = (struct run){.first = *item, .start = start};
	run->count++;
	run->total += total;
	run->self += item->self;
}

static bool add_children(const struct builder *builder, const struct flame_tree *tree, uint32_t number)
{
	struct flame_frame parent = builder->layout->frames.items[number];
	uint64_t start = parent.start, end = parent.start + parent.total;
	const struct tree_item *items;
	struct run run = {.count = 0};
	size_t i, count = tree->list_children(tree->arg, parent.key, &items);
	bool ok = true;

	for (i = 0; i < count && ok; i++) {
		/* children never reach out of their parent, whatever a damaged snapshot says */
		uint64_t total = items[i].total < end - start ? items[i].total : end - start;

		if (is_narrow(builder, total)) {
			extend_run(&run, &items[i], start, total);
		} else {
			ok = end_run(builder, number, parent.depth + 1, &run) &&
			     add_node(builder, number, parent.depth + 1, &items[i], start, total);
		}
		start += total;
	}
	return ok && end_run(builder, number, parent.depth + 1, &run);
}

bool flame_layout_build(struct flame_layout *layout, const struct flame_tree *tree,
			const struct tree_item *root, unsigned columns, unsigned depths)
{
	struct builder builder = {layout, root->total, columns};
	uint32_t number;

	layout->frames.count = 0;
	if (!root->total || !columns || !depths)
		return true;
	if (!add_node(&builder, 0, 0, root, 0, root->total))
		return false;
	/* The list is its own queue: children are appended behind the frames of their depth. */
	for (number = 0; number < layout->frames.count; number++) {
		const struct flame_frame *frame = &layout->frames.items[number];

		if (frame->depth + 1 >= depths)
			break;
		if (!frame->merged && !add_children(&builder, tree, number))
			return false;
	}
	return true;
}

void flame_layout_deinit(struct flame_layout *layout)
{
	array_deinit(&layout->frames);
}

uint32_t flame_layout_find(const struct flame_layout *layout, uint64_t key)
{
	uint32_t number;

	for (number = 0; number < layout->frames.count; number++)
		if (layout->frames.items[number].key == key)
			return number;
	return FLAME_NONE;
}

uint32_t flame_layout_get_child(const struct flame_layout *layout, uint32_t frame)
{
	uint32_t number, best = FLAME_NONE;

	for (number = frame + 1; number < layout->frames.count; number++) {
		const struct flame_frame *child = &layout->frames.items[number], *widest;

		if (child->parent < frame)
			continue;
		if (child->parent > frame)
			break;
		widest = best == FLAME_NONE ? NULL : &layout->frames.items[best];
		if (!widest || (widest->merged && !child->merged) ||
		    (!child->merged && child->total > widest->total))
			best = number;
	}
	return best;
}

uint32_t flame_layout_get_neighbour(const struct flame_layout *layout, uint32_t frame, int direction)
{
	uint32_t other = frame + direction; /* -1 of frame 0 is out of range, too */

	if (other >= layout->frames.count ||
	    layout->frames.items[other].depth != layout->frames.items[frame].depth)
		return FLAME_NONE;
	return other;
}
