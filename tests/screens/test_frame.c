/* The dashboard's frame, the overview and the help: golden screens, states in words, keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/fixture.h"
#include "tests/support/screen.h"
#include "tui/app.h"
#include "tui/commands.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S 1000000000ull

static struct profile *profile;

static int create_profile(void **state)
{
	return fixture_profile_create(&profile) ? -1 : 0;
}

static int destroy_profile(void **state)
{
	profile_destroy(profile);
	return 0;
}

static const unsigned sizes[][2] = {{100, 30}, {80, 24}, {60, 20}};

static void assert_golden_at_all_sizes(const char *name, const char *keys)
{
	char golden[80];
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct screen *screen = screen_create_app(profile, NULL, sizes[i][0], sizes[i][1]);

		screen_press(screen, keys);
		snprintf(golden, sizeof(golden), "%s-%ux%u", name, sizes[i][0], sizes[i][1]);
		screen_assert_golden(screen, golden);
		screen_destroy(screen);
	}
}

static void test_overview(void **state)
{
	assert_golden_at_all_sizes("overview", "");
}

static void test_overview_moved_and_all_time(void **state)
{
	assert_golden_at_all_sizes("overview-all", "wjj");
}

static void test_help(void **state)
{
	assert_golden_at_all_sizes("help", "?");
}

static void test_ascii(void **state)
{
	const struct app_options options = {.ascii = true};
	struct screen *screen = screen_create_app(profile, &options, 80, 24);
	const char *text = screen_text(screen);

	for (; *text; text++)
		assert_true((unsigned char)*text < 0x7f);
	screen_assert_golden(screen, "overview-ascii-80x24");
	screen_destroy(screen);
}

/* ---- states ---- */

static struct screen *create_empty(struct profile **ret)
{
	assert_null(profile_create(ret));
	return screen_create_app(*ret, NULL, 80, 24);
}

static void test_no_samples(void **state)
{
	struct profile *empty;
	struct screen *screen = create_empty(&empty);
	struct source_status *status = screen_status(screen);

	status->target = "sleeper";
	status->pid = 77;
	status->hz_requested = 99;
	status->state = SOURCE_STARTING;
	screen_assert_shows(screen, "attaching");
	status->state = SOURCE_LIVE;
	status->elapsed_ns = S / 2;
	screen_assert_shows(screen, "no samples yet");
	status->elapsed_ns = 3 * S;
	status->target_cpu_cores = 0;
	screen_assert_shows(screen, "0 samples after 3.00 s: target is idle (0.0% CPU)");
	screen_assert_golden(screen, "no-samples-80x24");
	status->target_cpu_cores = 0.85;
	screen_assert_shows(screen, "but the target uses 85.0% CPU");
	status->target_cpu_cores = NAN;
	screen_assert_shows(screen, "CPU use is not known");
	status->state = SOURCE_EXITED;
	status->exit_kind = EXIT_CODE;
	status->exit_value = 3;
	screen_assert_shows(screen, "0 samples: the target exited 3 at 00:03");
	status->state = SOURCE_SNAPSHOT;
	screen_assert_shows(screen, "this snapshot has no samples");
	screen_press(screen, "1234jk<Enter><Esc>gG/x<Enter>nNw"); /* nothing to show is no fault */
	screen_destroy(screen);
	profile_destroy(empty);
}

static void test_exited(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 100, 30);
	struct source_status *status = screen_status(screen);

	screen_press(screen, "");
	status->state = SOURCE_EXITED;
	status->exit_kind = EXIT_SIGNAL;
	status->exit_value = SIGKILL;
	screen_assert_shows(screen, "● EXITED 137 (SIGKILL) at 01:32. Data kept. S save  q quit");
	screen_assert_shows(screen, "│ ● EXITED(137) 01:32 │");
	screen_press(screen, "j"); /* where there is room it stays */
	screen_assert_shows(screen, "● EXITED 137 (SIGKILL)");
	screen_assert_golden(screen, "exited-100x30");
	screen_resize(screen, 60, 20);
	screen_press(screen, "j");
	screen_assert_shows(screen, "●EXITED");
	screen_assert_hides(screen, "Data kept");
	screen_destroy(screen);
}

static void test_states_in_the_header(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 80, 24);
	struct source_status *status = screen_status(screen);

	status->state = SOURCE_PAUSED;
	screen_assert_shows(screen, "‖PAUSED 01:32");
	status->state = SOURCE_SNAPSHOT;
	screen_assert_shows(screen, "■SNAPSHOT 01:32");
	status->state = SOURCE_LOST;
	screen_assert_shows(screen, "PROBE DIED");
	screen_assert_shows(screen, "The probe died at 01:32. Data kept.");
	status->state = SOURCE_LIVE;
	screen_press(screen, "k");
	status->lost = 812;
	screen_assert_shows(screen, "lost 812");
	screen_assert_shows(screen, "lost 812 samples (");
	status->lost = 0;
	status->tables_total = 31;
	status->tables_ready = 14;
	screen_assert_shows(screen, "reading unwind tables 14/31");
	status->tables_ready = 31;
	status->names_pending = 4000;
	screen_assert_shows(screen, "reading names: 4000 to come");
	screen_destroy(screen);
}

static void test_header_shrinks_by_priority(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 140, 24);

	screen_assert_shows(screen, " kiln │ api-server[4242] │ ● LIVE 01:32 │ cpu ");
	screen_resize(screen, 80, 24);
	screen_assert_shows(screen, "98.7/99Hz"); /* delivered and requested, also where most people are */
	screen_resize(screen, 60, 24);
	screen_assert_shows(screen, "●LIVE 01:32");
	screen_assert_shows(screen, "99/99Hz");
	screen_assert_shows(screen, "lost0");
	screen_assert_shows(screen, "ovh0.4%");
	screen_assert_shows(screen, "stk98%");
	screen_resize(screen, 40, 24);
	screen_assert_shows(screen, "api-server ●LIVE ");
	screen_assert_shows(screen, "lost0");
	screen_destroy(screen);
}

static void test_too_small(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 38, 9);

	screen_assert_golden(screen, "too-small-38x9");
	screen_resize(screen, 50, 9);
	screen_assert_shows(screen, "50x9 is below 40x10; collecting goes on");
	screen_destroy(screen);
}

/* Every screen at every size, with keys: no fault, whatever fits. */
static void test_every_size(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 1, 1);
	unsigned columns, rows;

	for (columns = 1; columns <= 130; columns += 3) {
		for (rows = 1; rows <= 40; rows += 2) {
			screen_resize(screen, columns, rows);
			screen_press(screen, "1jwk?<Esc>2j3j4j/x<Esc>");
		}
	}
	screen_resize(screen, 300, 100);
	screen_press(screen, "1234");
	screen_destroy(screen);
}

/* ---- keys ---- */

static void test_screens(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 100, 30);

	screen_assert_shows(screen, "[1 Over]");
	screen_press(screen, "2");
	screen_assert_shows(screen, "[2 Hot]");
	screen_press(screen, "]");
	screen_assert_shows(screen, "[3 Tree]");
	screen_press(screen, "[[");
	screen_assert_shows(screen, "[1 Over]");
	screen_press(screen, "[");
	screen_assert_shows(screen, "[5 Mem]");
	screen_press(screen, "<Tab>");
	screen_assert_shows(screen, "[1 Over]");
	screen_press(screen, "<BackTab>");
	screen_assert_shows(screen, "[5 Mem]");
	screen_destroy(screen);
}

static void test_quit(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 100, 30);

	assert_false(screen_press(screen, "<Esc>")); /* never quits */
	assert_false(screen_press(screen, "<Esc><Esc>"));
	assert_false(screen_press(screen, "?q")); /* closes the help */
	screen_assert_hides(screen, "help: Overview");
	assert_true(screen_press(screen, "q"));
	assert_true(screen_press(screen, "?Q"));
	assert_true(screen_press(screen, "<C-c>"));
	assert_false(screen_press(screen, "<Esc>/qQ")); /* in the prompt they are letters */
	screen_assert_shows(screen, "/qQ");
	screen_destroy(screen);
}

static void test_help_scrolls(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 60, 20);

	screen_press(screen, "<F1>");
	screen_assert_shows(screen, "help: Overview");
	screen_assert_shows(screen, "MOVE");
	screen_assert_shows(screen, "↓ more");
	screen_press(screen, "<PgDn><PgDn><PgDn>");
	screen_assert_hides(screen, "MOVE");
	screen_assert_hides(screen, "↓ more");
	screen_press(screen, "<PgUp><PgUp><PgUp>");
	screen_assert_shows(screen, "MOVE");
	screen_destroy(screen);
}

static void test_enter_goes_to_the_function(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 100, 30);

	screen_press(screen, "j<Enter>");
	screen_assert_shows(screen, "[2 Hot]");
	screen_assert_shows(screen, "▸");
	screen_destroy(screen);
}

static void test_search(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 100, 30);

	screen_press(screen, "n");
	screen_assert_shows(screen, "nothing to find yet");
	screen_press(screen, "/MEMMOVE");
	screen_assert_shows(screen, "/MEMMOVE");
	screen_press(screen, "<Enter>");
	screen_assert_shows(screen, "no match for /MEMMOVE/"); /* a capital: case counts */
	screen_press(screen, "/__MEM<BS><BS><BS>memmove|sha256<Enter>");
	screen_assert_shows(screen, "▸  5.7%");
	screen_assert_golden(screen, "overview-search-100x30");
	screen_press(screen, "n");
	screen_assert_hides(screen, "▸  5.7%");
	screen_press(screen, "N");
	screen_assert_shows(screen, "▸  5.7%");
	screen_press(screen, "/zzz<Esc>"); /* cancelled: the search before is back */
	screen_assert_shows(screen, "/__memmove|sha256/");
	screen_press(screen, "<Esc>");
	screen_assert_hides(screen, "/__memmove|sha256/");
	screen_destroy(screen);
}

static void test_hostile_patterns(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 100, 30);

	screen_press(screen, "/foo(");
	screen_assert_shows(screen, "Unmatched (");
	screen_press(screen, "<Enter>"); /* stays open, so that it can be mended */
	screen_assert_shows(screen, "/foo( ");
	screen_press(screen, "<Esc>/(((a{99}){99}){99})");
	screen_assert_shows(screen, "more than one {n,m}");
	screen_press(screen, "<Esc>/(a)\\1");
	screen_assert_shows(screen, "back references");
	screen_press(screen, "<Esc>/a{99999999}");
	screen_assert_shows(screen, "too large");
	screen_press(screen, "<Esc>/");
	for (unsigned i = 0; i < 300; i++)
		screen_press(screen, "中");
	screen_press(screen, "<Enter><Esc>");
	screen_destroy(screen);
}

static void test_save(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 100, 30);

	screen_press(screen, "S");
	assert_int_equal(screen_calls(screen).saves, 1);
	screen_assert_shows(screen, "saving");
	screen_press(screen, "S");
	screen_assert_shows(screen, "not saved: a save is running already");
	screen_finish_save(screen, NULL, "/data/api-server-4242.kiln");
	screen_assert_shows(screen, "saved /data/api-server-4242.kiln");
	screen_press(screen, "j");
	screen_assert_hides(screen, "saved");
	screen_press(screen, "S");
	screen_finish_save(screen, error_create(ERROR_GENERAL, ENOSPC, "free some room", "/data/x"), NULL);
	screen_assert_shows(screen, "not saved: /data/x: No space left on device. free some room");
	screen_destroy(screen);
}

/* Nothing promises what does nothing, and a recording is shown as a whole. */
static void test_snapshot(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 80, 24);

	screen_assert_shows(screen, "S save");
	screen_assert_shows(screen, "CPU (cores), last 60 s");
	screen_status(screen)->state = SOURCE_SNAPSHOT;
	screen_assert_hides(screen, "S save");
	screen_assert_shows(screen, "CPU (cores), all time");
	screen_press(screen, "w");
	screen_assert_shows(screen, "CPU (cores), last 60 s");
	screen_press(screen, "S");
	assert_int_equal(screen_calls(screen).saves, 0);
	screen_assert_shows(screen, "nothing to save: this is a saved snapshot");
	screen_destroy(screen);
}

/* What was recorded fills the graph; what goes on gets room to grow. */
static void test_graph_of_a_short_time(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 80, 24);
	struct source_status *status = screen_status(screen);

	status->elapsed_ns = 4 * S;
	screen_assert_shows(screen, " 00:30");
	status->state = SOURCE_EXITED;
	screen_assert_hides(screen, "00:30");
	screen_assert_shows(screen, "00:05");
	screen_destroy(screen);
}

/* Three seconds at full speed in ten minutes of little: its column is 8 s long, and does not hide it. */
static void test_peak_of_a_long_time(void **state)
{
	struct profile *long_one;
	struct screen *screen;
	struct facts facts;
	uint32_t stack;
	uint64_t at;

	assert_null(profile_create(&long_one));
	profile_get_facts(profile, &facts);
	facts.duration_ns = 600 * S;
	assert_null(profile_set_facts(long_one, &facts));
	stack = profile_intern_stack(long_one, 0, 0x1000);
	for (at = 0; at < 600; at++)
		profile_add_samples(long_one, stack, at * S + S / 2, 1, 0, SAMPLE_USER, STACK_COMPLETE, 10);
	for (at = 0; at < 30; at++)
		profile_add_samples(long_one, stack, 300 * S + at * S / 10, 1, 0, SAMPLE_USER, STACK_COMPLETE,
				    10);
	screen = screen_create_app(long_one, NULL, 80, 24);
	screen_status(screen)->elapsed_ns = 600 * S;
	screen_press(screen, "w");
	screen_assert_shows(screen, "CPU (cores), all time");
	screen_assert_shows(screen, "peak 1.11 at 04:59");
	screen_assert_shows(screen, "░");
	screen_press(screen, "w");
	screen_assert_hides(screen, "░");
	screen_destroy(screen);
	profile_destroy(long_one);
}

/* ---- stacks that broke ---- */

static void add_broken(struct profile *to, uint32_t module, const char *path, enum stack_end end,
		       uint64_t count)
{
	uint32_t stack = profile_intern_stack(to, 0, FRAME(MODULE_STACK_END, end));

	assert_null(profile_set_module(to, module, MODULE_KIND_FILE, path));
	stack = profile_intern_stack(to, stack, FRAME(module, 0x1230));
	profile_add_samples(to, stack, 90 * S, 1, 0, SAMPLE_USER, end, count);
}

static struct screen *create_half_broken(struct profile **ret, bool has_heap, unsigned columns, unsigned rows)
{
	assert_null(fixture_profile_create(ret));
	if (has_heap)
		assert_null(fixture_add_heap(*ret));
	fixture_profile_name_all(*ret);
	add_broken(*ret, 21, "/srv/lib/libvendor.so", STACK_NO_TABLE, 200);
	return screen_create_app(*ret, NULL, columns, rows);
}

/* Where the heap takes the room, too, when it is bad. */
static void test_broken_stacks(void **state)
{
	struct profile *broken;
	struct screen *screen = create_half_broken(&broken, true, 80, 24);

	screen_assert_shows(screen, "stacks break in libvendor.so: no unwind table, 9.");
	screen_assert_golden(screen, "overview-broken-heap-80x24");
	screen_resize(screen, 60, 20);
	screen_assert_golden(screen, "overview-broken-heap-60x20");
	screen_resize(screen, 170, 40);
	screen_assert_shows(screen, "of samples; build it without -fno-asynchronous-unwind-tables");
	screen_resize(screen, 40, 16);
	screen_assert_shows(screen, " libvendor.so: no unwind table, 9.8%");
	screen_resize(screen, 80, 24);
	screen_status(screen)->tables_total = 31;
	screen_status(screen)->tables_ready = 14;
	screen_assert_shows(screen, "stacks break in libvendor.so: table not read yet, 9.8% of samples");
	screen_destroy(screen);
	profile_destroy(broken);
}

static void test_broken_stacks_have_a_limit(void **state)
{
	struct profile *broken;
	struct screen *screen;
	uint32_t stack;

	assert_null(profile_create(&broken));
	stack = profile_intern_stack(broken, 0, FRAME(16, 0x10));
	profile_add_samples(broken, stack, S, 1, 0, SAMPLE_USER, STACK_COMPLETE, 1990);
	stack = profile_intern_stack(broken, 0, FRAME(MODULE_STACK_END, STACK_TRUNCATED));
	profile_add_samples(broken, stack, S, 1, 0, SAMPLE_USER, STACK_TRUNCATED, 8);
	screen = screen_create_app(broken, NULL, 80, 24);
	screen_assert_hides(screen, "stacks break"); /* nobody has spoiled those that are too deep */
	add_broken(broken, 17, "/bin/a\xe4\xb8\xad", STACK_BAD_CFA, 2);
	screen_assert_hides(screen, "stacks break"); /* 0.1 % */
	add_broken(broken, 17, "/bin/a\xe4\xb8\xad", STACK_BAD_CFA, 1);
	screen_assert_shows(screen,
			    "stacks break in a\xe4\xb8\xad: an unwind rule that cannot be, 0.1% of samples");
	screen_assert_hides(screen, "more");
	for (uint32_t id = 18; id < 20; id++)
		add_broken(broken, id, "/bin/b", STACK_JIT, 1);
	screen_assert_shows(screen, "0.1% of samples  +2 more");
	profile_add_samples(broken, 1, S, 1, 0, SAMPLE_USER, STACK_COMPLETE, 2000);
	screen_assert_shows(screen, "<0.1% of samples  +2 more");
	screen_destroy(screen);
	profile_destroy(broken);
}

static void test_name_where_there_is_little_room(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 40, 10);

	screen_assert_shows(screen, " json::Parser::next()  self 27.9% ±2.0 ");
	screen_destroy(screen);
}

static void test_unknown_keys_are_answered(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 80, 24);

	screen_press(screen, "x");
	screen_assert_shows(screen, "x does nothing on this screen: ? shows the keys");
	screen_press(screen, "é");
	screen_assert_shows(screen, "é does nothing");
	screen_press(screen, "j");
	screen_assert_hides(screen, "does nothing");
	screen_press(screen, "<Esc><F1><Esc>1g^");
	screen_assert_shows(screen, "^ does nothing");
	screen_destroy(screen);
}

static void test_keys_of_the_sandwich(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 80, 24);

	screen_press(screen, "2");
	screen_assert_shows(screen, "s sort");
	screen_press(screen, "<Enter>");
	screen_assert_hides(screen, "s sort");
	screen_assert_shows(screen, "Esc back");
	screen_press(screen, "<Esc>");
	screen_assert_shows(screen, "s sort");
	screen_destroy(screen);
}

static void test_suspend_pauses_first(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 100, 30);

	screen_press(screen, "<C-z>");
	assert_int_equal(screen_calls(screen).pauses, 1);
	assert_int_equal(screen_calls(screen).resumes, 1);
	screen_status(screen)->state = SOURCE_EXITED; /* nothing is collected: nothing to pause */
	screen_press(screen, "<C-z>");
	assert_int_equal(screen_calls(screen).pauses, 1);
	screen_destroy(screen);
}

static void test_notes_are_said_once(void **state)
{
	const struct app_options options = {.note = "output of CMD: /tmp/out.txt"};
	struct screen *screen = screen_create_app(profile, &options, 100, 30);

	screen_assert_shows(screen, "output of CMD: /tmp/out.txt");
	screen_press(screen, "j");
	screen_assert_hides(screen, "output of CMD");
	screen_status(screen)->note = "the target has executed another program";
	screen_assert_shows(screen, "the target has executed another program");
	screen_press(screen, "j");
	screen_assert_hides(screen, "the target has executed");
	screen_destroy(screen);
}

/* The same picture when nothing changed: what term.c needs to write no byte. */
static void test_drawing_twice_is_the_same(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 100, 30);
	char *first;

	for (char key = '1'; key <= '4'; key++) {
		char keys[2] = {key};

		screen_press(screen, keys);
		first = strdup(screen_text(screen));
		assert_string_equal(first, screen_text(screen));
		free(first);
	}
	screen_destroy(screen);
}

/* ---- the list of commands ---- */

static bool is_listed(const char *key, char screen_key)
{
	size_t i, length = strlen(key);

	for (i = 0; i < commands_count; i++) {
		const char *at = commands[i].keys;

		if (!command_is_on_screen(&commands[i], screen_key))
			continue;
		while ((at = strstr(at, key))) {
			if ((at == commands[i].keys || at[-1] == ' ') && (at[length] == ' ' || !at[length]))
				return true;
			at++;
		}
	}
	return false;
}

/* What the row of keys of a screen promises ("Enter open  s sort") is in the help, too. */
static void test_hints_are_commands(void **state)
{
	const struct view_ops *const views[] = {&view_overview, &view_hot, &view_tree, &view_flame};
	size_t i;

	for (i = 0; i < 4; i++) {
		const char *hint = views[i]->keys, *next;

		for (; hint; hint = next) {
			char *key = strndup(hint, strcspn(hint, " "));

			if (!is_listed(key, views[i]->key))
				fail_msg("%s: the key %s is not in commands.def", views[i]->name, key);
			free(key);
			next = strstr(hint, "  ");
			next = next ? next + 2 : NULL;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overview),
		cmocka_unit_test(test_overview_moved_and_all_time),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_ascii),
		cmocka_unit_test(test_no_samples),
		cmocka_unit_test(test_exited),
		cmocka_unit_test(test_states_in_the_header),
		cmocka_unit_test(test_header_shrinks_by_priority),
		cmocka_unit_test(test_too_small),
		cmocka_unit_test(test_every_size),
		cmocka_unit_test(test_screens),
		cmocka_unit_test(test_quit),
		cmocka_unit_test(test_help_scrolls),
		cmocka_unit_test(test_enter_goes_to_the_function),
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_hostile_patterns),
		cmocka_unit_test(test_save),
		cmocka_unit_test(test_snapshot),
		cmocka_unit_test(test_graph_of_a_short_time),
		cmocka_unit_test(test_peak_of_a_long_time),
		cmocka_unit_test(test_broken_stacks),
		cmocka_unit_test(test_broken_stacks_have_a_limit),
		cmocka_unit_test(test_name_where_there_is_little_room),
		cmocka_unit_test(test_unknown_keys_are_answered),
		cmocka_unit_test(test_keys_of_the_sandwich),
		cmocka_unit_test(test_suspend_pauses_first),
		cmocka_unit_test(test_notes_are_said_once),
		cmocka_unit_test(test_drawing_twice_is_the_same),
		cmocka_unit_test(test_hints_are_commands),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, create_profile, destroy_profile);
}
