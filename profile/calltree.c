#include "profile/calltree.h"

#include "base/hash.h"

bool calltree_init(struct calltree *tree, uint64_t seed)
{
	*tree = (struct calltree){.seed = seed};
	return array_append(&tree->nodes, (struct calltree_node){.function = UINT32_MAX});
}

void calltree_deinit(struct calltree *tree)
{
	index_deinit(&tree->index);
	array_deinit(&tree->nodes);
}

static uint32_t hash_child(const struct calltree *tree, uint32_t parent, uint32_t function)
{
	return (uint32_t)hash_u64(tree->seed ^ ((uint64_t)parent << 32 | function));
}

uint32_t calltree_find(const struct calltree *tree, uint32_t parent, uint32_t function)
{
	uint32_t hash = hash_child(tree, parent, function), number;
	uint64_t at = hash;

	while ((number = index_next(&tree->index, hash, &at))) {
		const struct calltree_node *node = &tree->nodes.items[number];

		if (node->parent == parent && node->function == function)
			return number;
	}
	return 0;
}

/* ---- making and giving back nodes ---- */

static uint32_t take_number(struct calltree *tree)
{
	uint32_t number = tree->free;

	if (number) {
		tree->free = tree->nodes.items[number].parent;
		return number;
	}
	if (tree->nodes.count >= UINT32_MAX || !array_append(&tree->nodes, (struct calltree_node){0}))
		return 0;
	return (uint32_t)(tree->nodes.count - 1);
}

uint32_t calltree_add(struct calltree *tree, struct functions *functions, uint32_t parent, uint32_t function,
		      bool is_inner)
{
	struct calltree_node *nodes, *node;
	uint32_t number, *first_of_function = &functions->items.items[function].nodes;

	if (!index_reserve(&tree->index))
		return 0;
	number = take_number(tree);
	if (!number)
		return 0;
	nodes = tree->nodes.items;
	node = &nodes[number];
	*node = (struct calltree_node){
		.parent = parent,
		.function = function,
		.next_sibling = nodes[parent].first_child,
		.next_of_function = *first_of_function,
		.generation = node->generation,
		.is_inner = is_inner,
	};
	if (node->next_sibling)
		nodes[node->next_sibling].previous_sibling = number;
	nodes[parent].first_child = number;
	if (node->next_of_function)
		nodes[node->next_of_function].previous_of_function = number;
	*first_of_function = number;
	index_add(&tree->index, hash_child(tree, parent, function), number);
	return number;
}

static void give_back(struct calltree *tree, struct functions *functions, uint32_t number)
{
	struct calltree_node *nodes = tree->nodes.items, *node = &nodes[number];

	index_remove(&tree->index, hash_child(tree, node->parent, node->function), number);
	if (node->previous_sibling)
		nodes[node->previous_sibling].next_sibling = node->next_sibling;
	else
		nodes[node->parent].first_child = node->next_sibling;
	if (node->next_sibling)
		nodes[node->next_sibling].previous_sibling = node->previous_sibling;
	if (node->previous_of_function)
		nodes[node->previous_of_function].next_of_function = node->next_of_function;
	else
		functions->items.items[node->function].nodes = node->next_of_function;
	if (node->next_of_function)
		nodes[node->next_of_function].previous_of_function = node->previous_of_function;
	node->generation++;
	/* A number whose generations are used up stays unused: its keys must not come back. */
	if (!node->generation)
		return;
	node->parent = tree->free;
	tree->free = number;
}

/* ---- sums ---- */

void calltree_count(struct calltree *tree, struct functions *functions, uint32_t number, uint64_t samples)
{
	struct calltree_node *nodes = tree->nodes.items;
	uint32_t leaf = number;

	nodes[leaf].self += samples;
	for (; number; number = nodes[number].parent) {
		nodes[number].total += samples;
		if (!nodes[number].is_inner)
			functions_add(functions, nodes[number].function, 0, samples);
	}
	nodes[0].total += samples;
	functions_add(functions, nodes[leaf].function, samples, 0);
}

static size_t measure_depth(const struct calltree_node *nodes, uint32_t number)
{
	size_t depth = 0;

	for (; number; number = nodes[number].parent)
		depth++;
	return depth;
}

/* Where two paths part: there and above nothing changes when samples move from one to the other. */
static uint32_t find_fork(const struct calltree_node *nodes, uint32_t a, uint32_t b)
{
	size_t depth_a = measure_depth(nodes, a), depth_b = measure_depth(nodes, b);

	for (; depth_a > depth_b; depth_a--)
		a = nodes[a].parent;
	for (; depth_b > depth_a; depth_b--)
		b = nodes[b].parent;
	while (a != b) {
		a = nodes[a].parent;
		b = nodes[b].parent;
	}
	return a;
}

static void uncount(struct calltree *tree, struct functions *functions, uint32_t number, uint32_t fork,
		    uint64_t samples)
{
	struct calltree_node *nodes = tree->nodes.items;

	while (number != fork) {
		uint32_t parent = nodes[number].parent;

		nodes[number].total -= samples;
		if (!nodes[number].is_inner)
			functions_subtract(functions, nodes[number].function, 0, samples);
		if (!nodes[number].total && !nodes[number].first_child && number != tree->kept)
			give_back(tree, functions, number);
		number = parent;
	}
}

void calltree_uncount(struct calltree *tree, struct functions *functions, uint32_t node, uint64_t samples)
{
	tree->nodes.items[node].self -= samples;
	functions_subtract(functions, tree->nodes.items[node].function, samples, 0);
	uncount(tree, functions, node, 0, samples);
	tree->nodes.items[0].total -= samples;
}

void calltree_move(struct calltree *tree, struct functions *functions, uint32_t from, uint32_t to,
		   uint64_t samples)
{
	struct calltree_node *nodes = tree->nodes.items;
	uint32_t fork = find_fork(nodes, from, to);

	for (uint32_t number = to; number != fork; number = nodes[number].parent) {
		nodes[number].total += samples;
		if (!nodes[number].is_inner)
			functions_add(functions, nodes[number].function, 0, samples);
	}
	nodes[to].self += samples;
	nodes[from].self -= samples;
	if (nodes[to].function != nodes[from].function) {
		functions_add(functions, nodes[to].function, samples, 0);
		functions_subtract(functions, nodes[from].function, samples, 0);
	}
	uncount(tree, functions, from, fork, samples);
}

/* A node whose children are summed up: to its parent and its function; or given back. */
static void sum_node(struct calltree *tree, struct functions *functions, uint32_t number)
{
	struct calltree_node *node = &tree->nodes.items[number];

	if (!node->total) {
		if (!node->first_child && number != tree->kept)
			give_back(tree, functions, number);
		return;
	}
	tree->nodes.items[node->parent].total += node->total;
	functions_add(functions, node->function, node->self, node->is_inner ? 0 : node->total);
}

/* Down to the first node without children; what is met starts with its self. */
static uint32_t descend(struct calltree_node *nodes, const struct functions *functions, uint32_t node)
{
	for (;;) {
		/* Needed on the way up again. */
		__builtin_prefetch(&functions->items.items[nodes[node].function], 1);
		__builtin_prefetch(&nodes[nodes[node].next_sibling], 1);
		nodes[node].total = nodes[node].self;
		if (!nodes[node].first_child)
			return node;
		node = nodes[node].first_child;
	}
}

/* Post-order along the links: needs no memory. */
void calltree_sum(struct calltree *tree, struct functions *functions)
{
	struct calltree_node *nodes = tree->nodes.items;
	uint32_t node = nodes[0].first_child, next;

	functions_clear(functions);
	nodes[0].total = 0;
	while (node) {
		node = descend(nodes, functions, node);
		for (;;) {
			uint32_t parent = nodes[node].parent;

			next = nodes[node].next_sibling;
			sum_node(tree, functions, node);
			if (next || !parent)
				break;
			node = parent;
		}
		node = next;
	}
}

bool calltree_find_key(const struct calltree *tree, uint64_t key, uint32_t *ret)
{
	uint32_t number = (uint32_t)key;

	if (number >= tree->nodes.count || tree->nodes.items[number].generation != key >> 32)
		return false;
	*ret = number;
	return true;
}
