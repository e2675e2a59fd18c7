#include "tui/overview_heap.h"

#include "tui/code_text.h"
#include "tui/format.h"
#include "tui/heap_text.h"
#include "tui/label.h"
#include "tui/metric.h"

#include <stdio.h>

void overview_heap_deinit(struct overview_heap *heap)
{
	memory_graph_deinit(&heap->graph);
	hot_order_deinit(&heap->order);
}

bool overview_heap_refresh(struct overview_heap *state, const struct view_context *context)
{
	struct heap *heap = profile_get_heap(context->source->profile);
	struct error *error = NULL;

	if (!heap || !heap_is_measured(context->source->profile))
		return false;
	if (heap_get_metric(heap) != HEAP_LIVE_BYTES)
		error = heap_set_metric(heap, HEAP_LIVE_BYTES);
	state->order.profile = heap_get_profile(heap);
	state->order.has_only_self = true;
	if (!error)
		return true;
	error_destroy(error); /* memory is short */
	return false;
}

static struct function get_function(const struct overview_heap *heap, size_t place)
{
	return profile_get_function(heap->order.profile, heap->order.shown.items[place]);
}

static uint64_t get_all(const struct overview_heap *heap)
{
	struct totals totals;

	profile_get_totals(heap->order.profile, &totals);
	return totals.samples;
}

static uint16_t get_style(const struct view_context *context, const struct function *function)
{
	return context->search[0] && context->search_matches(context, function->name) ? STYLE_MATCH
										      : STYLE_NORMAL;
}

/* Cells of a row: bytes 7, share 7, the name, and where it is when there is room behind the name. */
#define SITE_NAME 15

static void draw_site(const struct overview_heap *heap, const struct view_context *context,
		      struct canvas *canvas, struct rectangle area, size_t place, uint64_t all)
{
	struct function function = get_function(heap, place);
	char text[FORMAT_MAX], name[CODE_NAME_MAX], label[LABEL_MAX];
	unsigned width = area.columns > SITE_NAME ? area.columns - SITE_NAME : 0, used, left;

	canvas_text_right(canvas, area.column, area.row, 7, STYLE_BOLD, format_bytes(function.self, text));
	canvas_text_right(canvas, area.column + 7, area.row, 7, STYLE_NORMAL,
			  format_share(function.self, all, text));
	code_write_name(&function, name, sizeof(name));
	used = label_fit(name, width, label, sizeof(label));
	canvas_text(canvas, area.column + SITE_NAME, area.row, width, get_style(context, &function), label);
	code_write_place(heap->order.profile, &function, name, sizeof(name));
	left = width > used + 1 ? width - used - 1 : 0;
	if (*function.file && canvas_text_width(name) <= left)
		canvas_text(canvas, area.column + SITE_NAME + used + 1, area.row, left, STYLE_DIM, name);
}

static void draw_rest(const struct overview_heap *heap, struct canvas *canvas, struct rectangle area,
		      size_t shown, uint64_t all)
{
	char count[FORMAT_MAX], bytes[FORMAT_MAX], share[FORMAT_MAX];
	uint64_t rest = all;
	size_t i;

	for (i = 0; i < shown; i++)
		rest -= get_function(heap, i).self;
	canvas_print(canvas, area.column + 3, area.row, area.columns > 3 ? area.columns - 3 : 0, STYLE_DIM,
		     "… +%s sites, %s (%s)", format_count(heap->order.count - shown, count),
		     format_bytes(rest, bytes), format_share(rest, all, share));
}

void overview_heap_draw_sites(struct overview_heap *heap, const struct view_context *context,
			      struct canvas *canvas, struct rectangle area)
{
	uint64_t all = get_all(heap);
	size_t rows = area.rows > 1 ? area.rows - 1 : 0, shown, i;
	char text[160];

	canvas_rule(canvas, area.column, area.row, area.columns, "biggest live allocation sites");
	hot_order_refresh(&heap->order, rows);
	shown = heap->order.count > rows && rows ? rows - 1 : heap->order.count;
	if (shown > heap->order.shown.count)
		shown = heap->order.shown.count;
	for (i = 0; i < shown; i++)
		draw_site(heap, context, canvas,
			  (struct rectangle){area.column, area.row + 1 + (unsigned)i, area.columns, 1}, i,
			  all);
	if (rows && heap->order.count > shown)
		draw_rest(heap, canvas,
			  (struct rectangle){area.column, area.row + 1 + (unsigned)shown, area.columns, 1},
			  shown, all);
	if (!rows || heap->order.count)
		return;
	heap_write_empty(context->source->profile, METRIC_HEAP + HEAP_LIVE_BYTES, text, sizeof(text));
	canvas_text(canvas, area.column + 1, area.row + 1, area.columns - 1, STYLE_NORMAL, text);
}

#define BIGGEST	     5
#define BIGGEST_NAME 24 /* cells */

void overview_heap_draw_biggest(struct overview_heap *heap, const struct view_context *context,
				struct canvas *canvas, struct rectangle area)
{
	char bytes[FORMAT_MAX], label[LABEL_MAX];
	unsigned at = 1, left, cells;
	size_t i;

	hot_order_refresh(&heap->order, BIGGEST);
	at += canvas_text(canvas, area.column + at, area.row, area.columns > at ? area.columns - at : 0,
			  STYLE_TITLE, "biggest live:");
	for (i = 0; i < BIGGEST && i < heap->order.shown.count; i++) {
		struct function function = get_function(heap, i);

		cells = canvas_text_width(format_bytes(function.self, bytes)) + 1;
		left = area.columns > at + 1 ? area.columns - at - 1 : 0;
		cells += label_fit(function.name, BIGGEST_NAME, label, sizeof(label));
		if (cells > left) /* whole, or not at all */
			return;
		at += 1 + canvas_text(canvas, area.column + at + 1, area.row, left, STYLE_BOLD, bytes);
		at += 1 +
		      canvas_text(canvas, area.column + at + 1, area.row, area.columns - at - 1,
				  get_style(context, &function), label) +
		      1;
	}
}

void overview_heap_draw_line(const struct view_context *context, struct canvas *canvas, struct rectangle area)
{
	char text[512], live[FORMAT_MAX], peak[FORMAT_MAX], rss[96];
	struct heap_figures sum;
	struct heap_facts facts;

	heap_read_facts(context->source->profile, &facts);
	heap_write_state(&facts, text, sizeof(text));
	if (facts.mode == HEAP_MODE_EXACT) {
		heap_get_sum(profile_get_heap(context->source->profile), &sum);
		memory_graph_write_rss(context, rss, sizeof(rss));
		snprintf(text, sizeof(text), "live heap %s  peak %s  %s", format_bytes(sum.live_bytes, live),
			 format_bytes(facts.global.peak_bytes, peak), rss);
	}
	canvas_text(canvas, area.column + 1, area.row, area.columns > 1 ? area.columns - 1 : 0,
		    facts.mode == HEAP_MODE_EXACT || facts.mode == HEAP_MODE_OFF ? STYLE_DIM : STYLE_WARN,
		    text);
}
