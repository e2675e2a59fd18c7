#include "tui/metric.h"

#include "tui/heap_text.h"

#include <stdio.h>

static const struct {
	const char *name, *column, *unit; /* unit NULL: bytes */
} metrics[METRICS] = {
	[METRIC_CPU] = {"cpu", "SAMPLES", "samples"},
	[METRIC_HEAP + HEAP_LIVE_BYTES] = {"live bytes", "LIVE", NULL},
	[METRIC_HEAP + HEAP_LIVE_COUNT] = {"live blocks", "BLOCKS", "blocks"},
	[METRIC_HEAP + HEAP_ALLOC_BYTES] = {"allocated bytes", "ALLOC", NULL},
	[METRIC_HEAP + HEAP_ALLOC_COUNT] = {"allocations", "ALLOCS", "allocations"},
	[METRIC_HEAP + HEAP_PEAK_BYTES] = {"peak bytes", "PEAK", NULL},
};

struct profile *metric_get_profile(const struct view_context *context)
{
	return context->profile ? context->profile : context->source->profile;
}

/* The same function in another profile; UINT32_MAX: it has no name to be found by. */
static uint32_t translate(struct profile *from, struct profile *to, uint32_t number)
{
	struct function function;

	if (number >= profile_count_functions(from))
		return UINT32_MAX;
	function = profile_get_function(from, number);
	if (function.is_provisional)
		return UINT32_MAX;
	return profile_intern_function(to, function.module, function.name);
}

/* profile NULL: the source's own. */
static void set_profile(struct view_context *context, struct profile *profile)
{
	struct profile *before = metric_get_profile(context);

	context->profile = profile;
	if (metric_get_profile(context) != before)
		context->selected_function =
			translate(before, metric_get_profile(context), context->selected_function);
}

bool metric_use(struct view_context *context, unsigned metric)
{
	struct heap *heap = profile_get_heap(context->source->profile);
	struct error *error = NULL;

	if (metric == METRIC_CPU) {
		set_profile(context, NULL);
		context->metric = METRIC_CPU;
		return true;
	}
	if (!heap)
		return false;
	if (heap_get_metric(heap) != metric - METRIC_HEAP)
		error = heap_set_metric(heap, metric - METRIC_HEAP);
	set_profile(context, heap_get_profile(heap));
	context->metric = METRIC_HEAP + heap_get_metric(heap);
	if (!error)
		return true;
	error_destroy(error); /* memory is short: the screen says which metric it shows */
	return false;
}

bool metric_is_exact(const struct view_context *context)
{
	return context->metric != METRIC_CPU;
}

const char *metric_get_name(unsigned metric)
{
	return metrics[metric].name;
}

const char *metric_get_column(unsigned metric)
{
	return metrics[metric].column;
}

const char *metric_format(unsigned metric, uint64_t value, char ret[FORMAT_MAX])
{
	return metrics[metric].unit ? format_count(value, ret) : format_bytes(value, ret);
}

const char *metric_format_amount(unsigned metric, uint64_t value, char ret[FORMAT_MAX])
{
	char count[FORMAT_MAX];

	format_count(value, count);
	if (!metrics[metric].unit)
		format_bytes(value, ret);
	else if (metric == METRIC_CPU)
		snprintf(ret, FORMAT_MAX, "n=%.30s", count);
	else
		snprintf(ret, FORMAT_MAX, "%.26s %s", count, metrics[metric].unit);
	return ret;
}

const char *metric_format_interval(unsigned metric, uint64_t part, uint64_t whole, char ret[FORMAT_MAX])
{
	char interval[FORMAT_MAX];

	*ret = '\0';
	if (metric == METRIC_CPU)
		snprintf(ret, FORMAT_MAX, " %.30s", format_interval(part, whole, interval));
	return ret;
}

void metric_write_scope(const struct view_context *context, char *ret, size_t capacity)
{
	*ret = '\0';
	if (metric_is_exact(context) || heap_is_measured(context->source->profile))
		snprintf(ret, capacity, " ▸ metric ▸ %s", metric_get_name(context->metric));
}

const char *metric_get_extent(const struct view_context *context)
{
	return metric_is_exact(context) ? "since attach" : "all time";
}
