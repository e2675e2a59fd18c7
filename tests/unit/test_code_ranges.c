/* Ranges of code that overlap: the last one wins, against a plain list; many; too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "symbolizer/code_ranges.h"

#include <stdlib.h>
#include <time.h>

static void expect(struct code_ranges *ranges, uint64_t address, uint64_t value)
{
	struct code_range range;

	assert_true(code_ranges_find(ranges, address, &range));
	assert_true(range.value == value);
	assert_true(range.start <= address && address < range.end);
}

static void expect_none(struct code_ranges *ranges, uint64_t address)
{
	struct code_range range;

	assert_false(code_ranges_find(ranges, address, &range));
}

static void test_overlaps(void **state)
{
	struct code_ranges ranges = {0};

	expect_none(&ranges, 0);
	assert_true(code_ranges_add(&ranges, 100, 200, 1));
	assert_true(code_ranges_add(&ranges, 120, 130, 2));
	expect(&ranges, 100, 1);
	expect(&ranges, 119, 1);
	expect(&ranges, 120, 2);
	expect(&ranges, 129, 2);
	expect(&ranges, 130, 1);
	expect_none(&ranges, 200);
	expect_none(&ranges, 99);
	assert_true(code_ranges_add(&ranges, 90, 125, 3));
	expect(&ranges, 124, 3);
	expect(&ranges, 125, 2);
	assert_true(code_ranges_add(&ranges, 0, UINT64_MAX, 4));
	expect(&ranges, 125, 4);
	expect(&ranges, UINT64_MAX - 1, 4);
	assert_true(code_ranges_add(&ranges, 7, 7, 5));
	assert_true(code_ranges_add(&ranges, 8, 7, 5));
	expect(&ranges, 7, 4);
	code_ranges_deinit(&ranges);
	expect_none(&ranges, 125);
}

#define SPACE 1000

/* What each address belongs to, written down address by address. */
static void test_random(void **state)
{
	srandom(11);
	for (int round = 0; round < 60; round++) {
		struct code_ranges ranges = {0};
		uint64_t owner[SPACE] = {0};
		unsigned every = 1 + (unsigned)random() % 40;

		for (unsigned i = 1; i < 1200; i++) {
			uint64_t start = (uint64_t)random() % SPACE,
				 end = start + (uint64_t)random() % (round % 2 ? 20 : 300);

			end = end > SPACE ? SPACE : end;
			assert_true(code_ranges_add(&ranges, start, end, i));
			for (uint64_t at = start; at < end; at++)
				owner[at] = i;
			for (uint64_t at = 0; i % every == 0 && at < SPACE; at += 7)
				owner[at] ? expect(&ranges, at, owner[at]) : expect_none(&ranges, at);
		}
		for (uint64_t at = 0; at < SPACE; at++)
			owner[at] ? expect(&ranges, at, owner[at]) : expect_none(&ranges, at);
		/* What is hidden was forgotten, or will be: it does not pile up. */
		assert_true(ranges.count < 4 * SPACE);
		code_ranges_deinit(&ranges);
	}
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A million functions, in the order of a JIT that fills holes; then one at a time with a look-up after each.
 */
static void test_million(void **state)
{
	enum { COUNT = 1000000, LATE = 20000 };
	struct code_ranges ranges = {0};
	double start = now_s();

	for (uint64_t i = 0; i < COUNT; i++) {
		uint64_t at = i * 7919 % COUNT;

		assert_true(code_ranges_add(&ranges, at * 64, at * 64 + 60, at));
	}
	for (uint64_t i = 0; i < COUNT; i++)
		expect(&ranges, i * 64 + 59, i);
	print_message("# a million ranges, a look-up of each: %.2f s\n", now_s() - start);
	start = now_s();
	for (uint64_t i = 0; i < LATE; i++) {
		assert_true(code_ranges_add(&ranges, i * 3000, i * 3000 + 10, COUNT + i));
		expect(&ranges, i * 3000 + 9, COUNT + i);
	}
	print_message("# %d more, each with a look-up: %.2f s\n", LATE, now_s() - start);
	assert_true(ranges.runs.count <= 24);
	assert_true(ranges.count < 2 * (COUNT + LATE));
	code_ranges_deinit(&ranges);
}

static void test_too_many(void **state)
{
	struct code_ranges ranges = {0};
	uint64_t i = 0;

	/* The same places again and again are not too many … */
	for (; i < 2ull * CODE_RANGES_MAX; i++)
		assert_true(code_ranges_add(&ranges, i % 1000 * 10, i % 1000 * 10 + 10, i));
	expect(&ranges, 0, 2ull * CODE_RANGES_MAX / 1000 * 1000);
	/* … others are, and what was there stays. */
	for (i = 0; code_ranges_add(&ranges, 100000 + i * 10, 100005 + i * 10, i); i++)
		assert_true(i < 2ull * CODE_RANGES_MAX);
	assert_true(i >= CODE_RANGES_MAX / 2);
	assert_false(code_ranges_add(&ranges, 1, 2, 3));
	expect(&ranges, 100000, 0);
	expect(&ranges, 100000 + (i - 1) * 10, i - 1);
	code_ranges_deinit(&ranges);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_million),
		cmocka_unit_test(test_too_many),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
