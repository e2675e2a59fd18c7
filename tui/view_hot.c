/* Screen 2: the functions that burn CPU time (or allocate), with callers and callees of the selected one
 * below, and the sandwich over the whole screen. Only what is on the screen is read from the profile. */
#include "tui/code_text.h"
#include "tui/format.h"
#include "tui/hot_neighbours.h"
#include "tui/hot_order.h"
#include "tui/label.h"
#include "tui/metric.h"
#include "tui/rows.h"
#include "tui/sandwich.h"
#include "tui/view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* In which the figures stand; an amount is samples, bytes or blocks. Heaps have no time. */
enum unit { IN_PERCENT, IN_AMOUNT, IN_TIME, UNITS };

struct hot {
	struct view view;
	struct hot_order order;
	struct rows rows;
	struct hits hits;
	struct neighbours neighbours; /* of the selected function, for the panes */
	struct sandwich sandwich;
	enum unit unit;
	unsigned width;	 /* of the last drawing */
	uint64_t all;	 /* samples, bytes or blocks, as of this drawing */
	unsigned metric; /* that it showed last */
	double hz;	 /* samples a CPU second; NAN unknown */
};

/* ---- life ---- */

static struct error *create(struct view_context *context, struct view **ret)
{
	struct hot *hot = calloc(1, sizeof(*hot));

	if (!hot)
		return error_create(ERROR_GENERAL, 0, NULL, "out of memory");
	hot->view = (struct view){&view_hot, context};
	hot->order.profile = metric_get_profile(context);
	hot->sandwich.context = context;
	hot->sandwich.hits = &hot->hits;
	*ret = &hot->view;
	return NULL;
}

static void destroy(struct view *view)
{
	struct hot *hot = (struct hot *)view;

	if (!hot)
		return;
	hot_order_deinit(&hot->order);
	hits_deinit(&hot->hits);
	neighbours_deinit(&hot->neighbours);
	sandwich_deinit(&hot->sandwich);
	free(hot);
}

/* ---- the list ---- */

static uint64_t get_key(void *arg, size_t place)
{
	return hot_order_get(arg, place);
}

static size_t find_key(void *arg, uint64_t key, size_t hint)
{
	return hot_order_find(arg, (uint32_t)key);
}

static struct rows_list get_list(struct hot *hot)
{
	hot->order.count = profile_count_hot(hot->order.profile);
	return (struct rows_list){&hot->order, hot->order.count, get_key, find_key};
}

static void enter(struct view *view)
{
	struct hot *hot = (struct hot *)view;
	uint32_t wanted = view->context->selected_function;
	bool opens_callers = view->context->opens_callers;

	if (hot->metric != view->context->metric) { /* other figures: in their own order, at once */
		hot->metric = view->context->metric;
		hot_order_set_sort(&hot->order, hot->order.sort);
	}
	view->context->opens_callers = false;
	if (wanted == UINT32_MAX)
		return;
	if (!hot->rows.is_pinned || hot->rows.key != wanted || opens_callers)
		sandwich_close(&hot->sandwich);
	rows_select_key(&hot->rows, wanted);
	if (opens_callers)
		sandwich_open(&hot->sandwich, wanted);
}

/* The function under the cursor, UINT32_MAX none. */
static uint32_t get_selected(struct hot *hot)
{
	return hot->rows.cursor < hot->order.count ? hot_order_get(&hot->order, hot->rows.cursor)
						   : UINT32_MAX;
}

/* What the profile and the source say now. */
static void refresh(struct hot *hot)
{
	struct source *source = hot->view.context->source;
	struct source_status status;
	struct totals totals;

	profile_get_totals(metric_get_profile(hot->view.context), &totals);
	source->ops->get_status(source, &status);
	hot->all = totals.samples;
	hot->hz = status.hz_delivered > 0 ? status.hz_delivered : status.hz_requested;
}

static void refresh_list(struct hot *hot, unsigned height)
{
	struct rows_list list;

	hot_order_refresh(&hot->order, hot->rows.top + height);
	list = get_list(hot);
	rows_refresh(&hot->rows, &list, height);
}

/* ---- columns ---- */

/* Widths in cells, 0: not shown. From left to right, right-aligned up to total. */
struct columns {
	unsigned self, interval, second, total, tag, name, module, place;
};

#define MARKER 2

static struct columns lay_out(unsigned width, bool is_exact)
{
	struct columns columns = {.self = 7, .interval = is_exact ? 0 : 6, .second = 8, .total = 8};
	unsigned rest;

	if (width < 70)
		columns =
			(struct columns){.self = 7, .total = width >= 30 ? 8 : 0, .tag = width >= 30 ? 2 : 0};
	if (width < MARKER + columns.self)
		columns.self = width > MARKER ? width - MARKER : 0;
	rest = MARKER + columns.self + columns.interval + columns.second + columns.total + columns.tag + 2;
	rest = width > rest ? width - rest : 0;
	if (rest >= 64) {
		columns.module = 15;
		columns.place = 16;
	} else if (columns.second && rest >= 36) { /* the name comes first; the place is in the detail row */
		columns.module = rest >= 46 ? 15 : 11;
	}
	columns.name = rest - columns.module - columns.place;
	return columns;
}

static void write_time(const struct hot *hot, double samples, char ret[FORMAT_MAX])
{
	double s = samples / hot->hz;

	if (!(hot->hz > 0))
		snprintf(ret, FORMAT_MAX, "-");
	else
		snprintf(ret, FORMAT_MAX, s < 99.995 ? "%.2fs" : s < 9999.5 ? "%.0fs" : "%.2es", s);
}

static void write_amount(const struct hot *hot, uint64_t amount, char ret[FORMAT_MAX])
{
	metric_format(hot->view.context->metric, amount, ret);
	if (strlen(ret) > 7) /* a count of a million and more */
		format_short(amount, ret);
}

static void write_value(const struct hot *hot, uint64_t samples, enum unit unit, char ret[FORMAT_MAX])
{
	if (unit == IN_PERCENT)
		format_share(samples, hot->all, ret);
	else if (unit == IN_AMOUNT)
		write_amount(hot, samples, ret);
	else
		write_time(hot, (double)samples, ret);
}

/* 95 % half width, in the unit of the column. */
static void write_interval(const struct hot *hot, uint64_t samples, char ret[FORMAT_MAX])
{
	double half = share_interval(samples, hot->all);

	if (isnan(half))
		snprintf(ret, FORMAT_MAX, "-");
	else if (hot->unit == IN_PERCENT)
		snprintf(ret, FORMAT_MAX, "%.1f", 100 * half);
	else if (hot->unit == IN_AMOUNT)
		write_amount(hot, (uint64_t)(half * (double)hot->all + 0.5), ret);
	else
		write_time(hot, half * (double)hot->all, ret);
}

/* The share stands beside a count or a time, and the samples beside a share. */
static enum unit get_second_unit(const struct hot *hot)
{
	return hot->unit == IN_PERCENT ? IN_AMOUNT : IN_PERCENT;
}

static void write_head(const struct hot *hot, const char *name, enum unit unit, bool is_sorted,
		       char ret[FORMAT_MAX])
{
	snprintf(ret, FORMAT_MAX, "%s%s%s", name, unit == IN_PERCENT ? "%" : "", is_sorted ? "▼" : "");
}

static void draw_head(struct hot *hot, struct canvas *canvas, struct rectangle area, struct columns columns)
{
	bool by_total = hot->order.sort == HOT_BY_TOTAL;
	unsigned x = area.column + MARKER;
	char text[FORMAT_MAX];

	write_head(hot, "SELF", hot->unit, !by_total, text);
	canvas_text_right(canvas, x, area.row, columns.self, STYLE_TITLE, text);
	x += columns.self;
	canvas_text_right(canvas, x, area.row, columns.interval, STYLE_TITLE, columns.interval ? "±" : "");
	x += columns.interval;
	write_head(hot, "SELF", get_second_unit(hot), false, text);
	canvas_text_right(canvas, x, area.row, columns.second, STYLE_TITLE, text);
	x += columns.second;
	write_head(hot, "TOTAL", hot->unit, by_total, text);
	canvas_text_right(canvas, x, area.row, columns.total, STYLE_TITLE, text);
	x += columns.total + 2 + columns.tag;
	canvas_text(canvas, x, area.row, columns.name, STYLE_TITLE, "FUNCTION");
	x += columns.name + 1;
	if (columns.module)
		canvas_text(canvas, x, area.row, columns.module - 1, STYLE_TITLE, "MODULE");
	x += columns.module;
	if (columns.place)
		canvas_text(canvas, x, area.row, columns.place - 1, STYLE_TITLE, "FILE:LINE");
}

static void draw_function(struct hot *hot, struct canvas *canvas, unsigned x, unsigned row,
			  struct columns columns, uint32_t number)
{
	struct profile *profile = metric_get_profile(hot->view.context);
	struct function function = profile_get_function(profile, number);
	enum style kind = code_get_kind(profile, function.module);
	bool is_hit = hits_has(&hot->hits, hot->view.context, number);
	char name[CODE_NAME_MAX], label[LABEL_MAX];

	if (columns.tag)
		canvas_put(canvas, x, row, code_get_letter(kind), kind);
	x += columns.tag;
	code_write_name(&function, name, sizeof(name));
	label_fit(columns.tag ? function.name : name, columns.name, label,
		  sizeof(label)); /* the tag says [k] */
	canvas_text(canvas, x, row, columns.name, is_hit ? STYLE_MATCH : STYLE_NORMAL, label);
	x += columns.name + 1;
	if (columns.module)
		canvas_text(canvas, x, row, columns.module - 1, kind, function.module_name);
	x += columns.module;
	code_fit_place(profile, &function, columns.place ? columns.place - 1 : 0, name, sizeof(name));
	if (columns.place)
		canvas_text(canvas, x, row, columns.place - 1, STYLE_DIM, name);
}

static void draw_row(struct hot *hot, struct canvas *canvas, struct rectangle area, unsigned row,
		     struct columns columns, uint32_t number, bool is_selected)
{
	struct function function = profile_get_function(metric_get_profile(hot->view.context), number);
	unsigned x = area.column + MARKER;
	char text[FORMAT_MAX];

	if (is_selected)
		code_draw_cursor(canvas, area.column, row);
	write_value(hot, function.self, hot->unit, text);
	canvas_text_right(canvas, x, row, columns.self, STYLE_NORMAL, text);
	x += columns.self;
	write_interval(hot, function.self, text);
	if (columns.interval)
		canvas_text_right(canvas, x, row, columns.interval, STYLE_DIM, text);
	x += columns.interval;
	write_value(hot, function.self, get_second_unit(hot), text);
	canvas_text_right(canvas, x, row, columns.second, STYLE_NORMAL, text);
	x += columns.second;
	write_value(hot, function.total, hot->unit, text);
	canvas_text_right(canvas, x, row, columns.total, STYLE_NORMAL, text);
	draw_function(hot, canvas, x + columns.total + 2, row, columns, number);
	if (is_selected)
		canvas_restyle(canvas, area.column, row, area.columns, STYLE_SELECTED);
}

/* "… +128 functions below, 27.5% together": what the rows on the screen and above leave of all samples. */
static void draw_rest(struct hot *hot, struct canvas *canvas, struct rectangle area, unsigned row,
		      size_t shown)
{
	struct profile *profile = metric_get_profile(hot->view.context);
	uint64_t rest = hot->all;
	char share[FORMAT_MAX], count[FORMAT_MAX];
	size_t i;

	for (i = 0; i < shown; i++)
		rest -= profile_get_function(profile, hot_order_get(&hot->order, i)).self;
	canvas_print(canvas, area.column + MARKER, row, area.columns > MARKER ? area.columns - MARKER : 0,
		     STYLE_DIM, "… +%s functions below, %s self together",
		     format_count(hot->order.count - shown, count), format_share(rest, hot->all, share));
}

static void draw_list(struct hot *hot, struct canvas *canvas, struct rectangle area)
{
	struct columns columns = lay_out(area.columns, metric_is_exact(hot->view.context));
	unsigned height = area.rows > 1 ? area.rows - 1 : 1, i;

	if (area.rows > 1)
		draw_head(hot, canvas, area, columns);
	if (height > 2 && profile_count_hot(hot->order.profile) > height)
		height--; /* the last row says what is below */
	refresh_list(hot, height);
	if (area.rows > 1)
		area.row++;
	for (i = 0; i < height && hot->rows.top + i < hot->order.count; i++)
		draw_row(hot, canvas, area, area.row + i, columns,
			 hot_order_get(&hot->order, hot->rows.top + i),
			 hot->rows.top + i == hot->rows.cursor);
	if (height + 1 < area.rows && hot->rows.top + height < hot->order.count)
		draw_rest(hot, canvas, area, area.row + height, hot->rows.top + height);
}

/* ---- callers and callees of the selected function ---- */

static void draw_neighbour(struct hot *hot, struct canvas *canvas, struct rectangle area, unsigned row,
			   const struct neighbour *neighbour, bool is_caller)
{
	char share[FORMAT_MAX], name[CODE_NAME_MAX], label[LABEL_MAX];
	uint16_t style = neighbour->function == NEIGHBOUR_NONE ? STYLE_DIM : STYLE_NORMAL;

	if (hits_has(&hot->hits, hot->view.context, neighbour->function))
		style = STYLE_MATCH;
	neighbour_write_name(metric_get_profile(hot->view.context), neighbour->function, is_caller, name,
			     sizeof(name));
	label_fit(name, area.columns - 11, label, sizeof(label));
	canvas_text_right(canvas, area.column, row, 9, STYLE_NORMAL,
			  format_share(neighbour->samples, hot->neighbours.total, share));
	canvas_text(canvas, area.column + 11, row, area.columns - 11, style, label);
}

static void draw_pane(struct hot *hot, struct canvas *canvas, struct rectangle area,
		      const struct neighbour_list *list, bool is_caller)
{
	uint64_t rest = hot->neighbours.total;
	char share[FORMAT_MAX];
	unsigned i;

	for (i = 0; i < area.rows && i < list->count; i++) {
		if (i + 1 == area.rows && list->count > area.rows) {
			canvas_text_right(canvas, area.column, area.row + i, 9, STYLE_DIM,
					  format_share(rest, hot->neighbours.total, share));
			canvas_print(canvas, area.column + 11, area.row + i, area.columns - 11, STYLE_DIM,
				     "… %zu more", list->count - i);
			return;
		}
		draw_neighbour(hot, canvas, area, area.row + i, &list->items[i], is_caller);
		rest -= list->items[i].samples;
	}
}

static void draw_panes(struct hot *hot, struct canvas *canvas, struct rectangle area)
{
	unsigned left = area.columns / 2, i;
	struct profile *profile = metric_get_profile(hot->view.context);
	char label[LABEL_MAX], title[LABEL_MAX + 16];
	uint32_t selected = get_selected(hot);

	if (selected == UINT32_MAX)
		return;
	neighbours_refresh(&hot->neighbours, profile, selected);
	label_fit(profile_get_function(profile, selected).name, left - 16, label, sizeof(label));
	snprintf(title, sizeof(title), "callers of %s", label);
	canvas_rule(canvas, area.column, area.row, left, title);
	canvas_put(canvas, area.column + left, area.row, 0x252c, STYLE_DIM);
	canvas_rule(canvas, area.column + left + 1, area.row, area.columns - left - 1, "callees");
	for (i = 1; i < area.rows; i++)
		canvas_put(canvas, area.column + left, area.row + i, 0x2502, STYLE_DIM);
	draw_pane(hot, canvas, (struct rectangle){area.column, area.row + 1, left, area.rows - 1},
		  &hot->neighbours.callers, true);
	draw_pane(hot, canvas,
		  (struct rectangle){area.column + left + 1, area.row + 1, area.columns - left - 1,
				     area.rows - 1},
		  &hot->neighbours.callees, false);
}

/* Rows of the lower part, with its title; 0: there is no room. */
static unsigned count_pane_rows(struct rectangle area)
{
	if (area.rows < 14 || area.columns < 70)
		return 0;
	return area.rows < 27 ? area.rows / 3 + 1 : 10;
}

static void draw(struct view *view, struct canvas *canvas, struct rectangle area)
{
	struct hot *hot = (struct hot *)view;
	unsigned panes = count_pane_rows(area);
	char text[256];

	refresh(hot);
	hot->width = area.columns - 1; /* the detail row begins one cell in */
	if (!hot->all) {
		code_write_empty(view->context, text, sizeof(text));
		canvas_text(canvas, area.column + 1, area.row + area.rows / 2, area.columns - 1, STYLE_NORMAL,
			    text);
		return;
	}
	if (sandwich_is_open(&hot->sandwich)) {
		sandwich_draw(&hot->sandwich, canvas, area);
		return;
	}
	draw_list(hot, canvas, (struct rectangle){area.column, area.row, area.columns, area.rows - panes});
	if (panes)
		draw_panes(
			hot, canvas,
			(struct rectangle){area.column, area.row + area.rows - panes, area.columns, panes});
}

/* ---- keys ---- */

static enum view_reply press_in_list(struct hot *hot, uint32_t key)
{
	struct rows_list list = get_list(hot);

	if (rows_press(&hot->rows, &list, key))
		return VIEW_HANDLED;
	switch (key) {
	case KEY_CODE_ENTER:
	case 'c':
		if (hot->order.count)
			sandwich_open(&hot->sandwich, get_selected(hot));
		return VIEW_HANDLED;
	case 's':
		hot_order_set_sort(&hot->order, hot->order.sort == HOT_BY_SELF ? HOT_BY_TOTAL : HOT_BY_SELF);
		return VIEW_HANDLED;
	case 'u':
		hot->unit = (hot->unit + 1) % (metric_is_exact(hot->view.context) ? IN_TIME : UNITS);
		return VIEW_HANDLED;
	case 'r':
		steady_sort_now(&hot->order.steady);
		return VIEW_HANDLED;
	}
	return VIEW_IGNORED;
}

static enum view_reply key_pressed(struct view *view, uint32_t key)
{
	struct hot *hot = (struct hot *)view;
	enum view_reply reply;

	steady_press(&hot->order.steady);
	if (sandwich_is_open(&hot->sandwich)) {
		reply = sandwich_press(&hot->sandwich, key) ? VIEW_HANDLED : VIEW_IGNORED;
		if (reply == VIEW_HANDLED && sandwich_is_open(&hot->sandwich) &&
		    sandwich_get_selected(&hot->sandwich) != NEIGHBOUR_NONE)
			view->context->selected_function = sandwich_get_selected(&hot->sandwich);
		return reply;
	}
	reply = press_in_list(hot, key);
	if (reply == VIEW_HANDLED && hot->rows.is_pinned)
		view->context->selected_function = get_selected(hot);
	return reply;
}

static bool find(struct view *view, int direction)
{
	struct hot *hot = (struct hot *)view;
	size_t count = hot->order.count, step, place;
	struct rows_list list = get_list(hot);

	if (sandwich_is_open(&hot->sandwich))
		return sandwich_find(&hot->sandwich, direction);
	steady_press(&hot->order.steady);
	for (step = 1; step <= count; step++) {
		place = (hot->rows.cursor + (direction > 0 ? step : count - step)) % count;
		if (!hits_has(&hot->hits, view->context, hot_order_get(&hot->order, place)))
			continue;
		rows_select(&hot->rows, &list, place);
		view->context->selected_function = get_selected(hot);
		return true;
	}
	return false;
}

/* ---- words ---- */

static void describe_function(struct hot *hot, uint32_t number, char *ret, size_t capacity)
{
	char figures[256], self[FORMAT_MAX], interval[FORMAT_MAX], total[FORMAT_MAX], count[FORMAT_MAX];
	struct profile *profile = metric_get_profile(hot->view.context);
	struct function function = profile_get_function(profile, number);
	unsigned metric = hot->view.context->metric;

	snprintf(figures, sizeof(figures), "self %s%s  total %s  %s",
		 format_share(function.self, hot->all, self),
		 metric_format_interval(metric, function.self, hot->all, interval),
		 format_share(function.total, hot->all, total),
		 metric_format_amount(metric, function.self, count));
	code_write_detail(profile, number, figures, hot->width, ret, capacity);
}

static void describe(struct view *view, char *ret, size_t capacity)
{
	struct hot *hot = (struct hot *)view;

	ret[0] = '\0';
	refresh(hot);
	if (!hot->all)
		return;
	if (sandwich_is_open(&hot->sandwich) && hot->sandwich.side != SIDE_FUNCTION)
		sandwich_describe(&hot->sandwich, hot->width, ret, capacity);
	else if (sandwich_is_open(&hot->sandwich))
		describe_function(hot, sandwich_get_selected(&hot->sandwich), ret, capacity);
	else if (get_selected(hot) != UINT32_MAX)
		describe_function(hot, get_selected(hot), ret, capacity);
}

static void scope(struct view *view, char *ret, size_t capacity)
{
	struct hot *hot = (struct hot *)view;
	char metric[64];

	metric_write_scope(view->context, metric, sizeof(metric));
	if (sandwich_is_open(&hot->sandwich))
		sandwich_write_scope(&hot->sandwich, ret, capacity);
	else
		snprintf(ret, capacity, "whole process ▸ all threads ▸ %s%s",
			 metric_get_extent(view->context), metric);
}

static const char *get_keys(struct view *view)
{
	return sandwich_is_open(&((struct hot *)view)->sandwich) ? "Esc back  Enter its callers  ↑↓ move"
								 : view->ops->keys;
}

const struct view_ops view_hot = {
	.name = "Hotspots",
	.tab = "Hot",
	.key = '2',
	.keys = "Enter callers+callees  s sort  u units  b metric  r re-sort",
	.get_keys = get_keys,
	.create = create,
	.destroy = destroy,
	.enter = enter,
	.draw = draw,
	.key_pressed = key_pressed,
	.describe = describe,
	.scope = scope,
	.find = find,
};
