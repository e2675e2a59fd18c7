/* The heap over time: levels, peaks, rates, pauses. */
#include "profile/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "profile/profile.h"

#include <math.h>

#define SECOND 1000000000ll
#define DAY    (86400 * SECOND)

struct course {
	struct profile *profile;
	struct heap *heap;
	struct heap_facts facts;
};

static void course_deinit(struct course *course)
{
	profile_destroy(course->profile);
}
#define _cleanup_course_ _cleanup_(course_deinit)

static struct course make_course(void)
{
	struct course course = {.facts = {.mode = HEAP_MODE_EXACT}};

	assert_null(profile_create(&course.profile));
	assert_null(profile_ensure_heap(course.profile, &course.heap));
	return course;
}

/* Adds a point: live bytes, and rates up to it from the last one. */
static void add(struct course *course, int64_t time_ns, uint64_t live, uint64_t allocs, uint64_t rss)
{
	course->facts.global.live_bytes = live;
	course->facts.counters.allocs += allocs;
	course->facts.counters.alloc_bytes += allocs * 100;
	course->facts.counters.frees += allocs / 2;
	course->facts.counters.free_bytes += allocs * 50;
	assert_null(heap_set_facts(course->heap, &course->facts));
	heap_add_point(course->heap, (uint64_t)time_ns, rss);
}

static struct heap_column read_one(struct course *course, int64_t from_ns, int64_t to_ns)
{
	struct heap_column column;

	heap_read_timeline(course->heap, from_ns, to_ns, &column, 1);
	return column;
}

static void assert_near(double value, double expected)
{
	if (!(fabs(value - expected) <= 1e-6 * (1 + fabs(expected))))
		fail_msg("%f instead of %f", value, expected);
}

static void assert_nothing(struct heap_column column)
{
	assert_true(isnan(column.live_bytes) && isnan(column.live_max_bytes));
	assert_true(isnan(column.rss_bytes) && isnan(column.rss_max_bytes));
	assert_true(isnan(column.allocs_per_s) && isnan(column.alloc_bytes_per_s));
	assert_true(isnan(column.frees_per_s) && isnan(column.free_bytes_per_s));
}

static void test_nothing_yet(void **state)
{
	_cleanup_course_ struct course course = make_course();

	assert_nothing(read_one(&course, 0, SECOND));
	assert_nothing(read_one(&course, -5 * SECOND, 0));
	assert_nothing(read_one(&course, INT64_MIN, INT64_MAX));
	assert_nothing(read_one(&course, SECOND, SECOND));
}

static void test_columns(void **state)
{
	_cleanup_course_ struct course course = make_course();
	struct heap_column columns[10], column;

	for (int i = 1; i <= 100; i++)
		add(&course, i * SECOND / 10, 1000 + (uint64_t)i * 10, 20, 5000 - (uint64_t)i);
	heap_read_timeline(course.heap, 0, 10 * SECOND, columns, 10);
	for (int i = 0; i < 10; i++) {
		/* The end of a column belongs to the next one. */
		uint64_t last = (uint64_t)i * 10 + 9;

		assert_near(columns[i].live_bytes, 1000 + (double)last * 10);
		assert_near(columns[i].live_max_bytes, 1000 + (double)last * 10);
		assert_near(columns[i].rss_bytes, 5000 - (double)last);
		assert_near(columns[i].rss_max_bytes, 5000 - (double)(i ? i * 10 : 1));
		assert_near(columns[i].allocs_per_s, 200);
		assert_near(columns[i].alloc_bytes_per_s, 20000);
		assert_near(columns[i].frees_per_s, 100);
		assert_near(columns[i].free_bytes_per_s, 10000);
	}
	/* Before the start, and narrower than the points are apart. */
	column = read_one(&course, -10 * SECOND, 5 * SECOND);
	assert_near(column.live_bytes, 1490);
	assert_near(column.allocs_per_s, 200);
	column = read_one(&course, 5020000000, 5040000000);
	assert_near(column.live_bytes, 1500);
	assert_near(column.allocs_per_s, 200);
	/* The last point stands for a second, then nothing is known. */
	assert_near(read_one(&course, 10500000000, 11 * SECOND).live_bytes, 2000);
	assert_nothing(read_one(&course, 11500000000, 12 * SECOND));
}

/* Whatever the columns: what was allocated is rate × length, summed up. */
static void test_rates_sum_up(void **state)
{
	static const size_t counts[] = {1, 3, 7, 61, 97, 512};
	_cleanup_course_ struct course course = make_course();
	struct heap_column columns[512];
	uint64_t state_of_random = 1, time_ns = 0;
	double first = 0;

	for (int i = 0; i < 600; i++) {
		state_of_random = state_of_random * 6364136223846793005ull + 1442695040888963407ull;
		time_ns += 60000000 + (state_of_random >> 33) % 80000000;
		add(&course, (int64_t)time_ns, 5, (state_of_random >> 20) % 1000, 0);
	}
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		double sum = 0, length = 50.0 / (double)counts[i];

		heap_read_timeline(course.heap, SECOND, 51 * SECOND, columns, counts[i]);
		for (size_t j = 0; j < counts[i]; j++)
			sum += columns[j].allocs_per_s * length;
		/* 500 points of some 500 blocks in 50 s, less what is at the edges. */
		assert_true(sum > 200000 && sum < 300000);
		if (i)
			assert_near(sum, first);
		first = sum;
	}
}

static void test_pause(void **state)
{
	_cleanup_course_ struct course course = make_course();
	struct heap_column columns[4];

	for (int i = 0; i <= 20; i++)
		add(&course, i * SECOND / 10, 100, 10, 7);
	for (int i = 0; i <= 20; i++)
		add(&course, 20 * SECOND + i * SECOND / 10, 300, 10, 7);
	heap_read_timeline(course.heap, 0, 20 * SECOND, columns, 4);
	/* What began before the pause shows what there was. */
	assert_near(columns[0].live_bytes, 100);
	assert_near(columns[0].allocs_per_s, 100);
	assert_nothing(columns[1]);
	assert_nothing(columns[3]);
	assert_near(read_one(&course, 15 * SECOND, 22 * SECOND).live_bytes, 300);
	assert_near(read_one(&course, 15 * SECOND, 22 * SECOND).allocs_per_s, 100);
}

static void test_not_measured(void **state)
{
	_cleanup_course_ struct course course = make_course();
	struct heap_column column;

	course.facts.mode = HEAP_MODE_WAITING;
	for (int i = 0; i < 50; i++)
		add(&course, i * SECOND / 10, 0, 0, 700);
	column = read_one(&course, 0, 4 * SECOND);
	assert_true(isnan(column.live_bytes) && isnan(column.live_max_bytes) && isnan(column.allocs_per_s));
	assert_near(column.rss_bytes, 700);
	course.facts.mode = HEAP_MODE_EXACT;
	for (int i = 50; i < 100; i++)
		add(&course, i * SECOND / 10, 50, 10, 0);
	column = read_one(&course, 6 * SECOND, 9 * SECOND);
	assert_near(column.live_bytes, 50);
	assert_near(column.allocs_per_s, 100);
	assert_true(isnan(column.rss_bytes) && isnan(column.rss_max_bytes));
	/* Rates are those of the part that was measured. */
	assert_near(read_one(&course, 3 * SECOND, 6 * SECOND).allocs_per_s, 100);
	/* The books are closed. */
	course.facts.mode = HEAP_MODE_CLOSED;
	for (int i = 100; i < 150; i++)
		add(&course, i * SECOND / 10, 50, 0, 900);
	column = read_one(&course, 12 * SECOND, 14 * SECOND);
	assert_true(isnan(column.live_bytes) && isnan(column.allocs_per_s));
	assert_near(column.rss_bytes, 900);
	/* Days later the end of the books lies in the middle of a long bucket. */
	add(&course, 2 * DAY, 0, 0, 900);
	column = read_one(&course, 0, 20 * SECOND);
	assert_true(isnan(column.live_bytes));
	assert_near(column.live_max_bytes, 50);
}

/* The kernel has seen more than there was at any point. */
static void test_peak_between_two_points(void **state)
{
	_cleanup_course_ struct course course = make_course();

	for (int i = 0; i < 50; i++) {
		if (i == 30) {
			course.facts.global.peak_bytes = 9000;
			course.facts.global.peak_ns = 2950000000;
		}
		add(&course, i * SECOND / 10, 100, 1, 0);
	}
	assert_near(read_one(&course, 0, 5 * SECOND).live_max_bytes, 9000);
	assert_near(read_one(&course, 2900000000, 3 * SECOND).live_max_bytes, 9000);
	assert_near(read_one(&course, 3 * SECOND, 5 * SECOND).live_max_bytes, 100);
	assert_near(read_one(&course, 0, 2900000000).live_max_bytes, 100);
	assert_near(read_one(&course, 0, 5 * SECOND).live_bytes, 100);
	/* Where no point came: the next one has it. */
	course.facts.global.peak_bytes = 9500;
	course.facts.global.peak_ns = 5050000000;
	add(&course, 5200000000, 100, 1, 0);
	assert_near(read_one(&course, 5200000000, 5300000000).live_max_bytes, 9500);
	assert_near(read_one(&course, 0, 6 * SECOND).live_max_bytes, 9500);
}

/* Three weeks: a spike of 100 ms on the first day is still there, and memory has not grown. */
static void test_weeks(void **state)
{
	_cleanup_course_ struct course course = make_course();
	struct heap_column columns[21];

	/* One point in 3 s: enough for each level, and quick. */
	for (int64_t time_ns = 0; time_ns < 21 * DAY; time_ns += 3 * SECOND)
		add(&course, time_ns, time_ns == 5001 * SECOND ? 77777 : 1000, 30, 2000);
	heap_read_timeline(course.heap, 0, 21 * DAY, columns, 21);
	assert_near(columns[0].live_max_bytes, 77777);
	for (int i = 0; i < 21; i++) {
		assert_near(columns[i].live_bytes, 1000);
		assert_near(columns[i].rss_max_bytes, 2000);
		assert_true(fabs(columns[i].allocs_per_s - 10) < 0.1);
		if (i)
			assert_near(columns[i].live_max_bytes, 1000);
	}
	/* The last minutes are still fine. */
	assert_near(read_one(&course, 21 * DAY - 10 * SECOND, 21 * DAY - 5 * SECOND).allocs_per_s, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_yet),  cmocka_unit_test(test_columns),
		cmocka_unit_test(test_rates_sum_up), cmocka_unit_test(test_pause),
		cmocka_unit_test(test_not_measured), cmocka_unit_test(test_peak_between_two_points),
		cmocka_unit_test(test_weeks),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
