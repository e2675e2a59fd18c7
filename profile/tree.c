#include "profile/tree.h"

#include "base/hash.h"
#include "profile/internal.h"

#include <stdlib.h>

/* One place where the samples of a bottom-up path stand now: a call tree node, and how many came from below
 * it. */
struct member {
	uint32_t at;
	uint64_t samples;
};

/* A path of a bottom-up tree: a function, called by the next, called by … Sums and members are those of one
 * revision of the profile's sums, and made anew when they are asked for. */
struct path {
	uint32_t parent;   /* 0: the first level */
	uint32_t function; /* its number: a path is kept for as long as the tree */
	uint64_t total;
	uint64_t total_revision;
	uint64_t members_revision;
	bool has_children;
	ARRAY(struct member)
	members;
};

struct tree {
	struct profile *profile;
	enum tree_direction direction;
	struct index index;
	ARRAY(struct path)
	paths; /* [0] is the root */
	ARRAY(uint32_t)
	chain; /* scratch */
	ARRAY(struct tree_item)
	items;
};

static struct error *out_of_memory(void)
{
	return error_create(ERROR_GENERAL, ENOMEM, NULL, "call tree");
}

struct error *tree_create(struct profile *profile, enum tree_direction direction, struct tree **ret)
{
	struct tree *tree = calloc(1, sizeof(*tree));

	if (!tree || !array_append(&tree->paths, (struct path){0})) {
		free(tree);
		return out_of_memory();
	}
	tree->profile = profile;
	tree->direction = direction;
	*ret = tree;
	return NULL;
}

void tree_destroy(struct tree *tree)
{
	if (!tree)
		return;
	for (size_t i = 0; i < tree->paths.count; i++)
		array_deinit(&tree->paths.items[i].members);
	array_deinit(&tree->paths);
	array_deinit(&tree->chain);
	array_deinit(&tree->items);
	index_deinit(&tree->index);
	free(tree);
}

static uint32_t get_number(const struct profile *profile, uint32_t function)
{
	return profile->functions.items.items[function].number;
}

/* Only functions that have samples stand in a list. */
static int compare_items(const void *a, const void *b, void *arg)
{
	const struct tree_item *first = a, *second = b;
	struct profile *profile = arg;

	if (first->total != second->total)
		return first->total < second->total ? 1 : -1;
	return functions_compare_names(profile, functions_find(&profile->functions, first->function),
				       functions_find(&profile->functions, second->function));
}

static void sort_items(struct tree *tree)
{
	if (tree->items.count > 1)
		qsort_r(tree->items.items, tree->items.count, sizeof(tree->items.items[0]), compare_items,
			tree->profile);
}

/* ---- top-down: the call tree itself ---- */

static struct tree_item get_down_item(const struct tree *tree, uint32_t number)
{
	const struct calltree *calltree = &tree->profile->calltree;
	const struct calltree_node *node = &calltree->nodes.items[number];

	return (struct tree_item){
		.key = calltree_get_key(calltree, number),
		.function = number ? get_number(tree->profile, node->function) : FUNCTION_NONE,
		.total = node->total,
		.self = node->self,
		/* Children without samples exist only while memory is short. */
		.has_children = node->total > node->self,
	};
}

static bool list_down(struct tree *tree, uint64_t key)
{
	const struct calltree *calltree = &tree->profile->calltree;
	uint32_t number;

	if (!calltree_find_key(calltree, key, &number))
		return true;
	for (uint32_t child = calltree->nodes.items[number].first_child; child;
	     child = calltree->nodes.items[child].next_sibling)
		if (calltree->nodes.items[child].total &&
		    !array_append(&tree->items, get_down_item(tree, child)))
			return false;
	return true;
}

static bool get_down(struct tree *tree, uint64_t key, struct tree_item *ret)
{
	uint32_t number;

	if (!calltree_find_key(&tree->profile->calltree, key, &number))
		return false;
	*ret = get_down_item(tree, number);
	return !number || ret->total;
}

/* ---- bottom-up: paths ---- */

static uint32_t intern_path(struct tree *tree, uint32_t parent, uint32_t function)
{
	uint32_t hash = (uint32_t)hash_u64((uint64_t)parent << 32 | function), number;
	uint64_t at = hash;

	while ((number = index_next(&tree->index, hash, &at)))
		if (tree->paths.items[number].parent == parent &&
		    tree->paths.items[number].function == function)
			return number;
	if (tree->paths.count >= UINT32_MAX || !index_reserve(&tree->index) ||
	    !array_append(&tree->paths, (struct path){.parent = parent, .function = function}))
		return 0;
	number = (uint32_t)(tree->paths.count - 1);
	index_add(&tree->index, hash, number);
	return number;
}

/* The members of a first level path: where its function is the leaf. */
static bool collect_leaves(struct tree *tree, struct path *path)
{
	const struct calltree_node *nodes = tree->profile->calltree.nodes.items;
	uint32_t function = functions_find(&tree->profile->functions, path->function);
	uint32_t node = function == FUNCTION_NONE ? 0 : tree->profile->functions.items.items[function].nodes;

	for (; node; node = nodes[node].next_of_function)
		if (nodes[node].self &&
		    !array_append(&path->members, (struct member){node, nodes[node].self}))
			return false;
	return true;
}

/* The members of a deeper path: those of its parent that were called by its function, one step up. Members
 * that stand side by side at the same node become one. */
static bool collect_callers(struct tree *tree, struct path *path)
{
	const struct calltree_node *nodes = tree->profile->calltree.nodes.items;
	const struct path *below = &tree->paths.items[path->parent];
	uint32_t function = functions_find(&tree->profile->functions, path->function);

	for (size_t i = 0; i < below->members.count; i++) {
		uint32_t caller = nodes[below->members.items[i].at].parent;
		struct member *last =
			path->members.count ? &path->members.items[path->members.count - 1] : NULL;

		if (!caller || nodes[caller].function != function)
			continue;
		if (last && last->at == caller)
			last->samples += below->members.items[i].samples;
		else if (!array_append(&path->members,
				       (struct member){caller, below->members.items[i].samples}))
			return false;
	}
	return true;
}

static bool collect_members(struct tree *tree, uint32_t number)
{
	struct path *path = &tree->paths.items[number];
	uint64_t revision = tree->profile->settling.revision;
	const struct calltree_node *nodes = tree->profile->calltree.nodes.items;

	if (path->members_revision == revision)
		return true;
	path->members.count = 0;
	path->members_revision = 0;
	if (!(path->parent ? collect_callers(tree, path) : collect_leaves(tree, path)))
		return false;
	path->members_revision = path->total_revision = revision;
	path->total = 0;
	path->has_children = false;
	for (size_t i = 0; i < path->members.count; i++) {
		path->total += path->members.items[i].samples;
		path->has_children |= nodes[path->members.items[i].at].parent != 0;
	}
	return true;
}

/* Makes the members of a path current: those of all below it first. */
static bool refresh_path(struct tree *tree, uint32_t number)
{
	tree->chain.count = 0;
	for (; number && tree->paths.items[number].members_revision != tree->profile->settling.revision;
	     number = tree->paths.items[number].parent)
		if (!array_append(&tree->chain, number))
			return false;
	while (tree->chain.count)
		if (!collect_members(tree, tree->chain.items[--tree->chain.count]))
			return false;
	return true;
}

/* ---- bottom-up: rows ---- */

static struct tree_item get_up_item(const struct tree *tree, uint32_t number)
{
	const struct path *path = &tree->paths.items[number];

	return (struct tree_item){
		.key = number,
		.function = path->function,
		.total = path->total,
		.self = path->parent ? 0 : path->total,
		.has_children = path->has_children,
	};
}

/* The first level needs no members: it is the list by self, and all of a function's self that is not at a
 * root has a caller. */
static bool list_leaves(struct tree *tree)
{
	const struct profile *profile = tree->profile;
	uint64_t revision = profile->settling.revision;

	functions_sort(&tree->profile->functions);
	for (uint32_t rank = 0; rank < profile->functions.hot; rank++) {
		uint32_t function = profile->functions.order.items[rank];
		uint64_t self = profile->functions.items.items[function].self;
		uint32_t root = calltree_find(&profile->calltree, 0, function), number;
		struct path *path;

		if (!self)
			break;
		number = intern_path(tree, 0, get_number(profile, function));
		if (!number)
			return false;
		path = &tree->paths.items[number];
		path->total = self;
		path->total_revision = revision;
		path->has_children = !root || profile->calltree.nodes.items[root].self < self;
		if (!array_append(&tree->items, get_up_item(tree, number)))
			return false;
	}
	return true;
}

/* Adds a member to the row of its caller; rows are found by the functions' marks. */
static bool add_caller(struct tree *tree, uint32_t parent, const struct member *member)
{
	struct functions *functions = &tree->profile->functions;
	const struct calltree_node *nodes = tree->profile->calltree.nodes.items;
	uint32_t caller = nodes[member->at].parent;
	struct function_entry *entry = &functions->items.items[nodes[caller].function];
	struct tree_item *item;

	if (entry->mark != functions->epoch) {
		uint32_t number = intern_path(tree, parent, entry->number);
		struct tree_item fresh = {.key = number, .function = entry->number};

		if (!number || !array_append(&tree->items, fresh))
			return false;
		entry->mark = functions->epoch;
		entry->slot = (uint32_t)(tree->items.count - 1);
	}
	item = &tree->items.items[entry->slot];
	item->total += member->samples;
	item->has_children |= nodes[caller].parent != 0;
	return true;
}

static bool list_callers(struct tree *tree, uint32_t number)
{
	const struct calltree_node *nodes = tree->profile->calltree.nodes.items;

	if (!refresh_path(tree, number))
		return false;
	functions_new_epoch(&tree->profile->functions);
	for (size_t i = 0; i < tree->paths.items[number].members.count; i++) {
		struct member member = tree->paths.items[number].members.items[i];

		if (nodes[member.at].parent && !add_caller(tree, number, &member))
			return false;
	}
	for (size_t i = 0; i < tree->items.count; i++) {
		struct path *path = &tree->paths.items[tree->items.items[i].key];

		path->total = tree->items.items[i].total;
		path->has_children = tree->items.items[i].has_children;
		path->total_revision = tree->profile->settling.revision;
	}
	return true;
}

static bool list_up(struct tree *tree, uint64_t key)
{
	if (!key)
		return list_leaves(tree);
	return key >= tree->paths.count || list_callers(tree, (uint32_t)key);
}

static bool get_up(struct tree *tree, uint64_t key, struct tree_item *ret)
{
	uint64_t samples = tree->profile->calltree.nodes.items[0].total;

	if (!key) {
		*ret = (struct tree_item){
			.function = FUNCTION_NONE, .total = samples, .has_children = samples > 0};
		return true;
	}
	if (key >= tree->paths.count)
		return false;
	if (tree->paths.items[key].total_revision != tree->profile->settling.revision &&
	    !refresh_path(tree, (uint32_t)key))
		return false;
	*ret = get_up_item(tree, (uint32_t)key);
	return ret->total > 0;
}

/* ---- tree.h ---- */

struct error *tree_list_children(struct tree *tree, uint64_t key, const struct tree_item **ret,
				 size_t *ret_count)
{
	bool is_complete;

	profile_settle(tree->profile);
	tree->items.count = 0;
	is_complete = tree->direction == TREE_TOP_DOWN ? list_down(tree, key) : list_up(tree, key);
	if (!is_complete)
		return out_of_memory();
	sort_items(tree);
	*ret = tree->items.items;
	*ret_count = tree->items.count;
	return NULL;
}

bool tree_get_item(struct tree *tree, uint64_t key, struct tree_item *ret)
{
	profile_settle(tree->profile);
	return tree->direction == TREE_TOP_DOWN ? get_down(tree, key, ret) : get_up(tree, key, ret);
}

uint64_t tree_get_parent(struct tree *tree, uint64_t key)
{
	const struct calltree *calltree = &tree->profile->calltree;
	uint32_t number;

	if (tree->direction == TREE_BOTTOM_UP)
		return key < tree->paths.count ? tree->paths.items[key].parent : 0;
	if (!calltree_find_key(calltree, key, &number) || !number)
		return 0;
	return calltree_get_key(calltree, calltree->nodes.items[number].parent);
}
