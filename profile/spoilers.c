#include "profile/spoilers_internal.h"

#include "base/hash.h"
#include "profile/internal.h"

#include <stdlib.h>

/* One table for all who tell people about it. Samples come at once, tables a moment later: of a missing one
 * the words are true, too, when the module only was early. */
static const struct {
	const char *problem, *remedy;
} words[STACK_ENDS] = {
	[STACK_NO_MAPPING] = {"code in no known mapping",
			      "it was mapped a moment ago, or the program jumped astray"},
	[STACK_NO_TABLE] = {"no unwind table", "build it without -fno-asynchronous-unwind-tables (or its "
					       "samples came before it was read)"},
	[STACK_NO_RULE] = {"no unwind rule there", "add .cfi directives (hand-written assembly?)"},
	[STACK_BAD_CFA] = {"an unwind rule that cannot be",
			   "its .cfi directives are wrong there, or its stack is overwritten"},
	[STACK_BAD_RETURN] = {"a return address that is none",
			      "its unwind rules are wrong there, or its stack is overwritten"},
	[STACK_UNREADABLE] = {"stack that cannot be read",
			      "its unwind rules are wrong there, or the stack is paged out"},
	[STACK_TRAMPOLINE] = {"a return probe was just being set",
			      "kiln's own of the heap: --heap=off; or another tracer's"},
	[STACK_JIT] = {"JIT code without frame pointers", "switch them on (java: -XX:+PreserveFramePointer)"},
};

const char *stack_end_get_problem(enum stack_end reason)
{
	return (unsigned)reason < STACK_ENDS && words[reason].problem ? words[reason].problem
								      : "not complete";
}

const char *stack_end_get_remedy(enum stack_end reason)
{
	return (unsigned)reason < STACK_ENDS && words[reason].remedy ? words[reason].remedy : "";
}

bool spoilers_init(struct spoilers *spoilers)
{
	*spoilers = (struct spoilers){0};
	for (int reason = 0; reason < STACK_ENDS; reason++)
		if (!array_append(&spoilers->items,
				  (struct spoiler){MODULE_MERGED, (enum stack_end)reason, 0}))
			return false;
	return array_reserve(&spoilers->order, STACK_ENDS);
}

void spoilers_deinit(struct spoilers *spoilers)
{
	index_deinit(&spoilers->index);
	array_deinit(&spoilers->items);
	array_deinit(&spoilers->order);
}

/* ---- whose fault it is ---- */

uint64_t spoilers_make_merged(uint64_t frame)
{
	return FRAME_MODULE(frame) == MODULE_MERGED ? frame : FRAME(MODULE_MERGED, FRAME_MODULE(frame) + 1);
}

static uint32_t get_module(const struct profile *profile, uint64_t frame)
{
	uint64_t module = FRAME_MODULE(frame);

	if (module == MODULE_MERGED)
		module = FRAME_OFFSET(frame) ? FRAME_OFFSET(frame) - 1 : MODULE_MERGED;
	/* Next to the root only where no user code was walked at all. */
	if (module == MODULE_KERNEL || module >= MODULE_LIMIT)
		return MODULE_MERGED;
	return modules_find(&profile->modules, (uint32_t)module) ? (uint32_t)module : MODULE_MERGED;
}

static uint32_t find_module(const struct profile *profile, uint32_t node)
{
	const struct trie_node *nodes = profile->stacks.nodes.items;
	uint32_t below = node;

	for (; nodes[node].parent; node = nodes[node].parent)
		below = node;
	if (below == node || FRAME_MODULE(nodes[node].frame) != MODULE_STACK_END)
		return MODULE_MERGED;
	return get_module(profile, nodes[below].frame);
}

/* ---- the sums ---- */

static uint32_t hash_spoiler(uint32_t module, enum stack_end reason)
{
	return (uint32_t)hash_u64((uint64_t)module << 8 | reason);
}

static struct spoiler *find(const struct spoilers *spoilers, uint32_t module, enum stack_end reason)
{
	uint32_t hash = hash_spoiler(module, reason), number;
	uint64_t at = hash;

	if (module == MODULE_MERGED)
		return &spoilers->items.items[reason];
	while ((number = index_next(&spoilers->index, hash, &at))) {
		struct spoiler *spoiler = &spoilers->items.items[number - 1];

		if (spoiler->module == module && spoiler->reason == reason)
			return spoiler;
	}
	return NULL;
}

/* Never NULL. */
static struct spoiler *intern(struct spoilers *spoilers, uint32_t module, enum stack_end reason)
{
	struct spoiler *spoiler = find(spoilers, module, reason);

	if (spoiler)
		return spoiler;
	if (spoilers->is_short || !index_reserve(&spoilers->index) ||
	    !array_reserve(&spoilers->order, spoilers->items.count + 1) ||
	    !array_append(&spoilers->items, (struct spoiler){module, reason, 0})) {
		spoilers->is_short = true;
		return &spoilers->items.items[reason];
	}
	index_add(&spoilers->index, hash_spoiler(module, reason), (uint32_t)spoilers->items.count);
	return &spoilers->items.items[spoilers->items.count - 1];
}

void spoilers_count(struct profile *profile, uint32_t node, uint64_t samples)
{
	enum stack_end reason = (enum stack_end)profile->stacks.nodes.items[node].end;

	if (reason <= STACK_TRUNCATED)
		return;
	intern(&profile->spoilers, find_module(profile, node), reason)->samples += samples;
	profile->spoilers.is_sorted = false;
}

static int compare(const void *a, const void *b, void *arg)
{
	const struct spoiler *items = arg, *first = &items[*(const uint32_t *)a],
			     *second = &items[*(const uint32_t *)b];

	if (first->samples != second->samples)
		return first->samples < second->samples ? 1 : -1;
	if (first->module != second->module)
		return first->module < second->module ? -1 : 1;
	return first->reason < second->reason ? -1 : first->reason > second->reason;
}

static void sort(struct spoilers *spoilers)
{
	uint32_t count = (uint32_t)spoilers->items.count;

	if (spoilers->is_sorted)
		return;
	spoilers->is_sorted = true;
	spoilers->order.count = 0;
	for (uint32_t place = 0; place < count; place++)
		if (spoilers->items.items[place].samples)
			spoilers->order.items[spoilers->order.count++] = place;
	qsort_r(spoilers->order.items, spoilers->order.count, sizeof(*spoilers->order.items), compare,
		spoilers->items.items);
}

/* ---- spoilers.h ---- */

size_t profile_count_spoilers(const struct profile *profile)
{
	profile_settle(profile);
	sort(&((struct profile *)profile)->spoilers);
	return profile->spoilers.order.count;
}

struct spoiler profile_get_spoiler(const struct profile *profile, size_t rank)
{
	return profile->spoilers.items.items[profile->spoilers.order.items[rank]];
}

uint64_t profile_get_spoiled(const struct profile *profile, uint32_t module, enum stack_end reason)
{
	const struct spoiler *spoiler;

	profile_settle(profile);
	spoiler = find(&profile->spoilers, module, reason);
	return spoiler ? spoiler->samples : 0;
}

const char *spoiler_get_name(const struct profile *profile, const struct spoiler *spoiler)
{
	const struct module_entry *module = modules_find(&profile->modules, spoiler->module);

	return spoiler->module == MODULE_MERGED || !module ? "[not known]" : module->public.name;
}
