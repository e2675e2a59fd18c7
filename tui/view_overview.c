/* Screen 1: how much CPU the target used and how much heap, its hottest functions, who holds the most memory,
 * and what happened to it. */
#include "tui/view.h"
#include "base/array.h"
#include "tui/chart.h"
#include "tui/code_text.h"
#include "tui/format.h"
#include "tui/label.h"
#include "tui/overview_broken.h"
#include "tui/overview_heap.h"
#include "tui/rows.h"
#include "tui/time_window.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SECOND	     1000000000ull
#define FULL_COLUMNS 76 /* from here on, there is room for words, bars and modules */

struct overview {
	struct view view;
	unsigned width; /* of the detail row */
	ARRAY(struct timeline_column)
	columns;
	ARRAY(struct timeline_column)
	stretches; /* the parts of the columns, for their peaks */
	ARRAY(double)
	peaks;
	struct peaks_key {
		uint64_t from_ns, to_ns, second;
		unsigned count;
	} peaks_key; /* what the peaks are of */
	/* The hottest functions as they are shown: the order follows the profile with patience (rows.h). */
	ARRAY(uint32_t)
	shown;
	struct rows rows;
	struct steady steady;
	struct overview_heap heap;
	bool has_heap; /* it is measured */
	bool has_halves;
};

/* How the content is cut into panes; heights in rows, each with its title. 0: the pane is not there. With a
 * heap and in columns enough, heap panes stand to the right of the graph and of the hottest functions. */
struct panes {
	unsigned graph, split, heap, broken, line, hottest, biggest, events;
	unsigned left; /* columns of the left half; 0: there are no halves */
};

static unsigned choose_graph_rows(unsigned rows)
{
	unsigned graph = (rows / 4) & ~1u;

	return graph < 2 ? 2 : graph > 12 ? 12 : graph;
}

/* Below each other: the heap's graph has the labels of both. */
static void stack_graphs(struct panes *panes, unsigned rows)
{
	unsigned graph = choose_graph_rows(rows / 2);

	panes->graph = graph + 2; /* title, axis */
	panes->heap = graph + 3;
	panes->biggest = 1;
}

/* Below 11 rows the line on broken stacks would leave no function beside it. */
static unsigned choose_broken_rows(const struct profile *profile, unsigned rows, bool has_heap)
{
	return rows >= 11 ? overview_broken_count_rows(profile, rows < (has_heap ? 22 : 14)) : 0;
}

static struct panes cut_panes(struct rectangle area, const struct profile *profile, bool has_heap)
{
	size_t event_count = profile_count_events(profile);
	struct panes panes = {.broken = choose_broken_rows(profile, area.rows, has_heap)};
	unsigned events = (area.rows >= 24 ? 4 : 2) - panes.broken; /* who is hot matters more */

	if (area.rows >= 15 && has_heap && area.columns < FULL_COLUMNS) {
		stack_graphs(&panes, area.rows);
	} else if (area.rows >= 9) {
		panes.graph = choose_graph_rows(area.rows) + 3; /* title, axis, labels */
		panes.split = 1;
		panes.left = has_heap && area.columns >= FULL_COLUMNS ? area.columns * 11 / 20 : 0;
	}
	panes.line = !panes.heap && !panes.left && area.rows >= 6;
	if (area.rows >= 18 && event_count)
		panes.events = 1 + (event_count < events ? event_count : events);
	panes.hottest = area.rows - panes.graph - panes.split - panes.heap - panes.broken - panes.line -
			panes.biggest - panes.events;
	return panes;
}

/* ---- CPU ---- */

static double sum_cores(const struct timeline_column *column)
{
	return column->has_data ? column->user + column->kernel + column->unknown : 0;
}

static double get_peak(const struct chart *chart, unsigned column)
{
	return chart->peaks ? chart->peaks[column] : sum_cores(&chart->columns[column]);
}

/* A column of many seconds hides what happened in it: its highest second is shown with its mean. A bucket of
 * the timeline (0.1 s) would be no measure: ten samples more or less are noise. */
#define STRETCHES_MAX 16

static void read_peaks(struct overview *overview, const struct source_status *status, unsigned count,
		       struct chart *chart)
{
	const struct profile *profile = overview->view.context->source->profile;
	uint64_t each = (chart->to_ns - chart->from_ns) / count / SECOND;
	unsigned parts = each > STRETCHES_MAX ? STRETCHES_MAX : (unsigned)each, i;
	struct peaks_key key = {chart->from_ns, chart->to_ns, status->elapsed_ns / SECOND, count};

	/* once a second: many more buckets are read than for the means */
	if (parts >= 2 && key.from_ns == overview->peaks_key.from_ns &&
	    key.to_ns == overview->peaks_key.to_ns && key.second == overview->peaks_key.second &&
	    key.count == overview->peaks_key.count) {
		chart->peaks = overview->peaks.items;
		return;
	}
	if (parts < 2 || !array_reserve(&overview->stretches, (size_t)count * parts) ||
	    !array_reserve(&overview->peaks, count))
		return;
	profile_read_timeline(profile, chart->from_ns, chart->to_ns, overview->stretches.items,
			      (size_t)count * parts);
	for (i = 0; i < count; i++)
		overview->peaks.items[i] = sum_cores(&chart->columns[i]);
	for (i = 0; i < count * parts; i++)
		overview->peaks.items[i / parts] =
			fmax(overview->peaks.items[i / parts], sum_cores(&overview->stretches.items[i]));
	chart->peaks = overview->peaks.items;
	overview->peaks_key = key;
}

static void format_peak(const struct chart *chart, unsigned count, char *ret, size_t capacity)
{
	unsigned i, peak = 0;
	uint64_t at_ns;
	char at[48];

	*ret = '\0';
	for (i = 0; i < count; i++)
		if (get_peak(chart, i) > get_peak(chart, peak))
			peak = i;
	if (!count || !(get_peak(chart, peak) > 0))
		return;
	at_ns = chart->from_ns + (chart->to_ns - chart->from_ns) / count * peak;
	time_window_write(chart, at_ns, at, sizeof(at));
	snprintf(ret, capacity, "  peak %.2f%s", get_peak(chart, peak), at);
}

static void draw_graph_title(const struct overview *overview, struct canvas *canvas,
			     const struct chart *chart, unsigned count, const struct source_status *status)
{
	bool is_all = time_window_is_all(status, overview->view.context->is_window_flipped);
	bool is_full = chart->area.columns >= FULL_COLUMNS;
	const char *what = is_full ? "CPU (cores)" : "CPU cores", *when = is_all ? "all time" : "last 60 s";
	char title[160], now[32] = "", peak[64];

	format_peak(chart, count, peak, sizeof(peak));
	if (status->state == SOURCE_LIVE && !isnan(status->target_cpu_cores))
		snprintf(now, sizeof(now), "  now %.2f", status->target_cpu_cores);
	snprintf(title, sizeof(title), "%s, %s%s%s", what, when, now, peak);
	if (strlen(title) + 5 > chart->area.columns) /* the time is on the axis, too */
		snprintf(title, sizeof(title), "%s%s%s", what, now, peak);
	canvas_rule(canvas, chart->area.column, chart->area.row - 1, chart->area.columns, title);
}

/* Draws from a column of the area on; returns the cells used. */
static unsigned draw_part(struct canvas *canvas, struct rectangle area, unsigned at, uint16_t style,
			  const char *word, uint64_t part, uint64_t whole)
{
	char text[96], share[FORMAT_MAX], interval[FORMAT_MAX];
	unsigned start = at, used;

	used = (unsigned)snprintf(text, sizeof(text), "%s %s", word, format_share(part, whole, share));
	format_interval(part, whole, interval);
	if (at + 2 + used + 1 + canvas_text_width(interval) > area.columns)
		return 0;
	canvas_put(canvas, area.column + at, area.row, 0x2588, style);
	at += 2;
	at += canvas_text(canvas, area.column + at, area.row, used, STYLE_NORMAL, text) + 1;
	at += canvas_text(canvas, area.column + at, area.row, area.columns - at, STYLE_DIM, interval);
	return at + 2 - start;
}

/* "RSS 1.2G, 702M before attach", or the first part of it. */
static void draw_rss(const struct overview *overview, struct canvas *canvas, struct rectangle area,
		     unsigned at)
{
	char text[96], *comma;

	memory_graph_write_rss(overview->view.context, text, sizeof(text));
	comma = strchr(text, ',');
	if (at + canvas_text_width(text) + 1 > area.columns && comma)
		*comma = '\0';
	if (at + canvas_text_width(text) + 1 <= area.columns)
		canvas_text_right(canvas, area.column + at, area.row, area.columns - 1 - at, STYLE_NORMAL,
				  text);
}

/* The exact split, and the legend of the graph's colours: of all samples, whatever time the graph shows. */
static void draw_split(const struct overview *overview, struct canvas *canvas, struct rectangle area,
		       const struct totals *totals)
{
	uint64_t incomplete = totals->samples - totals->ends[STACK_COMPLETE];
	unsigned at = 1;

	at += draw_part(canvas, area, at, STYLE_GRAPH_USER, "user", totals->user_samples, totals->samples);
	at += draw_part(canvas, area, at, STYLE_GRAPH_KERNEL, "kernel", totals->kernel_samples,
			totals->samples);
	at += draw_part(canvas, area, at, STYLE_GRAPH_UNKNOWN,
			area.columns >= 96 && !overview->has_heap ? "incomplete stacks"
			: area.columns >= FULL_COLUMNS		  ? "incomplete"
								  : "cut",
			incomplete, totals->samples);
	if (overview->has_heap && area.columns >= FULL_COLUMNS)
		draw_rss(overview, canvas, area, at);
	else if (at + strlen("all time") < area.columns)
		canvas_text_right(canvas, area.column + at, area.row, area.columns - 1 - at, STYLE_DIM,
				  "all time");
}

/* The graph with its title. */
static void draw_cpu(struct overview *overview, struct canvas *canvas, struct rectangle area,
		     const struct source_status *status, bool has_labels)
{
	struct profile *profile = overview->view.context->source->profile;
	struct chart chart = {
		.area = {area.column, area.row + 1, area.columns, area.rows - 1},
		.has_no_labels = !has_labels,
	};
	unsigned count = chart_count_columns(chart.area);

	if (!count || !array_reserve(&overview->columns, count))
		return;
	time_window_choose(status, overview->view.context->is_window_flipped, count, &chart);
	profile_read_timeline(profile, chart.from_ns, chart.to_ns, overview->columns.items, count);
	chart.columns = overview->columns.items;
	read_peaks(overview, status, count, &chart);
	draw_graph_title(overview, canvas, &chart, count, status);
	chart_draw(canvas, &chart);
}

/* ---- hottest functions ---- */

static uint64_t get_self(const struct overview *overview, uint32_t number)
{
	return profile_get_function(overview->view.context->source->profile, number).self;
}

static bool is_shown(const struct overview *overview, uint32_t function)
{
	size_t i;

	for (i = 0; i < overview->shown.count; i++)
		if (overview->shown.items[i] == function)
			return true;
	return false;
}

/* Clearly out of order, or clearly without one that belongs here. */
static bool is_order_wrong(const struct overview *overview, size_t count)
{
	const struct profile *profile = overview->view.context->source->profile;
	size_t i;

	for (i = 0; i + 1 < count; i++)
		if (steady_is_wrong(get_self(overview, overview->shown.items[i]),
				    get_self(overview, overview->shown.items[i + 1])))
			return true;
	for (i = 0; i < count; i++) {
		uint32_t function = profile_get_function_by_self(profile, i);

		if (!is_shown(overview, function) &&
		    steady_is_wrong(get_self(overview, overview->shown.items[count - 1]),
				    get_self(overview, function)))
			return true;
	}
	return false;
}

/* Functions with own time: the list by self starts with them; those with total only come behind. */
static size_t count_with_self(const struct overview *overview, size_t limit)
{
	const struct profile *profile = overview->view.context->source->profile;
	size_t hot = profile_count_hot(profile), count = 0;

	while (count < hot && count < limit &&
	       get_self(overview, profile_get_function_by_self(profile, (uint32_t)count)))
		count++;
	return count;
}

static bool has_empty(const struct overview *overview)
{
	size_t i;

	for (i = 0; i < overview->shown.count; i++)
		if (!get_self(overview, overview->shown.items[i]))
			return true; /* its frames were named, and moved to another function */
	return false;
}

static void refresh_shown(struct overview *overview, size_t limit)
{
	const struct profile *profile = overview->view.context->source->profile;
	size_t count = count_with_self(overview, limit), i;
	bool is_stale = count != overview->shown.count || has_empty(overview);

	if (!is_stale && count)
		is_stale = steady_refresh(&overview->steady, is_order_wrong(overview, count));
	if (!is_stale || !array_reserve(&overview->shown, count))
		return;
	for (i = 0; i < count; i++)
		overview->shown.items[i] = profile_get_function_by_self(profile, (uint32_t)i);
	overview->shown.count = count;
}

static uint64_t get_row_key(void *arg, size_t place)
{
	return ((struct overview *)arg)->shown.items[place];
}

static size_t find_row(void *arg, uint64_t key, size_t hint)
{
	const struct overview *overview = arg;
	size_t i;

	for (i = 0; i < overview->shown.count; i++)
		if (overview->shown.items[i] == key)
			return i;
	return ROWS_NONE;
}

static struct rows_list list_of(struct overview *overview)
{
	return (struct rows_list){overview, overview->shown.count, get_row_key, find_row};
}

static bool get_selected(const struct overview *overview, struct function *ret)
{
	const struct profile *profile = overview->view.context->source->profile;

	if (overview->rows.cursor >= overview->shown.count)
		return false;
	*ret = profile_get_function(profile, overview->shown.items[overview->rows.cursor]);
	return true;
}

struct list_columns {
	unsigned bar, bar_cells, name, name_cells, module, module_cells; /* cells 0: not shown */
};

static struct list_columns lay_out_list(struct rectangle area, bool has_short_bars)
{
	struct list_columns columns = {.name = 14};

	if (has_short_bars && area.columns >= 50) {
		columns.bar = 14;
		columns.bar_cells = 10;
		columns.name = 25;
	} else if (area.columns >= FULL_COLUMNS) {
		columns.bar = 15;
		columns.bar_cells = 14;
		columns.name = 30;
		columns.module_cells = area.columns >= 96 ? 18 : 14;
		columns.module = area.columns - columns.module_cells;
	}
	columns.name_cells = area.columns > columns.name ? area.columns - columns.name : 0;
	columns.name_cells -= columns.module_cells ? columns.module_cells + 2 : 0;
	return columns;
}

static void draw_function(const struct overview *overview, struct canvas *canvas, struct rectangle area,
			  size_t place, uint64_t samples)
{
	struct profile *profile = overview->view.context->source->profile;
	const struct view_context *context = overview->view.context;
	struct function function = profile_get_function(profile, overview->shown.items[place]);
	uint64_t largest = get_self(overview, overview->shown.items[0]);
	struct list_columns at = lay_out_list(area, overview->has_halves);
	bool is_selected = place == overview->rows.cursor;
	bool is_match = context->search[0] && context->search_matches(context, function.name);
	char text[FORMAT_MAX], name[CODE_NAME_MAX], label[LABEL_MAX];

	if (is_selected)
		code_draw_cursor(canvas, area.column, area.row);
	canvas_text_right(canvas, area.column + 1, area.row, 6, STYLE_BOLD,
			  format_share(function.self, samples, text));
	canvas_text(canvas, area.column + 8, area.row, 5, STYLE_DIM,
		    format_interval(function.self, samples, text));
	if (at.bar_cells)
		canvas_bar(canvas, area.column + at.bar, area.row, at.bar_cells,
			   largest ? (double)function.self / (double)largest : 0, STYLE_BAR);
	code_write_name(&function, name, sizeof(name));
	label_fit(name, at.name_cells, label, sizeof(label));
	canvas_text(canvas, area.column + at.name, area.row, at.name_cells,
		    is_match ? STYLE_MATCH : STYLE_NORMAL, label);
	if (at.module_cells)
		canvas_text(canvas, area.column + at.module, area.row, at.module_cells,
			    code_get_kind(profile, function.module), function.module_name);
	if (is_selected)
		canvas_restyle(canvas, area.column, area.row, area.columns, STYLE_SELECTED);
}

static void draw_rest(const struct overview *overview, struct canvas *canvas, struct rectangle area,
		      uint64_t samples)
{
	const struct profile *profile = overview->view.context->source->profile;
	size_t hot = profile_count_hot(profile), i;
	uint64_t rest = samples;
	char count[FORMAT_MAX], share[FORMAT_MAX];

	for (i = 0; i < overview->shown.count; i++)
		rest -= get_self(overview, overview->shown.items[i]);
	if (hot <= overview->shown.count || !rest)
		return;
	canvas_print(canvas, area.column + 3, area.row, area.columns - 3, STYLE_DIM,
		     "… +%s functions  %s together", format_count(hot - overview->shown.count, count),
		     format_share(rest, samples, share));
}

static void draw_hottest(struct overview *overview, struct canvas *canvas, struct rectangle area,
			 uint64_t samples)
{
	struct rectangle row = {area.column, area.row + 1, area.columns, 1};
	struct rows_list list;
	char text[160];
	size_t place;

	canvas_rule(canvas, area.column, area.row, area.columns, "hottest functions (self), all time");
	if (!samples && area.rows > 1) {
		code_write_empty(overview->view.context, text, sizeof(text));
		canvas_text(canvas, area.column + 1, area.row + 1, area.columns - 1, STYLE_WARN, text);
	}
	if (area.rows < 3)
		return;
	refresh_shown(overview, area.rows - 2);
	list = list_of(overview);
	rows_refresh(&overview->rows, &list, area.rows - 2);
	for (place = 0; place < overview->shown.count; place++, row.row++)
		draw_function(overview, canvas, row, place, samples);
	draw_rest(overview, canvas, row, samples);
}

/* ---- events ---- */

static void draw_events(const struct overview *overview, struct canvas *canvas, struct rectangle area)
{
	const struct profile *profile = overview->view.context->source->profile;
	size_t count = profile_count_events(profile), i;
	char clock[FORMAT_MAX];

	canvas_rule(canvas, area.column, area.row, area.columns, "events");
	for (i = 0; i < count && i + 1 < area.rows; i++) { /* the newest first */
		struct event event = profile_get_event(profile, count - 1 - i);
		unsigned used = canvas_text(canvas, area.column + 1, area.row + 1 + i, area.columns - 1,
					    STYLE_DIM, format_clock(event.time_ns, clock));

		canvas_text(canvas, area.column + 2 + used, area.row + 1 + i, area.columns - 2 - used,
			    STYLE_NORMAL, event.text);
	}
}

/* ---- the screen ---- */

static void draw_separator(struct canvas *canvas, unsigned column, unsigned row, unsigned rows)
{
	canvas_put(canvas, column, row, 0x252c, STYLE_DIM); /* ┬ */
	canvas_fill(canvas, column, row + 1, 1, rows - 1, 0x2502, STYLE_DIM);
}

static struct rectangle get_right_half(struct rectangle area, unsigned left)
{
	return (struct rectangle){area.column + left + 1, area.row, area.columns - left - 1, area.rows};
}

static void draw_graphs(struct overview *overview, struct canvas *canvas, struct rectangle area,
			const struct panes *panes, const struct source_status *status)
{
	const struct view_context *context = overview->view.context;
	struct rectangle cpu = {area.column, area.row, panes->left ? panes->left : area.columns,
				panes->graph};
	struct rectangle heap = {area.column, area.row + panes->graph, area.columns, panes->heap};

	draw_cpu(overview, canvas, cpu, status, !panes->heap);
	if (panes->left) {
		cpu.columns = area.columns;
		heap = get_right_half(cpu, panes->left);
		draw_separator(canvas, area.column + panes->left, area.row, panes->graph);
	}
	if (heap.rows)
		memory_graph_draw(&overview->heap.graph, context, canvas, heap, MEMORY_GRAPH_SMALL);
}

static void draw_lists(struct overview *overview, struct canvas *canvas, struct rectangle area,
		       const struct panes *panes, uint64_t samples)
{
	struct rectangle left = {area.column, area.row, panes->left ? panes->left : area.columns, area.rows};

	draw_hottest(overview, canvas, left, samples);
	if (!panes->left)
		return;
	draw_separator(canvas, area.column + panes->left, area.row, area.rows);
	overview_heap_draw_sites(&overview->heap, overview->view.context, canvas,
				 get_right_half(area, panes->left));
}

static void draw(struct view *view, struct canvas *canvas, struct rectangle area)
{
	struct overview *overview = (struct overview *)view;
	struct source *source = view->context->source;
	struct source_status status;
	struct totals totals;
	struct panes panes;

	overview->width = area.columns - 2;
	overview->has_heap = overview_heap_refresh(&overview->heap, view->context);
	panes = cut_panes(area, source->profile, overview->has_heap);
	overview->has_halves = panes.left;
	source->ops->get_status(source, &status);
	profile_get_totals(source->profile, &totals);
	if (panes.graph)
		draw_graphs(overview, canvas, area, &panes, &status);
	area.row += panes.graph + panes.heap;
	if (panes.split)
		draw_split(overview, canvas, area, &totals);
	area.row += panes.split;
	if (panes.broken)
		overview_broken_draw(view->context, canvas, area);
	area.row += panes.broken;
	if (panes.line)
		overview_heap_draw_line(view->context, canvas, area);
	area.row += panes.line;
	area.rows = panes.hottest;
	draw_lists(overview, canvas, area, &panes, totals.samples);
	area.row += panes.hottest;
	if (panes.biggest)
		overview_heap_draw_biggest(&overview->heap, view->context, canvas, area);
	area.row += panes.biggest;
	area.rows = panes.events;
	if (panes.events)
		draw_events(overview, canvas, area);
}

static enum view_reply open_selected(struct overview *overview)
{
	if (overview->rows.cursor >= overview->shown.count)
		return VIEW_HANDLED;
	overview->view.context->selected_function = overview->shown.items[overview->rows.cursor];
	return VIEW_GO_HOT;
}

static enum view_reply key_pressed(struct view *view, uint32_t key)
{
	struct overview *overview = (struct overview *)view;
	struct rows_list list = list_of(overview);

	steady_press(&overview->steady);
	if (rows_press(&overview->rows, &list, key))
		return VIEW_HANDLED;
	if (key == KEY_CODE_ENTER)
		return open_selected(overview);
	if (key != 'w')
		return VIEW_IGNORED;
	view->context->is_window_flipped ^= true;
	return VIEW_HANDLED;
}

static void describe(struct view *view, char *ret, size_t capacity)
{
	const struct overview *overview = (struct overview *)view;
	const struct profile *profile = view->context->source->profile;
	char self[FORMAT_MAX], self_interval[FORMAT_MAX], total[FORMAT_MAX], total_interval[FORMAT_MAX],
		count[FORMAT_MAX], figures[FORMAT_MAX * 5 + 32];
	struct function function;
	struct totals totals;

	*ret = '\0';
	if (!get_selected(overview, &function))
		return;
	profile_get_totals(profile, &totals);
	snprintf(figures, sizeof(figures), "self %s %s  total %s %s  n=%s",
		 format_share(function.self, totals.samples, self),
		 format_interval(function.self, totals.samples, self_interval),
		 format_share(function.total, totals.samples, total),
		 format_interval(function.total, totals.samples, total_interval),
		 format_count(function.self, count));
	code_write_detail(profile, overview->shown.items[overview->rows.cursor], figures, overview->width,
			  ret, capacity);
}

static void describe_scope(struct view *view, char *ret, size_t capacity)
{
	snprintf(ret, capacity, "whole process ▸ all threads ▸ all time");
}

static bool find(struct view *view, int direction)
{
	struct overview *overview = (struct overview *)view;
	const struct view_context *context = view->context;
	struct rows_list list = list_of(overview);
	size_t count = overview->shown.count, step;

	for (step = 1; step <= count; step++) {
		size_t place = (overview->rows.cursor + (direction > 0 ? step : count - step)) % count;
		uint32_t number = overview->shown.items[place];

		if (context->search_matches(context,
					    profile_get_function(context->source->profile, number).name)) {
			rows_select(&overview->rows, &list, place);
			return true;
		}
	}
	return false;
}

static void destroy(struct view *view)
{
	struct overview *overview = (struct overview *)view;

	array_deinit(&overview->columns);
	array_deinit(&overview->stretches);
	array_deinit(&overview->peaks);
	array_deinit(&overview->shown);
	overview_heap_deinit(&overview->heap);
	free(overview);
}

static struct error *create(struct view_context *context, struct view **ret)
{
	struct overview *overview = calloc(1, sizeof(*overview));

	if (!overview)
		return error_create(ERROR_GENERAL, 0, NULL, "out of memory");
	overview->view = (struct view){&view_overview, context};
	*ret = &overview->view;
	return NULL;
}

const struct view_ops view_overview = {
	.name = "Overview",
	.tab = "Over",
	.key = '1',
	.keys = "Enter open  w window",
	.create = create,
	.destroy = destroy,
	.draw = draw,
	.key_pressed = key_pressed,
	.describe = describe,
	.scope = describe_scope,
	.find = find,
};
