/* The grid: clipping, wide characters, hostile names, ASCII twins, bars, the golden form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "tui/canvas.h"
#include "tui/width.h"

#include <stdlib.h>
#include <string.h>

static struct canvas *make(unsigned columns, unsigned rows)
{
	struct canvas *canvas;

	assert_null(canvas_create(columns, rows, &canvas));
	return canvas;
}

/* The text of a row; right halves are left out. */
static const char *row_text(const struct canvas *canvas, unsigned row)
{
	static char text[1024];
	size_t length = 0;
	unsigned column;

	for (column = 0; column < canvas_get_columns(canvas); column++) {
		uint32_t codepoint = canvas_get(canvas, column, row).codepoint;

		if (codepoint)
			length += text_encode(codepoint, text + length);
	}
	text[length] = '\0';
	return text;
}

static void test_widths(void **state)
{
	assert_int_equal(width_of_codepoint('a'), 1);
	assert_int_equal(width_of_codepoint(0xe9), 1);	  /* é */
	assert_int_equal(width_of_codepoint(0x301), 0);	  /* combining acute */
	assert_int_equal(width_of_codepoint(0x200d), 0);  /* zero width joiner */
	assert_int_equal(width_of_codepoint(0x202e), 0);  /* right-to-left override */
	assert_int_equal(width_of_codepoint(0x1100), 2);  /* hangul choseong */
	assert_int_equal(width_of_codepoint(0x1160), 0);  /* hangul jungseong */
	assert_int_equal(width_of_codepoint(0x4e2d), 2);  /* 中 */
	assert_int_equal(width_of_codepoint(0xff21), 2);  /* fullwidth A */
	assert_int_equal(width_of_codepoint(0xff66), 1);  /* halfwidth katakana */
	assert_int_equal(width_of_codepoint(0x1f600), 2); /* emoji */
	assert_int_equal(width_of_codepoint(0x2588), 1);  /* full block */
	assert_int_equal(width_of_codepoint(0x25b8), 1);
	assert_int_equal(width_of_codepoint(0x10ffff), 1);
	assert_int_equal(canvas_text_width("a中e\xcc\x81\xff"), 5);
}

static void test_text_is_cut_with_an_ellipsis(void **state)
{
	struct canvas *canvas = make(10, 1);

	assert_int_equal(canvas_text(canvas, 0, 0, 10, STYLE_NORMAL, "0123456789"), 10);
	assert_string_equal(row_text(canvas, 0), "0123456789");
	assert_int_equal(canvas_text(canvas, 0, 0, 10, STYLE_NORMAL, "0123456789a"), 10);
	assert_string_equal(row_text(canvas, 0), "012345678…");
	canvas_clear(canvas);
	assert_int_equal(canvas_text(canvas, 7, 0, 100, STYLE_NORMAL, "abcd"),
			 3); /* the right edge cuts too */
	assert_string_equal(row_text(canvas, 0), "       ab…");
	assert_int_equal(canvas_text(canvas, 10, 0, 5, STYLE_NORMAL, "x"), 0);
	assert_int_equal(canvas_text(canvas, 0, 1, 5, STYLE_NORMAL, "x"), 0);
	assert_int_equal(canvas_text(canvas, 0, 0, 0, STYLE_NORMAL, "x"), 0);
	canvas_destroy(canvas);
}

static void test_wide_characters_take_two_cells(void **state)
{
	struct canvas *canvas = make(6, 1);

	assert_int_equal(canvas_text(canvas, 0, 0, 6, STYLE_BOLD, "中文x"), 5);
	assert_int_equal(canvas_get(canvas, 0, 0).codepoint, 0x4e2d);
	assert_int_equal(canvas_get(canvas, 1, 0).codepoint, 0);
	assert_int_equal(canvas_get(canvas, 1, 0).style, STYLE_BOLD);
	/* either half that is overwritten takes the other with it */
	canvas_put(canvas, 1, 0, 'a', STYLE_NORMAL);
	assert_string_equal(row_text(canvas, 0), " a文x ");
	canvas_put(canvas, 2, 0, 'b', STYLE_NORMAL);
	assert_string_equal(row_text(canvas, 0), " ab x ");
	/* a wide one over the left half of another */
	canvas_text(canvas, 0, 0, 6, STYLE_NORMAL, "中文x");
	canvas_put(canvas, 1, 0, 0x4e2d, STYLE_NORMAL);
	assert_string_equal(row_text(canvas, 0), " 中 x ");
	/* half a character is none */
	canvas_put(canvas, 5, 0, 0x4e2d, STYLE_NORMAL);
	assert_int_equal(canvas_get(canvas, 5, 0).codepoint, ' ');
	canvas_clear(canvas);
	assert_int_equal(canvas_text(canvas, 0, 0, 4, STYLE_NORMAL, "中文x"),
			 3); /* no room for half of 文 and … */
	assert_string_equal(row_text(canvas, 0), "中…   ");
	canvas_destroy(canvas);
}

static void test_hostile_names_stay_in_their_cells(void **state)
{
	struct canvas *canvas = make(24, 1);

	canvas_text(canvas, 0, 0, 24, STYLE_NORMAL,
		    "a\033[2Jb\n\t\x7f\xc2\x9b"
		    "c\xff\xfe\xc0\xaf"
		    "d");
	assert_string_equal(row_text(canvas, 0), "a?[2Jb????c????d        ");
	canvas_clear(canvas);
	canvas_text(canvas, 0, 0, 24, STYLE_NORMAL,
		    "e\xcc\x81\xcc\x81\xcc\x81x\xe2\x80\xaey"); /* zalgo, RLO */
	assert_string_equal(row_text(canvas, 0), "exy                     ");
	canvas_destroy(canvas);
}

static void test_drawing_clips_everywhere(void **state)
{
	static const unsigned sizes[][2] = {{0, 0}, {1, 1}, {1, 5}, {5, 1}};
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct canvas *canvas = make(sizes[i][0], sizes[i][1]);

		canvas_put(canvas, UINT32_MAX, 0, 0x4e2d, 0);
		canvas_put(canvas, 0, UINT32_MAX, 'x', 0);
		canvas_put(canvas, 0, 0, 0x4e2d, 0);
		canvas_text(canvas, 0, 0, UINT32_MAX, 0, "long text");
		canvas_text(canvas, UINT32_MAX - 2, 0, 10, 0, "x");
		canvas_text_right(canvas, 3, 0, 4, 0, "12345");
		canvas_fill(canvas, 0, 0, UINT32_MAX, UINT32_MAX, '#', 0);
		canvas_restyle(canvas, 0, 0, UINT32_MAX, STYLE_SELECTED);
		canvas_rule(canvas, 0, 0, 100, "title");
		canvas_bar(canvas, 0, 0, 100, 0.5, STYLE_BAR);
		canvas_destroy(canvas);
	}
	canvas_destroy(NULL);
}

static void test_right_alignment(void **state)
{
	struct canvas *canvas = make(8, 1);

	canvas_text_right(canvas, 1, 0, 6, STYLE_NORMAL, "24.1%");
	assert_string_equal(row_text(canvas, 0), "  24.1% ");
	canvas_text_right(canvas, 0, 0, 4, STYLE_NORMAL, "123456");
	assert_string_equal(row_text(canvas, 0), "123….1% ");
	canvas_destroy(canvas);
}

static const char *bar(double share)
{
	static char text[64];
	struct canvas *canvas = make(4, 1);

	canvas_bar(canvas, 0, 0, 4, share, STYLE_BAR);
	strcpy(text, row_text(canvas, 0));
	canvas_destroy(canvas);
	return text;
}

static void test_bars(void **state)
{
	assert_string_equal(bar(0), "    ");
	assert_string_equal(bar(0.0 / 0.0), "    ");
	assert_string_equal(bar(-1), "    ");
	assert_string_equal(bar(1e-9), "▏   "); /* what is there is seen */
	assert_string_equal(bar(0.5), "██  ");
	assert_string_equal(bar(0.625), "██▌ ");
	assert_string_equal(bar(31.0 / 32), "███▉");
	assert_string_equal(bar(1), "████");
	assert_string_equal(bar(7), "████");
}

static void test_ascii_has_a_twin_for_everything(void **state)
{
	struct canvas *canvas = make(20, 2);
	unsigned column;

	canvas_set_ascii(canvas, true);
	canvas_text(canvas, 0, 0, 20, STYLE_NORMAL, "▁▃▅█ ▏⋯…▾▸ ─│┼┌ é中x");
	assert_string_equal(row_text(canvas, 0), ".:|# |~~-+ -|++ ???x");
	canvas_rule(canvas, 0, 1, 12, "CPU");
	assert_string_equal(row_text(canvas, 1), "- CPU ------        ");
	for (column = 0; column < 20; column++)
		assert_true(canvas_get(canvas, column, 0).codepoint < 0x7f);
	canvas_destroy(canvas);
}

static void test_golden_form(void **state)
{
	struct canvas *canvas = make(6, 2);
	char *text = NULL;
	size_t length;
	FILE *stream;

	canvas_text(canvas, 0, 0, 6, STYLE_TITLE, "ab中");
	canvas_text(canvas, 1, 1, 2, STYLE_KIND_APP | STYLE_LIGHTNESS(2), "xy");
	canvas_restyle(canvas, 2, 1, 2, STYLE_SELECTED);
	stream = open_memstream(&text, &length);
	canvas_dump(canvas, stream);
	fclose(stream);
	assert_string_equal(text,
			    "6x2\n"
			    "|ab中  |\n"
			    "| xy   |\n"
			    "0: 0-3 title\n"
			    "1: 1-1 kind-app+light2, 2-2 kind-app+selected+light2, 3-3 normal+selected\n");
	free(text);
	canvas_destroy(canvas);
}

static void test_resize_clears(void **state)
{
	struct canvas *canvas = make(4, 1);

	canvas_text(canvas, 0, 0, 4, STYLE_BAD, "abcd");
	assert_null(canvas_resize(canvas, 300, 100));
	assert_int_equal(canvas_get_columns(canvas), 300);
	assert_int_equal(canvas_get_rows(canvas), 100);
	assert_int_equal(canvas_get(canvas, 0, 0).codepoint, ' ');
	assert_int_equal(canvas_get(canvas, 299, 99).style, STYLE_NORMAL);
	canvas_destroy(canvas);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_widths),
		cmocka_unit_test(test_text_is_cut_with_an_ellipsis),
		cmocka_unit_test(test_wide_characters_take_two_cells),
		cmocka_unit_test(test_hostile_names_stay_in_their_cells),
		cmocka_unit_test(test_drawing_clips_everywhere),
		cmocka_unit_test(test_right_alignment),
		cmocka_unit_test(test_bars),
		cmocka_unit_test(test_ascii_has_a_twin_for_everything),
		cmocka_unit_test(test_golden_form),
		cmocka_unit_test(test_resize_clears),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
