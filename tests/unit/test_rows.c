#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tui/rows.h"
#include "tui/view.h"

#include <stdlib.h>
#include <string.h>

struct numbers {
	uint64_t keys[100];
	size_t count;
};

static uint64_t get_key(void *arg, size_t place)
{
	struct numbers *numbers = arg;

	assert_true(place < numbers->count);
	return numbers->keys[place];
}

static size_t find(void *arg, uint64_t key, size_t hint)
{
	struct numbers *numbers = arg;
	size_t i;

	for (i = 0; i < numbers->count; i++)
		if (numbers->keys[i] == key)
			return i;
	return ROWS_NONE;
}

static struct rows_list list_of(struct numbers *numbers)
{
	return (struct rows_list){numbers, numbers->count, get_key, find};
}

static struct numbers count_to(size_t count)
{
	struct numbers numbers = {.count = count};
	size_t i;

	for (i = 0; i < count; i++)
		numbers.keys[i] = i + 1000;
	return numbers;
}

static void press(struct rows *rows, struct numbers *numbers, const uint32_t *keys)
{
	struct rows_list list = list_of(numbers);

	for (; *keys; keys++)
		assert_true(rows_press(rows, &list, *keys));
}

static void refresh(struct rows *rows, struct numbers *numbers, unsigned height)
{
	struct rows_list list = list_of(numbers);

	rows_refresh(rows, &list, height);
}

static void test_keys_move_and_scroll(void **state)
{
	struct numbers numbers = count_to(50);
	struct rows rows = {0};
	struct rows_list list = list_of(&numbers);

	refresh(&rows, &numbers, 10);
	press(&rows, &numbers, (uint32_t[]){'j', KEY_CODE_DOWN, 'j', 'k', 0});
	assert_int_equal(rows.cursor, 2);
	press(&rows, &numbers, (uint32_t[]){KEY_CODE_PAGE_DOWN, 0});
	assert_int_equal(rows.cursor, 11);
	assert_int_equal(rows.top, 2);
	press(&rows, &numbers, (uint32_t[]){'G', 0});
	assert_int_equal(rows.cursor, 49);
	assert_int_equal(rows.top, 40);
	press(&rows, &numbers, (uint32_t[]){KEY_CODE_CTRL('U'), KEY_CODE_PAGE_UP, KEY_CODE_DOWN, 0});
	assert_int_equal(rows.cursor, 36);
	assert_int_equal(rows.top, 35);
	press(&rows, &numbers, (uint32_t[]){KEY_CODE_HOME, KEY_CODE_UP, 0});
	assert_int_equal(rows.cursor, 0);
	assert_int_equal(rows.top, 0);
	press(&rows, &numbers, (uint32_t[]){KEY_CODE_END, 'j', KEY_CODE_PAGE_DOWN, KEY_CODE_CTRL('D'), 0});
	assert_int_equal(rows.cursor, 49);
	assert_false(rows_press(&rows, &list, 'x'));
}

static void test_the_cursor_stays_on_its_row(void **state)
{
	struct numbers numbers = count_to(20);
	struct rows rows = {0};

	refresh(&rows, &numbers, 5);
	press(&rows, &numbers, (uint32_t[]){'j', 'j', 'j', 0});
	memmove(numbers.keys, numbers.keys + 2, 18 * sizeof(numbers.keys[0])); /* two rows above go */
	numbers.count = 18;
	refresh(&rows, &numbers, 5);
	assert_int_equal(rows.cursor, 1);
	assert_int_equal(rows.key, 1003);
	numbers.keys[17] = 1003; /* it falls far down */
	numbers.keys[1] = 7;
	refresh(&rows, &numbers, 5);
	assert_int_equal(rows.cursor, 17);
	assert_int_equal(rows.top, 13);
}

static void test_a_row_that_goes_leaves_the_cursor_at_its_place(void **state)
{
	struct numbers numbers = count_to(10);
	struct rows rows = {0};

	refresh(&rows, &numbers, 5);
	press(&rows, &numbers, (uint32_t[]){'G', 0});
	numbers.count = 4;
	refresh(&rows, &numbers, 5);
	assert_int_equal(rows.cursor, 3);
	assert_int_equal(rows.key, 1003);
	assert_int_equal(rows.top, 0);
	numbers.count = 0;
	refresh(&rows, &numbers, 5);
	assert_int_equal(rows.cursor, 0);
	press(&rows, &numbers, (uint32_t[]){'j', 'G', 'k', KEY_CODE_PAGE_DOWN, 0});
	assert_int_equal(rows.cursor, 0);
}

static void test_until_it_is_moved_the_cursor_is_on_the_first_row(void **state)
{
	struct numbers numbers = count_to(5);
	struct rows rows = {0};

	refresh(&rows, &numbers, 5);
	numbers.keys[0] = 5;
	numbers.keys[4] = 1000;
	refresh(&rows, &numbers, 5);
	assert_int_equal(rows.cursor, 0);
	rows_select_key(&rows, 1000);
	refresh(&rows, &numbers, 2);
	assert_int_equal(rows.cursor, 4);
	assert_int_equal(rows.top, 3);
}

/* Any list, any height, any key: the invariants of the header. */
static void test_random_lists(void **state)
{
	static const uint32_t keys[] = {KEY_CODE_UP, KEY_CODE_DOWN, KEY_CODE_PAGE_UP,	KEY_CODE_PAGE_DOWN,
					'g',	     'G',	    KEY_CODE_CTRL('U'), KEY_CODE_CTRL('D')};
	struct rows rows = {0};
	unsigned round;

	srandom(3);
	for (round = 0; round < 20000; round++) {
		struct numbers numbers = count_to(random() % 100);

		refresh(&rows, &numbers, random() % 12);
		press(&rows, &numbers, (uint32_t[]){keys[random() % 8], 0});
		if (!numbers.count)
			continue;
		assert_true(rows.cursor < numbers.count);
		assert_true(rows.top <= rows.cursor && rows.cursor < rows.top + rows.height);
		assert_true(rows.top == 0 || rows.top + rows.height <= numbers.count);
		assert_int_equal(rows.key, numbers.keys[rows.cursor]);
	}
}

static void test_key_sets_against_a_plain_array(void **state)
{
	struct key_set set = {0};
	bool has[512] = {0};
	unsigned round, key;

	srandom(5);
	assert_false(key_set_has(&set, 0));
	key_set_remove(&set, 9);
	for (round = 0; round < 20000; round++) {
		key = random() % 512;
		has[key] = random() % 2;
		if (has[key])
			assert_true(key_set_add(&set, key));
		else
			key_set_remove(&set, key);
	}
	for (key = 0; key < 512; key++)
		assert_int_equal(key_set_has(&set, key), has[key]);
	key_set_clear(&set);
	for (key = 0; key < 512; key++)
		assert_false(key_set_has(&set, key));
	key_set_deinit(&set);
}

static void test_order_changes_only_when_it_is_clearly_wrong(void **state)
{
	struct steady steady = {0};
	unsigned i;

	assert_false(steady_is_wrong(100, 125));
	assert_true(steady_is_wrong(100, 126));
	assert_false(steady_refresh(&steady, true));
	assert_false(steady_refresh(&steady, true));
	assert_false(steady_refresh(&steady, false)); /* it came right by itself */
	assert_false(steady_refresh(&steady, true));
	assert_false(steady_refresh(&steady, true));
	assert_true(steady_refresh(&steady, true));
	assert_false(steady_refresh(&steady, true)); /* counts anew */

	steady_press(&steady);
	for (i = 0; i < STEADY_KEY_REFRESHES; i++)
		assert_false(steady_refresh(&steady, true));
	assert_true(steady_refresh(&steady, true));

	steady_press(&steady);
	steady_sort_now(&steady);
	assert_true(steady_refresh(&steady, false));
	assert_false(steady_refresh(&steady, false));
}

static void test_costly_things_are_made_less_often(void **state)
{
	struct pace pace = {0};
	uint64_t revision;
	unsigned made = 0;

	assert_true(pace_is_due(&pace, 1, false));
	assert_false(pace_is_due(&pace, 1, false)); /* nothing new */
	assert_true(pace_is_due(&pace, 1, true));
	for (revision = 2; revision < 102; revision++)
		made += pace_is_due(&pace, revision, false); /* no work: every time */
	assert_int_equal(made, 100);
	for (made = 0; revision < 202; revision++)
		if (pace_is_due(&pace, revision, false)) {
			pace.work = 9 * PACE_WORK;
			made++;
		}
	assert_int_equal(made, 10);
	assert_true(pace_is_due(&pace, revision, true));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_move_and_scroll),
		cmocka_unit_test(test_the_cursor_stays_on_its_row),
		cmocka_unit_test(test_a_row_that_goes_leaves_the_cursor_at_its_place),
		cmocka_unit_test(test_until_it_is_moved_the_cursor_is_on_the_first_row),
		cmocka_unit_test(test_random_lists),
		cmocka_unit_test(test_key_sets_against_a_plain_array),
		cmocka_unit_test(test_costly_things_are_made_less_often),
		cmocka_unit_test(test_order_changes_only_when_it_is_clearly_wrong),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
