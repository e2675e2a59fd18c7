/* Geometry of the flame on random trees: every promise of flame_layout.h, checked against exact fractions.
 * Also the order of siblings, which feeds it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tui/flame_layout.h"
#include "tui/siblings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A tree as an array: children of a node stand together. Node 0 is the root; a key is the number. */
struct node {
	struct tree_item item;
	uint32_t first, count;
};

struct test_tree {
	ARRAY(struct node)
	nodes;
	struct tree_item items[64];
	unsigned asked; /* how often children were listed */
};

static int heavier(const void *a, const void *b)
{
	const struct node *x = a, *y = b;

	return x->item.total < y->item.total ? 1 : x->item.total > y->item.total ? -1 : 0;
}

/* Splits the samples of a node among up to 12 children and itself. */
static void grow(struct test_tree *tree, uint32_t number, unsigned depth)
{
	uint64_t left = tree->nodes.items[number].item.total;
	uint32_t first = tree->nodes.count, i, count = depth ? random() % 13 : 0;

	for (i = 0; i < count && left; i++) {
		uint64_t part = random() % 3 ? random() % (left + 1) : left / 50;

		if (!part)
			continue;
		left -= part;
		array_append(&tree->nodes, (struct node){.item = {.total = part, .function = random()}});
	}
	count = tree->nodes.count - first;
	if (count)
		qsort(&tree->nodes.items[first], count, sizeof(struct node), heavier);
	for (i = 0; i < count; i++)
		tree->nodes.items[first + i].item.key = first + i;
	tree->nodes.items[number].first = first;
	tree->nodes.items[number].count = count;
	tree->nodes.items[number].item.self = left;
	for (i = 0; i < count; i++)
		grow(tree, first + i, depth - 1);
}

static struct test_tree make_tree(uint64_t total, unsigned depth)
{
	struct test_tree tree = {.asked = 0};

	array_append(&tree.nodes, (struct node){.item = {.total = total}});
	grow(&tree, 0, depth);
	return tree;
}

static size_t list_children(void *arg, uint64_t key, const struct tree_item **ret)
{
	struct test_tree *tree = arg;
	const struct node *node;
	uint32_t i;

	assert_true(key < tree->nodes.count);
	tree->asked++;
	node = &tree->nodes.items[key];
	for (i = 0; i < node->count; i++)
		tree->items[i] = tree->nodes.items[node->first + i].item;
	*ret = tree->items;
	return node->count;
}

static void build(struct flame_layout *layout, struct test_tree *tree, unsigned columns)
{
	struct flame_tree source = {tree, list_children};

	tree->asked = 0;
	assert_true(flame_layout_build(layout, &source, &tree->nodes.items[0].item, columns, 100));
}

static void check_frame(const struct flame_layout *layout, uint32_t number, unsigned columns)
{
	const struct flame_frame *frames = layout->frames.items, *frame = &frames[number];
	const struct flame_frame *parent = &frames[frame->parent];
	double scale = (double)columns / frames[0].total;

	assert_true(frame->columns >= 1);
	assert_true(fabs(frame->column - frame->start * scale) <= 0.5 + 1e-9);
	assert_true(fabs(frame->column + frame->columns - (frame->start + frame->total) * scale) <=
		    0.5 + 1e-9);
	assert_true(frame->column >= parent->column);
	assert_true(frame->column + frame->columns <= parent->column + parent->columns);
	if (!number)
		return;
	assert_int_equal(frame->depth, parent->depth + 1);
	assert_true(frame->depth >= frame[-1].depth);
	if (frame->depth == frame[-1].depth)
		assert_true(frame->column >= frame[-1].column + frame[-1].columns);
}

/* Samples and cells of the children and of the parent's own time (its blank) make the parent. */
static void check_sums(const struct flame_layout *layout, struct test_tree *tree, uint32_t number)
{
	const struct flame_frame *frames = layout->frames.items;
	uint64_t samples = 0, wanted = frames[number].total - frames[number].self, lost = 0;
	uint32_t i;

	if (frames[number].merged || frames[number].key >= tree->nodes.count)
		return;
	for (i = number + 1; i < layout->frames.count; i++)
		if (frames[i].parent == number)
			samples += frames[i].total;
	assert_true(samples <= wanted);
	lost = wanted - samples; /* in frames that rounded to nothing: less than a cell a run */
	assert_true((double)lost * frames[0].columns <= (double)frames[0].total * 12);
}

static void test_random_trees_at_every_width(void **state)
{
	struct flame_layout layout = {0};
	unsigned columns;

	srandom(11);
	for (columns = 1; columns <= 300; columns++) {
		struct test_tree tree = make_tree(1 + random() % 20000, 6);
		uint32_t i;

		build(&layout, &tree, columns);
		assert_int_equal(layout.frames.items[0].columns, columns);
		for (i = 0; i < layout.frames.count; i++) {
			check_frame(&layout, i, columns);
			check_sums(&layout, &tree, i);
		}
		assert_true(tree.asked <= layout.frames.count); /* only what has a cell is asked for */
		array_deinit(&tree.nodes);
	}
	flame_layout_deinit(&layout);
}

static struct test_tree make_row(const uint64_t *totals, unsigned count, uint64_t self)
{
	struct test_tree tree = {.asked = 0};
	uint64_t sum = self;
	unsigned i;

	for (i = 0; i < count; i++)
		sum += totals[i];
	array_append(&tree.nodes,
		     (struct node){.item = {.total = sum, .self = self}, .first = 1, .count = count});
	for (i = 0; i < count; i++)
		array_append(&tree.nodes, (struct node){.item = {.key = i + 1, .total = totals[i]}});
	return tree;
}

static void test_narrow_siblings_are_merged_with_their_sum(void **state)
{
	struct test_tree tree = make_row((uint64_t[]){500, 300, 40, 30, 30, 20, 30}, 7, 50);
	struct flame_layout layout = {0};
	const struct flame_frame *frames;

	build(&layout, &tree, 20); /* a cell is 50 samples */
	assert_int_equal(layout.frames.count, 4);
	frames = layout.frames.items;
	assert_int_equal(frames[1].columns, 10);
	assert_int_equal(frames[2].columns, 6);
	assert_int_equal(frames[3].merged, 5);
	assert_int_equal(frames[3].total, 150);
	assert_int_equal(frames[3].columns, 3);
	assert_int_equal(frames[3].column, 16);
	assert_true(frames[3].key > 7);
	array_deinit(&tree.nodes);
	flame_layout_deinit(&layout);
}

static void test_one_narrow_sibling_is_itself(void **state)
{
	struct test_tree tree = make_row((uint64_t[]){900, 45}, 2, 55);
	struct flame_layout layout = {0};

	build(&layout, &tree, 20);
	assert_int_equal(layout.frames.count, 3);
	assert_int_equal(layout.frames.items[2].merged, 0);
	assert_int_equal(layout.frames.items[2].key, 2);
	assert_int_equal(layout.frames.items[2].columns, 1);
	array_deinit(&tree.nodes);
	flame_layout_deinit(&layout);
}

static void test_moving_between_frames(void **state)
{
	struct test_tree tree = make_row((uint64_t[]){100, 300, 20, 20, 20}, 5, 0);
	struct flame_layout layout = {0};

	build(&layout, &tree, 12);
	assert_int_equal(flame_layout_get_child(&layout, 0), 2);
	assert_int_equal(flame_layout_get_neighbour(&layout, 2, 1), 3);
	assert_int_equal(flame_layout_get_neighbour(&layout, 3, 1), FLAME_NONE);
	assert_int_equal(flame_layout_get_neighbour(&layout, 1, -1), FLAME_NONE);
	assert_int_equal(flame_layout_get_neighbour(&layout, 0, -1), FLAME_NONE);
	assert_int_equal(flame_layout_get_child(&layout, 3), FLAME_NONE);
	assert_int_equal(flame_layout_find(&layout, 2), 2);
	assert_int_equal(flame_layout_find(&layout, 4), FLAME_NONE); /* merged */
	array_deinit(&tree.nodes);
	flame_layout_deinit(&layout);
}

static void test_nothing_to_draw_and_numbers_beyond_reason(void **state)
{
	struct test_tree tree = make_row((uint64_t[]){UINT64_MAX / 2, UINT64_MAX / 2}, 2, 0);
	struct flame_layout layout = {0};
	struct flame_tree source = {&tree, list_children};
	struct tree_item *root = &tree.nodes.items[0].item;

	assert_true(flame_layout_build(&layout, &source, root, 0, 5));
	assert_int_equal(layout.frames.count, 0);
	assert_true(flame_layout_build(&layout, &source, root, 300, 5));
	assert_int_equal(layout.frames.count, 3);
	check_frame(&layout, 2, 300);
	root->total = 10; /* children heavier than their parent: a damaged file */
	assert_true(flame_layout_build(&layout, &source, root, 300, 5));
	assert_int_equal(layout.frames.items[1].columns, 300);
	assert_int_equal(layout.frames.count, 2);
	root->total = 0;
	assert_true(flame_layout_build(&layout, &source, root, 300, 5));
	assert_int_equal(layout.frames.count, 0);
	array_deinit(&tree.nodes);
	flame_layout_deinit(&layout);
}

/* ---- siblings ---- */

static void assert_order(struct siblings *siblings, uint64_t revision, const struct tree_item *items,
			 size_t count, const uint64_t *wanted)
{
	const struct tree_item *sorted;
	size_t i;

	siblings_begin(siblings, revision);
	sorted = siblings_sort(siblings, items, count, 10);
	for (i = 0; i < count; i++)
		assert_int_equal(sorted[i].key, wanted[i]);
}

static void test_siblings_keep_their_order_until_it_is_clearly_wrong(void **state)
{
	struct tree_item first[] = {{.key = 1, .total = 100}, {.key = 2, .total = 90}};
	struct tree_item close[] = {{.key = 2, .total = 120},
				    {.key = 3, .total = 115},
				    {.key = 1, .total = 110},
				    {.key = 4, .total = 2}};
	struct tree_item wrong[] = {{.key = 2, .total = 300}, {.key = 1, .total = 110}};
	struct siblings siblings = {.revision = 0};
	uint64_t revision;

	assert_order(&siblings, 1, first, 2, (uint64_t[]){1, 2});
	for (revision = 2; revision < 20; revision++)
		assert_order(&siblings, revision, close, 4, (uint64_t[]){1, 2, 3, 4});
	for (revision = 20; revision < 23; revision++)
		assert_order(&siblings, revision, wrong, 2, (uint64_t[]){1, 2});
	assert_order(&siblings, 23, wrong, 2, (uint64_t[]){2, 1});

	assert_order(&siblings, 24, first, 2, (uint64_t[]){2, 1});
	assert_order(&siblings, 24, first, 2, (uint64_t[]){2, 1}); /* drawn again: no refresh */
	steady_sort_now(&siblings.steady);
	assert_order(&siblings, 24, first, 2, (uint64_t[]){1, 2});
	siblings_deinit(&siblings);
}

static void test_light_siblings_do_not_disturb_the_order(void **state)
{
	struct tree_item before[] = {
		{.key = 1, .total = 100}, {.key = 2, .total = 2}, {.key = 3, .total = 1}};
	struct tree_item after[] = {{.key = 1, .total = 100}, {.key = 3, .total = 9}, {.key = 2, .total = 2}};
	struct siblings siblings = {.revision = 0};
	uint64_t revision;

	assert_order(&siblings, 1, before, 3, (uint64_t[]){1, 2, 3});
	for (revision = 2; revision < 20; revision++)
		assert_order(&siblings, revision, after, 3, (uint64_t[]){1, 2, 3});
	siblings_deinit(&siblings);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_trees_at_every_width),
		cmocka_unit_test(test_narrow_siblings_are_merged_with_their_sum),
		cmocka_unit_test(test_one_narrow_sibling_is_itself),
		cmocka_unit_test(test_moving_between_frames),
		cmocka_unit_test(test_nothing_to_draw_and_numbers_beyond_reason),
		cmocka_unit_test(test_siblings_keep_their_order_until_it_is_clearly_wrong),
		cmocka_unit_test(test_light_siblings_do_not_disturb_the_order),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
