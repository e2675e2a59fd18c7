/* Inlined functions in the model: each is a function of its own, below the one that it is inlined into. */
#include "base/cleanup.h"
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

#define APP 16

static int create(void **state)
{
	struct profile *profile;

	assert_null(profile_create(&profile));
	assert_null(profile_set_module(profile, APP, MODULE_KIND_FILE, "/usr/bin/app"));
	*state = profile;
	return 0;
}

static int destroy(void **state)
{
	profile_destroy(*state);
	return 0;
}

/* Root first, by offset; the last one is 0. */
static uint32_t add(struct profile *profile, uint64_t count, const uint64_t *offsets)
{
	uint32_t stack = 0;

	for (; *offsets; offsets++)
		stack = profile_intern_stack(profile, stack, FRAME(APP, *offsets));
	assert_int_not_equal(stack, 0);
	profile_add_samples(profile, stack, 0, 1, 0, SAMPLE_USER, STACK_COMPLETE, count);
	return stack;
}

#define ADD(profile, count, ...) add(profile, count, (const uint64_t[]){__VA_ARGS__, 0})

/* Levels as "function:line function:line", innermost first; all in a.c. */
static void name(struct profile *profile, uint64_t offset, const char *text)
{
	struct frame_name levels[NAME_LEVELS_MAX + 8] = {0};
	_cleanup_free_ char *copy = strdup(text);
	size_t count = 0;
	char *rest;

	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		char *colon = strchr(word, ':');

		levels[count++] = (struct frame_name){.function = word,
						      .function_length = (size_t)(colon - word),
						      .file = "a.c",
						      .file_length = 3,
						      .line = (uint32_t)atoi(colon + 1)};
	}
	profile_set_name(profile, FRAME(APP, offset), levels, count);
}

static struct function find(const struct profile *profile, const char *wanted)
{
	for (uint32_t i = 0; i < profile_count_functions(profile); i++) {
		struct function function = profile_get_function(profile, i);

		if (!strcmp(function.name, wanted))
			return function;
	}
	fail_msg("no function %s", wanted);
	return (struct function){0};
}

static void assert_function(const struct profile *profile, const char *wanted, uint64_t self, uint64_t total)
{
	struct function function = find(profile, wanted);

	assert_int_equal(function.self, self);
	assert_int_equal(function.total, total);
}

/* The call tree below a node, as "f 3(g 2 h 1)", children by name. */
static void print_node(const struct profile *profile, uint32_t node, FILE *file)
{
	const struct calltree_node *nodes = profile->calltree.nodes.items;
	const char *before = "(";
	const char *last = "";

	for (;;) {
		const char *next = NULL;
		uint32_t best = 0;

		for (uint32_t child = nodes[node].first_child; child; child = nodes[child].next_sibling) {
			const char *text =
				functions_get_name((struct profile *)profile, nodes[child].function);

			if (nodes[child].total && strcmp(text, last) > 0 &&
			    (!next || strcmp(text, next) < 0)) {
				next = text;
				best = child;
			}
		}
		if (!next)
			break;
		fprintf(file, "%s%s %llu", before, next, (unsigned long long)nodes[best].total);
		print_node(profile, best, file);
		before = " ";
		last = next;
	}
	if (*before == ' ')
		fputs(")", file);
}

static void assert_tree(const struct profile *profile, const char *wanted)
{
	char text[4096] = "";
	FILE *file = fmemopen(text, sizeof(text), "w");

	assert_non_null(file);
	profile_settle(profile);
	print_node(profile, 0, file);
	fclose(file);
	assert_string_equal(text, wanted);
}

static void test_each_is_a_function(void **state)
{
	struct profile *profile = *state;

	ADD(profile, 5, 0x100, 0x210);
	ADD(profile, 3, 0x100, 0x220);
	ADD(profile, 1, 0x100, 0x230);
	name(profile, 0x100, "main:10");
	name(profile, 0x210, "skip:31 parse:20 run:5");
	name(profile, 0x220, "parse:22 run:5");
	name(profile, 0x230, "run:7");
	assert_tree(profile, "(main 9(run 9(parse 8(skip 5))))");
	assert_function(profile, "skip", 5, 5);
	assert_function(profile, "parse", 3, 8);
	assert_function(profile, "run", 1, 9);
	/* Where their own samples are; without any, where they call. */
	assert_int_equal(find(profile, "skip").line, 31);
	assert_int_equal(find(profile, "parse").line, 22);
	assert_int_equal(find(profile, "run").line, 7);
	/* One call of parse() in run(), and one of skip() in parse(). */
	assert_int_equal(profile_count_inlines(profile), 2);
}

static void test_names_come_late_and_change(void **state)
{
	struct profile *profile = *state;

	ADD(profile, 4, 0x100, 0x200, 0x300);
	assert_tree(profile, "(app+0x100 4(app+0x200 4(app+0x300 4)))");
	name(profile, 0x200, "inner:2 outer:1");
	assert_tree(profile, "(app+0x100 4(outer 4(inner 4(app+0x300 4))))");
	name(profile, 0x300, "leaf:3");
	name(profile, 0x100, "main:9");
	assert_tree(profile, "(main 4(outer 4(inner 4(leaf 4))))");
	/* The same function, inlined elsewhere. */
	name(profile, 0x200, "inner:2 other:8");
	assert_tree(profile, "(main 4(other 4(inner 4(leaf 4))))");
	name(profile, 0x200, "inner:2");
	assert_tree(profile, "(main 4(inner 4(leaf 4)))");
	assert_function(profile, "outer", 0, 0);
}

static void test_recursion_counts_once(void **state)
{
	struct profile *profile = *state;

	ADD(profile, 2, 0x100, 0x200, 0x300);
	name(profile, 0x100, "walk:1 main:1");
	name(profile, 0x200, "walk:2 visit:4");
	name(profile, 0x300, "walk:3 walk:2 visit:4");
	assert_tree(profile, "(main 2(walk 2(visit 2(walk 2(visit 2(walk 2(walk 2)))))))");
	assert_function(profile, "walk", 2, 2);
	assert_function(profile, "visit", 0, 2);
	assert_function(profile, "main", 0, 2);
	/* Another stack goes the same way, and further. */
	ADD(profile, 1, 0x100, 0x200, 0x300, 0x400);
	name(profile, 0x400, "visit:9");
	assert_function(profile, "visit", 1, 3);
	assert_function(profile, "walk", 2, 3);
}

static void test_line_of_what_only_calls(void **state)
{
	struct profile *profile = *state;

	ADD(profile, 1, 0x100);
	name(profile, 0x100, "inner:7 outer:5");
	assert_int_equal(find(profile, "outer").line, 5);
	assert_string_equal(find(profile, "outer").file, "a.c");
}

static void test_too_many_levels(void **state)
{
	struct profile *profile = *state;
	char text[4096] = "";

	ADD(profile, 6, 0x100);
	for (unsigned i = 0; i < NAME_LEVELS_MAX + 4; i++)
		sprintf(text + strlen(text), "f%02u:1 ", i);
	name(profile, 0x100, text);
	/* No more than there can be; the sums close all the same. */
	assert_function(profile, "f00", 6, 6);
	assert_int_equal(profile_get_function(profile, profile_get_function_by_self(profile, 0)).self, 6);
}

static void test_merged_stacks_keep_their_levels(void **state)
{
	struct profile *profile = *state;
	struct totals totals;

	profile->stacks.limit = 512;
	ADD(profile, 100000, 0x100);
	name(profile, 0x100, "main:1");
	for (uint64_t i = 0; i < 2000; i++) {
		ADD(profile, 1, 0x100, 0x1000 + 16 * i);
		name(profile, 0x1000 + 16 * i, i % 2 ? "inner:3 one:4" : "inner:3 two:5");
	}
	merge_rare_stacks(profile);
	profile_get_totals(profile, &totals);
	assert_int_equal(totals.samples, 102000);
	assert_true(profile_count_stacks(profile) < 512);
	assert_function(profile, "inner", 2000, 2000);
	assert_function(profile, "one", 0, 1000);
	assert_function(profile, "two", 0, 1000);
	assert_tree(profile, "(main 102000(one 1000(inner 1000) two 1000(inner 1000)))");
}

static void test_snapshots_keep_them(void **state)
{
	struct profile *profile = *state, *read = NULL;
	char path[] = "/tmp/kiln-inlines-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	ADD(profile, 5, 0x100, 0x210);
	ADD(profile, 3, 0x100, 0x220);
	ADD(profile, 2, 0x300);
	name(profile, 0x100, "main:10");
	name(profile, 0x210, "skip:31 parse:20 run:5");
	name(profile, 0x220, "skip:30 parse:20 run:5");
	assert_null(snapshot_write(profile, path));
	assert_null(snapshot_read(path, &read));
	unlink(path);
	assert_true(profile_equal(profile, read, stderr));
	assert_tree(read, "(app+0x300 2 main 8(run 8(parse 8(skip 8))))");
	profile_destroy(read);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_is_a_function, create, destroy),
		cmocka_unit_test_setup_teardown(test_names_come_late_and_change, create, destroy),
		cmocka_unit_test_setup_teardown(test_recursion_counts_once, create, destroy),
		cmocka_unit_test_setup_teardown(test_line_of_what_only_calls, create, destroy),
		cmocka_unit_test_setup_teardown(test_too_many_levels, create, destroy),
		cmocka_unit_test_setup_teardown(test_merged_stacks_keep_their_levels, create, destroy),
		cmocka_unit_test_setup_teardown(test_snapshots_keep_them, create, destroy),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
