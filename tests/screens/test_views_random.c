/* Any keys in any order, on any size, while samples and names arrive: nothing breaks (worth most with SAN=…),
 * and what is drawn stays inside the rectangle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/fixture.h"
#include "tests/support/screen.h"
#include "tests/support/screen_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS 1500

static struct profile *profile;

static void press_something(struct screen *screen)
{
	static const char *const keys[] = {
		"j", "k",      "h",	 "l",	   "<Enter>", "<Esc>",	"<Enter>", "<Esc>", "G",
		"g", "<PgDn>", "<PgUp>", "<C-d>",  "<C-u>",   "<Home>", "<End>",   "c",	    "s",
		"u", "i",      "o",	 "*",	   "H",	      "L",	"r",	   "=",	    "n",
		"N", "<Up>",   "<Down>", "<Left>", "<Right>", "z",
	};

	screen_press(screen, keys[random() % (sizeof(keys) / sizeof(keys[0]))]);
}

/* Samples for a stack that is there, or for a new one. */
static void add_something(void)
{
	uint32_t stack = (uint32_t)(random() % profile_count_stacks(profile)) + 1, module, i;
	uint64_t offsets[64];
	size_t count;

	if (random() % 4 == 0)
		stack = profile_intern_stack(profile, stack,
					     FRAME(MODULE_FIRST_FILE, 0x500000 + random() % 2000));
	profile_add_samples(profile, stack, 93000000000ull, 1, 0, random() % 2 ? SAMPLE_USER : SAMPLE_KERNEL,
			    random() % 20 ? STACK_COMPLETE : STACK_NO_RULE,
			    1 + random() % (random() % 50 ? 4 : 3000));
	if (random() % 8)
		return;
	while ((count = profile_take_unnamed(profile, &module, offsets, 64)))
		for (i = 0; i < count; i++) {
			char name[40];

			snprintf(name, sizeof(name), "late<%d>::f%d(int)", (int)(offsets[i] % 7),
				 (int)(offsets[i] % 300));
			profile_set_name(profile, FRAME(module, offsets[i]),
					 &(struct frame_name){.start = offsets[i],
							      .function = name,
							      .function_length = strlen(name)},
					 1);
		}
}

static void run(const struct view_ops *ops, unsigned seed)
{
	struct screen *screen;
	unsigned step;

	srandom(seed);
	assert_null(fixture_profile_create_unnamed(&profile));
	assert_null(fixture_add_heap(profile));
	screen = screen_create_view(ops, profile, 80, 24);
	for (step = 0; step < STEPS; step++) {
		if (random() % 3 == 0)
			add_something();
		if (random() % 40 == 0)
			screen_resize(screen, 1 + random() % 140, 1 + random() % 40);
		if (random() % 60 == 0)
			screen_search(screen, random() % 2 ? "" : random() % 2 ? "json" : "late");
		if (step == STEPS / 4)
			fixture_profile_name_all(profile);
		if (random() % 50 == 0) {
			screen_context(screen)->selected_function =
				random() % profile_count_functions(profile);
			screen_context(screen)->opens_callers = random() % 2;
			if (ops->enter)
				ops->enter(screen->view);
		}
		press_something(screen);
	}
	screen_destroy(screen);
	profile_destroy(profile);
}

static void test_hot(void **state)
{
	run(&view_hot, 1);
}

static void test_tree(void **state)
{
	run(&view_tree, 2);
}

static void test_flame(void **state)
{
	run(&view_flame, 3);
}

static void test_memory(void **state)
{
	run(&view_memory, 4);
}

/* A rectangle inside a bigger canvas: no cell outside of it changes. */
static void check_inside(const struct view_ops *ops)
{
	const struct rectangle sizes[] = {
		{3, 2, 1, 1}, {3, 2, 9, 4}, {3, 2, 40, 10}, {3, 2, 75, 20}, {3, 2, 110, 30}};
	struct canvas *canvas;
	struct screen *screen;
	unsigned i, x, y;

	assert_null(fixture_profile_create(&profile));
	assert_null(fixture_add_heap(profile));
	screen = screen_create_view(ops, profile, 20, 5);
	assert_null(canvas_create(120, 40, &canvas));
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const struct rectangle *area = &sizes[i];

		canvas_fill(canvas, 0, 0, 120, 40, '#', STYLE_NORMAL);
		canvas_fill(canvas, area->column, area->row, area->columns, area->rows, ' ', STYLE_NORMAL);
		ops->draw(screen->view, canvas, *area);
		ops->key_pressed(screen->view, i % 2 ? KEY_CODE_DOWN : 'c');
		ops->draw(screen->view, canvas, *area);
		for (y = 0; y < 40; y++)
			for (x = 0; x < 120; x++)
				if (x < area->column || x >= area->column + area->columns || y < area->row ||
				    y >= area->row + area->rows)
					assert_int_equal(canvas_get(canvas, x, y).codepoint, '#');
	}
	canvas_destroy(canvas);
	screen_destroy(screen);
	profile_destroy(profile);
}

static void test_drawing_stays_inside(void **state)
{
	check_inside(&view_hot);
	check_inside(&view_tree);
	check_inside(&view_flame);
	check_inside(&view_memory);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hot),
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_flame),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_drawing_stays_inside),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
