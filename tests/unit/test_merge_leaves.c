/* Merging leaves: rare addresses of a function become "somewhere in it"; frames, answers and provisional
 * functions that nobody needs any more cost nothing. */
#include "profile/internal.h"
#include "profile/merge.h"
#include "profile/snapshot.h"
#include "profile/tree.h"
#include "tests/support/profile_equal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT	       3000
#define FUNCTIONS      20
#define FUNCTION_BYTES 0x10000
#define MODULE	       20
#define HOT_OFFSET     0x40
#define CALLER	       FRAME(21, 0x500)

static uint32_t state_of_random = 1;

static uint32_t get_random(uint32_t below)
{
	state_of_random = state_of_random * 1664525 + 1013904223;
	return (state_of_random >> 8) % below;
}

static int create(void **state)
{
	struct profile *profile;

	state_of_random = 1;
	assert_null(profile_create(&profile));
	profile->stacks.limit = LIMIT;
	*state = profile;
	return 0;
}

static int destroy(void **state)
{
	profile_destroy(*state);
	return 0;
}

static void add_sample(struct profile *profile, uint64_t leaf, uint64_t middle, uint64_t caller)
{
	uint64_t buffer[sizeof(struct sample_record) / 8 + 3];
	struct sample_record *record = (struct sample_record *)buffer;

	*record = (struct sample_record){.user_count = 3, .time_ns = profile->totals.samples * 1000000};
	record->frames[0] = leaf;
	record->frames[1] = middle + 1;
	record->frames[2] = caller + 1;
	profile_add_sample(profile, record, 0);
}

/* A function each 64 KiB, a line each 4 bytes. */
static void name_frame(struct profile *profile, uint64_t word)
{
	char text[32], file[40];
	struct frame_name name = {
		.start = FRAME_OFFSET(word) / FUNCTION_BYTES * FUNCTION_BYTES,
		.function = text,
		.file = file,
		.line = 1 + (uint32_t)(FRAME_OFFSET(word) % FUNCTION_BYTES / 4),
	};

	snprintf(text, sizeof(text), "f%u_%llu", FRAME_MODULE(word), FRAME_OFFSET(word) / FUNCTION_BYTES);
	snprintf(file, sizeof(file), "%s.c", text);
	name.function_length = strlen(text);
	name.file_length = strlen(file);
	profile_set_name(profile, word, &name, 1);
}

static size_t take(struct profile *profile, uint64_t *words, size_t max)
{
	uint32_t module;
	size_t count = profile_take_unnamed(profile, &module, words, max);

	for (size_t i = 0; i < count; i++)
		words[i] = FRAME(module, words[i]);
	return count;
}

static void name_all(struct profile *profile)
{
	uint64_t words[64];
	size_t count;

	while ((count = take(profile, words, 64)))
		for (size_t i = 0; i < count; i++)
			name_frame(profile, words[i]);
}

static struct function find(const struct profile *profile, const char *name)
{
	for (uint32_t i = 0; i < profile_count_functions(profile); i++) {
		struct function function = profile_get_function(profile, i);

		if (strcmp(function.name, name) == 0)
			return function;
	}
	return (struct function){.name = ""};
}

/* Leaves all over the functions, below middles that hardly come again; each fourth one is at the hot address
 * of function 0. */
static void feed(struct profile *profile, uint64_t *self, unsigned count, bool is_named)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned function = i % 4 ? get_random(FUNCTIONS) : 0;
		uint64_t offset = i % 4 ? get_random(FUNCTION_BYTES) : HOT_OFFSET;

		add_sample(profile, FRAME(MODULE, function * FUNCTION_BYTES + offset),
			   FRAME(22, (i % 4 ? get_random(1000) : 0) * FUNCTION_BYTES), CALLER);
		self[function]++;
		if (is_named && i % 16 == 0)
			name_all(profile);
	}
	if (is_named)
		name_all(profile);
}

static void check_self(const struct profile *profile, const uint64_t *self)
{
	for (unsigned i = 0; i < FUNCTIONS; i++) {
		char text[32];

		snprintf(text, sizeof(text), "f%d_%u", MODULE, i);
		assert_int_equal(find(profile, text).self, self[i]);
		assert_int_equal(find(profile, text).total, self[i]);
	}
	assert_int_equal(find(profile, "f21_0").total, profile->totals.samples);
}

static bool is_somewhere(uint64_t word)
{
	return FRAME_MODULE(word) == MODULE && FRAME_OFFSET(word) & FRAME_SOMEWHERE;
}

/* The addresses go, the functions stay; a frame that stands for a function claims no line. */
static void test_addresses_become_one(void **state)
{
	struct profile *profile = *state;
	uint64_t self[FUNCTIONS] = {0};
	size_t most_nodes = 0, most_frames = 0, somewhere = 0;

	for (unsigned round = 0; round < 200; round++) {
		feed(profile, self, 100, true);
		if (most_nodes < profile->stacks.nodes.count)
			most_nodes = profile->stacks.nodes.count;
		if (most_frames < profile->stacks.frames.count)
			most_frames = profile->stacks.frames.count;
		assert_int_equal(profile->stacks.excess, 0);
	}
	assert_true(most_nodes <= LIMIT + 3);
	assert_true(most_frames <= LIMIT + 3 + FUNCTIONS);
	check_self(profile, self);
	for (uint32_t i = 1; i <= profile_count_stacks(profile); i++) {
		struct stack stack = profile_get_stack(profile, i);
		uint32_t function, line;
		const char *file;
		char text[32];

		if (!is_somewhere(stack.frame))
			continue;
		somewhere++;
		assert_true(profile_get_name(profile, stack.frame, &function, &file, &line));
		assert_int_equal(line, 0);
		snprintf(text, sizeof(text), "%s.c", profile_get_function(profile, function).name);
		assert_string_equal(file, text);
	}
	assert_true(somewhere > 0);
	/* What is hot keeps its address, and is the line that is shown. */
	assert_int_equal(find(profile, "f20_0").line, 1 + HOT_OFFSET / 4);
	assert_in_range(
		profile->stacks.frames.items[stacks_find_frame(&profile->stacks, FRAME(MODULE, HOT_OFFSET))]
			.self,
		5000, self[0]);
}

/* One sample at each of two addresses: no gain, so they stay. */
static void test_single_addresses_stay(void **state)
{
	struct profile *profile = *state;

	for (unsigned i = 0; profile->stacks.nodes.count < LIMIT; i++)
		add_sample(profile, FRAME(MODULE, i % FUNCTIONS * FUNCTION_BYTES),
			   FRAME(22, i * FUNCTION_BYTES), CALLER);
	name_all(profile);
	merge_rare_stacks(profile);
	assert_true(profile->stacks.nodes.count < LIMIT / 2);
	for (unsigned i = 0; i < FUNCTIONS; i++)
		assert_int_not_equal(stacks_find_frame(&profile->stacks, FRAME(MODULE, i * FUNCTION_BYTES)),
				     0);
	for (uint32_t i = 1; i <= profile_count_stacks(profile); i++)
		assert_false(is_somewhere(profile_get_stack(profile, i).frame));
}

/* Addresses without names stay what they are, until their names come. */
static void test_unnamed_wait(void **state)
{
	struct profile *profile = *state;
	uint64_t self[FUNCTIONS] = {0};

	feed(profile, self, 10000, false);
	assert_true(profile->stacks.excess > 0);
	assert_true(profile->stacks.nodes.count > LIMIT);
	for (uint32_t i = 1; i <= profile_count_stacks(profile); i++)
		assert_false(is_somewhere(profile_get_stack(profile, i).frame));
	name_all(profile);
	merge_rare_stacks(profile);
	assert_int_equal(profile->stacks.excess, 0);
	assert_true(profile->stacks.nodes.count <= LIMIT / 4 * 3);
	check_self(profile, self);
}

/* Kernel addresses have the bit that others have not. */
static void test_kernel(void **state)
{
	struct profile *profile = *state;
	uint64_t kernel = 0xffff81000000;
	size_t somewhere = 0;

	for (unsigned i = 0; i < 5000; i++) {
		add_sample(profile, FRAME(MODULE_KERNEL, kernel + i % FUNCTION_BYTES), FRAME(22, 0), CALLER);
		name_all(profile);
	}
	for (uint32_t i = 1; i <= profile_count_stacks(profile); i++) {
		uint64_t word = profile_get_stack(profile, i).frame;

		somewhere += FRAME_MODULE(word) == MODULE_KERNEL && !(FRAME_OFFSET(word) & FRAME_SOMEWHERE);
	}
	assert_int_equal(somewhere, 1);
	assert_true(profile->stacks.frames.count < LIMIT + 10);
}

/* A target that maps a file at an absurd offset has a real frame with the word: it stays itself. */
static void test_word_is_taken(void **state)
{
	struct profile *profile = *state;
	uint64_t taken, self[FUNCTIONS] = {0};
	uint32_t function, other, line;
	const char *file;

	add_sample(profile, FRAME(MODULE, 1 * FUNCTION_BYTES), FRAME(22, 0), CALLER);
	self[1]++;
	name_all(profile);
	assert_true(profile_get_name(profile, FRAME(MODULE, FUNCTION_BYTES), &function, &file, &line));
	taken = FRAME(MODULE, FRAME_SOMEWHERE | function);
	for (unsigned i = 0; i < 1000; i++)
		add_sample(profile, taken, FRAME(22, 0), CALLER);
	name_all(profile);
	feed(profile, self, 5000, true);
	check_self(profile, self);
	assert_true(profile_get_name(profile, taken, &other, &file, &line));
	assert_int_not_equal(other, function);
	assert_int_equal(profile_get_function(profile, other).self, 1000);
	assert_true(profile_get_name(profile, taken | 1ull << 32, &other, &file, &line));
	assert_int_equal(other, function);
}

/* ---- what is not needed any more ---- */

static void fill(struct profile *profile, unsigned *number)
{
	while (profile->stacks.nodes.count < LIMIT) {
		add_sample(profile, FRAME(MODULE, *number % 5), FRAME(22, *number * 8), CALLER);
		(*number)++;
	}
}

/* Answers for frames that were merged change nothing; a frame that comes again is asked for again. */
static void test_late_answers(void **state)
{
	struct profile *profile = *state;
	uint64_t words[2 * LIMIT];
	size_t count, frames, functions, strings, more;
	unsigned number = 0;

	fill(profile, &number);
	profile_settle(profile);
	for (count = 0; (more = take(profile, words + count, 100)); count += more)
		;
	assert_true(count > LIMIT / 2);
	merge_rare_stacks(profile);
	frames = profile->stacks.frames.count;
	functions = profile->functions.order.count;
	strings = profile->strings.items.count;
	assert_true(frames < 20);
	for (size_t i = 0; i < count; i++)
		if (FRAME_MODULE(words[i]) == 22)
			name_frame(profile, words[i]);
	assert_int_equal(profile->stacks.frames.count, frames);
	assert_int_equal(profile->functions.order.count, functions);
	assert_int_equal(profile->strings.items.count, strings);
	assert_int_equal(take(profile, words, 100), 0);
	/* The other answers are still good. */
	for (unsigned i = 0; i < 5; i++)
		name_frame(profile, FRAME(MODULE, i));
	name_frame(profile, CALLER);
	assert_int_equal(find(profile, "f20_0").self, number);
	add_sample(profile, FRAME(MODULE, 1), FRAME(22, 8), CALLER);
	assert_int_equal(take(profile, words, 100), 1);
	assert_true(words[0] == FRAME(22, 8));
	name_frame(profile, words[0]);
	name_frame(profile, words[0]);
	assert_int_equal(find(profile, "f22_0").total, 1);
}

/* Frames that nobody has asked for yet: those that stay are asked for once, the others never. */
static void test_unasked_lists(void **state)
{
	struct profile *profile = *state;
	uint64_t words[100];
	size_t count, asked = 0;
	unsigned number = 0;

	fill(profile, &number);
	assert_int_equal(take(profile, words, 3), 1); /* the caller */
	assert_int_equal(take(profile, words, 3), 3); /* of 22 */
	merge_rare_stacks(profile);
	add_sample(profile, FRAME(MODULE, 77), FRAME(23, 0), CALLER);
	while ((count = take(profile, words, 100)))
		for (size_t i = 0; i < count; i++, asked++) {
			uint32_t at = stacks_find_frame(&profile->stacks, words[i]);

			assert_int_not_equal(at, 0);
			assert_int_not_equal(profile->stacks.frames.items[at].nodes, 0);
		}
	for (size_t i = 1; i < profile->stacks.frames.count; i++)
		assert_int_not_equal(profile->stacks.frames.items[i].state, FRAME_NEW);
	assert_in_range(asked, 3, profile->stacks.frames.count);
}

/* A dashboard looks before the names come: each address is a function for a while. Its number never means
 * anything else. */
static void test_provisional_functions_go(void **state)
{
	struct profile *profile = *state;
	uint64_t self[FUNCTIONS] = {0};
	char first[64];
	uint32_t number = UINT32_MAX;
	struct tree *tree;
	const struct tree_item *items;
	struct tree_item item;
	size_t count;

	assert_null(tree_create(profile, TREE_BOTTOM_UP, &tree));
	feed(profile, self, 40, false);
	for (uint32_t i = 0; i < profile_count_functions(profile) && number == UINT32_MAX; i++)
		if (profile_get_function(profile, i).is_provisional && profile_get_function(profile, i).self)
			number = i;
	snprintf(first, sizeof(first), "%s", profile_get_function(profile, number).name);
	assert_non_null(strstr(first, "+0x"));
	assert_null(tree_list_children(tree, 0, &items, &count));
	assert_true(count > 10);
	item = items[count - 1];
	name_all(profile);
	assert_string_equal(profile_get_function(profile, number).name, first);
	for (unsigned i = 0; i < 2000; i++) {
		feed(profile, self, 10, false);
		profile_settle(profile);
		name_all(profile);
	}
	check_self(profile, self);
	assert_true(profile_count_functions(profile) > 10000);
	assert_true(profile->functions.items.count < 2 * LIMIT);
	assert_int_equal(profile->functions.numbers.used, profile->functions.order.count);
	assert_int_equal(profile->functions.index.used, profile->functions.order.count);
	assert_string_equal(profile_get_function(profile, number).name, "[gone]");
	assert_int_equal(profile_get_function(profile, number).total, 0);
	assert_int_equal(profile_list_callers(profile, number, NULL, 0), 0);
	assert_int_equal(profile_list_callees(profile, number, NULL, 0), 0);
	assert_false(tree_get_item(tree, item.key, &item));
	assert_int_equal(functions_find(&profile->functions, number), FUNCTION_NONE);
	tree_destroy(tree);
}

/* ---- snapshots ---- */

static void test_snapshot(void **state)
{
	char path[] = "/tmp/kiln-test-leaves-XXXXXX";
	struct profile *profile = *state, *read;
	uint64_t self[FUNCTIONS] = {0};
	struct error *error;
	int fd = mkstemp(path);
	size_t somewhere = 0;

	assert_true(fd >= 0);
	close(fd);
	feed(profile, self, 8000, true);
	error = snapshot_write(profile, path);
	if (!error)
		error = snapshot_read(path, &read);
	if (error)
		fail_msg("%s", error_get_message(error));
	check_self(read, self);
	assert_int_equal(profile_count_stacks(read), profile_count_stacks(profile));
	for (uint32_t i = 1; i <= profile_count_stacks(profile); i++) {
		struct stack a = profile_get_stack(profile, i), b = profile_get_stack(read, i);

		somewhere += is_somewhere(a.frame);
		assert_true(a.frame == b.frame);
		assert_int_equal(a.self, b.self);
	}
	assert_true(somewhere > 0);
	if (!profile_equal(profile, read, stdout))
		fail();
	unlink(path);
	profile_destroy(read);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_addresses_become_one, create, destroy),
		cmocka_unit_test_setup_teardown(test_single_addresses_stay, create, destroy),
		cmocka_unit_test_setup_teardown(test_unnamed_wait, create, destroy),
		cmocka_unit_test_setup_teardown(test_kernel, create, destroy),
		cmocka_unit_test_setup_teardown(test_word_is_taken, create, destroy),
		cmocka_unit_test_setup_teardown(test_late_answers, create, destroy),
		cmocka_unit_test_setup_teardown(test_unasked_lists, create, destroy),
		cmocka_unit_test_setup_teardown(test_provisional_functions_go, create, destroy),
		cmocka_unit_test_setup_teardown(test_snapshot, create, destroy),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
