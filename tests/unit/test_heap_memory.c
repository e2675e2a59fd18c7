/* When memory runs short in the heap's model: every allocation fails in turn; the books stay right, and names
 * and stacks go on when there is memory again. */
#include "profile/heap_internal.h"
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

#define SLOTS 120

static uint32_t state_of_random;
static struct heap_totals chunk[HEAP_CHUNK_SLOTS];

static uint32_t get_random(uint32_t below)
{
	state_of_random = state_of_random * 1664525 + 1013904223;
	return (state_of_random >> 8) % below;
}

static void add_stack(struct heap *heap, uint32_t slot)
{
	uint64_t buffer[sizeof(struct heap_stack_record) / 8 + 12];
	struct heap_stack_record *record = (struct heap_stack_record *)buffer;

	*record = (struct heap_stack_record){.slot = slot, .count = 4 + get_random(8)};
	for (unsigned i = 0; i < record->count; i++)
		record->frames[i] = FRAME(16 + get_random(3), 0x1000 + get_random(60) * 16);
	heap_add_stack(heap, record);
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

static void read_something(struct heap *heap)
{
	struct profile *profile = heap_get_profile(heap);
	struct neighbour neighbours[4];
	struct heap_figures figures;
	const struct tree_item *items;
	struct error *error;
	struct tree *tree;
	size_t count;

	profile_get_function(profile, profile_get_function_by_self(profile, 0));
	heap_get_function(heap, profile_get_function_by_self(profile, 0), &figures);
	profile_list_callers(profile, 1, neighbours, 4);
	error = tree_create(profile, TREE_BOTTOM_UP, &tree);
	if (!error)
		error = tree_list_children(tree, 0, &items, &count);
	else
		tree = NULL;
	error_destroy(error);
	tree_destroy(tree);
}

static void feed(struct profile *profile, struct heap *heap, uint32_t first)
{
	for (uint32_t slot = first; slot < first + SLOTS; slot++) {
		struct heap_totals *totals = &chunk[slot];

		error_destroy(heap_set_chunk(heap, 0, chunk));
		if (slot % 10 == 2)
			error_destroy(heap_add_wrapper(heap, 16, slot * 16, slot * 16 + 16));
		*totals = (struct heap_totals){.alloc_count = 2 + slot, .alloc_bytes = slot * 100};
		add_stack(heap, slot);
		chunk[first + get_random(slot - first + 1)].free_count++;
		if (slot % 7 == 1)
			heap_update(heap, slot, 0, 0, 30);
		if (slot % 9 == 1)
			name_some(profile);
		if (slot % 20 == 10)
			read_something(heap);
		if (slot % 50 == 4)
			error_destroy(heap_set_metric(heap, get_random(HEAP_METRICS)));
		if (slot % 60 == 5)
			error_destroy(heap_set_facts(heap, &(struct heap_facts){.why = "why not"}));
	}
}

/* The books against the kernel's, and all sums against each other. */
static void check(struct profile *profile, struct heap *heap, uint32_t slots)
{
	struct profile *shown = heap_get_profile(heap);
	struct heap_figures sum, all = {0};
	uint64_t live = 0, allocs = 0, self = 0;
	struct totals totals;

	assert_null(heap_set_chunk(heap, 0, chunk));
	assert_true(heap_update(heap, slots, 0, 0, 0));
	assert_null(heap_set_metric(heap, HEAP_LIVE_COUNT));
	for (uint32_t slot = 0; slot <= slots; slot++) {
		live += chunk[slot].alloc_count > chunk[slot].free_count
				? chunk[slot].alloc_count - chunk[slot].free_count
				: 0;
		allocs += chunk[slot].alloc_count;
	}
	heap_get_sum(heap, &sum);
	assert_int_equal(sum.live_count, live);
	assert_int_equal(sum.alloc_count, allocs);
	profile_get_totals(shown, &totals);
	assert_int_equal(totals.samples, live);
	for (uint32_t i = 0; i < profile_count_functions(shown); i++) {
		struct heap_figures figures;

		heap_get_function(heap, i, &figures);
		assert_int_equal(profile_get_function(shown, i).self, figures.live_count);
		self += figures.live_count;
		all.alloc_count += figures.alloc_count;
	}
	assert_int_equal(self, live);
	assert_int_equal(all.alloc_count, allocs);
	/* What the owner has named has its name here, too. */
	for (size_t i = 1; i < shown->stacks.frames.count; i++) {
		uint64_t word = shown->stacks.frames.items[i].word;
		const struct frame_entry *frame =
			&profile->stacks.frames.items[stacks_find_frame(&profile->stacks, word)];

		assert_int_equal(frame->word, word);
		assert_int_equal(frame->state == FRAME_NAMED,
				 shown->stacks.frames.items[i].state == FRAME_NAMED);
	}
}

/* Returns false when the session needs no `after`th allocation. */
static bool run(long after, long count)
{
	struct profile *profile;
	struct heap *heap;
	bool has_failed;
	struct error *error;

	state_of_random = 1;
	memset(chunk, 0, sizeof(chunk));
	assert_null(profile_create(&profile));
	until_failure = after;
	failures = count;
	while ((error = profile_ensure_heap(profile, &heap)))
		error_destroy(error);
	feed(profile, heap, 1);
	has_failed = failures < count;
	until_failure = -1;
	check(profile, heap, SLOTS);
	feed(profile, heap, SLOTS + 1);
	check(profile, heap, 2 * SLOTS);
	/* And once more: what was given up must not have been forgotten. */
	until_failure = after % 50;
	failures = count;
	feed(profile, heap, 2 * SLOTS + 1);
	until_failure = -1;
	check(profile, heap, 3 * SLOTS);
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
	assert_true(after > 60);
}

static void test_long_shortage(void **state)
{
#ifdef __SANITIZE_ADDRESS__
	print_message("# the sanitizer has its own allocator\n");
	skip();
#endif
	for (long after = 0; run(after, 60); after += 7)
		;
}

/* A target may make stacks without end: when the trie is full, they are shortened, and sites stay exact. */
static void test_full_trie(void **state)
{
	struct profile *profile[2];
	struct heap *heap[2];
	size_t nodes[2];

	memset(chunk, 0, sizeof(chunk));
	for (unsigned i = 0; i < 2; i++) {
		state_of_random = 7;
		assert_null(profile_create(&profile[i]));
		assert_null(profile_ensure_heap(profile[i], &heap[i]));
		heap[i]->profile->stacks.limit = i ? 300 : UINT32_MAX;
		feed(profile[i], heap[i], 1);
		check(profile[i], heap[i], SLOTS);
		nodes[i] = heap[i]->profile->stacks.nodes.count;
	}
	assert_true(nodes[0] > 600);
	assert_in_range(nodes[1], 300, 300 + 12 + 2 * SLOTS);
	for (uint32_t i = 1; i < nodes[1]; i++) {
		const struct stacks *stacks = &heap[1]->profile->stacks;
		const struct trie_node *node = &stacks->nodes.items[i];

		if (FRAME_MODULE(node->frame) == MODULE_MERGED)
			assert_int_not_equal(FRAME_MODULE(stacks->nodes.items[node->parent].frame),
					     MODULE_MERGED);
	}
	assert_int_equal(profile_count_events(profile[0]), 0);
	assert_int_equal(profile_count_events(profile[1]), 1);
	for (size_t i = 1; i < heap[0]->profile->stacks.frames.count; i++) {
		const struct frame_entry *frame = &heap[0]->profile->stacks.frames.items[i];
		uint32_t same = stacks_find_frame(&heap[1]->profile->stacks, frame->word);

		assert_int_equal(heap[1]->profile->stacks.frames.items[same].self, frame->self);
	}
	profile_destroy(profile[0]);
	profile_destroy(profile[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_allocation),
		cmocka_unit_test(test_long_shortage),
		cmocka_unit_test(test_full_trie),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
