#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/fixture.h"
#include "tests/support/screen.h"
#include "tests/support/screen_internal.h"

#include <math.h>
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

/* More samples for the hottest stack whose leaf has this name; the profile changes once. */
static void add_samples(const char *name, uint64_t count)
{
	uint32_t number, function, best = 0, line;
	uint64_t most = 0;
	const char *file;

	for (number = 1; number <= profile_count_stacks(profile); number++) {
		struct stack stack = profile_get_stack(profile, number);

		if (stack.self > most && profile_get_name(profile, stack.frame, &function, &file, &line) &&
		    !strcmp(profile_get_function(profile, function).name, name)) {
			best = number;
			most = stack.self;
		}
	}
	assert_int_not_equal(best, 0);
	profile_add_samples(profile, best, 92000000000ull, 4242, 0, SAMPLE_USER, STACK_COMPLETE, count);
}

static uint32_t find_function(const char *name)
{
	uint32_t number;

	for (number = 0; number < profile_count_functions(profile); number++)
		if (!strcmp(profile_get_function(profile, number).name, name))
			return number;
	fail_msg("no function %s", name);
	return 0;
}

/* ---- how it looks ---- */

static void test_three_sizes(void **state)
{
	screen_assert_golden_sizes(&view_hot, profile, "hot");
}

static void test_sandwich(void **state)
{
	struct screen *screen = screen_create_view(&view_hot, profile, 100, 30);

	screen_press(screen, "c");
	screen_assert_golden(screen, "hot-sandwich-100x30");
	screen_resize(screen, 60, 20);
	screen_press(screen, "jj");
	screen_assert_golden(screen, "hot-sandwich-60x20");
	screen_destroy(screen);
}

static void test_other_order_and_units(void **state)
{
	struct screen *screen = screen_create_view(&view_hot, profile, 80, 24);

	screen_press(screen, "su");
	screen_assert_golden(screen, "hot-total-samples-80x24");
	screen_press(screen, "u");
	screen_assert_golden(screen, "hot-total-time-80x24");
	screen_destroy(screen);
}

static void test_ascii(void **state)
{
	struct screen *screen = screen_create_view(&view_hot, profile, 80, 24);
	const char *c;

	screen_set_ascii(screen, true);
	screen_press(screen, "j");
	for (c = screen_text(screen); *c; c++)
		assert_true(*c > 0);
	screen_destroy(screen);
}

/* ---- what it says is true ---- */

static void test_rows_and_rest_make_the_whole(void **state)
{
	struct screen *screen = screen_create_view(&view_hot, profile, 100, 30);
	uint64_t shown = 0, self;
	struct totals totals;
	unsigned row;
	double rest;

	profile_get_totals(profile, &totals);
	screen_press(screen, "u"); /* samples */
	for (row = 2; !strstr(screen_row(screen, row), "…  +") &&
		      strstr(screen_row(screen, row), "functions below") == NULL;
	     row++) {
		assert_int_equal(
			sscanf(screen_row(screen, row) + strspn(screen_row(screen, row), " \xe2\x96\xb8"),
			       "%lu", &self),
			1);
		shown += self;
	}
	assert_int_equal(sscanf(strstr(screen_row(screen, row), "below, "), "below, %lf%%", &rest), 1);
	assert_true(row > 10);
	assert_true(fabs(rest - 100.0 * (double)(totals.samples - shown) / (double)totals.samples) <= 0.05);
	screen_destroy(screen);
}

static void test_it_is_sorted_by_self_and_by_total(void **state)
{
	struct screen *screen = screen_create_view(&view_hot, profile, 60, 20);
	double self, total, last[2] = {101, 101};
	int by;
	unsigned row;

	for (by = 0; by < 2; by++, screen_press(screen, "s"))
		for (row = 2; row < 15; row++) {
			const char *text = screen_row(screen, row);

			assert_int_equal(
				sscanf(text + strspn(text, " \xe2\x96\xb8"), "%lf%% %lf%%", &self, &total),
				2);
			assert_true(self <= total);
			assert_true((by ? total : self) <= last[by]);
			last[by] = by ? total : self;
		}
	screen_destroy(screen);
}

static void test_the_end_of_the_list(void **state)
{
	struct screen *screen = screen_create_view(&view_hot, profile, 60, 20);
	uint32_t count = profile_count_hot(profile);
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "+%u functions below", count - 16);
	screen_assert_shows(screen, wanted);
	screen_press(screen, "G");
	screen_assert_hides(screen, "functions below");
	screen_press(screen, "k<PgUp>g");
	screen_assert_shows(screen, wanted);
	screen_assert_row_shows(screen, 2, "json::Parser::next()");
	screen_destroy(screen);
}

static void test_detail(void **state)
{
	struct screen *screen = screen_create_view(&view_hot, profile, 100, 30);
	struct function next = profile_get_function(profile, find_function("json::Parser::next()"));
	char wanted[200];

	snprintf(wanted, sizeof(wanted), "json::Parser::next() json.cc:%u api-server  self 27.", next.line);
	screen_assert_shows(screen, wanted);
	snprintf(wanted, sizeof(wanted), "n=%lu", next.self);
	screen_assert_row_shows(screen, 29, wanted);
	screen_destroy(screen);
}

/* ---- keys ---- */

static void test_the_sandwich_goes_in_and_out(void **state)
{
	struct screen *screen = screen_create_view(&view_hot, profile, 100, 30);

	screen_press(screen, "<Enter>");
	screen_assert_shows(screen, "callers and callees › json::Parser::next");
	screen_press(screen, "<Up><Enter>"); /* the heaviest caller stands next to it */
	screen_assert_shows(screen, "json::Parser::next() › Router::dispatch");
	assert_int_equal(screen_context(screen)->selected_function,
			 find_function("Router::dispatch(Request&)"));
	screen_press(screen, "g<Enter>");
	assert_int_equal(screen_press(screen, "<Esc>"), VIEW_HANDLED);
	assert_int_equal(screen_press(screen, "<Esc>"), VIEW_HANDLED);
	screen_assert_shows(screen, "callers and callees › json::Parser::next");
	screen_assert_hides(screen, "› Router::dispatch");
	assert_int_equal(screen_press(screen, "<Esc>"), VIEW_HANDLED);
	screen_assert_shows(screen, "functions below");
	assert_int_equal(screen_press(screen, "<Esc>"), VIEW_IGNORED);
	assert_int_equal(screen_press(screen, "z"), VIEW_IGNORED);
	screen_destroy(screen);
}

static void test_root_and_self_lead_nowhere(void **state)
{
	struct screen *screen = screen_create_view(&view_hot, profile, 100, 30);

	screen_press(screen, "<Enter>j"); /* the heaviest callee of json::Parser::next() is self */
	screen_assert_row_shows(screen, 29, "self");
	screen_press(screen, "<Enter>");
	screen_assert_row_shows(screen, 0, "callers and callees › json::Parser::next()  ");
	screen_destroy(screen);
}

static void test_a_selection_from_another_screen(void **state)
{
	struct screen *screen = screen_create_view(&view_hot, profile, 60, 20);

	screen_press(screen, "j");
	screen_context(screen)->selected_function = find_function("_start"); /* self 0: far below */
	view_hot.enter(screen->view);
	screen_assert_row_shows(screen, 19, "_start");
	screen_assert_shows(screen, "▸    0.0%");
	screen_context(screen)->selected_function = find_function("main"); /* and with c */
	screen_context(screen)->opens_callers = true;
	view_hot.enter(screen->view);
	screen_assert_row_shows(screen, 0, "callers and callees › main");
	assert_false(screen_context(screen)->opens_callers);
	screen_press(screen, "<Esc>");
	screen_assert_row_shows(screen, 19, "main");
	screen_destroy(screen);
}

static void test_search(void **state)
{
	struct screen *screen = screen_create_view(&view_hot, profile, 60, 20);

	screen_search(screen, "cache");
	assert_int_equal(screen_press(screen, "n"), VIEW_HANDLED);
	screen_assert_row_shows(screen, 19, "Cache::");
	screen_assert_golden(screen, "hot-search-60x20");
	assert_int_equal(screen_press(screen, "nnnnnnnnnn"),
			 VIEW_HANDLED); /* goes round, and below the screen */
	screen_assert_row_shows(screen, 19, "ache");
	assert_int_equal(screen_press(screen, "N"), VIEW_HANDLED);
	screen_assert_row_shows(screen, 19, "ache");
	screen_search(screen, "no such function");
	assert_int_equal(screen_press(screen, "n"), VIEW_IGNORED);
	screen_destroy(screen);
}

/* ---- live ---- */

static void test_order_is_held_until_it_is_clearly_wrong(void **state)
{
	struct screen *screen = screen_create_view(&view_hot, profile, 60, 20);
	const char *name = "Cache::lookup(Key const&)";
	unsigned refresh;

	screen_assert_row_shows(screen, 5, name);
	add_samples(name, 8); /* a little ahead of its neighbours: nothing moves */
	for (refresh = 0; refresh < 10; refresh++) {
		screen_assert_row_shows(screen, 5, name);
		add_samples("json::Parser::next()", 1);
	}
	add_samples(name, 5000);
	screen_assert_row_shows(screen, 5, name);
	add_samples(name, 1);
	screen_assert_row_shows(screen, 5, name);
	add_samples(name, 1);
	screen_assert_row_shows(screen, 2, name);
	screen_destroy(screen);
}

static void test_after_a_key_nothing_moves(void **state)
{
	struct screen *screen = screen_create_view(&view_hot, profile, 60, 20);
	const char *name = "Cache::lookup(Key const&)";
	unsigned refresh;

	screen_press(screen, "jjj");
	screen_assert_row_shows(screen, 19, "Cache::lookup");
	for (refresh = 0; refresh < 5; refresh++) {
		add_samples(name, 5000);
		screen_assert_row_shows(screen, 5, name);
	}
	add_samples(name, 1);
	screen_assert_row_shows(screen, 2, name);
	screen_assert_row_shows(screen, 2, "▸"); /* and the cursor went with it */
	screen_press(screen, "jjj");
	add_samples("json::Parser::next()", 90000);
	screen_assert_row_shows(screen, 3, "json::Parser::next()");
	screen_press(screen, "r");
	screen_assert_row_shows(screen, 2, "json::Parser::next()");
	screen_destroy(screen);
}

static void test_names_that_come_later(void **state)
{
	struct screen *screen;

	profile_destroy(profile);
	assert_null(fixture_profile_create_unnamed(&profile));
	screen = screen_create_view(&view_hot, profile, 80, 24);
	screen_assert_shows(screen, "api-server+0x");
	screen_press(screen, "jj");
	fixture_profile_name_all(profile);
	screen_assert_hides(screen, "api-server+0x");
	screen_assert_shows(screen, "json::Parser::next()");
	screen_press(screen, "j<Enter>j<Enter>");
	screen_destroy(screen);
}

/* ---- no size and no profile is too small ---- */

static void press_everything(struct screen *screen)
{
	static const char *const keys[] = {"j",	    "<Enter>", "j",	 "G",	  "g",	   "<PgDn>",
					   "k",	    "<Enter>", "c",	 "<Esc>", "s",	   "u",
					   "<C-d>", "r",       "<Esc>",	 "n",	  "<Esc>", "<End>",
					   "u",	    "s",       "<Home>", "N",	  "u",	   NULL};
	int i;

	for (i = 0; keys[i]; i++)
		screen_press(screen, keys[i]);
}

static void test_every_size(void **state)
{
	struct screen *screen = screen_create_view(&view_hot, profile, 1, 1);
	unsigned columns, rows;

	screen_search(screen, "json");
	for (columns = 1; columns < 130; columns += columns < 12 ? 1 : 13)
		for (rows = 1; rows < 40; rows += rows < 12 ? 1 : 9) {
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
	screen = screen_create_view(&view_hot, profile, 80, 24);
	screen_assert_shows(screen, "0 samples after");
	press_everything(screen);
	screen_status(screen)->state = SOURCE_STARTING;
	screen_assert_shows(screen, "no samples yet");
	screen_destroy(screen);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_three_sizes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sandwich, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_other_order_and_units, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ascii, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rows_and_rest_make_the_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_it_is_sorted_by_self_and_by_total, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_end_of_the_list, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_detail, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_sandwich_goes_in_and_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_root_and_self_lead_nowhere, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_selection_from_another_screen, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_search, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_order_is_held_until_it_is_clearly_wrong, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_after_a_key_nothing_moves, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names_that_come_later, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_every_size, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_samples, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
