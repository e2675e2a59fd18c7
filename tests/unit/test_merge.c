/* Merging rare stacks: memory stays bounded, samples, self and stack ends stay exact, and so does the total
 * of what is common. */
#include "profile/internal.h"
#include "profile/merge.h"
#include "profile/snapshot.h"
#include "profile/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint32_t state_of_random = 1;

static uint32_t get_random(uint32_t below)
{
	state_of_random = state_of_random * 1664525 + 1013904223;
	return (state_of_random >> 8) % below;
}

#define DEPTH	  40
#define FUNCTIONS 200
/* Their place in the stack, counted from the root: every sample goes through main_loop, one of four phases,
 * and a middle that hardly ever comes again. */
#define MAIN_LOOP FRAME(16, 0x100)
#define PHASE(n)  FRAME(16, 0x200 + (n)*0x10)
#define LEAF(n)	  FRAME(17, 0x1000 + (n)*0x10)

struct expected {
	uint64_t samples, kernel, ends[STACK_ENDS], leaf[FUNCTIONS], phase[4];
};

static void feed(struct profile *profile, struct expected *expected, unsigned count)
{
	uint64_t buffer[sizeof(struct sample_record) / 8 + DEPTH];
	struct sample_record *record = (struct sample_record *)buffer;

	for (unsigned i = 0; i < count; i++) {
		unsigned leaf = get_random(FUNCTIONS), phase = get_random(4),
			 depth = 4 + get_random(DEPTH - 4);

		*record = (struct sample_record){
			.time_ns = expected->samples * 1000000,
			.tid = 7,
			.user_count = (uint16_t)depth,
			.end = get_random(50) ? STACK_COMPLETE : (uint8_t)(1 + get_random(STACK_ENDS - 1)),
			.mode = get_random(10) ? SAMPLE_USER : SAMPLE_KERNEL,
		};
		record->frames[0] = LEAF(leaf);
		for (unsigned at = 1; at < depth - 2; at++)
			record->frames[at] = FRAME(18, 0x10000 + get_random(300) * 0x10 + 1);
		record->frames[depth - 2] = PHASE(phase) + 1;
		record->frames[depth - 1] = MAIN_LOOP + 1;
		profile_add_sample(profile, record, 0);
		expected->samples++;
		expected->kernel += record->mode == SAMPLE_KERNEL;
		expected->ends[record->end]++;
		expected->leaf[leaf]++;
		if (record->end == STACK_COMPLETE)
			expected->phase[phase]++;
		/* Names and readers come in between. */
		if (get_random(64) == 0) {
			uint64_t offsets[100];
			uint32_t module;
			size_t found = profile_take_unnamed(profile, &module, offsets, 100);

			for (size_t at = 0; at < found; at++) {
				char text[32];
				struct frame_name name = {.start = offsets[at], .function = text};

				snprintf(text, sizeof(text), "f%u_%llx", module,
					 (unsigned long long)offsets[at] / 0x10);
				name.function_length = strlen(text);
				profile_set_name(profile, FRAME(module, offsets[at]), &name, 1);
			}
		}
		if (get_random(500) == 0)
			profile_settle(profile);
	}
}

/* The function of a frame that is there. */
static struct function find_function(struct profile *profile, uint64_t frame)
{
	uint32_t number = stacks_find_frame(&profile->stacks, frame), function;

	assert_int_not_equal(number, 0);
	function = names_get_function(profile, number);
	return profile_get_function(profile, profile->functions.items.items[function].number);
}

static uint64_t find_self(struct profile *profile, uint64_t frame)
{
	return find_function(profile, frame).self;
}

static uint64_t find_total(struct profile *profile, uint64_t frame)
{
	return find_function(profile, frame).total;
}

static void check(struct profile *profile, const struct expected *expected)
{
	const struct stacks *stacks = &profile->stacks;
	struct totals totals;
	uint64_t self = 0, kernel = 0, log = 0, ends[STACK_ENDS] = {0}, phases = 0;

	profile_get_totals(profile, &totals);
	assert_int_equal(totals.samples, expected->samples);
	assert_int_equal(totals.kernel_samples, expected->kernel);
	profile_settle(profile);
	assert_int_equal(profile->calltree.nodes.items[0].total, expected->samples);
	for (uint32_t i = 1; i <= profile_count_stacks(profile); i++) {
		struct stack stack = profile_get_stack(profile, i);

		assert_true(stack.parent < i);
		self += stack.self;
		kernel += stack.self_kernel;
		ends[stack.end] += stack.self;
		/* What was interned is found again. */
		assert_int_equal(profile_intern_stack(profile, stack.parent, stack.frame), i);
	}
	assert_int_equal(self, expected->samples);
	assert_int_equal(kernel, expected->kernel);
	for (unsigned i = 0; i < STACK_ENDS; i++)
		assert_int_equal(ends[i], expected->ends[i]);
	for (size_t i = 0; i < profile_count_log(profile); i++) {
		struct log_entry entry = profile_get_log(profile, i);

		assert_in_range(entry.stack, 1, profile_count_stacks(profile));
		assert_true(stacks->nodes.items[entry.stack].leaf);
		assert_int_equal(profile_get_stack(profile, entry.stack).end, entry.end);
		log += entry.count;
	}
	assert_int_equal(log, expected->samples);
	for (unsigned i = 0; i < FUNCTIONS; i++)
		if (expected->leaf[i])
			assert_int_equal(find_self(profile, LEAF(i)), expected->leaf[i]);
	/* The leaf that is a phase itself cannot be: all stacks are deeper. */
	for (unsigned i = 0; i < 4; i++)
		phases += expected->phase[i];
	assert_int_equal(phases, expected->ends[STACK_COMPLETE]);
	for (unsigned i = 0; i < 4; i++)
		assert_true(find_total(profile, PHASE(i)) >= expected->phase[i]);
	/* Each stack stands where its frames say. */
	for (size_t i = 1; i < stacks->leaves.count; i++) {
		uint32_t at = stacks->leaves.items[i].node, node = stacks->leaves.items[i].tree_node;

		assert_int_equal(stacks->nodes.items[at].leaf, i);
		for (; at; at = stacks->nodes.items[at].parent) {
			assert_int_equal(profile->calltree.nodes.items[node].function,
					 stacks->frames.items[stacks->nodes.items[at].number].function);
			node = profile->calltree.nodes.items[node].parent;
		}
		assert_int_equal(node, 0);
	}
}

static uint64_t count_merged(struct profile *profile)
{
	uint64_t frame = FRAME(MODULE_MERGED, 0);

	return stacks_find_frame(&profile->stacks, frame) ? find_total(profile, frame) : 0;
}

static void test_bounded_and_exact(void **state)
{
	struct expected expected = {0};
	struct profile *profile;
	size_t most_nodes = 0, most_tree_nodes = 0, events;

	assert_null(profile_create(&profile));
	profile->stacks.limit = 20000;
	for (unsigned round = 0; round < 40; round++) {
		feed(profile, &expected, 1000);
		if (most_nodes < profile->stacks.nodes.count)
			most_nodes = profile->stacks.nodes.count;
		if (most_tree_nodes < profile->calltree.nodes.count)
			most_tree_nodes = profile->calltree.nodes.count;
		check(profile, &expected);
	}
	assert_int_equal(profile->stacks.limit, 20000);
	assert_true(most_nodes < 20000 + DEPTH + 2);
	assert_true(most_tree_nodes < 2 * 20000);
	assert_true(count_merged(profile) > expected.samples / 4);
	events = profile_count_events(profile);
	assert_in_range(events, 1, 200);
	assert_non_null(strstr(profile_get_event(profile, events - 1).text, "[merged]"));
	profile_destroy(profile);
}

/* Common stacks stay whole. */
static void test_common_stays(void **state)
{
	struct expected expected = {0};
	struct profile *profile;
	uint64_t buffer[sizeof(struct sample_record) / 8 + 6];
	struct sample_record *record = (struct sample_record *)buffer;
	uint32_t node = 0;

	assert_null(profile_create(&profile));
	profile->stacks.limit = 5000;
	for (unsigned i = 0; i < 30; i++) {
		for (unsigned common = 0; common < 100; common++) {
			*record = (struct sample_record){.user_count = 6};
			for (unsigned at = 0; at < 6; at++)
				record->frames[at] = FRAME(30, 0x100 + at * 0x10 + !!at);
			profile_add_sample(profile, record, 0);
			expected.samples++;
			expected.ends[STACK_COMPLETE]++;
		}
		feed(profile, &expected, 300);
	}
	assert_true(count_merged(profile) > 0);
	for (unsigned at = 6; at-- > 0;)
		node = profile_intern_stack(profile, node, FRAME(30, 0x100 + at * 0x10));
	assert_int_equal(profile_get_stack(profile, node).self, 3000);
	profile_destroy(profile);
}

/* Nothing to merge: all stacks are one frame. It must not be tried at every sample, nor lose any. */
static void test_only_leaves(void **state)
{
	struct profile *profile;
	struct totals totals;
	uint64_t buffer[sizeof(struct sample_record) / 8 + 1];
	struct sample_record *record = (struct sample_record *)buffer;

	assert_null(profile_create(&profile));
	profile->stacks.limit = 1000;
	for (unsigned i = 0; i < 50000; i++) {
		*record = (struct sample_record){.user_count = 1};
		record->frames[0] = FRAME(16, i);
		profile_add_sample(profile, record, 0);
	}
	profile_get_totals(profile, &totals);
	assert_int_equal(totals.samples, 50000);
	assert_int_equal(profile_count_stacks(profile), 50000 + (count_merged(profile) > 0));
	assert_true(profile_count_events(profile) < 60);
	profile_destroy(profile);
}

/* A snapshot of merged stacks is read back the same. */
static void test_snapshot(void **state)
{
	char path[] = "/tmp/kiln-test-merge-XXXXXX";
	struct expected expected = {0};
	struct profile *profile, *read;
	struct error *error;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	assert_null(profile_create(&profile));
	profile->stacks.limit = 4000;
	feed(profile, &expected, 3000);
	assert_true(count_merged(profile) > 0);
	error = snapshot_write(profile, path);
	if (error)
		fail_msg("%s", error_get_message(error));
	error = snapshot_read(path, &read);
	if (error)
		fail_msg("%s", error_get_message(error));
	assert_int_equal(count_merged(read), count_merged(profile));
	assert_int_equal(profile_count_stacks(read), profile_count_stacks(profile));
	unlink(path);
	profile_destroy(read);
	profile_destroy(profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounded_and_exact),
		cmocka_unit_test(test_common_stays),
		cmocka_unit_test(test_only_leaves),
		cmocka_unit_test(test_snapshot),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
