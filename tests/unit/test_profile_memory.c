/* When memory runs short: every allocation of a session fails in turn; samples are counted as lost,
 * everything stays consistent, and all goes on when there is memory again. */
#include "profile/internal.h"
#include "profile/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

/* Allocations until the first that fails, and how many fail; negative: not armed. */
static long until_failure = -1, failures;

#ifndef __SANITIZE_ADDRESS__
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static bool must_fail(void)
{
	if (until_failure < 0)
		return false;
	if (until_failure > 0) {
		until_failure--;
		return false;
	}
	if (failures == 0)
		return false;
	failures--;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return must_fail() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return must_fail() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	return must_fail() ? NULL : __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t count, size_t size)
{
	return must_fail() ? NULL : __libc_realloc(old, count * size);
}
#endif

#define SAMPLES 250

static uint32_t state_of_random;

static uint32_t get_random(uint32_t below)
{
	state_of_random = state_of_random * 1664525 + 1013904223;
	return (state_of_random >> 8) % below;
}

static void add_sample(struct profile *profile)
{
	uint64_t buffer[sizeof(struct sample_record) / 8 + 12];
	struct sample_record *record = (struct sample_record *)buffer;

	*record = (struct sample_record){.user_count = 4 + get_random(8), .end = get_random(12) ? 0 : 3};
	for (unsigned i = 0; i < record->user_count; i++)
		record->frames[i] = FRAME(16 + get_random(3), 0x1000 + get_random(60) * 16);
	profile_add_sample(profile, record, 0);
}

static void name_frame(struct profile *profile, uint64_t frame)
{
	char text[32];
	struct frame_name name = {.start = frame, .function = text, .file = text, .line = 3};

	snprintf(text, sizeof(text), "f%llu", FRAME_OFFSET(frame) / 64 % 12);
	name.function_length = name.file_length = strlen(text);
	profile_set_name(profile, frame, &name, 1);
}

static void name_some(struct profile *profile)
{
	uint64_t offsets[8];
	uint32_t module;
	size_t count = profile_take_unnamed(profile, &module, offsets, 8);

	for (size_t i = 0; i < count; i++)
		name_frame(profile, FRAME(module, offsets[i]));
}

static void read_something(struct profile *profile)
{
	struct neighbour neighbours[4];
	const struct tree_item *items;
	struct tree *tree;
	size_t count;

	profile_get_function(profile, profile_get_function_by_self(profile, 0));
	profile_list_callers(profile, 1, neighbours, 4);
	profile_list_callees(profile, 1, neighbours, 4);
	for (int direction = TREE_TOP_DOWN; direction <= TREE_BOTTOM_UP; direction++) {
		struct error *error = tree_create(profile, direction, &tree);

		if (error) {
			error_destroy(error);
			continue;
		}
		error = tree_list_children(tree, 0, &items, &count);
		if (!error && count)
			error = tree_list_children(tree, items[0].key, &items, &count);
		error_destroy(error);
		tree_destroy(tree);
	}
}

/* Every sum there is, made again from the stacks' own counts. */
static void check_sums(const struct profile *profile, uint64_t fed)
{
	const struct calltree *tree = &profile->calltree;
	struct totals totals;
	uint64_t self = 0, stacks = 0, log = 0;

	profile_get_totals(profile, &totals);
	assert_int_equal(totals.samples + totals_sum_lost(&totals), fed);
	for (uint32_t i = 0; i < profile_count_functions(profile); i++) {
		struct function function = profile_get_function(profile, i);
		uint32_t place = functions_find(&profile->functions, i);
		uint64_t total = 0, nodes_self = 0;

		for (uint32_t node = place == FUNCTION_NONE ? 0 : profile->functions.items.items[place].nodes;
		     node; node = tree->nodes.items[node].next_of_function) {
			nodes_self += tree->nodes.items[node].self;
			total += tree->nodes.items[node].is_inner ? 0 : tree->nodes.items[node].total;
		}
		assert_int_equal(function.self, nodes_self);
		assert_int_equal(function.total, total);
		self += function.self;
	}
	for (uint32_t i = 1; i <= profile_count_stacks(profile); i++)
		stacks += profile_get_stack(profile, i).self;
	for (size_t i = 0; i < profile_count_log(profile); i++)
		log += profile_get_log(profile, i).count;
	assert_int_equal(self, totals.samples);
	assert_int_equal(stacks, totals.samples);
	assert_int_equal(log, totals.samples);
	assert_int_equal(tree->nodes.items[0].total, totals.samples);
	for (size_t i = 1; i < profile->stacks.leaves.count; i++)
		assert_int_equal(profile->stacks.leaves.items[i].settled,
				 profile->stacks.leaves.items[i].self);
}

/* Every stack stands where the functions of its frames say. */
static void check_places(struct profile *profile)
{
	const struct stacks *stacks = &profile->stacks;

	for (size_t i = 1; i < stacks->leaves.count; i++) {
		uint32_t at = stacks->leaves.items[i].node, node = stacks->leaves.items[i].tree_node;

		if (!stacks->leaves.items[i].self)
			continue;
		for (; at; at = stacks->nodes.items[at].parent) {
			assert_int_equal(profile->calltree.nodes.items[node].function,
					 stacks->frames.items[stacks->nodes.items[at].number].function);
			node = profile->calltree.nodes.items[node].parent;
		}
		assert_int_equal(node, 0);
	}
}

static void feed(struct profile *profile, unsigned samples)
{
	for (unsigned i = 0; i < samples; i++) {
		add_sample(profile);
		if (i % 50 == 10)
			name_some(profile);
		if (i % 100 == 30)
			read_something(profile);
		if (i % 200 == 40)
			error_destroy(profile_set_module(profile, 16 + get_random(3), MODULE_KIND_FILE,
							 i % 400 == 40 ? "/usr/lib/a.so" : "/b.so"));
	}
}

/* Returns false when the session needs no `after`th allocation. */
static bool run(long after, long count)
{
	struct profile *profile;
	struct error *error;
	bool has_failed;

	state_of_random = 1;
	until_failure = after;
	failures = count;
	error = profile_create(&profile);
	if (error) {
		until_failure = -1;
		error_destroy(error);
		return true;
	}
	/* So that rare stacks are merged on the way. */
	profile->stacks.limit = 700;
	feed(profile, SAMPLES);
	has_failed = failures < count;
	until_failure = -1;
	check_sums(profile, SAMPLES);
	check_places(profile);
	feed(profile, SAMPLES);
	check_sums(profile, 2 * SAMPLES);
	check_places(profile);
	/* And once more: what was given up must not have been forgotten. */
	until_failure = after % 50;
	failures = count;
	feed(profile, SAMPLES);
	until_failure = -1;
	check_sums(profile, 3 * SAMPLES);
	check_places(profile);
	assert_true(stacks_find_frame(&profile->stacks, FRAME(MODULE_MERGED, 0)));
	profile_destroy(profile);
	return has_failed;
}

static void test_each_allocation(void **state)
{
	long after = 0;

#ifdef __SANITIZE_ADDRESS__
	print_message("# the sanitizer has its own allocator\n");
	skip();
#endif
	while (run(after, 1))
		after++;
	assert_true(after > 40);
}

static void test_long_shortage(void **state)
{
#ifdef __SANITIZE_ADDRESS__
	print_message("# the sanitizer has its own allocator\n");
	skip();
#endif
	for (long after = 0; run(after, 60); after += 17)
		;
}

static void test_shortage_is_counted(void **state)
{
	struct profile *profile;
	struct totals totals;

#ifdef __SANITIZE_ADDRESS__
	print_message("# the sanitizer has its own allocator\n");
	skip();
#endif
	assert_null(profile_create(&profile));
	until_failure = 0;
	failures = LONG_MAX;
	for (unsigned i = 0; i < 5000; i++)
		add_sample(profile);
	until_failure = -1;
	profile_get_totals(profile, &totals);
	assert_true(totals.lost[LOST_READER_DROPPED] > 0);
	assert_int_equal(totals.samples + totals.lost[LOST_READER_DROPPED], 5000);
	check_sums(profile, 5000);
	profile_destroy(profile);
}

static void add_chain(struct profile *profile, unsigned depth)
{
	uint32_t node = 0;

	for (unsigned i = 0; i < depth; i++)
		node = profile_intern_stack(profile, node, FRAME(16, depth * 0x10000 + i * 16));
	profile_add_samples(profile, node, 0, 1, 1, SAMPLE_USER, STACK_COMPLETE, 2);
}

static struct function find_unknown(const struct profile *profile)
{
	uint32_t number = profile->calltree.nodes.items[profile->calltree.kept].function;

	return profile_get_function(profile, number);
}

/* A stack for whose path there is no memory is "[unknown]" until there is. */
static void test_stack_waits_at_unknown(void **state)
{
	struct profile *profile;

#ifdef __SANITIZE_ADDRESS__
	print_message("# the sanitizer has its own allocator\n");
	skip();
#endif
	assert_null(profile_create(&profile));
	for (unsigned depth = 10; depth < 5000; depth *= 3) {
		add_chain(profile, depth);
		until_failure = 0;
		failures = LONG_MAX;
		profile_settle(profile);
		until_failure = -1;
		assert_int_equal(profile->calltree.nodes.items[profile->calltree.kept].self, 2);
		assert_int_equal(profile->calltree.nodes.items[0].total, profile->totals.samples);
		profile_settle(profile);
		assert_string_equal(find_unknown(profile).name, "[unknown]");
		assert_int_equal(find_unknown(profile).total, 0);
		check_sums(profile, profile->totals.samples);
		check_places(profile);
	}
	profile_destroy(profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_allocation),
		cmocka_unit_test(test_long_shortage),
		cmocka_unit_test(test_shortage_is_counted),
		cmocka_unit_test(test_stack_waits_at_unknown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
