/* The heap's timeline: a byte axis with exact labels, blocks, dots, the band, gaps, hostile figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "tui/heap_chart.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S   1000000000ull
#define MIB 1048576.0

static void assert_label_is_exact(double bytes)
{
	static const char units[] = "KMGTPE";
	char label[32], unit;
	double value;
	const char *letter;
	int read;

	chart_format_bytes(bytes, label, sizeof(label));
	assert_true(strlen(label) <= 5);
	read = sscanf(label, "%lf%c", &value, &unit);
	letter = read == 2 ? strchr(units, unit) : NULL;
	assert_true(read == 1 || letter);
	assert_true(value * (letter ? exp2(10 * (letter - units + 1)) : 1) == bytes);
}

static void test_labels_say_exactly_where_they_stand(void **state)
{
	double maximum;
	unsigned rows, i;

	for (rows = 1; rows <= 40; rows++) {
		for (maximum = 1; maximum < 0x1p57; maximum *= 1.31) {
			struct chart_axis axis = chart_find_byte_axis(maximum, rows);

			assert_true(axis.top >= maximum && axis.top == axis.step * axis.intervals);
			assert_true(axis.intervals >= 1 && rows % axis.intervals == 0);
			for (i = 1; i <= axis.intervals; i++)
				assert_label_is_exact(axis.step * i);
			if (rows % 2 == 0 && maximum > 16) /* little air above */
				assert_true(axis.top <= maximum * 2.001);
		}
	}
}

static void test_axis_of_odd_figures(void **state)
{
	assert_true(chart_find_byte_axis(0, 4).top >= 1);
	assert_true(chart_find_byte_axis(NAN, 4).top >= 1);
	assert_true(chart_find_byte_axis(-1, 4).top >= 1);
	assert_true(chart_find_byte_axis(INFINITY, 4).top >= 1);
	assert_true(chart_find_byte_axis(1e300, 4).top >= 0x1p63);
	assert_true(chart_find_byte_axis(100, 0).intervals == 1);
}

static struct canvas *draw(const struct heap_column *columns, unsigned count, unsigned rows, uint64_t before)
{
	struct heap_chart chart = {
		.chart = {.area = {0, 0, count + 6, rows}, .to_ns = 10 * S, .unit = CHART_BYTES},
		.columns = columns,
		.shows_rss = true,
		.before_bytes = before,
		.peak_ns = 5 * S,
	};
	struct canvas *canvas;

	assert_null(canvas_create(count + 6, rows, &canvas));
	assert_int_equal(heap_chart_count_columns(chart.chart.area), count);
	heap_chart_draw(canvas, &chart);
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

static const struct heap_column nothing = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};

static void test_blocks_dots_and_the_band(void **state)
{
	struct heap_column columns[10];
	struct canvas *canvas;
	unsigned i;

	for (i = 0; i < 10; i++) {
		columns[i] = nothing;
		columns[i].live_bytes = columns[i].live_max_bytes = i * 8 * MIB;
		columns[i].rss_bytes = columns[i].rss_max_bytes = (700 + 60) * MIB;
	}
	columns[1].live_bytes = 1;				     /* little is not nothing */
	columns[1].live_max_bytes = 30 * MIB;			     /* a peak that has gone again */
	columns[2].rss_bytes = columns[2].rss_max_bytes = 600 * MIB; /* less than at the attach */
	columns[4] = nothing;					     /* not measured is not 0 */
	columns[9].live_bytes = columns[9].live_max_bytes = 79 * MIB;
	canvas = draw(columns, 10, 7, (uint64_t)(700 * MIB));
	assert_row(canvas, 0, "  80M┤        ▂█");
	assert_row(canvas, 1, "     │•• • •••••");
	assert_row(canvas, 2, "  40M┤ ░ ▂ █████");
	assert_row(canvas, 3, "     │ ▁▆█·█████");
	assert_row(canvas, 4, "    0┤░░•░░░░░░░");
	assert_row(canvas, 5, "     ┼┬────P────");
	assert_int_equal(canvas_get(canvas, 6, 1).style, STYLE_GRAPH_RSS);
	assert_int_equal(canvas_get(canvas, 15, 3).style, STYLE_GRAPH_HEAP);
	assert_int_equal(canvas_get(canvas, 10, 3).style, STYLE_WARN);
	canvas_destroy(canvas);
	/* with few rows there is no band, and zero is the axis' */
	canvas = draw(columns, 10, 4, (uint64_t)(700 * MIB));
	assert_row(canvas, 2, "    0┼┬────P────");
	canvas_destroy(canvas);
}

static void test_hostile_figures(void **state)
{
	struct heap_column columns[12];
	unsigned i, rows;

	for (i = 0; i < 12; i++) {
		columns[i] = nothing;
		columns[i].live_bytes = i % 4 == 0 ? 0x1p64 : i % 4 == 1 ? -5 : i % 4 == 2 ? NAN : INFINITY;
		columns[i].live_max_bytes = i % 3 == 0 ? 0x1p64 : NAN;
		columns[i].rss_bytes = i % 2 ? 0x1p64 : 0;
	}
	for (rows = 0; rows < 30; rows++)
		canvas_destroy(draw(columns, 12, rows, i % 2 ? UINT64_MAX : 1));
	for (i = 0; i < 12; i++)
		columns[i] = nothing;
	canvas_destroy(draw(columns, 12, 8, 0));
}

static void test_sparkline(void **state)
{
	const double values[] = {0, 1, 4, 8, NAN, 100};
	struct canvas *canvas;

	assert_null(canvas_create(8, 1, &canvas));
	heap_chart_draw_sparkline(canvas, 1, 0, values, 6, 8, STYLE_GRAPH_HEAP);
	assert_row(canvas, 0, "  ▁▄█ █ ");
	canvas_clear(canvas);
	heap_chart_draw_sparkline(canvas, 1, 0, values, 6, 0, STYLE_GRAPH_HEAP);
	assert_row(canvas, 0, "        ");
	canvas_destroy(canvas);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_labels_say_exactly_where_they_stand),
		cmocka_unit_test(test_axis_of_odd_figures),
		cmocka_unit_test(test_blocks_dots_and_the_band),
		cmocka_unit_test(test_hostile_figures),
		cmocka_unit_test(test_sparkline),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
