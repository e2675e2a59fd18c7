/* The grid: one array of cells, row by row. Everything is drawn through canvas_put(), which alone knows
 * clipping, wide cells, control characters and the ASCII twins. */
#include "tui/canvas.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "tui/width.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct canvas {
	unsigned columns, rows;
	bool ascii;
	struct cell *cells;
};

static const struct cell blank = {' ', STYLE_NORMAL};

struct error *canvas_create(unsigned columns, unsigned rows, struct canvas **ret)
{
	struct canvas *canvas = calloc(1, sizeof(*canvas));
	struct error *error;

	if (!canvas)
		return error_create(ERROR_GENERAL, 0, NULL, "out of memory");
	error = canvas_resize(canvas, columns, rows);
	if (error) {
		canvas_destroy(canvas);
		return error;
	}
	*ret = canvas;
	return NULL;
}

void canvas_destroy(struct canvas *canvas)
{
	if (!canvas)
		return;
	free(canvas->cells);
	free(canvas);
}

struct error *canvas_resize(struct canvas *canvas, unsigned columns, unsigned rows)
{
	size_t count = (size_t)columns * rows;
	struct cell *cells = calloc(count ? count : 1, sizeof(*cells));

	if (!cells)
		return error_create(ERROR_GENERAL, 0, NULL, "out of memory");
	free(canvas->cells);
	canvas->cells = cells;
	canvas->columns = columns;
	canvas->rows = rows;
	canvas_clear(canvas);
	return NULL;
}

unsigned canvas_get_columns(const struct canvas *canvas)
{
	return canvas->columns;
}

unsigned canvas_get_rows(const struct canvas *canvas)
{
	return canvas->rows;
}

void canvas_clear(struct canvas *canvas)
{
	size_t i, count = (size_t)canvas->columns * canvas->rows;

	for (i = 0; i < count; i++)
		canvas->cells[i] = blank;
}

void canvas_set_ascii(struct canvas *canvas, bool ascii)
{
	canvas->ascii = ascii;
}

bool canvas_is_ascii(const struct canvas *canvas)
{
	return canvas->ascii;
}

static struct cell *cell_at(const struct canvas *canvas, unsigned column, unsigned row)
{
	if (column >= canvas->columns || row >= canvas->rows)
		return NULL;
	return &canvas->cells[(size_t)row * canvas->columns + column];
}

struct cell canvas_get(const struct canvas *canvas, unsigned column, unsigned row)
{
	const struct cell *cell = cell_at(canvas, column, row);

	return cell ? *cell : blank;
}

/* ---- ASCII twins ---- */

static const struct twin {
	uint32_t codepoint;
	char ascii;
} twins[] = {
	{0x2581, '.'}, {0x2582, '.'}, {0x2583, ':'}, {0x2584, ':'}, {0x2585, '|'}, {0x2586, '|'}, /* ▁▂▃▄▅▆ */
	{0x2587, '#'}, {0x2588, '#'}, {0x2589, '#'}, {0x258a, '#'}, {0x258b, '#'}, {0x258c, '|'}, /* ▇█▉▊▋▌ */
	{0x258d, '|'}, {0x258e, '|'}, {0x258f, '|'}, {0x2591, '.'}, {0x2592, ':'}, {0x2593, '|'}, /* ▍▎▏░▒▓ */
	{0x22ef, '~'}, {0x2026, '~'}, {0x25be, '-'}, {0x25b8, '+'}, {0x25b2, '^'}, {0x25bc, 'v'}, /* ⋯…▾▸▲▼ */
	{0x00b7, '.'}, {0x2022, '*'}, {0x25cf, '*'}, {0x25cb, 'o'}, {0x00b1, '~'}, {0x2212, '-'}, /* ·•●○±− */
	{0x2013, '-'}, {0x2014, '-'}, {0x203a, '>'}, {0x2039, '<'}, {0x00d7, 'x'}, {0x2713, 'v'}, /* –—›‹×✓ */
	{0x2717, 'x'}, {0x2191, '^'}, {0x2193, 'v'}, {0x2190, '<'}, {0x2192, '>'}, {0x00b5, 'u'}, /* ✗↑↓←→µ */
	{0x2500, '-'}, {0x2502, '|'}, {0x2550, '='}, {0x2551, '|'}, {0x2264, '<'}, {0x2265, '>'}, /* ─│═║≤≥ */
	{0x2016, '|'}, {0x25a0, '*'}, {0x25c6, '*'}, {0x23ce, '>'}, {0x25b6, '>'}, {0x25c0, '<'},
	{0x2225, '|'}, {0x23f8, '|'}, /* ◆⏎▶◀∥⏸ */
};

static char find_twin(uint32_t codepoint)
{
	size_t i;

	for (i = 0; i < sizeof(twins) / sizeof(twins[0]); i++)
		if (twins[i].codepoint == codepoint)
			return twins[i].ascii;
	/* the other box drawings are corners and crossings */
	return codepoint >= 0x2500 && codepoint <= 0x257f ? '+' : '?';
}

static bool is_control(uint32_t codepoint)
{
	return codepoint < 0x20 || (codepoint >= 0x7f && codepoint < 0xa0) || codepoint > 0x10ffff;
}

/* ---- putting ---- */

/* A cell is about to be overwritten: the other half of a wide character that reaches into it becomes a space.
 */
static void split_wide(struct canvas *canvas, unsigned column, unsigned row)
{
	struct cell *cell = cell_at(canvas, column, row);
	struct cell *next = cell_at(canvas, column + 1, row);

	if (cell->codepoint == 0 && column > 0)
		cell_at(canvas, column - 1, row)->codepoint = ' ';
	if (cell->codepoint != 0 && next && next->codepoint == 0)
		next->codepoint = ' ';
}

static void put_narrow(struct canvas *canvas, unsigned column, unsigned row, uint32_t codepoint,
		       uint16_t style)
{
	struct cell *cell = cell_at(canvas, column, row);

	if (!cell)
		return;
	split_wide(canvas, column, row);
	*cell = (struct cell){codepoint, style};
}

void canvas_put(struct canvas *canvas, unsigned column, unsigned row, uint32_t codepoint, uint16_t style)
{
	unsigned width = width_of_codepoint(codepoint);
	struct cell *cell = cell_at(canvas, column, row), *right;

	if (!cell || width == 0)
		return;
	if (is_control(codepoint))
		codepoint = '?';
	if (canvas->ascii && codepoint >= 0x80)
		codepoint = find_twin(codepoint);
	put_narrow(canvas, column, row, codepoint, style);
	if (width == 1)
		return;
	right = cell_at(canvas, column + 1, row);
	put_narrow(canvas, column + 1, row, canvas->ascii ? codepoint : ' ', style);
	if (!right)
		cell->codepoint = ' '; /* half a character is none */
	else if (!canvas->ascii)
		right->codepoint = 0;
}

/* One code point of a string; a byte that is no UTF-8 becomes '?'. Returns where the next one starts. */
static const char *next_codepoint(const char *text, size_t length, uint32_t *ret)
{
	size_t used = text_decode(text, length, ret);

	if (used)
		return text + used;
	*ret = '?';
	return text + 1;
}

unsigned canvas_text_width(const char *text)
{
	const char *end = text + strlen(text);
	unsigned width = 0;
	uint32_t codepoint;

	while (text < end) {
		text = next_codepoint(text, end - text, &codepoint);
		width += width_of_codepoint(codepoint);
	}
	return width;
}

unsigned canvas_text(struct canvas *canvas, unsigned column, unsigned row, unsigned width, uint16_t style,
		     const char *text)
{
	const char *end = text + strlen(text);
	unsigned used = 0, room = width;
	bool is_cut;

	if (column >= canvas->columns || row >= canvas->rows || !width)
		return 0;
	if (room > canvas->columns - column)
		room = canvas->columns - column;
	is_cut = canvas_text_width(text) > room;
	if (is_cut)
		room--;
	while (text < end) {
		uint32_t codepoint;
		unsigned wide;

		text = next_codepoint(text, end - text, &codepoint);
		wide = width_of_codepoint(codepoint);
		if (used + wide > room)
			break;
		canvas_put(canvas, column + used, row, codepoint, style);
		used += wide;
	}
	if (is_cut)
		canvas_put(canvas, column + used++, row, 0x2026, style);
	return used;
}

unsigned canvas_print(struct canvas *canvas, unsigned column, unsigned row, unsigned width, uint16_t style,
		      const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	if (length < 0) {
		text = NULL;
		return 0;
	}
	return canvas_text(canvas, column, row, width, style, text);
}

void canvas_text_right(struct canvas *canvas, unsigned column, unsigned row, unsigned width, uint16_t style,
		       const char *text)
{
	unsigned cells = canvas_text_width(text);

	if (cells < width)
		canvas_text(canvas, column + width - cells, row, cells, style, text);
	else
		canvas_text(canvas, column, row, width, style, text);
}

void canvas_fill(struct canvas *canvas, unsigned column, unsigned row, unsigned columns, unsigned rows,
		 uint32_t codepoint, uint16_t style)
{
	unsigned x, y;

	for (y = row; y < canvas->rows && y - row < rows; y++)
		for (x = column; x < canvas->columns && x - column < columns; x++)
			canvas_put(canvas, x, y, codepoint, style);
}

void canvas_restyle(struct canvas *canvas, unsigned column, unsigned row, unsigned columns, uint16_t or_style)
{
	unsigned x;

	for (x = column; row < canvas->rows && x < canvas->columns && x - column < columns; x++)
		cell_at(canvas, x, row)->style |= or_style;
}

void canvas_rule(struct canvas *canvas, unsigned column, unsigned row, unsigned width, const char *title)
{
	unsigned used;

	canvas_fill(canvas, column, row, width, 1, 0x2500, STYLE_DIM);
	if (!title || !title[0] || width < 5)
		return;
	used = canvas_text(canvas, column + 2, row, width - 4, STYLE_TITLE, title);
	canvas_put(canvas, column + 1, row, ' ', STYLE_DIM);
	canvas_put(canvas, column + 2 + used, row, ' ', STYLE_DIM);
}

void canvas_bar(struct canvas *canvas, unsigned column, unsigned row, unsigned width, double share,
		uint16_t style)
{
	unsigned eighths, full, rest;

	if (!(share > 0) || !width)
		return;
	eighths = share >= 1 ? width * 8 : (unsigned)lround(share * width * 8);
	if (!eighths)
		eighths = 1; /* what is there is seen */
	full = eighths / 8;
	rest = eighths % 8;
	canvas_fill(canvas, column, row, full, 1, 0x2588, style);
	if (rest)
		canvas_put(canvas, column + full, row, 0x2590 - rest, style); /* ▏ is 0x258f: one eighth */
}

/* ---- the golden form ---- */

static const char *const style_names[STYLES] = {
	[STYLE_NORMAL] = "normal",
	[STYLE_DIM] = "dim",
	[STYLE_BOLD] = "bold",
	[STYLE_HEADER] = "header",
	[STYLE_TAB] = "tab",
	[STYLE_TAB_ACTIVE] = "tab-active",
	[STYLE_TITLE] = "title",
	[STYLE_KEY] = "key",
	[STYLE_GOOD] = "good",
	[STYLE_WARN] = "warn",
	[STYLE_BAD] = "bad",
	[STYLE_BAR] = "bar",
	[STYLE_GRAPH_USER] = "graph-user",
	[STYLE_GRAPH_KERNEL] = "graph-kernel",
	[STYLE_GRAPH_UNKNOWN] = "graph-unknown",
	[STYLE_GRAPH_HEAP] = "graph-heap",
	[STYLE_GRAPH_RSS] = "graph-rss",
	[STYLE_MATCH] = "match",
	[STYLE_KIND_APP] = "kind-app",
	[STYLE_KIND_LIBRARY] = "kind-library",
	[STYLE_KIND_LIBC] = "kind-libc",
	[STYLE_KIND_KERNEL] = "kind-kernel",
	[STYLE_KIND_JIT] = "kind-jit",
	[STYLE_KIND_UNKNOWN] = "kind-unknown",
};

static void dump_text(const struct canvas *canvas, unsigned row, FILE *stream)
{
	unsigned column;
	char bytes[4];

	fputc('|', stream);
	for (column = 0; column < canvas->columns; column++) {
		uint32_t codepoint = cell_at(canvas, column, row)->codepoint;

		if (codepoint)
			fwrite(bytes, 1, text_encode(codepoint, bytes), stream);
	}
	fputs("|\n", stream);
}

static void dump_style(uint16_t style, FILE *stream)
{
	unsigned base = STYLE_BASE(style);

	fputs(base < STYLES && style_names[base] ? style_names[base] : "?", stream);
	if (style & STYLE_SELECTED)
		fputs("+selected", stream);
	if (style & STYLE_FILLED)
		fprintf(stream, "+light%d", style >> 10 & 3);
}

/* "3: 0-9 title, 12-40 dim+selected"; runs of the normal style are left out. */
static void dump_styles(const struct canvas *canvas, unsigned row, FILE *stream)
{
	unsigned column = 0;
	const char *separator = " ";

	fprintf(stream, "%u:", row);
	while (column < canvas->columns) {
		uint16_t style = cell_at(canvas, column, row)->style;
		unsigned start = column;

		while (column < canvas->columns && cell_at(canvas, column, row)->style == style)
			column++;
		if (style == STYLE_NORMAL)
			continue;
		fprintf(stream, "%s%u-%u ", separator, start, column - 1);
		dump_style(style, stream);
		separator = ", ";
	}
	fputc('\n', stream);
}

void canvas_dump(const struct canvas *canvas, FILE *stream)
{
	unsigned row;

	fprintf(stream, "%ux%u\n", canvas->columns, canvas->rows);
	for (row = 0; row < canvas->rows; row++)
		dump_text(canvas, row, stream);
	for (row = 0; row < canvas->rows; row++)
		dump_styles(canvas, row, stream);
}
