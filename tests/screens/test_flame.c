#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/fixture.h"
#include "tests/support/letters.h"
#include "tests/support/screen.h"
#include "tests/support/screen_internal.h"

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

/* ---- how it looks ---- */

static void test_three_sizes(void **state)
{
	screen_assert_golden_sizes(&view_flame, profile, "flame");
}

static void test_zoomed_and_flipped(void **state)
{
	struct screen *screen = screen_create_view(&view_flame, profile, 100, 30);

	screen_press(screen, "jjjjjj<Enter>");
	screen_assert_golden(screen, "flame-zoomed-100x30");
	screen_press(screen, "o");
	screen_resize(screen, 60, 20);
	screen_assert_golden(screen, "flame-flipped-60x20");
	screen_destroy(screen);
}

static void test_inverted(void **state)
{
	struct screen *screen = screen_create_view(&view_flame, profile, 80, 24);

	screen_press(screen, "i");
	screen_assert_golden(screen, "flame-inverted-80x24");
	screen_destroy(screen);
}

static void test_search(void **state)
{
	struct screen *screen = screen_create_view(&view_flame, profile, 100, 30);

	screen_search(screen, "json");
	assert_int_equal(screen_press(screen, "n"), VIEW_HANDLED);
	screen_assert_golden(screen, "flame-search-100x30");
	screen_destroy(screen);
}

static void test_ascii(void **state)
{
	struct screen *screen = screen_create_view(&view_flame, profile, 80, 24);
	const char *c;

	screen_set_ascii(screen, true);
	screen_press(screen, "j");
	for (c = screen_text(screen); *c; c++)
		assert_true(*c > 0);
	screen_assert_shows(screen, "|clone3 80.3%");
	screen_destroy(screen);
}

/* ---- what it says is true ---- */

static void test_widths_of_a_known_tree(void **state)
{
	struct screen *screen;

	letters_make_profile(&profile);
	letters_add_stack(profile, "ab", 30);
	letters_add_stack(profile, "ac", 20);
	letters_add_stack(profile, "a", 10);
	letters_add_stack(profile, "x", 40);
	screen = screen_create_view(&view_flame, profile, 50, 10);
	screen_assert_row_shows(screen, 1, "▏all  100 samples 100.0%                          ");
	screen_assert_row_shows(screen, 2, "▏fa 60.0%                     ▏fx 40.0%           ");
	screen_assert_row_shows(screen, 3, "▏fb 30.0%      ▏fc 20.0%                          ");
	screen_assert_row_shows(screen, 4, "                                                  ");
	screen_destroy(screen);
}

static void test_narrow_siblings_can_be_selected(void **state)
{
	struct screen *screen;

	letters_make_profile(&profile);
	letters_add_stack(profile, "ab", 900);
	letters_add_stack(profile, "ac", 15);
	letters_add_stack(profile, "ad", 15);
	letters_add_stack(profile, "aef", 10);
	letters_add_stack(profile, "x", 60);
	screen = screen_create_view(&view_flame, profile, 50, 10); /* a cell is 20 samples */
	screen_assert_row_shows(screen, 3, "▏fb 90.0%                                    ▏⋯");
	screen_press(screen, "jj<Right>");
	screen_assert_row_shows(screen, 9, "3 siblings under a cell  total 4.0%");
	assert_true(screen_style(screen, 46, 3) & STYLE_SELECTED);
	assert_false(screen_style(screen, 44, 3) & STYLE_SELECTED);
	screen_press(screen, "<Enter>"); /* zooms to what holds them: there they are wider */
	screen_assert_row_shows(screen, 0, "zoom ▸ all › fa");
	screen_press(screen, "<Esc>k");
	screen_assert_row_shows(screen, 9, "fa x.c:97");
	screen_destroy(screen);
}

static void test_a_sample_matches_once(void **state)
{
	struct screen *screen;

	letters_make_profile(&profile);
	letters_add_stack(profile, "aba", 30); /* recursion: 'fa' twice */
	letters_add_stack(profile, "ab", 10);
	letters_add_stack(profile, "xya", 20);
	letters_add_stack(profile, "xy", 40);
	screen = screen_create_view(&view_flame, profile, 80, 10);
	screen_search(screen, "fa");
	screen_assert_row_shows(screen, 9, "match 60.0% of all");
	letters_add_stack(profile, "xya", 100);
	screen_assert_row_shows(screen, 9, "match 80.0% of all");
	screen_search(screen, "f");
	screen_assert_row_shows(screen, 9, "match 100.0% of all");
	screen_search(screen, "fx"); /* as the prompt does: found first, drawn then */
	assert_true(view_flame.find(screen->view, 1));
	screen_assert_row_shows(screen, 9, "match 80.0% of all");
	screen_search(screen, "fb");
	assert_true(view_flame.find(screen->view, 1));
	screen_assert_row_shows(screen, 9, "match 20.0% of all");
	screen_search(screen, "nothing");
	screen_assert_row_shows(screen, 9, "match 0.0% of all");
	screen_search(screen, "");
	assert_null(strstr(screen_row(screen, 9), "match"));
	screen_destroy(screen);
}

static void test_colours_are_kinds_of_code(void **state)
{
	struct screen *screen = screen_create_view(&view_flame, profile, 100, 30);

	screen_text(screen);
	assert_int_equal(STYLE_BASE(screen_style(screen, 2, 2)), STYLE_KIND_LIBC);    /* clone3 */
	assert_int_equal(STYLE_BASE(screen_style(screen, 2, 4)), STYLE_KIND_APP);     /* worker_main */
	assert_int_equal(STYLE_BASE(screen_style(screen, 82, 9)), STYLE_KIND_KERNEL); /* do_syscall_64 */
	screen_destroy(screen);
}

/* ---- keys ---- */

static void test_moving(void **state)
{
	struct screen *screen;

	letters_make_profile(&profile);
	letters_add_stack(profile, "ab", 30);
	letters_add_stack(profile, "acd", 20);
	letters_add_stack(profile, "x", 40);
	screen = screen_create_view(&view_flame, profile, 80, 12);
	screen_press(screen, "<Down>");
	screen_assert_row_shows(screen, 11, "fa x.c:97");
	screen_press(screen, "<Right>");
	screen_assert_row_shows(screen, 11, "fx x.c:120");
	screen_press(screen, "lhj");
	screen_assert_row_shows(screen, 11, "fb x.c:98");
	screen_press(screen, "ljj");
	screen_assert_row_shows(screen, 11, "fd x.c:100");
	screen_press(screen, "kkk");
	screen_assert_row_shows(screen, 11, "all samples");
	screen_press(screen, "H");
	screen_assert_row_shows(screen, 11, "fb x.c:98");
	screen_press(screen, "o<Down>"); /* flipped: down is towards the root */
	screen_assert_row_shows(screen, 11, "fa x.c:97");
	assert_true(screen_style(screen, 0, 9) & STYLE_SELECTED);
	screen_press(screen, "<Up>");
	screen_assert_row_shows(screen, 11, "fb x.c:98");
	assert_int_equal(screen_press(screen, "c"), VIEW_GO_HOT);
	assert_string_equal(profile_get_function(profile, screen_context(screen)->selected_function).name,
			    "fb");
	assert_int_equal(screen_press(screen, "z"), VIEW_IGNORED);
	screen_destroy(screen);
}

static void test_zoom_in_and_out(void **state)
{
	struct screen *screen;

	letters_make_profile(&profile);
	letters_add_stack(profile, "ab", 30);
	letters_add_stack(profile, "acd", 20);
	letters_add_stack(profile, "x", 50);
	screen = screen_create_view(&view_flame, profile, 80, 12);
	assert_int_equal(screen_press(screen, "<Esc>"), VIEW_IGNORED);
	screen_press(screen, "jhjl<Enter>");
	screen_assert_row_shows(screen, 0, "zoom ▸ all › fa › fc");
	screen_assert_row_shows(screen, 1, "▏fc 20.0%   ");
	screen_assert_row_shows(screen, 2, "▏fd         ");
	screen_assert_row_shows(screen, 11, "total 20.0%");
	screen_assert_row_shows(screen, 11, "of all, 100.0% of zoom");
	screen_press(screen, "j");
	assert_int_equal(screen_press(screen, "<Esc>"), VIEW_HANDLED);
	screen_assert_row_shows(screen, 0, "zoom ▸ all › fa ");
	screen_assert_row_shows(screen, 11, "fd x.c:100");
	assert_int_equal(screen_press(screen, "<Esc>"), VIEW_HANDLED);
	screen_assert_row_shows(screen, 1, "▏all");
	assert_int_equal(screen_press(screen, "<Esc>"), VIEW_IGNORED);
	screen_press(screen, "<Enter>=");
	screen_assert_row_shows(screen, 1, "▏all");
	screen_destroy(screen);
}

/* A share that is a lower bound asks to be drawn again, until the sum is whole: a snapshot gets no news that
 * would do it. */
static void test_a_long_sum_ends_without_keys(void **state)
{
	struct screen *screen;
	char letters[4] = "";
	unsigned i, j, k;

	letters_make_profile(&profile);
	for (i = 0; i < 26; i++)
		for (j = 0; j < 26; j++)
			for (k = 0; k < 26; k++) {
				letters[0] = (char)('a' + i);
				letters[1] = (char)('a' + j);
				letters[2] = (char)('a' + k);
				letters_add_stack(profile, letters, 1);
				/* every node above has a child, so that all are looked at */
			}
	letters_add_stack(profile, "abcdefghijklmnopqrstuvwxyz", 1);
	screen = screen_create_view(&view_flame, profile, 80, 12);
	screen_context(screen)->wants_more = false;
	screen_search(screen, "nothing has this name");
	screen_text(screen);
	for (i = 0; screen_context(screen)->wants_more && i < 100; i++) {
		screen_context(screen)->wants_more = false;
		screen_text(screen);
	}
	assert_false(screen_context(screen)->wants_more);
	screen_assert_shows(screen, "match 0.0% of all");
	screen_destroy(screen);
}

static void test_deep_stacks_scroll(void **state)
{
	struct screen *screen;
	char letters[600];
	unsigned i;

	letters_make_profile(&profile);
	for (i = 0; i < sizeof(letters) - 1; i++)
		letters[i] = (char)('a' + i % 5);
	letters[sizeof(letters) - 1] = '\0';
	letters_add_stack(profile, letters, 10);
	screen = screen_create_view(&view_flame, profile, 80, 12);
	screen_text(screen); /* a view alone: its scope is asked for before it is drawn */
	screen_assert_row_shows(screen, 0, "depth 0-9, deeper below");
	for (i = 0; i < 30; i++)
		screen_press(screen, "j");
	screen_assert_row_shows(screen, 0, "depth 21-30, deeper below");
	screen_assert_row_shows(screen, 10, "▏fe"); /* the 30th letter is in the last row */
	assert_true(screen_style(screen, 0, 10) & STYLE_SELECTED);
	screen_press(screen, "H");
	screen_assert_row_shows(screen, 10, "▏fd"); /* the 599th */
	assert_null(strstr(screen_row(screen, 0), "deeper"));
	assert_true(screen_style(screen, 0, 10) & STYLE_SELECTED);
	screen_press(screen, "g");
	screen_assert_row_shows(screen, 1, "▏all");
	screen_destroy(screen);
}

/* ---- live ---- */

static void test_frames_stay_where_they_are(void **state)
{
	struct screen *screen;
	unsigned i;

	letters_make_profile(&profile);
	letters_add_stack(profile, "ab", 1000);
	letters_add_stack(profile, "ac", 900);
	screen = screen_create_view(&view_flame, profile, 80, 12);
	screen_press(screen, "jjl");
	screen_assert_row_shows(screen, 11, "fc");
	for (i = 0; i < 20; i++) {
		letters_add_stack(profile, "ac", 10); /* 1,100 at the end: not clearly more */
		screen_assert_row_shows(screen, 3, "▏fb");
		assert_true(strstr(screen_row(screen, 3), "▏fb") < strstr(screen_row(screen, 3), "▏fc"));
	}
	letters_add_stack(profile, "ad", 1200); /* a new one goes right */
	assert_true(strstr(screen_row(screen, 3), "▏fc") < strstr(screen_row(screen, 3), "▏fd"));
	letters_add_stack(profile, "ac", 9000);
	for (i = 0; i < 6; i++, screen_text(screen))
		letters_add_stack(profile, "ac", 1);
	assert_true(strstr(screen_row(screen, 3), "▏fc") < strstr(screen_row(screen, 3), "▏fd"));
	screen_assert_row_shows(screen, 11, "fc"); /* the cursor went with it */
	screen_destroy(screen);
}

static void test_names_that_come_later(void **state)
{
	struct screen *screen;

	profile_destroy(profile);
	assert_null(fixture_profile_create_unnamed(&profile));
	screen = screen_create_view(&view_flame, profile, 100, 30);
	screen_press(screen, "jjjj<Enter>jj");
	fixture_profile_name_all(profile);
	screen_assert_hides(screen, "api-server+0x");
	screen_press(screen, "<Esc><Esc><Esc><Esc>i");
	screen_assert_shows(screen, "Parser::next");
	screen_destroy(screen);
}

/* ---- no size and no profile is too small ---- */

static void press_everything(struct screen *screen)
{
	static const char *const keys[] = {"j",	      "j", "j", "l",	   "l",	    "<Enter>", "H", "<Enter>",
					   "k",	      "o", "j", "k",	   "l",	    "l",       "i", "j",
					   "<Enter>", "H", "G", "<Enter>", "<Esc>", "<Esc>",   "i", "n",
					   "N",	      "c", "r", "g",	   "=",	    "h",       "o", NULL};
	int i;

	for (i = 0; keys[i]; i++)
		screen_press(screen, keys[i]);
}

static void test_every_size(void **state)
{
	struct screen *screen = screen_create_view(&view_flame, profile, 1, 1);
	unsigned columns, rows;

	screen_search(screen, "json");
	for (columns = 1; columns < 310; columns += columns < 12 ? 1 : 37)
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
	screen = screen_create_view(&view_flame, profile, 80, 24);
	screen_assert_shows(screen, "0 samples after");
	press_everything(screen);
	screen_destroy(screen);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_three_sizes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_zoomed_and_flipped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_inverted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_search, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ascii, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_widths_of_a_known_tree, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_narrow_siblings_can_be_selected, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_sample_matches_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_colours_are_kinds_of_code, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_moving, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_zoom_in_and_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_long_sum_ends_without_keys, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deep_stacks_scroll, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_frames_stay_where_they_are, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names_that_come_later, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_every_size, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_samples, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
