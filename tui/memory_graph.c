#include "tui/memory_graph.h"

#include "tui/format.h"
#include "tui/heap_chart.h"
#include "tui/heap_text.h"
#include "tui/time_window.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SECOND 1000000000ll
#define NOW_NS (3 * SECOND) /* what rates are a mean of */

void memory_graph_deinit(struct memory_graph *graph)
{
	array_deinit(&graph->columns);
	array_deinit(&graph->values);
}

static struct heap *get_heap(const struct view_context *context)
{
	return profile_get_heap(context->source->profile);
}

/* Columns of the chart's time. What lies behind the end of the session is not measured, although the last
 * value of a long bucket would reach there. */
static void read_columns(struct memory_graph *graph, const struct view_context *context,
			 const struct chart *chart, unsigned count)
{
	const struct heap_column none = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
	struct source_status status;
	unsigned i;

	context->source->ops->get_status(context->source, &status);
	heap_read_timeline(get_heap(context), (int64_t)chart->from_ns, (int64_t)chart->to_ns,
			   graph->columns.items, count);
	for (i = count; i-- > 0;) {
		if (chart->from_ns + (chart->to_ns - chart->from_ns) / count * i <= status.elapsed_ns)
			break;
		graph->columns.items[i] = none;
	}
}

/* ---- now ---- */

bool memory_graph_read_now(const struct view_context *context, struct heap_column *ret)
{
	struct source_status status;
	struct heap_facts facts;
	int64_t from_ns, to_ns;

	context->source->ops->get_status(context->source, &status);
	heap_read_facts(context->source->profile, &facts);
	to_ns = (int64_t)(facts.mode == HEAP_MODE_CLOSED ? facts.closed_ns : status.elapsed_ns);
	from_ns = (int64_t)facts.since_ns;
	if (status.state == SOURCE_LIVE && facts.mode == HEAP_MODE_EXACT) {
		if (to_ns - from_ns > NOW_NS)
			from_ns = to_ns - NOW_NS;
		heap_read_timeline(get_heap(context), from_ns, to_ns, ret, 1);
		return true;
	}
	heap_read_timeline(get_heap(context), from_ns, to_ns > from_ns ? to_ns : from_ns + 1, ret, 1);
	return false;
}

/* RSS of the newest point: columns after the last one have none. */
static double read_rss(const struct view_context *context)
{
	struct heap_column column;
	struct source_status status;

	int64_t to_ns;

	context->source->ops->get_status(context->source, &status);
	to_ns = (int64_t)status.elapsed_ns + SECOND;
	heap_read_timeline(get_heap(context), to_ns - NOW_NS, to_ns, &column, 1);
	if (isnan(column.rss_bytes)) /* the target has gone */
		heap_read_timeline(get_heap(context), 0, to_ns, &column, 1);
	return column.rss_bytes;
}

void memory_graph_write_rss(const struct view_context *context, char *ret, size_t capacity)
{
	char bytes[FORMAT_MAX], before[FORMAT_MAX];
	struct heap_facts facts;
	double rss = read_rss(context);

	*ret = '\0';
	heap_read_facts(context->source->profile, &facts);
	if (isnan(rss))
		return;
	if (facts.rss_start_bytes)
		snprintf(ret, capacity, "RSS %s, %s before attach", format_bytes((uint64_t)rss, bytes),
			 format_bytes(facts.rss_start_bytes, before));
	else
		snprintf(ret, capacity, "RSS %s", format_bytes((uint64_t)rss, bytes));
}

static const char *format_rate_of_bytes(double rate, char ret[FORMAT_MAX])
{
	char bytes[FORMAT_MAX];

	if (isnan(rate))
		snprintf(ret, FORMAT_MAX, "-");
	else
		snprintf(ret, FORMAT_MAX, "%.30s/s", format_bytes((uint64_t)fabs(rate), bytes));
	return ret;
}

static const char *format_rate(double rate, char ret[FORMAT_MAX])
{
	char count[FORMAT_MAX];

	if (isnan(rate))
		snprintf(ret, FORMAT_MAX, "-");
	else
		snprintf(ret, FORMAT_MAX, "%.30s/s", format_short((uint64_t)(rate + 0.5), count));
	return ret;
}

/* ---- the title ---- */

/* Where the title goes on: what does not fit any more is left out, with all that follows. */
struct pen {
	struct canvas *canvas;
	unsigned column, row, end;
};

static void put(struct pen *pen, uint16_t style, const char *text)
{
	unsigned width = canvas_text_width(text);

	if (pen->column + width + 1 > pen->end) {
		pen->end = 0;
		return;
	}
	pen->column += canvas_text(pen->canvas, pen->column, pen->row, width, style, text);
}

/* The time of the peak is left to the axis where there is little room. */
#define PEAK_TIME_COLUMNS 76

static void put_live(struct pen *pen, const struct view_context *context, const struct chart *chart)
{
	struct heap_figures sum;
	struct heap_facts facts;
	struct heap_column now;
	bool is_now = memory_graph_read_now(context, &now);
	char text[160], at[48] = "", bytes[FORMAT_MAX], clock[FORMAT_MAX];
	double change = now.alloc_bytes_per_s - now.free_bytes_per_s;

	heap_get_sum(get_heap(context), &sum);
	heap_read_facts(context->source->profile, &facts);
	format_bytes(sum.live_bytes, bytes);
	if (facts.mode == HEAP_MODE_CLOSED)
		snprintf(text, sizeof(text), " live heap at %s %s", format_clock(facts.closed_ns, clock),
			 bytes);
	else
		snprintf(text, sizeof(text), " live heap%s %s", is_now ? " now" : "", bytes);
	put(pen, STYLE_TITLE, text);
	if (is_now && !isnan(change)) {
		snprintf(text, sizeof(text), "  %s%s", change < 0 ? "−" : "+",
			 format_rate_of_bytes(change, bytes));
		put(pen, STYLE_TITLE, text);
	}
	if (!facts.global.peak_bytes)
		return;
	if (chart->area.columns >= PEAK_TIME_COLUMNS)
		time_window_write(chart, facts.global.peak_ns, at, sizeof(at));
	snprintf(text, sizeof(text), "  peak %s%s", format_bytes(facts.global.peak_bytes, bytes), at);
	put(pen, STYLE_TITLE, text);
}

static void draw_title(const struct view_context *context, struct canvas *canvas, struct rectangle area,
		       const struct chart *chart, enum memory_graph_form form)
{
	struct pen pen = {canvas, area.column + 2, area.row, area.column + area.columns};
	char rss[96], *comma;

	canvas_rule(canvas, area.column, area.row, area.columns, NULL);
	put(&pen, STYLE_GRAPH_HEAP, "█");
	put_live(&pen, context, chart);
	memory_graph_write_rss(context, rss, sizeof(rss));
	comma = strchr(rss, ',');
	if (comma && pen.column + canvas_text_width(rss) + 6 > pen.end)
		*comma = '\0';
	if (form == MEMORY_GRAPH_FULL && *rss && pen.column + canvas_text_width(rss) + 6 <= pen.end) {
		put(&pen, STYLE_TITLE, "  ");
		put(&pen, STYLE_GRAPH_RSS, "•");
		put(&pen, STYLE_TITLE, " ");
		put(&pen, STYLE_TITLE, rss);
	}
	if (pen.column < area.column + area.columns)
		canvas_put(canvas, pen.column, area.row, ' ', STYLE_NORMAL);
	if (area.columns > 1)
		canvas_put(canvas, area.column + 1, area.row, ' ', STYLE_NORMAL);
}

/* ---- the graph ---- */

void memory_graph_draw(struct memory_graph *graph, const struct view_context *context, struct canvas *canvas,
		       struct rectangle area, enum memory_graph_form form)
{
	struct heap_chart chart = {
		.chart = {.area = {area.column, area.row + 1, area.columns, area.rows - 1},
			  .unit = CHART_BYTES},
		.shows_rss = form == MEMORY_GRAPH_FULL,
	};
	unsigned count = heap_chart_count_columns(chart.chart.area);
	struct source_status status;
	struct heap_facts facts;

	context->source->ops->get_status(context->source, &status);
	heap_read_facts(context->source->profile, &facts);
	if (!count || area.rows < 2 || !array_reserve(&graph->columns, count))
		return;
	time_window_choose(&status, context->is_window_flipped, count, &chart.chart);
	read_columns(graph, context, &chart.chart, count);
	chart.columns = graph->columns.items;
	chart.before_bytes = facts.rss_start_bytes;
	chart.peak_ns = facts.global.peak_bytes ? facts.global.peak_ns : 0;
	draw_title(context, canvas, area, &chart.chart, form);
	heap_chart_draw(canvas, &chart);
}

/* ---- rates ---- */

static void draw_rate(struct memory_graph *graph, struct canvas *canvas, struct rectangle area,
		      unsigned sparks, double maximum, const char *word, double count_per_s,
		      double bytes_per_s)
{
	char count[FORMAT_MAX], bytes[FORMAT_MAX];
	unsigned at = 1, end = area.columns;

	at += canvas_text(canvas, area.column + at, area.row, end > at ? end - at : 0, STYLE_TITLE, word) + 1;
	heap_chart_draw_sparkline(canvas, area.column + at, area.row, graph->values.items, sparks, maximum,
				  STYLE_GRAPH_HEAP);
	at += sparks ? sparks + 1 : 0;
	if (at < end)
		canvas_print(canvas, area.column + at, area.row, end - at, STYLE_NORMAL, "%s  %s",
			     format_rate(count_per_s, count), format_rate_of_bytes(bytes_per_s, bytes));
}

/* Both sparklines have one scale: what is allocated and not freed is seen. */
static double find_rate_maximum(const struct memory_graph *graph, unsigned count)
{
	double maximum = 0;
	unsigned i;

	for (i = 0; i < count; i++)
		maximum = fmax(maximum, fmax(graph->columns.items[i].allocs_per_s,
					     graph->columns.items[i].frees_per_s));
	return maximum;
}

#define RATE_CELLS 19 /* " 12.1k/s  38.0M/s " */

void memory_graph_draw_rates(struct memory_graph *graph, const struct view_context *context,
			     struct canvas *canvas, struct rectangle area)
{
	struct heap_column now;
	bool is_now = memory_graph_read_now(context, &now);
	const char *words[] = {is_now ? "alloc" : "alloc mean", is_now ? "free" : "free mean"};
	unsigned half = area.columns / 2, used = (unsigned)strlen(words[0]) + 2 + RATE_CELLS, sparks, i;
	struct rectangle left = {area.column, area.row, half, 1};
	struct rectangle right = {area.column + half, area.row, area.columns - half, 1};
	struct source_status status;
	struct chart chart = {0};
	double maximum = 0;

	sparks = half > used + 3 ? half - used : 0;
	if (!array_reserve(&graph->columns, sparks) || !array_reserve(&graph->values, sparks))
		sparks = 0;
	if (sparks) {
		context->source->ops->get_status(context->source, &status);
		time_window_choose(&status, context->is_window_flipped, sparks, &chart);
		read_columns(graph, context, &chart, sparks);
		maximum = find_rate_maximum(graph, sparks);
	}
	for (i = 0; i < sparks; i++)
		graph->values.items[i] = graph->columns.items[i].allocs_per_s;
	draw_rate(graph, canvas, left, sparks, maximum, words[0], now.allocs_per_s, now.alloc_bytes_per_s);
	for (i = 0; i < sparks; i++)
		graph->values.items[i] = graph->columns.items[i].frees_per_s;
	draw_rate(graph, canvas, right, sparks, maximum, words[1], now.frees_per_s, now.free_bytes_per_s);
}
