/* Screen 5: the heap over time above, and who allocated what lives below: functions with their own
 * allocations (sites), by one of four figures. Only what is on the screen is read from the heap. */
#include "tui/code_text.h"
#include "tui/heap_text.h"
#include "tui/hot_order.h"
#include "tui/label.h"
#include "tui/memory_graph.h"
#include "tui/memory_rates.h"
#include "tui/metric.h"
#include "tui/rows.h"
#include "tui/time_window.h"
#include "tui/view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum memory_sort { SORT_LIVE, SORT_BLOCKS, SORT_ALLOCATED, SORT_RATE, SORTS };

static const struct {
	const char *head, *share, *word;
	enum heap_metric metric; /* that the list is then of, and that flame and tree open in */
} sorts[SORTS] = {
	[SORT_LIVE] = {"LIVE", "LIVE%", "live bytes", HEAP_LIVE_BYTES},
	[SORT_BLOCKS] = {"BLOCKS", "BLOCKS%", "live blocks", HEAP_LIVE_COUNT},
	[SORT_ALLOCATED] = {"ALLOCATED", "ALLOC%", "allocated bytes", HEAP_ALLOC_BYTES},
	[SORT_RATE] = {"RATE/s", "ALLOC%", "rate of allocation", HEAP_ALLOC_BYTES},
};

struct memory {
	struct view view;
	struct memory_graph graph;
	struct memory_rates rates;
	struct hot_order order;
	struct rows rows;
	struct hits hits;
	enum memory_sort sort;
	unsigned width; /* of the detail row */
	uint64_t all;	/* of the metric */
	/* Nothing happens any more: rates are means over the time that was measured. */
	bool is_over;
	double measured_s;
};

static struct heap *get_heap(const struct memory *memory)
{
	return profile_get_heap(memory->view.context->source->profile);
}

/* ---- figures ---- */

static double get_rate(const struct memory *memory, uint32_t function)
{
	struct heap_figures figures;

	if (!memory->is_over)
		return memory_rates_get_bytes(&memory->rates, function);
	heap_get_function(get_heap(memory), function, &figures);
	return memory->measured_s > 0 ? (double)figures.alloc_bytes / memory->measured_s : NAN;
}

static uint64_t read_rate(void *arg, uint32_t function)
{
	double rate = get_rate(arg, function);

	return rate > 0 ? (uint64_t)(rate + 0.5) : 0;
}

/* What heap and source say now. false: there is nothing to show. */
static bool refresh(struct memory *memory)
{
	struct view_context *context = memory->view.context;
	struct source_status status;
	struct heap_facts facts;
	struct totals totals;
	uint64_t end_ns;

	heap_read_facts(context->source->profile, &facts);
	if (!heap_is_measured(context->source->profile))
		return false;
	context->source->ops->get_status(context->source, &status);
	metric_use(context, METRIC_HEAP + sorts[memory->sort].metric);
	memory->order.profile = metric_get_profile(context);
	profile_get_totals(memory->order.profile, &totals);
	memory->all = totals.samples;
	memory->is_over = time_window_is_over(&status) || facts.mode == HEAP_MODE_CLOSED;
	end_ns = facts.mode == HEAP_MODE_CLOSED ? facts.closed_ns : status.elapsed_ns;
	memory->measured_s = end_ns > facts.since_ns ? (double)(end_ns - facts.since_ns) / 1e9 : 0;
	return true;
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

static struct rows_list get_list(struct memory *memory)
{
	memory->order.count = hot_order_count(&memory->order);
	return (struct rows_list){&memory->order, memory->order.count, get_key, find_key};
}

static uint32_t get_selected(struct memory *memory)
{
	return memory->rows.cursor < memory->order.count ? hot_order_get(&memory->order, memory->rows.cursor)
							 : UINT32_MAX;
}

/* ---- columns ---- */

/* Widths in cells, 0: not shown. All figures are right-aligned. */
struct columns {
	unsigned figures[SORTS], share, name, place;
};

#define MARKER 2

static struct columns lay_out(unsigned width, enum memory_sort sort)
{
	struct columns columns = {0};
	unsigned used = MARKER + 2, i;

	if (width >= 70)
		columns = (struct columns){.figures = {8, 9, 11, 9}, .place = 14};
	else
		columns.figures[sort] = width >= 30 ? 9 : 8;
	columns.figures[sort] += sort == SORT_ALLOCATED && width < 70 ? 2 : 0; /* its head is long */
	columns.share = width >= 90 || (width >= 50 && width < 70) ? 8 : 0;
	columns.place = width >= 96 ? 17 : columns.place;
	for (i = 0; i < SORTS; i++)
		used += columns.figures[i];
	used += columns.share + columns.place;
	if (width < MARKER + columns.figures[sort])
		columns.figures[sort] = width > MARKER ? width - MARKER : 0;
	columns.name = width > used ? width - used : 0;
	return columns;
}

static void write_head(const struct memory *memory, enum memory_sort column, char ret[FORMAT_MAX])
{
	const char *head = column == SORT_RATE && memory->is_over ? "MEAN/s" : sorts[column].head;

	snprintf(ret, FORMAT_MAX, "%s%s", head, column == memory->sort ? "▼" : "");
}

static void draw_head(struct memory *memory, struct canvas *canvas, struct rectangle area,
		      struct columns columns)
{
	unsigned x = area.column + MARKER, i;
	char text[FORMAT_MAX];

	for (i = 0; i < SORTS; i++) {
		write_head(memory, i, text);
		canvas_text_right(canvas, x, area.row, columns.figures[i], STYLE_TITLE, text);
		x += columns.figures[i];
		if (i != memory->sort || !columns.share)
			continue;
		canvas_text_right(canvas, x, area.row, columns.share, STYLE_TITLE, sorts[i].share);
		x += columns.share;
	}
	canvas_text(canvas, x + 2, area.row, columns.name, STYLE_TITLE, "SITE");
	if (columns.place)
		canvas_text(canvas, x + 3 + columns.name, area.row, columns.place - 1, STYLE_TITLE,
			    "FILE:LINE");
}

static void write_figure(const struct memory *memory, enum memory_sort column, uint32_t function,
			 const struct heap_figures *figures, char ret[FORMAT_MAX])
{
	double rate;

	switch (column) {
	case SORT_LIVE:
		format_bytes(figures->live_bytes, ret);
		break;
	case SORT_BLOCKS:
		format_count(figures->live_count, ret);
		if (figures->live_count >= 10000000) /* more than a column has cells for */
			format_short(figures->live_count, ret);
		break;
	case SORT_ALLOCATED:
		format_bytes(figures->alloc_bytes, ret);
		break;
	default:
		rate = get_rate(memory, function);
		if (isnan(rate))
			snprintf(ret, FORMAT_MAX, "-");
		else
			format_bytes((uint64_t)(rate + 0.5), ret);
	}
}

static void draw_site(struct memory *memory, struct canvas *canvas, unsigned x, unsigned row,
		      struct columns columns, uint32_t number)
{
	struct profile *profile = metric_get_profile(memory->view.context);
	struct function function = profile_get_function(profile, number);
	bool is_hit = hits_has(&memory->hits, memory->view.context, number);
	char name[CODE_NAME_MAX], label[LABEL_MAX];

	code_write_name(&function, name, sizeof(name));
	label_fit(name, columns.name, label, sizeof(label));
	canvas_text(canvas, x, row, columns.name, is_hit ? STYLE_MATCH : STYLE_NORMAL, label);
	if (!columns.place)
		return;
	code_fit_place(profile, &function, columns.place - 1, name, sizeof(name));
	canvas_text(canvas, x + columns.name + 1, row, columns.place - 1, STYLE_DIM, name);
}

static void draw_row(struct memory *memory, struct canvas *canvas, struct rectangle area, unsigned row,
		     struct columns columns, uint32_t number, bool is_selected)
{
	struct function function = profile_get_function(metric_get_profile(memory->view.context), number);
	unsigned x = area.column + MARKER, i;
	struct heap_figures figures;
	char text[FORMAT_MAX];

	if (is_selected)
		code_draw_cursor(canvas, area.column, row);
	heap_get_function(get_heap(memory), number, &figures);
	for (i = 0; i < SORTS; i++) {
		write_figure(memory, i, number, &figures, text);
		canvas_text_right(canvas, x, row, columns.figures[i],
				  i == memory->sort ? STYLE_BOLD : STYLE_NORMAL, text);
		x += columns.figures[i];
		if (i != memory->sort || !columns.share)
			continue;
		canvas_text_right(canvas, x, row, columns.share, STYLE_NORMAL,
				  format_share(function.self, memory->all, text));
		x += columns.share;
	}
	draw_site(memory, canvas, x + 2, row, columns, number);
	if (is_selected)
		canvas_restyle(canvas, area.column, row, area.columns, STYLE_SELECTED);
}

#define REST_PLACES_MAX 2000 /* to sum up what stands above the rest */

/* "… +1,199 sites below, 174M (34.9%)"; far down the list without the sum. */
static void draw_rest(struct memory *memory, struct canvas *canvas, struct rectangle area, unsigned row,
		      size_t shown)
{
	struct profile *profile = metric_get_profile(memory->view.context);
	unsigned metric = memory->view.context->metric, used;
	char share[FORMAT_MAX], count[FORMAT_MAX], amount[FORMAT_MAX];
	uint64_t rest = memory->all;
	size_t i;

	if (area.columns <= MARKER)
		return;
	used = MARKER + canvas_print(canvas, area.column + MARKER, row, area.columns - MARKER, STYLE_DIM,
				     "… +%s sites below", format_count(memory->order.count - shown, count));
	if (shown > REST_PLACES_MAX || used >= area.columns)
		return;
	for (i = 0; i < shown; i++)
		rest -= profile_get_function(profile, hot_order_get(&memory->order, i)).self;
	canvas_print(canvas, area.column + used, row, area.columns - used, STYLE_DIM, ", %s (%s)",
		     metric_format_amount(metric, rest, amount), format_share(rest, memory->all, share));
}

static void draw_list(struct memory *memory, struct canvas *canvas, struct rectangle area)
{
	struct columns columns = lay_out(area.columns, memory->sort);
	unsigned height = area.rows > 1 ? area.rows - 1 : 1, i;
	struct rows_list list;
	char text[160];

	hot_order_refresh(&memory->order, memory->rows.top + height);
	if (!memory->order.count) {
		heap_write_empty(memory->view.context->source->profile, memory->view.context->metric, text,
				 sizeof(text));
		canvas_text(canvas, area.column + 1, area.row + area.rows / 2, area.columns - 1, STYLE_NORMAL,
			    text);
		return;
	}
	if (area.rows > 1)
		draw_head(memory, canvas, area, columns);
	if (height > 2 && memory->order.count > height)
		height--; /* the last row says what is below */
	list = get_list(memory);
	rows_refresh(&memory->rows, &list, height);
	hot_order_refresh(&memory->order, memory->rows.top + height);
	if (area.rows > 1)
		area.row++;
	for (i = 0; i < height && memory->rows.top + i < memory->order.count; i++)
		draw_row(memory, canvas, area, area.row + i, columns,
			 hot_order_get(&memory->order, memory->rows.top + i),
			 memory->rows.top + i == memory->rows.cursor);
	if (height + 1 < area.rows && memory->rows.top + height < memory->order.count)
		draw_rest(memory, canvas, area, area.row + height, memory->rows.top + height);
}

/* ---- the screen ---- */

/* Words in as many rows as they take; returns how many. */
static unsigned draw_words(struct canvas *canvas, struct rectangle area, const char *text)
{
	unsigned row = 0;

	while (*text && row < area.rows) {
		size_t length = 0, next = 0;
		char line[512];

		do { /* the last space that still leaves the line fitting */
			length = next;
			next += strspn(text + next, " ");
			next += strcspn(text + next, " ");
			snprintf(line, sizeof(line), "%.*s", (int)next, text);
		} while (next > length && canvas_text_width(line) + 2 <= area.columns);
		length = length ? length : next; /* a word longer than a line is cut */
		snprintf(line, sizeof(line), "%.*s", (int)length, text);
		canvas_text(canvas, area.column + 1, area.row + row++,
			    area.columns > 1 ? area.columns - 1 : 0, STYLE_WARN, line);
		text += length + strspn(text + length, " ");
	}
	return row;
}

/* Where there is no room for a graph: its figures in one row. */
static void draw_summary(struct memory *memory, struct canvas *canvas, struct rectangle area)
{
	char text[256], live[FORMAT_MAX], peak[FORMAT_MAX], rss[96], *comma;
	struct heap_figures sum;
	struct heap_facts facts;

	heap_get_sum(get_heap(memory), &sum);
	heap_read_facts(memory->view.context->source->profile, &facts);
	memory_graph_write_rss(memory->view.context, rss, sizeof(rss));
	snprintf(text, sizeof(text), "live %s  peak %s  %s", format_bytes(sum.live_bytes, live),
		 format_bytes(facts.global.peak_bytes, peak), rss);
	comma = strchr(text, ',');
	if (comma && canvas_text_width(text) + 1 > area.columns)
		*comma = '\0';
	canvas_text(canvas, area.column + 1, area.row, area.columns > 1 ? area.columns - 1 : 0, STYLE_TITLE,
		    text);
}

#define ROWS_WITH_GRAPH 12

/* Rows of the graph with its axes; an odd number, so that the band below zero leaves an even one. */
static unsigned count_graph_rows(unsigned rows)
{
	unsigned wanted = (rows / 2 - 1) | 1;

	return wanted > 15 ? 15 : wanted;
}

static void draw_measured(struct memory *memory, struct canvas *canvas, struct rectangle area)
{
	const struct view_context *context = memory->view.context;
	unsigned graph;

	if (area.rows < ROWS_WITH_GRAPH && area.rows > 2) {
		draw_summary(memory, canvas, area);
		draw_list(memory, canvas,
			  (struct rectangle){area.column, area.row + 1, area.columns, area.rows - 1});
		return;
	}
	if (area.rows >= ROWS_WITH_GRAPH) {
		graph = 1 + count_graph_rows(area.rows);
		memory_graph_draw(&memory->graph, context, canvas,
				  (struct rectangle){area.column, area.row, area.columns, graph},
				  MEMORY_GRAPH_FULL);
		memory_graph_draw_rates(&memory->graph, context, canvas,
					(struct rectangle){area.column, area.row + graph, area.columns, 1});
		area.row += graph + 1;
		area.rows -= graph + 1;
	}
	draw_list(memory, canvas, area);
}

/* What has no room in the books is missing from every figure of what lives. */
static void write_refused(const struct heap_facts *facts, char *ret, size_t capacity)
{
	char count[FORMAT_MAX], bytes[FORMAT_MAX];

	snprintf(ret, capacity, "live heap incomplete: %s blocks, %s, had no room in the books: --max-memory",
		 format_count(facts->counters.refused, count),
		 format_bytes(facts->counters.refused_bytes, bytes));
}

static void draw(struct view *view, struct canvas *canvas, struct rectangle area)
{
	struct memory *memory = (struct memory *)view;
	struct source_status status;
	struct heap_facts facts;
	char text[512];
	unsigned used;

	memory->width = area.columns - 1; /* the detail row begins one cell in */
	heap_read_facts(view->context->source->profile, &facts);
	heap_write_state(&facts, text, sizeof(text));
	if (!*text && facts.counters.refused)
		write_refused(&facts, text, sizeof(text));
	if (!refresh(memory)) {
		area.row += area.rows > 2;
		area.rows -= area.rows > 2;
		draw_words(canvas, area, text);
		return;
	}
	view->context->source->ops->get_status(view->context->source, &status);
	if (!memory->is_over)
		memory_rates_refresh(&memory->rates, get_heap(memory),
				     profile_count_functions(memory->order.profile), status.elapsed_ns);
	used = area.rows > 6
		       ? draw_words(canvas, (struct rectangle){area.column, area.row, area.columns, 2}, text)
		       : 0;
	area.row += used;
	area.rows -= used;
	draw_measured(memory, canvas, area);
}

/* ---- keys ---- */

static void change_sort(struct memory *memory)
{
	memory->sort = (memory->sort + 1) % SORTS;
	metric_use(memory->view.context, METRIC_HEAP + sorts[memory->sort].metric);
	hot_order_set_sort(&memory->order, memory->sort == SORT_RATE ? HOT_BY_VALUE : HOT_BY_SELF);
}

static enum view_reply go_to(struct memory *memory, enum view_reply screen)
{
	if (get_selected(memory) == UINT32_MAX)
		return VIEW_HANDLED;
	memory->view.context->selected_function = get_selected(memory);
	memory->view.context->opens_callers = true;
	return screen;
}

static enum view_reply press(struct memory *memory, uint32_t key)
{
	struct rows_list list = get_list(memory);

	if (rows_press(&memory->rows, &list, key))
		return VIEW_HANDLED;
	switch (key) {
	case KEY_CODE_ENTER:
		return go_to(memory, VIEW_GO_TREE);
	case 'c':
		return go_to(memory, VIEW_GO_HOT);
	case 's':
		change_sort(memory);
		return VIEW_HANDLED;
	case 'r':
		steady_sort_now(&memory->order.steady);
		return VIEW_HANDLED;
	case 'w':
		memory->view.context->is_window_flipped ^= true;
		return VIEW_HANDLED;
	}
	return VIEW_IGNORED;
}

static enum view_reply key_pressed(struct view *view, uint32_t key)
{
	struct memory *memory = (struct memory *)view;
	enum view_reply reply;

	if (!refresh(memory))
		return VIEW_IGNORED;
	steady_press(&memory->order.steady);
	reply = press(memory, key);
	if (reply == VIEW_HANDLED && memory->rows.is_pinned)
		view->context->selected_function = get_selected(memory);
	return reply;
}

static bool find(struct view *view, int direction)
{
	struct memory *memory = (struct memory *)view;
	size_t count, step, place;
	struct rows_list list;

	if (!refresh(memory))
		return false;
	list = get_list(memory);
	count = list.count;
	steady_press(&memory->order.steady);
	for (step = 1; step <= count; step++) {
		place = (memory->rows.cursor + (direction > 0 ? step : count - step)) % count;
		if (!hits_has(&memory->hits, view->context, hot_order_get(&memory->order, place)))
			continue;
		rows_select(&memory->rows, &list, place);
		view->context->selected_function = get_selected(memory);
		return true;
	}
	return false;
}

static void enter(struct view *view)
{
	struct memory *memory = (struct memory *)view;

	if (refresh(memory) && view->context->selected_function != UINT32_MAX)
		rows_select_key(&memory->rows, view->context->selected_function);
}

/* ---- words ---- */

static void describe(struct view *view, char *ret, size_t capacity)
{
	struct memory *memory = (struct memory *)view;
	char live[FORMAT_MAX], share[FORMAT_MAX], blocks[FORMAT_MAX], bytes[FORMAT_MAX], count[FORMAT_MAX],
		peak[FORMAT_MAX], figures[512];
	struct heap_figures site, sum;

	*ret = '\0';
	if (!refresh(memory) || get_selected(memory) == UINT32_MAX)
		return;
	heap_get_function(get_heap(memory), get_selected(memory), &site);
	heap_get_sum(get_heap(memory), &sum);
	snprintf(figures, sizeof(figures),
		 "live %s, %s of all  %s blocks  allocated %s in %s  %s of the peak",
		 format_bytes(site.live_bytes, live), format_share(site.live_bytes, sum.live_bytes, share),
		 format_count(site.live_count, blocks), format_bytes(site.alloc_bytes, bytes),
		 format_count(site.alloc_count, count), format_bytes(site.peak_bytes, peak));
	code_write_detail(memory->order.profile, get_selected(memory), figures, memory->width, ret, capacity);
}

static void scope(struct view *view, char *ret, size_t capacity)
{
	struct memory *memory = (struct memory *)view;
	char unseen[80] = "", duration[FORMAT_MAX];
	struct heap_facts facts;

	heap_read_facts(view->context->source->profile, &facts);
	if (facts.unseen_ns) /* of a command, before the probes were in place */
		snprintf(unseen, sizeof(unseen), " ▸ heap unseen for the first %s",
			 format_duration(facts.unseen_ns, duration));
	snprintf(ret, capacity, "whole process ▸ since attach%s", unseen);
	if (refresh(memory))
		snprintf(ret, capacity, "whole process ▸ since attach%s ▸ by %s", unseen,
			 sorts[memory->sort].word);
}

/* ---- life ---- */

static void destroy(struct view *view)
{
	struct memory *memory = (struct memory *)view;

	if (!memory)
		return;
	memory_graph_deinit(&memory->graph);
	memory_rates_deinit(&memory->rates);
	hot_order_deinit(&memory->order);
	hits_deinit(&memory->hits);
	free(memory);
}

static struct error *create(struct view_context *context, struct view **ret)
{
	struct memory *memory = calloc(1, sizeof(*memory));

	if (!memory)
		return error_create(ERROR_GENERAL, 0, NULL, "out of memory");
	memory->view = (struct view){&view_memory, context};
	memory->order.profile = context->source->profile; /* until there is a heap */
	memory->order.has_only_self = true;
	memory->order.read_value = read_rate;
	memory->order.read_value_arg = memory;
	*ret = &memory->view;
	return NULL;
}

static const char *get_keys(struct view *view)
{
	return heap_is_measured(view->context->source->profile) ? view->ops->keys : "";
}

const struct view_ops view_memory = {
	.name = "Memory",
	.tab = "Mem",
	.key = '5',
	.keys = "Enter stacks  c callers  s sort  4 flame  w window  3 tree  r re-sort",
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
