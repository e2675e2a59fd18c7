/* Who calls a function, and what it calls: from the call tree nodes of that function alone.
 *
 * Recursion: callers belong to the outermost call (nodes that are not inner), callees to the innermost: what
 * lies below an inner node was counted on the way of the call around it, and is taken out there again.
 */
#include "profile/internal.h"

#include <stdlib.h>

static struct neighbour *find_neighbour(struct profile *profile, uint32_t function)
{
	struct function_entry *entry = &profile->functions.items.items[function];

	if (entry->mark != profile->functions.epoch) {
		if (!array_append(&profile->neighbours, (struct neighbour){.function = function}))
			return NULL;
		entry->mark = profile->functions.epoch;
		entry->slot = (uint32_t)(profile->neighbours.count - 1);
	}
	return &profile->neighbours.items[entry->slot];
}

/* samples may be negative (as two's complement): the sums are right in the end. */
static bool add_samples(struct profile *profile, uint32_t function, uint64_t samples)
{
	struct neighbour *neighbour = find_neighbour(profile, function);

	if (neighbour)
		neighbour->samples += samples;
	return neighbour != NULL;
}

static int compare(const void *a, const void *b, void *profile)
{
	const struct neighbour *first = a, *second = b;

	if (first->samples != second->samples)
		return first->samples < second->samples ? 1 : -1;
	if (first->function == NEIGHBOUR_NONE || second->function == NEIGHBOUR_NONE)
		return first->function == NEIGHBOUR_NONE ? -1 : 1;
	return functions_compare_names(profile, first->function, second->function);
}

static size_t finish(struct profile *profile, uint64_t none, struct neighbour *ret, size_t max)
{
	struct neighbour *items;
	size_t count = 0;

	if (none && !array_append(&profile->neighbours, (struct neighbour){NEIGHBOUR_NONE, none}))
		return 0;
	items = profile->neighbours.items;
	for (size_t i = 0; i < profile->neighbours.count; i++)
		if (items[i].samples)
			items[count++] = items[i];
	if (count > 1)
		qsort_r(items, count, sizeof(*items), compare, profile);
	for (size_t i = 0; i < count && i < max; i++) {
		ret[i] = items[i];
		if (ret[i].function != NEIGHBOUR_NONE)
			ret[i].function = profile->functions.items.items[items[i].function].number;
	}
	return count;
}

/* The place of a function; FUNCTION_NONE: there is nothing to tell. */
static uint32_t start(struct profile *profile, uint32_t number)
{
	profile_settle(profile);
	profile->neighbours.count = 0;
	functions_new_epoch(&profile->functions);
	return functions_find(&profile->functions, number);
}

size_t profile_list_callers(struct profile *profile, uint32_t number, struct neighbour *ret, size_t max)
{
	uint32_t function = start(profile, number);
	const struct calltree_node *nodes;
	uint64_t roots = 0;

	if (function == FUNCTION_NONE)
		return 0;
	nodes = profile->calltree.nodes.items;
	for (uint32_t node = profile->functions.items.items[function].nodes; node;
	     node = nodes[node].next_of_function) {
		uint32_t parent = nodes[node].parent;

		if (nodes[node].is_inner)
			continue;
		if (!parent)
			roots += nodes[node].total;
		else if (!add_samples(profile, nodes[parent].function, nodes[node].total))
			return 0;
	}
	return finish(profile, roots, ret, max);
}

/* The child of the next node of the function further up, on the way down to this inner node. */
static uint32_t find_way(const struct calltree_node *nodes, uint32_t node)
{
	uint32_t function = nodes[node].function;

	while (nodes[nodes[node].parent].function != function)
		node = nodes[node].parent;
	return node;
}

static bool add_callees(struct profile *profile, uint32_t node)
{
	const struct calltree_node *nodes = profile->calltree.nodes.items;

	for (uint32_t child = nodes[node].first_child; child; child = nodes[child].next_sibling)
		if (!add_samples(profile, nodes[child].function, nodes[child].total))
			return false;
	if (!nodes[node].is_inner)
		return true;
	return add_samples(profile, nodes[find_way(nodes, node)].function, -nodes[node].total);
}

size_t profile_list_callees(struct profile *profile, uint32_t number, struct neighbour *ret, size_t max)
{
	uint32_t function = start(profile, number);
	const struct calltree_node *nodes;
	uint64_t self = 0;

	if (function == FUNCTION_NONE)
		return 0;
	nodes = profile->calltree.nodes.items;
	for (uint32_t node = profile->functions.items.items[function].nodes; node;
	     node = nodes[node].next_of_function) {
		self += nodes[node].self;
		if (!add_callees(profile, node))
			return 0;
	}
	return finish(profile, self, ret, max);
}
