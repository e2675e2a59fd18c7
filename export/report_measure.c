/* What a report counts: samples of the CPU, or bytes and blocks of the heap, which is a profile of its own.
 */
#include "base/text.h"
#include "export/report_parts.h"

#include <string.h>

static const char *choose_why(const char *first, const char *second)
{
	return first && *first ? first : second && *second ? second : NULL;
}

void report_read_heap(const struct profile *profile, struct report_heap *ret)
{
	struct heap *heap = profile_get_heap(profile);
	struct facts facts;

	*ret = (struct report_heap){0};
	profile_get_facts(profile, &facts);
	if (heap)
		heap_get_facts(heap, &ret->facts);
	switch (ret->facts.mode) {
	case HEAP_MODE_EXACT: /* a reason here says what is not in the books */
	case HEAP_MODE_CLOSED:
		ret->heap = heap;
		ret->why = choose_why(ret->facts.why, NULL);
		return;
	case HEAP_MODE_WAITING:
		ret->why = choose_why(ret->facts.why, "no allocator was found");
		return;
	case HEAP_MODE_OFF:
		ret->why = choose_why(ret->facts.why, facts.heap_why);
		return;
	}
}

static const struct {
	const char *column, *nothing;
	bool is_bytes;
} heap_measures[HEAP_METRICS] = {
	[HEAP_LIVE_BYTES] = {"BYTES", "no live blocks", true},
	[HEAP_LIVE_COUNT] = {"BLOCKS", "no live blocks", false},
	[HEAP_ALLOC_BYTES] = {"BYTES", "no allocations", true},
	[HEAP_ALLOC_COUNT] = {"BLOCKS", "no allocations", false},
	[HEAP_PEAK_BYTES] = {"BYTES", "no allocations", true},
};

static struct error *init_heap(struct profile *profile, enum heap_metric metric, struct report_measure *ret)
{
	struct error *error;

	ret->metric = heap_metric_names[metric];
	ret->column = heap_measures[metric].column;
	ret->nothing = heap_measures[metric].nothing;
	ret->is_bytes = heap_measures[metric].is_bytes;
	report_read_heap(profile, &ret->heap);
	if (!ret->heap.heap)
		return NULL;
	error = heap_set_metric(ret->heap.heap, metric);
	if (!error)
		ret->profile = heap_get_profile(ret->heap.heap);
	return error;
}

struct error *report_measure_init(struct profile *profile, enum report_metric metric,
				  struct report_measure *ret)
{
	struct error *error = NULL;
	struct totals totals;

	*ret = (struct report_measure){0};
	if (metric < REPORT_METRIC_LIVE_BYTES) {
		ret->profile = profile;
		ret->metric = "cpu";
		ret->column = "SAMPLES";
		ret->nothing = "no samples";
		ret->is_sampled = true;
	} else {
		error = init_heap(profile, (enum heap_metric)(metric - REPORT_METRIC_LIVE_BYTES), ret);
	}
	if (error || !ret->profile)
		return error;
	profile_get_totals(ret->profile, &totals);
	ret->total = totals.samples;
	return NULL;
}

const char *report_format_amount(const struct report_measure *measure, uint64_t amount,
				 char ret[REPORT_NUMBER_MAX])
{
	return measure->is_bytes ? report_format_bytes(amount, ret) : report_format_number(amount, ret);
}

void report_put_why(const char *why, size_t column, size_t indent, FILE *stream)
{
	char safe[1024], *save = NULL;
	bool is_first = true;

	text_sanitize(why, SIZE_MAX, safe, sizeof(safe));
	for (char *word = strtok_r(safe, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		size_t width = report_get_width(word);

		if (!is_first && column + 1 + width > REPORT_COLUMNS) {
			fprintf(stream, "\n%*s", (int)indent, "");
			column = indent;
		} else if (!is_first) {
			fputc(' ', stream);
			column++;
		}
		fputs(word, stream);
		column += width;
		is_first = false;
	}
	fputc('\n', stream);
}

/* Which metric, of how much; and when the books ended before the session did. */
void report_put_head(const struct report_measure *measure, FILE *stream)
{
	const struct report_heap *heap = &measure->heap;
	char number[REPORT_NUMBER_MAX];

	if (measure->is_sampled)
		return;
	fprintf(stream, "%s: %s in all", measure->metric,
		report_format_amount(measure, measure->total, number));
	if (heap->facts.mode == HEAP_MODE_CLOSED)
		fprintf(stream, ", as of %.1f s", (double)heap->facts.closed_ns / 1e9);
	fputc('\n', stream);
	if (heap->why)
		report_put_why(heap->why, 0, 0, stream);
}

struct error *report_write_unmeasured(const struct report_measure *measure,
				      const struct report_options *options, FILE *stream)
{
	const char *why = measure->heap.why;

	if (options->format == REPORT_JSON)
		return report_dump_json(json_pack("{s:i, s:s, s:n, s:[], s:o}", "schema", REPORT_SCHEMA,
						  "metric", measure->metric, "total", "rows", "why",
						  report_json_text(why)),
					REPORT_JSON_FLAGS, stream);
	fputs("heap: not measured", stream);
	if (why) {
		fputs(": ", stream);
		report_put_why(why, strlen("heap: not measured: "), 2, stream);
	} else {
		fputc('\n', stream);
	}
	return NULL;
}
