#include "tui/sandwich.h"

#include "tui/format.h"
#include "tui/label.h"
#include "tui/metric.h"

#include <string.h>

bool sandwich_is_open(const struct sandwich *sandwich)
{
	return sandwich->levels.count > 0;
}

static uint32_t get_function(const struct sandwich *sandwich)
{
	return sandwich->levels.items[sandwich->levels.count - 1];
}

static struct profile *get_profile(const struct sandwich *sandwich)
{
	return metric_get_profile(sandwich->context);
}

static void put_cursor_on_function(struct sandwich *sandwich)
{
	sandwich->side = SIDE_FUNCTION;
	sandwich->place = sandwich->scroll = 0;
}

void sandwich_open(struct sandwich *sandwich, uint32_t function)
{
	if (function == NEIGHBOUR_NONE || function >= profile_count_functions(get_profile(sandwich)))
		return;
	if (sandwich_is_open(sandwich) && get_function(sandwich) == function) /* recursion */
		return;
	if (array_append(&sandwich->levels, function))
		put_cursor_on_function(sandwich);
}

void sandwich_close(struct sandwich *sandwich)
{
	sandwich->levels.count = 0;
}

void sandwich_deinit(struct sandwich *sandwich)
{
	array_deinit(&sandwich->levels);
	neighbours_deinit(&sandwich->neighbours);
}

/* ---- the cursor ---- */

static const struct neighbour_list *get_side(const struct sandwich *sandwich, enum sandwich_side side)
{
	return side == SIDE_CALLER ? &sandwich->neighbours.callers : &sandwich->neighbours.callees;
}

static void select_place(struct sandwich *sandwich, enum sandwich_side side, size_t place)
{
	const struct neighbour_list *list = get_side(sandwich, side);

	if (side == SIDE_FUNCTION || !list->count) {
		put_cursor_on_function(sandwich);
		return;
	}
	if (sandwich->side != side)
		sandwich->scroll = 0;
	sandwich->side = side;
	sandwich->place = place < list->count ? place : list->count - 1;
	sandwich->selected = list->items[sandwich->place].function;
}

/* Reads the lists and finds the cursor's row again. */
static void refresh(struct sandwich *sandwich)
{
	const struct neighbour_list *list;
	size_t i;

	neighbours_refresh(&sandwich->neighbours, get_profile(sandwich), get_function(sandwich));
	if (sandwich->side == SIDE_FUNCTION)
		return;
	list = get_side(sandwich, sandwich->side);
	for (i = 0; i < list->count; i++)
		if (list->items[i].function == sandwich->selected)
			break;
	select_place(sandwich, sandwich->side, i < list->count ? i : sandwich->place);
}

/* Positions of the whole column: callers are negative, the function is 0. */
static long get_position(const struct sandwich *sandwich)
{
	return sandwich->side == SIDE_FUNCTION ? 0 : (long)sandwich->side * (long)(sandwich->place + 1);
}

static void set_position(struct sandwich *sandwich, long position)
{
	long first = -(long)sandwich->neighbours.callers.count,
	     last = (long)sandwich->neighbours.callees.count;

	if (position < first)
		position = first;
	if (position > last)
		position = last;
	if (position < 0)
		select_place(sandwich, SIDE_CALLER, (size_t)(-position - 1));
	else
		select_place(sandwich, position ? SIDE_CALLEE : SIDE_FUNCTION,
			     (size_t)(position ? position - 1 : 0));
}

uint32_t sandwich_get_selected(const struct sandwich *sandwich)
{
	return sandwich->side == SIDE_FUNCTION ? get_function(sandwich) : sandwich->selected;
}

static bool press_move(struct sandwich *sandwich, uint32_t key)
{
	long position = get_position(sandwich), page = sandwich->page ? (long)sandwich->page : 1;

	switch (key) {
	case KEY_CODE_UP:
	case 'k':
		position--;
		break;
	case KEY_CODE_DOWN:
	case 'j':
		position++;
		break;
	case KEY_CODE_PAGE_UP:
	case KEY_CODE_CTRL('U'):
		position -= page;
		break;
	case KEY_CODE_PAGE_DOWN:
	case KEY_CODE_CTRL('D'):
		position += page;
		break;
	case KEY_CODE_HOME:
	case 'g':
		position = -(long)sandwich->neighbours.callers.count;
		break;
	case KEY_CODE_END:
	case 'G':
		position = (long)sandwich->neighbours.callees.count;
		break;
	default:
		return false;
	}
	set_position(sandwich, position);
	return true;
}

bool sandwich_press(struct sandwich *sandwich, uint32_t key)
{
	refresh(sandwich);
	if (press_move(sandwich, key))
		return true;
	switch (key) {
	case KEY_CODE_ENTER:
	case 'c':
		if (sandwich->side != SIDE_FUNCTION)
			sandwich_open(sandwich, sandwich->selected);
		return true;
	case KEY_CODE_ESCAPE:
		sandwich->levels.count--;
		put_cursor_on_function(sandwich);
		return true;
	}
	return false;
}

bool sandwich_find(struct sandwich *sandwich, int direction)
{
	long first, count, step, position;

	refresh(sandwich);
	first = -(long)sandwich->neighbours.callers.count;
	count = (long)(sandwich->neighbours.callers.count + sandwich->neighbours.callees.count) + 1;
	position = get_position(sandwich);
	for (step = 1; step <= count; step++) {
		set_position(sandwich, first + (position - first + direction * step + 2 * count) % count);
		if (hits_has(sandwich->hits, sandwich->context, sandwich_get_selected(sandwich)))
			return true;
	}
	set_position(sandwich, position);
	return false;
}

/* ---- drawing ---- */

static void draw_name(struct sandwich *sandwich, struct canvas *canvas, unsigned column, unsigned row,
		      unsigned width, uint32_t number, uint16_t style, bool is_caller)
{
	char name[CODE_NAME_MAX], label[LABEL_MAX];

	neighbour_write_name(get_profile(sandwich), number, is_caller, name, sizeof(name));
	label_fit(name, width, label, sizeof(label));
	if (hits_has(sandwich->hits, sandwich->context, number))
		style = STYLE_MATCH;
	else if (number == NEIGHBOUR_NONE)
		style = STYLE_DIM;
	canvas_text(canvas, column, row, width, style, label);
}

static void draw_module(struct sandwich *sandwich, struct canvas *canvas, unsigned column, unsigned row,
			unsigned width, uint32_t number)
{
	struct profile *profile = get_profile(sandwich);
	struct function function;

	if (number == NEIGHBOUR_NONE || !width)
		return;
	function = profile_get_function(profile, number);
	canvas_text(canvas, column, row, width, code_get_kind(profile, function.module),
		    function.module_name);
}

/* Cells of a row: marker 2, share 6, samples 9, a gap, the name, the module when there is room. */
static void draw_row(struct sandwich *sandwich, struct canvas *canvas, struct rectangle area, unsigned row,
		     const struct neighbour *neighbour, enum sandwich_side side, bool is_selected)
{
	unsigned samples = area.columns >= 50 ? 9 : 0, module = area.columns >= 76 ? 16 : 0,
		 name = 10 + samples;
	char text[FORMAT_MAX];

	if (is_selected)
		code_draw_cursor(canvas, area.column, row);
	if (area.columns < 8)
		return;
	canvas_text_right(canvas, area.column + 2, row, 6, STYLE_NORMAL,
			  format_share(neighbour->samples, sandwich->neighbours.total, text));
	if (samples)
		canvas_text_right(canvas, area.column + 8, row, samples, STYLE_DIM,
				  metric_format(sandwich->context->metric, neighbour->samples, text));
	if (area.columns <= name + module)
		return;
	draw_name(sandwich, canvas, area.column + name, row, area.columns - name - module,
		  neighbour->function, side == SIDE_FUNCTION ? STYLE_BOLD : STYLE_NORMAL,
		  side == SIDE_CALLER);
	if (module)
		draw_module(sandwich, canvas, area.column + area.columns - module + 1, row, module - 1,
			    neighbour->function);
	if (is_selected)
		canvas_restyle(canvas, area.column, row, area.columns, STYLE_SELECTED);
}

static uint64_t sum_from(const struct neighbour_list *list, size_t place)
{
	uint64_t sum = 0;

	for (; place < list->count; place++)
		sum += list->items[place].samples;
	return sum;
}

static void draw_more(struct sandwich *sandwich, struct canvas *canvas, struct rectangle area, unsigned row,
		      size_t count, uint64_t samples)
{
	char text[FORMAT_MAX];

	if (area.columns < 8)
		return;
	canvas_text_right(canvas, area.column + 2, row, 6, STYLE_DIM,
			  format_share(samples, sandwich->neighbours.total, text));
	canvas_print(canvas, area.column + 10, row, area.columns > 10 ? area.columns - 10 : 0, STYLE_DIM,
		     "… %zu more", count);
}

/* Draws one side in rows counted from the function outwards; the last one says what does not fit. */
static void draw_side(struct sandwich *sandwich, struct canvas *canvas, struct rectangle area, unsigned rows,
		      enum sandwich_side side, unsigned nearest)
{
	const struct neighbour_list *list = get_side(sandwich, side);
	bool has_cursor = sandwich->side == side;
	size_t scroll = has_cursor ? sandwich->scroll : 0, shown;
	unsigned i;

	shown = list->count - (scroll < list->count ? scroll : list->count) > rows ? rows - 1 : rows;
	if (has_cursor && sandwich->place < scroll)
		scroll = sandwich->place;
	if (has_cursor && shown && sandwich->place >= scroll + shown)
		scroll = sandwich->place + 1 - shown;
	if (has_cursor)
		sandwich->scroll = scroll;
	for (i = 0; i < rows && scroll + i < list->count; i++) {
		unsigned row = side == SIDE_CALLER ? nearest - i : nearest + i;

		if (i + 1 == rows && scroll + rows < list->count && rows > 1)
			draw_more(sandwich, canvas, area, row, list->count - scroll - i,
				  sum_from(list, scroll + i));
		else
			draw_row(sandwich, canvas, area, row, &list->items[scroll + i], side,
				 has_cursor && sandwich->place == scroll + i);
	}
}

static void draw_function(struct sandwich *sandwich, struct canvas *canvas, struct rectangle area,
			  unsigned row)
{
	struct neighbour function = {get_function(sandwich), sandwich->neighbours.total};

	draw_row(sandwich, canvas, area, row, &function, SIDE_FUNCTION, sandwich->side == SIDE_FUNCTION);
}

void sandwich_draw(struct sandwich *sandwich, struct canvas *canvas, struct rectangle area)
{
	unsigned bottom = area.row + area.rows, callers, callees, middle;

	refresh(sandwich);
	if (area.rows < 5) { /* no room for two sides: the function alone */
		draw_function(sandwich, canvas, area, area.row);
		return;
	}
	/* Two titles and the function; each side gets half of the rest, and what the other one leaves. */
	callers = (area.rows - 3) / 2;
	callees = area.rows - 3 - callers;
	if (sandwich->neighbours.callers.count < callers) {
		callers = (unsigned)sandwich->neighbours.callers.count;
		callees = area.rows - 3 - callers;
	} else if (sandwich->neighbours.callees.count < callees) {
		callees = (unsigned)sandwich->neighbours.callees.count;
		callers = area.rows - 3 - callees;
		if (sandwich->neighbours.callers.count < callers)
			callers = (unsigned)sandwich->neighbours.callers.count;
	}
	middle = area.row + 1 + callers;
	sandwich->page = callers > callees ? callers : callees;
	canvas_rule(canvas, area.column, area.row, area.columns,
		    area.columns >= 60 ? "callers, share of the function's total" : "callers");
	draw_side(sandwich, canvas, area, callers, SIDE_CALLER, middle - 1);
	draw_function(sandwich, canvas, area, middle);
	canvas_rule(canvas, area.column, middle + 1, area.columns,
		    area.columns >= 60 ? "callees and self, share of the function's total"
				       : "callees and self");
	if (middle + 2 < bottom)
		draw_side(sandwich, canvas, area, bottom - middle - 2, SIDE_CALLEE, middle + 2);
}

/* ---- words ---- */

void sandwich_describe(struct sandwich *sandwich, unsigned columns, char *ret, size_t capacity)
{
	struct function function = profile_get_function(get_profile(sandwich), get_function(sandwich));
	const struct neighbour_list *list = get_side(sandwich, sandwich->side);
	char figures[LABEL_MAX + 128], share[FORMAT_MAX], count[FORMAT_MAX], middle[LABEL_MAX];
	uint32_t selected = sandwich_get_selected(sandwich);
	uint64_t samples = sandwich->place < list->count ? list->items[sandwich->place].samples : 0;

	label_fit(function.name, columns / 3, middle, sizeof(middle));
	snprintf(figures, sizeof(figures), "%s of %s  %s", format_share(samples, function.total, share),
		 middle, metric_format_amount(sandwich->context->metric, samples, count));
	if (selected == NEIGHBOUR_NONE)
		snprintf(ret, capacity, "%s  %s", sandwich->side == SIDE_CALLER ? "[root]" : "self", figures);
	else
		code_write_detail(get_profile(sandwich), selected, figures, columns, ret, capacity);
}

void sandwich_write_scope(const struct sandwich *sandwich, char *ret, size_t capacity)
{
	char metric[64];
	size_t i = sandwich->levels.count > 3 ? sandwich->levels.count - 3 : 0, used;
	char label[LABEL_MAX];

	used = (size_t)snprintf(ret, capacity, "callers and callees%s", i ? " › …" : "");
	for (; i < sandwich->levels.count && used < capacity; i++) {
		struct function function =
			profile_get_function(get_profile(sandwich), sandwich->levels.items[i]);

		label_fit(function.name, 24, label, sizeof(label));
		used += (size_t)snprintf(ret + used, capacity - used, " › %s", label);
	}
	metric_write_scope(sandwich->context, metric, sizeof(metric));
	if (used < capacity)
		snprintf(ret + used, capacity - used, "%s", metric);
}
