/* Random stacks, with recursion, kernel frames and broken ends, whose names arrive late and in any order,
 * beside a reference that keeps the samples themselves and counts everything anew each time. */
#include "base/array.h"
#include "profile/internal.h"
#include "profile/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define MODULES	       4 /* three files and the kernel */
#define SITES	       24
#define WORDS	       (MODULES * SITES * 2)
#define NAMES	       9
#define DEPTH_MAX      24
#define AROUND_MAX     2
#define PATH_MAX_COUNT ((AROUND_MAX + 1) * DEPTH_MAX + 1)
#define IDENTITIES     (WORDS + MODULES * NAMES + STACK_ENDS)
#define POOL	       1500

/* ---- the generator ---- */

static uint64_t random_state;

static uint32_t get_random(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 33) % below;
}

static uint32_t get_module_id(unsigned module)
{
	return module == 0 ? MODULE_KERNEL : MODULE_FIRST_FILE + module;
}

/* A word: a site of a module, as a leaf (exact) or as a caller (the return address, minus 1). */
static uint64_t get_word(unsigned word)
{
	unsigned site = word / 2 % SITES, is_caller = word % 2;

	return FRAME(get_module_id(word / 2 / SITES), 0x1000 + site * 0x40 + (is_caller ? 0x1f : 0x10));
}

struct stack_case {
	unsigned count;		   /* of words */
	uint16_t words[DEPTH_MAX]; /* root first */
	enum stack_end end;
	unsigned kernel; /* words of the kernel at the leaf side */
	uint64_t samples;
};

struct reference {
	bool is_named[WORDS];
	uint8_t names[WORDS]; /* the name that will come; NAMES: there is none */
	uint8_t around[WORDS]
		      [AROUND_MAX]; /* names that it is inlined into, from the inside out; NAMES ends them */
	struct stack_case stacks[POOL];
	uint64_t samples;
};

static void make_stack(struct stack_case *stack)
{
	unsigned users = 1 + get_random(DEPTH_MAX - 4);

	*stack = (struct stack_case){.kernel = get_random(3) ? 0 : 1 + get_random(3)};
	/* A narrow choice near the root: stacks share prefixes. */
	for (unsigned i = 0; i < users; i++) {
		unsigned choice = i < 4 ? 2 + i : SITES;
		unsigned module = 1 + (i < 4 ? 0 : get_random(MODULES - 1));
		bool is_caller = i + 1 < users;

		stack->words[stack->count++] =
			(uint16_t)((module * SITES + get_random(choice)) * 2 + is_caller);
	}
	for (unsigned i = 0; i < stack->kernel; i++)
		stack->words[stack->count++] = (uint16_t)(get_random(SITES) * 2 + (i + 1 < stack->kernel));
	if (get_random(8) == 0)
		stack->end = 1 + get_random(STACK_ENDS - 1);
}

static void add_sample(struct profile *profile, struct reference *reference, struct stack_case *stack)
{
	uint64_t buffer[sizeof(struct sample_record) / 8 + DEPTH_MAX];
	struct sample_record *record = (struct sample_record *)buffer;

	*record = (struct sample_record){
		.time_ns = 1000 + reference->samples * 1000,
		.tid = 7,
		.mode = stack->kernel ? SAMPLE_KERNEL : SAMPLE_USER,
		.end = stack->end,
		.kernel_count = stack->kernel,
		.user_count = stack->count - stack->kernel,
	};
	for (unsigned i = 0; i < stack->count; i++) {
		unsigned word = stack->words[stack->count - 1 - i];

		record->frames[i] = get_word(word) + word % 2;
	}
	profile_add_sample(profile, record, 1000);
	stack->samples++;
	reference->samples++;
}

struct name_text {
	char function[32], file[32];
};

static struct frame_name make_name(unsigned word, unsigned number, struct name_text *text)
{
	snprintf(text->function, sizeof(text->function), "name%u", number);
	snprintf(text->file, sizeof(text->file), "%u.c", number);
	return (struct frame_name){
		.start = 0x500000 + word,
		.function = text->function,
		.function_length = strlen(text->function),
		.file = text->file,
		.file_length = strlen(text->file),
		.line = word + 1,
	};
}

/* Some words have a name, some are only covered by an FDE, some have nothing. */
static void name_word(struct profile *profile, struct reference *reference, unsigned word)
{
	struct frame_name levels[1 + AROUND_MAX];
	struct name_text texts[1 + AROUND_MAX];
	size_t count = 0;

	levels[count] = make_name(word, reference->names[word], &texts[count]);
	count++;
	if (reference->names[word] == NAMES) {
		levels[0].function = levels[0].file = NULL;
		levels[0].is_fde = word % 3 == 0;
	}
	for (unsigned i = 0; i < AROUND_MAX && reference->around[word][i] != NAMES; i++, count++)
		levels[count] = make_name(word, reference->around[word][i], &texts[count]);
	/* Also of words that no sample has had yet. */
	assert_int_not_equal(stacks_intern_frame(profile, get_word(word)), 0);
	profile_set_name(profile, get_word(word), levels, count);
	reference->is_named[word] = true;
}

/* ---- identities: what the reference calls a function ---- */

static unsigned identify_name(unsigned word, unsigned name)
{
	return WORDS + word / 2 / SITES * NAMES + name;
}

static unsigned identify(const struct reference *reference, unsigned word)
{
	if (!reference->is_named[word] || reference->names[word] == NAMES)
		return word;
	return identify_name(word, reference->names[word]);
}

/* A frame's functions, the concrete one first. */
static unsigned add_levels(const struct reference *reference, unsigned word, unsigned *ret)
{
	const uint8_t *around = reference->around[word];
	unsigned count = 0, levels = 0;

	while (reference->is_named[word] && levels < AROUND_MAX && around[levels] != NAMES)
		levels++;
	while (levels-- > 0)
		ret[count++] = identify_name(word, around[levels]);
	ret[count++] = identify(reference, word);
	return count;
}

/* Writes a stack as functions, root first. */
static unsigned make_path(const struct reference *reference, const struct stack_case *stack, unsigned *ret)
{
	unsigned count = 0;

	if (stack->end != STACK_COMPLETE)
		ret[count++] = WORDS + MODULES * NAMES + stack->end;
	for (unsigned i = 0; i < stack->count; i++)
		count += add_levels(reference, stack->words[i], ret + count);
	return count;
}

static unsigned parse_function(const struct reference *reference, const struct function *function)
{
	char text[64];
	unsigned module;

	for (unsigned end = 1; end < STACK_ENDS; end++) {
		snprintf(text, sizeof(text), end == STACK_TRUNCATED ? "[%s]" : "[broken: %s]",
			 stack_end_names[end]);
		if (function->module == MODULE_STACK_END && strcmp(text, function->name) == 0)
			return WORDS + MODULES * NAMES + end;
	}
	for (module = 0; get_module_id(module) != function->module; module++)
		assert_true(module + 1 < MODULES);
	if (strncmp(function->name, "name", 4) == 0) {
		assert_false(function->is_provisional);
		return WORDS + module * NAMES + (unsigned)atoi(function->name + 4);
	}
	for (unsigned word = module * SITES * 2; word < (module + 1) * SITES * 2; word++) {
		uint64_t address = reference->is_named[word] ? 0x500000 + word : FRAME_OFFSET(get_word(word));

		if (module == 0)
			address |= ~FRAME_OFFSET_MASK;
		snprintf(text, sizeof(text), "%s+0x%lx", function->module_name, address);
		if (strcmp(text, function->name) == 0 &&
		    function->is_provisional == !reference->is_named[word])
			return word;
	}
	return IDENTITIES;
}

/* kiln's number of each identity; UINT32_MAX none. Empty functions may be of words that have their name now.
 */
static void map_functions(struct profile *profile, const struct reference *reference, uint32_t *numbers)
{
	memset(numbers, 0xff, IDENTITIES * sizeof(*numbers));
	for (uint32_t i = 0; i < profile_count_functions(profile); i++) {
		struct function function = profile_get_function(profile, i);
		unsigned identity;

		if (!function.total)
			continue;
		identity = parse_function(reference, &function);
		assert_in_range(identity, 0, IDENTITIES - 1);
		assert_int_equal(numbers[identity], UINT32_MAX);
		numbers[identity] = i;
	}
}

/* ---- the reference's sums ---- */

struct sums {
	uint64_t self[IDENTITIES], total[IDENTITIES];
};

static bool contains(const unsigned *path, unsigned count, unsigned identity)
{
	for (unsigned i = 0; i < count; i++)
		if (path[i] == identity)
			return true;
	return false;
}

static void sum_functions(const struct reference *reference, struct sums *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned s = 0; s < POOL; s++) {
		const struct stack_case *stack = &reference->stacks[s];
		unsigned path[PATH_MAX_COUNT], count = make_path(reference, stack, path);

		ret->self[path[count - 1]] += stack->samples;
		for (unsigned i = 0; i < count; i++)
			if (!contains(path, i, path[i]))
				ret->total[path[i]] += stack->samples;
	}
}

struct branch {
	unsigned identity;
	uint64_t self, total;
	uint32_t first_child, next; /* 0 none */
};

struct branches {
	ARRAY(struct branch)
	items; /* [0] is the root */
};

static uint32_t get_branch(struct branches *branches, uint32_t parent, unsigned identity)
{
	uint32_t child = branches->items.items[parent].first_child;

	for (; child; child = branches->items.items[child].next)
		if (branches->items.items[child].identity == identity)
			return child;
	assert_true(
		array_append(&branches->items,
			     (struct branch){identity, 0, 0, 0, branches->items.items[parent].first_child}));
	child = (uint32_t)(branches->items.count - 1);
	branches->items.items[parent].first_child = child;
	return child;
}

/* A tree of all stacks, from the root or from the leaf. */
static void build_tree(const struct reference *reference, enum tree_direction direction, struct branches *ret)
{
	assert_true(array_append(&ret->items, (struct branch){0}));
	for (unsigned s = 0; s < POOL; s++) {
		const struct stack_case *stack = &reference->stacks[s];
		unsigned path[PATH_MAX_COUNT], count = make_path(reference, stack, path);
		uint32_t at = 0, self_at = 0;

		if (!stack->samples)
			continue;
		ret->items.items[0].total += stack->samples;
		for (unsigned i = 0; i < count; i++) {
			at = get_branch(ret, at, path[direction == TREE_TOP_DOWN ? i : count - 1 - i]);
			ret->items.items[at].total += stack->samples;
			if (i == (direction == TREE_TOP_DOWN ? count - 1 : 0))
				self_at = at;
		}
		ret->items.items[self_at].self += stack->samples;
	}
}

/* ---- comparing ---- */

static void compare_functions(struct profile *profile, const struct reference *reference,
			      const uint32_t *numbers)
{
	struct sums sums;
	uint64_t all = 0;
	uint32_t hot = 0, count = profile_count_functions(profile);

	sum_functions(reference, &sums);
	for (unsigned i = 0; i < IDENTITIES; i++) {
		struct function function = profile_get_function(profile, numbers[i]);

		assert_int_equal(function.self, sums.self[i]);
		assert_int_equal(function.total, sums.total[i]);
		all += function.self;
		hot += sums.total[i] > 0;
	}
	assert_int_equal(all, reference->samples);
	assert_int_equal(profile_count_hot(profile), hot);
	for (uint32_t rank = 0; rank < count; rank++) {
		struct function function =
			profile_get_function(profile, profile_get_function_by_self(profile, rank));
		struct function next = {0};

		assert_int_equal(rank<hot, function.total> 0);
		if (rank + 1 < count)
			next = profile_get_function(profile, profile_get_function_by_self(profile, rank + 1));
		assert_true(function.self >= next.self);
	}
}

static void compare_branch(struct profile *profile, struct tree *tree, const struct branches *branches,
			   const uint32_t *numbers, uint32_t at, uint64_t key)
{
	const struct branch *branch = &branches->items.items[at];
	const struct tree_item *listed;
	struct tree_item *items;
	size_t count, expected = 0;

	assert_null(tree_list_children(tree, key, &listed, &count));
	items = malloc((count + 1) * sizeof(*items));
	memcpy(items, listed, count * sizeof(*items));
	for (uint32_t child = branch->first_child; child; child = branches->items.items[child].next) {
		const struct branch *wanted = &branches->items.items[child];
		struct tree_item again;
		size_t i = 0;

		while (i < count && items[i].function != numbers[wanted->identity])
			i++;
		assert_true(i < count);
		assert_int_equal(items[i].total, wanted->total);
		assert_int_equal(items[i].self, wanted->self);
		assert_int_equal(items[i].has_children, wanted->first_child != 0);
		assert_true(tree_get_item(tree, items[i].key, &again));
		assert_memory_equal(&again.total, &items[i].total, 16);
		assert_int_equal(again.has_children, items[i].has_children);
		assert_int_equal(tree_get_parent(tree, items[i].key), key);
		compare_branch(profile, tree, branches, numbers, child, items[i].key);
		expected++;
	}
	assert_int_equal(count, expected);
	for (size_t i = 1; i < count; i++) {
		assert_true(items[i - 1].total >= items[i].total);
		if (items[i - 1].total == items[i].total)
			assert_true(strcmp(profile_get_function(profile, items[i - 1].function).name,
					   profile_get_function(profile, items[i].function).name) <= 0);
	}
	free(items);
}

static void compare_tree(struct profile *profile, const struct reference *reference, const uint32_t *numbers,
			 struct tree *tree, enum tree_direction direction)
{
	struct branches branches = {0};
	struct tree_item root;

	build_tree(reference, direction, &branches);
	assert_true(tree_get_item(tree, 0, &root));
	assert_int_equal(root.total, reference->samples);
	compare_branch(profile, tree, &branches, numbers, 0, 0);
	array_deinit(&branches.items);
}

/* What a function's samples say of its neighbours: the last slot is NEIGHBOUR_NONE. */
static void sum_neighbours(const struct reference *reference, unsigned identity, uint64_t *callers,
			   uint64_t *callees)
{
	memset(callers, 0, (IDENTITIES + 1) * sizeof(*callers));
	memset(callees, 0, (IDENTITIES + 1) * sizeof(*callees));
	for (unsigned s = 0; s < POOL; s++) {
		const struct stack_case *stack = &reference->stacks[s];
		unsigned path[PATH_MAX_COUNT], count = make_path(reference, stack, path), first, last;

		if (!contains(path, count, identity))
			continue;
		for (first = 0; path[first] != identity; first++)
			;
		for (last = count - 1; path[last] != identity; last--)
			;
		callers[first ? path[first - 1] : IDENTITIES] += stack->samples;
		callees[last + 1 < count ? path[last + 1] : IDENTITIES] += stack->samples;
	}
}

static void compare_neighbours(const struct neighbour *list, size_t count, const uint64_t *wanted,
			       const uint32_t *numbers, uint64_t total)
{
	size_t expected = 0;
	uint64_t sum = 0;

	for (unsigned i = 0; i <= IDENTITIES; i++) {
		uint32_t number = i < IDENTITIES ? numbers[i] : NEIGHBOUR_NONE;
		size_t at = 0;

		if (!wanted[i])
			continue;
		expected++;
		while (at < count && list[at].function != number)
			at++;
		assert_true(at < count);
		assert_int_equal(list[at].samples, wanted[i]);
		sum += wanted[i];
	}
	assert_int_equal(count, expected);
	assert_int_equal(sum, total);
	for (size_t i = 1; i < count; i++)
		assert_true(list[i - 1].samples >= list[i].samples);
}

static void compare_all_neighbours(struct profile *profile, const struct reference *reference,
				   const uint32_t *numbers)
{
	static uint64_t callers[IDENTITIES + 1], callees[IDENTITIES + 1];
	static struct neighbour list[IDENTITIES + 1];

	for (unsigned i = 0; i < IDENTITIES; i++) {
		uint64_t total = profile_get_function(profile, numbers[i]).total;
		size_t count;

		if (numbers[i] == UINT32_MAX)
			continue;
		sum_neighbours(reference, i, callers, callees);
		count = profile_list_callers(profile, numbers[i], list, IDENTITIES + 1);
		compare_neighbours(list, count, callers, numbers, total);
		count = profile_list_callees(profile, numbers[i], list, IDENTITIES + 1);
		compare_neighbours(list, count, callees, numbers, total);
	}
}

static void compare_totals(const struct profile *profile, const struct reference *reference)
{
	struct totals totals;
	uint64_t ends = 0, kernel = 0, modules = 0, stacks = 0;

	profile_get_totals(profile, &totals);
	for (unsigned s = 0; s < POOL; s++)
		kernel += reference->stacks[s].kernel ? reference->stacks[s].samples : 0;
	for (unsigned i = 0; i < STACK_ENDS; i++)
		ends += totals.ends[i];
	for (size_t i = 0; i < profile_count_modules(profile); i++)
		modules += profile_get_module(profile, i).samples;
	for (uint32_t i = 1; i <= profile_count_stacks(profile); i++)
		stacks += profile_get_stack(profile, i).self;
	assert_int_equal(totals.samples, reference->samples);
	assert_int_equal(totals.kernel_samples, kernel);
	assert_int_equal(totals.user_samples, reference->samples - kernel);
	assert_int_equal(ends, reference->samples);
	assert_int_equal(modules, reference->samples);
	assert_int_equal(stacks, reference->samples);
	assert_int_equal(totals_sum_lost(&totals), 0);
}

/* Nothing that is empty stays in the call tree. */
static void check_nodes_used(const struct profile *profile)
{
	const struct calltree *tree = &profile->calltree;
	size_t used = 0;

	for (size_t i = 1; i < tree->nodes.count; i++)
		used += tree->nodes.items[i].total > 0;
	assert_in_range(tree->index.used, used, used + 1);
}

static void compare_everything(struct profile *profile, const struct reference *reference, struct tree *down,
			       struct tree *up)
{
	uint32_t numbers[IDENTITIES];

	map_functions(profile, reference, numbers);
	compare_totals(profile, reference);
	compare_functions(profile, reference, numbers);
	compare_tree(profile, reference, numbers, down, TREE_TOP_DOWN);
	compare_tree(profile, reference, numbers, up, TREE_BOTTOM_UP);
	compare_all_neighbours(profile, reference, numbers);
	check_nodes_used(profile);
}

/* The line that a function shows is that of its hottest frame. */
static void compare_lines(struct profile *profile, const struct reference *reference)
{
	uint64_t selfs[WORDS] = {0};
	uint32_t numbers[IDENTITIES];

	map_functions(profile, reference, numbers);
	for (unsigned s = 0; s < POOL; s++) {
		const struct stack_case *stack = &reference->stacks[s];

		selfs[stack->words[stack->count - 1]] += stack->samples;
	}
	for (unsigned i = WORDS; i < WORDS + MODULES * NAMES; i++) {
		struct function function = profile_get_function(profile, numbers[i]);
		uint64_t best = 0;
		bool has_frames = false;

		if (numbers[i] == UINT32_MAX)
			continue;
		for (unsigned word = 0; word < WORDS; word++) {
			has_frames |= identify(reference, word) == i;
			if (identify(reference, word) == i && selfs[word] > best)
				best = selfs[word];
		}
		assert_in_range(function.line, 1, WORDS);
		if (!has_frames) {
			/* Where others are inlined into it. */
			assert_int_equal(atoi(function.file), atoi(function.name + 4));
			continue;
		}
		assert_int_equal(identify(reference, function.line - 1), i);
		assert_int_equal(selfs[function.line - 1], best);
		assert_int_equal(atoi(function.file), reference->names[function.line - 1]);
	}
}

/* ---- the test ---- */

static void name_some(struct profile *profile, struct reference *reference, unsigned count)
{
	for (; count; count--)
		name_word(profile, reference, get_random(WORDS));
}

static void take_all_unnamed(struct profile *profile)
{
	uint64_t offsets[32];
	uint32_t module;
	size_t count;

	while ((count = profile_take_unnamed(profile, &module, offsets, 32)))
		for (size_t i = 0; i < count; i++) {
			uint32_t function, line;
			const char *file;

			assert_false(profile_get_name(profile, FRAME(module, offsets[i]), &function, &file,
						      &line));
		}
}

static void run(uint64_t seed, unsigned samples, unsigned check_every)
{
	struct reference *reference = calloc(1, sizeof(*reference));
	struct profile *profile;
	struct tree *down, *up;

	random_state = seed * 0x9e3779b97f4a7c15ull + 1;
	assert_null(profile_create(&profile));
	assert_null(tree_create(profile, TREE_TOP_DOWN, &down));
	assert_null(tree_create(profile, TREE_BOTTOM_UP, &up));
	for (unsigned word = 0; word < WORDS; word++) {
		reference->names[word] = get_random(NAMES + 1);
		/* What has no name is inlined into nothing. */
		for (unsigned i = 0; i < AROUND_MAX; i++)
			reference->around[word][i] =
				reference->names[word] == NAMES || get_random(2) ? NAMES : get_random(NAMES);
	}
	for (unsigned s = 0; s < POOL; s++)
		make_stack(&reference->stacks[s]);
	for (unsigned i = 1; i <= samples; i++) {
		/* New stacks keep coming. */
		add_sample(profile, reference, &reference->stacks[get_random(1 + i * (POOL - 1) / samples)]);
		if (get_random(150) == 0)
			name_some(profile, reference, 1 + get_random(4));
		if (get_random(400) == 0)
			profile_settle(profile);
		if (get_random(1000) == 0)
			take_all_unnamed(profile);
		if (i % check_every == 0)
			compare_everything(profile, reference, down, up);
	}
	for (unsigned word = 0; word < WORDS; word++)
		name_word(profile, reference, word);
	compare_everything(profile, reference, down, up);
	compare_lines(profile, reference);
	tree_destroy(down);
	tree_destroy(up);
	profile_destroy(profile);
	free(reference);
}

static void test_many_samples(void **state)
{
	run(1, 20000, 2500);
}

static void test_many_seeds(void **state)
{
	for (uint64_t seed = 2; seed < 22; seed++)
		run(seed, 600, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_samples),
		cmocka_unit_test(test_many_seeds),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
