/* Numbers as people read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tui/format.h"

#include <math.h>
#include <string.h>

#define S 1000000000ull

static char text[FORMAT_MAX];

static void test_counts(void **state)
{
	assert_string_equal(format_count(0, text), "0");
	assert_string_equal(format_count(999, text), "999");
	assert_string_equal(format_count(1000, text), "1,000");
	assert_string_equal(format_count(UINT64_MAX, text), "18,446,744,073,709,551,615");
	assert_string_equal(format_short(0, text), "0");
	assert_string_equal(format_short(999, text), "999");
	assert_string_equal(format_short(1000, text), "1.0k");
	assert_string_equal(format_short(12402, text), "12.4k");
	assert_string_equal(format_short(99949, text), "99.9k");
	assert_string_equal(format_short(99950, text), "100k");
	assert_string_equal(format_short(999499, text), "999k");
	assert_string_equal(format_short(999500, text), "1.0M"); /* never 1000k */
	assert_string_equal(format_short(UINT64_MAX, text), "18.4E");
}

static void test_bytes_are_iec(void **state)
{
	assert_string_equal(format_bytes(0, text), "0");
	assert_string_equal(format_bytes(1023, text), "1023");
	assert_string_equal(format_bytes(1024, text), "1.0K");
	assert_string_equal(format_bytes(512 * 1024, text), "512K");
	assert_string_equal(format_bytes(1288490189, text), "1.2G");
	assert_string_equal(format_bytes(1024 * 1024 - 1, text), "1.0M");
}

static void test_shares(void **state)
{
	assert_string_equal(format_share(241, 1000, text), "24.1%");
	assert_string_equal(format_share(0, 10, text), "0.0%");
	assert_string_equal(format_share(0, 0, text), "-"); /* not known is not 0 */
	assert_string_equal(format_percent(NAN, text), "-");
	assert_string_equal(format_percent(99.96, text), "99.9%"); /* not whole */
	assert_string_equal(format_percent(100, text), "100%");
	assert_string_equal(format_percent(0.42, text), "0.4%");
	assert_string_equal(format_whole_percent(97.95, text), "98%");
	assert_string_equal(format_whole_percent(99.99, text), "99%");
	assert_string_equal(format_whole_percent(100, text), "100%");
	assert_string_equal(format_whole_percent(NAN, text), "-");
}

/* Wilson's interval: its limits solve |p - q| = z √(q(1-q)/n); here against figures worked out by hand from
 * z = 1.96: 24.1 % of 12,400; 0 of 10: [0, 27.75 %]; 10 of 10. */
static void test_intervals(void **state)
{
	assert_string_equal(format_interval(2988, 12400, text), "±0.8");
	assert_true(fabs(share_interval(0, 10) - 0.2775 / 2) < 1e-3);
	assert_true(fabs(share_interval(10, 10) - 0.2775 / 2) < 1e-3);
	assert_true(share_interval(5, 10) < share_interval(1, 2));
	assert_true(isnan(share_interval(0, 0)));
	assert_string_equal(format_interval(0, 0, text), "-");
	assert_true(share_interval(11, 10) > 0); /* a total that recursion made larger than all */
}

static void test_rates(void **state)
{
	assert_string_equal(format_hz(98.7, text), "98.7");
	assert_string_equal(format_hz(99, text), "99");
	assert_string_equal(format_hz(999.7, text), "1000");
	assert_string_equal(format_hz(10000, text), "10.0k");
	assert_string_equal(format_hz(NAN, text), "-");
}

static void test_times(void **state)
{
	assert_string_equal(format_clock(0, text), "00:00");
	assert_string_equal(format_clock(92 * S + 999999999, text), "01:32");
	assert_string_equal(format_clock(3599 * S, text), "59:59");
	assert_string_equal(format_clock(3723 * S, text), "1:02:03");
	assert_string_equal(format_clock((3 * 86400 + 4 * 3600 + 11 * 60) * S, text), "3d 04:11");
	assert_string_equal(format_duration(850, text), "850 ns");
	assert_string_equal(format_duration(12 * S / 1000, text), "12 ms");
	assert_string_equal(format_duration(999900000, text), "1.00 s");
	assert_string_equal(format_duration(2100 * S / 1000, text), "2.10 s");
	assert_string_equal(format_duration(47 * S, text), "47.0 s");
	assert_string_equal(format_duration(300 * S, text), "5 min");
	assert_string_equal(format_duration(7200 * S, text), "2.0 h");
	assert_true(strlen(format_clock(UINT64_MAX, text)) < FORMAT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts), cmocka_unit_test(test_bytes_are_iec),
		cmocka_unit_test(test_shares), cmocka_unit_test(test_intervals),
		cmocka_unit_test(test_rates),  cmocka_unit_test(test_times),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
