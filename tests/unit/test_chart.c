/* Timelines: axes at 1-2-5 steps, blocks at the right height, gaps, hostile figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "tui/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define S 1000000000ull

static void test_axis_has_round_steps_that_divide_the_rows(void **state)
{
	double maximum;
	unsigned rows;

	for (rows = 1; rows <= 40; rows++) {
		for (maximum = 0.001; maximum < 1e4; maximum *= 1.37) {
			struct chart_axis axis = chart_find_axis(maximum, rows);
			double mantissa = axis.step / pow(10, floor(log10(axis.step) + 1e-9));

			assert_true(axis.top >= maximum * (1 - 1e-9));
			assert_true(fabs(mantissa - 1) < 1e-6 || fabs(mantissa - 2) < 1e-6 ||
				    fabs(mantissa - 5) < 1e-6);
			assert_true(axis.intervals >= 1 && rows % axis.intervals == 0);
			assert_true(fabs(axis.top - axis.step * axis.intervals) < 1e-9 * axis.top);
			/* no more air than the next round number and the rows ask for */
			assert_true(axis.top <= maximum * 5.001);
		}
	}
}

static void test_axis_of_the_sketch(void **state)
{
	struct chart_axis axis = chart_find_axis(1.97, 4);

	assert_true(axis.step == 1 && axis.top == 2 && axis.intervals == 2);
	axis = chart_find_axis(2.0, 4); /* a value on a tick needs no tick above */
	assert_true(axis.top == 2);
}

static void test_axis_of_odd_figures(void **state)
{
	assert_true(chart_find_axis(0, 4).top == 1);
	assert_true(chart_find_axis(-3, 4).top == 1);
	assert_true(chart_find_axis(NAN, 4).top == 1);
	assert_true(chart_find_axis(INFINITY, 4).top == 1);
	assert_true(chart_find_axis(1e300, 4).top >= 1e300);
	assert_true(chart_find_axis(1e-300, 4).top > 0);
	assert_true(chart_find_axis(1, 0).top == 1);
}

static void test_time_steps(void **state)
{
	assert_int_equal(chart_find_time_step(60 * S, 95, 8), 10 * S);
	assert_int_equal(chart_find_time_step(10 * S, 95, 8), 1 * S);
	assert_int_equal(chart_find_time_step(3600 * S, 95, 8), 600 * S);
	assert_int_equal(chart_find_time_step(86400 * S, 95, 8), 10800 * S);
	assert_int_equal(chart_find_time_step(1000 * 86400 * S, 10, 8) % (86400 * S), 0);
}

static struct canvas *draw(struct timeline_column *columns, unsigned count, unsigned rows,
			   uint64_t relative_to_ns)
{
	struct canvas *canvas;
	struct chart chart = {
		.area = {0, 0, count + CHART_MARGIN, rows},
		.from_ns = relative_to_ns ? relative_to_ns - 10 * S : 0,
		.to_ns = relative_to_ns ? relative_to_ns : 10 * S,
		.relative_to_ns = relative_to_ns,
		.end_label = "now",
		.columns = columns,
	};

	assert_null(canvas_create(count + CHART_MARGIN, rows, &canvas));
	assert_int_equal(chart_count_columns(chart.area), count);
	chart_draw(canvas, &chart);
	return canvas;
}

static void assert_row(const struct canvas *canvas, unsigned row, const char *want)
{
	char text[512];
	size_t length = 0;
	unsigned column;

	for (column = 0; column < canvas_get_columns(canvas); column++)
		length += text_encode(canvas_get(canvas, column, row).codepoint, text + length);
	text[length] = '\0';
	assert_string_equal(text, want);
}

static void test_blocks(void **state)
{
	struct timeline_column columns[20];
	struct canvas *canvas;
	unsigned i;

	for (i = 0; i < 20; i++)
		columns[i] = (struct timeline_column){.user = i / 10.0, .has_data = true};
	columns[1].user = 0.001; /* little is not nothing */
	columns[19].user = 2;
	canvas = draw(columns, 20, 6, 0);
	assert_row(canvas, 0, " 2.0┤                ▂▃▅█");
	assert_row(canvas, 1, "    │           ▂▃▅▆█████");
	assert_row(canvas, 4, "   0┼┬─────────┬─────────");
	canvas_destroy(canvas);
}

static void test_layers_and_gaps(void **state)
{
	struct timeline_column columns[4] = {
		{.user = 1, .kernel = 1, .unknown = 2, .has_data = true},
		{.has_data = false},
		{.user = 4, .has_data = true},
		{.has_data = false},
	};
	struct canvas *canvas = draw(columns, 4, 6, 0);

	assert_int_equal(canvas_get(canvas, 5, 3).style, STYLE_GRAPH_USER);
	assert_int_equal(canvas_get(canvas, 5, 2).style, STYLE_GRAPH_KERNEL);
	assert_int_equal(canvas_get(canvas, 5, 1).style, STYLE_GRAPH_UNKNOWN);
	assert_int_equal(canvas_get(canvas, 5, 0).style, STYLE_GRAPH_UNKNOWN);
	assert_int_equal(canvas_get(canvas, 6, 3).codepoint, 0xb7); /* paused: not measured is not 0 */
	assert_int_equal(canvas_get(canvas, 8, 3).codepoint, ' ');  /* the time that comes is no gap */
	canvas_destroy(canvas);
}

static void test_labels_count_back_from_now(void **state)
{
	struct timeline_column columns[40] = {{.has_data = true}};
	struct canvas *canvas = draw(columns, 40, 5, 77 * S);

	assert_row(canvas, 4, "   -10s     -8s     -6s     -4s     -2s   now");
	canvas_destroy(canvas);
}

static void test_peaks_stand_above_the_mean(void **state)
{
	struct timeline_column columns[4] = {{.user = 1, .has_data = true},
					     {.user = 2, .has_data = true},
					     {.has_data = true},
					     {.has_data = true}};
	const double peaks[4] = {3.2, 2, NAN, INFINITY};
	struct chart chart = {
		.area = {0, 0, 4 + CHART_MARGIN, 6}, .to_ns = 4 * S, .columns = columns, .peaks = peaks};
	struct canvas *canvas;

	assert_null(canvas_create(4 + CHART_MARGIN, 6, &canvas));
	chart_draw(canvas, &chart); /* a peak without bounds is hostile: no fault, the axis is 1 */
	chart.peaks = (const double[4]){3.2, 2, NAN, 0};
	canvas_clear(canvas);
	chart_draw(canvas, &chart);
	assert_row(canvas, 0, " 4.0┤░   ");
	assert_row(canvas, 1, "    │░   ");
	assert_row(canvas, 2, " 2.0┤░█  ");
	assert_row(canvas, 3, "    │██  ");
	canvas_destroy(canvas);
}

static void test_no_room_is_no_fault(void **state)
{
	struct timeline_column columns[4] = {{.user = NAN, .has_data = true},
					     {.user = 1e300, .has_data = true}};
	struct canvas *canvas = draw(columns, 2, 4, 0);
	struct chart chart = {.area = {0, 0, 3, 2}, .to_ns = S, .columns = columns};

	chart_draw(canvas, &chart);
	chart.area = (struct rectangle){0, 0, 6, 3};
	chart_draw(canvas, &chart);
	canvas_destroy(canvas);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_axis_has_round_steps_that_divide_the_rows),
		cmocka_unit_test(test_axis_of_the_sketch),
		cmocka_unit_test(test_axis_of_odd_figures),
		cmocka_unit_test(test_time_steps),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_layers_and_gaps),
		cmocka_unit_test(test_labels_count_back_from_now),
		cmocka_unit_test(test_peaks_stand_above_the_mean),
		cmocka_unit_test(test_no_room_is_no_fault),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
