/* The heap in the summary: what lives, what came and went, how it was measured, and what is not in it. */
#include "export/report_parts.h"

#include <math.h>
#include <string.h>

static double get_seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

/* The two words of CLI.md for what is measured here: "exact" also of books that were closed (why says when).
 */
static json_t *make_why(const struct report_heap *heap)
{
	char text[512];

	if (heap->facts.mode != HEAP_MODE_CLOSED)
		return heap->why ? report_json_text(heap->why) : json_null();
	snprintf(text, sizeof(text), "exact until %.1f s%s%s", get_seconds(heap->facts.closed_ns),
		 heap->why ? ": " : "", heap->why ? heap->why : "");
	return report_json_text(text);
}

/* What CLI.md does not name, and the books need to close:
 * allocs = frees + live + gone + refused, in blocks and in bytes. */
static json_t *make_books(const struct report_heap *heap)
{
	const struct heap_facts *facts = &heap->facts;
	const struct heap_global *global = &facts->global;
	const struct heap_counters *counters = &facts->counters;

	return json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "gone_blocks",
		(json_int_t)global->gone_blocks, "gone_bytes", (json_int_t)global->gone_bytes,
		"refused_blocks", (json_int_t)counters->refused, "refused_bytes",
		(json_int_t)counters->refused_bytes, "nested", (json_int_t)counters->nested, "abandoned",
		(json_int_t)counters->abandoned, "sites", (json_int_t)facts->sites, "since_s",
		report_json_real(get_seconds(facts->since_ns)), "closed_s",
		report_json_real(facts->mode == HEAP_MODE_CLOSED ? get_seconds(facts->closed_ns) : NAN),
		"unseen_ms", report_json_real(facts->unseen_ns ? (double)facts->unseen_ns / 1e6 : NAN));
}

json_t *report_make_heap(const struct report_heap *heap)
{
	const struct heap_global *global = &heap->facts.global;
	const struct heap_counters *counters = &heap->facts.counters;
	json_t *json, *books;

	if (!heap->heap)
		return json_null();
	json = json_pack(
		"{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:n, s:o}", "mode", "exact",
		"allocs", (json_int_t)counters->allocs, "frees", (json_int_t)counters->frees, "failed",
		(json_int_t)counters->failed, "alloc_bytes", (json_int_t)counters->alloc_bytes, "free_bytes",
		(json_int_t)counters->free_bytes, "live_blocks", (json_int_t)global->live_blocks,
		"live_bytes", (json_int_t)global->live_bytes, "peak_bytes", (json_int_t)global->peak_bytes,
		"peak_at_s", report_json_real(global->peak_bytes ? get_seconds(global->peak_ns) : NAN),
		"frees_before_attach", (json_int_t)counters->frees_before, "sample_bytes", "why",
		make_why(heap));
	books = make_books(heap);
	if (!json || !books || json_object_update(json, books)) {
		json_decref(json);
		json = NULL;
	}
	json_decref(books);
	return json;
}

/* ---- text ---- */

#define LINE	    "            " /* below the label */
#define LINE_INDENT strlen(LINE)

/* "48,211 blocks (11.8 MiB)" */
static void put_blocks(uint64_t blocks, uint64_t bytes, FILE *stream)
{
	char number[REPORT_NUMBER_MAX], size[REPORT_NUMBER_MAX];

	fprintf(stream, "%s block%s (%s)", report_format_number(blocks, number), blocks == 1 ? "" : "s",
		report_format_bytes(bytes, size));
}

static void put_live(const struct heap_global *global, FILE *stream)
{
	char peak[REPORT_NUMBER_MAX];

	fputs("live ", stream);
	put_blocks(global->live_blocks, global->live_bytes, stream);
	if (global->peak_bytes)
		fprintf(stream, "; peak %s at %.1f s", report_format_bytes(global->peak_bytes, peak),
			get_seconds(global->peak_ns));
	fputc('\n', stream);
}

static void put_traffic(const struct heap_counters *counters, FILE *stream)
{
	char number[REPORT_NUMBER_MAX];

	fputs(LINE "allocated ", stream);
	put_blocks(counters->allocs, counters->alloc_bytes, stream);
	fputs(", freed ", stream);
	put_blocks(counters->frees, counters->free_bytes, stream);
	if (counters->failed)
		fprintf(stream, "; %s call%s failed", report_format_number(counters->failed, number),
			counters->failed == 1 ? "" : "s");
	fputc('\n', stream);
}

/* The heap that was there already is not in the books: only what of it was freed is known, and the RSS. */
static void put_before(const struct heap_facts *facts, FILE *stream)
{
	char number[REPORT_NUMBER_MAX];

	if (!facts->counters.frees_before && !facts->rss_start_bytes)
		return;
	fputs(LINE "from before the attach: ", stream);
	fprintf(stream, "%s freed", report_format_number(facts->counters.frees_before, number));
	if (facts->rss_start_bytes)
		fprintf(stream, "; the RSS was %s", report_format_bytes(facts->rss_start_bytes, number));
	fputc('\n', stream);
}

/* What the figures above do not have. */
static void put_missing(const struct heap_facts *facts, FILE *stream)
{
	const struct heap_counters *counters = &facts->counters;
	char number[REPORT_NUMBER_MAX];

	if (facts->global.gone_blocks) {
		fputs(LINE "gone with an exec: ", stream);
		put_blocks(facts->global.gone_blocks, facts->global.gone_bytes, stream);
		fputc('\n', stream);
	}
	if (counters->refused) {
		fputs(LINE "the live heap is incomplete by at least ", stream);
		put_blocks(counters->refused, counters->refused_bytes, stream);
		fputs(": no room\n", stream);
	}
	if (counters->abandoned)
		fprintf(stream, LINE "not counted: %s calls that did not return\n",
			report_format_number(counters->abandoned, number));
	if (facts->unseen_ns)
		fprintf(stream, LINE "unseen: the first %.0f ms of the command\n",
			(double)facts->unseen_ns / 1e6);
}

static void put_mode(const struct report_heap *heap, FILE *stream)
{
	const struct heap_facts *facts = &heap->facts;

	fprintf(stream, LINE "exact, every call from %.1f s", get_seconds(facts->since_ns));
	if (facts->mode != HEAP_MODE_CLOSED)
		fputs(" on\n", stream);
	else
		fprintf(stream, " until %.1f s\n", get_seconds(facts->closed_ns));
	if (!heap->why)
		return;
	fputs(LINE, stream);
	report_put_why(heap->why, LINE_INDENT, LINE_INDENT, stream);
}

static void put_cost(const struct heap_facts *facts, FILE *stream)
{
	char number[REPORT_NUMBER_MAX];

	fprintf(stream, LINE "%u probes, %s hits", facts->sites,
		report_format_number(facts->counters.hits, number));
	if (facts->counters.hits)
		fprintf(stream, " of %.2f µs",
			(double)facts->counters.program_ns / (double)facts->counters.hits / 1000);
	fputc('\n', stream);
	if (!isfinite(facts->cost_pct))
		return;
	fprintf(stream, LINE "cost about %.1f%% of the target's CPU time while in place, traps included",
		facts->cost_pct);
	if (isfinite(facts->budget_pct))
		fprintf(stream, " (budget %g%%)", facts->budget_pct);
	fputc('\n', stream);
}

void report_put_heap(const struct report_heap *heap, FILE *stream)
{
	if (!heap->heap) {
		fputs(heap->why ? "not measured: " : "not measured\n", stream);
		if (heap->why)
			report_put_why(heap->why, LINE_INDENT + strlen("not measured: "), LINE_INDENT,
				       stream);
		return;
	}
	put_live(&heap->facts.global, stream);
	put_traffic(&heap->facts.counters, stream);
	put_before(&heap->facts, stream);
	put_missing(&heap->facts, stream);
	put_mode(heap, stream);
	put_cost(&heap->facts, stream);
}
