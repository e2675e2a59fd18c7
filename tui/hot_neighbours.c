#include "tui/hot_neighbours.h"

#include "tui/code_text.h"

typedef size_t list_function(struct profile *profile, uint32_t function, struct neighbour *ret, size_t max);

static void read_list(struct neighbour_list *list, struct profile *profile, uint32_t function,
		      list_function *read)
{
	list->count = read(profile, function, list->items, list->capacity);
	if (list->count <= list->capacity)
		return;
	if (!array_reserve(list, list->count)) {
		list->count = list->capacity; /* the heaviest are there */
		return;
	}
	list->count = read(profile, function, list->items, list->capacity);
}

void neighbours_refresh(struct neighbours *neighbours, struct profile *profile, uint32_t function)
{
	uint64_t revision = profile_get_revision(profile);

	if (neighbours->is_valid && neighbours->function == function && neighbours->revision == revision)
		return;
	neighbours->function = function;
	neighbours->revision = revision;
	neighbours->is_valid = true;
	neighbours->total = profile_get_function(profile, function).total;
	read_list(&neighbours->callers, profile, function, profile_list_callers);
	read_list(&neighbours->callees, profile, function, profile_list_callees);
}

void neighbours_deinit(struct neighbours *neighbours)
{
	array_deinit(&neighbours->callers);
	array_deinit(&neighbours->callees);
	*neighbours = (struct neighbours){0};
}

void neighbour_write_name(const struct profile *profile, uint32_t number, bool is_caller, char *ret,
			  size_t capacity)
{
	struct function function;

	if (number == NEIGHBOUR_NONE) {
		snprintf(ret, capacity, "%s", is_caller ? "[root: nobody calls it]" : "self");
		return;
	}
	function = profile_get_function(profile, number);
	code_write_name(&function, ret, capacity);
}
