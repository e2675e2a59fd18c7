#include "tui/frame.h"

#include "tui/format.h"
#include "tui/heap_text.h"

#include <math.h>
#include <string.h>

struct frame frame_lay_out(unsigned columns, unsigned rows)
{
	if (rows < FRAME_ROWS_ROOMY)
		return (struct frame){
			.is_compact = true,
			.scope = 1,
			.detail = rows - 2,
			.message = rows - 2,
			.keys = rows - 1,
			.content = {0, 2, columns, rows - 4},
		};
	return (struct frame){
		.scope = 2,
		.detail = rows - 3,
		.message = rows - 2,
		.keys = rows - 1,
		.content = {0, 3, columns, rows - 6},
	};
}

/* ---- status ---- */

enum piece_id {
	PIECE_NAME,
	PIECE_TARGET,
	PIECE_STATE,
	PIECE_HZ,
	PIECE_HEAP,
	PIECE_SAMPLES,
	PIECE_COMPLETE,
	PIECE_LOST,
	PIECE_OWN,
	PIECES,
};

enum { LONG, SHORT, SHORTEST, LEFT_OUT };

struct piece {
	char text[LEFT_OUT][96];
	unsigned form;
	uint16_t style;
};

/* What gives way first when the row is too short. */
static const struct {
	enum piece_id piece;
	unsigned form;
} shrinking[] = {
	{PIECE_NAME, LEFT_OUT},	    {PIECE_HZ, SHORT},	       {PIECE_COMPLETE, SHORT},
	{PIECE_SAMPLES, SHORT},	    {PIECE_LOST, SHORT},       {PIECE_OWN, SHORT},
	{PIECE_HEAP, SHORT},	    {PIECE_STATE, SHORT},      {PIECE_TARGET, SHORT},
	{PIECE_HZ, SHORTEST},	    {PIECE_HEAP, LEFT_OUT},    {PIECE_STATE, SHORTEST},
	{PIECE_OWN, LEFT_OUT},	    {PIECE_SAMPLES, LEFT_OUT}, {PIECE_HZ, LEFT_OUT},
	{PIECE_COMPLETE, LEFT_OUT}, {PIECE_LOST, LEFT_OUT},
};

void frame_format_exit(const struct source_status *status, char *ret, size_t capacity)
{
	const char *name = sigabbrev_np(status->exit_value);

	if (status->exit_kind == EXIT_SIGNAL && name)
		snprintf(ret, capacity, "%d (SIG%s)", 128 + status->exit_value, name);
	else if (status->exit_kind == EXIT_SIGNAL)
		snprintf(ret, capacity, "%d (signal %d)", 128 + status->exit_value, status->exit_value);
	else if (status->exit_kind == EXIT_CODE)
		snprintf(ret, capacity, "%d", status->exit_value);
	else
		snprintf(ret, capacity, "?");
}

static void fill_state(struct piece *piece, const struct source_status *status)
{
	static const struct {
		const char *mark, *word;
		uint16_t style;
	} states[] = {
		[SOURCE_STARTING] = {"○", "STARTING", STYLE_WARN},
		[SOURCE_LIVE] = {"●", "LIVE", STYLE_GOOD},
		[SOURCE_PAUSED] = {"‖", "PAUSED", STYLE_WARN},
		[SOURCE_EXITED] = {"●", "EXITED", STYLE_BAD},
		[SOURCE_LOST] = {"✗", "PROBE DIED", STYLE_BAD},
		[SOURCE_SNAPSHOT] = {"■", "SNAPSHOT", STYLE_KEY},
	};
	char elapsed[FORMAT_MAX], word[32];
	const char *mark = states[status->state].mark;
	bool is_signal = status->exit_kind == EXIT_SIGNAL;

	snprintf(word, sizeof(word), "%s", states[status->state].word);
	if (status->state == SOURCE_EXITED && status->exit_kind != EXIT_NONE)
		snprintf(word, sizeof(word), "EXITED(%d)", status->exit_value + (is_signal ? 128 : 0));
	format_clock(status->elapsed_ns, elapsed);
	snprintf(piece->text[LONG], sizeof(piece->text[LONG]), "%s %s %s", mark, word, elapsed);
	snprintf(piece->text[SHORT], sizeof(piece->text[SHORT]), "%s%s %s", mark, word, elapsed);
	snprintf(piece->text[SHORTEST], sizeof(piece->text[SHORTEST]), "%s%s", mark, word);
	piece->style = states[status->state].style;
}

static void fill_target(struct piece *piece, const struct source_status *status)
{
	const char *target = status->target ? status->target : "?";

	snprintf(piece->text[0], sizeof(piece->text[0]), "%.60s[%u]", target, status->pid);
	snprintf(piece->text[1], sizeof(piece->text[1]), "%.15s", target);
	piece->style = STYLE_HEADER;
}

static void fill_figures(struct piece *pieces, const struct source_status *status)
{
	char delivered[FORMAT_MAX], requested[FORMAT_MAX], count[FORMAT_MAX], complete[FORMAT_MAX];
	struct piece *piece = &pieces[PIECE_HZ];

	format_hz(status->hz_delivered, delivered);
	format_hz(status->hz_requested, requested);
	snprintf(piece->text[0], sizeof(piece->text[0]), "cpu %s/%sHz", delivered, requested);
	snprintf(piece->text[1], sizeof(piece->text[1]), "%s/%sHz", delivered, requested);
	if (status->hz_delivered >= 0) /* NAN: not known */
		snprintf(delivered, sizeof(delivered), "%.0f", status->hz_delivered);
	snprintf(piece->text[SHORTEST], sizeof(piece->text[SHORTEST]), "%s/%sHz", delivered, requested);
	piece = &pieces[PIECE_SAMPLES];
	format_short(status->samples, count);
	snprintf(piece->text[0], sizeof(piece->text[0]), "%s smp", count);
	snprintf(piece->text[1], sizeof(piece->text[1]), "%s", count);
	piece = &pieces[PIECE_COMPLETE];
	format_percent(status->complete_pct, complete);
	snprintf(piece->text[0], sizeof(piece->text[0]), "stacks %s", complete);
	format_whole_percent(status->complete_pct, complete);
	snprintf(piece->text[1], sizeof(piece->text[1]), "stk%s", complete);
	piece->style = status->complete_pct < 99 ? STYLE_WARN : STYLE_HEADER;
	piece = &pieces[PIECE_LOST];
	format_short(status->lost, count);
	snprintf(piece->text[0], sizeof(piece->text[0]), "lost %s", count);
	snprintf(piece->text[1], sizeof(piece->text[1]), "lost%s", count);
	piece->style = status->lost ? STYLE_BAD : STYLE_HEADER;
	piece = &pieces[PIECE_OWN];
	format_percent(status->self_cpu_pct, count);
	snprintf(piece->text[0], sizeof(piece->text[0]), "ovh %s", count);
	snprintf(piece->text[1], sizeof(piece->text[1]), "ovh%s", count);
}

static void fill_heap(struct piece *piece, const struct heap_facts *heap)
{
	heap_write_mode(heap, false, piece->text[LONG], sizeof(piece->text[LONG]));
	heap_write_mode(heap, true, piece->text[SHORT], sizeof(piece->text[SHORT]));
	if (heap->mode == HEAP_MODE_CLOSED)
		piece->style = STYLE_WARN;
}

static unsigned measure_pieces(const struct piece *pieces, unsigned separator)
{
	unsigned i, cells = 1, shown = 0;

	for (i = 0; i < PIECES; i++) {
		if (pieces[i].form == LEFT_OUT)
			continue;
		cells += canvas_text_width(pieces[i].text[pieces[i].form]) + (shown++ ? separator : 0);
	}
	return cells;
}

/* Returns the cells between two pieces: 3 with a line, fewer without. */
static unsigned shrink_pieces(struct piece *pieces, unsigned columns)
{
	unsigned separator = 3;
	size_t i;

	for (i = 0; i < sizeof(shrinking) / sizeof(shrinking[0]); i++) {
		if (measure_pieces(pieces, separator) <= columns)
			break;
		pieces[shrinking[i].piece].form = shrinking[i].form;
		/* the lines between go before the target's pid, and the gaps before anything is left out */
		if (shrinking[i].piece == PIECE_STATE && shrinking[i].form == SHORT)
			separator = 2;
		else if (shrinking[i].piece == PIECE_HZ && shrinking[i].form == SHORTEST)
			separator = 1;
	}
	return separator;
}

void frame_draw_status(struct canvas *canvas, const struct source_status *status,
		       const struct heap_facts *heap)
{
	struct piece pieces[PIECES] = {[PIECE_NAME] = {.text[0] = "kiln"}};
	unsigned columns = canvas_get_columns(canvas), separator, at = 1, i;

	for (i = 0; i < PIECES; i++)
		pieces[i].style = STYLE_HEADER;
	fill_target(&pieces[PIECE_TARGET], status);
	fill_state(&pieces[PIECE_STATE], status);
	fill_figures(pieces, status);
	fill_heap(&pieces[PIECE_HEAP], heap);
	separator = shrink_pieces(pieces, columns);
	canvas_fill(canvas, 0, 0, columns, 1, ' ', STYLE_HEADER);
	for (i = 0; i < PIECES && at < columns; i++) {
		if (pieces[i].form == LEFT_OUT)
			continue;
		if (at > 1 && separator == 3)
			canvas_put(canvas, at + 1, 0, 0x2502, STYLE_HEADER);
		at += at > 1 ? separator : 0;
		at += canvas_text(canvas, at, 0, columns - at, pieces[i].style,
				  pieces[i].text[pieces[i].form]);
	}
}

/* ---- tabs, scope, keys ---- */

unsigned frame_draw_tabs(struct canvas *canvas, const struct view_ops *const *views, unsigned count,
			 unsigned current)
{
	unsigned columns = canvas_get_columns(canvas), at = 0, i;

	canvas_fill(canvas, 0, 1, columns, 1, ' ', STYLE_TAB);
	for (i = 0; i < count && at < columns; i++) {
		uint16_t style = i == current ? STYLE_TAB_ACTIVE : STYLE_TAB;

		canvas_put(canvas, at, 1, i == current ? '[' : ' ', style);
		at++;
		at += canvas_print(canvas, at, 1, columns - at, style, "%c %s", views[i]->key, views[i]->tab);
		if (i == current)
			canvas_put(canvas, at, 1, ']', style);
		at++;
	}
	return at;
}

/* The end of a breadcrumb tells most: what does not fit is cut at the left, at a step of the path when that
 * costs little. */
static const char *cut_left(const char *text, unsigned room)
{
	const char *step = text;

	while ((step = strstr(step, " ▸ ")) && canvas_text_width(step) > room)
		step++;
	if (step && canvas_text_width(step) * 3 >= room * 2)
		return step;
	while (*text && canvas_text_width(text) > room)
		do
			text++;
		while ((*text & 0xc0) == 0x80);
	return text;
}

/* In ASCII a path goes on with ">": the "+" that stands for ▸ elsewhere says that something can be unfolded.
 */
static void write_ascii_path(const char *path, char *ret, size_t capacity)
{
	size_t used = 0;

	while (*path && used + 1 < capacity) {
		bool is_step = !strncmp(path, "▸", strlen("▸"));

		ret[used++] = is_step ? '>' : *path;
		path += is_step ? strlen("▸") : 1;
	}
	ret[used] = '\0';
}

void frame_draw_scope(struct canvas *canvas, unsigned row, unsigned start, const char *scope)
{
	char path[512];
	unsigned columns = canvas_get_columns(canvas), width = canvas_text_width(scope);
	unsigned room = columns > start + 1 ? columns - start - 1 : 0;

	if (room < 8)
		return;
	if (canvas_is_ascii(canvas)) {
		write_ascii_path(scope, path, sizeof(path));
		scope = path;
	}
	if (width > room) {
		canvas_put(canvas, start, row, 0x2026, STYLE_DIM);
		canvas_text(canvas, start + 1, row, room, STYLE_NORMAL, cut_left(scope, room));
	} else {
		canvas_text(canvas, row == 1 ? columns - 1 - width : start, row, width, STYLE_NORMAL, scope);
	}
}

/* "Enter open": the key is up to the first space. Returns the cells used. */
static unsigned draw_key(struct canvas *canvas, unsigned at, unsigned row, const char *text, size_t length)
{
	const char *space = memchr(text, ' ', length);
	size_t key = space ? (size_t)(space - text) : length;
	unsigned columns = canvas_get_columns(canvas), used;

	if (at >= columns)
		return 0;
	used = canvas_print(canvas, at, row, columns - at, STYLE_KEY, "%.*s", (int)key, text);
	if (key < length && at + used < columns)
		used += canvas_print(canvas, at + used, row, columns - at - used, STYLE_DIM, "%.*s",
				     (int)(length - key), text + key);
	return used;
}

/* Draws the hints of a list that fit before the limit; returns where it ended. */
static unsigned draw_key_list(struct canvas *canvas, unsigned at, unsigned row, unsigned limit,
			      const char *keys)
{
	while (*keys) {
		const char *end = strstr(keys, "  ");
		size_t length = end ? (size_t)(end - keys) : strlen(keys);
		char text[64];

		snprintf(text, sizeof(text), "%.*s", (int)length, keys);
		if (at + canvas_text_width(text) > limit)
			return at;
		at += draw_key(canvas, at, row, text, strlen(text)) + 2;
		keys += length;
		keys += strspn(keys, " ");
	}
	return at;
}

void frame_draw_keys(struct canvas *canvas, unsigned row, const char *view_keys, const char *app_keys)
{
	unsigned columns = canvas_get_columns(canvas), width = canvas_text_width(app_keys);
	unsigned at;

	at = draw_key_list(canvas, 1, row, columns > width + 2 ? columns - width - 2 : 0, view_keys);
	draw_key_list(canvas, at, row, columns, app_keys);
}
