/* The hash index, interned strings, and the list of functions that is sorted at all times. */
#include "profile/functions.h"
#include "profile/index.h"
#include "profile/strings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static uint64_t random_state = 88172645463325252ull;

static uint32_t get_random(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 33) % below;
}

/* ---- index ---- */

static bool is_inside(const struct index *index, uint32_t hash, uint32_t wanted)
{
	uint64_t at = hash;
	uint32_t number;

	while ((number = index_next(index, hash, &at)))
		if (number == wanted)
			return true;
	return false;
}

/* Hashes of few values: long chains, and chains around the end of the table. */
static void test_index_like_a_set(void **state)
{
	static bool is_in[1000];
	struct index index = {0};
	uint32_t count = 0;

	for (unsigned i = 0; i < 20000; i++) {
		uint32_t number = 1 + get_random(999), hash = number * 2654435761u % 61 - 30;

		assert_int_equal(is_inside(&index, hash, number), is_in[number]);
		if (is_in[number])
			index_remove(&index, hash, number);
		else if (assert_true(index_reserve(&index)), true)
			index_add(&index, hash, number);
		is_in[number] = !is_in[number];
		count += is_in[number] ? 1 : -1;
		assert_int_equal(index.used, count);
		if (i % 500)
			continue;
		for (number = 1; number < 1000; number++)
			assert_int_equal(is_inside(&index, number * 2654435761u % 61 - 30, number),
					 is_in[number]);
	}
	index_deinit(&index);
}

static void test_empty_index(void **state)
{
	struct index index = {0};

	assert_false(is_inside(&index, 7, 1));
	index_deinit(&index);
}

/* ---- strings ---- */

static void test_same_text_is_same_pointer(void **state)
{
	struct strings strings;
	const char *first, *again;
	char text[32];

	strings_init(&strings, 5);
	first = strings_intern(&strings, "main_loop", 4);
	assert_string_equal(first, "main");
	for (unsigned i = 0; i < 30000; i++) {
		snprintf(text, sizeof(text), "text %u", i % 10000);
		again = strings_intern(&strings, text, SIZE_MAX);
		assert_string_equal(again, text);
	}
	assert_int_equal(strings.items.count, 10001);
	assert_ptr_equal(strings_intern(&strings, "main", SIZE_MAX), first);
	assert_string_equal(first, "main");
	strings_deinit(&strings);
}

static void test_odd_texts(void **state)
{
	struct strings strings;
	const size_t length = 200000;
	char *huge = malloc(length + 1);
	const char *copy;

	strings_init(&strings, 5);
	memset(huge, 'x', length);
	huge[length] = '\0';
	copy = strings_intern(&strings, huge, length);
	assert_int_equal(strlen(copy), length);
	assert_string_equal(strings_intern(&strings, "", 0), "");
	assert_ptr_equal(strings_intern(&strings, "a\0b", 3), strings_intern(&strings, "a", 1));
	assert_ptr_equal(strings_intern(&strings, huge, length), copy);
	strings_deinit(&strings);
	free(huge);
}

/* ---- functions ---- */

#define FUNCTIONS 60

static void check_list(const struct functions *functions)
{
	uint32_t hot = 0;

	for (size_t rank = 0; rank < functions->order.count; rank++) {
		const struct function_entry *entry = &functions->items.items[functions->order.items[rank]];
		const struct function_entry *next;

		assert_int_equal(entry->rank, rank);
		hot += entry->total > 0;
		if (rank + 1 == functions->order.count)
			break;
		next = &functions->items.items[functions->order.items[rank + 1]];
		assert_true(entry->self >= next->self);
		assert_true(entry->total || !next->total);
	}
	assert_int_equal(functions->hot, hot);
}

static void test_list_is_always_sorted(void **state)
{
	struct functions functions = {0};
	uint64_t self[FUNCTIONS] = {0}, total[FUNCTIONS] = {0};

	for (uint32_t i = 0; i < FUNCTIONS; i++)
		assert_int_equal(functions_intern_address(&functions, 16, i, FUNCTION_AT_ADDRESS), i);
	for (unsigned i = 0; i < 50000; i++) {
		uint32_t function = get_random(FUNCTIONS);
		uint64_t more_total = get_random(3) ? get_random(30) : 0;
		uint64_t more_self = get_random(2) ? get_random((uint32_t)more_total + 1) : 0;

		if (get_random(2)) {
			functions_add(&functions, function, more_self, more_total);
			self[function] += more_self;
			total[function] += more_total;
		} else {
			more_self = more_self < self[function] ? more_self : self[function];
			more_total = more_self;
			if (get_random(4) == 0) {
				more_self = self[function];
				more_total = total[function];
			}
			functions_subtract(&functions, function, more_self, more_total);
			self[function] -= more_self;
			total[function] -= more_total;
		}
		check_list(&functions);
	}
	for (uint32_t i = 0; i < FUNCTIONS; i++) {
		assert_int_equal(functions.items.items[i].self, self[i]);
		assert_int_equal(functions.items.items[i].total, total[i]);
	}
	functions_deinit(&functions);
}

#define MANY 20000

/* Weights of bytes: all distinct, all changed at once. Sorting is put off to the next reader. */
static void test_many_distinct_weights(void **state)
{
	struct functions functions = {0};

	for (uint32_t i = 0; i < MANY; i++)
		functions_intern_address(&functions, 16, i, FUNCTION_AT_ADDRESS);
	for (unsigned round = 0; round < 6; round++) {
		for (uint32_t i = 0; i < MANY; i++) {
			uint64_t self = functions.items.items[i].self, bytes = get_random(1 << 30);

			if (round % 2)
				functions_subtract(&functions, i, self - self / 7, self - self / 7);
			else
				functions_add(&functions, i, bytes, bytes);
		}
		assert_true(functions.is_unsorted);
		functions_sort(&functions);
		check_list(&functions);
	}
	/* A small change is put in its place at once. */
	functions_add(&functions, functions.order.items[7], 1, 1);
	assert_false(functions.is_unsorted);
	check_list(&functions);
	functions_clear(&functions);
	functions_sort(&functions);
	assert_int_equal(functions.hot, 0);
	functions_deinit(&functions);
}

static void test_identity(void **state)
{
	static const char name[] = "f", other[] = "g";
	struct functions functions = {0};
	uint32_t first = functions_intern(&functions, 16, name);

	assert_int_equal(functions_intern(&functions, 16, name), first);
	assert_int_not_equal(functions_intern(&functions, 17, name), first);
	assert_int_not_equal(functions_intern(&functions, 16, other), first);
	/* The same number as a file's offset and as an address of the ELF file are two places. */
	assert_int_not_equal(functions_intern_address(&functions, 16, 0x1000, FUNCTION_PROVISIONAL),
			     functions_intern_address(&functions, 16, 0x1000, FUNCTION_AT_ADDRESS));
	functions_deinit(&functions);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_index_like_a_set),
		cmocka_unit_test(test_empty_index),
		cmocka_unit_test(test_same_text_is_same_pointer),
		cmocka_unit_test(test_odd_texts),
		cmocka_unit_test(test_list_is_always_sorted),
		cmocka_unit_test(test_many_distinct_weights),
		cmocka_unit_test(test_identity),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
