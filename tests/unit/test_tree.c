/* The call tree both ways, callers and callees, on stacks that can be counted by hand. */
#include "profile/internal.h"
#include "profile/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define APP 16

/* Functions are letters; a frame of one is its code times 0x100. */
static uint64_t get_frame(char letter)
{
	return FRAME(APP, (uint64_t)letter * 0x100);
}

static void set_name(struct profile *profile, char letter, const char *name)
{
	struct frame_name answer = {.function = name, .function_length = strlen(name)};

	profile_set_name(profile, get_frame(letter), &answer, 1);
}

/* A stack in letters, root first. Capital letters have a name from the start: their own. */
static void add(struct profile *profile, const char *stack, uint64_t count)
{
	uint32_t node = 0;

	for (; *stack; stack++) {
		node = profile_intern_stack(profile, node, get_frame(*stack));
		if (*stack < 'a')
			set_name(profile, *stack, (char[]){*stack, '\0'});
	}
	profile_add_samples(profile, node, 0, 1, 0, SAMPLE_USER, STACK_COMPLETE, count);
}

struct fixture {
	struct profile *profile;
	struct tree *down, *up;
};

static int create(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_null(profile_create(&fixture->profile));
	assert_null(profile_set_module(fixture->profile, APP, MODULE_KIND_FILE, "/bin/app"));
	assert_null(tree_create(fixture->profile, TREE_TOP_DOWN, &fixture->down));
	assert_null(tree_create(fixture->profile, TREE_BOTTOM_UP, &fixture->up));
	*state = fixture;
	return 0;
}

static int destroy(void **state)
{
	struct fixture *fixture = *state;

	tree_destroy(fixture->down);
	tree_destroy(fixture->up);
	profile_destroy(fixture->profile);
	free(fixture);
	return 0;
}

/* The children of a node as "name:total/self", with + where there are more below. */
static void assert_children(struct fixture *fixture, struct tree *tree, uint64_t key, const char *wanted)
{
	const struct tree_item *items;
	char text[512] = "";
	size_t count;

	assert_null(tree_list_children(tree, key, &items, &count));
	for (size_t i = 0; i < count; i++)
		sprintf(text + strlen(text), "%s%s:%lu/%lu%s", i ? " " : "",
			profile_get_function(fixture->profile, items[i].function).name, items[i].total,
			items[i].self, items[i].has_children ? "+" : "");
	assert_string_equal(text, wanted);
}

/* The key of a path, in names of one letter. */
static uint64_t find_path(struct fixture *fixture, struct tree *tree, const char *path)
{
	uint64_t key = 0;

	for (; *path; path++) {
		const struct tree_item *items;
		size_t count, i = 0;

		assert_null(tree_list_children(tree, key, &items, &count));
		while (i < count &&
		       profile_get_function(fixture->profile, items[i].function).name[0] != *path)
			i++;
		assert_true(i < count);
		key = items[i].key;
	}
	return key;
}

static uint32_t find_function(struct fixture *fixture, const char *name)
{
	uint32_t count = profile_count_functions(fixture->profile), i = 0;

	while (i < count && strcmp(profile_get_function(fixture->profile, i).name, name) != 0)
		i++;
	assert_true(i < count);
	return i;
}

static void assert_neighbours(struct fixture *fixture, const char *function, const char *callers,
			      const char *callees)
{
	uint32_t number = find_function(fixture, function);
	struct neighbour list[16];
	char text[512];

	for (int i = 0; i < 2; i++) {
		size_t count = i ? profile_list_callees(fixture->profile, number, list, 16)
				 : profile_list_callers(fixture->profile, number, list, 16);

		text[0] = '\0';
		for (size_t j = 0; j < count; j++)
			sprintf(text + strlen(text), "%s%s:%lu", j ? " " : "",
				list[j].function == NEIGHBOUR_NONE
					? "-"
					: profile_get_function(fixture->profile, list[j].function).name,
				list[j].samples);
		assert_string_equal(text, i ? callees : callers);
	}
}

/* ---- tests ---- */

static void test_empty(void **state)
{
	struct fixture *fixture = *state;
	struct tree_item item;

	assert_children(fixture, fixture->down, 0, "");
	assert_children(fixture, fixture->up, 0, "");
	assert_true(tree_get_item(fixture->down, 0, &item));
	assert_int_equal(item.total, 0);
	assert_false(item.has_children);
	assert_true(tree_get_item(fixture->up, 0, &item));
	assert_int_equal(item.total, 0);
	assert_int_equal(item.function, UINT32_MAX);
	tree_destroy(NULL);
}

static void test_both_ways(void **state)
{
	struct fixture *fixture = *state;

	add(fixture->profile, "MABX", 5);
	add(fixture->profile, "MACX", 7);
	add(fixture->profile, "MA", 2);
	add(fixture->profile, "NX", 4);
	add(fixture->profile, "X", 1);
	assert_children(fixture, fixture->down, 0, "M:14/0+ N:4/0+ X:1/1");
	assert_children(fixture, fixture->down, find_path(fixture, fixture->down, "MA"), "C:7/0+ B:5/0+");
	assert_children(fixture, fixture->down, find_path(fixture, fixture->down, "MAC"), "X:7/7");
	assert_children(fixture, fixture->down, find_path(fixture, fixture->down, "X"), "");
	assert_children(fixture, fixture->up, 0, "X:17/17+ A:2/2+");
	assert_children(fixture, fixture->up, find_path(fixture, fixture->up, "X"), "C:7/0+ B:5/0+ N:4/0");
	assert_children(fixture, fixture->up, find_path(fixture, fixture->up, "XCA"), "M:7/0");
	assert_children(fixture, fixture->up, find_path(fixture, fixture->up, "A"), "M:2/0");
}

static void test_equals_are_sorted_by_name(void **state)
{
	struct fixture *fixture = *state;

	add(fixture->profile, "MD", 1);
	add(fixture->profile, "MB", 1);
	add(fixture->profile, "MC", 1);
	add(fixture->profile, "MA", 1);
	assert_children(fixture, fixture->down, find_path(fixture, fixture->down, "M"),
			"A:1/1 B:1/1 C:1/1 D:1/1");
	assert_children(fixture, fixture->up, 0, "A:1/1+ B:1/1+ C:1/1+ D:1/1+");
}

static void test_recursion(void **state)
{
	struct fixture *fixture = *state;

	add(fixture->profile, "MRRR", 3);
	add(fixture->profile, "MRRX", 5);
	add(fixture->profile, "MRARX", 7);
	assert_int_equal(profile_get_function(fixture->profile, find_function(fixture, "R")).total, 15);
	assert_int_equal(profile_get_function(fixture->profile, find_function(fixture, "R")).self, 3);
	assert_neighbours(fixture, "R", "M:15", "X:12 -:3");
	assert_neighbours(fixture, "M", "-:15", "R:15");
	assert_neighbours(fixture, "A", "R:7", "R:7");
	assert_neighbours(fixture, "X", "R:12", "-:12");
	assert_children(fixture, fixture->up, find_path(fixture, fixture->up, "XR"), "A:7/0+ R:5/0+");
	assert_children(fixture, fixture->up, find_path(fixture, fixture->up, "R"), "R:3/0+");
}

static void test_neighbours_beyond_the_room(void **state)
{
	struct fixture *fixture = *state;
	struct neighbour list[2] = {{0}, {77, 77}};

	add(fixture->profile, "MA", 1);
	add(fixture->profile, "MB", 3);
	add(fixture->profile, "MC", 2);
	assert_int_equal(profile_list_callees(fixture->profile, find_function(fixture, "M"), list, 1), 3);
	assert_int_equal(list[0].function, find_function(fixture, "B"));
	assert_int_equal(list[1].samples, 77);
	assert_int_equal(profile_list_callees(fixture->profile, find_function(fixture, "M"), NULL, 0), 3);
}

/* Whoever asks first settles what has come, and may make the tree move in memory. */
static void test_asking_right_after_growing(void **state)
{
	struct fixture *fixture = *state;
	struct neighbour list[4];

	for (unsigned round = 0; round < 2000; round++) {
		uint32_t node = profile_intern_stack(fixture->profile, 0, get_frame('M'));
		uint32_t function = profile_intern_function(fixture->profile, APP, "M");
		struct tree_item item;
		uint64_t sum = 0;
		size_t count;

		set_name(fixture->profile, 'M', "M");
		for (unsigned i = 0; i < 7; i++)
			node = profile_intern_stack(fixture->profile, node, FRAME(APP, round * 64 + i % 3));
		profile_add_samples(fixture->profile, node, 0, 1, 0, SAMPLE_USER, STACK_COMPLETE, 1);
		switch (round % 4) {
		case 0:
			assert_int_equal(profile_list_callers(fixture->profile, function, list, 4), 1);
			sum = list[0].samples;
			break;
		case 1:
			count = profile_list_callees(fixture->profile, function, list, 4);
			assert_int_equal(count, round + 1);
			sum = round + 1;
			break;
		case 2:
			assert_true(tree_get_item(fixture->down, 0, &item));
			sum = item.total;
			break;
		case 3:
			sum = profile_get_function(fixture->profile, function).total;
			break;
		}
		assert_int_equal(sum, round + 1);
	}
}

/* Keys outlast new samples and names of others; the key of a path that moved away finds nothing, for ever. */
static void test_keys_through_moves(void **state)
{
	struct fixture *fixture = *state;
	uint64_t main_key, old_key, up_key, new_key;
	struct tree_item item;

	add(fixture->profile, "Mxy", 4);
	add(fixture->profile, "MBy", 1);
	main_key = find_path(fixture, fixture->down, "M");
	old_key = find_path(fixture, fixture->down, "Ma");
	assert_true(tree_get_item(fixture->down, old_key, &item));
	assert_int_equal(item.total, 4);
	up_key = find_path(fixture, fixture->up, "aaM");
	assert_int_equal(tree_get_parent(fixture->up, tree_get_parent(fixture->up, up_key)),
			 find_path(fixture, fixture->up, "a"));
	set_name(fixture->profile, 'x', "B");
	assert_false(tree_get_item(fixture->down, old_key, &item));
	assert_false(tree_get_item(fixture->up, up_key, &item));
	assert_children(fixture, fixture->down, old_key, "");
	assert_children(fixture, fixture->up, up_key, "");
	assert_int_equal(tree_get_parent(fixture->down, old_key), 0);
	assert_int_equal(find_path(fixture, fixture->down, "M"), main_key);
	assert_children(fixture, fixture->down, main_key, "B:5/0+");
	add(fixture->profile, "MQ", 1);
	add(fixture->profile, "MQRSTU", 9);
	new_key = find_path(fixture, fixture->down, "MQ");
	assert_int_not_equal(new_key, old_key);
	assert_false(tree_get_item(fixture->down, old_key, &item));
	assert_int_equal(tree_get_parent(fixture->down, new_key), main_key);
	assert_int_equal(tree_get_parent(fixture->down, main_key), 0);
	assert_true(tree_get_item(fixture->down, main_key, &item));
	assert_int_equal(item.total, 15);
}

/* Naming and unnaming the same frame uses numbers again and again: no key comes back, the tree does not grow.
 */
static void test_numbers_are_used_again_keys_are_not(void **state)
{
	struct fixture *fixture = *state;
	uint64_t keys[100];
	struct tree_item item;
	size_t nodes;

	add(fixture->profile, "Mx", 1);
	find_path(fixture, fixture->down, "M");
	nodes = fixture->profile->calltree.nodes.count;
	for (unsigned i = 0; i < 100; i++) {
		set_name(fixture->profile, 'x', i % 2 ? "B" : "C");
		keys[i] = find_path(fixture, fixture->down, i % 2 ? "MB" : "MC");
		for (unsigned j = 0; j < i; j++)
			assert_int_not_equal(keys[j], keys[i]);
		for (unsigned j = 0; j < i; j++)
			assert_false(tree_get_item(fixture->down, keys[j], &item));
	}
	assert_true(fixture->profile->calltree.nodes.count <= nodes + 1);
}

static void test_foreign_keys(void **state)
{
	static const uint64_t keys[] = {1, 2, 99, UINT32_MAX, 1ull << 32, UINT64_MAX, 5ull << 33};
	struct fixture *fixture = *state;
	struct tree_item item;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		assert_false(tree_get_item(fixture->down, keys[i], &item));
		assert_false(tree_get_item(fixture->up, keys[i], &item));
		assert_children(fixture, fixture->down, keys[i], "");
		assert_children(fixture, fixture->up, keys[i], "");
		assert_int_equal(tree_get_parent(fixture->down, keys[i]), 0);
		assert_int_equal(tree_get_parent(fixture->up, keys[i]), 0);
	}
}

/* A bottom-up row is current also when its parent was never listed again. */
static void test_bottom_up_row_stays_current(void **state)
{
	struct fixture *fixture = *state;
	struct tree_item item;
	uint64_t key;

	add(fixture->profile, "MABX", 5);
	key = find_path(fixture, fixture->up, "XBA");
	add(fixture->profile, "MABX", 2);
	add(fixture->profile, "NABX", 1);
	add(fixture->profile, "NACX", 1);
	assert_true(tree_get_item(fixture->up, key, &item));
	assert_int_equal(item.total, 8);
	assert_int_equal(item.self, 0);
	assert_children(fixture, fixture->up, key, "M:7/0 N:1/0");
}

/* Stacks as deep as a record can hold. */
static void test_deep_recursion(void **state)
{
	struct fixture *fixture = *state;
	char stack[1026];
	uint64_t key = 0, depth = 0;

	memset(stack, 'R', sizeof(stack));
	stack[0] = 'M';
	stack[1025] = '\0';
	add(fixture->profile, stack, 6);
	assert_int_equal(profile_get_function(fixture->profile, find_function(fixture, "R")).total, 6);
	assert_neighbours(fixture, "R", "M:6", "-:6");
	for (;; depth++) {
		const struct tree_item *items;
		size_t count;

		assert_null(tree_list_children(fixture->up, key, &items, &count));
		if (!count)
			break;
		assert_int_equal(items[0].total, 6);
		key = items[0].key;
	}
	assert_int_equal(depth, 1025);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, create, destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_empty),
		TEST(test_both_ways),
		TEST(test_equals_are_sorted_by_name),
		TEST(test_recursion),
		TEST(test_neighbours_beyond_the_room),
		TEST(test_asking_right_after_growing),
		TEST(test_keys_through_moves),
		TEST(test_numbers_are_used_again_keys_are_not),
		TEST(test_foreign_keys),
		TEST(test_bottom_up_row_stays_current),
		TEST(test_deep_recursion),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
