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

static const char *get_row(struct screen *screen, unsigned number)
{
	static char row[1024];
	const char *text = screen_text(screen);

	while (number--)
		text = strchr(text, '\n') + 1;
	snprintf(row, sizeof(row), "%.*s", (int)strcspn(text, "\n"), text);
	return row;
}

static void assert_row_shows(struct screen *screen, unsigned number, const char *text)
{
	const char *row = get_row(screen, number);

	if (!strstr(row, text))
		fail_msg("\"%s\" is not in row %u: \"%s\"", text, number, row);
}

/* A profile of our own: stacks are strings of letters, root first; 'a' is the function "fa". */
static void make_profile(void)
{
	const char *file = "x.c";
	char letter, name[3] = "fa";

	profile_destroy(profile);
	assert_null(profile_create(&profile));
	assert_null(profile_set_module(profile, MODULE_FIRST_FILE, MODULE_KIND_FILE, "/bin/x"));
	for (letter = 'a'; letter <= 'z'; letter++) {
		name[1] = letter;
		profile_set_frame(profile, FRAME(MODULE_FIRST_FILE, letter),
				  profile_intern_function(profile, MODULE_FIRST_FILE, name), file, letter);
	}
}

static void add_stack(const char *letters, uint64_t count)
{
	uint32_t stack = 0;

	for (; *letters; letters++)
		stack = profile_intern_stack(profile, stack, FRAME(MODULE_FIRST_FILE, *letters));
	profile_add_samples(profile, stack, 1000000000, 1, 0, SAMPLE_USER, STACK_COMPLETE, count);
}

static unsigned get_style(struct screen *screen, unsigned column, unsigned row)
{
	return canvas_get(screen_canvas(screen), column, row).style;
}

/* ---- how it looks ---- */

static void test_three_sizes(void **state)
{
	struct screen *screen = screen_create_view(&view_flame, profile, 100, 30);

	screen_assert_golden(screen, "flame-100x30");
	screen_resize(screen, 80, 24);
	screen_assert_golden(screen, "flame-80x24");
	screen_resize(screen, 60, 20);
	screen_assert_golden(screen, "flame-60x20");
	screen_destroy(screen);
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

	make_profile();
	add_stack("ab", 30);
	add_stack("ac", 20);
	add_stack("a", 10);
	add_stack("x", 40);
	screen = screen_create_view(&view_flame, profile, 50, 10);
	assert_row_shows(screen, 1, "▏all  100 samples 100.0%                          ");
	assert_row_shows(screen, 2, "▏fa 60.0%                     ▏fx 40.0%           ");
	assert_row_shows(screen, 3, "▏fb 30.0%      ▏fc 20.0%                          ");
	assert_row_shows(screen, 4, "                                                  ");
	screen_destroy(screen);
}

static void test_narrow_siblings_can_be_selected(void **state)
{
	struct screen *screen;

	make_profile();
	add_stack("ab", 900);
	add_stack("ac", 15);
	add_stack("ad", 15);
	add_stack("aef", 10);
	add_stack("x", 60);
	screen = screen_create_view(&view_flame, profile, 50, 10); /* a cell is 20 samples */
	assert_row_shows(screen, 3, "▏fb 90.0%                                    ▏⋯");
	screen_press(screen, "jj<Right>");
	assert_row_shows(screen, 9, "3 siblings under a cell  total 4.0%");
	assert_true(get_style(screen, 46, 3) & STYLE_SELECTED);
	assert_false(get_style(screen, 44, 3) & STYLE_SELECTED);
	screen_press(screen, "<Enter>"); /* zooms to what holds them: there they are wider */
	assert_row_shows(screen, 0, "zoom ▸ all › fa");
	screen_press(screen, "<Esc>k");
	assert_row_shows(screen, 9, "fa x.c:97");
	screen_destroy(screen);
}

static void test_a_sample_matches_once(void **state)
{
	struct screen *screen;

	make_profile();
	add_stack("aba", 30); /* recursion: 'fa' twice */
	add_stack("ab", 10);
	add_stack("xya", 20);
	add_stack("xy", 40);
	screen = screen_create_view(&view_flame, profile, 80, 10);
	screen_search(screen, "fa");
	assert_row_shows(screen, 9, "match 60.0% of all");
	add_stack("xya", 100);
	assert_row_shows(screen, 9, "match 80.0% of all");
	screen_search(screen, "f");
	assert_row_shows(screen, 9, "match 100.0% of all");
	screen_search(screen, "fx"); /* as the prompt does: found first, drawn then */
	assert_true(view_flame.find(screen->view, 1));
	assert_row_shows(screen, 9, "match 80.0% of all");
	screen_search(screen, "fb");
	assert_true(view_flame.find(screen->view, 1));
	assert_row_shows(screen, 9, "match 20.0% of all");
	screen_search(screen, "nothing");
	assert_row_shows(screen, 9, "match 0.0% of all");
	screen_search(screen, "");
	assert_null(strstr(get_row(screen, 9), "match"));
	screen_destroy(screen);
}

static void test_colours_are_kinds_of_code(void **state)
{
	struct screen *screen = screen_create_view(&view_flame, profile, 100, 30);

	screen_text(screen);
	assert_int_equal(STYLE_BASE(get_style(screen, 2, 2)), STYLE_KIND_LIBC);	   /* clone3 */
	assert_int_equal(STYLE_BASE(get_style(screen, 2, 4)), STYLE_KIND_APP);	   /* worker_main */
	assert_int_equal(STYLE_BASE(get_style(screen, 82, 9)), STYLE_KIND_KERNEL); /* do_syscall_64 */
	screen_destroy(screen);
}

/* ---- keys ---- */

static void test_moving(void **state)
{
	struct screen *screen;

	make_profile();
	add_stack("ab", 30);
	add_stack("acd", 20);
	add_stack("x", 40);
	screen = screen_create_view(&view_flame, profile, 80, 12);
	screen_press(screen, "<Down>");
	assert_row_shows(screen, 11, "fa x.c:97");
	screen_press(screen, "<Right>");
	assert_row_shows(screen, 11, "fx x.c:120");
	screen_press(screen, "lhj");
	assert_row_shows(screen, 11, "fb x.c:98");
	screen_press(screen, "ljj");
	assert_row_shows(screen, 11, "fd x.c:100");
	screen_press(screen, "kkk");
	assert_row_shows(screen, 11, "all samples");
	screen_press(screen, "H");
	assert_row_shows(screen, 11, "fb x.c:98");
	screen_press(screen, "o<Down>"); /* flipped: down is towards the root */
	assert_row_shows(screen, 11, "fa x.c:97");
	assert_true(get_style(screen, 0, 9) & STYLE_SELECTED);
	screen_press(screen, "<Up>");
	assert_row_shows(screen, 11, "fb x.c:98");
	assert_int_equal(screen_press(screen, "c"), VIEW_GO_HOT);
	assert_string_equal(profile_get_function(profile, screen_context(screen)->selected_function).name,
			    "fb");
	assert_int_equal(screen_press(screen, "z"), VIEW_IGNORED);
	screen_destroy(screen);
}

static void test_zoom_in_and_out(void **state)
{
	struct screen *screen;

	make_profile();
	add_stack("ab", 30);
	add_stack("acd", 20);
	add_stack("x", 50);
	screen = screen_create_view(&view_flame, profile, 80, 12);
	assert_int_equal(screen_press(screen, "<Esc>"), VIEW_IGNORED);
	screen_press(screen, "jhjl<Enter>");
	assert_row_shows(screen, 0, "zoom ▸ all › fa › fc");
	assert_row_shows(screen, 1, "▏fc 20.0%   ");
	assert_row_shows(screen, 2, "▏fd         ");
	assert_row_shows(screen, 11, "total 20.0%");
	assert_row_shows(screen, 11, "of all, 100.0% of zoom");
	screen_press(screen, "j");
	assert_int_equal(screen_press(screen, "<Esc>"), VIEW_HANDLED);
	assert_row_shows(screen, 0, "zoom ▸ all › fa ");
	assert_row_shows(screen, 11, "fd x.c:100");
	assert_int_equal(screen_press(screen, "<Esc>"), VIEW_HANDLED);
	assert_row_shows(screen, 1, "▏all");
	assert_int_equal(screen_press(screen, "<Esc>"), VIEW_IGNORED);
	screen_press(screen, "<Enter>=");
	assert_row_shows(screen, 1, "▏all");
	screen_destroy(screen);
}

/* A share that is a lower bound asks to be drawn again, until the sum is whole: a snapshot gets no news that
 * would do it. */
static void test_a_long_sum_ends_without_keys(void **state)
{
	struct screen *screen;
	char letters[4] = "";
	unsigned i, j, k;

	make_profile();
	for (i = 0; i < 26; i++)
		for (j = 0; j < 26; j++)
			for (k = 0; k < 26; k++) {
				letters[0] = (char)('a' + i);
				letters[1] = (char)('a' + j);
				letters[2] = (char)('a' + k);
				add_stack(letters, 1);
				/* every node above has a child, so that all are looked at */
			}
	add_stack("abcdefghijklmnopqrstuvwxyz", 1);
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

	make_profile();
	for (i = 0; i < sizeof(letters) - 1; i++)
		letters[i] = (char)('a' + i % 5);
	letters[sizeof(letters) - 1] = '\0';
	add_stack(letters, 10);
	screen = screen_create_view(&view_flame, profile, 80, 12);
	screen_text(screen); /* a view alone: its scope is asked for before it is drawn */
	assert_row_shows(screen, 0, "depth 0-9, deeper below");
	for (i = 0; i < 30; i++)
		screen_press(screen, "j");
	assert_row_shows(screen, 0, "depth 21-30, deeper below");
	assert_row_shows(screen, 10, "▏fe"); /* the 30th letter is in the last row */
	assert_true(get_style(screen, 0, 10) & STYLE_SELECTED);
	screen_press(screen, "H");
	assert_row_shows(screen, 10, "▏fd"); /* the 599th */
	assert_null(strstr(get_row(screen, 0), "deeper"));
	assert_true(get_style(screen, 0, 10) & STYLE_SELECTED);
	screen_press(screen, "g");
	assert_row_shows(screen, 1, "▏all");
	screen_destroy(screen);
}

/* ---- live ---- */

static void test_frames_stay_where_they_are(void **state)
{
	struct screen *screen;
	unsigned i;

	make_profile();
	add_stack("ab", 1000);
	add_stack("ac", 900);
	screen = screen_create_view(&view_flame, profile, 80, 12);
	screen_press(screen, "jjl");
	assert_row_shows(screen, 11, "fc");
	for (i = 0; i < 20; i++) {
		add_stack("ac", 10); /* 1,100 at the end: not clearly more */
		assert_row_shows(screen, 3, "▏fb");
		assert_true(strstr(get_row(screen, 3), "▏fb") < strstr(get_row(screen, 3), "▏fc"));
	}
	add_stack("ad", 1200); /* a new one goes right */
	assert_true(strstr(get_row(screen, 3), "▏fc") < strstr(get_row(screen, 3), "▏fd"));
	add_stack("ac", 9000);
	for (i = 0; i < 6; i++, screen_text(screen))
		add_stack("ac", 1);
	assert_true(strstr(get_row(screen, 3), "▏fc") < strstr(get_row(screen, 3), "▏fd"));
	assert_row_shows(screen, 11, "fc"); /* the cursor went with it */
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
