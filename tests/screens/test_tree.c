#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/fixture.h"
#include "tests/support/letters.h"
#include "tests/support/screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct profile *profile;

static int set_up(void **state)
{
	return fixture_profile_create(&profile) != NULL;
}

static int tear_down(void **state)
{
	profile_destroy(profile);
	profile = NULL;
	return 0;
}

/* ---- helpers ---- */

/* The rows below the head, as "depth-marked names", one a line: marker and figures are left out. */
static void assert_paths(struct screen *screen, const char *wanted)
{
	char *paths = NULL;
	unsigned row;
	size_t length;
	FILE *stream = open_memstream(&paths, &length);

	for (row = 2; row < 18; row++) {
		const char *text = screen_row(screen, row), *path = strstr(text, "%  ");

		if (!path)
			break;
		path += 3;
		for (length = strlen(path); length && path[length - 1] == ' ';)
			length--;
		fprintf(stream, "%.*s\n", (int)length, path);
	}
	fclose(stream);
	assert_string_equal(paths, wanted);
	free(paths);
}

/* ---- how it looks ---- */

static void test_three_sizes(void **state)
{
	screen_assert_golden_sizes(&view_tree, profile, "tree");
}

static void test_inverted(void **state)
{
	struct screen *screen = screen_create_view(&view_tree, profile, 100, 30);

	screen_press(screen, "ij<Right>");
	screen_assert_golden(screen, "tree-inverted-100x30");
	screen_resize(screen, 60, 20);
	screen_assert_golden(screen, "tree-inverted-60x20");
	screen_destroy(screen);
}

static void test_all_unfolded_and_zoomed(void **state)
{
	struct screen *screen = screen_create_view(&view_tree, profile, 80, 24);

	screen_press(screen, "*jjj<Enter>");
	screen_assert_golden(screen, "tree-zoomed-80x24");
	screen_destroy(screen);
}

static void test_ascii(void **state)
{
	struct screen *screen = screen_create_view(&view_tree, profile, 80, 24);
	const char *c;

	screen_set_ascii(screen, true);
	screen_press(screen, "j");
	for (c = screen_text(screen); *c; c++)
		assert_true(*c > 0);
	screen_destroy(screen);
}

/* ---- what it says is true ---- */

static void test_rows_of_a_known_tree(void **state)
{
	struct screen *screen;

	letters_make_profile(&profile);
	letters_add_stack(profile, "abcd", 60);
	letters_add_stack(profile, "abce", 25);
	letters_add_stack(profile, "abc", 5);
	letters_add_stack(profile, "xyz", 10);
	screen = screen_create_view(&view_tree, profile, 60, 20);
	screen_press(screen, "g*");
	assert_paths(screen, "▾ target\n"
			     " ▾ fa › fb › fc  (3 frames)\n"
			     "  · fd\n"
			     "  · fe\n"
			     " · fx › fy › fz  (3 frames)\n");
	screen_resize(screen, 80, 20);
	screen_assert_row_shows(screen, 3, "  90.0%    5.0%        90");
	screen_assert_row_shows(screen, 4, "  60.0%   60.0%        60");
	screen_press(screen, "ij<Right>");
	screen_resize(screen, 60, 20);
	assert_paths(screen, "▾ target\n"
			     " ▾ fd\n"
			     "  · fc › fb › fa  (3 frames)\n"
			     " ▸ fe\n"
			     " ▸ fz\n"
			     " ▸ fc\n");
	screen_destroy(screen);
}

static void test_light_callees_are_one_row_with_their_sum(void **state)
{
	struct screen *screen;

	letters_make_profile(&profile);
	letters_add_stack(profile, "ab", 990);
	letters_add_stack(profile, "ac", 4);
	letters_add_stack(profile, "ad", 3);
	letters_add_stack(profile, "ae", 3);
	screen = screen_create_view(&view_tree, profile, 60, 20);
	screen_press(screen, "g*");
	assert_paths(screen, "▾ target\n"
			     " ▾ fa\n"
			     "  · fb\n"
			     "  ⋯ 3 callees below 0.5%\n");
	screen_assert_row_shows(screen, 5, "1.0%");
	screen_press(screen, "G");
	screen_assert_row_shows(screen, 19, "3 callees, each below 0.5%  self 1.0%  total 1.0%");
	screen_press(screen, "<Enter>");
	assert_paths(screen, "▾ target\n"
			     " ▾ fa\n"
			     "  · fb\n"
			     "  · fc\n"
			     "  · fd\n"
			     "  · fe\n");
	screen_assert_row_shows(screen, 0, "top-down ▸ rows ≥ 0.5%");
	screen_press(screen, "L"); /* 1 %: unfolded stays unfolded */
	screen_assert_row_shows(screen, 0, "top-down ▸ rows ≥ 1%");
	screen_assert_shows(screen, "fe");
	screen_destroy(screen);
}

static void test_the_limit_goes_round(void **state)
{
	struct screen *screen = screen_create_view(&view_tree, profile, 100, 60);
	const char *const limits[] = {"below 0.5%", "below 1%", "below 5%", NULL, "below 0.1%", "below 0.5%"};
	unsigned i;

	for (i = 0; i < 6; i++, screen_press(screen, "L"))
		if (limits[i] && i != 4) /* the fixture has no functions that light */
			screen_assert_shows(screen, limits[i]);
		else
			screen_assert_hides(screen, "⋯");
	screen_destroy(screen);
}

static void test_broken_stacks_are_roots_of_their_own(void **state)
{
	struct screen *screen = screen_create_view(&view_tree, profile, 100, 200);

	screen_press(screen, "LLL");
	screen_assert_shows(screen, "[truncated]");
	screen_assert_shows(screen, "[broken: ");
	screen_destroy(screen);
}

/* ---- keys ---- */

static void test_folding_and_the_parent(void **state)
{
	struct screen *screen;

	letters_make_profile(&profile);
	letters_add_stack(profile, "ab", 10);
	letters_add_stack(profile, "acd", 20);
	letters_add_stack(profile, "ace", 30);
	screen = screen_create_view(&view_tree, profile, 60, 20);
	assert_paths(screen, "▾ target\n ▾ fa\n  ▾ fc\n   · fe\n   · fd\n  · fb\n"); /* the first look */
	screen_press(screen, "jj");
	screen_assert_row_shows(screen, 19, "fc x.c:99");
	screen_press(screen, "<Left>");
	assert_paths(screen, "▾ target\n ▾ fa\n  ▸ fc\n  · fb\n");
	screen_press(screen, "<Left>");
	screen_assert_row_shows(screen, 19, "fa x.c:97");
	screen_press(screen, "hl<Right><Right><Right>");
	screen_assert_row_shows(screen, 19, "fe x.c:101");
	screen_press(screen, "h");
	screen_assert_row_shows(screen, 19, "fc x.c:99");
	screen_press(screen, "gH");
	screen_assert_row_shows(screen, 19, "fe x.c:101");
	screen_destroy(screen);
}

static void test_zoom_in_and_out(void **state)
{
	struct screen *screen;

	letters_make_profile(&profile);
	letters_add_stack(profile, "ab", 10);
	letters_add_stack(profile, "acd", 20);
	letters_add_stack(profile, "ace", 30);
	screen = screen_create_view(&view_tree, profile, 60, 20);
	assert_int_equal(screen_press(screen, "<Esc>"), VIEW_IGNORED);
	screen_press(screen, "jj<Left><Enter>"); /* folded: unfolds */
	screen_assert_row_shows(screen, 2, "target");
	screen_press(screen, "<Enter>");
	assert_paths(screen, "▾ fc\n · fe\n · fd\n");
	screen_assert_row_shows(screen, 0, "zoom ▸ all › fa › fc");
	screen_press(screen, "j");
	assert_int_equal(screen_press(screen, "<Esc>"), VIEW_HANDLED);
	screen_assert_row_shows(screen, 0, "zoom ▸ all › fa ");
	screen_assert_row_shows(screen, 19, "fc x.c:99"); /* what was zoomed is under the cursor */
	assert_int_equal(screen_press(screen, "<Esc>"), VIEW_HANDLED);
	screen_assert_row_shows(screen, 2, "target");
	assert_int_equal(screen_press(screen, "<Esc>"), VIEW_IGNORED);
	screen_destroy(screen);
}

static void test_callers_of_the_selection(void **state)
{
	struct screen *screen = screen_create_view(&view_tree, profile, 80, 24);
	uint32_t selected;

	assert_int_equal(screen_press(screen, "c"), VIEW_HANDLED); /* the root is no function */
	assert_int_equal(screen_press(screen, "Hc"), VIEW_GO_HOT);
	selected = screen_context(screen)->selected_function;
	assert_string_equal(profile_get_function(profile, selected).name, "json::Parser::next()");
	assert_int_equal(screen_press(screen, "z"), VIEW_IGNORED);
	screen_destroy(screen);
}

static void test_search_unfolds_what_it_finds(void **state)
{
	struct screen *screen;

	letters_make_profile(&profile);
	letters_add_stack(profile, "ab", 1000);
	letters_add_stack(profile, "acdq", 1); /* light, deep, folded */
	letters_add_stack(profile, "acde", 1);
	letters_add_stack(profile, "xq", 900);
	screen = screen_create_view(&view_tree, profile, 80, 20);
	screen_search(screen, "fq");
	assert_int_equal(screen_press(screen, "n"), VIEW_HANDLED);
	screen_assert_row_shows(screen, 19, "fq x.c:113 x  self 0.1%");
	assert_int_equal(screen_press(screen, "n"), VIEW_HANDLED);
	screen_assert_row_shows(screen, 19, "fq x.c:113 x  self 47.3%");
	assert_int_equal(screen_press(screen, "n"), VIEW_HANDLED); /* goes round */
	screen_assert_row_shows(screen, 19, "fq x.c:113 x  self 0.1%");
	assert_int_equal(screen_press(screen, "N"), VIEW_HANDLED);
	screen_assert_row_shows(screen, 19, "fq x.c:113 x  self 47.3%");
	screen_search(screen, "nothing");
	assert_int_equal(screen_press(screen, "n"), VIEW_IGNORED);
	screen_destroy(screen);
}

/* ---- live ---- */

static void test_the_first_look_follows_the_samples_until_a_key(void **state)
{
	struct screen *screen;

	letters_make_profile(&profile);
	letters_add_stack(profile, "ab", 1);
	screen = screen_create_view(&view_tree, profile, 60, 20);
	assert_paths(screen, "▾ target\n · fa › fb  (2 frames)\n");
	letters_add_stack(profile, "xy", 50);
	letters_add_stack(profile, "xz", 50);
	assert_paths(screen, "▾ target\n ▾ fx\n  · fy\n  · fz\n · fa › fb  (2 frames)\n");
	screen_press(screen, "j<Left>");
	letters_add_stack(profile, "xz", 5000);
	assert_paths(screen, "▾ target\n ▸ fx\n · fa › fb  (2 frames)\n");
	screen_destroy(screen);
}

static void test_order_and_selection_are_stable(void **state)
{
	struct screen *screen;
	unsigned i;

	letters_make_profile(&profile);
	letters_add_stack(profile, "ab", 1000);
	letters_add_stack(profile, "ac", 900);
	screen = screen_create_view(&view_tree, profile, 60, 20);
	screen_press(screen, "jjj");
	screen_assert_row_shows(screen, 19, "fc");
	for (i = 0; i < 20; i++) {
		letters_add_stack(profile, "ac", 10); /* 1,100 at the end: not clearly more */
		assert_paths(screen, "▾ target\n ▾ fa\n  · fb\n  · fc\n");
	}
	letters_add_stack(profile, "ac", 5000);
	assert_paths(screen, "▾ target\n ▾ fa\n  · fb\n  · fc\n");
	for (i = 0; i < 6; i++, screen_text(screen))
		letters_add_stack(profile, "ac", 1);
	assert_paths(screen, "▾ target\n ▾ fa\n  · fc\n  · fb\n");
	screen_assert_row_shows(screen, 4, "▸");
	screen_assert_row_shows(screen, 19, "fc");
	screen_destroy(screen);
}

static void test_names_that_come_later(void **state)
{
	struct screen *screen;

	profile_destroy(profile);
	assert_null(fixture_profile_create_unnamed(&profile));
	screen = screen_create_view(&view_tree, profile, 80, 24);
	screen_press(screen, "jjj*<Enter>");
	fixture_profile_name_all(profile);
	screen_assert_hides(screen, "api-server+0x");
	screen_press(screen, "<Esc><Esc><Esc>i");
	screen_assert_shows(screen, "json::Parser::next()");
	screen_destroy(screen);
}

/* ---- no size and no profile is too small ---- */

static void press_everything(struct screen *screen)
{
	static const char *const keys[] = {"j",	      "<Right>", "j",	  "*",	     "G", "l", "<Enter>",
					   "<PgUp>",  "h",	 "H",	  "<Enter>", "i", "l", "G",
					   "<Enter>", "H",	 "<Esc>", "<Esc>",   "L", "n", "<Esc>",
					   "i",	      "g",	 "N",	  "r",	     "h", "c", NULL};
	int i;

	for (i = 0; keys[i]; i++)
		screen_press(screen, keys[i]);
}

static void test_every_size(void **state)
{
	struct screen *screen = screen_create_view(&view_tree, profile, 1, 1);
	unsigned columns, rows;

	screen_search(screen, "json");
	for (columns = 1; columns < 130; columns += columns < 6 ? 1 : 21)
		for (rows = 1; rows < 40; rows += rows < 6 ? 1 : 13) {
			screen_resize(screen, columns, rows);
			press_everything(screen);
		}
	screen_destroy(screen);
}

static void test_no_samples(void **state)
{
	struct screen *screen;

	profile_destroy(profile);
	assert_null(profile_create(&profile));
	screen = screen_create_view(&view_tree, profile, 80, 24);
	screen_assert_shows(screen, "0 samples after");
	press_everything(screen);
	screen_destroy(screen);
}

static void test_a_very_deep_stack(void **state)
{
	struct screen *screen;
	char letters[2001];
	unsigned i;

	letters_make_profile(&profile);
	for (i = 0; i < sizeof(letters) - 1; i++)
		letters[i] = (char)('a' + i % 3);
	letters[sizeof(letters) - 1] = '\0';
	letters_add_stack(profile, letters, 10);
	for (i = 2000; i > 10; i -= 7) {
		letters[i] = '\0';
		letters_add_stack(profile, letters, 1000);
	}
	screen = screen_create_view(&view_tree, profile, 80, 24);
	press_everything(screen);
	screen_press(screen, "H");
	screen_assert_row_shows(screen, 23, "x.c:");
	screen_destroy(screen);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_three_sizes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_inverted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_all_unfolded_and_zoomed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ascii, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rows_of_a_known_tree, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_light_callees_are_one_row_with_their_sum, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_the_limit_goes_round, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_broken_stacks_are_roots_of_their_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_folding_and_the_parent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_zoom_in_and_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_callers_of_the_selection, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_search_unfolds_what_it_finds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_first_look_follows_the_samples_until_a_key, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_order_and_selection_are_stable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names_that_come_later, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_every_size, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_samples, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_very_deep_stack, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
