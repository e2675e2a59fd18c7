/* The session in one page: what was measured, how completely, at what cost. */
#include "base/array.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "export/report_parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* In the text; JSON has all. */
#define MODULES_SHOWN 12

struct summary {
	const struct profile *profile;
	struct facts facts;
	struct totals totals; /* lost: the heap's too */
	struct report_heap heap;
	double duration_s;
	double hz_delivered, target_pct, self_cpu_pct, probe_ns, heap_ns; /* NAN: not known */
	ARRAY(struct module)
	modules; /* most samples first */
};

static const char *const symbols_names[] = {
	[SYMBOLS_STRIPPED] = "stripped",
	[SYMBOLS_MINIMAL] = "minimal",
	[SYMBOLS_FULL] = "full",
	[SYMBOLS_JIT] = "jit",
};

/* The value came from a worker, which may lie. */
static const char *get_symbols_name(const struct module *module)
{
	return symbols_names[(unsigned)module->symbols <= SYMBOLS_JIT ? module->symbols : SYMBOLS_STRIPPED];
}

static void summary_deinit(struct summary *summary)
{
	array_deinit(&summary->modules);
}

static int compare_modules(const void *a, const void *b)
{
	const struct module *first = a, *second = b;

	if (first->samples != second->samples)
		return first->samples > second->samples ? -1 : 1;
	return first->id < second->id ? -1 : first->id > second->id;
}

static struct error *collect_modules(struct profile *profile, struct summary *summary)
{
	size_t count = profile_count_modules(profile);

	for (size_t i = 0; i < count; i++) {
		struct module module = profile_get_module(profile, i);

		/* The fixed ones exist always; they belong here when they were met. */
		if (!module.samples && module.id < MODULE_FIRST_FILE &&
		    !report_has_spoiled(profile, module.id))
			continue;
		if (!array_append(&summary->modules, module))
			return error_create(ERROR_GENERAL, ENOMEM, NULL, "report");
	}
	if (summary->modules.count)
		qsort(summary->modules.items, summary->modules.count, sizeof(*summary->modules.items),
		      compare_modules);
	return NULL;
}

/* The kernel's own counters say what of the heap was lost. */
static void collect_heap_losses(struct summary *summary)
{
	const struct heap_counters *counters = &summary->heap.facts.counters;
	uint64_t *lost = summary->totals.lost;

	if (!summary->heap.heap)
		return;
	lost[LOST_HEAP_RING_FULL] = counters->lost_ring_full;
	lost[LOST_HEAP_SCRATCH_BUSY] = counters->lost_scratch_busy + counters->lost_pending;
	lost[LOST_LIVE_MAP_FULL] = counters->refused;
	lost[LOST_STACK_MAP_FULL] = counters->lost_stack_full;
}

/* What the heap's probes cost, in % of the target's CPU time over the whole session. The estimate, which
 * knows the traps, is of the time in which they were in place; without it the programs' own time is the
 * least. */
static double get_heap_pct(const struct summary *summary)
{
	const struct heap_facts *heap = &summary->heap.facts;
	uint64_t duration_ns = summary->facts.duration_ns;
	uint64_t until_ns = heap->mode == HEAP_MODE_CLOSED ? heap->closed_ns : duration_ns;
	double least = 100 * (double)heap->counters.program_ns / 1e9 / summary->facts.target_cpu_s;
	double estimate = 0;

	if (!summary->heap.heap)
		return 0;
	if (isfinite(heap->cost_pct) && duration_ns && until_ns > heap->since_ns)
		estimate = heap->cost_pct * (double)(until_ns - heap->since_ns) / (double)duration_ns;
	return estimate > least ? estimate : least;
}

static struct error *collect(struct profile *profile, struct summary *ret)
{
	const struct facts *facts = &ret->facts;

	ret->profile = profile;
	profile_get_facts(profile, &ret->facts);
	profile_get_totals(profile, &ret->totals);
	report_read_heap(profile, &ret->heap);
	collect_heap_losses(ret);
	ret->duration_s = (double)facts->duration_ns / 1e9;
	ret->hz_delivered = ret->target_pct = ret->self_cpu_pct = ret->probe_ns = ret->heap_ns = NAN;
	if (facts->target_cpu_s >= REPORT_TARGET_CPU_S_MIN) {
		ret->hz_delivered = (double)ret->totals.samples / facts->target_cpu_s;
		ret->target_pct =
			100 * (double)facts->probe_ns_total / 1e9 / facts->target_cpu_s + get_heap_pct(ret);
	}
	if (facts->duration_ns)
		ret->self_cpu_pct = 100 * facts->self_cpu_s / ret->duration_s;
	if (facts->probe_hits)
		ret->probe_ns = (double)facts->probe_ns_total / (double)facts->probe_hits;
	if (ret->heap.heap && ret->heap.facts.counters.hits)
		ret->heap_ns =
			(double)ret->heap.facts.counters.program_ns / (double)ret->heap.facts.counters.hits;
	return collect_modules(profile, ret);
}

/* ---- JSON ---- */

static json_t *make_exit(const struct facts *facts)
{
	switch (facts->exit_kind) {
	case EXIT_CODE:
		return json_pack("{s:i}", "code", facts->exit_value);
	case EXIT_SIGNAL:
		return json_pack("{s:i}", "signal", facts->exit_value);
	case EXIT_NONE:
		break;
	}
	return json_null();
}

static json_t *make_counts(const char *const *names, const uint64_t *counts, size_t from, size_t to)
{
	json_t *json = json_object();

	for (size_t i = from; i < to; i++)
		json_object_set_new(json, names[i], json_integer((json_int_t)counts[i]));
	return json;
}

static json_t *make_cpu(const struct summary *summary)
{
	const struct totals *totals = &summary->totals;
	/* The first two ends are not broken: complete, truncated. */
	json_t *stacks =
		json_pack("{s:I, s:I, s:o}", "complete", (json_int_t)totals->ends[STACK_COMPLETE],
			  "truncated", (json_int_t)totals->ends[STACK_TRUNCATED], "broken",
			  make_counts(stack_end_names, totals->ends, STACK_TRUNCATED + 1, STACK_ENDS));

	return json_pack("{s:o, s:o, s:I, s:I, s:I, s:o}", "hz_requested",
			 report_json_real(summary->facts.hz_requested), "hz_delivered",
			 report_json_real(summary->hz_delivered), "samples", (json_int_t)totals->samples,
			 "user_samples", (json_int_t)totals->user_samples, "kernel_samples",
			 (json_int_t)totals->kernel_samples, "stacks", stacks);
}

static json_t *make_modules(const struct summary *summary)
{
	json_t *list = json_array();

	for (size_t i = 0; i < summary->modules.count; i++) {
		const struct module *module = &summary->modules.items[i];

		json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:s, s:I, s:o}", "name",
						      report_json_text(module->name), "path",
						      report_json_text(module->path), "build_id",
						      report_json_text(module->build_id), "symbols",
						      get_symbols_name(module), "samples",
						      (json_int_t)module->samples, "broken",
						      report_make_spoiled(summary->profile, module->id)));
	}
	return list;
}

static json_t *make_heap_count(const struct report_heap *heap, uint64_t count)
{
	return heap->heap ? json_integer((json_int_t)count) : json_null();
}

/* probe_hits and probe_ns are those of the CPU; heap_pct is the estimate with the traps, while they were
 * there. */
static json_t *make_overhead(const struct summary *summary)
{
	const struct report_heap *heap = &summary->heap;

	return json_pack("{s:o, s:o, s:I, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "target_pct",
			 report_json_real(summary->target_pct), "self_cpu_pct",
			 report_json_real(summary->self_cpu_pct), "probe_hits",
			 (json_int_t)summary->facts.probe_hits, "probe_ns",
			 report_json_real(summary->probe_ns), "frames", (json_int_t)summary->facts.frames,
			 "memo_frames", (json_int_t)summary->facts.memo_frames, "memo_wrong",
			 (json_int_t)summary->facts.memo_wrong, "heap_hits",
			 make_heap_count(heap, heap->facts.counters.hits), "heap_ns",
			 report_json_real(summary->heap_ns), "heap_frames",
			 make_heap_count(heap, heap->facts.counters.frames), "heap_memo_frames",
			 make_heap_count(heap, heap->facts.counters.memo_frames), "heap_pct",
			 report_json_real(heap->heap ? heap->facts.cost_pct : NAN));
}

static json_t *make_events(const struct profile *profile)
{
	json_t *events = json_array();

	for (size_t i = 0; i < profile_count_events(profile); i++) {
		struct event event = profile_get_event(profile, i);

		json_array_append_new(events, json_pack("{s:f, s:o}", "at_s", (double)event.time_ns / 1e9,
							"text", report_json_text(event.text)));
	}
	return events;
}

static struct error *write_json(const struct summary *summary, FILE *stream)
{
	const struct facts *facts = &summary->facts;
	json_t *target = json_pack("{s:I, s:o, s:o, s:o}", "pid", (json_int_t)facts->pid, "exe",
				   report_json_text(facts->exe), "cmdline", report_json_text(facts->cmdline),
				   "exit", make_exit(facts));
	json_t *lost = make_counts(lost_reason_names, summary->totals.lost, 0, LOST_REASONS);
	json_t *json =
		json_pack("{s:i, s:o, s:f, s:o, s:o, s:o, s:o, s:o, s:o}", "schema", REPORT_SCHEMA, "target",
			  target, "duration_s", summary->duration_s, "cpu", make_cpu(summary), "heap",
			  report_make_heap(&summary->heap), "lost", lost, "overhead", make_overhead(summary),
			  "modules", make_modules(summary), "events", make_events(summary->profile));

	if (json && facts->is_rescued)
		json_object_set_new(json, "rescued", json_true());
	return report_dump_json(json, REPORT_JSON_FLAGS, stream);
}

/* ---- text ---- */

static void put_label(const char *label, FILE *stream)
{
	fprintf(stream, "  %-10s", label);
}

static void put_safe(const char *text, size_t width, FILE *stream)
{
	char safe[4096];

	text_sanitize(text, SIZE_MAX, safe, sizeof(safe));
	report_put_text(safe, width, stream);
}

/* A command is no C++ name: its brackets hold what was asked for, so only its end is cut. */
static void put_command(const char *command, size_t width, FILE *stream)
{
	char safe[4096];

	text_sanitize(command, SIZE_MAX, safe, sizeof(safe));
	report_put_start(safe, width, stream);
}

static void put_target(const struct facts *facts, FILE *stream)
{
	const char *command = facts->cmdline && *facts->cmdline ? facts->cmdline : facts->exe;

	put_safe(facts->comm ? facts->comm : "?", 64, stream);
	fprintf(stream, " [%u]\n", facts->pid);
	if (command && *command) {
		put_label("command", stream);
		put_command(command, REPORT_COLUMNS - 12, stream);
		fputc('\n', stream);
	}
	put_label("target", stream);
	if (facts->exit_kind == EXIT_CODE)
		fprintf(stream, "exited with %d\n", facts->exit_value);
	else if (facts->exit_kind == EXIT_SIGNAL)
		fprintf(stream, "killed by signal %d (SIG%s)\n", facts->exit_value,
			sigabbrev_np(facts->exit_value) ? sigabbrev_np(facts->exit_value) : "?");
	else
		fputs("was running at the end\n", stream);
}

static void put_time(const struct summary *summary, FILE *stream)
{
	const struct facts *facts = &summary->facts;
	time_t seconds = (time_t)(facts->start_unix_ns / 1000000000);
	char when[32];
	struct tm parts;

	put_label("time", stream);
	fprintf(stream, "%.1f s", summary->duration_s);
	if (facts->start_unix_ns && gmtime_r(&seconds, &parts) &&
	    strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &parts))
		fprintf(stream, " from %s UTC", when);
	if (facts->host && *facts->host) {
		fputs(" on ", stream);
		put_safe(facts->host, 40, stream);
	}
	fputs(facts->is_rescued ? "; rescued, the end is missing\n" : "\n", stream);
}

/* "98.7 Hz", or what takes its place when it is not known. */
static void put_figure(double value, const char *format, const char *otherwise, FILE *stream)
{
	char text[64];

	snprintf(text, sizeof(text), format, value);
	fputs(isfinite(value) ? text : otherwise, stream);
}

static void put_rate(const struct summary *summary, FILE *stream)
{
	put_label("rate", stream);
	put_figure(summary->hz_delivered, "%.1f Hz delivered",
		   "delivered: unknown (less than 0.1 s of CPU time)", stream);
	put_figure(summary->facts.hz_requested, ", %.4g Hz requested", "", stream);
	fputs(summary->facts.uses_cpu_clock ? " (cpu-clock)\n" : "\n", stream);
}

#define LABEL_COLUMNS 12

/* Behind what stands there up to `column`; goes on in another line where there is no room. */
static void put_counts(const char *const *names, const uint64_t *counts, size_t from, size_t to,
		       size_t column, FILE *stream)
{
	char number[REPORT_NUMBER_MAX], text[64 + REPORT_NUMBER_MAX];

	for (size_t i = from; i < to; i++) {
		size_t width;

		if (!counts[i])
			continue;
		snprintf(text, sizeof(text), "%.60s %s", names[i], report_format_number(counts[i], number));
		width = strlen(text);
		if (column + 2 + width > REPORT_COLUMNS)
			column = (size_t)fprintf(stream, "\n%*s%s", LABEL_COLUMNS, "", text) - 1;
		else
			column += (size_t)fprintf(stream, "  %s", text);
	}
}

static void put_samples(const struct totals *totals, FILE *stream)
{
	char number[REPORT_NUMBER_MAX];
	int used;

	put_label("samples", stream);
	fputs(report_format_number(totals->samples, number), stream);
	if (totals->samples) {
		fprintf(stream, "  user %s (%.1f%%)", report_format_number(totals->user_samples, number),
			report_get_pct(totals->user_samples, totals->samples));
		fprintf(stream, "  kernel %s (%.1f%%)\n",
			report_format_number(totals->kernel_samples, number),
			report_get_pct(totals->kernel_samples, totals->samples));
		put_label("stacks", stream);
		used = fprintf(stream, "%.2f%% complete",
			       report_get_pct(totals->ends[STACK_COMPLETE], totals->samples));
		put_counts(stack_end_names, totals->ends, STACK_TRUNCATED, STACK_ENDS,
			   LABEL_COLUMNS + (size_t)used, stream);
	}
	fputc('\n', stream);
}

static void put_lost(const struct totals *totals, FILE *stream)
{
	char number[REPORT_NUMBER_MAX];
	uint64_t sum = 0;

	for (size_t i = 0; i < LOST_REASONS; i++)
		sum += totals->lost[i];
	put_label("lost", stream);
	fputs(report_format_number(sum, number), stream);
	put_counts(lost_reason_names, totals->lost, 0, LOST_REASONS, LABEL_COLUMNS + strlen(number), stream);
	fputc('\n', stream);
}

/* Files that cost two workers, by names or by unwind tables: their events say so. */
static void put_set_aside(const struct profile *profile, FILE *stream)
{
	for (size_t i = 0; i < profile_count_events(profile); i++) {
		struct event event = profile_get_event(profile, i);

		if (!strstr(event.text, ": set aside: "))
			continue;
		put_label("note", stream);
		put_command(event.text, REPORT_COLUMNS - LABEL_COLUMNS, stream);
		fputc('\n', stream);
	}
}

static void put_overhead(const struct summary *summary, FILE *stream)
{
	char number[REPORT_NUMBER_MAX];

	put_label("overhead", stream);
	put_figure(summary->target_pct, "%.2f%% of the target's CPU time", "of the target: unknown", stream);
	put_figure(summary->self_cpu_pct, ", kiln itself %.1f%% of a core", "", stream);
	fprintf(stream, "; %s probe hits", report_format_number(summary->facts.probe_hits, number));
	put_figure(summary->probe_ns / 1000, " of %.2f µs", "", stream);
	fputc('\n', stream);
}

static void put_modules(const struct summary *summary, FILE *stream)
{
	const struct module *modules = summary->modules.items;
	size_t count = summary->modules.count, shown = 0, met = 0;
	char number[REPORT_NUMBER_MAX];
	uint64_t rest = 0;

	fprintf(stream, "\n%10s %7s  %-8s  %s\n", "SAMPLES", "SHARE", "SYMBOLS", "MODULE");
	for (; shown < count && shown < MODULES_SHOWN && modules[shown].samples; shown++) {
		fprintf(stream, "%10s %6.1f%%  %-8s  ", report_format_number(modules[shown].samples, number),
			report_get_pct(modules[shown].samples, summary->totals.samples),
			get_symbols_name(&modules[shown]));
		report_put_text(*modules[shown].path ? modules[shown].path : modules[shown].name,
				REPORT_COLUMNS - 31, stream);
		fputc('\n', stream);
	}
	for (size_t i = shown; i < count; i++) {
		met += modules[i].samples > 0;
		rest += modules[i].samples;
	}
	if (met)
		fprintf(stream, "… %zu more, %.1f%%\n", met, report_get_pct(rest, summary->totals.samples));
	if (count > shown + met)
		fprintf(stream, "… %zu more without samples\n", count - shown - met);
}

static void write_text(const struct summary *summary, FILE *stream)
{
	put_target(&summary->facts, stream);
	put_time(summary, stream);
	put_rate(summary, stream);
	put_samples(&summary->totals, stream);
	report_put_spoilers(summary->profile, summary->totals.samples, stream);
	put_lost(&summary->totals, stream);
	put_set_aside(summary->profile, stream);
	put_overhead(summary, stream);
	put_label("heap", stream);
	report_put_heap(&summary->heap, stream);
	put_modules(summary, stream);
}

struct error *report_write_summary(struct profile *profile, const struct report_options *options,
				   FILE *stream)
{
	_cleanup_(summary_deinit) struct summary summary = {0};
	struct error *error = collect(profile, &summary);

	if (error)
		return error;
	if (options->format == REPORT_JSON)
		return write_json(&summary, stream);
	write_text(&summary, stream);
	return NULL;
}
