#include "profile/functions.h"

#include "base/cleanup.h"
#include "base/hash.h"
#include "profile/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PASSES_MAX 64 /* of one function; then sorting all of them costs less */

void functions_deinit(struct functions *functions)
{
	index_deinit(&functions->index);
	index_deinit(&functions->numbers);
	array_deinit(&functions->items);
	array_deinit(&functions->free);
	array_deinit(&functions->order);
}

/* ---- identity ---- */

static uint32_t hash_identity(const struct function_entry *entry)
{
	uint64_t what = entry->kind == FUNCTION_WITH_NAME ? (uintptr_t)entry->name : entry->address;

	return (uint32_t)hash_pair((uint64_t)entry->module << 2 | entry->kind, what);
}

static bool is_same(const struct function_entry *a, const struct function_entry *b)
{
	if (a->module != b->module || a->kind != b->kind)
		return false;
	return a->kind == FUNCTION_WITH_NAME ? a->name == b->name : a->address == b->address;
}

static uint32_t hash_number(uint32_t number)
{
	return (uint32_t)hash_u64(number);
}

/* Room for one more. So that giving a place back cannot fail, there is room for all of them in free. */
static bool reserve(struct functions *functions)
{
	return functions->next_number < FUNCTION_NONE - 1 && index_reserve(&functions->index) &&
	       index_reserve(&functions->numbers) &&
	       array_reserve(&functions->items, functions->items.count + 1) &&
	       array_reserve(&functions->order, functions->order.count + 1) &&
	       array_reserve(&functions->free, functions->items.count + 1);
}

static uint32_t intern(struct functions *functions, struct function_entry wanted)
{
	uint32_t hash = hash_identity(&wanted), place;
	uint64_t at = hash;

	while ((place = index_next(&functions->index, hash, &at)))
		if (is_same(&functions->items.items[place - 1], &wanted))
			return place - 1;
	if (!reserve(functions))
		return FUNCTION_NONE;
	place = functions->free.count ? functions->free.items[--functions->free.count]
				      : (uint32_t)functions->items.count++;
	wanted.number = functions->next_number++;
	wanted.rank = (uint32_t)functions->order.count;
	functions->order.items[functions->order.count++] = place;
	functions->items.items[place] = wanted;
	index_add(&functions->index, hash, place + 1);
	index_add(&functions->numbers, hash_number(wanted.number), place + 1);
	return place;
}

uint32_t functions_find(const struct functions *functions, uint32_t number)
{
	uint32_t hash = hash_number(number), place;
	uint64_t at = hash;

	while ((place = index_next(&functions->numbers, hash, &at)))
		if (functions->items.items[place - 1].number == number)
			return place - 1;
	return FUNCTION_NONE;
}

uint32_t functions_intern(struct functions *functions, uint32_t module, const char *name)
{
	return intern(functions, (struct function_entry){.module = module, .name = name});
}

uint32_t functions_intern_address(struct functions *functions, uint32_t module, uint64_t address,
				  enum function_kind kind)
{
	return intern(functions,
		      (struct function_entry){.module = module, .address = address, .kind = (uint8_t)kind});
}

/* ---- the list ---- */

/* What the list is sorted by, descending. */
static uint64_t get_weight(const struct function_entry *entry)
{
	return entry->self ? entry->self + 1 : entry->total > 0;
}

static uint64_t weight_at(const struct functions *functions, size_t rank)
{
	return get_weight(&functions->items.items[functions->order.items[rank]]);
}

/* The first rank of [low, high) whose weight is at most `weight`; high when there is none. */
static size_t find_rank(const struct functions *functions, size_t low, size_t high, uint64_t weight)
{
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (weight_at(functions, middle) > weight)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void swap_ranks(struct functions *functions, size_t a, size_t b)
{
	uint32_t *order = functions->order.items;
	uint32_t kept = order[a];

	order[a] = order[b];
	order[b] = kept;
	functions->items.items[order[a]].rank = (uint32_t)a;
	functions->items.items[order[b]].rank = (uint32_t)b;
}

/* The function weighs more than it did: each block of equals above that weighs less goes one place down,
 * which takes one swap with its first. */
static void move_up(struct functions *functions, uint32_t function)
{
	unsigned passed = 0;
	const struct function_entry *entry = &functions->items.items[function];
	uint64_t weight = get_weight(entry);

	while (entry->rank > 0) {
		uint64_t above = weight_at(functions, entry->rank - 1);

		if (above >= weight)
			return;
		if (passed++ == PASSES_MAX) {
			functions->is_unsorted = true;
			return;
		}
		swap_ranks(functions, entry->rank, find_rank(functions, 0, entry->rank, above));
	}
}

static void move_down(struct functions *functions, uint32_t function)
{
	unsigned passed = 0;
	const struct function_entry *entry = &functions->items.items[function];
	uint64_t weight = get_weight(entry);
	size_t count = functions->order.count;

	while (entry->rank + 1 < count) {
		uint64_t below = weight_at(functions, entry->rank + 1);

		if (below <= weight)
			return;
		if (passed++ == PASSES_MAX) {
			functions->is_unsorted = true;
			return;
		}
		swap_ranks(functions, entry->rank,
			   find_rank(functions, entry->rank + 1, count, below - 1) - 1);
	}
}

void functions_add(struct functions *functions, uint32_t function, uint64_t self, uint64_t total)
{
	struct function_entry *entry = &functions->items.items[function];
	uint64_t before = get_weight(entry);

	entry->self += self;
	entry->total += total;
	functions->hot += !before && get_weight(entry);
	if (get_weight(entry) > before && !functions->is_unsorted)
		move_up(functions, function);
}

void functions_subtract(struct functions *functions, uint32_t function, uint64_t self, uint64_t total)
{
	struct function_entry *entry = &functions->items.items[function];
	uint64_t before = get_weight(entry);

	entry->self -= self;
	entry->total -= total;
	functions->hot -= before && !get_weight(entry);
	if (get_weight(entry) < before && !functions->is_unsorted)
		move_down(functions, function);
}

void functions_clear(struct functions *functions)
{
	for (size_t i = 0; i < functions->items.count; i++)
		functions->items.items[i].self = functions->items.items[i].total = 0;
	functions->hot = 0;
	functions->is_unsorted = true;
}

static int compare_weights(const void *a, const void *b, void *arg)
{
	const struct function_entry *items = arg;
	const struct function_entry *first = &items[*(const uint32_t *)a],
				    *second = &items[*(const uint32_t *)b];
	uint64_t first_weight = get_weight(first), second_weight = get_weight(second);

	if (first_weight != second_weight)
		return first_weight < second_weight ? 1 : -1;
	return first->rank < second->rank ? -1 : 1; /* equals stay as they were */
}

void functions_sort(struct functions *functions)
{
	if (!functions->is_unsorted)
		return;
	functions->is_unsorted = false;
	qsort_r(functions->order.items, functions->order.count, sizeof(functions->order.items[0]),
		compare_weights, functions->items.items);
	for (size_t i = 0; i < functions->order.count; i++)
		functions->items.items[functions->order.items[i]].rank = (uint32_t)i;
}

static void forget(struct functions *functions, uint32_t place)
{
	const struct function_entry *entry = &functions->items.items[place];

	swap_ranks(functions, entry->rank, functions->order.count - 1);
	functions->order.count--;
	index_remove(&functions->index, hash_identity(entry), place + 1);
	index_remove(&functions->numbers, hash_number(entry->number), place + 1);
	functions->free.items[functions->free.count++] = place;
}

void functions_forget_provisional(struct functions *functions)
{
	functions_sort(functions);
	for (size_t rank = functions->order.count; rank-- > functions->hot;) {
		uint32_t place = functions->order.items[rank];
		const struct function_entry *entry = &functions->items.items[place];

		if (entry->kind == FUNCTION_PROVISIONAL && !entry->frames && !entry->nodes)
			forget(functions, place);
	}
}

uint32_t functions_new_epoch(struct functions *functions)
{
	if (++functions->epoch)
		return functions->epoch;
	for (size_t i = 0; i < functions->items.count; i++)
		functions->items.items[i].mark = 0;
	return functions->epoch = 1;
}

/* ---- text ---- */

const char *functions_get_name(struct profile *profile, uint32_t function)
{
	struct function_entry *entry = &profile->functions.items.items[function];
	_cleanup_free_ char *text = NULL;
	const struct module_entry *module;
	uint64_t address = entry->address;

	if (entry->kind == FUNCTION_WITH_NAME)
		return entry->name;
	module = modules_find(&profile->modules, entry->module);
	if (entry->name && entry->module_name == module->public.name)
		return entry->name;
	/* A frame keeps 48 bits of a kernel address: the others are ones. */
	if (entry->module == MODULE_KERNEL)
		address |= ~FRAME_OFFSET_MASK;
	if (asprintf(&text, "%s+0x%" PRIx64, module->public.name, address) < 0) {
		text = NULL;
		return "?";
	}
	entry->module_name = module->public.name;
	entry->name = strings_intern(&profile->strings, text, SIZE_MAX);
	return entry->name ? entry->name : "?";
}

int functions_compare_names(struct profile *profile, uint32_t a, uint32_t b)
{
	int order = strcmp(functions_get_name(profile, a), functions_get_name(profile, b));
	const struct function_entry *items = profile->functions.items.items;

	return order ? order : (items[a].number > items[b].number) - (items[a].number < items[b].number);
}

/* ---- profile.h ---- */

uint32_t functions_intern_text(struct profile *profile, uint32_t module, const char *text)
{
	const char *interned = strings_intern(&profile->strings, text, SIZE_MAX);

	if (!interned || !modules_intern(&profile->modules, &profile->strings, module))
		return FUNCTION_NONE;
	return functions_intern(&profile->functions, module, interned);
}

uint32_t profile_intern_function(struct profile *profile, uint32_t module, const char *name)
{
	uint32_t place = functions_intern_text(profile, module, name);

	return place == FUNCTION_NONE ? FUNCTION_NONE : profile->functions.items.items[place].number;
}

uint32_t profile_count_functions(const struct profile *profile)
{
	profile_settle(profile);
	return profile->functions.next_number;
}

struct function profile_get_function(const struct profile *profile, uint32_t number)
{
	const struct function_entry *entry;
	const struct module_entry *module;
	const struct frame_entry *best;
	const struct inline_site *site;
	const char *file;
	uint32_t place;

	profile_settle(profile);
	place = functions_find(&profile->functions, number);
	if (place == FUNCTION_NONE)
		return (struct function){
			.name = number < profile->functions.next_number ? "[gone]" : "",
			.module_name = "",
			.file = "",
		};
	entry = &profile->functions.items.items[place];
	module = modules_find(&profile->modules, entry->module);
	best = &profile->stacks.frames.items[names_get_best((struct profile *)profile, place)];
	site = &profile->inlines.items.items[entry->site];
	file = best->file ? best->file : site->file;
	return (struct function){
		.name = functions_get_name((struct profile *)profile, place),
		.module = entry->module,
		.module_name = module ? module->public.name : "",
		.file = file ? file : "",
		.line = best->file ? best->line : site->line,
		.self = entry->self,
		.total = entry->total,
		.is_provisional = entry->kind == FUNCTION_PROVISIONAL,
	};
}

uint32_t profile_get_function_by_self(const struct profile *profile, uint32_t rank)
{
	profile_settle(profile);
	functions_sort(&((struct profile *)profile)->functions);
	if (rank >= profile->functions.order.count)
		return FUNCTION_NONE;
	return profile->functions.items.items[profile->functions.order.items[rank]].number;
}

uint32_t profile_count_hot(const struct profile *profile)
{
	profile_settle(profile);
	return profile->functions.hot;
}
